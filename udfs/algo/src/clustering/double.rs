//! Where single precision is not enough: whether rounding rows to f32 is felt in a clustering, and k-means wholly in f64.
//!
//! Rows are kept as f32 around their column means ([`crate::Blocks`]), which is precise beside the spread of a column. It is not precise beside
//! the spread within clusters that lie very far apart, such as values near 0 and values near a billion that differ by 1. So the rounding of
//! the rows is compared with the spread of each cluster, in f64; where it would be felt, k-means is run again here, and
//! algorithms that have no such second form refuse the column.

use ndarray::{Array2, ArrayView1, ArrayView2};

use super::kmeans::{Clusters, Init, KMeans, check};
use super::seeding::{draw_first, random_rows};
use crate::blocks::{BLOCK_ROWS, Blocks, DenseBlocks};
use crate::host::{Host, Meter, reserve_for};
use crate::parallel::ordered;
use crate::random::Random;
use crate::{Error, Result};

/// The mean squared rounding of the rows of a cluster is felt when it is more than this share of their mean squared distance from their mean:
/// a ten-thousandth of the distance.
const FELT: f64 = 1e-8;

impl KMeans {
    /// As [`KMeans::fit`] for the rows of `x`, n x d, in memory: in f32 where its rounding is not felt, else in f64, which takes several times as
    /// long.
    ///
    /// # Errors
    /// As [`KMeans::fit`] and [`DenseBlocks::from_rows`].
    pub fn fit_rows(
        &self,
        x: ArrayView2<'_, f64>,
        weights: Option<&[f64]>,
        host: &dyn Host,
    ) -> Result<Clusters> {
        {
            let blocks = DenseBlocks::from_rows(x, host)?;
            let clusters = self.fit(&blocks, weights, host)?;
            let labels: Vec<i32> = clusters.labels.iter().map(|label| *label as i32).collect();
            if clearly_precise(x, blocks.centres(), &clusters)
                || rounded_column(x, blocks.centres(), &labels, host)?.is_none()
            {
                return Ok(clusters);
            }
        }
        let _memory = reserve_for::<[f64; 4]>(host, x.nrows(), "labels and distances")?;
        let rows = Rows { x, weights, host };
        let tolerance = self.tol * rows.mean_variance();
        let mut best: Option<Clusters> = None;
        for attempt in 0..self.n_init {
            let first = rows.first_centroids(self, attempt as u64)?;
            let found = rows.run(self, first, tolerance)?;
            if best
                .as_ref()
                .is_none_or(|best| found.inertia < best.inertia)
            {
                best = Some(found);
            }
        }
        best.ok_or(Error::Internal("k-means makes at least one run"))
    }
}

/// Nearest of `centroids`, k x d, for each row of `x`, n x d, in f64: its number (the smallest on a tie) and the Euclidean distance. The
/// answer for a row depends on that row alone. Time O(n k d).
///
/// # Errors
/// [`Error::Data`] when the rows have other columns than the centroids or there is no centroid; [`Error::OutOfMemory`]; [`Error::Cancelled`].
pub fn nearest_centroids(
    centroids: &Array2<f64>,
    x: ArrayView2<'_, f64>,
    host: &dyn Host,
) -> Result<(Vec<u32>, Vec<f64>)> {
    check(centroids.dim(), x.ncols())?;
    let _memory = reserve_for::<[f64; 2]>(host, x.nrows(), "labels and distances")?;
    let rows = Rows {
        x,
        weights: None,
        host,
    };
    let (labels, squared) = rows.nearest(centroids)?;
    Ok((labels, squared.into_iter().map(f64::sqrt).collect()))
}

/// Refuses a clustering of `x`, n x d, whose labels were found from rows rounded to f32 around `centres`, when that rounding is felt: negative
/// labels are of no cluster. `names` are those of the columns.
///
/// # Errors
/// [`Error::Data`] naming the column; [`Error::OutOfMemory`]; [`Error::Cancelled`].
pub fn refuse_rounded(
    x: ArrayView2<'_, f64>,
    labels: &[i32],
    names: &[String],
    host: &dyn Host,
) -> Result<()> {
    let centres = crate::blocks::column_means(x, host)?;
    match rounded_column(x, &centres, labels, host)? {
        None => Ok(()),
        Some(column) => {
            let name = names.get(column).map_or("", String::as_str);
            Err(Error::data(
                format!(
                    "column \"{name}\" spreads so far that single precision cannot tell the rows of a cluster apart"
                ),
                "Remove rows far from all others, take a logarithm, or cluster the distant groups one by one; k-means, DBSCAN and agglomerative clustering take such columns as they are.",
            ))
        }
    }
}

/// Whether the largest rounding there can be is small beside every cluster; cheap, and no when in doubt.
fn clearly_precise(x: ArrayView2<'_, f64>, centres: &[f64], clusters: &Clusters) -> bool {
    let mut largest = vec![0.0_f64; centres.len()];
    for row in x.outer_iter() {
        for ((most, value), centre) in largest.iter_mut().zip(row).zip(centres) {
            *most = most.max((value - centre).abs());
        }
    }
    let rounding: f64 = largest
        .iter()
        .map(|most| (most * f64::from(f32::EPSILON) / 2.0).powi(2))
        .sum();
    let k = clusters.centroids.nrows();
    let (mut sums, mut sizes) = (vec![0.0; k], vec![0.0; k]);
    for (label, distance) in clusters.labels.iter().zip(&clusters.distances) {
        if let (Some(sum), Some(size)) = (
            sums.get_mut(*label as usize),
            sizes.get_mut(*label as usize),
        ) {
            *sum += distance * distance;
            *size += 1.0;
        }
    }
    // Four times what would be felt, as the distances are themselves those of rounded rows.
    sums.iter()
        .zip(&sizes)
        .all(|(sum, size)| *sum * FELT >= 4.0 * size * rounding)
}

/// The column whose rounding to f32 around `centres` is felt most, where it is felt in some cluster: see [`FELT`]. A cluster of equal rows has
/// no spread and feels nothing.
fn rounded_column(
    x: ArrayView2<'_, f64>,
    centres: &[f64],
    labels: &[i32],
    host: &dyn Host,
) -> Result<Option<usize>> {
    let d = x.ncols();
    let clusters = labels
        .iter()
        .max()
        .map_or(0, |most| usize::try_from(most + 1).unwrap_or(0));
    let of = |row: usize| {
        labels
            .get(row)
            .and_then(|label| usize::try_from(*label).ok())
    };
    let _memory = reserve_for::<[f64; 3]>(host, clusters.saturating_mul(d), "cluster spreads")?;
    let mut meter = Meter::new(host);
    let (mut means, mut sizes) = (vec![0.0; clusters * d], vec![0.0; clusters]);
    for (row, values) in x.outer_iter().enumerate() {
        meter.spend(d)?;
        let Some(cluster) = of(row) else { continue };
        sizes[cluster] += 1.0;
        let mean = &mut means[cluster * d..][..d];
        for ((mean, value), centre) in mean.iter_mut().zip(values).zip(centres) {
            *mean += value - centre;
        }
    }
    for (mean, size) in means.chunks_exact_mut(d).zip(&sizes) {
        for value in mean {
            *value /= f64::max(*size, 1.0);
        }
    }
    let (mut spreads, mut roundings) = (vec![0.0; clusters], vec![0.0; clusters * d]);
    for (row, values) in x.outer_iter().enumerate() {
        meter.spend(4 * d)?;
        let Some(cluster) = of(row) else { continue };
        let (mean, rounding) = (
            &means[cluster * d..][..d],
            &mut roundings[cluster * d..][..d],
        );
        for (((mean, value), centre), rounding) in
            mean.iter().zip(values).zip(centres).zip(rounding)
        {
            let exact = value - centre;
            let lost = exact - f64::from(exact as f32);
            // What remains of equal rows is the rounding of their mean.
            let off = exact - mean;
            if off.abs() > 1e-12 * exact.abs() {
                spreads[cluster] += off * off;
                *rounding += lost * lost;
            }
        }
    }
    let mut felt: Option<(f64, usize)> = None;
    for (spread, roundings) in spreads.iter().zip(roundings.chunks_exact(d)) {
        if roundings.iter().sum::<f64>() > FELT * spread {
            for (column, rounding) in roundings.iter().enumerate() {
                if felt.is_none_or(|(most, _)| *rounding > most) {
                    felt = Some((*rounding, column));
                }
            }
        }
    }
    Ok(felt.map(|(_, column)| column))
}

/// What k-means in f64 reads.
struct Rows<'a> {
    x: ArrayView2<'a, f64>,
    weights: Option<&'a [f64]>,
    host: &'a dyn Host,
}

impl Rows<'_> {
    fn weight(&self, row: usize) -> f64 {
        self.weights
            .map_or(1.0, |weights| weights.get(row).copied().unwrap_or(0.0))
    }

    /// Mean over the columns of their variances, dividing by n.
    fn mean_variance(&self) -> f64 {
        let (n, d) = self.x.dim();
        let variances = self.x.columns().into_iter().map(|column| {
            let mean = column.iter().map(|value| value / n as f64).sum::<f64>();
            column
                .iter()
                .map(|value| (value - mean).powi(2))
                .sum::<f64>()
                / n as f64
        });
        variances.sum::<f64>() / d as f64
    }

    fn first_centroids(&self, params: &KMeans, attempt: u64) -> Result<Array2<f64>> {
        let mut random = Random::stream(params.seed, attempt);
        let rows = match &params.init {
            Init::Centroids(centroids) => return Ok(centroids.clone()),
            Init::KMeansPlusPlus => self.plus_plus(params.k, &mut random)?,
            Init::Random => random_rows(
                self.x.nrows(),
                self.weights,
                params.k,
                &mut random,
                self.host,
            )?,
        };
        Ok(self.x.select(ndarray::Axis(0), &rows))
    }

    /// Greedy k-means++ as in `seeding`.
    fn plus_plus(&self, k: usize, random: &mut Random) -> Result<Vec<usize>> {
        let n = self.x.nrows();
        let trials = 2 + (k as f64).ln() as usize;
        let mut chosen = vec![draw_first(n, self.weights, random)];
        let mut closest = self.lowered(&vec![f64::INFINITY; n], chosen[0])?;
        while chosen.len() < k {
            let mut best: Option<(f64, usize, Vec<f64>)> = None;
            for _ in 0..trials {
                let row = self.draw(&closest, random);
                let lowered = self.lowered(&closest, row)?;
                let sum = self.weighted_sum(&lowered);
                if best.as_ref().is_none_or(|(least, _, _)| sum < *least) {
                    best = Some((sum, row, lowered));
                }
            }
            let (_, row, lowered) =
                best.ok_or(Error::Internal("at least two candidates for a centroid"))?;
            chosen.push(row);
            closest = lowered;
        }
        Ok(chosen)
    }

    fn weighted_sum(&self, squared: &[f64]) -> f64 {
        let of = |(row, square): (usize, &f64)| square * self.weight(row);
        squared.iter().enumerate().map(of).sum()
    }

    /// A row, drawn with a chance proportional to its weight times its squared distance; the last with such a chance where rounding
    /// carries the target past it.
    fn draw(&self, squared: &[f64], random: &mut Random) -> usize {
        let target = random.uniform() * self.weighted_sum(squared);
        let (mut running, mut last) = (0.0, 0);
        for (row, square) in squared.iter().enumerate() {
            let step = square * self.weight(row);
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

    /// `squared` lowered to the squared distances to `row` where those are smaller.
    fn lowered(&self, squared: &[f64], row: usize) -> Result<Vec<f64>> {
        let point = self.x.row(row);
        let mut meter = Meter::new(self.host);
        self.x
            .outer_iter()
            .zip(squared)
            .map(|(values, held)| {
                meter.spend(values.len())?;
                Ok(held.min(squared_distance(values, point)))
            })
            .collect()
    }

    /// The nearest centroid of each row and its squared distance.
    fn nearest(&self, centroids: &Array2<f64>) -> Result<(Vec<u32>, Vec<f64>)> {
        let n = self.x.nrows();
        let (mut labels, mut squared) = (Vec::with_capacity(n), Vec::with_capacity(n));
        ordered(
            n.div_ceil(BLOCK_ROWS),
            self.host,
            |block| {
                let mut meter = Meter::new(self.host);
                (block * BLOCK_ROWS..n.min((block + 1) * BLOCK_ROWS))
                    .map(|row| {
                        meter.spend(centroids.len())?;
                        let values = self.x.row(row);
                        let mut best = (f64::INFINITY, 0_u32);
                        for (centroid, number) in centroids.outer_iter().zip(0_u32..) {
                            let far = squared_distance(values, centroid);
                            if far < best.0 {
                                best = (far, number);
                            }
                        }
                        Ok(best)
                    })
                    .collect::<Result<Vec<_>>>()
            },
            |found| {
                for (far, label) in found {
                    labels.push(label);
                    squared.push(far);
                }
                Ok(())
            },
        )?;
        Ok((labels, squared))
    }

    fn run(&self, params: &KMeans, first: Array2<f64>, tolerance: f64) -> Result<Clusters> {
        let mut centroids = first;
        let mut labels = Vec::new();
        let (mut iterations, mut converged) = (0, false);
        while iterations < params.max_iter && !converged {
            iterations += 1;
            let (found, squared) = self.nearest(&centroids)?;
            self.host.progress(
                "k-means iterations",
                iterations as u64,
                params.max_iter as u64,
                Some(self.weighted_sum(&squared)),
            );
            let moved = self.means(&found, &squared, &centroids)?;
            let shift: f64 = (&moved - &centroids).iter().map(|step| step * step).sum();
            converged = found == labels || shift <= tolerance;
            (labels, centroids) = (found, moved);
        }
        let (labels, squared) = self.nearest(&centroids)?;
        let mut occupied = labels.clone();
        occupied.sort_unstable();
        occupied.dedup();
        Ok(Clusters {
            inertia: self.weighted_sum(&squared),
            distances: squared.into_iter().map(f64::sqrt).collect(),
            occupied: occupied.len(),
            centroids,
            labels,
            iterations,
            converged,
        })
    }

    /// The mean of each cluster; one without weight gets the row farthest from its centroid, as in `lloyd`, and stays where it is when there is none.
    ///
    /// Sums are of differences from the centroids, so that nothing cancels.
    fn means(
        &self,
        labels: &[u32],
        squared: &[f64],
        centroids: &Array2<f64>,
    ) -> Result<Array2<f64>> {
        let mut sums = Array2::<f64>::zeros(centroids.dim());
        let mut weights = vec![0.0; centroids.nrows()];
        let mut meter = Meter::new(self.host);
        for (row, &label) in labels.iter().enumerate() {
            meter.spend(self.x.ncols())?;
            let (label, weight) = (label as usize, self.weight(row));
            weights[label] += weight;
            sums.row_mut(label)
                .scaled_add(weight, &(&self.x.row(row) - &centroids.row(label)));
        }
        let mut moved = centroids.clone();
        let empty: Vec<usize> = (0..weights.len())
            .filter(|at| weights[*at] <= 0.0)
            .collect();
        let mut farthest: Vec<usize> = if empty.is_empty() {
            Vec::new()
        } else {
            (0..labels.len())
                .filter(|row| squared[*row] > 0.0 && self.weight(*row) > 0.0)
                .collect()
        };
        farthest.sort_by(|a, b| squared[*b].total_cmp(&squared[*a]).then(a.cmp(b)));
        for (&cluster, &row) in empty.iter().zip(&farthest) {
            let (old, weight) = (labels[row] as usize, self.weight(row));
            weights[old] -= weight;
            sums.row_mut(old)
                .scaled_add(-weight, &(&self.x.row(row) - &centroids.row(old)));
            moved.row_mut(cluster).assign(&self.x.row(row));
        }
        for ((mut centroid, sum), &weight) in
            moved.outer_iter_mut().zip(sums.outer_iter()).zip(&weights)
        {
            if weight > 0.0 {
                centroid.scaled_add(1.0 / weight, &sum);
            }
        }
        Ok(moved)
    }
}

fn squared_distance(a: ArrayView1<'_, f64>, b: ArrayView1<'_, f64>) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Unlimited;
    use ndarray::array;
    use proptest::prelude::*;

    /// Two pairs of groups, a billion apart, 10 within a pair.
    fn far_pairs() -> Array2<f64> {
        Array2::from_shape_fn((80, 1), |(row, _)| {
            1e9 * ((row / 40) as f64) + 10.0 * ((row / 20 % 2) as f64) + (row % 20) as f64 / 100.0
        })
    }

    #[test]
    fn groups_far_apart_keep_what_is_small_between_them() {
        let x = far_pairs();
        for init in [Init::KMeansPlusPlus, Init::Random] {
            let params = KMeans {
                k: 4,
                n_init: 8,
                init,
                ..KMeans::default()
            };
            let found = params.fit_rows(x.view(), None, &Unlimited).unwrap();
            for group in found.labels.chunks(20) {
                assert!(group.iter().all(|label| *label == group[0]));
            }
            assert_eq!(found.occupied, 4);
            let (labels, distances) =
                nearest_centroids(&found.centroids, x.view(), &Unlimited).unwrap();
            assert_eq!(labels, found.labels);
            assert!(distances.iter().all(|far| *far <= 0.0951), "{distances:?}");
        }
    }

    #[test]
    fn what_single_precision_loses_is_told_by_its_column() {
        let far = far_pairs();
        let names = ["near".to_owned(), "far".to_owned()];
        let x = Array2::from_shape_fn((80, 2), |(row, column)| {
            if column == 1 {
                far[[row, 0]]
            } else {
                row as f64
            }
        });
        let labels: Vec<i32> = (0..80).map(|row| row / 20).collect();
        let error = refuse_rounded(
            x.slice(ndarray::s![.., 1..]),
            &labels,
            &names[1..],
            &Unlimited,
        )
        .unwrap_err();
        assert!(error.to_string().contains("\"far\""), "{error}");
        // As one cluster the spread is a billion and the rounding is nothing; equal rows have no spread to lose.
        refuse_rounded(x.view(), &[0; 80], &names, &Unlimited).unwrap();
        let equal = array![[0.1], [0.1], [1e9 + 0.1], [1e9 + 0.1]];
        refuse_rounded(equal.view(), &[0, 0, 1, 1], &names, &Unlimited).unwrap();
    }

    proptest! {
        #[test]
        fn agrees_with_single_precision_where_that_is_enough(
            values in prop::collection::vec((-50.0_f64..50.0, 1_i32..4), 12..60),
            k in 1_usize..4,
        ) {
            let x = Array2::from_shape_fn((values.len() / 2, 2), |(row, column)| {
                values[2 * row + column].0
            });
            let weights: Vec<f64> = (0..x.nrows()).map(|row| f64::from(values[row].1)).collect();
            let first = x.slice(ndarray::s![..k, ..]).to_owned();
            let params = KMeans { k, init: Init::Centroids(first.clone()), ..KMeans::default() };
            let blocks = DenseBlocks::from_rows(x.view(), &Unlimited).unwrap();
            let single = params.fit(&blocks, Some(&weights), &Unlimited).unwrap();
            let rows = Rows { x: x.view(), weights: Some(&weights), host: &Unlimited };
            let double = rows.run(&params, first, params.tol * rows.mean_variance()).unwrap();
            prop_assert!((single.inertia - double.inertia).abs() <= 1e-4 * (1.0 + double.inertia));
        }
    }
}
