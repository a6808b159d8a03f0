//! Random walks of three steps from user to item to user to item (Paudel, Christoffel, Newell and Bernstein 2017).

use super::item_knn::column_sums;
use super::neighbours::largest;
use super::{Graph, ItemModel, checked_exponent, checked_neighbours, checked_weights};
use crate::Result;
use crate::host::Host;
use crate::sparse::Csr;

/// Parameters of the walk: item j leads to item i with `sum_u (w_uj / d_j)^alpha (w_ui / d_u)^alpha / c_i^beta`, where d are the weights of
/// an item and a user and c_i the users of an item.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rp3beta {
    /// Items that are kept of those that an item leads to, at least 1.
    pub neighbours: usize,
    /// Exponent of the chances of a step, 0 to 2 (Cooper, Lee, Radzik and Siantos 2014).
    pub alpha: f64,
    /// How strongly popular items are held down, 0 to 2.
    pub beta: f64,
}

impl Default for Rp3beta {
    /// 1000 neighbours, alpha 0.6, beta 0.4: the best on held-out interactions of Gowalla among alpha 0.4 to 1 and beta 0.25 to 0.7.
    fn default() -> Self {
        Self {
            neighbours: 1000,
            alpha: 0.6,
            beta: 0.4,
        }
    }
}

impl Rp3beta {
    /// Computes the chances of walks over `interactions`, users x items. A walk back to its start is left out.
    ///
    /// Time `O(sum over users of their cells^2)`, memory 24 bytes a cell and 8 bytes a neighbour.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for a parameter out of range; [`Error::Data`](crate::Error::Data) for no interactions or a
    /// negative weight; [`Error::OutOfMemory`](crate::Error::OutOfMemory); [`Error::Cancelled`](crate::Error::Cancelled).
    pub fn fit(&self, interactions: &Csr<f32>, host: &dyn Host) -> Result<ItemModel> {
        let n = checked_neighbours(self.neighbours)?;
        checked_exponent("alpha", self.alpha)?;
        checked_exponent("beta", self.beta)?;
        checked_weights(interactions)?;
        let weights = column_sums(interactions, |weight| weight);
        let users = column_sums(interactions, |weight| if weight > 0.0 { 1.0 } else { 0.0 });
        let of_user: Vec<f64> = (0..interactions.rows())
            .map(|user| interactions.row(user).1.iter().map(|w| f64::from(*w)).sum())
            .collect();
        let step = |weight: f32, all: f64| {
            if weight > 0.0 {
                (f64::from(weight) / all).powf(self.alpha)
            } else {
                0.0
            }
        };
        let first = interactions.map(host, |_, item, weight| {
            step(weight, weights[item as usize]) as f32
        })?;
        let second = interactions.map(host, |user, item, weight| {
            (step(weight, of_user[user]) * users[item as usize].max(1.0).powf(-self.beta)) as f32
        })?;
        let graph = largest(&first.transposed(host)?, &second, n, host)?;
        ItemModel::new(Graph::Sparse(graph), None)
    }
}
