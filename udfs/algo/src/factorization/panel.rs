//! Tall thin matrices in f64 and how to make their columns orthonormal, in fixed chunks of rows.

use rayon::prelude::*;

use super::dense::{inner_product, product, symmetric_eigen};
use crate::host::{Host, Reservation, reserve_for};
use crate::parallel::ordered;
use crate::random::Random;
use crate::{Error, Result};

/// Rows of a chunk.
const CHUNK: usize = 2048;

/// `rows` x `width`, row-major.
#[derive(Debug)]
pub(crate) struct Panel {
    pub(crate) rows: usize,
    pub(crate) width: usize,
    pub(crate) values: Vec<f64>,
    _memory: Reservation,
}

impl Panel {
    pub(crate) fn zero(rows: usize, width: usize, host: &dyn Host) -> Result<Self> {
        host.check()?;
        let length = rows.saturating_mul(width);
        let memory = reserve_for::<f64>(host, length, "singular vectors")?;
        Ok(Self {
            rows,
            width,
            values: vec![0.0; length],
            _memory: memory,
        })
    }

    /// Standard normal values.
    pub(crate) fn normal(rows: usize, width: usize, seed: u64, host: &dyn Host) -> Result<Self> {
        let mut panel = Self::zero(rows, width, host)?;
        panel
            .values
            .par_chunks_mut(CHUNK * width)
            .enumerate()
            .try_for_each(|(chunk, values)| {
                host.check()?;
                let mut random = Random::stream(seed, chunk as u64);
                values.fill_with(|| random.normal());
                Ok::<(), Error>(())
            })?;
        Ok(panel)
    }

    /// A copy, with its own memory.
    pub(crate) fn copy(&self, host: &dyn Host) -> Result<Self> {
        let mut copy = Self::zero(self.rows, self.width, host)?;
        copy.values.copy_from_slice(&self.values);
        Ok(copy)
    }

    /// `self^T other`, width x other.width.
    pub(crate) fn inner(&self, other: &Self, host: &dyn Host) -> Result<Vec<f64>> {
        let mut sum = vec![0.0; self.width * other.width];
        ordered(
            self.rows.div_ceil(CHUNK),
            host,
            |chunk| {
                let end = ((chunk + 1) * CHUNK).min(self.rows);
                Ok(inner_product(
                    &self.values[chunk * CHUNK * self.width..end * self.width],
                    &other.values[chunk * CHUNK * other.width..end * other.width],
                    self.width,
                    other.width,
                ))
            },
            |part| {
                for (sum, value) in sum.iter_mut().zip(part) {
                    *sum += value;
                }
                Ok(())
            },
        )?;
        Ok(sum)
    }

    /// `self b`, b being width x columns.
    pub(crate) fn times(&self, b: &[f64], columns: usize, host: &dyn Host) -> Result<Self> {
        let mut result = Self::zero(self.rows, columns, host)?;
        result
            .values
            .par_chunks_mut(CHUNK * columns)
            .zip(self.values.par_chunks(CHUNK * self.width))
            .try_for_each(|(to, from)| {
                host.check()?;
                to.copy_from_slice(&product(from, b, self.width, columns));
                Ok::<(), Error>(())
            })?;
        Ok(result)
    }

    /// Makes the columns orthonormal to rounding, keeping the space they span; where they are dependent, random directions fill
    /// the gaps. There must be at least as many rows as columns.
    ///
    /// Repeated SVQB (Stathopoulos and Wu 2002): with G the Gram matrix of the columns scaled to length one, `G = W L W^T`, the
    /// columns become `Y W L^(-1/2)`; eigenvalues lost in rounding are lifted to it. Each pass is two products; two passes do unless the
    /// columns are dependent.
    pub(crate) fn orthonormalise(self, seed: u64, host: &dyn Host) -> Result<Self> {
        const PASSES: u64 = 8;
        let width = self.width;
        let accuracy = 64.0 * width as f64 * f64::EPSILON;
        let mut panel = self;
        for pass in 0..PASSES {
            let mut gram = panel.inner(&panel, host)?;
            let off = (0..width * width)
                .map(|at| {
                    let identity = if at % (width + 1) == 0 { 1.0 } else { 0.0 };
                    (gram[at] - identity).abs()
                })
                .fold(0.0, f64::max);
            if off <= accuracy {
                return Ok(panel);
            }
            if panel.fill_empty(&gram, seed, pass) {
                continue;
            }
            let scales: Vec<f64> = (0..width)
                .map(|j| 1.0 / gram[j * (width + 1)].sqrt())
                .collect();
            for (i, row) in gram.chunks_exact_mut(width).enumerate() {
                for (value, scale) in row.iter_mut().zip(&scales) {
                    *value *= scale * scales[i];
                }
            }
            host.check()?;
            let (eigenvalues, mut change) = symmetric_eigen(&gram, width)?;
            host.check()?;
            let floor = f64::EPSILON * width as f64 * eigenvalues.last().copied().unwrap_or(1.0);
            for (row, scale) in change.chunks_exact_mut(width).zip(&scales) {
                for (value, eigenvalue) in row.iter_mut().zip(&eigenvalues) {
                    *value *= scale / eigenvalue.max(floor).sqrt();
                }
            }
            panel = panel.times(&change, width, host)?;
        }
        Err(Error::Internal(
            "columns become orthonormal in a few passes",
        ))
    }

    /// Gives columns without length random values of length about one; returns whether there were any.
    fn fill_empty(&mut self, gram: &[f64], seed: u64, pass: u64) -> bool {
        let width = self.width;
        // Squares below this lose digits to underflow.
        let empty: Vec<usize> = (0..width)
            .filter(|j| gram[j * (width + 1)] < 1e-280)
            .collect();
        let length = 1.0 / (self.rows.max(1) as f64).sqrt();
        for &column in &empty {
            let stream = (1 << 40) + (pass << 32) + column as u64;
            let mut random = Random::stream(seed, stream);
            for row in self.values.chunks_exact_mut(width) {
                row[column] = random.normal() * length;
            }
        }
        !empty.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Unlimited;

    fn check(panel: Panel) {
        let width = panel.width;
        let found = panel.orthonormalise(1, &Unlimited).unwrap();
        let gram = found.inner(&found, &Unlimited).unwrap();
        for (at, value) in gram.iter().enumerate() {
            let identity = if at % (width + 1) == 0 { 1.0 } else { 0.0 };
            assert!((value - identity).abs() < 1e-11, "{gram:?}");
        }
    }

    #[test]
    fn columns_become_orthonormal() {
        check(Panel::normal(5000, 20, 3, &Unlimited).unwrap());
        check(Panel::normal(7, 7, 3, &Unlimited).unwrap());
        check(Panel::zero(50, 4, &Unlimited).unwrap());
    }

    #[test]
    fn dependent_and_graded_columns_do_too() {
        let mut dependent = Panel::normal(300, 6, 3, &Unlimited).unwrap();
        for row in dependent.values.chunks_exact_mut(6) {
            row[3] = row[0] + row[1];
            row[4] = row[0];
            row[5] = 1e-9 * row[2];
        }
        check(dependent);
        let mut graded = Panel::normal(300, 6, 3, &Unlimited).unwrap();
        for row in graded.values.chunks_exact_mut(6) {
            for (j, value) in row.iter_mut().enumerate() {
                *value *= 10_f64.powi(-40 * j as i32);
            }
        }
        check(graded);
    }

    #[test]
    fn the_span_is_kept() {
        let panel = Panel::normal(40, 3, 9, &Unlimited).unwrap();
        let before = panel.copy(&Unlimited).unwrap();
        let after = panel.orthonormalise(1, &Unlimited).unwrap();
        // Projecting the old columns on the new ones gives them back.
        let parts = after.inner(&before, &Unlimited).unwrap();
        let back = after.times(&parts, 3, &Unlimited).unwrap();
        for (a, b) in back.values.iter().zip(&before.values) {
            assert!((a - b).abs() < 1e-12);
        }
    }
}
