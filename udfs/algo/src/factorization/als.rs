//! Alternating least squares for implicit feedback (Hu, Koren and Volinsky 2008): purchases, plays, clicks.
//!
//! A stored cell with weight w_ui > 0 is a preference p_ui = 1 held with confidence `c_ui = 1 + alpha w_ui`; every other cell is
//! p_ui = 0 with confidence 1. User factors x_u and item factors y_i minimise
//!
//! ```text
//! sum over all u, i  c_ui (p_ui - x_u y_i)^2  +  sum_u lambda_u |x_u|^2  +  sum_i lambda_i |y_i|^2
//! ```
//!
//! with `lambda_u = regularization * (sum over all i of c_ui)^nu`, and the same for items. `nu = 0` is the plain penalty; `nu = 1` grows with the
//! frequency of a user or item and is that of Rendle, Krichene, Zhang and Koren 2021 ("Revisiting the performance of iALS"), whose
//! unobserved weight is 1 / alpha.
//!
//! The `implicit` library takes the confidence itself as the stored value: its weights `1 + alpha w` with its `alpha = 1` are this
//! model, and the results agree. Start at [`Als::fit`].

use std::fmt;
use std::num::NonZeroUsize;

use ndarray::{Array2, ArrayView2};

use super::factors::Factors;
use super::normal::{Normal, Weighting, Workspace};
use crate::host::{Host, Meter};
use crate::parallel::ordered;
use crate::sparse::Csr;
use crate::{Error, Result};

/// Most factors that are taken: beyond this a single row's system takes too long to be cancelled in time.
pub const FACTORS_MAX: usize = 2048;

/// How the least-squares system of one user or item is solved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Solver {
    /// Exactly, by Cholesky factorization: O(cells f^2 + rows f^3) an iteration.
    Cholesky,
    /// By some steps of conjugate gradients from the last iterate (Takacs, Pilaszy and Tikk 2011): O(steps (cells f + rows f^2)).
    ConjugateGradient {
        /// Steps for each row; three do for most data.
        steps: NonZeroUsize,
    },
}

/// Parameters of implicit ALS.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Als {
    /// Length of a user's or item's vector, 1 to [`FACTORS_MAX`].
    pub factors: usize,
    /// Times that users, then items are solved for; at least 1.
    pub iterations: usize,
    /// Strength of the penalty on the factors; positive.
    pub regularization: f64,
    /// How much a unit of weight adds to the confidence; positive.
    pub alpha: f64,
    /// Exponent of the frequency in the penalty, 0 to 1.
    pub nu: f64,
    /// How rows are solved for.
    pub solver: Solver,
    /// Whether the loss is computed after each iteration, which costs about as much as a step of conjugate gradients.
    pub loss: bool,
    /// Seed of the first item factors, normal with deviation `0.1 / sqrt(factors)` (and, for conjugate gradients, of the user factors).
    pub seed: u64,
}

impl Default for Als {
    /// 64 factors, 15 iterations, regularization 0.01, alpha 1, nu 0, Cholesky, no loss, seed 0: those of `implicit`. What does well depends on the size
    /// of the matrix: [`Als::suited_to`].
    fn default() -> Self {
        Self {
            factors: 64,
            iterations: 15,
            regularization: 0.01,
            alpha: 1.0,
            nu: 0.0,
            solver: Solver::Cholesky,
            loss: false,
            seed: 0,
        }
    }
}

/// A factorization: the score of user u for item i is the dot product of their rows.
#[derive(Debug, Clone, PartialEq)]
pub struct AlsModel {
    /// Users x factors; zero for a user without interactions.
    pub user_factors: Array2<f32>,
    /// Items x factors; zero for an item without interactions.
    pub item_factors: Array2<f32>,
    /// The loss after each iteration when it was asked for, see the module; never rising with the Cholesky solver, up to rounding.
    pub losses: Vec<f64>,
}

impl AlsModel {
    /// Memory that the model holds.
    pub fn bytes(&self) -> usize {
        (self.user_factors.len() + self.item_factors.len()) * size_of::<f32>()
    }
}

impl Als {
    /// Parameters that do well on `interactions`, users x items, without tuning: alpha 20, nu 1 and the regularization that follows from how dense the matrix
    /// is.
    ///
    /// With nu = 1 the penalty of a row is nearly `regularization * columns`, so what is right moves with the size of the matrix. On held-out
    /// interactions of Gowalla (30k x 41k, .06 % filled) and MovieLens 100k (943 x 1682, 4 %) the best of a grid over alpha and regularization lay at a penalty
    /// of a tenth of the confidence that the interactions of an average row add, which is `alpha * density / 10` while few cells are filled. A weight counts as
    /// it is; where weights are counts or amounts, their logarithm serves better.
    pub fn suited_to(interactions: &Csr<f32>) -> Self {
        let params = Self {
            alpha: 20.0,
            nu: 1.0,
            ..Self::default()
        };
        Self {
            regularization: params.suited_regularization(interactions),
            ..params
        }
    }

    /// The regularization of [`Als::suited_to`] for this alpha and nu: with another nu the one under which an average row has the same penalty.
    pub fn suited_regularization(&self, interactions: &Csr<f32>) -> f64 {
        let weight: f64 = interactions.values().iter().map(|w| f64::from(*w)).sum();
        let cells = interactions.rows() as f64 * interactions.columns() as f64;
        let added = if cells > 0.0 {
            self.alpha * weight / cells
        } else {
            0.0
        };
        // A row of n cells has the confidence n (1 + added), of which nu is the exponent; its penalty is to be a tenth of n added.
        let size = cells.max(1.0).sqrt();
        let suited = 0.1 * added * size.powf(1.0 - self.nu) * (1.0 + added).powf(-self.nu);
        suited.clamp(1e-6, 1e6)
    }

    /// Factorizes `interactions`, users x items with the weights of the stored cells, from random factors or from those of
    /// an earlier model, `(users x factors, items x factors)`.
    ///
    /// A weight of zero is no interaction. Memory: both factor tables, the transposed interactions (8 bytes a cell) and
    /// O(factors^2) a thread.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a parameter out of range; [`Error::Data`] for no interactions, a negative or infinite weight, first factors
    /// of the wrong shape or not finite, or a singular system (a penalty lost in rounding beside the confidences);
    /// [`Error::OutOfMemory`]; [`Error::Cancelled`].
    pub fn fit(
        &self,
        interactions: &Csr<f32>,
        first: Option<(ArrayView2<'_, f32>, ArrayView2<'_, f32>)>,
        host: &dyn Host,
    ) -> Result<AlsModel> {
        self.check()?;
        check_weights(interactions.values())?;
        if interactions.values().iter().all(|weight| *weight == 0.0) {
            return Err(Error::data(
                "there are no interactions to learn from",
                "Give a relation with at least one row of positive weight.",
            ));
        }
        let by_item = interactions.transposed(host)?;
        let (mut users, mut items) = self.first_factors(interactions, first, host)?;
        let weighting = self.weighting();
        let mut losses = Vec::new();
        for iteration in 1..=self.iterations {
            Normal::new(&items, weighting, host)?.solve_all(
                interactions,
                &mut users,
                self.solver,
                host,
            )?;
            let normal = Normal::new(&users, weighting, host)?;
            normal.solve_all(&by_item, &mut items, self.solver, host)?;
            if self.loss {
                losses.push(loss(interactions, &by_item, &users, &items, &normal, host)?);
            }
            host.progress(
                "als iterations",
                iteration as u64,
                self.iterations as u64,
                losses.last().copied(),
            );
        }
        Ok(AlsModel {
            user_factors: users.into_array()?,
            item_factors: items.into_array()?,
            losses,
        })
    }

    /// Prepares to find the factors of users (or items) that the model was not trained on, from `other`, the factors of the
    /// items (or users) they interacted with. Time O(rows f^2), once for any number of them.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a parameter out of range, [`Error::Data`] for factors that are not finite,
    /// [`Error::OutOfMemory`], [`Error::Cancelled`].
    pub fn fold_in(&self, other: ArrayView2<'_, f32>, host: &dyn Host) -> Result<FoldIn> {
        let params = Self {
            factors: other.ncols(),
            ..*self
        };
        params.check()?;
        check_factors(other)?;
        let factors = Box::new(Factors::from_array(other, host)?);
        Ok(FoldIn {
            normal: Normal::new(factors, params.weighting(), host)?,
        })
    }

    fn weighting(&self) -> Weighting {
        Weighting {
            alpha: self.alpha as f32,
            regularization: self.regularization,
            nu: self.nu,
        }
    }

    fn check(&self) -> Result<()> {
        if !(1..=FACTORS_MAX).contains(&self.factors) {
            return Err(Error::parameter(
                "factors",
                format!(
                    "\"factors\" must be from 1 to {FACTORS_MAX}, not {}",
                    self.factors
                ),
                "Give the length of the vectors, such as 64.",
            ));
        }
        if self.iterations < 1 {
            return Err(Error::parameter(
                "iterations",
                "\"iterations\" must be at least 1",
                "Give the number of iterations, such as 15.",
            ));
        }
        if !(self.regularization > 0.0 && self.regularization <= 1e9) {
            return Err(Error::parameter(
                "regularization",
                format!(
                    "\"regularization\" must be positive, not {}",
                    self.regularization
                ),
                "Give a small positive number such as 0.01.",
            ));
        }
        if !(self.alpha > 0.0 && self.alpha <= 1e9) {
            return Err(Error::parameter(
                "alpha",
                format!("\"alpha\" must be positive, not {}", self.alpha),
                "Give what a unit of weight adds to the confidence, such as 1 to 40.",
            ));
        }
        if !(0.0..=1.0).contains(&self.nu) {
            return Err(Error::parameter(
                "nu",
                format!("\"nu\" must be from 0 to 1, not {}", self.nu),
                "Give 0 for a plain penalty or 1 for one that grows with frequency.",
            ));
        }
        Ok(())
    }

    fn first_factors(
        &self,
        interactions: &Csr<f32>,
        first: Option<(ArrayView2<'_, f32>, ArrayView2<'_, f32>)>,
        host: &dyn Host,
    ) -> Result<(Factors, Factors)> {
        let (users, items, width) = (interactions.rows(), interactions.columns(), self.factors);
        if let Some((user_factors, item_factors)) = first {
            for (side, array, rows) in
                [("user", user_factors, users), ("item", item_factors, items)]
            {
                if array.dim() != (rows, width) {
                    return Err(Error::data(
                        format!(
                            "the first {side} factors are {} x {}, but {rows} x {width} are needed",
                            array.nrows(),
                            array.ncols()
                        ),
                        "Continue from a model of the same users, items and number of factors.",
                    ));
                }
                check_factors(array)?;
            }
            return Ok((
                Factors::from_array(user_factors, host)?,
                Factors::from_array(item_factors, host)?,
            ));
        }
        let deviation = 0.1 / (width as f64).sqrt();
        let normal =
            |rows, stream| Factors::normal(rows, width, deviation, self.seed, stream, host);
        let users = match self.solver {
            // Overwritten before it is read.
            Solver::Cholesky => Factors::zero(users, width, host)?,
            Solver::ConjugateGradient { .. } => normal(users, 1 << 32)?,
        };
        Ok((users, normal(items, 0)?))
    }
}

/// Finds the factors of new users from what they interacted with, the items being as trained (or the reverse).
pub struct FoldIn {
    normal: Normal<Box<Factors>>,
}

impl fmt::Debug for FoldIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FoldIn")
            .field("rows", &self.normal.factors.rows)
            .field("factors", &self.normal.factors.width)
            .finish_non_exhaustive()
    }
}

impl FoldIn {
    /// The factors of one user with these items and weights, solved exactly; zero without interactions. Repeated items count
    /// as often as they are given. Time O(items f^2 + f^3).
    ///
    /// # Errors
    /// [`Error::Data`] for an item that the model does not have, a negative or infinite weight, or a singular system;
    /// [`Error::Cancelled`].
    pub fn factors(&self, items: &[u32], weights: &[f32], host: &dyn Host) -> Result<Vec<f32>> {
        if items.len() != weights.len() {
            return Err(Error::Internal("a weight for each item"));
        }
        check_weights(weights)?;
        let held = self.normal.factors.rows;
        if let Some(item) = items.iter().find(|item| **item as usize >= held) {
            return Err(Error::data(
                format!("item {item} is not one of the {held} items of the model"),
                "Leave out items that the model was not trained on.",
            ));
        }
        let stride = self.normal.factors.stride;
        let mut x = vec![0.0; stride];
        self.normal.solve(
            items,
            weights,
            &mut x,
            &mut Workspace::new(stride),
            &mut Meter::new(host),
        )?;
        x.truncate(self.normal.factors.width);
        Ok(x)
    }

    /// The same for many users: `interactions` is users x items.
    ///
    /// # Errors
    /// As [`FoldIn::factors`]; [`Error::OutOfMemory`].
    pub fn factors_of_all(&self, interactions: &Csr<f32>, host: &dyn Host) -> Result<Array2<f32>> {
        if interactions.columns() > self.normal.factors.rows {
            return Err(Error::data(
                format!(
                    "there are {} items, but the model has {}",
                    interactions.columns(),
                    self.normal.factors.rows
                ),
                "Leave out items that the model was not trained on.",
            ));
        }
        check_weights(interactions.values())?;
        let mut rows = Factors::zero(interactions.rows(), self.normal.factors.width, host)?;
        self.normal
            .solve_all(interactions, &mut rows, Solver::Cholesky, host)?;
        rows.into_array()
    }

    /// Memory that this holds.
    pub fn bytes(&self) -> usize {
        let stride = self.normal.factors.stride;
        self.normal.factors.values.len() * size_of::<f32>()
            + stride * stride * (size_of::<f32>() + size_of::<f64>())
    }
}

/// The objective of the module, in f64. The sum over all cells is `sum_i y_i X^T X y_i`; stored cells are corrected.
fn loss(
    by_user: &Csr<f32>,
    by_item: &Csr<f32>,
    users: &Factors,
    items: &Factors,
    of_users: &Normal<&Factors>,
    host: &dyn Host,
) -> Result<f64> {
    const CHUNK: usize = 256;
    let weighting = of_users.weighting;
    let alpha = f64::from(weighting.alpha);
    let stride = items.stride;
    let mut total = 0.0;
    ordered(
        items.rows.div_ceil(CHUNK),
        host,
        |chunk| {
            let mut meter = Meter::new(host);
            let mut sum = 0.0;
            for item in chunk * CHUNK..((chunk + 1) * CHUNK).min(items.rows) {
                let y = items.row(item);
                let (columns, weights) = by_item.row(item);
                meter.spend(stride * (stride + columns.len()))?;
                for (&yi, row) in y.iter().zip(of_users.gram.chunks_exact(stride)) {
                    sum += f64::from(yi) * dot_double(row.iter().copied(), y);
                }
                for (&user, &weight) in columns.iter().zip(weights) {
                    if weight != 0.0 {
                        let x = users.row(user as usize);
                        let score = dot_double(x.iter().map(|&value| f64::from(value)), y);
                        let confidence = alpha.mul_add(f64::from(weight), 1.0);
                        sum += confidence * (1.0 - score) * (1.0 - score) - score * score;
                    }
                }
                sum += weighting.penalty(weights, users.rows) * square(y);
            }
            Ok(sum)
        },
        |sum| {
            total += sum;
            Ok(())
        },
    )?;
    ordered(
        users.rows.div_ceil(CHUNK),
        host,
        |chunk| {
            Ok((chunk * CHUNK..((chunk + 1) * CHUNK).min(users.rows))
                .map(|user| {
                    let penalty = weighting.penalty(by_user.row(user).1, items.rows);
                    penalty * square(users.row(user))
                })
                .sum::<f64>())
        },
        |sum| {
            total += sum;
            Ok(())
        },
    )?;
    Ok(total)
}

fn dot_double(a: impl Iterator<Item = f64>, b: &[f32]) -> f64 {
    a.zip(b).map(|(a, &b)| a * f64::from(b)).sum()
}

fn square(row: &[f32]) -> f64 {
    row.iter().map(|&value| f64::from(value).powi(2)).sum()
}

pub(super) fn check_weights(weights: &[f32]) -> Result<()> {
    match weights
        .iter()
        .find(|weight| !(**weight >= 0.0 && weight.is_finite()))
    {
        None => Ok(()),
        Some(weight) => Err(Error::data(
            format!("weight {weight} is negative or not finite"),
            "Give weights of zero or more.",
        )),
    }
}

fn check_factors(factors: ArrayView2<'_, f32>) -> Result<()> {
    if factors.iter().all(|value| value.is_finite()) {
        Ok(())
    } else {
        Err(Error::data(
            "the factors of the model are not finite",
            "Train the model again.",
        ))
    }
}

#[cfg(test)]
mod tests;
