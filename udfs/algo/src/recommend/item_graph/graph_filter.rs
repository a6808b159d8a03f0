//! Low-pass filters on the graph of items (Shen, Wu, Zhang and others 2021, "How Powerful is Graph Convolution for Recommendation?", GF-CF).

use ndarray::Array2;

use super::item_knn::column_sums;
use super::neighbours::largest;
use super::{Filter, Graph, ItemModel, checked_exponent, checked_neighbours, checked_weights};
use crate::factorization::Svd;
use crate::host::Host;
use crate::sparse::Csr;
use crate::{Error, Result};

/// Parameters of the filter. With `R~ = D_U^-1/2 R D_I^-1/2` the interactions normalised by the weights of users and items, and V the `factors` largest
/// right singular vectors of R~, a history r scores `r (R~^T R~ + low_pass D_I^-1/2 V V^T D_I^1/2)` (section 4.2, GF-CF).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GraphFilter {
    /// Entries that are kept of each row of `R~^T R~`, at least 1.
    pub neighbours: usize,
    /// Singular vectors of the ideal low-pass filter; 0 for none, at most the smaller side of the matrix.
    pub factors: usize,
    /// Weight of the ideal low-pass filter beside the linear one, 0 to 100.
    pub low_pass: f64,
    /// Seed of the decomposition.
    pub seed: u64,
}

impl Default for GraphFilter {
    /// 1000 neighbours, 256 factors, a weight of 0.3, seed 0.
    fn default() -> Self {
        Self {
            neighbours: 1000,
            factors: 256,
            low_pass: 0.3,
            seed: 0,
        }
    }
}

impl GraphFilter {
    /// Makes the filter of `interactions`, users x items.
    ///
    /// Time `O(sum over users of their cells^2)` and that of a truncated decomposition, memory 16 bytes a cell, 8 bytes a neighbour and that of
    /// the decomposition.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a parameter out of range; [`Error::Data`] for no interactions or a negative weight; [`Error::OutOfMemory`];
    /// [`Error::Cancelled`].
    pub fn fit(&self, interactions: &Csr<f32>, host: &dyn Host) -> Result<ItemModel> {
        let n = checked_neighbours(self.neighbours)?;
        checked_exponent("low_pass", self.low_pass / 50.0)?;
        checked_weights(interactions)?;
        let smaller = interactions.rows().min(interactions.columns());
        if self.factors > smaller {
            return Err(Error::parameter(
                "factors",
                format!(
                    "\"factors\" must be at most {smaller}, the smaller of the numbers of users and items, not {}",
                    self.factors
                ),
                "Lower \"factors\".",
            ));
        }
        let of_item = column_sums(interactions, |weight| weight);
        let of_user: Vec<f64> = (0..interactions.rows())
            .map(|user| interactions.row(user).1.iter().map(|w| f64::from(*w)).sum())
            .collect();
        let normalised = interactions.map(host, |user, item, weight| {
            let scale = of_user[user] * of_item[item as usize];
            if scale > 0.0 {
                (f64::from(weight) / scale.sqrt()) as f32
            } else {
                0.0
            }
        })?;
        let graph = largest(&normalised.transposed(host)?, &normalised, n, host)?;
        if self.factors == 0 || self.low_pass == 0.0 {
            return ItemModel::new(Graph::Sparse(graph), None);
        }
        let found = Svd {
            k: self.factors,
            oversamples: 10,
            max_iter: 7,
            tol: 1e-3,
            seed: self.seed,
        }
        .fit(&normalised, host)?;
        let scaled = |exponent: f64, factor: f64| {
            Array2::from_shape_fn(found.right.dim(), |(item, at)| {
                let weight = of_item.get(item).copied().unwrap_or(0.0);
                let scale = if weight > 0.0 {
                    weight.powf(exponent)
                } else {
                    0.0
                };
                (found.right[[item, at]] * scale * factor) as f32
            })
        };
        let filter = Filter {
            from: scaled(-0.5, self.low_pass),
            to: scaled(0.5, 1.0),
        };
        ItemModel::new(Graph::Sparse(graph), Some(filter))
    }
}
