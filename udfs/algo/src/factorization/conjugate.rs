//! Some steps of conjugate gradients for a few rows at a time, without forming their matrices (Takacs, Pilaszy and Tikk 2011).
//!
//! The rows of a group go step by step together, so that the Gram matrix, which for many factors is larger than the first caches, is read once for all
//! of them. Cells are taken four at a time, so that the vectors they are multiplied with and added to are loaded once for four. Neither
//! changes the order of a sum: a row gets the same bits in any group.

use pulp::Simd;

use crate::simd::{STRANDS, add_scaled, dot, vectorised};
use crate::sparse::Csr;

/// Squared residual below which a row is solved to the precision of f32: a further step would divide noise by noise.
const SOLVED: f32 = 1e-20;

/// Values of f32 in half of a usual second-level cache.
const CACHED: usize = 1 << 17;

/// Cells taken together, and rows of a group.
pub(super) const FOUR: usize = 4;

/// What the rows have in common.
#[derive(Clone, Copy)]
pub(super) struct System<'a> {
    /// The factors of the other side, padded to the stride.
    pub(super) factors: &'a [f32],
    /// Their Gram matrix, stride x stride.
    pub(super) gram: &'a [f32],
    pub(super) stride: usize,
    /// What a unit of weight adds to the confidence.
    pub(super) alpha: f32,
}

/// The cells of a row and its penalty.
#[derive(Clone, Copy, Default)]
pub(super) struct Row<'a> {
    pub(super) columns: &'a [u32],
    pub(super) weights: &'a [f32],
    pub(super) penalty: f32,
}

/// Room for a group.
pub(super) struct Space {
    residual: Vec<f32>,
    direction: Vec<f32>,
    product: Vec<f32>,
    squares: Vec<f32>,
}

impl Space {
    pub(super) fn new(stride: usize) -> Self {
        let zeros = || vec![0.0; FOUR * stride];
        Self {
            residual: zeros(),
            direction: zeros(),
            product: zeros(),
            squares: vec![0.0; FOUR],
        }
    }
}

/// Rows of the group that begins with row `first`: one where the Gram matrix stays in the first cache anyway, or where the factors that the
/// cells name do not stay in the second from step to step.
pub(super) fn group(stride: usize, cells: &Csr<f32>, first: usize) -> usize {
    let named: usize = (first..first + FOUR)
        .map(|row| cells.pattern().row(row).len())
        .sum();
    if stride <= 64 || named * stride > CACHED {
        1
    } else {
        FOUR
    }
}

vectorised! {
    /// Improves the iterates `x` of `rows`, one after another, by `steps` steps. At most [`FOUR`] rows; a row without cells becomes zero.
    pub(super) fn descend<'a, S>(
        simd,
        system: System<'a>,
        rows: &'a [Row<'a>],
        x: &'a mut [f32],
        steps: usize,
        space: &'a mut Space,
    ) -> () {
        let stride = system.stride;
        let held = rows.len() * stride;
        let residual = &mut space.residual[..held];
        let direction = &mut space.direction[..held];
        let product = &mut space.product[..held];
        let squares = &mut space.squares[..rows.len()];
        for (row, x) in rows.iter().zip(x.chunks_exact_mut(stride)) {
            if row.weights.iter().all(|weight| *weight == 0.0) {
                x.fill(0.0);
            }
        }
        multiply(simd, &system, rows, x, residual);
        for (((row, x), residual), square) in rows
            .iter()
            .zip(x.chunks_exact(stride))
            .zip(residual.chunks_exact_mut(stride))
            .zip(squares.iter_mut())
        {
            // The part of a cell in A x - b is (c - 1) y x - c.
            cells(simd, &system, row, x, residual, |extra, yx| extra * yx - (1.0 + extra));
            for value in residual.iter_mut() {
                *value = -*value;
            }
            *square = dot(simd, residual, residual);
        }
        direction.copy_from_slice(residual);
        for _ in 0..steps {
            if squares.iter().all(|square| *square < SOLVED) {
                break;
            }
            multiply(simd, &system, rows, direction, product);
            for (at, (row, square)) in rows.iter().zip(squares.iter_mut()).enumerate() {
                if *square < SOLVED {
                    continue;
                }
                let own = at * stride..(at + 1) * stride;
                let (x, residual) = (&mut x[own.clone()], &mut residual[own.clone()]);
                let (direction, product) = (&mut direction[own.clone()], &mut product[own]);
                cells(simd, &system, row, direction, product, |extra, yp| extra * yp);
                let step = *square / dot(simd, direction, product);
                add_scaled(simd, x, step, direction);
                add_scaled(simd, residual, -step, product);
                let next = dot(simd, residual, residual);
                let keep = next / *square;
                for (direction, residual) in direction.iter_mut().zip(residual.iter()) {
                    *direction = keep.mul_add(*direction, *residual);
                }
                *square = next;
            }
        }
    }
}

/// `to = (Y^T Y + lambda I) v` for each row.
#[inline(always)]
fn multiply<S: Simd>(simd: S, system: &System<'_>, rows: &[Row<'_>], v: &[f32], to: &mut [f32]) {
    let stride = system.stride;
    if let [a, b, c, d] = rows {
        let penalties = [a.penalty, b.penalty, c.penalty, d.penalty];
        multiply_rows::<S, 4, 2>(simd, system, penalties, v, to);
    } else {
        for ((row, v), to) in rows
            .iter()
            .zip(v.chunks_exact(stride))
            .zip(to.chunks_exact_mut(stride))
        {
            multiply_rows::<S, 1, 8>(simd, system, [row.penalty], v, to);
        }
    }
}

/// The same for N rows, in tiles of C vectors of columns.
#[inline(always)]
fn multiply_rows<S: Simd, const N: usize, const C: usize>(
    simd: S,
    system: &System<'_>,
    penalties: [f32; N],
    v: &[f32],
    to: &mut [f32],
) {
    let columns = system.stride / S::F32_LANES;
    let mut column = 0;
    while column + C <= columns {
        tile::<S, N, C>(simd, system, penalties, v, to, column * S::F32_LANES);
        column += C;
    }
    while column < columns {
        tile::<S, N, 1>(simd, system, penalties, v, to, column * S::F32_LANES);
        column += 1;
    }
}

#[inline(always)]
fn tile<S: Simd, const N: usize, const C: usize>(
    simd: S,
    system: &System<'_>,
    penalties: [f32; N],
    v: &[f32],
    to: &mut [f32],
    from: usize,
) {
    let stride = system.stride;
    let zero = simd.splat_f32s(0.0);
    let mut sums = [[zero; C]; N];
    for (k, gram) in system.gram.chunks_exact(stride).enumerate() {
        let (gram, _) = S::as_simd_f32s(&gram[from..]);
        let gram = &gram[..C];
        for (row, sums) in sums.iter_mut().enumerate() {
            let factor = simd.splat_f32s(v[row * stride + k]);
            for (sum, gram) in sums.iter_mut().zip(gram) {
                *sum = simd.mul_add_f32s(factor, *gram, *sum);
            }
        }
    }
    for (row, sums) in sums.into_iter().enumerate() {
        let penalty = simd.splat_f32s(penalties[row]);
        let own = row * stride + from..(row + 1) * stride;
        let (v, _) = S::as_simd_f32s(&v[own.clone()]);
        let (to, _) = S::as_mut_simd_f32s(&mut to[own]);
        for ((to, v), sum) in to.iter_mut().zip(v).zip(sums) {
            *to = simd.mul_add_f32s(penalty, *v, sum);
        }
    }
}

/// `to += sum over cells of s y` with `s = each(what the weight adds to the confidence, y v)`.
#[inline(always)]
fn cells<S: Simd>(
    simd: S,
    system: &System<'_>,
    row: &Row<'_>,
    v: &[f32],
    to: &mut [f32],
    each: impl Fn(f32, f32) -> f32,
) {
    let stride = system.stride;
    let scale = |weight: f32, product: f32| {
        if weight == 0.0 {
            0.0
        } else {
            each(system.alpha * weight, product)
        }
    };
    let factors = |column: u32| &system.factors[column as usize * stride..][..stride];
    let (columns, columns_left) = row.columns.as_chunks::<FOUR>();
    let (weights, weights_left) = row.weights.as_chunks::<FOUR>();
    for (columns, weights) in columns.iter().zip(weights) {
        let y = [
            factors(columns[0]),
            factors(columns[1]),
            factors(columns[2]),
            factors(columns[3]),
        ];
        let products = dot_four(simd, y, v);
        let s = [
            simd.splat_f32s(scale(weights[0], products[0])),
            simd.splat_f32s(scale(weights[1], products[1])),
            simd.splat_f32s(scale(weights[2], products[2])),
            simd.splat_f32s(scale(weights[3], products[3])),
        ];
        let (to, _) = S::as_mut_simd_f32s(to);
        let [y0, y1, y2, y3] = y.map(|y| S::as_simd_f32s(y).0);
        for ((((to, y0), y1), y2), y3) in to.iter_mut().zip(y0).zip(y1).zip(y2).zip(y3) {
            let sum = simd.mul_add_f32s(s[0], *y0, *to);
            let sum = simd.mul_add_f32s(s[1], *y1, sum);
            let sum = simd.mul_add_f32s(s[2], *y2, sum);
            *to = simd.mul_add_f32s(s[3], *y3, sum);
        }
    }
    for (&column, &weight) in columns_left.iter().zip(weights_left) {
        let y = factors(column);
        add_scaled(simd, to, scale(weight, dot(simd, y, v)), y);
    }
}

/// [`dot`] of four rows with one, bit for bit.
#[inline(always)]
fn dot_four<S: Simd>(simd: S, y: [&[f32]; FOUR], v: &[f32]) -> [f32; FOUR] {
    // Of the sixteen strands, as many vectors as they fill.
    let zero = simd.splat_f32s(0.0);
    let vectors = STRANDS / S::F32_LANES;
    let mut sums = [[zero; STRANDS]; FOUR];
    let [a, b, c, d] = y;
    for ((((a, b), c), d), v) in a
        .as_chunks::<STRANDS>()
        .0
        .iter()
        .zip(b.as_chunks::<STRANDS>().0)
        .zip(c.as_chunks::<STRANDS>().0)
        .zip(d.as_chunks::<STRANDS>().0)
        .zip(v.as_chunks::<STRANDS>().0)
    {
        let (v, _) = S::as_simd_f32s(v);
        let (a, _) = S::as_simd_f32s(a);
        let (b, _) = S::as_simd_f32s(b);
        let (c, _) = S::as_simd_f32s(c);
        let (d, _) = S::as_simd_f32s(d);
        for at in 0..vectors {
            sums[0][at] = simd.mul_add_f32s(a[at], v[at], sums[0][at]);
            sums[1][at] = simd.mul_add_f32s(b[at], v[at], sums[1][at]);
            sums[2][at] = simd.mul_add_f32s(c[at], v[at], sums[2][at]);
            sums[3][at] = simd.mul_add_f32s(d[at], v[at], sums[3][at]);
        }
    }
    let mut found = [0.0; FOUR];
    for (found, sums) in found.iter_mut().zip(sums) {
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
        *found = strands[0];
    }
    found
}
