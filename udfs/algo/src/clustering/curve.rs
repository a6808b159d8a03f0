//! How many clusters: k-means for a range of k, with the silhouette and the gap statistic of each.

use ndarray::Array2;

use super::evaluate::ClusterEvaluation;
use super::kmeans::{Clusters, KMeans};
use super::seeding::random_rows;
use crate::blocks::{Blocks, DenseBlocks, rows_at};
use crate::host::{Host, reserve_for};
use crate::random::Random;
use crate::{Error, Result};

/// Which figure chooses k.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Criterion {
    /// The largest mean silhouette (Rousseeuw 1987). Never 1.
    #[default]
    Silhouette,
    /// The smallest k whose gap is not below that of k + 1 less its error (Tibshirani, Walther and Hastie 2001); the
    /// largest gap when there is none.
    Gap,
}

/// k-means for k from 1 to `k_max`.
#[derive(Debug, Clone, PartialEq)]
pub struct KMeansCurve {
    /// Largest k; lowered to the number of rows.
    pub k_max: usize,
    /// Which figure chooses k.
    pub criterion: Criterion,
    /// Rows, drawn without replacement, that silhouette and gap are computed on; all when there are fewer. 2 or more.
    pub sample: usize,
    /// Uniform data sets that the gap statistic compares with; 0 for no gap.
    pub references: usize,
    /// Parameters of k-means but for k. The first centroids cannot be given.
    pub kmeans: KMeans,
}

impl Default for KMeansCurve {
    /// k up to 10 by the silhouette of at most 5,000 rows; no gap.
    fn default() -> Self {
        Self {
            k_max: 10,
            criterion: Criterion::default(),
            sample: 5_000,
            references: 0,
            kmeans: KMeans::default(),
        }
    }
}

/// Figures of a number of clusters.
#[derive(Debug, Clone, PartialEq)]
pub struct CurvePoint {
    /// Number of clusters.
    pub k: usize,
    /// Inertia of all rows.
    pub inertia: f64,
    /// Mean silhouette of the sample; `None` for one cluster.
    pub silhouette: Option<f64>,
    /// Gap statistic of the sample: how much the log of its inertia lies below that of uniform data. `None` when it was not
    /// asked for, or the inertia is 0.
    pub gap: Option<f64>,
    /// Standard error of the gap, from the deviation over the references.
    pub gap_error: Option<f64>,
    /// Whether this is the k to take.
    pub best: bool,
}

impl KMeansCurve {
    /// The curve, and the clustering of the k to take.
    ///
    /// Time that of k-means for each k, and for the gap on the sample for each reference.
    ///
    /// # Errors
    /// As [`KMeans::fit`]; [`Error::Parameter`] for `k_max` below 2, a sample of fewer than 2 rows, given centroids, or the gap
    /// as criterion without references.
    pub fn fit(&self, data: &dyn Blocks, host: &dyn Host) -> Result<(Vec<CurvePoint>, Clusters)> {
        self.check()?;
        let sample = self.sample(data, host)?;
        let k_max = self.k_max.min(data.rows().max(1));
        let mut points = Vec::with_capacity(k_max);
        let mut best: Option<Clusters> = None;
        let mut held = 0;
        for k in 1..=k_max {
            host.progress("numbers of clusters", k as u64 - 1, k_max as u64, None);
            let clusters = self.params(k).fit(data, None, host)?;
            let silhouette = self.silhouette(&sample, &clusters, host)?;
            points.push(CurvePoint {
                k,
                inertia: clusters.inertia,
                silhouette,
                gap: None,
                gap_error: None,
                best: false,
            });
            let larger = silhouette.unwrap_or(f64::NEG_INFINITY);
            let so_far = points.get(held).and_then(|point| point.silhouette);
            if best.is_none() || larger > so_far.unwrap_or(f64::NEG_INFINITY) {
                held = k - 1;
                best = Some(clusters);
            }
        }
        self.gaps(&sample, &mut points, host)?;
        let chosen = match self.criterion {
            Criterion::Silhouette => held,
            Criterion::Gap => by_gap(&points),
        };
        let clusters = match best {
            Some(clusters) if chosen == held => clusters,
            _ => self.params(chosen + 1).fit(data, None, host)?,
        };
        if let Some(point) = points.get_mut(chosen) {
            point.best = true;
        }
        Ok((points, clusters))
    }

    fn check(&self) -> Result<()> {
        if self.k_max < 2 {
            return Err(Error::parameter(
                "k_max",
                "\"k_max\" must be at least 2",
                "Give the largest number of clusters to try, such as 10.",
            ));
        }
        if self.sample < 2 {
            return Err(Error::parameter(
                "sample",
                "\"sample\" must be at least 2",
                "Give the number of rows to look at, such as 5000.",
            ));
        }
        if self.criterion == Criterion::Gap && self.references < 2 {
            return Err(Error::parameter(
                "references",
                "\"references\" must be at least 2 to choose by the gap",
                "Give the number of uniform data sets to compare with, such as 10.",
            ));
        }
        if let super::Init::Centroids(_) = self.kmeans.init {
            return Err(Error::parameter(
                "initial_centroids",
                "\"initial_centroids\" cannot be given when the number of clusters is to be found",
                "Give \"k\" as a number, or leave the first centroids to \"init\".",
            ));
        }
        Ok(())
    }

    fn params(&self, k: usize) -> KMeans {
        KMeans {
            k,
            ..self.kmeans.clone()
        }
    }

    fn sample(&self, data: &dyn Blocks, host: &dyn Host) -> Result<DenseBlocks> {
        let rows = data.rows().min(self.sample);
        let _memory = reserve_for::<f64>(host, rows.saturating_mul(data.columns()), "sample")?;
        let mut random = Random::stream(self.kmeans.seed, 1);
        let mut chosen = random_rows(data.rows(), None, rows, &mut random, host)?;
        chosen.sort_unstable();
        let values = rows_at(data, &chosen)?;
        let mut x = Array2::from_shape_vec((rows, data.columns()), values)
            .map_err(|_| Error::Internal("whole rows"))?
            .mapv(f64::from);
        for mut row in x.outer_iter_mut() {
            for (value, centre) in row.iter_mut().zip(data.centres()) {
                *value += centre;
            }
        }
        DenseBlocks::centred(x.view(), data.centres().to_vec(), host)
    }

    fn silhouette(
        &self,
        sample: &DenseBlocks,
        clusters: &Clusters,
        host: &dyn Host,
    ) -> Result<Option<f64>> {
        if clusters.occupied < 2 {
            return Ok(None);
        }
        let (labels, _) = clusters.predict(sample, host)?;
        let labels: Vec<i32> = labels.into_iter().map(|label| label as i32).collect();
        let evaluation = ClusterEvaluation {
            sample: None,
            ..ClusterEvaluation::default()
        };
        Ok(evaluation.fit(sample, &labels, host)?.silhouette)
    }

    /// Gaps of the sample, against rows drawn uniformly from the box around it.
    fn gaps(&self, sample: &DenseBlocks, points: &mut [CurvePoint], host: &dyn Host) -> Result<()> {
        if self.references < 2 {
            return Ok(());
        }
        let (n, d) = (sample.rows(), sample.columns());
        let mut low = vec![f32::INFINITY; d];
        let mut high = vec![f32::NEG_INFINITY; d];
        let mut scratch = Vec::new();
        for index in 0..sample.blocks() {
            for row in sample.block(index, &mut scratch)?.chunks_exact(d) {
                for ((low, high), &value) in low.iter_mut().zip(&mut high).zip(row) {
                    *low = low.min(value);
                    *high = high.max(value);
                }
            }
        }
        let mut logs = vec![Vec::with_capacity(self.references); points.len()];
        for reference in 0..self.references {
            let mut random = Random::stream(self.kmeans.seed, 2 + reference as u64);
            let x = Array2::from_shape_fn((n, d), |(_, j)| {
                let (low, high) = (f64::from(low[j]), f64::from(high[j]));
                low + (high - low) * random.uniform()
            });
            let blocks = DenseBlocks::from_rows(x.view(), host)?;
            for (point, logs) in points.iter().zip(&mut logs) {
                if point.k <= n {
                    logs.push(self.params(point.k).fit(&blocks, None, host)?.inertia.ln());
                }
            }
        }
        for (point, logs) in points.iter_mut().zip(logs) {
            if logs.is_empty() {
                continue;
            }
            let own = self.params(point.k).fit(sample, None, host)?.inertia;
            let count = logs.len() as f64;
            let mean = logs.iter().sum::<f64>() / count;
            let variance = logs
                .iter()
                .map(|log| (log - mean) * (log - mean))
                .sum::<f64>()
                / count;
            let gap = mean - own.ln();
            if gap.is_finite() {
                point.gap = Some(gap);
                point.gap_error = Some((variance * (1.0 + 1.0 / count)).sqrt());
            }
        }
        Ok(())
    }
}

/// Place of the k that the gaps speak for.
fn by_gap(points: &[CurvePoint]) -> usize {
    let first =
        points
            .windows(2)
            .position(|pair| match (pair[0].gap, pair[1].gap, pair[1].gap_error) {
                (Some(gap), Some(next), Some(error)) => gap >= next - error,
                _ => false,
            });
    first.unwrap_or_else(|| {
        let mut best = 0;
        for (at, point) in points.iter().enumerate() {
            if point.gap > points[best].gap {
                best = at;
            }
        }
        best
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Unlimited;
    use ndarray::array;

    fn groups(rows: usize, centres: &[[f64; 2]]) -> DenseBlocks {
        let mut state = 1_u32;
        let x = Array2::from_shape_fn((rows, 2), |(i, j)| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            centres[i % centres.len()][j] + f64::from(state >> 16) / 65536.0
        });
        DenseBlocks::from_rows(x.view(), &Unlimited).unwrap()
    }

    #[test]
    fn both_criteria_find_the_groups() {
        let data = groups(1200, &[[0.0, 0.0], [8.0, 0.0], [0.0, 8.0], [8.0, 9.0]]);
        for criterion in [Criterion::Silhouette, Criterion::Gap] {
            let curve = KMeansCurve {
                k_max: 7,
                criterion,
                sample: 600,
                references: 5,
                kmeans: KMeans {
                    n_init: 3,
                    ..KMeans::default()
                },
            };
            let (points, clusters) = curve.fit(&data, &Unlimited).unwrap();
            assert_eq!(points.len(), 7);
            let best: Vec<usize> = points.iter().filter(|p| p.best).map(|p| p.k).collect();
            assert_eq!(best, [4], "{criterion:?}");
            assert_eq!(clusters.centroids.nrows(), 4);
            assert_eq!(clusters.inertia, points[3].inertia);
            assert_eq!(points[0].silhouette, None);
            assert!(points.iter().all(|point| point.gap.is_some()));
        }
    }

    #[test]
    fn one_group_is_one_cluster_by_the_gap() {
        let curve = KMeansCurve {
            k_max: 5,
            criterion: Criterion::Gap,
            references: 8,
            ..KMeansCurve::default()
        };
        let (points, _) = curve.fit(&groups(500, &[[0.0, 0.0]]), &Unlimited).unwrap();
        assert!(points[0].best);
    }

    #[test]
    fn few_rows_lower_k_max() {
        let x = array![[0.0], [1.0], [9.0]];
        let data = DenseBlocks::from_rows(x.view(), &Unlimited).unwrap();
        let (points, clusters) = KMeansCurve::default().fit(&data, &Unlimited).unwrap();
        assert_eq!(points.len(), 3);
        assert_eq!(points[2].inertia, 0.0);
        assert!(points[1].best);
        assert_eq!(clusters.occupied, 2);
    }

    #[test]
    fn refuses_bad_parameters() {
        let data = groups(10, &[[0.0, 0.0]]);
        let text = |curve: KMeansCurve| curve.fit(&data, &Unlimited).unwrap_err().to_string();
        let plain = KMeansCurve::default();
        let small = KMeansCurve {
            k_max: 1,
            ..plain.clone()
        };
        assert_eq!(text(small), "\"k_max\" must be at least 2");
        let gap = KMeansCurve {
            criterion: Criterion::Gap,
            ..plain.clone()
        };
        assert_eq!(
            text(gap),
            "\"references\" must be at least 2 to choose by the gap"
        );
        let given = KMeansCurve {
            kmeans: KMeans {
                init: crate::clustering::Init::Centroids(array![[0.0, 0.0]]),
                ..KMeans::default()
            },
            ..plain
        };
        assert!(text(given).starts_with("\"initial_centroids\" cannot be given"));
    }
}
