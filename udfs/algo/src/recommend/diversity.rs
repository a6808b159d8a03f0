//! Lists whose items are not all alike: maximal marginal relevance (Carbonell and Goldstein 1998).

use ndarray::ArrayView2;

use super::top_k::{Ranked, unit_rows};
use crate::host::{Host, Meter, reserve_for};
use crate::parallel::ordered;
use crate::{Error, Result};

/// Users of a task.
const USERS: usize = 64;

/// Chooses from longer lists, one item after another, the one with the highest `(1 - diversity) relevance - diversity max cos(item, chosen)`.
///
/// Relevance is the score scaled so that the best item of a user's list has 1 and the last 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Diversify {
    /// Weight of being different, 0 (the list as it was) to 1 (only the first item is chosen for its score).
    pub diversity: f64,
}

impl Diversify {
    /// The `k` items chosen for each user from his list, with their scores as they were; `factors`, items x f, says what is alike.
    ///
    /// Scores no longer fall along a list. Time O(list k f) a user, memory the factors once more.
    ///
    /// # Errors
    /// [`Error::Parameter`] for k below 1 or a diversity out of range; [`Error::Data`] for an item without factors; [`Error::OutOfMemory`];
    /// [`Error::Cancelled`].
    pub fn rerank(
        &self,
        lists: &Ranked,
        factors: ArrayView2<'_, f32>,
        k: usize,
        host: &dyn Host,
    ) -> Result<Ranked> {
        if k < 1 {
            return Err(Error::parameter(
                "k",
                "\"k\" must be at least 1",
                "Give the number of items to recommend, such as 10.",
            ));
        }
        if !(0.0..=1.0).contains(&self.diversity) {
            return Err(Error::parameter(
                "diversity",
                format!("\"diversity\" must be from 0 to 1, not {}", self.diversity),
                "Give 0 for the best items or more for items that differ, such as 0.3.",
            ));
        }
        if let Some(item) = lists
            .items
            .iter()
            .find(|item| **item as usize >= factors.nrows())
        {
            return Err(Error::data(
                format!(
                    "item {item} is not one of the {} items of the model",
                    factors.nrows()
                ),
                "Take lists and factors from the same model.",
            ));
        }
        let users = lists.users();
        let _memory = (
            reserve_for::<f32>(host, factors.len(), "item factors")?,
            reserve_for::<[u32; 3]>(host, lists.items.len(), "recommendations")?,
        );
        let unit = unit_rows(factors);
        let mut chosen = Ranked {
            starts: vec![0],
            ..Ranked::default()
        };
        ordered(
            users.div_ceil(USERS),
            host,
            |chunk| {
                let mut meter = Meter::new(host);
                (chunk * USERS..((chunk + 1) * USERS).min(users))
                    .map(|user| {
                        let (items, scores) = lists.list(user);
                        meter.spend(items.len() * k.min(items.len()) * unit.ncols() + 1)?;
                        Ok(self.choose(items, scores, unit.view(), k))
                    })
                    .collect::<Result<Vec<_>>>()
            },
            |chunk| {
                for list in chunk {
                    chosen.push_list(list);
                }
                Ok(())
            },
        )?;
        Ok(chosen)
    }

    fn choose(
        &self,
        items: &[u32],
        scores: &[f32],
        unit: ArrayView2<'_, f32>,
        k: usize,
    ) -> Vec<(u32, f32)> {
        let (high, low) = match (scores.first(), scores.last()) {
            (Some(high), Some(low)) => (f64::from(*high), f64::from(*low)),
            _ => return Vec::new(),
        };
        let span = if high > low { high - low } else { 1.0 };
        // Item, score, relevance and the largest cosine with what is chosen.
        let mut open: Vec<(u32, f32, f64, f64)> = items
            .iter()
            .zip(scores)
            .map(|(&item, &score)| (item, score, (f64::from(score) - low) / span, 0.0))
            .collect();
        let mut chosen = Vec::with_capacity(k.min(open.len()));
        while chosen.len() < k && !open.is_empty() {
            let worth = |entry: &(u32, f32, f64, f64)| {
                (1.0 - self.diversity) * entry.2 - self.diversity * entry.3
            };
            let mut best = 0;
            for (at, entry) in open.iter().enumerate() {
                // Of equal ones the first, which had the higher score.
                if worth(entry) > worth(&open[best]) {
                    best = at;
                }
            }
            let (item, score, ..) = open.remove(best);
            chosen.push((item, score));
            let row = unit.row(item as usize);
            for entry in &mut open {
                let cosine = f64::from(unit.row(entry.0 as usize).dot(&row));
                entry.3 = if chosen.len() == 1 {
                    cosine
                } else {
                    entry.3.max(cosine)
                };
            }
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Unlimited;
    use ndarray::array;

    fn lists() -> Ranked {
        let mut lists = Ranked {
            starts: vec![0],
            ..Ranked::default()
        };
        lists.push_list([(0, 1.0), (1, 0.9), (2, 0.5), (3, 0.0)]);
        lists.push_list([]);
        lists
    }

    #[test]
    fn what_is_alike_comes_later() {
        // 0 and 1 are the same, 2 stands across, 3 is opposed.
        let factors = array![[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [-1.0, 0.0]];
        let order = |diversity: f64, k| {
            let found = Diversify { diversity }
                .rerank(&lists(), factors.view(), k, &Unlimited)
                .unwrap();
            assert_eq!(found.list(1).0, [0_u32; 0]);
            found.list(0).0.to_vec()
        };
        assert_eq!(order(0.0, 9), [0, 1, 2, 3]);
        // After 0: item 1 has .5 * .9 - .5, item 2 .25, item 3 .5.
        assert_eq!(order(0.5, 3), [0, 3, 2]);
        assert_eq!(order(0.3, 3), [0, 2, 1]);
        let found = Diversify { diversity: 0.5 }
            .rerank(&lists(), factors.view(), 2, &Unlimited)
            .unwrap();
        assert_eq!(found.list(0).1, [1.0, 0.0]);
    }

    #[test]
    fn refuses_what_cannot_be() {
        let factors = array![[1.0_f32], [1.0]];
        let text = |diversity, k| {
            let found = Diversify { diversity }.rerank(&lists(), factors.view(), k, &Unlimited);
            found.unwrap_err().to_string()
        };
        assert_eq!(text(2.0, 1), "\"diversity\" must be from 0 to 1, not 2");
        assert_eq!(text(0.5, 0), "\"k\" must be at least 1");
        assert_eq!(
            text(0.5, 1),
            "item 2 is not one of the 2 items of the model"
        );
    }
}
