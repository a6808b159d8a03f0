//! First centroids of k-means: greedy k-means++ and random rows.

use super::tile::{LANES, Tile};
use crate::blocks::{BLOCK_ROWS, Blocks, for_each_block, rows_at};
use crate::host::{Host, Meter, reserve_for};
use crate::random::Random;
use crate::{Error, Result};

/// Row numbers of k first centroids by greedy k-means++ (Arthur and Vassilvitskii 2007, section 2.2 and 5.3): of
/// `2 + ln k` rows drawn with a chance proportional to weight times squared distance to the nearest centroid, the one
/// that lowers the weighted sum of those distances most. This is the variant of scikit-learn.
///
/// Reads the data 2 k times; 8 n bytes of memory.
pub(crate) fn plus_plus(
    data: &dyn Blocks,
    weights: Option<&[f64]>,
    k: usize,
    random: &mut Random,
    host: &dyn Host,
) -> Result<Vec<usize>> {
    let _memory = reserve_for::<[f32; 2]>(host, data.rows(), "k-means++ distances")?;
    let trials = 2 + (k as f64).ln() as usize;
    let mut closest = Closest {
        squared: vec![f32::INFINITY; data.rows()],
        sums: Vec::new(),
        weights,
    };

    let first = draw_first(data.rows(), weights, random);
    closest.take(data, first, host)?;
    let mut chosen = vec![first];
    while chosen.len() < k {
        host.progress(
            "k-means++ seeding",
            chosen.len() as u64,
            k as u64,
            Some(closest.total()),
        );
        let candidates: Vec<usize> = (0..trials).map(|_| closest.draw(random)).collect();
        let best = closest.best_of(data, &candidates, host)?;
        closest.take(data, best, host)?;
        chosen.push(best);
    }
    Ok(chosen)
}

/// Row numbers of k distinct rows, each drawn with a chance proportional to its weight among those left (the exponential
/// keys of Efraimidis and Spirakis 2006).
pub(crate) fn random_rows(
    rows: usize,
    weights: Option<&[f64]>,
    k: usize,
    random: &mut Random,
    host: &dyn Host,
) -> Result<Vec<usize>> {
    let _memory = reserve_for::<(f64, usize)>(host, rows, "random rows")?;
    let mut keys = Vec::with_capacity(rows);
    for row in 0..rows {
        if row % BLOCK_ROWS == 0 {
            host.check()?;
        }
        let weight = weight_of(weights, row);
        let key = random.exponential();
        if weight > 0.0 {
            keys.push((key / weight, row));
        }
    }
    if k < keys.len() {
        keys.select_nth_unstable_by(k, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        keys.truncate(k);
    }
    keys.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    Ok(keys.into_iter().map(|(_, row)| row).collect())
}

/// Squared distance of each row to its nearest chosen centroid, and the weighted sum of them for each block.
struct Closest<'a> {
    squared: Vec<f32>,
    sums: Vec<f64>,
    weights: Option<&'a [f64]>,
}

impl Closest<'_> {
    fn total(&self) -> f64 {
        self.sums.iter().sum()
    }

    /// Makes `row` a centroid.
    fn take(&mut self, data: &dyn Blocks, row: usize, host: &dyn Host) -> Result<()> {
        let point = rows_at(data, &[row])?;
        let mut fresh = Vec::with_capacity(self.squared.len().div_ceil(BLOCK_ROWS));
        let mut sums = Vec::with_capacity(fresh.capacity());
        {
            let (old, weights) = (&self.squared, self.weights);
            for_each_block(
                data,
                host,
                |index, rows| {
                    let mut squared = part(old, index).to_vec();
                    lower(rows, data.columns(), &point, &mut squared, host)?;
                    let sum = weighted_sum(&squared, weights.map(|all| part(all, index)));
                    Ok((squared, sum))
                },
                |(squared, sum)| {
                    fresh.push(squared);
                    sums.push(sum);
                    Ok(())
                },
            )?;
        }
        for (to, from) in self.squared.chunks_mut(BLOCK_ROWS).zip(fresh) {
            to.copy_from_slice(&from);
        }
        self.sums = sums;
        Ok(())
    }

    /// Of `candidates`, the first that leaves the smallest sum.
    fn best_of(&self, data: &dyn Blocks, candidates: &[usize], host: &dyn Host) -> Result<usize> {
        let points = rows_at(data, candidates)?;
        let mut totals = vec![0.0; candidates.len()];
        for_each_block(
            data,
            host,
            |index, rows| {
                let weights = self.weights.map(|all| part(all, index));
                lowered_sums(
                    rows,
                    &points,
                    candidates.len(),
                    part(&self.squared, index),
                    weights,
                    host,
                )
            },
            |sums| {
                for (total, sum) in totals.iter_mut().zip(sums) {
                    *total += sum;
                }
                Ok(())
            },
        )?;
        candidates
            .iter()
            .zip(totals)
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .map(|(&row, _)| row)
            .ok_or(Error::Internal("at least two candidates for a centroid"))
    }

    /// A row, drawn with a chance proportional to its part of the sum.
    fn draw(&self, random: &mut Random) -> usize {
        let mut target = random.uniform() * self.total();
        let mut last = 0;
        for (index, &sum) in self.sums.iter().enumerate() {
            if sum <= 0.0 {
                continue;
            }
            if target >= sum {
                target -= sum;
                // Rounding may carry the target past the last block that has a sum.
                last = index;
                continue;
            }
            return self.draw_in(index, target);
        }
        self.draw_in(last, f64::INFINITY)
    }

    /// The row of block `index` where the running sum passes `target`, or the last that adds to it.
    fn draw_in(&self, index: usize, target: f64) -> usize {
        let start = index * BLOCK_ROWS;
        let mut running = 0.0;
        let mut last = start;
        for (offset, &squared) in part(&self.squared, index).iter().enumerate() {
            let row = start + offset;
            let step = f64::from(squared) * weight_of(self.weights, row);
            if step > 0.0 {
                running += step;
                last = row;
                if running > target {
                    break;
                }
            }
        }
        last
    }
}

/// Block `index` of an array with a value for each row.
fn part<T>(values: &[T], index: usize) -> &[T] {
    let start = index.saturating_mul(BLOCK_ROWS).min(values.len());
    let end = start.saturating_add(BLOCK_ROWS).min(values.len());
    values.get(start..end).unwrap_or_default()
}

/// Lowers `squared` to the squared distances to `point` where those are smaller.
fn lower(
    rows: &[f32],
    columns: usize,
    point: &[f32],
    squared: &mut [f32],
    host: &dyn Host,
) -> Result<()> {
    let mut tile = Tile::default();
    let mut meter = Meter::new(host);
    for (rows, squared) in rows.chunks(LANES * columns).zip(squared.chunks_mut(LANES)) {
        meter.spend(rows.len())?;
        tile.load(rows, columns);
        let mut lanes = [f32::INFINITY; LANES];
        lanes[..squared.len()].copy_from_slice(squared);
        tile.lower(point, &mut lanes);
        squared.copy_from_slice(&lanes[..squared.len()]);
    }
    Ok(())
}

/// What the weighted sum of `squared` would be if each of `count` points, row-major, lowered it.
fn lowered_sums(
    rows: &[f32],
    points: &[f32],
    count: usize,
    squared: &[f32],
    weights: Option<&[f64]>,
    host: &dyn Host,
) -> Result<Vec<f64>> {
    let columns = points.len() / count;
    let mut tile = Tile::default();
    let mut meter = Meter::new(host);
    let mut sums = vec![[0.0; LANES]; count];
    for (at, (rows, held)) in rows
        .chunks(LANES * columns)
        .zip(squared.chunks(LANES))
        .enumerate()
    {
        meter.spend(rows.len() * count)?;
        tile.load(rows, columns);
        let mut lanes = [0.0; LANES];
        lanes[..held.len()].copy_from_slice(held);
        // Lanes past the last row weigh nothing.
        let mut lane_weights = [0.0; LANES];
        match weights {
            None => lane_weights[..held.len()].fill(1.0),
            Some(weights) => {
                lane_weights[..held.len()].copy_from_slice(&weights[at * LANES..][..held.len()])
            }
        }
        tile.add_lowered(points, &lanes, &lane_weights, &mut sums);
    }
    Ok(sums.iter().map(|strands| strands.iter().sum()).collect())
}

fn weighted_sum(squared: &[f32], weights: Option<&[f64]>) -> f64 {
    match weights {
        None => squared.iter().map(|&value| f64::from(value)).sum(),
        Some(weights) => squared
            .iter()
            .zip(weights)
            .map(|(&value, weight)| f64::from(value) * weight)
            .sum(),
    }
}

fn weight_of(weights: Option<&[f64]>, row: usize) -> f64 {
    weights.map_or(1.0, |weights| weights.get(row).copied().unwrap_or(0.0))
}

/// A row, drawn with a chance proportional to its weight.
pub(crate) fn draw_first(rows: usize, weights: Option<&[f64]>, random: &mut Random) -> usize {
    let Some(weights) = weights else {
        return random.below(rows);
    };
    let target = random.uniform() * weights.iter().sum::<f64>();
    let mut running = 0.0;
    let mut last = 0;
    for (row, &weight) in weights.iter().enumerate() {
        if weight > 0.0 {
            running += weight;
            last = row;
            if running > target {
                break;
            }
        }
    }
    last
}
