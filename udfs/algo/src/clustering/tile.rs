//! The inner loop of k-means: squared distances of 32 rows at a time to a run of centroids.
//!
//! Rows are the lanes: 32 rows are transposed once into columns of 32, then each centroid costs a subtraction and a fused
//! multiply-add a column for all of them, and the nearest is kept lane by lane. The distance is summed from the
//! differences, column by column, not from `|x|^2 - 2xc + |c|^2`, which loses the small distances of f32 rows.

use pulp::Simd;

use crate::simd::vectorised;

/// Rows of a tile.
pub(crate) const LANES: usize = 32;

/// Distances that are added up in f32.
const DISTANCE_RUN: usize = 64;

/// 32 rows, transposed: `columns[j][l]` is column j of row l. Lanes past the last row repeat it.
#[derive(Debug, Default)]
pub(crate) struct Tile {
    columns: Vec<[f32; LANES]>,
}

impl Tile {
    /// Takes up to 32 rows, row-major, of `columns` values each.
    pub(crate) fn load(&mut self, rows: &[f32], columns: usize) {
        self.columns.resize(columns, [0.0; LANES]);
        let held = rows.chunks_exact(columns).len();
        for (lane, row) in rows.chunks_exact(columns).enumerate() {
            for (column, &value) in self.columns.iter_mut().zip(row) {
                if let Some(slot) = column.get_mut(lane) {
                    *slot = value;
                }
            }
        }
        for column in &mut self.columns {
            if let Some((&mut last, rest)) = column
                .get_mut(held.saturating_sub(1)..)
                .and_then(<[f32]>::split_first_mut)
            {
                rest.fill(last);
            }
        }
    }

    /// Lowers `squared` to the squared distances of the rows to `point` where those are smaller.
    pub(crate) fn lower(&self, point: &[f32], squared: &mut [f32; LANES]) {
        lower(&self.columns, point, squared);
    }

    /// Squared distances of the rows to each of `points`, row-major, as many as there is room for in `squares`.
    pub(crate) fn squares(&self, points: &[f32], squares: &mut [[f32; LANES]]) {
        squares_to(&self.columns, points, squares);
    }

    /// Adds to `within` and `beyond`, lane by lane, how many of `points`, row-major, have a squared distance of at most the
    /// first and the second limit.
    pub(crate) fn count(
        &self,
        points: &[f32],
        limits: (f32, f32),
        within: &mut [u32; LANES],
        beyond: &mut [u32; LANES],
    ) {
        count(&self.columns, points, limits, within, beyond);
    }

    /// Adds to each lane of `sums` the Euclidean distances of its row to `points`, row-major: f32 distances, added up in f32
    /// for 64 points and then in f64.
    pub(crate) fn add_distances(&self, points: &[f32], sums: &mut [f64; LANES]) {
        for points in points.chunks(DISTANCE_RUN * self.columns.len()) {
            let mut run = [0.0; LANES];
            add_distances(&self.columns, points, &mut run);
            for (sum, run) in sums.iter_mut().zip(run) {
                *sum += f64::from(run);
            }
        }
    }

    /// For each of `points`, row-major: what the weighted sum of the squared distances of the rows would be if the point
    /// lowered them from `squared`, strand by strand of rows, added to `sums`.
    pub(crate) fn add_lowered(
        &self,
        points: &[f32],
        squared: &[f32; LANES],
        weights: &[f64; LANES],
        sums: &mut [[f64; LANES]],
    ) {
        add_lowered(&self.columns, points, squared, weights, sums);
    }
}

/// The nearest centroid so far of each row of a tile.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nearest {
    /// Squared distances.
    pub(crate) squared: [f32; LANES],
    /// Centroid numbers; on a tie the smallest.
    pub(crate) label: [u32; LANES],
    /// Squared distances of the second nearest, which on a tie is as near.
    pub(crate) second: [f32; LANES],
}

impl Default for Nearest {
    fn default() -> Self {
        Self {
            squared: [f32::INFINITY; LANES],
            label: [0; LANES],
            second: [f32::INFINITY; LANES],
        }
    }
}

impl Nearest {
    /// Compares with `centroids`, row-major, numbered from `first`. Calls go upwards in `first`.
    pub(crate) fn offer(&mut self, tile: &Tile, centroids: &[f32], first: u32) {
        offer(&tile.columns, centroids, first, self);
    }
}

vectorised! {
    fn offer<'a, S>(
        simd,
        columns: &'a [[f32; LANES]],
        centroids: &'a [f32],
        first: u32,
        nearest: &'a mut Nearest,
    ) -> () {
        // Two vectors of rows by four centroids: eight sums in flight hide the latency of an addition.
        for pair in 0..LANES / (2 * S::F32_LANES) {
            offer_pair(simd, columns, centroids, first, nearest, pair);
        }
    }
}

/// The `pair`-th two vectors of the rows.
#[inline(always)]
fn offer_pair<S: Simd>(
    simd: S,
    columns: &[[f32; LANES]],
    centroids: &[f32],
    first: u32,
    nearest: &mut Nearest,
    pair: usize,
) {
    let d = columns.len();
    let at = 2 * pair;
    let (squared, _) = S::as_mut_simd_f32s(&mut nearest.squared);
    let (labels, _) = S::as_mut_simd_u32s(&mut nearest.label);
    let (seconds, _) = S::as_mut_simd_f32s(&mut nearest.second);
    let mut best = [squared[at], squared[at + 1]];
    let mut second = [seconds[at], seconds[at + 1]];
    let mut label = [labels[at], labels[at + 1]];
    let mut number = first;

    let quads = centroids.chunks_exact(4 * d);
    let rest = quads.remainder();
    for quad in quads {
        let (a, quad) = quad.split_at(d);
        let (b, quad) = quad.split_at(d);
        let (c, e) = quad.split_at(d);
        let mut sums = [[simd.splat_f32s(0.0); 2]; 4];
        for ((((x, a), b), c), e) in columns.iter().zip(a).zip(b).zip(c).zip(e) {
            let (x, _) = S::as_simd_f32s(x);
            let x = [x[at], x[at + 1]];
            for (sums, centroid) in sums.iter_mut().zip([a, b, c, e]) {
                add_squares(simd, sums, x, *centroid);
            }
        }
        for sums in sums {
            keep_nearer(simd, &mut best, &mut second, &mut label, sums, number);
            number = number.wrapping_add(1);
        }
    }
    for centroid in rest.chunks_exact(d) {
        let mut sums = [simd.splat_f32s(0.0); 2];
        for (x, centroid) in columns.iter().zip(centroid) {
            let (x, _) = S::as_simd_f32s(x);
            add_squares(simd, &mut sums, [x[at], x[at + 1]], *centroid);
        }
        keep_nearer(simd, &mut best, &mut second, &mut label, sums, number);
        number = number.wrapping_add(1);
    }
    [squared[at], squared[at + 1]] = best;
    [seconds[at], seconds[at + 1]] = second;
    [labels[at], labels[at + 1]] = label;
}

vectorised! {
    fn add_distances<'a, S>(
        simd,
        columns: &'a [[f32; LANES]],
        points: &'a [f32],
        sums: &'a mut [f32; LANES],
    ) -> () {
        for pair in 0..LANES / (2 * S::F32_LANES) {
            add_distances_pair(simd, columns, points, sums, pair);
        }
    }
}

/// The `pair`-th two vectors of the rows, four points at a time as in [`offer_pair`].
#[inline(always)]
fn add_distances_pair<S: Simd>(
    simd: S,
    columns: &[[f32; LANES]],
    points: &[f32],
    sums: &mut [f32; LANES],
    pair: usize,
) {
    let d = columns.len();
    let at = 2 * pair;
    let (sums, _) = S::as_mut_simd_f32s(sums);
    let mut total = [sums[at], sums[at + 1]];
    let quads = points.chunks_exact(4 * d);
    let rest = quads.remainder();
    for quad in quads {
        let (a, quad) = quad.split_at(d);
        let (b, quad) = quad.split_at(d);
        let (c, e) = quad.split_at(d);
        let mut squared = [[simd.splat_f32s(0.0); 2]; 4];
        for ((((x, a), b), c), e) in columns.iter().zip(a).zip(b).zip(c).zip(e) {
            let (x, _) = S::as_simd_f32s(x);
            let x = [x[at], x[at + 1]];
            for (squared, point) in squared.iter_mut().zip([a, b, c, e]) {
                add_squares(simd, squared, x, *point);
            }
        }
        for squared in squared {
            for (total, squared) in total.iter_mut().zip(squared) {
                *total = simd.add_f32s(*total, simd.sqrt_f32s(squared));
            }
        }
    }
    for point in rest.chunks_exact(d) {
        let mut squared = [simd.splat_f32s(0.0); 2];
        for (x, point) in columns.iter().zip(point) {
            let (x, _) = S::as_simd_f32s(x);
            add_squares(simd, &mut squared, [x[at], x[at + 1]], *point);
        }
        for (total, squared) in total.iter_mut().zip(squared) {
            *total = simd.add_f32s(*total, simd.sqrt_f32s(squared));
        }
    }
    [sums[at], sums[at + 1]] = total;
}

vectorised! {
    fn squares_to<'a, S>(
        simd,
        columns: &'a [[f32; LANES]],
        points: &'a [f32],
        squares: &'a mut [[f32; LANES]],
    ) -> () {
        for (point, squares) in points.chunks_exact(columns.len()).zip(squares) {
            let (squares, _) = S::as_mut_simd_f32s(squares);
            for pair in 0..LANES / (2 * S::F32_LANES) {
                let at = 2 * pair;
                [squares[at], squares[at + 1]] = pair_squares(simd, columns, point, at);
            }
        }
    }
}

vectorised! {
    fn count<'a, S>(
        simd,
        columns: &'a [[f32; LANES]],
        points: &'a [f32],
        limits: (f32, f32),
        within: &'a mut [u32; LANES],
        beyond: &'a mut [u32; LANES],
    ) -> () {
        let (within, _) = S::as_mut_simd_u32s(within);
        let (beyond, _) = S::as_mut_simd_u32s(beyond);
        let (low, high) = (simd.splat_f32s(limits.0), simd.splat_f32s(limits.1));
        let (one, zero) = (simd.splat_u32s(1), simd.splat_u32s(0));
        for pair in 0..LANES / (2 * S::F32_LANES) {
            let at = 2 * pair;
            let mut counts = [within[at], within[at + 1], beyond[at], beyond[at + 1]];
            for point in points.chunks_exact(columns.len()) {
                let squares = pair_squares(simd, columns, point, at);
                for (half, squared) in squares.into_iter().enumerate() {
                    let near = simd.less_than_or_equal_f32s(squared, low);
                    counts[half] = simd.add_u32s(counts[half], simd.select_u32s(near, one, zero));
                    let near = simd.less_than_or_equal_f32s(squared, high);
                    counts[2 + half] =
                        simd.add_u32s(counts[2 + half], simd.select_u32s(near, one, zero));
                }
            }
            [within[at], within[at + 1], beyond[at], beyond[at + 1]] = counts;
        }
    }
}

/// Squared distances of the rows of two vectors to a point.
#[inline(always)]
fn pair_squares<S: Simd>(
    simd: S,
    columns: &[[f32; LANES]],
    point: &[f32],
    at: usize,
) -> [S::f32s; 2] {
    let mut sums = [simd.splat_f32s(0.0); 2];
    for (x, point) in columns.iter().zip(point) {
        let (x, _) = S::as_simd_f32s(x);
        add_squares(simd, &mut sums, [x[at], x[at + 1]], *point);
    }
    sums
}

vectorised! {
    fn lower<'a, S>(
        simd,
        columns: &'a [[f32; LANES]],
        point: &'a [f32],
        squared: &'a mut [f32; LANES],
    ) -> () {
        lower_to(simd, columns, point, squared);
    }
}

vectorised! {
    fn add_lowered<'a, S>(
        simd,
        columns: &'a [[f32; LANES]],
        points: &'a [f32],
        squared: &'a [f32; LANES],
        weights: &'a [f64; LANES],
        sums: &'a mut [[f64; LANES]],
    ) -> () {
        for (point, sums) in points.chunks_exact(columns.len()).zip(sums) {
            let mut lowered = *squared;
            lower_to(simd, columns, point, &mut lowered);
            for ((sum, value), weight) in sums.iter_mut().zip(&lowered).zip(weights) {
                *sum += f64::from(*value) * weight;
            }
        }
    }
}

#[inline(always)]
fn lower_to<S: Simd>(simd: S, columns: &[[f32; LANES]], point: &[f32], squared: &mut [f32; LANES]) {
    let (squared, _) = S::as_mut_simd_f32s(squared);
    for pair in 0..LANES / (2 * S::F32_LANES) {
        let at = 2 * pair;
        let mut sums = [simd.splat_f32s(0.0); 2];
        for (x, centroid) in columns.iter().zip(point) {
            let (x, _) = S::as_simd_f32s(x);
            add_squares(simd, &mut sums, [x[at], x[at + 1]], *centroid);
        }
        for (to, new) in squared[at..].iter_mut().zip(sums) {
            let nearer = simd.less_than_f32s(new, *to);
            *to = simd.select_f32s(nearer, new, *to);
        }
    }
}

#[inline(always)]
fn add_squares<S: Simd>(simd: S, sums: &mut [S::f32s; 2], x: [S::f32s; 2], centroid: f32) {
    let centroid = simd.splat_f32s(centroid);
    for (sum, x) in sums.iter_mut().zip(x) {
        let difference = simd.sub_f32s(x, centroid);
        *sum = simd.mul_add_f32s(difference, difference, *sum);
    }
}

#[inline(always)]
fn keep_nearer<S: Simd>(
    simd: S,
    best: &mut [S::f32s; 2],
    second: &mut [S::f32s; 2],
    label: &mut [S::u32s; 2],
    squared: [S::f32s; 2],
    number: u32,
) {
    let number = simd.splat_u32s(number);
    for (((best, second), label), new) in best.iter_mut().zip(second).zip(label).zip(squared) {
        let nearer = simd.less_than_f32s(new, *best);
        let loser = simd.select_f32s(nearer, *best, new);
        *second = simd.min_f32s(*second, loser);
        *best = simd.select_f32s(nearer, new, *best);
        *label = simd.select_u32s(nearer, number, *label);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_nearest_and_breaks_ties_by_number() {
        let rows = [0.0, 0.0, 1.0, 1.0, 0.5, 0.5];
        // Centroids 1 and 5 are equal, so are 0 and 2 as seen from the third row.
        let centroids = [
            0.0_f32, 0.0, 2.0, 2.0, 1.0, 1.0, 9.0, 9.0, 8.0, 8.0, 2.0, 2.0,
        ];
        let mut tile = Tile::default();
        tile.load(&rows, 2);
        let mut nearest = Nearest::default();
        nearest.offer(&tile, &centroids[..8], 0);
        nearest.offer(&tile, &centroids[8..], 4);
        assert_eq!(nearest.label[..3], [0, 2, 0]);
        assert_eq!(nearest.squared[..3], [0.0, 0.0, 0.5]);
        assert_eq!(nearest.second[..3], [2.0, 2.0, 0.5]);
        assert_eq!(
            nearest.label[3..],
            [0; LANES - 3],
            "spare lanes repeat the last row"
        );
    }

    #[test]
    fn agrees_with_the_plain_sum() {
        for d in [1, 3, 16, 33] {
            let value = |i: usize| ((i * 7919 % 1000) as f32 - 500.0) / 77.0;
            let rows: Vec<f32> = (0..LANES * d).map(value).collect();
            let point: Vec<f32> = (0..d).map(|i| value(i + 31)).collect();
            let mut tile = Tile::default();
            tile.load(&rows, d);
            let mut squared = [f32::INFINITY; LANES];
            tile.lower(&point, &mut squared);
            for (row, found) in rows.chunks(d).zip(squared) {
                let mut sum = 0.0_f32;
                for (x, c) in row.iter().zip(&point) {
                    sum = (x - c).mul_add(x - c, sum);
                }
                assert_eq!(sum.to_bits(), found.to_bits());
            }
        }
    }
}
