//! Non-negative matrix factorization by coordinate descent (Cichocki and Phan 2009, fast HALS), on sparse matrices whose unstored cells are zero.
//!
//! `X ~ W H^T` with W, n x k, and H, m x k, without negative values minimises `|X - W H^T|^2`. In turn each column of W, then of H, is set to its best
//! value given the others, cut off at zero; the loss never rises. The steps, their order and the criterion to stop are those of scikit-learn's `cd` solver
//! without shuffling.

use ndarray::Array2;
use rayon::prelude::*;

use crate::host::{Host, Meter, reserve_for};
use crate::parallel::ordered;
use crate::random::Random;
use crate::sparse::{Csr, Value};
use crate::{Error, Result};

/// Rows of a task.
const ROWS: usize = 256;

/// Parameters of the factorization.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Nmf {
    /// Columns of W and H, 1 to 2048.
    pub factors: usize,
    /// Iterations at most; at least 1.
    pub max_iter: usize,
    /// Iteration ends when the sum of the violations of optimality fell to `tol` times that of the first. Not negative.
    pub tol: f64,
    /// Seed of the first factors, `sqrt(mean of X / factors)` times the size of a normal number.
    pub seed: u64,
}

impl Default for Nmf {
    /// 16 factors, at most 200 iterations, `tol` 1e-4, seed 0.
    fn default() -> Self {
        Self {
            factors: 16,
            max_iter: 200,
            tol: 1e-4,
            seed: 0,
        }
    }
}

/// A factorization without negative values.
#[derive(Debug, Clone, PartialEq)]
pub struct NmfModel {
    /// Rows x factors.
    pub row_factors: Array2<f64>,
    /// Columns x factors.
    pub column_factors: Array2<f64>,
    /// `|X - W H^T|^2` over all cells.
    pub loss: f64,
    /// Iterations done.
    pub iterations: usize,
    /// Whether `tol` was reached, and not `max_iter`.
    pub converged: bool,
}

impl Nmf {
    /// Factorizes `matrix`, n x m of values of zero or more, from random factors or from those given, `(n x factors, m x factors)`.
    ///
    /// Time O(cells k + (n + m) k^2) an iteration, memory the transposed matrix and 16 (n + m) k bytes.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a parameter out of range; [`Error::Data`] for a matrix without positive values or with negative ones, or first factors of
    /// the wrong shape or below zero; [`Error::OutOfMemory`]; [`Error::Cancelled`].
    pub fn fit<V: Value>(
        &self,
        matrix: &Csr<V>,
        first: Option<(&Array2<f64>, &Array2<f64>)>,
        host: &dyn Host,
    ) -> Result<NmfModel> {
        self.check()?;
        let (n, m, k) = (matrix.rows(), matrix.columns(), self.factors);
        let sum: f64 = matrix.values().iter().map(|value| value.to_f64()).sum();
        if matrix.values().iter().any(|value| value.to_f64() < 0.0) {
            return Err(Error::data(
                "there are negative values",
                "Give values of zero or more.",
            ));
        }
        if !(sum > 0.0 && sum.is_finite()) {
            return Err(Error::data(
                "there are no positive values to factorize",
                "Give a relation with at least one row of positive value.",
            ));
        }
        let _memory =
            reserve_for::<[f64; 2]>(host, n.saturating_add(m).saturating_mul(k), "factors")?;
        let transposed = matrix.transposed(host)?;
        let (mut w, mut h) = match first {
            Some((w, h)) => {
                for (array, rows) in [(w, n), (h, m)] {
                    if array.dim() != (rows, k)
                        || array.iter().any(|v| !(*v >= 0.0 && v.is_finite()))
                    {
                        return Err(Error::data(
                            format!(
                                "the first factors must be {rows} x {k} values of zero or more"
                            ),
                            "Continue from a model of the same rows, columns and number of factors.",
                        ));
                    }
                }
                (w.iter().copied().collect(), h.iter().copied().collect())
            }
            None => {
                let scale = (sum / (n as f64 * m as f64) / k as f64).sqrt();
                let draw = |rows: usize, stream| {
                    let mut random = Random::stream(self.seed, stream);
                    (0..rows * k)
                        .map(|_| scale * random.normal().abs())
                        .collect::<Vec<f64>>()
                };
                (draw(n, 0), draw(m, 1))
            }
        };
        let mut start = 0.0;
        let (mut iterations, mut converged) = (0, false);
        while iterations < self.max_iter && !converged {
            iterations += 1;
            let violation = self.sweep(matrix, &mut w, &h, host)?
                + self.sweep(&transposed, &mut h, &w, host)?;
            if iterations == 1 {
                start = violation;
            }
            converged = violation <= self.tol * start;
            let share = if start > 0.0 { violation / start } else { 0.0 };
            host.progress(
                "nmf iterations",
                iterations as u64,
                self.max_iter as u64,
                Some(share),
            );
        }
        let loss = self.loss(matrix, &w, &h, host)?;
        let array = |values, rows| {
            Array2::from_shape_vec((rows, k), values).map_err(|_| Error::Internal("rows x factors"))
        };
        Ok(NmfModel {
            row_factors: array(w, n)?,
            column_factors: array(h, m)?,
            loss,
            iterations,
            converged,
        })
    }

    fn check(&self) -> Result<()> {
        let most = super::als::FACTORS_MAX;
        if !(1..=most).contains(&self.factors) {
            return Err(Error::parameter(
                "factors",
                format!("\"factors\" must be from 1 to {most}, not {}", self.factors),
                "Give the number of parts, such as 16.",
            ));
        }
        if self.max_iter < 1 {
            return Err(Error::parameter(
                "max_iter",
                "\"max_iter\" must be at least 1",
                "Give the largest number of iterations, such as 200.",
            ));
        }
        if !(self.tol >= 0.0 && self.tol < 1.0) {
            return Err(Error::parameter(
                "tol",
                format!("\"tol\" must be from 0 to below 1, not {}", self.tol),
                "Give a small number such as 0.0001.",
            ));
        }
        Ok(())
    }

    /// One pass over all values of `rows`; returns the sum of the violations of optimality before each step.
    fn sweep<V: Value>(
        &self,
        matrix: &Csr<V>,
        rows: &mut [f64],
        other: &[f64],
        host: &dyn Host,
    ) -> Result<f64> {
        let k = self.factors;
        let gram = self.gram(other, host)?;
        let parts = rows
            .par_chunks_mut(ROWS * k)
            .enumerate()
            .map(|(chunk, rows)| {
                let mut meter = Meter::new(host);
                host.check()?;
                let mut right = vec![0.0; k];
                let mut violation = 0.0;
                for (at, row) in rows.chunks_exact_mut(k).enumerate() {
                    let (columns, values) = matrix.row(chunk * ROWS + at);
                    meter.spend(k * (k + columns.len()))?;
                    right.fill(0.0);
                    for (&column, value) in columns.iter().zip(values) {
                        let value = value.to_f64();
                        let other = &other[column as usize * k..][..k];
                        for (to, other) in right.iter_mut().zip(other) {
                            *to += value * other;
                        }
                    }
                    for t in 0..k {
                        let products = row.iter().zip(&gram[t * k..(t + 1) * k]);
                        let gradient = products.map(|(w, g)| w * g).sum::<f64>() - right[t];
                        let bound = row[t] == 0.0;
                        violation += if bound { gradient.min(0.0) } else { gradient }.abs();
                        let curvature = gram[t * (k + 1)];
                        if curvature != 0.0 {
                            row[t] = (row[t] - gradient / curvature).max(0.0);
                        }
                    }
                }
                Ok(violation)
            })
            .collect::<Result<Vec<f64>>>()?;
        Ok(parts.iter().sum())
    }

    /// The products of the columns with each other, k x k.
    fn gram(&self, rows: &[f64], host: &dyn Host) -> Result<Vec<f64>> {
        let k = self.factors;
        let mut gram = vec![0.0; k * k];
        ordered(
            rows.len().div_ceil(ROWS * k),
            host,
            |chunk| {
                let end = ((chunk + 1) * ROWS * k).min(rows.len());
                let rows = &rows[chunk * ROWS * k..end];
                Ok(super::dense::inner_product(rows, rows, k, k))
            },
            |part| {
                for (sum, value) in gram.iter_mut().zip(part) {
                    *sum += value;
                }
                Ok(())
            },
        )?;
        Ok(gram)
    }

    /// `|X|^2 - 2 X . W H^T + W^T W . H^T H`.
    fn loss<V: Value>(
        &self,
        matrix: &Csr<V>,
        w: &[f64],
        h: &[f64],
        host: &dyn Host,
    ) -> Result<f64> {
        let k = self.factors;
        let (of_rows, of_columns) = (self.gram(w, host)?, self.gram(h, host)?);
        let mut loss: f64 = of_rows.iter().zip(&of_columns).map(|(a, b)| a * b).sum();
        let mut meter = Meter::new(host);
        for (row, w) in w.chunks_exact(k).enumerate() {
            let (columns, values) = matrix.row(row);
            meter.spend(k * columns.len() + 1)?;
            for (&column, value) in columns.iter().zip(values) {
                let value = value.to_f64();
                let h = &h[column as usize * k..][..k];
                let product: f64 = w.iter().zip(h).map(|(w, h)| w * h).sum();
                loss += value * (value - 2.0 * product);
            }
        }
        Ok(loss.max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Unlimited;
    use crate::sparse::Duplicates;

    fn drawn(n: usize, m: usize, cells: usize) -> Csr<f64> {
        let mut random = Random::stream(3, 0);
        let mut triples = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..cells {
            triples.0.push(random.below(n) as u32);
            triples.1.push(random.below(m) as u32);
            triples.2.push(1.0 + random.below(5) as f64);
        }
        Csr::from_triples(
            n,
            m,
            &triples.0,
            &triples.1,
            &triples.2,
            Duplicates::Max,
            &Unlimited,
        )
        .unwrap()
    }

    #[test]
    fn two_blocks_come_apart() {
        // Two rank-one blocks: the exact factorization has loss zero.
        let matrix = Csr::from_triples(
            4,
            4,
            &[0, 0, 1, 1, 2, 2, 3, 3],
            &[0, 1, 0, 1, 2, 3, 2, 3],
            &[1.0, 2.0, 2.0, 4.0, 3.0, 3.0, 1.0, 1.0],
            Duplicates::Refuse,
            &Unlimited,
        )
        .unwrap();
        let model = Nmf {
            factors: 2,
            tol: 1e-10,
            max_iter: 5000,
            ..Nmf::default()
        }
        .fit(&matrix, None, &Unlimited)
        .unwrap();
        assert!(model.loss < 1e-6 && model.converged, "{}", model.loss);
        let back = model.row_factors.dot(&model.column_factors.t());
        assert!((back[[1, 1]] - 4.0).abs() < 1e-3 && back[[0, 2]].abs() < 1e-3);
    }

    #[test]
    fn the_loss_is_that_of_the_product_and_never_rises() {
        let matrix = drawn(30, 20, 150);
        let mut last = f64::INFINITY;
        for max_iter in 1..15 {
            let model = Nmf {
                factors: 4,
                max_iter,
                tol: 0.0,
                seed: 1,
            }
            .fit(&matrix, None, &Unlimited)
            .unwrap();
            let mut dense = -model.row_factors.dot(&model.column_factors.t());
            for row in 0..30 {
                let (columns, values) = matrix.row(row);
                for (&column, value) in columns.iter().zip(values) {
                    dense[[row, column as usize]] += value;
                }
            }
            let expected: f64 = dense.iter().map(|value| value * value).sum();
            assert!((model.loss - expected).abs() < 1e-8 * expected);
            assert!(model.loss <= last * (1.0 + 1e-12));
            last = model.loss;
            assert!(
                model
                    .row_factors
                    .iter()
                    .chain(&model.column_factors)
                    .all(|value| *value >= 0.0)
            );
        }
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let matrix = drawn(700, 600, 4000);
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let params = Nmf {
                factors: 5,
                max_iter: 5,
                ..Nmf::default()
            };
            pool.install(|| params.fit(&matrix, None, &Unlimited).unwrap())
        };
        let one = run(1);
        for threads in [2, 3] {
            assert_eq!(run(threads), one);
        }
    }

    #[test]
    fn refuses_bad_parameters_and_data() {
        let matrix = drawn(3, 3, 5);
        let base = Nmf::default();
        let text = |params: Nmf| {
            params
                .fit(&matrix, None, &Unlimited)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            text(Nmf { factors: 0, ..base }),
            "\"factors\" must be from 1 to 2048, not 0"
        );
        assert_eq!(
            text(Nmf {
                max_iter: 0,
                ..base
            }),
            "\"max_iter\" must be at least 1"
        );
        assert_eq!(
            text(Nmf { tol: -1.0, ..base }),
            "\"tol\" must be from 0 to below 1, not -1"
        );
        let text = |value: f64| {
            let matrix =
                Csr::from_triples(1, 1, &[0], &[0], &[value], Duplicates::Sum, &Unlimited).unwrap();
            base.fit(&matrix, None, &Unlimited).unwrap_err().to_string()
        };
        assert_eq!(text(-1.0), "there are negative values");
        assert_eq!(text(0.0), "there are no positive values to factorize");
        let wrong = Array2::zeros((3, 1));
        assert!(
            base.fit(&matrix, Some((&wrong, &wrong)), &Unlimited)
                .is_err()
        );
    }
}
