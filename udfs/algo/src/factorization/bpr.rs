//! Bayesian personalised ranking (Rendle, Freudenthaler, Gantner and Schmidt-Thieme 2009): factors under which what a user chose stands above what he
//! did not.
//!
//! For user u, an item i that he chose and an item j that he did not, the loss is `-ln sigma(x_u (y_i - y_j) + b_i - b_j)` and a penalty on what it
//! touches. Every epoch takes each interaction once with a random j; how that runs in parallel with the same result for any number of threads is told in
//! `strata`.

use ndarray::Array2;

use super::factors::Factors;
use super::strata::{Block, Rule, Strata};
use crate::host::Host;
use crate::simd::{dot, vectorised};
use crate::sparse::Csr;
use crate::{Error, Result};

/// Parameters of the descent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bpr {
    /// Length of a user's or item's vector beside the bias, 1 to 2047.
    pub factors: usize,
    /// Times that each interaction is used; at least 1.
    pub epochs: usize,
    /// Length of a step; positive.
    pub learning_rate: f64,
    /// Strength of the penalty on the factors, 0 or more.
    pub regularization: f64,
    /// Seed of the first factors and of all draws.
    pub seed: u64,
}

impl Default for Bpr {
    /// 64 factors, 60 epochs, learning rate 0.1, regularization 0.01, seed 0.
    fn default() -> Self {
        Self {
            factors: 64,
            epochs: 60,
            learning_rate: 0.1,
            regularization: 0.01,
            seed: 0,
        }
    }
}

/// Factors whose products rank items; made by [`Bpr`].
#[derive(Debug, Clone, PartialEq)]
pub struct RankingModel {
    /// Users x (factors + 1), the last column being 1.
    pub user_factors: Array2<f32>,
    /// Items x (factors + 1), the last column being the bias.
    pub item_factors: Array2<f32>,
    /// The mean loss of each epoch, as it was met.
    pub losses: Vec<f64>,
}

impl RankingModel {
    /// Memory that the model holds.
    pub fn bytes(&self) -> usize {
        (self.user_factors.len() + self.item_factors.len()) * size_of::<f32>()
    }
}

impl Bpr {
    /// Learns from `interactions`, users x items; a weight above zero is an interaction, however large.
    ///
    /// Users without interactions keep their first factors, which are near zero but for the bias, so that they get the most popular items. Time
    /// O(epochs cells factors), memory both factor tables, the item factors once more and 8 bytes a cell.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a parameter out of range; [`Error::Data`] for no interactions, a negative weight or a descent that leaves the finite
    /// numbers; [`Error::OutOfMemory`]; [`Error::Cancelled`].
    pub fn fit(&self, interactions: &Csr<f32>, host: &dyn Host) -> Result<RankingModel> {
        check_descent(self.factors, self.epochs, self.learning_rate)?;
        if !(self.regularization >= 0.0 && self.regularization * self.learning_rate < 1.0) {
            return Err(Error::parameter(
                "regularization",
                format!(
                    "\"regularization\" must be from 0 to below 1 / learning_rate, not {}",
                    self.regularization
                ),
                "Give a small number such as 0.01.",
            ));
        }
        check_interactions(interactions)?;
        let width = self.factors + 1;
        let deviation = 0.1 / (self.factors as f64).sqrt();
        let first = |rows, stream| Factors::normal(rows, width, deviation, self.seed, stream, host);
        let mut users = first(interactions.rows(), 1 << 32)?;
        let mut items = first(interactions.columns(), 0)?;
        for row in users.values.chunks_exact_mut(users.stride) {
            row[self.factors] = 1.0;
        }
        for row in items.values.chunks_exact_mut(items.stride) {
            row[self.factors] = 0.0;
        }
        let rule = Pairs {
            bias: self.factors,
            rate: self.learning_rate as f32,
            penalty: self.regularization as f32,
        };
        descend(
            interactions,
            self.epochs,
            self.seed,
            &rule,
            users,
            items,
            host,
        )
    }
}

struct Pairs {
    bias: usize,
    rate: f32,
    penalty: f32,
}

impl Rule for Pairs {
    fn learn(&self, user: &mut [f32], chosen: usize, block: &mut Block<'_>) -> f64 {
        let Some(other) = block.other() else {
            return 0.0;
        };
        let Some((chosen, other)) = block.pair_mut(chosen, other) else {
            return 0.0;
        };
        let loss = step(user, chosen, other, self.rate, self.penalty);
        user[self.bias] = 1.0;
        f64::from(loss)
    }
}

vectorised! {
    /// One step for a user, an item that he chose and one that he did not; returns the loss before it.
    fn step<'a, S>(
        simd,
        user: &'a mut [f32],
        chosen: &'a mut [f32],
        other: &'a mut [f32],
        rate: f32,
        penalty: f32,
    ) -> f32 {
        let margin = dot(simd, user, chosen) - dot(simd, user, other);
        let error = 1.0 / (1.0 + margin.exp());
        let pull = simd.splat_f32s(rate * error);
        let push = simd.splat_f32s(-rate * error);
        let keep = simd.splat_f32s(1.0 - rate * penalty);
        let (user, _) = S::as_mut_simd_f32s(user);
        let (chosen, _) = S::as_mut_simd_f32s(chosen);
        let (other, _) = S::as_mut_simd_f32s(other);
        for ((user, chosen), other) in user.iter_mut().zip(chosen).zip(other) {
            let (x, i, j) = (*user, *chosen, *other);
            *user = simd.mul_add_f32s(keep, x, simd.mul_f32s(pull, simd.sub_f32s(i, j)));
            *chosen = simd.mul_add_f32s(keep, i, simd.mul_f32s(pull, x));
            *other = simd.mul_add_f32s(keep, j, simd.mul_f32s(push, x));
        }
        // ln(1 + e^-margin) without overflow.
        (-margin).max(0.0) + (-margin.abs()).exp().ln_1p()
    }
}

fn check_descent(factors: usize, epochs: usize, learning_rate: f64) -> Result<()> {
    let most = super::als::FACTORS_MAX - 1;
    if !(1..=most).contains(&factors) {
        return Err(Error::parameter(
            "factors",
            format!("\"factors\" must be from 1 to {most}, not {factors}"),
            "Give the length of the vectors, such as 64.",
        ));
    }
    if epochs < 1 {
        return Err(Error::parameter(
            "epochs",
            "\"epochs\" must be at least 1",
            "Give how often each interaction is used, such as 40.",
        ));
    }
    if !(learning_rate > 0.0 && learning_rate <= 10.0) {
        return Err(Error::parameter(
            "learning_rate",
            format!("\"learning_rate\" must be positive and at most 10, not {learning_rate}"),
            "Give a small number such as 0.05.",
        ));
    }
    Ok(())
}

fn check_interactions(interactions: &Csr<f32>) -> Result<()> {
    super::als::check_weights(interactions.values())?;
    if interactions.values().iter().all(|weight| *weight == 0.0) {
        return Err(Error::data(
            "there are no interactions to learn from",
            "Give a relation with at least one row of positive weight.",
        ));
    }
    Ok(())
}

fn descend(
    interactions: &Csr<f32>,
    epochs: usize,
    seed: u64,
    rule: &impl Rule,
    mut users: Factors,
    mut items: Factors,
    host: &dyn Host,
) -> Result<RankingModel> {
    let mut strata = Strata::new(interactions, seed);
    let mut losses = Vec::with_capacity(epochs);
    for epoch in 0..epochs {
        let loss = strata.epoch(epoch as u64, rule, &mut users, &mut items, host)?;
        if !loss.is_finite() {
            return Err(Error::data(
                "the factors grow without bounds",
                "Lower \"learning_rate\".",
            ));
        }
        losses.push(loss);
        host.progress("epochs", epoch as u64 + 1, epochs as u64, Some(loss));
    }
    strata.gather(&mut items);
    Ok(RankingModel {
        user_factors: users.into_array()?,
        item_factors: items.into_array()?,
        losses,
    })
}

#[cfg(test)]
mod tests;
