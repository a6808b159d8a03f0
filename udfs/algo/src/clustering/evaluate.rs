//! How good a clustering is, from the rows and their labels alone: [`ClusterEvaluation`]. How well labels agree with known
//! classes is [`agreement`].
//!
//! A negative label is noise: such rows belong to no cluster and are left out of all measures but DBCV, which counts them
//! as badly clustered. Distances are Euclidean between the stored f32 rows, sums f64 in the order of the blocks.

mod agreement;
mod density;
mod silhouette;

pub use agreement::{LabelAgreement, agreement};

use super::seeding::random_rows;
use crate::blocks::{BLOCK_ROWS, Blocks, for_each_block};
use crate::host::{Host, Meter, reserve_for};
use crate::parallel::ordered;
use crate::random::Random;
use crate::{Error, Result};

/// What to measure, and on how many rows where time is quadratic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterEvaluation {
    /// Rows that silhouette and DBCV look at, drawn without replacement; `None` or no fewer than there are: all of them.
    pub sample: Option<usize>,
    /// Whether to compute the silhouette: O(m^2 d) for the m rows of the sample.
    pub silhouette: bool,
    /// Whether to compute DBCV: O(m^2 d).
    pub density: bool,
    /// Seed of the sample.
    pub seed: u64,
}

impl Default for ClusterEvaluation {
    /// The silhouette of at most 20,000 rows, no DBCV, seed 0.
    fn default() -> Self {
        Self {
            sample: Some(20_000),
            silhouette: true,
            density: false,
            seed: 0,
        }
    }
}

/// Measures of a clustering. A measure is `None` where it is not defined, or was not asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterScores {
    /// Rows, noise included.
    pub rows: usize,
    /// Rows of noise.
    pub noise: usize,
    /// Sum of the squared distances of the rows to the mean of their cluster.
    pub inertia: f64,
    /// Mean silhouette (Rousseeuw 1987), -1 to 1, more is better; a row alone in its cluster counts 0. Defined for 2 to
    /// n - 1 clusters of n rows.
    pub silhouette: Option<f64>,
    /// Davies-Bouldin index (1979), 0 and up, less is better, as scikit-learn has it: 0 when all rows, or all centroids, are equal. Defined for 2 to n - 1 clusters.
    pub davies_bouldin: Option<f64>,
    /// Calinski-Harabasz index (1974), more is better; 1 when all rows lie on their centroids, as in scikit-learn. Defined
    /// for 2 to n - 1 clusters.
    pub calinski_harabasz: Option<f64>,
    /// Density-based clustering validation (Moulavi et al. 2014), -1 to 1, more is better. Defined for 2 clusters or more.
    pub dbcv: Option<f64>,
    /// Each cluster by itself, in the order of their labels.
    pub clusters: Vec<ClusterScore>,
}

/// Measures of one cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterScore {
    /// Its label.
    pub label: i32,
    /// Its rows.
    pub size: usize,
    /// Sum of the squared distances of its rows to their mean.
    pub inertia: f64,
    /// Mean distance of its rows to their mean.
    pub compactness: f64,
    /// Distance of its mean to the nearest mean of another cluster; `None` when there is no other.
    pub separation: Option<f64>,
    /// Mean silhouette of those of its rows that were looked at; `None` when there is none.
    pub silhouette: Option<f64>,
    /// Its validity index, equation 6 of Moulavi et al.: -1 to 1.
    pub dbcv: Option<f64>,
}

impl ClusterEvaluation {
    /// Measures `labels`, one for each row of `data`.
    ///
    /// Time O(n d + k^2 d) beside the quadratic measures; memory 12 n bytes, and 8 m d bytes for the m rows of the sample.
    ///
    /// # Errors
    /// [`Error::Data`] for no rows, no columns, or no row in a cluster; [`Error::Parameter`] for a sample of fewer than 2
    /// rows; [`Error::Internal`] when there is not a label for each row; [`Error::OutOfMemory`]; [`Error::Cancelled`].
    pub fn fit(&self, data: &dyn Blocks, labels: &[i32], host: &dyn Host) -> Result<ClusterScores> {
        if data.rows() == 0 {
            return Err(Error::data(
                "there are no rows to evaluate",
                "Give a relation with at least one row.",
            ));
        }
        if data.columns() == 0 {
            return Err(Error::data(
                "there are no feature columns to evaluate by",
                "Name at least one numeric column.",
            ));
        }
        if labels.len() != data.rows() {
            return Err(Error::Internal("a label for each row"));
        }
        if self.sample.is_some_and(|rows| rows < 2) {
            return Err(Error::parameter(
                "sample",
                "\"sample\" must be at least 2",
                "Give the number of rows to look at, such as 20000.",
            ));
        }
        let _codes = reserve_for::<[u32; 3]>(host, labels.len(), "cluster numbers")?;
        let partition = Partition::new(labels);
        let k = partition.labels.len();
        if k == 0 {
            return Err(Error::data(
                "every row is noise, so there is no cluster to evaluate",
                "Give rows of which some have a cluster that is not negative.",
            ));
        }
        let _means = reserve_for::<f64>(host, k.saturating_mul(data.columns()), "cluster means")?;
        let means = partition.means(data, host)?;
        let spread = partition.spread(data, &means, host)?;
        let mut scores = partition.scores(data.columns(), &means, &spread, host)?;
        if k >= 2 && (self.silhouette || self.density) {
            self.quadratic(data, &partition, &mut scores, host)?;
        }
        Ok(scores)
    }

    /// The measures that compare all pairs of rows.
    fn quadratic(
        &self,
        data: &dyn Blocks,
        partition: &Partition,
        scores: &mut ClusterScores,
        host: &dyn Host,
    ) -> Result<()> {
        let chosen = match self.sample {
            Some(sample) if sample < data.rows() => {
                let mut random = Random::stream(self.seed, 0);
                let mut rows = random_rows(data.rows(), None, sample, &mut random, host)?;
                rows.sort_unstable();
                Some(rows)
            }
            _ => None,
        };
        let rows = chosen.as_ref().map_or(data.rows(), Vec::len);
        let cells = rows.saturating_mul(data.columns());
        let _memory = reserve_for::<[f32; 2]>(host, cells, "rows to compare")?;
        let groups = Groups::gather(data, partition, chosen.as_deref(), host)?;
        if self.silhouette && scores.davies_bouldin.is_some() {
            let sums = silhouette::sums(&groups, host)?;
            let seen: usize = groups.sizes().sum();
            let occupied = groups.sizes().filter(|size| *size > 0).count();
            // A sample may hold one cluster, or each of its rows may be a cluster.
            if (2..seen).contains(&occupied) {
                for ((score, sum), size) in
                    scores.clusters.iter_mut().zip(&sums).zip(groups.sizes())
                {
                    score.silhouette = (size > 0).then(|| sum / size as f64);
                }
                scores.silhouette = Some(sums.iter().sum::<f64>() / seen as f64);
            }
        }
        if self.density {
            let found = density::validity(&groups, host)?;
            for (score, value) in scores.clusters.iter_mut().zip(&found) {
                score.dbcv = *value;
            }
            // Equation 7: noise, and what is undefined, adds nothing to the weighted mean.
            let noise = groups.noise;
            let total = groups.sizes().sum::<usize>() + noise;
            scores.dbcv = Some(
                found
                    .iter()
                    .zip(groups.sizes())
                    .map(|(value, size)| value.unwrap_or(0.0) * size as f64 / total as f64)
                    .sum(),
            );
        }
        Ok(())
    }
}

/// Code of a row that is in no cluster.
const NOISE: u32 = u32::MAX;

/// Labels as dense numbers.
struct Partition {
    /// The distinct labels that are not negative, ascending.
    labels: Vec<i32>,
    /// Place of each row's label in them, or [`NOISE`].
    codes: Vec<u32>,
    sizes: Vec<usize>,
}

impl Partition {
    fn new(labels: &[i32]) -> Self {
        let mut distinct: Vec<i32> = labels.iter().copied().filter(|label| *label >= 0).collect();
        distinct.sort_unstable();
        distinct.dedup();
        let mut sizes = vec![0; distinct.len()];
        let codes = labels
            .iter()
            .map(|label| match distinct.binary_search(label) {
                Ok(code) => {
                    sizes[code] += 1;
                    code as u32
                }
                Err(_) => NOISE,
            })
            .collect();
        Self {
            labels: distinct,
            codes,
            sizes,
        }
    }

    /// Calls `work` with each cluster in a block: its code and, one after another, its rows there. The results come to
    /// `fold` by block, then by code, so that a sum over them is the same for any number of threads.
    fn for_each_part<T: Send>(
        &self,
        data: &dyn Blocks,
        host: &dyn Host,
        work: impl Fn(usize, &mut dyn Iterator<Item = &[f32]>) -> T + Sync,
        mut fold: impl FnMut(usize, T),
    ) -> Result<()> {
        let d = data.columns();
        for_each_block(
            data,
            host,
            |index, rows| {
                let codes = &self.codes[index * BLOCK_ROWS..][..rows.len() / d];
                let mut order: Vec<(u32, u32)> = codes
                    .iter()
                    .enumerate()
                    .filter(|(_, code)| **code != NOISE)
                    .map(|(row, &code)| (code, row as u32))
                    .collect();
                order.sort_unstable();
                let parts = order.chunk_by(|a, b| a.0 == b.0).map(|part| {
                    let code = part[0].0 as usize;
                    let mut rows = part.iter().map(|(_, row)| &rows[*row as usize * d..][..d]);
                    (code, work(code, &mut rows))
                });
                Ok(parts.collect::<Vec<_>>())
            },
            |parts| {
                for (code, part) in parts {
                    fold(code, part);
                }
                Ok(())
            },
        )
    }

    /// k x d means.
    fn means(&self, data: &dyn Blocks, host: &dyn Host) -> Result<Vec<f64>> {
        let d = data.columns();
        let mut means = vec![0.0; self.sizes.len() * d];
        self.for_each_part(
            data,
            host,
            |_, rows| {
                let mut sums = vec![0.0; d];
                for row in rows {
                    for (sum, &value) in sums.iter_mut().zip(row) {
                        *sum += f64::from(value);
                    }
                }
                sums
            },
            |code, sums| {
                for (mean, sum) in means[code * d..][..d].iter_mut().zip(sums) {
                    *mean += sum;
                }
            },
        )?;
        for (mean, &size) in means.chunks_exact_mut(d).zip(&self.sizes) {
            for value in mean {
                *value /= size as f64;
            }
        }
        Ok(means)
    }

    /// For each cluster the sums of the distances of its rows to its mean and of their squares.
    fn spread(&self, data: &dyn Blocks, means: &[f64], host: &dyn Host) -> Result<Vec<Spread>> {
        let d = data.columns();
        let mut spreads = vec![Spread::default(); self.sizes.len()];
        self.for_each_part(
            data,
            host,
            |code, rows| {
                let mut spread = Spread::default();
                for row in rows {
                    let squared: f64 = row
                        .iter()
                        .zip(&means[code * d..][..d])
                        .map(|(&x, mean)| (f64::from(x) - mean) * (f64::from(x) - mean))
                        .sum();
                    spread.squares += squared;
                    spread.distances += squared.sqrt();
                }
                spread
            },
            |code, part| {
                spreads[code].squares += part.squares;
                spreads[code].distances += part.distances;
            },
        )?;
        Ok(spreads)
    }

    /// The measures that need only means and spreads.
    fn scores(
        &self,
        d: usize,
        means: &[f64],
        spreads: &[Spread],
        host: &dyn Host,
    ) -> Result<ClusterScores> {
        let k = self.sizes.len();
        let n: usize = self.sizes.iter().sum();
        let mut clusters: Vec<ClusterScore> = self
            .labels
            .iter()
            .zip(&self.sizes)
            .zip(spreads)
            .map(|((&label, &size), spread)| ClusterScore {
                label,
                size,
                inertia: spread.squares,
                compactness: spread.distances / size as f64,
                separation: None,
                silhouette: None,
                dbcv: None,
            })
            .collect();
        let compactness: Vec<f64> = clusters.iter().map(|score| score.compactness).collect();
        let mut similarity = 0.0;
        let mut nearest = Vec::with_capacity(k);
        ordered(
            k,
            host,
            |i| {
                let mut meter = Meter::new(host);
                let (mut worst, mut near) = (0.0_f64, f64::INFINITY);
                for j in (0..k).filter(|j| *j != i) {
                    meter.spend(d)?;
                    let gap: f64 = means[i * d..][..d]
                        .iter()
                        .zip(&means[j * d..][..d])
                        .map(|(a, b)| (a - b) * (a - b))
                        .sum::<f64>()
                        .sqrt();
                    near = near.min(gap);
                    // Equal centroids count as infinitely far apart: scikit-learn's rule.
                    if gap > 0.0 {
                        worst = worst.max((compactness[i] + compactness[j]) / gap);
                    }
                }
                Ok((worst, near))
            },
            |(worst, near)| {
                similarity += worst;
                nearest.push(near);
                Ok(())
            },
        )?;
        if k >= 2 {
            for (score, near) in clusters.iter_mut().zip(nearest) {
                score.separation = Some(near);
            }
        }
        let inertia: f64 = spreads.iter().map(|spread| spread.squares).sum();
        let defined = (2..n).contains(&k);
        Ok(ClusterScores {
            rows: self.codes.len(),
            noise: self.codes.len() - n,
            inertia,
            silhouette: None,
            davies_bouldin: defined.then(|| similarity / k as f64),
            calinski_harabasz: defined.then(|| {
                if inertia == 0.0 {
                    return 1.0;
                }
                self.between(d, means) * (n - k) as f64 / (inertia * (k - 1) as f64)
            }),
            dbcv: None,
            clusters,
        })
    }

    /// Sum over the rows of the squared distances of their cluster's mean to the mean of all.
    fn between(&self, d: usize, means: &[f64]) -> f64 {
        let n = self.sizes.iter().sum::<usize>() as f64;
        let mut centre = vec![0.0; d];
        for (mean, &size) in means.chunks_exact(d).zip(&self.sizes) {
            for (sum, value) in centre.iter_mut().zip(mean) {
                *sum += value * size as f64 / n;
            }
        }
        means
            .chunks_exact(d)
            .zip(&self.sizes)
            .map(|(mean, &size)| {
                let squared: f64 = mean
                    .iter()
                    .zip(&centre)
                    .map(|(a, b)| (a - b) * (a - b))
                    .sum();
                squared * size as f64
            })
            .sum()
    }
}

/// Sums over the rows of a cluster.
#[derive(Debug, Clone, Copy, Default)]
struct Spread {
    squares: f64,
    distances: f64,
}

/// Rows of the sample, gathered by cluster.
struct Groups {
    d: usize,
    /// Row-major, the clusters one after another in the order of their codes.
    values: Vec<f32>,
    /// First row of each cluster, and the number of rows.
    starts: Vec<usize>,
    /// Rows of noise in the sample.
    noise: usize,
}

impl Groups {
    /// Takes the rows of `chosen`, ascending, or all.
    fn gather(
        data: &dyn Blocks,
        partition: &Partition,
        chosen: Option<&[usize]>,
        host: &dyn Host,
    ) -> Result<Self> {
        let d = data.columns();
        let every: Vec<usize>;
        let chosen = match chosen {
            Some(rows) => rows,
            None => {
                every = (0..data.rows()).collect();
                &every
            }
        };
        let mut starts = vec![0; partition.sizes.len() + 1];
        let mut noise = 0;
        for &row in chosen {
            match partition.codes[row] {
                NOISE => noise += 1,
                code => starts[code as usize + 1] += 1,
            }
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut values = vec![0.0; starts.last().copied().unwrap_or(0) * d];
        let mut next = starts.clone();
        let mut scratch = Vec::new();
        for rows in chosen.chunk_by(|a, b| a / BLOCK_ROWS == b / BLOCK_ROWS) {
            host.check()?;
            let block = data.block(rows[0] / BLOCK_ROWS, &mut scratch)?;
            for &row in rows {
                let code = partition.codes[row];
                if code == NOISE {
                    continue;
                }
                let to = &mut next[code as usize];
                let from = &block[row % BLOCK_ROWS * d..][..d];
                values[*to * d..][..d].copy_from_slice(from);
                *to += 1;
            }
        }
        Ok(Self {
            d,
            values,
            starts,
            noise,
        })
    }

    fn len(&self) -> usize {
        self.starts.len() - 1
    }

    fn sizes(&self) -> impl Iterator<Item = usize> {
        self.starts.windows(2).map(|pair| pair[1] - pair[0])
    }

    /// The rows of a cluster, row-major.
    fn rows(&self, code: usize) -> &[f32] {
        &self.values[self.starts[code] * self.d..self.starts[code + 1] * self.d]
    }
}

#[cfg(test)]
mod tests;
