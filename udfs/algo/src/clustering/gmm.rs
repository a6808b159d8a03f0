//! Mixtures of normal distributions by expectation and maximisation (Dempster, Laird and Rubin 1977), with the parameters
//! and the stopping rule of scikit-learn.
//!
//! k components of weight w, mean m and covariance S. A pass over the blocks computes for each row x the chances r of the
//! components (E) and at once the sums that the next parameters are made of (M), measured from the present means so that
//! nothing cancels. Rows are f32 around their column means, all else f64.

use ndarray::Array2;

use super::kmeans::{Init, KMeans};
use crate::blocks::{BLOCK_ROWS, Blocks, for_each_block};
use crate::host::{Host, Meter, reserve_for};
use crate::{Error, Result};

/// The shape of the covariances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Covariance {
    /// Any ellipsoid: d x d values a component.
    #[default]
    Full,
    /// Along the columns: d variances a component.
    Diagonal,
}

/// Parameters of a Gaussian mixture.
#[derive(Debug, Clone, PartialEq)]
pub struct Gmm {
    /// Number of components, from 1 to the number of rows.
    pub k: usize,
    /// Shape of the covariances.
    pub covariance: Covariance,
    /// Starts from different k-means clusterings; the one with the largest likelihood is kept, the first on a tie.
    pub n_init: usize,
    /// Iterations of a start at most.
    pub max_iter: usize,
    /// A start ends when the mean log-likelihood of a row changes by less than this. Positive.
    pub tol: f64,
    /// Added to the variances, in squared units of the data. Not negative.
    pub reg_covar: f64,
    /// First centroids of the k-means clustering that is started from.
    pub init: Init,
    /// Seed of `init`; start i has seed + i.
    pub seed: u64,
}

impl Default for Gmm {
    /// One component with a full covariance, one start of at most 100 iterations, `tol` 1e-3, `reg_covar` 1e-6, k-means++.
    fn default() -> Self {
        Self {
            k: 1,
            covariance: Covariance::default(),
            n_init: 1,
            max_iter: 100,
            tol: 1e-3,
            reg_covar: 1e-6,
            init: Init::default(),
            seed: 0,
        }
    }
}

/// A fitted mixture and the components of the rows it was fitted to.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixture {
    /// Share of each component; they sum to 1.
    pub weights: Vec<f64>,
    /// k rows x d columns, in the units of the data.
    pub means: Array2<f64>,
    /// Of each component: d x d, or 1 x d variances when diagonal.
    pub covariances: Vec<Array2<f64>>,
    /// Most probable component of each row, the smallest on a tie.
    pub labels: Vec<u32>,
    /// Its probability given the row.
    pub probabilities: Vec<f64>,
    /// Mean log-likelihood of a row under the parameters before the last maximisation, which the iterations watch.
    pub lower_bound: f64,
    /// Mean log-likelihood of a row.
    pub log_likelihood: f64,
    /// Bayesian information criterion (Schwarz 1978), less is better.
    pub bic: f64,
    /// Akaike's information criterion (1974), less is better.
    pub aic: f64,
    /// Iterations of the start that was kept.
    pub iterations: usize,
    /// Whether it ended by `tol`.
    pub converged: bool,
}

impl Gmm {
    /// Fits the mixture to the rows of `data`.
    ///
    /// Time O(n k d^2) an iteration, O(n k d) when diagonal, beside k-means; memory 12 n bytes and k d^2 sums for each block
    /// in flight.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a parameter out of range; [`Error::Data`] for no rows, no columns, a spread beyond single
    /// precision, or a component whose covariance has no inverse; [`Error::OutOfMemory`]; [`Error::Cancelled`].
    pub fn fit(&self, data: &dyn Blocks, host: &dyn Host) -> Result<Mixture> {
        self.check()?;
        let _rows = reserve_for::<[f32; 3]>(host, data.rows(), "labels and probabilities")?;
        let in_flight = rayon::current_num_threads()
            .saturating_mul(8)
            .saturating_add(4);
        let d = data.columns();
        let cells = self
            .k
            .saturating_mul(d.saturating_add(1))
            .saturating_mul(d.saturating_add(1));
        let _sums = reserve_for::<f64>(host, cells.saturating_mul(in_flight), "component sums")?;
        let mut best: Option<Run> = None;
        for start in 0..self.n_init {
            let run = self.run(data, self.seed.wrapping_add(start as u64), host)?;
            if best
                .as_ref()
                .is_none_or(|best| run.lower_bound > best.lower_bound)
            {
                best = Some(run);
            }
        }
        let run = best.ok_or(Error::Internal("a mixture is fitted at least once"))?;
        run.finish(data, host)
    }

    fn check(&self) -> Result<()> {
        if self.n_init < 1 {
            return Err(Error::parameter(
                "n_init",
                "\"n_init\" must be at least 1",
                "Give the number of starts, such as 5.",
            ));
        }
        if self.max_iter < 1 {
            return Err(Error::parameter(
                "max_iter",
                "\"max_iter\" must be at least 1",
                "Give the largest number of iterations, such as 100.",
            ));
        }
        if !(self.tol > 0.0 && self.tol.is_finite()) {
            return Err(Error::parameter(
                "tol",
                format!("\"tol\" must be positive, not {}", self.tol),
                "Give a small number such as 0.001.",
            ));
        }
        if !(self.reg_covar >= 0.0 && self.reg_covar.is_finite()) {
            return Err(Error::parameter(
                "reg_covar",
                format!("\"reg_covar\" must not be negative, not {}", self.reg_covar),
                "Give a small number such as 0.000001.",
            ));
        }
        Ok(())
    }

    fn run(&self, data: &dyn Blocks, seed: u64, host: &dyn Host) -> Result<Run> {
        let clusters = KMeans {
            k: self.k,
            init: self.init.clone(),
            seed,
            ..KMeans::default()
        }
        .fit(data, None, host)?;
        let d = data.columns();
        let mut means: Vec<f64> = Vec::with_capacity(self.k * d);
        for row in clusters.centroids.outer_iter() {
            means.extend(
                row.iter()
                    .zip(data.centres())
                    .map(|(value, centre)| value - centre),
            );
        }
        let hard = Sums::of_labels(data, &means, &clusters.labels, self.covariance, host)?;
        let mut parameters = self.maximise(&means, &hard, d)?;
        let mut lower_bound = f64::NEG_INFINITY;
        let mut iterations = 0;
        let mut converged = false;
        while iterations < self.max_iter && !converged {
            iterations += 1;
            let sums = parameters.expect(data, host)?;
            let bound = sums.log_likelihood / data.rows() as f64;
            host.progress(
                "mixture iterations",
                iterations as u64,
                self.max_iter as u64,
                Some(-bound),
            );
            parameters = self.maximise(&parameters.means, &sums, d)?;
            converged = (bound - lower_bound).abs() < self.tol;
            lower_bound = bound;
        }
        Ok(Run {
            parameters,
            lower_bound,
            iterations,
            converged,
        })
    }

    /// Parameters from sums that were measured from `means`.
    fn maximise(&self, means: &[f64], sums: &Sums, d: usize) -> Result<Parameters> {
        let width = sums.covariance.width(d);
        let mut components = Vec::with_capacity(self.k);
        let mut new_means = Vec::with_capacity(means.len());
        // As in scikit-learn: a component that no row has leans on nothing but its regularisation.
        let weights = sums.weights.iter().map(|sum| sum + 10.0 * f64::EPSILON);
        let weights: Vec<f64> = weights.collect();
        let total: f64 = weights.iter().sum();
        for (k, mean) in means.chunks_exact(d).enumerate() {
            let weight = weights[k];
            let shift: Vec<f64> = sums.firsts[k * d..][..d]
                .iter()
                .map(|s| s / weight)
                .collect();
            let mut covariance: Vec<f64> = sums.seconds[k * width..][..width]
                .iter()
                .map(|s| s / weight)
                .collect();
            match self.covariance {
                Covariance::Diagonal => {
                    for (value, shift) in covariance.iter_mut().zip(&shift) {
                        *value = *value - shift * shift + self.reg_covar;
                    }
                }
                Covariance::Full => {
                    for i in 0..d {
                        for j in 0..=i {
                            covariance[i * d + j] -= shift[i] * shift[j];
                            covariance[j * d + i] = covariance[i * d + j];
                        }
                        covariance[i * d + i] += self.reg_covar;
                    }
                }
            }
            let component = Component::new(weight / total, covariance, self.covariance, d);
            components.push(component.ok_or_else(|| {
                Error::data(
                    format!("the covariance of component {k} has no inverse"),
                    "Raise \"reg_covar\", lower \"k\", or leave out columns that depend on others.",
                )
            })?);
            new_means.extend(mean.iter().zip(&shift).map(|(mean, shift)| mean + shift));
        }
        Ok(Parameters {
            d,
            covariance: self.covariance,
            means: new_means,
            components,
        })
    }
}

impl Mixture {
    /// Most probable component and its probability for each row of `data`.
    ///
    /// # Errors
    /// [`Error::Data`] when the rows have other columns than the means; [`Error::OutOfMemory`]; [`Error::Cancelled`].
    pub fn predict(&self, data: &dyn Blocks, host: &dyn Host) -> Result<(Vec<u32>, Vec<f64>)> {
        let (k, d) = self.means.dim();
        if d != data.columns() || k == 0 || self.covariances.len() != k || self.weights.len() != k {
            return Err(Error::data(
                format!(
                    "the model has {k} components of {d} columns, but the rows have {} columns",
                    data.columns()
                ),
                "Give the columns that the model was trained on.",
            ));
        }
        let _rows = reserve_for::<[f32; 3]>(host, data.rows(), "labels and probabilities")?;
        let covariance = if d > 1 && self.covariances[0].nrows() == 1 {
            Covariance::Diagonal
        } else {
            Covariance::Full
        };
        let mut means = Vec::with_capacity(k * d);
        for row in self.means.outer_iter() {
            means.extend(
                row.iter()
                    .zip(data.centres())
                    .map(|(value, centre)| value - centre),
            );
        }
        let components = self
            .weights
            .iter()
            .zip(&self.covariances)
            .map(|(&weight, matrix)| {
                Component::new(weight, matrix.iter().copied().collect(), covariance, d)
            });
        let parameters = Parameters {
            d,
            covariance,
            means,
            components: components
                .collect::<Option<_>>()
                .ok_or(Error::Internal("a model has covariances with inverses"))?,
        };
        let (labels, probabilities, _) = parameters.labels(data, host)?;
        Ok((labels, probabilities))
    }

    /// Memory that the mixture holds.
    pub fn bytes(&self) -> usize {
        let cells: usize = self.covariances.iter().map(Array2::len).sum();
        (cells + self.means.len() + self.weights.len() + self.probabilities.len())
            * size_of::<f64>()
            + self.labels.len() * size_of::<u32>()
    }
}

impl Covariance {
    /// Values of a covariance.
    fn width(self, d: usize) -> usize {
        match self {
            Self::Full => d * d,
            Self::Diagonal => d,
        }
    }
}

/// A start that has ended.
struct Run {
    parameters: Parameters,
    lower_bound: f64,
    iterations: usize,
    converged: bool,
}

impl Run {
    fn finish(self, data: &dyn Blocks, host: &dyn Host) -> Result<Mixture> {
        let (labels, probabilities, total) = self.parameters.labels(data, host)?;
        let Parameters {
            d,
            covariance,
            means,
            components,
        } = self.parameters;
        let (n, k) = (data.rows() as f64, components.len());
        let per_component = match covariance {
            Covariance::Full => d * (d + 1) / 2 + d,
            Covariance::Diagonal => 2 * d,
        };
        let free = (k * per_component + k - 1) as f64;
        let mut means =
            Array2::from_shape_vec((k, d), means).map_err(|_| Error::Internal("k x d means"))?;
        for mut row in means.outer_iter_mut() {
            for (value, centre) in row.iter_mut().zip(data.centres()) {
                *value += centre;
            }
        }
        let rows = covariance.width(d) / d;
        let covariances = components
            .iter()
            .map(|component| Array2::from_shape_vec((rows, d), component.covariance.clone()));
        Ok(Mixture {
            weights: components
                .iter()
                .map(|component| component.weight)
                .collect(),
            means,
            covariances: covariances
                .collect::<std::result::Result<_, _>>()
                .map_err(|_| Error::Internal("d x d covariances"))?,
            labels,
            probabilities,
            lower_bound: self.lower_bound,
            log_likelihood: total / n,
            bic: free * n.ln() - 2.0 * total,
            aic: 2.0 * free - 2.0 * total,
            iterations: self.iterations,
            converged: self.converged,
        })
    }
}

/// A mixture, its means around the centres of the data.
struct Parameters {
    d: usize,
    covariance: Covariance,
    means: Vec<f64>,
    components: Vec<Component>,
}

/// A component of a mixture.
struct Component {
    weight: f64,
    covariance: Vec<f64>,
    /// Lower triangle L of the covariance L L', row by row, its diagonal inverted; or the inverted deviations.
    factor: Vec<f64>,
    /// Log of the weight and of the density's factor.
    log_scale: f64,
}

impl Component {
    /// `None` when the covariance is not positive definite.
    fn new(weight: f64, covariance: Vec<f64>, shape: Covariance, d: usize) -> Option<Self> {
        let factor = match shape {
            Covariance::Diagonal => covariance
                .iter()
                .map(|&variance| (variance > 0.0).then(|| 1.0 / variance.sqrt()))
                .collect::<Option<Vec<f64>>>()?,
            Covariance::Full => cholesky(&covariance, d)?,
        };
        let diagonal = match shape {
            Covariance::Diagonal => 1,
            Covariance::Full => d + 1,
        };
        let log_inverse: f64 = factor
            .iter()
            .step_by(diagonal)
            .map(|value| value.ln())
            .sum();
        let circle = d as f64 / 2.0 * (2.0 * std::f64::consts::PI).ln();
        Some(Self {
            log_scale: weight.ln() + log_inverse - circle,
            weight,
            covariance,
            factor,
        })
    }

    /// Log of weight times density at `mean + away`; `scratch` has room for d values.
    fn log_density(&self, away: &[f64], shape: Covariance, scratch: &mut [f64]) -> f64 {
        let d = away.len();
        let squared: f64 = match shape {
            Covariance::Diagonal => away
                .iter()
                .zip(&self.factor)
                .map(|(away, inverse)| (away * inverse) * (away * inverse))
                .sum(),
            Covariance::Full => {
                // Forward substitution: the length of the solution y of L y = x - m.
                let mut squared = 0.0;
                for (i, row) in self.factor.chunks_exact(d).enumerate() {
                    let known: f64 = row[..i].iter().zip(&*scratch).map(|(l, y)| l * y).sum();
                    let y = (away[i] - known) * row[i];
                    scratch[i] = y;
                    squared += y * y;
                }
                squared
            }
        };
        self.log_scale - 0.5 * squared
    }
}

impl Parameters {
    /// Log of weight times density of each component at a row; `away` keeps the row measured from the means.
    fn log_densities(&self, row: &[f32], away: &mut [f64], logs: &mut [f64], scratch: &mut [f64]) {
        let means = self.means.chunks_exact(self.d);
        let components = self.components.iter().zip(means).zip(logs);
        for (((component, mean), log), away) in components.zip(away.chunks_exact_mut(self.d)) {
            for ((away, &x), mean) in away.iter_mut().zip(row).zip(mean) {
                *away = f64::from(x) - mean;
            }
            *log = component.log_density(away, self.covariance, scratch);
        }
    }

    fn work_of_row(&self) -> usize {
        self.components.len() * self.covariance.width(self.d)
    }

    /// The E step, with the sums of the M step.
    fn expect(&self, data: &dyn Blocks, host: &dyn Host) -> Result<Sums> {
        let (k, d) = (self.components.len(), self.d);
        let mut total = Sums::new(k, d, self.covariance);
        for_each_block(
            data,
            host,
            |_, rows| {
                let mut meter = Meter::new(host);
                let mut sums = Sums::new(k, d, self.covariance);
                let (mut away, mut logs) = (vec![0.0; k * d], vec![0.0; k]);
                let mut scratch = vec![0.0; d];
                for row in rows.chunks_exact(d) {
                    meter.spend(2 * self.work_of_row())?;
                    self.log_densities(row, &mut away, &mut logs, &mut scratch);
                    let all = log_sum(&logs);
                    sums.log_likelihood += all;
                    for (k, (log, away)) in logs.iter().zip(away.chunks_exact(d)).enumerate() {
                        let chance = (log - all).exp();
                        if chance > 0.0 {
                            sums.add(k, away, chance);
                        }
                    }
                }
                Ok(sums)
            },
            |sums| {
                total.merge(&sums);
                Ok(())
            },
        )?;
        Ok(total)
    }

    /// Most probable components, their probabilities, and the log-likelihood of all rows.
    fn labels(&self, data: &dyn Blocks, host: &dyn Host) -> Result<(Vec<u32>, Vec<f64>, f64)> {
        let (k, d) = (self.components.len(), self.d);
        let mut labels = Vec::with_capacity(data.rows());
        let mut probabilities = Vec::with_capacity(data.rows());
        let mut total = 0.0;
        for_each_block(
            data,
            host,
            |_, rows| {
                let mut meter = Meter::new(host);
                let (mut away, mut logs) = (vec![0.0; k * d], vec![0.0; k]);
                let mut scratch = vec![0.0; d];
                let mut found = Vec::with_capacity(BLOCK_ROWS);
                let mut sum = 0.0;
                for row in rows.chunks_exact(d) {
                    meter.spend(self.work_of_row())?;
                    self.log_densities(row, &mut away, &mut logs, &mut scratch);
                    let all = log_sum(&logs);
                    let mut most = 0;
                    for (k, log) in logs.iter().enumerate() {
                        if *log > logs[most] {
                            most = k;
                        }
                    }
                    sum += all;
                    found.push((most as u32, (logs[most] - all).exp()));
                }
                Ok((found, sum))
            },
            |(found, sum)| {
                for (label, probability) in found {
                    labels.push(label);
                    probabilities.push(probability);
                }
                total += sum;
                Ok(())
            },
        )?;
        Ok((labels, probabilities, total))
    }
}

/// Sums over rows, weighted by the chances of the components and measured from their means.
struct Sums {
    covariance: Covariance,
    weights: Vec<f64>,
    firsts: Vec<f64>,
    /// Products of pairs of columns, the lower triangle; or squares.
    seconds: Vec<f64>,
    log_likelihood: f64,
}

impl Sums {
    fn new(k: usize, d: usize, covariance: Covariance) -> Self {
        Self {
            covariance,
            weights: vec![0.0; k],
            firsts: vec![0.0; k * d],
            seconds: vec![0.0; k * covariance.width(d)],
            log_likelihood: 0.0,
        }
    }

    /// Sums of rows that belong to one component each.
    fn of_labels(
        data: &dyn Blocks,
        means: &[f64],
        labels: &[u32],
        covariance: Covariance,
        host: &dyn Host,
    ) -> Result<Self> {
        let d = data.columns();
        let mut total = Self::new(means.len() / d, d, covariance);
        for_each_block(
            data,
            host,
            |index, rows| {
                let mut meter = Meter::new(host);
                let mut sums = Self::new(means.len() / d, d, covariance);
                let mut away = vec![0.0; d];
                for (row, &label) in rows.chunks_exact(d).zip(&labels[index * BLOCK_ROWS..]) {
                    meter.spend(covariance.width(d))?;
                    let k = label as usize;
                    for ((away, &x), mean) in away.iter_mut().zip(row).zip(&means[k * d..]) {
                        *away = f64::from(x) - mean;
                    }
                    sums.add(k, &away, 1.0);
                }
                Ok(sums)
            },
            |sums| {
                total.merge(&sums);
                Ok(())
            },
        )?;
        Ok(total)
    }

    fn add(&mut self, k: usize, away: &[f64], chance: f64) {
        let d = away.len();
        self.weights[k] += chance;
        for (sum, away) in self.firsts[k * d..][..d].iter_mut().zip(away) {
            *sum += chance * away;
        }
        let width = self.covariance.width(d);
        let seconds = &mut self.seconds[k * width..][..width];
        match self.covariance {
            Covariance::Diagonal => {
                for (sum, away) in seconds.iter_mut().zip(away) {
                    *sum += chance * away * away;
                }
            }
            Covariance::Full => {
                for (i, row) in seconds.chunks_exact_mut(d).enumerate() {
                    let scaled = chance * away[i];
                    for (sum, away) in row[..=i].iter_mut().zip(away) {
                        *sum += scaled * away;
                    }
                }
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        let sums = [
            (&mut self.weights, &other.weights),
            (&mut self.firsts, &other.firsts),
            (&mut self.seconds, &other.seconds),
        ];
        for (to, from) in sums {
            for (to, from) in to.iter_mut().zip(from) {
                *to += from;
            }
        }
        self.log_likelihood += other.log_likelihood;
    }
}

/// `ln sum exp`, by the largest.
fn log_sum(logs: &[f64]) -> f64 {
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    largest
        + logs
            .iter()
            .map(|log| (log - largest).exp())
            .sum::<f64>()
            .ln()
}

/// Lower triangle L of a symmetric matrix L L', its diagonal inverted; `None` when it is not positive definite.
fn cholesky(matrix: &[f64], d: usize) -> Option<Vec<f64>> {
    let mut factor = vec![0.0; d * d];
    for i in 0..d {
        for j in 0..=i {
            let mut sum = matrix[i * d + j];
            for k in 0..j {
                sum -= factor[i * d + k] * factor[j * d + k];
            }
            factor[i * d + j] = if i > j {
                sum * factor[j * d + j]
            } else if sum > 0.0 && sum.is_finite() {
                1.0 / sum.sqrt()
            } else {
                return None;
            };
        }
    }
    Some(factor)
}

#[cfg(test)]
mod tests;
