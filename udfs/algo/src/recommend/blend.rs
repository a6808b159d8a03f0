//! Several models' lists made into one by weighted reciprocal ranks, with weights that are chosen on held-out interactions.
//!
//! An item scores `sum_m w_m / (constant + rank of the item in the list of model m)` (Cormack, Clarke and Buettcher 2009, with weights); a list that does not
//! hold it adds nothing. Ranks compare where scores do not: of models with different units, and of users with long and short histories. Lists
//! should be a few times longer than what is wanted of the blend.

use super::top_k::Ranked;
use crate::evaluate::{Lists, Metric, RankingEvaluation};
use crate::host::{Host, Meter, reserve_for};
use crate::parallel::ordered;
use crate::sparse::Pattern;
use crate::{Error, Result};

/// Users of a task.
const USERS: usize = 256;

/// Steps in which a weight is varied, of its whole.
const STEPS: usize = 10;

/// A blend of models.
#[derive(Debug, Clone, PartialEq)]
pub struct Blend {
    /// Weight of each model, zero or more and not all zero.
    pub weights: Vec<f64>,
    /// How flat the top of a list is taken; positive. 60 in the paper.
    pub constant: f64,
}

impl Blend {
    /// Equal weights and the constant of the paper.
    pub fn equal(models: usize) -> Self {
        Self {
            weights: vec![1.0; models],
            constant: 60.0,
        }
    }

    /// The `k` best items of each user over the `lists` of the models, which must be of the same users. Equal scores are ordered by item.
    ///
    /// Time O(entries log entries of a user), memory 12 bytes an entry of the result.
    ///
    /// # Errors
    /// [`Error::Parameter`] for k below 1, weights that are negative, not finite, all zero or not one for each model, or a constant that is not positive;
    /// [`Error::Data`] for lists of different numbers of users; [`Error::OutOfMemory`]; [`Error::Cancelled`].
    pub fn fuse(&self, lists: &[&Ranked], k: usize, host: &dyn Host) -> Result<Ranked> {
        if k < 1 {
            return Err(Error::parameter(
                "k",
                "\"k\" must be at least 1",
                "Give the number of items to recommend, such as 10.",
            ));
        }
        let sound = self.weights.len() == lists.len()
            && self
                .weights
                .iter()
                .all(|weight| weight.is_finite() && *weight >= 0.0)
            && self.weights.iter().any(|weight| *weight > 0.0);
        if !sound {
            return Err(Error::parameter(
                "weights",
                "\"weights\" must hold a number of zero or more for each model, not all of them zero",
                "Give one weight for each model, such as ARRAY[1, 0.5].",
            ));
        }
        if !(self.constant > 0.0 && self.constant.is_finite()) {
            return Err(Error::parameter(
                "constant",
                format!("\"constant\" must be positive, not {}", self.constant),
                "Give a number of ranks such as 60.",
            ));
        }
        let users = lists.first().map_or(0, |ranked| ranked.users());
        if lists.iter().any(|ranked| ranked.users() != users) {
            return Err(Error::data(
                "the lists are of different numbers of users",
                "Let every model make lists for the same users.",
            ));
        }
        let _memory = reserve_for::<[u32; 3]>(host, users.saturating_mul(k), "recommendations")?;
        let mut fused = Ranked {
            starts: vec![0],
            ..Ranked::default()
        };
        ordered(
            users.div_ceil(USERS),
            host,
            |chunk| {
                let mut meter = Meter::new(host);
                (chunk * USERS..((chunk + 1) * USERS).min(users))
                    .map(|user| self.fuse_one(lists, user, k, &mut meter))
                    .collect::<Result<Vec<_>>>()
            },
            |chunk| {
                for list in chunk {
                    fused.push_list(list);
                }
                Ok(())
            },
        )?;
        Ok(fused)
    }

    fn fuse_one(
        &self,
        lists: &[&Ranked],
        user: usize,
        k: usize,
        meter: &mut Meter<'_>,
    ) -> Result<Vec<(u32, f32)>> {
        let mut parts: Vec<(u32, f64)> = Vec::new();
        for (ranked, weight) in lists.iter().zip(&self.weights) {
            if *weight > 0.0 {
                let items = ranked.list(user).0.iter().enumerate();
                parts.extend(
                    items.map(|(at, &item)| (item, weight / (self.constant + (at + 1) as f64))),
                );
            }
        }
        meter.spend(16 * parts.len() + 1)?;
        // Stable, so that the parts of an item are added in the order of the models.
        parts.sort_by_key(|(item, _)| *item);
        let mut scores: Vec<(u32, f64)> = Vec::with_capacity(parts.len());
        for (item, part) in parts {
            match scores.last_mut() {
                Some((last, sum)) if *last == item => *sum += part,
                _ => scores.push((item, part)),
            }
        }
        scores.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        scores.truncate(k);
        Ok(scores
            .into_iter()
            .map(|(item, score)| (item, score as f32))
            .collect())
    }

    /// The weights under which the blend of `lists`, made without knowledge of `truth`, has the highest NDCG at `k` on it, with that figure.
    ///
    /// From the best single model, each model's share is tried at every tenth with the others in proportion, until no single change helps: the result is never
    /// worse on `truth` than the best of the models.
    ///
    /// # Errors
    /// As [`Blend::fuse`]; [`Error::Data`] when no user has a truth or there is no model.
    pub fn choose(
        lists: &[&Ranked],
        truth: &Pattern,
        k: usize,
        host: &dyn Host,
    ) -> Result<(Self, f64)> {
        if lists.is_empty() {
            return Err(Error::data(
                "there are no models to blend",
                "Give at least one model.",
            ));
        }
        let judge = |weights: &[f64]| -> Result<f64> {
            let blend = Self {
                weights: weights.to_vec(),
                constant: 60.0,
            };
            let fused = blend.fuse(lists, k, host)?;
            let scores = RankingEvaluation {
                k: vec![k],
                resamples: 0,
                ..RankingEvaluation::default()
            }
            .fit(
                &Lists::from_lists(&fused.starts, &fused.items, host)?,
                truth,
                1,
                host,
            )?;
            let ndcg = scores.iter().find(|score| score.metric == Metric::Ndcg);
            Ok(ndcg.map_or(0.0, |score| score.value))
        };
        let mut best: Option<(Vec<f64>, f64)> = None;
        for model in 0..lists.len() {
            let weights: Vec<f64> = (0..lists.len())
                .map(|at| if at == model { 1.0 } else { 0.0 })
                .collect();
            let value = judge(&weights)?;
            if best.as_ref().is_none_or(|(_, most)| value > *most) {
                best = Some((weights, value));
            }
        }
        let Some((mut weights, mut value)) = best else {
            return Err(Error::Internal("the best of at least one model"));
        };
        let mut tries = 0;
        loop {
            let mut next: Option<(Vec<f64>, f64)> = None;
            for model in 0..lists.len() {
                let others: f64 = weights.iter().sum::<f64>() - weights[model];
                for step in 0..STEPS {
                    let share = step as f64 / STEPS as f64;
                    if others == 0.0 || (weights[model] - share).abs() < 1e-9 {
                        continue;
                    }
                    let mut tried: Vec<f64> = weights
                        .iter()
                        .map(|weight| weight * (1.0 - share) / others)
                        .collect();
                    tried[model] = share;
                    let found = judge(&tried)?;
                    tries += 1;
                    host.progress("weights of the blend", tries, 0, Some(-found));
                    if found > next.as_ref().map_or(value, |(_, most)| *most) {
                        next = Some((tried, found));
                    }
                }
            }
            match next {
                Some(better) => (weights, value) = better,
                None => break,
            }
        }
        Ok((
            Self {
                weights,
                constant: 60.0,
            },
            value,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Unlimited;

    fn ranked(lists: &[&[u32]]) -> Ranked {
        let mut ranked = Ranked {
            starts: vec![0],
            ..Ranked::default()
        };
        for list in lists {
            ranked.push_list(list.iter().map(|item| (*item, 0.0)));
        }
        ranked
    }

    #[test]
    fn ranks_are_added_by_hand() {
        let (a, b) = (ranked(&[&[7, 3], &[1]]), ranked(&[&[3, 9], &[]]));
        let fused = Blend {
            weights: vec![1.0, 2.0],
            constant: 1.0,
        }
        .fuse(&[&a, &b], 2, &Unlimited)
        .unwrap();
        // 3: 1/3 + 2/2, 9: 2/3, 7: 1/2.
        assert_eq!(fused.list(0).0, [3, 9]);
        assert!((fused.list(0).1[0] - 4.0 / 3.0).abs() < 1e-6);
        assert_eq!(fused.list(1), (&[1][..], &[0.5][..]));
    }

    #[test]
    fn weights_are_those_that_find_the_truth() {
        // The first model is right about the even users, the second about the odd ones, the third never, and being right comes at rank two.
        let of = |right: fn(u32) -> bool| {
            let lists: Vec<Vec<u32>> = (0..40)
                .map(|user| {
                    if right(user) {
                        vec![90, user, 91]
                    } else {
                        vec![92, 93, 94]
                    }
                })
                .collect();
            let slices: Vec<&[u32]> = lists.iter().map(Vec::as_slice).collect();
            ranked(&slices)
        };
        let (a, b, c) = (of(|u| u % 2 == 0), of(|u| u % 2 == 1), of(|_| false));
        let users: Vec<u32> = (0..40).collect();
        let truth = Pattern::from_pairs(40, 95, &users, &users, &Unlimited).unwrap();
        let (blend, value) = Blend::choose(&[&a, &b, &c], &truth, 5, &Unlimited).unwrap();
        assert!(
            blend.weights[0] > 0.0 && blend.weights[1] > 0.0,
            "{blend:?}"
        );
        let (_, alone) = Blend::choose(&[&a], &truth, 5, &Unlimited).unwrap();
        assert!(value > 1.3 * alone, "{value} {alone}");
    }

    #[test]
    fn refuses_what_cannot_be() {
        let (a, b) = (ranked(&[&[1]]), ranked(&[&[1], &[2]]));
        let fuse = |weights: &[f64], constant, k| {
            let blend = Blend {
                weights: weights.to_vec(),
                constant,
            };
            blend.fuse(&[&a], k, &Unlimited).unwrap_err().to_string()
        };
        let weights =
            "\"weights\" must hold a number of zero or more for each model, not all of them zero";
        for wrong in [&[][..], &[0.0], &[-1.0], &[f64::NAN], &[1.0, 1.0]] {
            assert_eq!(fuse(wrong, 60.0, 1), weights);
        }
        assert_eq!(fuse(&[1.0], 0.0, 1), "\"constant\" must be positive, not 0");
        assert_eq!(fuse(&[1.0], 60.0, 0), "\"k\" must be at least 1");
        let error = Blend::equal(2).fuse(&[&a, &b], 1, &Unlimited).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the lists are of different numbers of users"
        );
        let truth = Pattern::from_pairs(1, 1, &[], &[], &Unlimited).unwrap();
        assert!(Blend::choose(&[&a], &truth, 1, &Unlimited).is_err());
        assert!(Blend::choose(&[], &truth, 1, &Unlimited).is_err());
    }
}
