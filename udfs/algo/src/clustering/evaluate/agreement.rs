//! Agreement of a clustering with known classes, with the meaning that scikit-learn gives each measure.
//!
//! n rows; n_ij of them in cluster i and class j; a_i and b_j the sizes of clusters and classes. Labels are any numbers:
//! a negative one is a cluster like the others here, noise thus one cluster.

use crate::host::{Host, Meter, reserve_for};
use crate::parallel::ordered;
use crate::{Error, Result};

/// Measures of agreement; natural logarithms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LabelAgreement {
    /// Rand index corrected for chance (Hubert and Arabie 1985), -0.5 to 1.
    pub adjusted_rand: f64,
    /// Mutual information corrected for chance (Vinh, Epps and Bailey 2010) over the mean of the entropies.
    pub adjusted_mutual_information: f64,
    /// Whether clusters hold one class each (Rosenberg and Hirschberg 2007): mutual information over the entropy of the
    /// classes, 0 to 1; 1 when there is one class.
    pub homogeneity: f64,
    /// Whether classes lie in one cluster each: mutual information over the entropy of the clusters; 1 when there is one.
    pub completeness: f64,
    /// Harmonic mean of homogeneity and completeness; 0 when both are 0.
    pub v_measure: f64,
    /// Share of the rows that are of the most frequent class of their cluster.
    pub purity: f64,
    /// Clusters.
    pub clusters: usize,
    /// Classes.
    pub classes: usize,
}

/// Compares `labels` with `truth`, the cluster and the class of each row.
///
/// Time O(n log n + k c sqrt(n)) for k clusters and c classes, memory 16 n bytes.
///
/// # Errors
/// [`Error::Data`] when there are no rows; [`Error::Internal`] when the lengths differ; [`Error::OutOfMemory`];
/// [`Error::Cancelled`].
pub fn agreement(labels: &[i32], truth: &[i32], host: &dyn Host) -> Result<LabelAgreement> {
    if labels.len() != truth.len() {
        return Err(Error::Internal("a class for each row"));
    }
    if labels.is_empty() {
        return Err(Error::data(
            "there are no rows to compare",
            "Give a relation with at least one row.",
        ));
    }
    let _memory = reserve_for::<[u64; 2]>(host, labels.len(), "pairs of labels")?;
    host.check()?;
    let table = Contingency::new(labels, truth);
    let n = table.n as f64;
    let information = table.mutual_information();
    let (clusters, classes) = (entropy(&table.rows, n), entropy(&table.columns, n));
    let share = |of: f64| if of > 0.0 { information / of } else { 1.0 };
    let (homogeneity, completeness) = (share(classes), share(clusters));
    let both = homogeneity + completeness;
    let most: u64 = table
        .cells
        .chunk_by(|a, b| a.0 == b.0)
        .filter_map(|row| row.iter().map(|cell| cell.2).max())
        .sum();
    Ok(LabelAgreement {
        adjusted_rand: table.adjusted_rand(),
        adjusted_mutual_information: table.adjusted(
            information,
            (clusters + classes) / 2.0,
            host,
        )?,
        homogeneity,
        completeness,
        v_measure: if both > 0.0 {
            2.0 * homogeneity * completeness / both
        } else {
            0.0
        },
        purity: most as f64 / n,
        clusters: table.rows.len(),
        classes: table.columns.len(),
    })
}

/// Counts n_ij that are not zero, by cluster and class, and their sums.
struct Contingency {
    n: u64,
    cells: Vec<(u32, u32, u64)>,
    rows: Vec<u64>,
    columns: Vec<u64>,
}

impl Contingency {
    fn new(labels: &[i32], truth: &[i32]) -> Self {
        let (rows, labels) = dense(labels);
        let (columns, truth) = dense(truth);
        let mut pairs: Vec<(u32, u32)> = labels.into_iter().zip(truth).collect();
        pairs.sort_unstable();
        Self {
            n: pairs.len() as u64,
            cells: pairs
                .chunk_by(|a, b| a == b)
                .map(|equal| (equal[0].0, equal[0].1, equal.len() as u64))
                .collect(),
            rows,
            columns,
        }
    }

    /// From the counts of pairs of rows; 1 when no pair is together in one and apart in the other.
    fn adjusted_rand(&self) -> f64 {
        let pairs = |counts: &mut dyn Iterator<Item = u64>| -> f64 {
            counts.map(|n| n as f64 * (n as f64 - 1.0) / 2.0).sum()
        };
        let both = pairs(&mut self.cells.iter().map(|cell| cell.2));
        let rows = pairs(&mut self.rows.iter().copied());
        let columns = pairs(&mut self.columns.iter().copied());
        if rows == both && columns == both {
            return 1.0;
        }
        let expected = rows * columns / pairs(&mut std::iter::once(self.n));
        (both - expected) / ((rows + columns) / 2.0 - expected)
    }

    fn mutual_information(&self) -> f64 {
        let n = self.n as f64;
        let sum: f64 = self
            .cells
            .iter()
            .map(|&(i, j, count)| {
                let count = count as f64;
                let outer = self.rows[i as usize] as f64 * self.columns[j as usize] as f64;
                count / n * (n * count / outer).ln()
            })
            .sum();
        sum.max(0.0)
    }

    /// `(information - expected) / (mean entropy - expected)`; 1 when both labellings are one group.
    fn adjusted(&self, information: f64, entropy: f64, host: &dyn Host) -> Result<f64> {
        if self.rows.len() == 1 && self.columns.len() == 1 {
            return Ok(1.0);
        }
        let expected = self.expected_information(host)?;
        let away_from_zero = |value: f64| {
            if value < 0.0 {
                value.min(-f64::EPSILON)
            } else {
                value.max(f64::EPSILON)
            }
        };
        // Rounding noise over rounding noise is a perfect match of two labellings with as many groups as rows.
        let (above, below) = (information - expected, entropy - expected);
        if above.abs() < f64::EPSILON && below.abs() < f64::EPSILON {
            return Ok(1.0);
        }
        Ok(above / away_from_zero(below))
    }

    /// Expected mutual information of labellings with these group sizes, equation 24a of Vinh et al.: over each pair of
    /// sizes, over the hypergeometric distribution of n_ij.
    fn expected_information(&self, host: &dyn Host) -> Result<f64> {
        let sizes = |counts: &[u64]| -> Vec<(u64, f64)> {
            let mut counts = counts.to_vec();
            counts.sort_unstable();
            counts
                .chunk_by(|a, b| a == b)
                .map(|equal| (equal[0], equal.len() as f64))
                .collect()
        };
        // Groups of one size have one expectation.
        let (rows, columns) = (sizes(&self.rows), sizes(&self.columns));
        let mut total = 0.0;
        ordered(
            rows.len(),
            host,
            |row| {
                let mut meter = Meter::new(host);
                let (a, times) = rows[row];
                let mut sum = 0.0;
                for &(b, repeated) in &columns {
                    sum += times * repeated * expected_term(self.n, a, b, &mut meter)?;
                }
                Ok(sum)
            },
            |sum| {
                total += sum;
                Ok(())
            },
        )?;
        Ok(total)
    }
}

/// Sum over m of `m/n ln(n m / (a b)) P(m)`, where P is the chance that groups of a and b of n rows share m.
///
/// P is computed outward from its largest value, each from the last, until it no longer counts.
fn expected_term(n: u64, a: u64, b: u64, meter: &mut Meter<'_>) -> Result<f64> {
    let (total, first, second) = (n as f64, a as f64, b as f64);
    let (low, high) = ((a + b).saturating_sub(n).max(1), a.min(b));
    let mode = ((first + 1.0) * (second + 1.0) / (total + 2.0)) as u64;
    let mode = mode.clamp(low, high);
    let rest = |m: u64| (n + m - a - b) as f64;
    let chance = (ln_factorial(first)
        + ln_factorial(second)
        + ln_factorial(total - first)
        + ln_factorial(total - second)
        - ln_factorial(total)
        - ln_factorial(mode as f64)
        - ln_factorial(first - mode as f64)
        - ln_factorial(second - mode as f64)
        - ln_factorial(rest(mode)))
    .exp();
    let term = |m: u64, chance: f64| {
        let m = m as f64;
        m / total * (total * m / (first * second)).ln() * chance
    };
    let mut sum = term(mode, chance);
    let least = chance * 1e-20;
    let (mut m, mut p) = (mode, chance);
    while m < high && p > least {
        meter.spend(16)?;
        p *= (first - m as f64) * (second - m as f64) / ((m + 1) as f64 * rest(m + 1));
        m += 1;
        sum += term(m, p);
    }
    (m, p) = (mode, chance);
    while m > low && p > least {
        meter.spend(16)?;
        p *= m as f64 * rest(m) / ((first - m as f64 + 1.0) * (second - m as f64 + 1.0));
        m -= 1;
        sum += term(m, p);
    }
    Ok(sum)
}

/// `ln x!` for a whole number: the product below 32, from there Stirling's series, whose error is below 1e-15 of the value.
fn ln_factorial(x: f64) -> f64 {
    if x < 32.0 {
        let product: f64 = (2..=x as u32).map(f64::from).product();
        return product.ln();
    }
    let inverse = 1.0 / x;
    let square = inverse * inverse;
    let series = inverse * (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0)));
    (x + 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series
}

fn entropy(counts: &[u64], n: f64) -> f64 {
    if counts.len() < 2 {
        return 0.0;
    }
    counts
        .iter()
        .map(|&count| {
            let share = count as f64 / n;
            -share * share.ln()
        })
        .sum()
}

/// Sizes of the groups in the order of their labels, and the place of each row's label in it.
fn dense(labels: &[i32]) -> (Vec<u64>, Vec<u32>) {
    let mut distinct = labels.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    let mut sizes = vec![0; distinct.len()];
    let codes = labels
        .iter()
        .map(|label| {
            let code = distinct.partition_point(|other| other < label);
            sizes[code] += 1;
            code as u32
        })
        .collect();
    (sizes, codes)
}
