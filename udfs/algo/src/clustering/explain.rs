//! What sets each cluster apart: how far its means lie from those of the other rows, and a short rule that picks it out.
//!
//! A rule is up to a few conditions such as "spend is at least 250", found greedily as PRIM (Friedman and Fisher 1999) and
//! rule learners do: of all conditions the one that raises F1, the harmonic mean of precision and recall, most. Thresholds
//! lie between values of the data and are as round as they can be, to be read and pasted.

use ndarray::ArrayView2;

use super::seeding::random_rows;
use crate::blocks::{BLOCK_ROWS, Blocks, DenseBlocks};
use crate::host::{Host, Meter, reserve_for};
use crate::parallel::ordered;
use crate::random::Random;
use crate::{Error, Result};

/// Quantiles of a column that are tried as thresholds.
const QUANTILES: usize = 64;

/// Parameters of the explanation.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterExplanation {
    /// Conditions of a rule at most; 0 for no rules.
    pub conditions: usize,
    /// F1 that a further condition must add.
    pub gain: f64,
    /// Rows that rules are found and measured on, drawn without replacement; all when there are fewer.
    pub sample: usize,
    /// Seed of the sample.
    pub seed: u64,
}

impl Default for ClusterExplanation {
    /// Up to 3 conditions, each adding 0.01 or more, on at most 50,000 rows, seed 0.
    fn default() -> Self {
        Self {
            conditions: 3,
            gain: 0.01,
            sample: 50_000,
            seed: 0,
        }
    }
}

/// What sets a cluster apart.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterProfile {
    /// Label of the cluster; negative for noise, which is profiled as a group as well.
    pub label: i32,
    /// Its rows.
    pub size: usize,
    /// For each column, in order: how it differs.
    pub features: Vec<FeatureEffect>,
    /// The rule, first the condition that says most.
    pub rule: Rule,
}

/// How a column differs in a cluster.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FeatureEffect {
    /// Mean in the cluster, in the units of the data.
    pub mean: f64,
    /// Mean of all rows.
    pub overall_mean: f64,
    /// Mean in the cluster less the mean of the other rows, in standard deviations of all rows. 0 when there are no other
    /// rows or the column is constant.
    pub effect: f64,
}

/// Conditions that hold together, and how well they pick out the cluster among the rows looked at.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rule {
    /// The conditions; none when no condition says anything.
    pub conditions: Vec<Condition>,
    /// Of the rows that meet them, the share in the cluster.
    pub precision: f64,
    /// Of the rows in the cluster, the share that meets them.
    pub recall: f64,
}

/// A condition on a column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Condition {
    /// Column number.
    pub feature: usize,
    /// Which side of the threshold.
    pub direction: Direction,
    /// In the units of the data.
    pub threshold: f64,
}

/// A side of a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// At the threshold or above.
    AtLeast,
    /// Below it.
    Below,
}

impl Condition {
    /// Whether a value meets the condition.
    pub fn holds(&self, value: f64) -> bool {
        match self.direction {
            Direction::AtLeast => value >= self.threshold,
            Direction::Below => value < self.threshold,
        }
    }
}

impl ClusterExplanation {
    /// Profiles of the clusters of `labels`, one for each row of `data`, in the order of their numbers.
    ///
    /// Time O(n d + k m d log m) for the m rows of the sample, memory 8 m (d + 1) bytes.
    ///
    /// # Errors
    /// [`Error::Data`] for no rows or no columns; [`Error::Parameter`] for a sample of no rows or a gain that is negative;
    /// [`Error::Internal`] when there is not a label for each row; [`Error::OutOfMemory`]; [`Error::Cancelled`].
    pub fn fit(
        &self,
        data: &dyn Blocks,
        labels: &[i32],
        host: &dyn Host,
    ) -> Result<Vec<ClusterProfile>> {
        let (n, d) = (data.rows(), data.columns());
        if n == 0 {
            return Err(Error::data(
                "there are no rows to explain",
                "Give a relation with at least one row.",
            ));
        }
        if d == 0 {
            return Err(Error::data(
                "there are no feature columns to explain by",
                "Name at least one numeric column.",
            ));
        }
        if labels.len() != n {
            return Err(Error::Internal("a label for each row"));
        }
        if self.sample < 1 {
            return Err(Error::parameter(
                "sample",
                "\"sample\" must be at least 1",
                "Give the number of rows to look at, such as 50000.",
            ));
        }
        if !(self.gain >= 0.0 && self.gain.is_finite()) {
            return Err(Error::parameter(
                "gain",
                format!("\"gain\" must not be negative, not {}", self.gain),
                "Give a small number such as 0.01.",
            ));
        }
        let mut profiles = effects(data, labels, host)?;
        if self.conditions > 0 && profiles.len() > 1 {
            let rows = n.min(self.sample);
            let _memory = reserve_for::<f32>(host, 2 * rows * (d + 1), "rows to explain by")?;
            let sample = self.sample(data, labels, host)?;
            let cuts: Vec<Vec<f64>> = (0..d).map(|column| sample.cuts(column)).collect();
            let mut rules = Vec::with_capacity(profiles.len());
            ordered(
                profiles.len(),
                host,
                |at| self.rule(&sample, &cuts, profiles[at].label, host),
                |rule| {
                    rules.push(rule);
                    Ok(())
                },
            )?;
            for (profile, rule) in profiles.iter_mut().zip(rules) {
                profile.rule = rule;
            }
        }
        Ok(profiles)
    }

    /// As [`ClusterExplanation::fit`] for the rows of `x`, n x d, in memory: the means are those of the rows themselves, not of their f32 form.
    ///
    /// # Errors
    /// As [`ClusterExplanation::fit`] and [`DenseBlocks::from_rows`].
    pub fn fit_rows(
        &self,
        x: ArrayView2<'_, f64>,
        labels: &[i32],
        host: &dyn Host,
    ) -> Result<Vec<ClusterProfile>> {
        let mut profiles = self.fit(&DenseBlocks::from_rows(x, host)?, labels, host)?;
        let sizes: Vec<f64> = profiles.iter().map(|profile| profile.size as f64).collect();
        let mut of: Vec<(i32, usize)> = profiles
            .iter()
            .map(|profile| profile.label)
            .zip(0..)
            .collect();
        of.sort_unstable();
        for (column, values) in x.columns().into_iter().enumerate() {
            host.check()?;
            let mut sums = vec![0.0; profiles.len()];
            for (value, label) in values.iter().zip(labels) {
                if let Ok(at) = of.binary_search_by_key(label, |entry| entry.0) {
                    sums[of[at].1] += value;
                }
            }
            let overall = sums.iter().sum::<f64>() / x.nrows() as f64;
            for ((profile, sum), size) in profiles.iter_mut().zip(&sums).zip(&sizes) {
                if let Some(feature) = profile.features.get_mut(column)
                    && sum.is_finite()
                    && overall.is_finite()
                {
                    feature.mean = sum / size;
                    feature.overall_mean = overall;
                }
            }
        }
        Ok(profiles)
    }

    fn sample(&self, data: &dyn Blocks, labels: &[i32], host: &dyn Host) -> Result<Sample> {
        let n = data.rows();
        let rows = if self.sample < n {
            let mut random = Random::stream(self.seed, 0);
            let mut rows = random_rows(n, None, self.sample, &mut random, host)?;
            rows.sort_unstable();
            rows
        } else {
            (0..n).collect()
        };
        let d = data.columns();
        let mut columns = vec![Vec::with_capacity(rows.len()); d];
        let mut scratch = Vec::new();
        for rows in rows.chunk_by(|a, b| a / BLOCK_ROWS == b / BLOCK_ROWS) {
            host.check()?;
            let block = data.block(rows[0] / BLOCK_ROWS, &mut scratch)?;
            for &row in rows {
                let values = &block[row % BLOCK_ROWS * d..][..d];
                for ((column, &value), centre) in columns.iter_mut().zip(values).zip(data.centres())
                {
                    column.push(f64::from(value) + centre);
                }
            }
        }
        Ok(Sample {
            columns,
            centres: data.centres().to_vec(),
            labels: rows.iter().map(|row| labels[*row]).collect(),
        })
    }

    /// The rule of a cluster, condition by condition.
    fn rule(
        &self,
        sample: &Sample,
        cuts: &[Vec<f64>],
        label: i32,
        host: &dyn Host,
    ) -> Result<Rule> {
        let mut meter = Meter::new(host);
        let total = sample
            .labels
            .iter()
            .filter(|other| **other == label)
            .count();
        if total == 0 {
            return Ok(Rule::default());
        }
        let mut covered: Vec<usize> = (0..sample.labels.len()).collect();
        let mut rule = Rule::default();
        let mut f1 = harmonic(total, covered.len(), total);
        while rule.conditions.len() < self.conditions {
            let mut best: Option<(f64, Condition)> = None;
            for (feature, cuts) in cuts.iter().enumerate() {
                meter.spend(16 * covered.len())?;
                // Rows and own rows in each bin between thresholds.
                let mut bins = vec![(0_usize, 0_usize); cuts.len() + 1];
                for &row in &covered {
                    let value = sample.columns[feature][row];
                    let bin = &mut bins[cuts.partition_point(|cut| *cut <= value)];
                    bin.0 += 1;
                    bin.1 += usize::from(sample.labels[row] == label);
                }
                let all: (usize, usize) = bins
                    .iter()
                    .fold((0, 0), |sum, bin| (sum.0 + bin.0, sum.1 + bin.1));
                let mut below = (0, 0);
                for (bin, &threshold) in bins.iter().zip(cuts) {
                    below = (below.0 + bin.0, below.1 + bin.1);
                    for (direction, rows, own) in [
                        (Direction::Below, below.0, below.1),
                        (Direction::AtLeast, all.0 - below.0, all.1 - below.1),
                    ] {
                        let value = harmonic(own, rows, total);
                        if best.is_none_or(|best| value > best.0) {
                            let condition = Condition {
                                feature,
                                direction,
                                threshold,
                            };
                            best = Some((value, condition));
                        }
                    }
                }
            }
            let Some((value, condition)) = best.filter(|best| best.0 >= f1 + self.gain) else {
                break;
            };
            if value <= f1 {
                break;
            }
            f1 = value;
            covered.retain(|row| condition.holds(sample.columns[condition.feature][*row]));
            rule.conditions.push(condition);
        }
        let own = covered
            .iter()
            .filter(|row| sample.labels[**row] == label)
            .count();
        rule.precision = own as f64 / covered.len() as f64;
        rule.recall = own as f64 / total as f64;
        Ok(rule)
    }
}

/// Rows looked at, column by column in the units of the data.
struct Sample {
    columns: Vec<Vec<f64>>,
    centres: Vec<f64>,
    labels: Vec<i32>,
}

impl Sample {
    /// Thresholds of a column: round numbers between neighbouring values, at the quantiles.
    ///
    /// Not so near to a value that its rounding to f32 could have carried it across: the rule has to hold for the data.
    fn cuts(&self, column: usize) -> Vec<f64> {
        let centre = self.centres[column];
        let margin = |value: f64| (value - centre).abs() * f64::from(f32::EPSILON);
        let mut sorted = self.columns[column].clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let n = sorted.len();
        let mut cuts: Vec<f64> = (1..QUANTILES)
            .filter_map(|at| {
                let value = *sorted.get(at * n / QUANTILES)?;
                let below = sorted[..sorted.partition_point(|other| *other < value)].last()?;
                let (low, high) = (below + margin(*below), value - margin(value));
                (low < high).then(|| roundest(low, high))
            })
            .collect();
        cuts.dedup();
        cuts
    }
}

/// The number above `low`, up to `high`, with the fewest decimal digits; of those the nearest to the middle.
fn roundest(low: f64, high: f64) -> f64 {
    let middle = low + (high - low) / 2.0;
    let first = high.abs().max(low.abs()).log10().ceil() as i32 + 1;
    // Doubles have 17 digits.
    for power in (first - 18..=first).rev() {
        // Dividing by a whole power of ten, unlike multiplying by a tenth, rounds to the double that prints short.
        let unit = 10.0_f64.powi(power.abs());
        let (scaled, back): (f64, fn(f64, f64) -> f64) = if power >= 0 {
            (middle / unit, |whole, unit| whole * unit)
        } else {
            (middle * unit, |whole, unit| whole / unit)
        };
        let near = [scaled.round(), scaled.floor(), scaled.ceil()];
        let mut found = near.into_iter().map(|whole| back(whole, unit));
        if let Some(rounded) = found.find(|value| *value > low && *value <= high) {
            return rounded;
        }
    }
    high
}

/// F1 of a rule that covers `rows`, `own` of them of a cluster of `total`.
fn harmonic(own: usize, rows: usize, total: usize) -> f64 {
    if own == 0 {
        0.0
    } else {
        2.0 * own as f64 / (rows + total) as f64
    }
}

/// Means and standardised differences of all clusters.
fn effects(data: &dyn Blocks, labels: &[i32], host: &dyn Host) -> Result<Vec<ClusterProfile>> {
    let d = data.columns();
    let mut distinct = labels.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    let mut sizes = vec![0_usize; distinct.len()];
    let mut sums = vec![0.0; distinct.len() * d];
    let (mut totals, mut squares) = (vec![0.0; d], vec![0.0; d]);
    let mut scratch = Vec::new();
    for index in 0..data.blocks() {
        host.check()?;
        let rows = data.block(index, &mut scratch)?;
        for (row, label) in rows.chunks_exact(d).zip(&labels[index * BLOCK_ROWS..]) {
            let code = distinct.partition_point(|other| other < label);
            sizes[code] += 1;
            for (j, &value) in row.iter().enumerate() {
                let value = f64::from(value);
                sums[code * d + j] += value;
                totals[j] += value;
                squares[j] += value * value;
            }
        }
    }
    let n = labels.len() as f64;
    let deviation = |j: usize| {
        let mean: f64 = totals[j] / n;
        let variance = squares[j] / n - mean * mean;
        // Rows are kept around a mean, so that what is left of a constant column is rounding.
        if variance > 1e-14 * squares[j] / n {
            variance.sqrt()
        } else {
            0.0
        }
    };
    let deviations: Vec<f64> = (0..d).map(deviation).collect();
    let profiles = distinct.iter().enumerate().map(|(code, &label)| {
        let size = sizes[code] as f64;
        let features = (0..d).map(|j| {
            let sum = sums[code * d + j];
            let others = n - size;
            let effect = if others > 0.0 && deviations[j] > 0.0 {
                (sum / size - (totals[j] - sum) / others) / deviations[j]
            } else {
                0.0
            };
            FeatureEffect {
                mean: sum / size + data.centres()[j],
                overall_mean: totals[j] / n + data.centres()[j],
                effect,
            }
        });
        ClusterProfile {
            label,
            size: sizes[code],
            features: features.collect(),
            rule: Rule::default(),
        }
    });
    Ok(profiles.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DenseBlocks, Unlimited};
    use ndarray::{Array2, array};

    fn explain(x: &Array2<f64>, labels: &[i32]) -> Vec<ClusterProfile> {
        let blocks = DenseBlocks::from_rows(x.view(), &Unlimited).unwrap();
        ClusterExplanation::default()
            .fit(&blocks, labels, &Unlimited)
            .unwrap()
    }

    #[test]
    fn effects_by_hand() {
        let x = array![[0.0, 7.0], [2.0, 7.0], [10.0, 7.0], [12.0, 7.0]];
        let found = explain(&x, &[4, 4, -1, -1]);
        assert_eq!((found[0].label, found[0].size), (-1, 2));
        assert_eq!((found[1].label, found[1].size), (4, 2));
        let first = found[1].features[0];
        assert_eq!((first.mean, first.overall_mean), (1.0, 6.0));
        // The deviation of 0, 2, 10, 12 is the root of 26.
        assert!((first.effect + 10.0 / 26.0_f64.sqrt()).abs() < 1e-12);
        assert_eq!(found[1].features[1].effect, 0.0);
        assert_eq!(found[1].features[1].mean, 7.0);
    }

    #[test]
    fn a_rule_is_short_round_and_measured() {
        // Cluster 1: spend of 100 and more, and fewer than 3 returns.
        let x = Array2::from_shape_fn((1000, 3), |(i, j)| match j {
            0 => 50.0 + (i % 100) as f64 * 1.017,
            1 => (i * 7 % 10) as f64,
            _ => (i * 13 % 17) as f64,
        });
        let labels: Vec<i32> = x
            .outer_iter()
            .map(|row| i32::from(row[0] >= 100.0 && row[1] < 3.0))
            .collect();
        let found = explain(&x, &labels);
        let rule = &found[1].rule;
        assert_eq!((rule.precision, rule.recall), (1.0, 1.0));
        let features: Vec<usize> = rule.conditions.iter().map(|c| c.feature).collect();
        assert_eq!(features, [1, 0]);
        assert_eq!(rule.conditions[0].threshold, 2.5);
        assert_eq!(rule.conditions[0].direction, Direction::Below);
        // It holds for the data as given, not only as stored.
        for (row, &label) in x.outer_iter().zip(&labels) {
            let covered = rule.conditions.iter().all(|c| c.holds(row[c.feature]));
            assert_eq!(covered, label == 1);
        }
    }

    #[test]
    fn thresholds_are_round() {
        assert_eq!(roundest(1.93, 2.07), 2.0);
        assert_eq!(roundest(99.3, 100.2), 100.0);
        assert_eq!(roundest(0.123, 0.124), 0.124);
        assert_eq!(roundest(-0.5, 0.25), 0.0);
        assert_eq!(roundest(1234.5, 1240.0), 1240.0);
        assert_eq!(roundest(-7.0, -6.0), -6.0);
        assert_eq!(roundest(2.1, 2.9), 2.5);
        assert_eq!(roundest(1.0, 1.0 + f64::EPSILON), 1.0 + f64::EPSILON);
    }

    #[test]
    fn a_single_cluster_has_no_rule() {
        let found = explain(&array![[1.0], [2.0]], &[0, 0]);
        assert_eq!(found[0].rule, Rule::default());
        assert_eq!(found[0].features[0].effect, 0.0);
    }

    #[test]
    fn refuses_what_it_cannot_explain() {
        let blocks = |x: &Array2<f64>| DenseBlocks::from_rows(x.view(), &Unlimited).unwrap();
        let text = |params: ClusterExplanation, x: &Array2<f64>, labels: &[i32]| {
            params
                .fit(&blocks(x), labels, &Unlimited)
                .unwrap_err()
                .to_string()
        };
        let x = array![[1.0]];
        let plain = ClusterExplanation::default();
        assert_eq!(
            text(plain.clone(), &Array2::zeros((0, 1)), &[]),
            "there are no rows to explain"
        );
        let none = ClusterExplanation {
            sample: 0,
            ..plain.clone()
        };
        assert_eq!(text(none, &x, &[0]), "\"sample\" must be at least 1");
        let negative = ClusterExplanation {
            gain: -1.0,
            ..plain
        };
        assert_eq!(
            text(negative, &x, &[0]),
            "\"gain\" must not be negative, not -1"
        );
    }
}
