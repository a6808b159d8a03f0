//! Positive definite systems of the size of the factors, solved in single precision and, where that fails, in double.

use pulp::Simd;

use crate::Result;
use crate::host::Meter;
use crate::simd::{STRANDS, add_scaled, dot, vectorised};

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

/// Rows of U that are taken out of a row below in one go, so that it is loaded and stored once for four.
const FOUR: usize = 4;

vectorised! {
    /// Makes rows `from..to` of U and takes their part out of the rows below; `from` is a multiple of four, and so is `to`
    /// unless it is `width`.
    fn eliminate<'a, S>(
        simd,
        a: &'a mut [f32],
        stride: usize,
        width: usize,
        from: usize,
        to: usize,
    ) -> bool {
        for first in (from..to).step_by(FOUR) {
            let last = (first + FOUR).min(to);
            let (above, below) = a.split_at_mut(last * stride);
            let rows = &mut above[first * stride..];
            if !finish_rows(simd, rows, stride, first) {
                return false;
            }
            let below = &mut below[..(width - last) * stride];
            let mut pairs = below.chunks_exact_mut(2 * stride);
            let mut i = last;
            for pair in &mut pairs {
                let (one, two) = pair.split_at_mut(stride);
                take_out_of_two(simd, rows, i, one, two);
                i += 2;
            }
            for one in pairs.into_remainder().chunks_exact_mut(stride) {
                take_out_of_one(simd, rows, i, one);
            }
        }
        true
    }
}

/// Makes rows of U of a few rows that wait only for each other, the first being row `first`.
#[inline(always)]
fn finish_rows<S: Simd>(simd: S, rows: &mut [f32], stride: usize, first: usize) -> bool {
    for at in 0..rows.len() / stride {
        let k = first + at;
        // From a whole vector on: what is left of the diagonal is never read.
        let start = k / STRANDS * STRANDS;
        let (done, rest) = rows.split_at_mut(at * stride);
        let row = &mut rest[..stride];
        for done in done.chunks_exact(stride) {
            add_scaled(simd, &mut row[start..], -done[k], &done[start..]);
        }
        let pivot = row[k];
        if !(pivot > 0.0 && pivot.is_finite()) {
            return false;
        }
        let scale = 1.0 / pivot.sqrt();
        for value in row[start..].iter_mut() {
            *value *= scale;
        }
    }
    true
}

/// Takes four rows of U out of rows i and i + 1.
#[inline(always)]
fn take_out_of_two<S: Simd>(simd: S, rows: &[f32], i: usize, one: &mut [f32], two: &mut [f32]) {
    let stride = one.len();
    let start = i / STRANDS * STRANDS;
    let [a, b, c, d] = four_rows(rows, stride);
    // Written out, because a closure given to a function of the library is not compiled for the instruction set.
    let (a0, a1) = (simd.splat_f32s(-a[i]), simd.splat_f32s(-a[i + 1]));
    let (b0, b1) = (simd.splat_f32s(-b[i]), simd.splat_f32s(-b[i + 1]));
    let (c0, c1) = (simd.splat_f32s(-c[i]), simd.splat_f32s(-c[i + 1]));
    let (d0, d1) = (simd.splat_f32s(-d[i]), simd.splat_f32s(-d[i + 1]));
    let (one, _) = S::as_mut_simd_f32s(&mut one[start..]);
    let (two, _) = S::as_mut_simd_f32s(&mut two[start..]);
    let (a, _) = S::as_simd_f32s(&a[start..]);
    let (b, _) = S::as_simd_f32s(&b[start..]);
    let (c, _) = S::as_simd_f32s(&c[start..]);
    let (d, _) = S::as_simd_f32s(&d[start..]);
    for (((((one, two), a), b), c), d) in one.iter_mut().zip(two).zip(a).zip(b).zip(c).zip(d) {
        let mut u = simd.mul_add_f32s(a0, *a, *one);
        let mut v = simd.mul_add_f32s(a1, *a, *two);
        u = simd.mul_add_f32s(b0, *b, u);
        v = simd.mul_add_f32s(b1, *b, v);
        u = simd.mul_add_f32s(c0, *c, u);
        v = simd.mul_add_f32s(c1, *c, v);
        *one = simd.mul_add_f32s(d0, *d, u);
        *two = simd.mul_add_f32s(d1, *d, v);
    }
}

/// Takes four rows of U out of row i.
#[inline(always)]
fn take_out_of_one<S: Simd>(simd: S, rows: &[f32], i: usize, one: &mut [f32]) {
    let start = i / STRANDS * STRANDS;
    for row in four_rows(rows, one.len()) {
        add_scaled(simd, &mut one[start..], -row[i], &row[start..]);
    }
}

#[inline(always)]
fn four_rows(rows: &[f32], stride: usize) -> [&[f32]; FOUR] {
    let (a, rows) = rows.split_at(stride);
    let (b, rows) = rows.split_at(stride);
    let (c, rows) = rows.split_at(stride);
    [a, b, c, &rows[..stride]]
}

vectorised! {
    /// `U^T z = b`, then `U x = z`.
    fn substitute<'a, S>(simd, u: &'a [f32], b: &'a mut [f32], width: usize) -> () {
        let stride = b.len();
        for k in 0..width {
            let row = &u[k * stride..][..stride];
            let (done, rest) = b.split_at_mut(k + 1);
            let z = done[k] / row[k];
            done[k] = z;
            add_scaled(simd, rest, -z, &row[k + 1..]);
        }
        for value in b.iter_mut().skip(width) {
            *value = 0.0;
        }
        for k in (0..width).rev() {
            let row = &u[k * stride..][..stride];
            // Whole strands by the dot product, what comes before them one by one.
            let start = (k + 1).next_multiple_of(STRANDS).min(stride);
            let mut sum = dot(simd, &row[start..], &b[start..]);
            for (u, x) in row[k + 1..start].iter().zip(&b[k + 1..]) {
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
