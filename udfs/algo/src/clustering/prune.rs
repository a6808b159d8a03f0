//! Lloyd's algorithm with fewer distances and the same labels: the bounds of Hamerly (2010).
//!
//! Each row keeps an upper bound of the distance to its centroid and a lower bound of that to any other. When centroids
//! move, the bounds move with them; while the upper stays below the lower, or below half the distance of its centroid to
//! the nearest other, no other centroid can be nearer and the row is not read. Rows that fail are gathered into tiles and
//! compared with all centroids. Bounds are widened by more than the rounding of the kernel, so that every label is the
//! one that the kernel would have given; and the sums of a block are added up anew, in row order, once a label in it has changed,
//! so that centroids have the same bits too.

use std::sync::{Mutex, PoisonError};

use super::lloyd::{Step, label_rows, squared_distance, to_single};
use crate::blocks::{BLOCK_ROWS, Blocks};
use crate::host::Host;
use crate::parallel::ordered;
use crate::{Error, Result};

/// One step of f32 up and down, and some.
const UP: f32 = 1.0 + 4.0 * f32::EPSILON;
const DOWN: f32 = 1.0 - 4.0 * f32::EPSILON;

/// Below this a squared f32 distance may have lost its last digits.
const LEAST: f32 = 1e-18;

/// Clusters from which the own distance of a row is measured before it is compared with all.
const TIGHTEN_FROM: usize = 12;

/// Labels and bounds of all rows, by block.
pub(crate) struct Pruned {
    blocks: Vec<Mutex<Block>>,
    /// The centroids that the bounds hold for.
    centroids: Vec<f32>,
}

/// Labels and bounds of a block.
struct Block {
    labels: Vec<u32>,
    upper: Vec<f32>,
    lower: Vec<f32>,
    step: Step,
}

/// How the centroids have moved.
struct Moves {
    /// Distance that each has moved, rounded up.
    drift: Vec<f32>,
    /// The one that moved most, its drift, and the largest drift of the others.
    most: (u32, f32, f32),
    /// Half the distance of each to the nearest other, rounded down.
    half: Vec<f32>,
}

impl Pruned {
    /// Whether the state pays: there are centroids to be spared, and the sums of all blocks stay below the size of the data.
    pub(crate) fn pays(k: usize) -> bool {
        (2..=1024).contains(&k)
    }

    /// Memory for `n` rows and k x d `cells`.
    pub(crate) fn bytes(n: usize, cells: usize) -> usize {
        let sums = n.div_ceil(BLOCK_ROWS).saturating_mul(cells);
        n.saturating_mul(3 * size_of::<f32>())
            .saturating_add(sums.saturating_mul(size_of::<f64>()))
    }

    pub(crate) fn new(data: &dyn Blocks, cells: usize) -> Self {
        let block = |_| {
            Mutex::new(Block {
                labels: Vec::new(),
                upper: Vec::new(),
                lower: Vec::new(),
                step: Step::zero(cells, data.columns()),
            })
        };
        Self {
            blocks: (0..data.blocks()).map(block).collect(),
            centroids: Vec::new(),
        }
    }

    /// As [`Step::assign`], from the second call on with the help of what the calls before have left. The step has no inertia.
    pub(crate) fn assign(
        &mut self,
        data: &dyn Blocks,
        weights: Option<&[f64]>,
        centroids: &[f64],
        host: &dyn Host,
    ) -> Result<Step> {
        let d = data.columns();
        let single = to_single(centroids);
        let moves = (!self.centroids.is_empty()).then(|| Moves::new(&self.centroids, &single, d));
        let mut total = Step::zero(centroids.len(), d);
        let blocks = &self.blocks;
        ordered(
            blocks.len(),
            host,
            |index| {
                let mut block = blocks[index].lock().unwrap_or_else(PoisonError::into_inner);
                let weights = weights.map(|weights| &weights[index * BLOCK_ROWS..]);
                block.assign(data, index, weights, &single, moves.as_ref(), host)?;
                Ok(index)
            },
            |index| {
                let block = blocks[index].lock().unwrap_or_else(PoisonError::into_inner);
                total.changed |= block.step.changed;
                total.merge(&block.step);
                Ok(())
            },
        )?;
        self.centroids = single;
        Ok(total)
    }

    /// Copies the labels.
    pub(crate) fn labels_into(&mut self, labels: &mut [u32]) -> Result<()> {
        for (block, labels) in self.blocks.iter_mut().zip(labels.chunks_mut(BLOCK_ROWS)) {
            let block = block.get_mut().unwrap_or_else(PoisonError::into_inner);
            if block.labels.len() != labels.len() {
                return Err(Error::Internal("a label for each row"));
            }
            labels.copy_from_slice(&block.labels);
        }
        Ok(())
    }
}

impl Block {
    fn assign(
        &mut self,
        data: &dyn Blocks,
        index: usize,
        weights: Option<&[f64]>,
        centroids: &[f32],
        moves: Option<&Moves>,
        host: &dyn Host,
    ) -> Result<()> {
        let d = data.columns();
        let mut scratch = Vec::new();
        self.step.changed = false;
        let Some(moves) = moves else {
            let rows = data.block(index, &mut scratch)?;
            self.label_all(rows, d, centroids, host)?;
            self.step.changed = true;
            self.sum(rows, d, weights);
            return Ok(());
        };
        // Twice the rounding of a sum of d squares, which is more than that of its root.
        let slack = 1.0 + 2.0 * (d + 4) as f32 * f32::EPSILON;
        let mut open = self.open(moves, slack);
        if open.is_empty() {
            return Ok(());
        }
        let rows = data.block(index, &mut scratch)?;
        if open.len() * 4 > self.labels.len() * 3 {
            self.label_all(rows, d, centroids, host)?;
        } else {
            if moves.drift.len() >= TIGHTEN_FROM {
                self.tighten(&mut open, rows, d, centroids, moves, slack);
            }
            self.label_open(&open, rows, d, centroids, host)?;
        }
        if self.step.changed {
            self.sum(rows, d, weights);
        }
        Ok(())
    }

    /// Moves the bounds and lists the rows that they do not settle.
    fn open(&mut self, moves: &Moves, slack: f32) -> Vec<u32> {
        let (most, largest, second) = moves.most;
        let mut open = Vec::new();
        let bounds = self.upper.iter_mut().zip(&mut self.lower);
        for (row, (&label, (upper, lower))) in self.labels.iter().zip(bounds).enumerate() {
            let drift = if label == most { second } else { largest };
            *upper = (*upper + moves.drift[label as usize]) * UP;
            *lower = (*lower - drift) * DOWN;
            let limit = lower.max(moves.half[label as usize]);
            if !(*upper * slack < limit && limit > LEAST) {
                open.push(row as u32);
            }
        }
        open
    }

    /// Measures the distance of the open rows to their centroids and keeps those that are still open.
    fn tighten(
        &mut self,
        open: &mut Vec<u32>,
        rows: &[f32],
        d: usize,
        centroids: &[f32],
        moves: &Moves,
        slack: f32,
    ) {
        open.retain(|&row| {
            let row = row as usize;
            let label = self.labels[row] as usize;
            let squared = near_squared(&rows[row * d..][..d], &centroids[label * d..][..d]);
            let upper = squared.sqrt() * slack;
            self.upper[row] = upper;
            let limit = self.lower[row].max(moves.half[label]);
            !(upper * slack < limit && limit > LEAST)
        });
    }

    /// Compares all rows with all centroids.
    fn label_all(
        &mut self,
        rows: &[f32],
        d: usize,
        centroids: &[f32],
        host: &dyn Host,
    ) -> Result<()> {
        let n = rows.len() / d;
        self.labels.resize(n, u32::MAX);
        self.upper.resize(n, 0.0);
        self.lower.resize(n, 0.0);
        let slack = 1.0 + 2.0 * (d + 4) as f32 * f32::EPSILON;
        let mut first = 0;
        label_rows(rows, d, centroids, host, |rows, nearest| {
            for lane in 0..rows.len() / d {
                let row = first + lane;
                self.step.changed |= self.labels[row] != nearest.label[lane];
                self.labels[row] = nearest.label[lane];
                self.upper[row] = nearest.squared[lane].sqrt() * slack;
                self.lower[row] = nearest.second[lane].sqrt() / slack;
            }
            first += rows.len() / d;
            Ok(())
        })
    }

    /// Compares the open rows with all centroids.
    fn label_open(
        &mut self,
        open: &[u32],
        rows: &[f32],
        d: usize,
        centroids: &[f32],
        host: &dyn Host,
    ) -> Result<()> {
        let slack = 1.0 + 2.0 * (d + 4) as f32 * f32::EPSILON;
        let mut gathered = Vec::with_capacity(open.len() * d);
        for &row in open {
            gathered.extend_from_slice(&rows[row as usize * d..][..d]);
        }
        let mut open = open.iter();
        label_rows(&gathered, d, centroids, host, |rows, nearest| {
            for (lane, &row) in (0..rows.len() / d).zip(open.by_ref()) {
                let row = row as usize;
                self.step.changed |= self.labels[row] != nearest.label[lane];
                self.labels[row] = nearest.label[lane];
                self.upper[row] = nearest.squared[lane].sqrt() * slack;
                self.lower[row] = nearest.second[lane].sqrt() / slack;
            }
            Ok(())
        })
    }

    /// Adds up the rows by label.
    fn sum(&mut self, rows: &[f32], d: usize, weights: Option<&[f64]>) {
        self.step.clear();
        for (at, (row, &label)) in rows.chunks_exact(d).zip(&self.labels).enumerate() {
            let weight = weights.map_or(1.0, |weights| weights[at]);
            self.step.add(row, label, weight);
        }
    }
}

impl Moves {
    fn new(old: &[f32], new: &[f32], d: usize) -> Self {
        let drift: Vec<f32> = old
            .chunks_exact(d)
            .zip(new.chunks_exact(d))
            .map(|(old, new)| (squared_distance_between(old, new).sqrt() as f32) * UP)
            .collect();
        let mut most = (0, 0.0, 0.0);
        for (cluster, &drift) in drift.iter().enumerate() {
            if drift > most.1 {
                most = (cluster as u32, drift, most.1);
            } else if drift > most.2 {
                most.2 = drift;
            }
        }
        let half = (0..drift.len())
            .map(|i| {
                let own = &new[i * d..][..d];
                let nearest = new
                    .chunks_exact(d)
                    .enumerate()
                    .filter(|(j, _)| *j != i)
                    .map(|(_, other)| squared_distance_between(own, other))
                    .fold(f64::INFINITY, f64::min);
                (nearest.sqrt() / 2.0) as f32 * DOWN
            })
            .collect();
        Self { drift, most, half }
    }
}

fn squared_distance_between(a: &[f32], b: &[f32]) -> f64 {
    let b: Vec<f64> = b.iter().map(|value| f64::from(*value)).collect();
    squared_distance(a, &b)
}

/// Squared distance in f32, in eight strands for speed: good for a bound, not for a label.
fn near_squared(row: &[f32], centroid: &[f32]) -> f32 {
    let mut strands = [0.0_f32; 8];
    let (eights, rest) = row.as_chunks::<8>();
    let (other_eights, other_rest) = centroid.as_chunks::<8>();
    for (a, b) in eights.iter().zip(other_eights) {
        for ((strand, a), b) in strands.iter_mut().zip(a).zip(b) {
            *strand += (a - b) * (a - b);
        }
    }
    let mut sum: f32 = strands.iter().sum();
    for (a, b) in rest.iter().zip(other_rest) {
        sum += (a - b) * (a - b);
    }
    sum
}
