//! Positive definite systems of the size of the factors, solved in single precision and, where that fails, in double.

use super::factors::{add_scaled, dot_lanes};
use crate::Result;
use crate::host::Meter;
use crate::simd::vectorised;

/// Rows eliminated between two questions for cancellation.
const PANEL: usize = 32;

/// Solves `A x = b` for the symmetric positive definite A whose upper triangle is in `a`, stride x stride; `b` becomes x.
/// Returns whether A was positive definite to the precision of f32; if not, `a` and `b` are spoilt.
///
/// `A = U^T U` by rows of U, right-looking, so that every inner loop runs along a row.
pub(crate) fn solve(
    a: &mut [f32],
    b: &mut [f32],
    width: usize,
    meter: &mut Meter<'_>,
) -> Result<bool> {
    let stride = b.len();
    let mut from = 0;
    while from < width {
        let to = (from + PANEL).min(width);
        meter.spend((to - from) * stride * (stride - from) / 4)?;
        if !eliminate(a, stride, width, from, to) {
            return Ok(false);
        }
        from = to;
    }
    substitute(a, b, width);
    Ok(b.iter().all(|value| value.is_finite()))
}

vectorised! {
    /// Makes rows `from..to` of U and takes their part out of the rows below.
    fn eliminate<'a>(a: &'a mut [f32], stride: usize, width: usize, from: usize, to: usize) -> bool {
        for k in from..to {
            let (above, below) = a.split_at_mut((k + 1) * stride);
            let row = &mut above[k * stride..];
            let pivot = row[k];
            if !(pivot > 0.0 && pivot.is_finite()) {
                return false;
            }
            let scale = 1.0 / pivot.sqrt();
            for value in row[k..].iter_mut() {
                *value *= scale;
            }
            for (i, target) in (k + 1..width).zip(below.chunks_exact_mut(stride)) {
                let factor = -row[i];
                if factor != 0.0 {
                    // From a whole vector on: what is left of the diagonal is never read.
                    let start = i / 16 * 16;
                    add_scaled(&mut target[start..], factor, &row[start..]);
                }
            }
        }
        true
    }
}

vectorised! {
    /// `U^T z = b`, then `U x = z`.
    fn substitute<'a>(u: &'a [f32], b: &'a mut [f32], width: usize) -> () {
        let stride = b.len();
        for k in 0..width {
            let row = &u[k * stride..][..stride];
            let (done, rest) = b.split_at_mut(k + 1);
            let z = done[k] / row[k];
            done[k] = z;
            add_scaled(rest, -z, &row[k + 1..]);
        }
        for value in b.iter_mut().skip(width) {
            *value = 0.0;
        }
        for k in (0..width).rev() {
            let row = &u[k * stride..][..stride];
            // From a whole vector on; what the dot product takes too much is zero in `b` or taken out again.
            let start = (k + 1).div_ceil(16) * 16;
            let mut sum = dot_lanes(&row[start.min(stride)..], &b[start.min(stride)..]);
            for (u, x) in row[k + 1..start.min(stride)].iter().zip(&b[k + 1..]) {
                sum = u.mul_add(*x, sum);
            }
            b[k] = (b[k] - sum) / row[k];
        }
    }
}

/// As [`solve`] in double precision, for the systems that single precision finds singular: `a` is width x width, both
/// triangles.
pub(crate) fn solve_double(a: &mut [f64], b: &mut [f64], meter: &mut Meter<'_>) -> Result<bool> {
    let n = b.len();
    for k in 0..n {
        meter.spend((n - k) * (n - k))?;
        let (above, below) = a.split_at_mut((k + 1) * n);
        let row = &mut above[k * n..];
        let pivot = row[k];
        if !(pivot > 0.0 && pivot.is_finite()) {
            return Ok(false);
        }
        let scale = 1.0 / pivot.sqrt();
        for value in row[k..].iter_mut() {
            *value *= scale;
        }
        let (done, rest) = b.split_at_mut(k + 1);
        done[k] *= scale;
        for ((i, target), right) in (k + 1..n).zip(below.chunks_exact_mut(n)).zip(rest) {
            let factor = row[i];
            *right -= factor * done[k];
            for (to, from) in target[i..].iter_mut().zip(&row[i..]) {
                *to -= factor * from;
            }
        }
    }
    for k in (0..n).rev() {
        let row = &a[k * n..][..n];
        let sum: f64 = row[k + 1..]
            .iter()
            .zip(&b[k + 1..])
            .map(|(u, x)| u * x)
            .sum();
        b[k] = (b[k] - sum) / row[k];
    }
    Ok(b.iter().all(|value| value.is_finite()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Unlimited;
    use crate::factorization::factors::padded;
    use crate::random::Random;

    #[test]
    fn solves_what_it_is_given() {
        for width in [1, 2, 7, 16, 33, 70] {
            let stride = padded(width);
            let mut random = Random::stream(width as u64, 0);
            let rows: Vec<f64> = (0..2 * width * width).map(|_| random.normal()).collect();
            let mut single = vec![0.0_f32; stride * stride];
            let mut double = vec![0.0_f64; width * width];
            for i in 0..width {
                for j in 0..width {
                    let sum: f64 = (0..2 * width)
                        .map(|r| rows[r * width + i] * rows[r * width + j])
                        .sum();
                    let value = sum + if i == j { 1.0 } else { 0.0 };
                    double[i * width + j] = value;
                    if i <= j {
                        single[i * stride + j] = value as f32;
                    }
                }
            }
            let x: Vec<f64> = (0..width).map(|_| random.normal()).collect();
            let b: Vec<f64> = (0..width)
                .map(|i| (0..width).map(|j| double[i * width + j] * x[j]).sum())
                .collect();
            let mut meter = Meter::new(&Unlimited);

            let mut found = vec![0.0_f32; stride];
            for (to, from) in found.iter_mut().zip(&b) {
                *to = *from as f32;
            }
            assert!(solve(&mut single, &mut found, width, &mut meter).unwrap());
            for (found, x) in found.iter().zip(&x) {
                assert!((f64::from(*found) - x).abs() < 1e-3, "{found} {x}");
            }
            assert!(found[width..].iter().all(|value| *value == 0.0));

            let mut found = b;
            assert!(solve_double(&mut double, &mut found, &mut meter).unwrap());
            for (found, x) in found.iter().zip(&x) {
                assert!((found - x).abs() < 1e-9, "{found} {x}");
            }
        }
    }

    #[test]
    fn says_when_there_is_no_solution() {
        let mut meter = Meter::new(&Unlimited);
        let mut a = vec![0.0_f32; 256];
        a[0] = 1.0;
        let mut b = vec![1.0_f32; 16];
        assert!(!solve(&mut a, &mut b, 2, &mut meter).unwrap());
        let mut a = vec![1.0, 2.0, 2.0, 1.0];
        assert!(!solve_double(&mut a, &mut [1.0, 1.0], &mut meter).unwrap());
    }
}
