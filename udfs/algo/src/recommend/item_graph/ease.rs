//! The closed-form linear autoencoder EASE (Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data").

use ndarray::Array2;
use rayon::prelude::*;

use super::{Graph, ItemModel, checked_weights};
use crate::factorization::inverse::invert;
use crate::host::{Host, Meter, reserve_for};
use crate::sparse::Csr;
use crate::{Error, Result};

/// Rows of a task.
const ROWS: usize = 64;

/// Parameters of EASE: B minimises `|X - X B|^2 + regularization |B|^2` under a diagonal of zeros, for the users x items matrix X.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ease {
    /// Strength of the penalty; positive.
    pub regularization: f64,
}

impl Default for Ease {
    /// Regularization 300, which is right within a factor of two for shops of thousands of items.
    fn default() -> Self {
        Self {
            regularization: 300.0,
        }
    }
}

impl Ease {
    /// Memory that [`Ease::fit`] asks for, in bytes: all of it before it begins.
    pub fn bytes_needed(items: usize) -> usize {
        items.saturating_mul(items).saturating_mul(size_of::<f32>())
    }

    /// Solves for the items of `interactions`, users x items: `B_ji = -P_ji / P_ii` with `P = (X^T X + regularization I)^-1` (Steck 2019,
    /// equation 8).
    ///
    /// In single precision; time `O(items^3 + sum over users of their cells^2)`, memory 4 items^2 bytes, which the model then holds.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a parameter out of range; [`Error::Data`] for no interactions, a negative weight, or a penalty lost in
    /// rounding; [`Error::OutOfMemory`]; [`Error::Cancelled`].
    pub fn fit(&self, interactions: &Csr<f32>, host: &dyn Host) -> Result<ItemModel> {
        if !(self.regularization > 0.0 && self.regularization <= 1e12) {
            return Err(Error::parameter(
                "regularization",
                format!(
                    "\"regularization\" must be positive, not {}",
                    self.regularization
                ),
                "Give a positive number such as 300.",
            ));
        }
        checked_weights(interactions)?;
        let n = interactions.columns();
        let memory = reserve_for::<f32>(host, n.saturating_mul(n), "item weights of EASE")?;
        let by_item = interactions.transposed(host)?;
        let mut weights = vec![0.0_f32; n * n];
        weights
            .par_chunks_mut(ROWS * n)
            .enumerate()
            .try_for_each(|(chunk, rows)| {
                let mut meter = Meter::new(host);
                for (at, sums) in rows.chunks_exact_mut(n).enumerate() {
                    let item = chunk * ROWS + at;
                    let (users, weights) = by_item.row(item);
                    for (&user, &weight) in users.iter().zip(weights) {
                        let (columns, values) = interactions.row(user as usize);
                        meter.spend(columns.len())?;
                        for (&column, value) in columns.iter().zip(values) {
                            // Only the lower triangle is read.
                            if column as usize > item {
                                break;
                            }
                            sums[column as usize] += weight * value;
                        }
                    }
                    sums[item] += self.regularization as f32;
                }
                Ok::<(), Error>(())
            })?;
        drop(by_item);
        invert(&mut weights, n, host)?;
        let scales: Vec<f32> = (0..n).map(|item| -1.0 / weights[item * (n + 1)]).collect();
        weights
            .par_chunks_mut(n)
            .enumerate()
            .for_each(|(item, row)| {
                for (value, scale) in row.iter_mut().zip(&scales) {
                    *value *= scale;
                }
                row[item] = 0.0;
            });
        drop(memory);
        let weights =
            Array2::from_shape_vec((n, n), weights).map_err(|_| Error::Internal("n x n values"))?;
        ItemModel::new(Graph::Dense(weights), None)
    }
}
