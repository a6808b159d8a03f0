//! The truncated singular value decomposition of a sparse matrix whose unstored cells are zero.
//!
//! Small matrices are decomposed whole. For others a random subspace is turned into that of the largest singular values by
//! power iterations with orthonormalisation on both sides (Halko, Martinsson and Tropp 2011, algorithm 4.4), in f64 and until the values stand
//! still. Start at [`Svd::fit`].

use ndarray::Array2;
use rayon::prelude::*;

use super::dense::{Thin, thin_svd};
use super::panel::Panel;
use crate::host::{Host, Meter, reserve_for};
use crate::simd::{add_scaled_double, vectorised};
use crate::sparse::{Csr, Value};
use crate::{Error, Result};

/// A matrix of n x m with `n m min(n, m)` up to this is decomposed whole: some 20 ms of work that cannot be cancelled.
const WHOLE: usize = 1 << 25;

/// Parameters of the truncated decomposition.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Svd {
    /// Singular values and vectors wanted, from 1 to the smaller side of the matrix.
    pub k: usize,
    /// Further directions that are iterated along, for faster convergence.
    pub oversamples: usize,
    /// Iterations at most, each a product with the matrix and one with its transpose.
    pub max_iter: usize,
    /// Iteration ends when no wanted singular value changed by more than `tol` times the largest. Not negative.
    pub tol: f64,
    /// Seed of the first subspace.
    pub seed: u64,
}

impl Default for Svd {
    /// k = 2, 10 oversamples, at most 50 iterations, `tol` 1e-7, seed 0.
    fn default() -> Self {
        Self {
            k: 2,
            oversamples: 10,
            max_iter: 50,
            tol: 1e-7,
            seed: 0,
        }
    }
}

/// `A ~ left diag(sigma) right^T`, the best approximation of rank k in the least-squares sense (Eckart and Young 1936).
///
/// Signs: the entry of largest magnitude in each right vector is positive, the first of those within 1e-9 of the
/// largest; scikit-learn's `svd_flip` by V, made safe against ties.
#[derive(Debug, Clone, PartialEq)]
pub struct SvdModel {
    /// n rows x k columns, orthonormal.
    pub left: Array2<f64>,
    /// k singular values, falling; zero beyond the rank of the matrix.
    pub sigma: Vec<f64>,
    /// m columns of the matrix x k, orthonormal.
    pub right: Array2<f64>,
    /// Sum of the squares of all cells, the sum of the squares of all singular values.
    pub squared_norm: f64,
    /// Iterations done; 0 when the matrix was decomposed whole.
    pub iterations: usize,
    /// Whether `tol` was reached, and not `max_iter`.
    pub converged: bool,
}

impl SvdModel {
    /// Memory that the model holds.
    pub fn bytes(&self) -> usize {
        (self.left.len() + self.right.len() + self.sigma.len()) * size_of::<f64>()
    }

    /// The approximation of one cell; `None` outside the matrix.
    pub fn cell(&self, row: usize, column: usize) -> Option<f64> {
        if row >= self.left.nrows() || column >= self.right.nrows() {
            return None;
        }
        let (left, right) = (self.left.row(row), self.right.row(column));
        Some(
            left.iter()
                .zip(&self.sigma)
                .zip(right)
                .map(|((u, sigma), v)| u * sigma * v)
                .sum(),
        )
    }
}

impl Svd {
    /// Decomposes `matrix`, n x m.
    ///
    /// With l = k + oversamples: time O((cells + (n + m) l) l) an iteration, memory the transposed matrix and about
    /// 24 (n + m) l bytes.
    ///
    /// # Errors
    /// [`Error::Parameter`] for k below 1 or above min(n, m), `max_iter` below 1 or `tol` out of range; [`Error::Data`] for a matrix without rows,
    /// columns or cells, or with values whose squares overflow; [`Error::OutOfMemory`]; [`Error::Cancelled`].
    pub fn fit<V: Value>(&self, matrix: &Csr<V>, host: &dyn Host) -> Result<SvdModel> {
        let (n, m) = (matrix.rows(), matrix.columns());
        self.check(matrix)?;
        let largest = matrix
            .values()
            .iter()
            .fold(0.0, |most: f64, value| most.max(value.to_f64().abs()));
        let squared_norm: f64 = matrix.values().iter().map(|v| v.to_f64().powi(2)).sum();
        if largest > 1e140 || (largest > 0.0 && largest < 1e-140) {
            return Err(Error::data(
                format!("the largest value {largest:e} is beyond what can be squared"),
                "Divide the values by a constant first.",
            ));
        }
        let whole = n.saturating_mul(m).saturating_mul(n.min(m)) <= WHOLE;
        let (found, iterations, converged) = if whole {
            (self.whole(matrix, host)?, 0, true)
        } else {
            self.iterate(matrix, host)?
        };
        let mut model = SvdModel {
            left: truncated(found.left, n, self.k)?,
            sigma: found.sigma,
            right: truncated(found.right, m, self.k)?,
            squared_norm,
            iterations,
            converged,
        };
        model.sigma.truncate(self.k);
        fix_signs(&mut model);
        Ok(model)
    }

    fn check<V: Value>(&self, matrix: &Csr<V>) -> Result<()> {
        let (n, m) = (matrix.rows(), matrix.columns());
        if n == 0 || m == 0 || matrix.pattern().cells() == 0 {
            return Err(Error::data(
                "there are no values to decompose",
                "Give a relation with at least one row.",
            ));
        }
        if self.k < 1 || self.k > n.min(m) {
            return Err(Error::parameter(
                "k",
                format!(
                    "\"k\" must be from 1 to {}, the smaller side of the {n} x {m} matrix, not {}",
                    n.min(m),
                    self.k
                ),
                "Lower \"k\" or give more rows.",
            ));
        }
        if self.max_iter < 1 {
            return Err(Error::parameter(
                "max_iter",
                "\"max_iter\" must be at least 1",
                "Give the largest number of iterations, such as 50.",
            ));
        }
        if !(self.tol >= 0.0 && self.tol < 1.0) {
            return Err(Error::parameter(
                "tol",
                format!("\"tol\" must be from 0 to below 1, not {}", self.tol),
                "Give a small number such as 0.0000001.",
            ));
        }
        Ok(())
    }

    /// All of a small matrix.
    fn whole<V: Value>(&self, matrix: &Csr<V>, host: &dyn Host) -> Result<Thin> {
        let (n, m) = (matrix.rows(), matrix.columns());
        let _memory = reserve_for::<f64>(host, 6 * n * m, "dense matrix")?;
        host.check()?;
        let mut dense = vec![0.0; n * m];
        for (at, row) in dense.chunks_exact_mut(m).enumerate() {
            let (columns, values) = matrix.row(at);
            for (&column, &value) in columns.iter().zip(values) {
                row[column as usize] = value.to_f64();
            }
        }
        thin_svd(&dense, n, m)
    }

    /// Subspace iteration, with the number of iterations and whether they converged.
    fn iterate<V: Value>(&self, matrix: &Csr<V>, host: &dyn Host) -> Result<(Thin, usize, bool)> {
        let (n, m) = (matrix.rows(), matrix.columns());
        let width = self.k.saturating_add(self.oversamples).min(n).min(m);
        let transposed = matrix.transposed(host)?;
        let mut right =
            Panel::normal(m, width, self.seed, host)?.orthonormalise(self.seed, host)?;
        let mut last: Vec<f64> = Vec::new();
        let mut iteration = 0;
        loop {
            iteration += 1;
            let left = multiply(matrix, &right, host)?.orthonormalise(self.seed, host)?;
            let image = multiply(&transposed, &left, host)?;
            right = image.copy(host)?.orthonormalise(self.seed, host)?;
            // A restricted to the two subspaces: left^T A right = image^T right.
            let core = image.inner(&right, host)?;
            drop(image);
            host.check()?;
            let core = thin_svd(&core, width, width)?;
            host.check()?;

            let change = core
                .sigma
                .iter()
                .zip(&last)
                .take(self.k)
                .map(|(new, old)| (new - old).abs())
                .fold(if last.is_empty() { f64::INFINITY } else { 0.0 }, f64::max);
            let scale = core.sigma.first().copied().unwrap_or(0.0);
            // A subspace that is the whole space has nothing left to find.
            let converged = change <= self.tol * scale || width == n.min(m);
            host.progress(
                "svd iterations",
                iteration as u64,
                self.max_iter as u64,
                change.is_finite().then_some(change),
            );
            if converged || iteration == self.max_iter {
                let thin = Thin {
                    left: left.times(&core.left, width, host)?.values,
                    sigma: core.sigma,
                    right: right.times(&core.right, width, host)?.values,
                };
                return Ok((thin, iteration, converged));
            }
            last = core.sigma;
        }
    }
}

/// `matrix panel`.
fn multiply<V: Value>(matrix: &Csr<V>, panel: &Panel, host: &dyn Host) -> Result<Panel> {
    const ROWS: usize = 64;
    const CELLS: usize = 4096;
    let width = panel.width;
    let mut result = Panel::zero(matrix.rows(), width, host)?;
    result
        .values
        .par_chunks_mut(ROWS * width)
        .enumerate()
        .try_for_each(|(chunk, rows)| {
            host.check()?;
            let mut meter = Meter::new(host);
            let mut held = Vec::new();
            for (at, to) in rows.chunks_exact_mut(width).enumerate() {
                let (columns, values) = matrix.row(chunk * ROWS + at);
                for (columns, values) in columns.chunks(CELLS).zip(values.chunks(CELLS)) {
                    meter.spend(columns.len() * width)?;
                    held.clear();
                    held.extend(values.iter().map(|value| value.to_f64()));
                    add_rows(to, columns, &held, &panel.values);
                }
            }
            Ok::<(), Error>(())
        })?;
    Ok(result)
}

vectorised! {
    /// Adds the rows `columns` of a panel, each times its value.
    fn add_rows<'a, S>(
        simd,
        to: &'a mut [f64],
        columns: &'a [u32],
        values: &'a [f64],
        panel: &'a [f64],
    ) -> () {
        let width = to.len();
        for (&column, &value) in columns.iter().zip(values) {
            add_scaled_double(simd, to, value, &panel[column as usize * width..][..width]);
        }
    }
}

/// The first `k` columns of `values`, a matrix of `rows` rows.
fn truncated(values: Vec<f64>, rows: usize, k: usize) -> Result<Array2<f64>> {
    let width = values.len() / rows;
    let mut all = Array2::from_shape_vec((rows, width), values)
        .map_err(|_| Error::Internal("rows x width singular vectors"))?;
    if k < width {
        all = all.slice(ndarray::s![.., ..k]).to_owned();
    }
    Ok(all)
}

/// Makes the largest entry of each right vector positive.
fn fix_signs(model: &mut SvdModel) {
    for (mut right, mut left) in model
        .right
        .columns_mut()
        .into_iter()
        .zip(model.left.columns_mut())
    {
        let most = right.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
        let negative = right
            .iter()
            .find(|value| value.abs() >= most * (1.0 - 1e-9))
            .is_some_and(|value| *value < 0.0);
        if negative {
            right.mapv_inplace(|value| -value);
            left.mapv_inplace(|value| -value);
        }
    }
}

#[cfg(test)]
mod tests;
