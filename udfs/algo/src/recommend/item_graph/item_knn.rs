//! Neighbours of items by what users they share (Sarwar, Karypis, Konstan and Riedl 2001).

use super::neighbours::largest;
use super::{Graph, ItemModel, checked_neighbours, checked_weights};
use crate::host::Host;
use crate::sparse::Csr;
use crate::{Error, Result};

/// How alike two items are. With x_ui the weight of item i for user u, |i| the length of the column i of x:
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Similarity {
    /// `sum_u x_ui x_uj / (|i| |j|)`.
    Cosine,
    /// The cosine of `sqrt(x_ui) idf_u`, where `idf_u = ln(items) - ln(1 + items of u)` makes little of users who take everything.
    TfIdf,
    /// The product of `x_ui (k1 + 1) / (k1 l_i + x_ui) idf_u` for both items, `l_i = 1 - b + b (weight of i / mean weight of an item)`
    /// (Robertson and others 1995, with items as documents and users as terms).
    Bm25 {
        /// How slowly further weight in a cell saturates; positive.
        k1: f64,
        /// How much popular items are held down, 0 to 1.
        b: f64,
    },
    /// `sum_u x_ui x_uj / (|j|^(2 alpha) |i|^(2 (1 - alpha)))` for item j of a history and target i: alpha = 1 is the chance of i
    /// given j, 0 that of j given i, 0.5 the cosine (Aiolli 2013).
    Asymmetric {
        /// 0 to 1.
        alpha: f64,
    },
}

/// Parameters of item neighbourhoods.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ItemKnn {
    /// Neighbours that are kept of each item, at least 1.
    pub neighbours: usize,
    /// How alike two items are.
    pub similarity: Similarity,
}

impl Default for ItemKnn {
    /// 200 neighbours, cosine.
    fn default() -> Self {
        Self {
            neighbours: 200,
            similarity: Similarity::Cosine,
        }
    }
}

impl ItemKnn {
    /// Finds the neighbours of the items of `interactions`, users x items. An item is not its own neighbour.
    ///
    /// Time `O(sum over users of their cells^2)`, memory 16 bytes a cell and 8 bytes a neighbour.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a parameter out of range; [`Error::Data`] for no interactions or a negative weight;
    /// [`Error::OutOfMemory`]; [`Error::Cancelled`].
    pub fn fit(&self, interactions: &Csr<f32>, host: &dyn Host) -> Result<ItemModel> {
        let n = checked_neighbours(self.neighbours)?;
        self.check()?;
        checked_weights(interactions)?;
        let (users, items) = (interactions.rows(), interactions.columns());
        let idf: Vec<f64> = (0..users)
            .map(|user| (items as f64).ln() - (interactions.row(user).0.len() as f64).ln_1p())
            .collect();
        let weighted = match self.similarity {
            Similarity::Cosine | Similarity::Asymmetric { .. } => {
                interactions.map(host, |_, _, weight| weight)?
            }
            Similarity::TfIdf => interactions.map(host, |user, _, weight| {
                (f64::from(weight).sqrt() * idf[user].abs()) as f32
            })?,
            Similarity::Bm25 { k1, b } => {
                let sums = column_sums(interactions, |weight| weight);
                let mean = sums.iter().sum::<f64>() / items as f64;
                interactions.map(host, |user, item, weight| {
                    let weight = f64::from(weight);
                    let length = 1.0 - b + b * sums[item as usize] / mean;
                    (weight * (k1 + 1.0) / (k1 * length + weight) * idf[user].abs()) as f32
                })?
            }
        };
        let squares = column_sums(&weighted, |weight| weight * weight);
        let scaled = |exponent: f64| {
            weighted.map(host, |_, item, weight| {
                let square = squares[item as usize];
                if square > 0.0 {
                    (f64::from(weight) * square.powf(-exponent)) as f32
                } else {
                    0.0
                }
            })
        };
        let graph = match self.similarity {
            Similarity::Cosine | Similarity::TfIdf => {
                let unit = scaled(0.5)?;
                largest(&unit.transposed(host)?, &unit, n, host)?
            }
            Similarity::Bm25 { .. } => largest(&weighted.transposed(host)?, &weighted, n, host)?,
            Similarity::Asymmetric { alpha } => {
                let of_history = scaled(alpha)?.transposed(host)?;
                largest(&of_history, &scaled(1.0 - alpha)?, n, host)?
            }
        };
        ItemModel::new(Graph::Sparse(graph), None)
    }

    fn check(&self) -> Result<()> {
        let share = |name: &'static str, value: f64| {
            if (0.0..=1.0).contains(&value) {
                Ok(())
            } else {
                Err(Error::parameter(
                    name,
                    format!("\"{name}\" must be from 0 to 1, not {value}"),
                    "Give a share such as 0.5.",
                ))
            }
        };
        match self.similarity {
            Similarity::Cosine | Similarity::TfIdf => Ok(()),
            Similarity::Asymmetric { alpha } => share("alpha", alpha),
            Similarity::Bm25 { k1, b } => {
                if !(k1 > 0.0 && k1 <= 1e9) {
                    return Err(Error::parameter(
                        "k1",
                        format!("\"k1\" must be positive, not {k1}"),
                        "Give a number such as 1.2.",
                    ));
                }
                share("b", b)
            }
        }
    }
}

/// Sums of what `of` makes of the weights, for each column, in f64.
pub(super) fn column_sums(matrix: &Csr<f32>, of: impl Fn(f64) -> f64) -> Vec<f64> {
    let mut sums = vec![0.0; matrix.columns()];
    for row in 0..matrix.rows() {
        let (columns, values) = matrix.row(row);
        for (&column, &value) in columns.iter().zip(values) {
            sums[column as usize] += of(f64::from(value));
        }
    }
    sums
}
