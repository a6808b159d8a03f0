//! One step of Lloyd's algorithm: rows to their nearest centroids, and the centroids to the means of their rows.

use super::tile::{LANES, Nearest, Tile};
use crate::blocks::{BLOCK_ROWS, Blocks, for_each_block, rows_at};
use crate::host::{Host, Meter};
use crate::{Error, Result};

/// Centroids given to the kernel at a time, in values: bounds the time between two questions for cancellation.
const RUN_VALUES: usize = 1 << 16;

/// Sums of the rows of each cluster.
pub(crate) struct Step {
    /// k x d weighted sums of rows.
    sums: Vec<f64>,
    /// Weight of each cluster.
    weights: Vec<f64>,
    /// Whether a label changed.
    pub(crate) changed: bool,
}

impl Step {
    /// Gives each row the label of its nearest centroid and sums the rows by label.
    pub(crate) fn assign(
        data: &dyn Blocks,
        weights: Option<&[f64]>,
        centroids: &[f64],
        labels: &mut [u32],
        host: &dyn Host,
    ) -> Result<Self> {
        let d = data.columns();
        let single = to_single(centroids);
        let mut total = Self::zero(centroids.len(), d);
        let mut blocks = labels.chunks_mut(BLOCK_ROWS);
        for_each_block(
            data,
            host,
            |index, rows| {
                let mut step = Self::zero(centroids.len(), d);
                let mut fresh = Vec::with_capacity(BLOCK_ROWS);
                label_rows(rows, d, &single, host, |rows, nearest| {
                    let start = index * BLOCK_ROWS + fresh.len();
                    for (lane, row) in rows.chunks_exact(d).enumerate() {
                        let weight = match weights {
                            None => 1.0,
                            Some(weights) => weights[start + lane],
                        };
                        step.add(row, nearest.label[lane], weight);
                    }
                    fresh.extend_from_slice(&nearest.label[..rows.len() / d]);
                    Ok(())
                })?;
                Ok((step, fresh))
            },
            |(step, fresh)| {
                let old = blocks
                    .next()
                    .ok_or(Error::Internal("a label for each row"))?;
                total.changed |= *old != *fresh;
                old.copy_from_slice(&fresh);
                total.merge(&step);
                Ok(())
            },
        )?;
        Ok(total)
    }

    pub(crate) fn zero(values: usize, d: usize) -> Self {
        Self {
            sums: vec![0.0; values],
            weights: vec![0.0; values / d],
            changed: false,
        }
    }

    /// Sets the sums back to zero.
    pub(crate) fn clear(&mut self) {
        self.sums.fill(0.0);
        self.weights.fill(0.0);
    }

    /// Weighted sum of the squared distances of the rows to the centroids that they were assigned to, from `squares`, the
    /// weighted sum of their own squares.
    pub(crate) fn inertia(&self, squares: f64, centroids: &[f64]) -> f64 {
        let d = self.sums.len() / self.weights.len();
        let mut inertia = squares;
        for ((sums, centroid), weight) in self
            .sums
            .chunks_exact(d)
            .zip(centroids.chunks_exact(d))
            .zip(&self.weights)
        {
            for (sum, value) in sums.iter().zip(centroid) {
                inertia += value * (weight * value - 2.0 * sum);
            }
        }
        inertia.max(0.0)
    }

    pub(crate) fn add(&mut self, row: &[f32], label: u32, weight: f64) {
        let label = label as usize;
        let sums = &mut self.sums[label * row.len()..][..row.len()];
        for (sum, &value) in sums.iter_mut().zip(row) {
            *sum += weight * f64::from(value);
        }
        self.weights[label] += weight;
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (sum, other) in self.sums.iter_mut().zip(&other.sums) {
            *sum += other;
        }
        for (weight, other) in self.weights.iter_mut().zip(&other.weights) {
            *weight += other;
        }
    }

    /// Whether a cluster has no rows, or only rows without weight.
    pub(crate) fn has_empty(&self) -> bool {
        self.weights.contains(&0.0)
    }

    /// Gives each cluster without rows the row farthest from its centroid, next empty cluster the next farthest, and takes the
    /// row out of its own cluster's sum: scikit-learn's relocation. Nothing moves when all rows lie on their centroids.
    pub(crate) fn relocate_empty(
        &mut self,
        data: &dyn Blocks,
        weights: Option<&[f64]>,
        centroids: &[f64],
        labels: &[u32],
        host: &dyn Host,
    ) -> Result<()> {
        let d = data.columns();
        let empty: Vec<usize> = (0..self.weights.len())
            .filter(|&cluster| self.weights[cluster] == 0.0)
            .collect();
        if empty.is_empty() {
            return Ok(());
        }
        let farthest = farthest_rows(data, weights, centroids, labels, empty.len(), host)?;
        if farthest.first().is_none_or(|far| far.squared == 0.0) {
            return Ok(());
        }
        let indices: Vec<usize> = farthest.iter().map(|far| far.row).collect();
        let rows = rows_at(data, &indices)?;
        for ((&cluster, far), row) in empty.iter().zip(&farthest).zip(rows.chunks_exact(d)) {
            let weight = weights.map_or(1.0, |weights| weights[far.row]);
            let old = labels[far.row] as usize;
            for (j, &value) in row.iter().enumerate() {
                let value = weight * f64::from(value);
                self.sums[old * d + j] -= value;
                self.sums[cluster * d + j] = value;
            }
            self.weights[old] -= weight;
            self.weights[cluster] = weight;
        }
        Ok(())
    }

    /// The mean of each cluster; a cluster without weight is put where the heaviest is.
    pub(crate) fn into_centroids(self, d: usize) -> Vec<f64> {
        let Self {
            mut sums, weights, ..
        } = self;
        for (sums, &weight) in sums.chunks_exact_mut(d).zip(&weights) {
            if weight > 0.0 {
                for sum in sums {
                    *sum /= weight;
                }
            }
        }
        let mut heaviest = 0;
        for (cluster, &weight) in weights.iter().enumerate() {
            if weight > weights[heaviest] {
                heaviest = cluster;
            }
        }
        for (cluster, &weight) in weights.iter().enumerate() {
            if weight <= 0.0 {
                sums.copy_within(heaviest * d..(heaviest + 1) * d, cluster * d);
            }
        }
        sums
    }
}

/// Labels all rows and returns their Euclidean distances to their centroids, measured in f64.
pub(crate) fn nearest(
    data: &dyn Blocks,
    centroids: &[f64],
    labels: &mut [u32],
    host: &dyn Host,
) -> Result<Vec<f64>> {
    let d = data.columns();
    let single = to_single(centroids);
    let mut distances = Vec::with_capacity(data.rows());
    let mut blocks = labels.chunks_mut(BLOCK_ROWS);
    for_each_block(
        data,
        host,
        |_, rows| {
            let mut fresh = Vec::with_capacity(BLOCK_ROWS);
            let mut far = Vec::with_capacity(BLOCK_ROWS);
            label_rows(rows, d, &single, host, |rows, nearest| {
                for (row, &label) in rows.chunks_exact(d).zip(&nearest.label) {
                    far.push(squared_distance(row, centroid(centroids, d, label)).sqrt());
                    fresh.push(label);
                }
                Ok(())
            })?;
            Ok((fresh, far))
        },
        |(fresh, far)| {
            let old = blocks
                .next()
                .ok_or(Error::Internal("a label for each row"))?;
            old.copy_from_slice(&fresh);
            distances.extend(far);
            Ok(())
        },
    )?;
    Ok(distances)
}

/// Euclidean distances of all rows to the centroids of their labels, measured in f64.
pub(crate) fn distances(
    data: &dyn Blocks,
    centroids: &[f64],
    labels: &[u32],
    host: &dyn Host,
) -> Result<Vec<f64>> {
    let d = data.columns();
    let mut distances = Vec::with_capacity(data.rows());
    for_each_block(
        data,
        host,
        |index, rows| {
            let labels = &labels[index * BLOCK_ROWS..];
            let far = rows
                .chunks_exact(d)
                .zip(labels)
                .map(|(row, &label)| squared_distance(row, centroid(centroids, d, label)).sqrt());
            Ok(far.collect::<Vec<f64>>())
        },
        |far| {
            distances.extend(far);
            Ok(())
        },
    )?;
    Ok(distances)
}

/// Weighted sum of the squares of `distances`, block by block.
pub(crate) fn inertia(distances: &[f64], weights: Option<&[f64]>) -> f64 {
    let mut total = 0.0;
    for (block, distances) in distances.chunks(BLOCK_ROWS).enumerate() {
        total += match weights {
            None => distances.iter().map(|far| far * far).sum::<f64>(),
            Some(weights) => distances
                .iter()
                .zip(&weights[block * BLOCK_ROWS..])
                .map(|(far, weight)| far * far * weight)
                .sum(),
        };
    }
    total
}

/// A row and its squared distance to its centroid.
#[derive(Debug, Clone, Copy)]
struct Far {
    squared: f64,
    row: usize,
}

/// The `count` rows of positive weight farthest from their centroids, farthest first, on a tie in row order.
fn farthest_rows(
    data: &dyn Blocks,
    weights: Option<&[f64]>,
    centroids: &[f64],
    labels: &[u32],
    count: usize,
    host: &dyn Host,
) -> Result<Vec<Far>> {
    let d = data.columns();
    let keep = |far: &mut Vec<Far>| {
        far.sort_unstable_by(|a, b| b.squared.total_cmp(&a.squared).then(a.row.cmp(&b.row)));
        far.truncate(count);
    };
    let mut farthest: Vec<Far> = Vec::new();
    for_each_block(
        data,
        host,
        |index, rows| {
            let mut far: Vec<Far> = rows
                .chunks_exact(d)
                .enumerate()
                .map(|(offset, row)| (index * BLOCK_ROWS + offset, row))
                .filter(|&(row, _)| weights.is_none_or(|weights| weights[row] > 0.0))
                .map(|(row, values)| Far {
                    squared: squared_distance(values, centroid(centroids, d, labels[row])),
                    row,
                })
                .collect();
            keep(&mut far);
            Ok(far)
        },
        |far| {
            farthest.extend(far);
            keep(&mut farthest);
            Ok(())
        },
    )?;
    Ok(farthest)
}

/// Hands the rows of a block to `take`, a tile or less at a time, with the nearest centroid of each.
pub(crate) fn label_rows(
    rows: &[f32],
    d: usize,
    centroids: &[f32],
    host: &dyn Host,
    mut take: impl FnMut(&[f32], &Nearest) -> Result<()>,
) -> Result<()> {
    let run = (RUN_VALUES / d).max(4) / 4 * 4;
    let mut tile = Tile::default();
    let mut meter = Meter::new(host);
    for rows in rows.chunks(LANES * d) {
        tile.load(rows, d);
        let mut nearest = Nearest::default();
        let mut first = 0_u32;
        for centroids in centroids.chunks(run * d) {
            meter.spend(LANES * centroids.len() / 4)?;
            nearest.offer(&tile, centroids, first);
            first += (centroids.len() / d) as u32;
        }
        take(rows, &nearest)?;
    }
    Ok(())
}

pub(crate) fn to_single(centroids: &[f64]) -> Vec<f32> {
    centroids.iter().map(|&value| value as f32).collect()
}

fn centroid(centroids: &[f64], d: usize, label: u32) -> &[f64] {
    &centroids[label as usize * d..][..d]
}

pub(crate) fn squared_distance(row: &[f32], centroid: &[f64]) -> f64 {
    row.iter()
        .zip(centroid)
        .map(|(&x, c)| (f64::from(x) - c) * (f64::from(x) - c))
        .sum()
}
