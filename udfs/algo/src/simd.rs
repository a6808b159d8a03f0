//! Kernels compiled once for each instruction set and chosen at run time.
//!
//! `pulp` compiles a kernel for AVX-512, AVX2 with FMA, NEON and plain code, and hands it the widest vector that the machine has. Lanes are
//! always different rows, items or columns, never parts of one sum, or else parts of a sum in sixteen fixed strands; and a
//! fused multiply-add is one wherever it is written. So all variants, and all machines, give the same bits.

use pulp::Simd;

/// Strands of a sum along a vector.
pub(crate) const STRANDS: usize = 16;

/// Defines a function whose body is compiled for each instruction set: `fn name<'a, S>(simd, arguments) -> output`, where `S`
/// is the instruction set, `simd` its token, and the one lifetime covers all borrowed arguments. What the body calls must be
/// `#[inline(always)]`.
macro_rules! vectorised {
    (
        $(#[$meta:meta])*
        $visibility:vis fn $name:ident<$life:lifetime, $set:ident>(
            $simd:ident,
            $($argument:ident: $type:ty),* $(,)?
        ) -> $output:ty
        $body:block
    ) => {
        $(#[$meta])*
        $visibility fn $name<$life>($($argument: $type),*) -> $output {
            struct Kernel<$life> {
                $($argument: $type,)*
            }
            impl<$life> pulp::WithSimd for Kernel<$life> {
                type Output = $output;

                #[inline(always)]
                fn with_simd<$set: pulp::Simd>(self, $simd: $set) -> $output {
                    let Self { $($argument),* } = self;
                    $body
                }
            }
            pulp::Arch::new().dispatch(Kernel { $($argument),* })
        }
    };
}

pub(crate) use vectorised;

/// Sum of products of two rows, in [`STRANDS`] strands added up in a fixed order; what is left over a multiple of them is not
/// looked at.
#[inline(always)]
pub(crate) fn dot<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> f32 {
    let vectors = STRANDS / S::F32_LANES;
    let mut sums = [simd.splat_f32s(0.0); STRANDS];
    let (a, _) = a.as_chunks::<STRANDS>();
    let (b, _) = b.as_chunks::<STRANDS>();
    for (a, b) in a.iter().zip(b) {
        let (a, _) = S::as_simd_f32s(a);
        let (b, _) = S::as_simd_f32s(b);
        for at in 0..vectors {
            sums[at] = simd.mul_add_f32s(a[at], b[at], sums[at]);
        }
    }
    let mut strands = [0.0_f32; STRANDS];
    for (to, sum) in S::as_mut_simd_f32s(&mut strands).0.iter_mut().zip(sums) {
        *to = sum;
    }
    let mut half = STRANDS / 2;
    while half > 0 {
        for at in 0..half {
            strands[at] += strands[at + half];
        }
        half /= 2;
    }
    strands[0]
}

/// `to += factor * from`.
#[inline(always)]
pub(crate) fn add_scaled<S: Simd>(simd: S, to: &mut [f32], factor: f32, from: &[f32]) {
    let scale = simd.splat_f32s(factor);
    let (to, to_rest) = S::as_mut_simd_f32s(to);
    let (from, from_rest) = S::as_simd_f32s(from);
    for (to, from) in to.iter_mut().zip(from) {
        *to = simd.mul_add_f32s(scale, *from, *to);
    }
    for (to, from) in to_rest.iter_mut().zip(from_rest) {
        *to = factor.mul_add(*from, *to);
    }
}

/// `to += factor * from` in f64.
#[inline(always)]
pub(crate) fn add_scaled_double<S: Simd>(simd: S, to: &mut [f64], factor: f64, from: &[f64]) {
    let scale = simd.splat_f64s(factor);
    let (to, to_rest) = S::as_mut_simd_f64s(to);
    let (from, from_rest) = S::as_simd_f64s(from);
    for (to, from) in to.iter_mut().zip(from) {
        *to = simd.mul_add_f64s(scale, *from, *to);
    }
    for (to, from) in to_rest.iter_mut().zip(from_rest) {
        *to = factor.mul_add(*from, *to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Dot<'a>(&'a [f32], &'a [f32]);

    impl pulp::WithSimd for Dot<'_> {
        type Output = (f32, Vec<f32>, Vec<f64>);

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
            let mut single = self.1.to_vec();
            add_scaled(simd, &mut single, 0.3, self.0);
            let wide = |values: &[f32]| values.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
            let mut double = wide(self.1);
            add_scaled_double(simd, &mut double, 0.3, &wide(self.0));
            (dot(simd, self.0, self.1), single, double)
        }
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let values = |seed: usize| -> Vec<f32> {
            (0..80)
                .map(|i| ((i * 7919 + seed) % 997) as f32 / 331.0 - 1.5)
                .collect()
        };
        let (a, b) = (values(1), values(500));
        let plain = pulp::Scalar::new();
        let expected = pulp::WithSimd::with_simd(Dot(&a, &b), plain);
        let found = pulp::Arch::new().dispatch(Dot(&a, &b));
        assert_eq!(found.0.to_bits(), expected.0.to_bits());
        assert_eq!(found, expected);
        let sum: f64 = a
            .iter()
            .zip(&b)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum();
        assert!((f64::from(found.0) - sum).abs() < 1e-4);
    }
}
