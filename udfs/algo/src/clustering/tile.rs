//! The inner loop of k-means: squared distances of sixteen rows at a time to a run of centroids.
//!
//! Rows are the lanes: sixteen rows are transposed once into columns of sixteen, then each centroid costs a subtraction
//! and a fused multiply-add a column for all of them, and the nearest is kept lane by lane. The distance is summed from the
//! differences, column by column, not from `|x|^2 - 2xc + |c|^2`, which loses the small distances of f32 rows.

use crate::simd::vectorised;

/// Rows of a tile.
pub(crate) const LANES: usize = 16;

/// Sixteen rows, transposed: `columns[j][l]` is column j of row l. Lanes past the last row repeat it.
#[derive(Debug, Default)]
pub(crate) struct Tile {
    columns: Vec<[f32; LANES]>,
}

impl Tile {
    /// Takes up to sixteen rows, row-major, of `columns` values each.
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

    /// Squared distances of the rows to one point.
    pub(crate) fn squared_distances(&self, point: &[f32]) -> [f32; LANES] {
        let mut nearest = Nearest::default();
        nearest.offer(self, point, 0);
        nearest.squared
    }
}

/// The nearest centroid so far of each row of a tile.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nearest {
    /// Squared distances.
    pub(crate) squared: [f32; LANES],
    /// Centroid numbers; on a tie the smallest.
    pub(crate) label: [u32; LANES],
}

impl Default for Nearest {
    fn default() -> Self {
        Self {
            squared: [f32::INFINITY; LANES],
            label: [0; LANES],
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
    fn offer<'a>(
        columns: &'a [[f32; LANES]],
        centroids: &'a [f32],
        first: u32,
        nearest: &'a mut Nearest,
    ) -> () {
        let d = columns.len();
        let mut label = first;
        // Four centroids at a time share the loads of the rows and keep four sums in flight.
        let quads = centroids.chunks_exact(4 * d);
        let rest = quads.remainder();
        let mut best = *nearest;
        for quad in quads {
            let (a, quad) = quad.split_at(d);
            let (b, quad) = quad.split_at(d);
            let (c, e) = quad.split_at(d);
            let mut sums = [[0.0_f32; LANES]; 4];
            for ((((x, a), b), c), e) in columns.iter().zip(a).zip(b).zip(c).zip(e) {
                add_squares(&mut sums[0], x, *a);
                add_squares(&mut sums[1], x, *b);
                add_squares(&mut sums[2], x, *c);
                add_squares(&mut sums[3], x, *e);
            }
            for sum in &sums {
                keep_nearer(&mut best, sum, label);
                label = label.wrapping_add(1);
            }
        }
        for centroid in rest.chunks_exact(d) {
            let mut sum = [0.0_f32; LANES];
            for (x, c) in columns.iter().zip(centroid) {
                add_squares(&mut sum, x, *c);
            }
            keep_nearer(&mut best, &sum, label);
            label = label.wrapping_add(1);
        }
        *nearest = best;
    }
}

#[inline(always)]
fn add_squares(sums: &mut [f32; LANES], x: &[f32; LANES], centroid: f32) {
    for (sum, x) in sums.iter_mut().zip(x) {
        let difference = x - centroid;
        *sum = difference.mul_add(difference, *sum);
    }
}

#[inline(always)]
fn keep_nearer(nearest: &mut Nearest, squared: &[f32; LANES], label: u32) {
    for ((best, slot), &new) in nearest
        .squared
        .iter_mut()
        .zip(&mut nearest.label)
        .zip(squared)
    {
        let nearer = new < *best;
        *best = if nearer { new } else { *best };
        *slot = if nearer { label } else { *slot };
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
        assert_eq!(
            nearest.label[3..],
            [0; 13],
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
            for (row, found) in rows.chunks(d).zip(tile.squared_distances(&point)) {
                let mut sum = 0.0_f32;
                for (x, c) in row.iter().zip(&point) {
                    sum = (x - c).mul_add(x - c, sum);
                }
                assert_eq!(sum.to_bits(), found.to_bits());
            }
        }
    }
}
