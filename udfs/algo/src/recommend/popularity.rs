//! The same for everyone: items by the sum of their weights.

use super::top_k::{Exclusion, Ranked};
use crate::host::{Host, Meter, reserve_for};
use crate::sparse::{Csr, Value};
use crate::{Error, Result};

/// Items by popularity: the baseline that a model has to beat, and what a user without any history is offered.
#[derive(Debug, Clone, PartialEq)]
pub struct Popularity {
    /// Sum of the weights of each item, in f64.
    pub weights: Vec<f64>,
    /// Items by falling weight, equal ones by number; those without weight are left out.
    pub order: Vec<u32>,
}

impl Popularity {
    /// Sums the weights of `interactions`, users x items, by item. Time O(cells + items log items).
    ///
    /// # Errors
    /// [`Error::Data`] when there are no interactions; [`Error::OutOfMemory`]; [`Error::Cancelled`].
    pub fn fit<V: Value>(interactions: &Csr<V>, host: &dyn Host) -> Result<Self> {
        if interactions.pattern().cells() == 0 {
            return Err(Error::data(
                "there are no interactions to learn from",
                "Give a relation with at least one row.",
            ));
        }
        let _memory = reserve_for::<[u32; 3]>(host, interactions.columns(), "item weights")?;
        let mut weights = vec![0.0; interactions.columns()];
        let mut meter = Meter::new(host);
        for user in 0..interactions.rows() {
            let (items, values) = interactions.row(user);
            meter.spend(4 * items.len() + 1)?;
            for (&item, &value) in items.iter().zip(values) {
                weights[item as usize] += value.to_f64();
            }
        }
        Ok(Self::from_weights(weights))
    }

    /// The order of given weights, one for each item.
    pub fn from_weights(weights: Vec<f64>) -> Self {
        let mut order: Vec<u32> = (0..weights.len() as u32)
            .filter(|&item| weights[item as usize] > 0.0)
            .collect();
        order.sort_unstable_by(|&a, &b| {
            weights[b as usize]
                .total_cmp(&weights[a as usize])
                .then(a.cmp(&b))
        });
        Self { weights, order }
    }

    /// The `k` most popular items for each of `users` users that no exclusion names for him, of the `candidates` where given.
    /// Scores are the weights. Time O(users (k + excluded items)) beside a pass over the candidates.
    ///
    /// # Errors
    /// [`Error::Parameter`] for k below 1; [`Error::OutOfMemory`]; [`Error::Cancelled`].
    pub fn top_k(
        &self,
        users: usize,
        k: usize,
        exclusions: &[Exclusion<'_>],
        candidates: Option<&[u32]>,
        host: &dyn Host,
    ) -> Result<Ranked> {
        if k < 1 {
            return Err(Error::parameter(
                "k",
                "\"k\" must be at least 1",
                "Give the number of items to recommend, such as 10.",
            ));
        }
        let order: Vec<u32> = match candidates {
            None => self.order.clone(),
            Some(candidates) => {
                let mut held = vec![false; self.weights.len()];
                for &item in candidates {
                    if let Some(slot) = held.get_mut(item as usize) {
                        *slot = true;
                    }
                }
                let keep = |item: &u32| held.get(*item as usize).copied().unwrap_or(false);
                self.order.iter().copied().filter(keep).collect()
            }
        };
        let entries = users.saturating_mul(k.min(order.len()));
        let _memory = reserve_for::<[u32; 3]>(host, entries, "recommendations")?;
        let mut ranked = Ranked {
            starts: vec![0],
            ..Ranked::default()
        };
        let mut meter = Meter::new(host);
        for user in 0..users {
            let excluded: Vec<&[u32]> = exclusions
                .iter()
                .map(|exclusion| match exclusion.rows {
                    None => exclusion.items.row(user),
                    Some(rows) => rows
                        .get(user)
                        .map_or(&[][..], |&row| exclusion.items.row(row as usize)),
                })
                .collect();
            let barred: usize = excluded.iter().map(|items| items.len()).sum();
            meter.spend(16 * (k + barred).min(order.len()))?;
            ranked.push_list(
                order
                    .iter()
                    .filter(|item| {
                        excluded
                            .iter()
                            .all(|held| held.binary_search(item).is_err())
                    })
                    .take(k)
                    .map(|&item| (item, self.weights[item as usize] as f32)),
            );
        }
        Ok(ranked)
    }

    /// Memory that the model holds.
    pub fn bytes(&self) -> usize {
        self.weights.len() * size_of::<f64>() + self.order.len() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Unlimited;
    use crate::sparse::{Duplicates, Pattern};

    fn fit() -> (Csr<f32>, Popularity) {
        let interactions = Csr::from_triples(
            2,
            4,
            &[0, 0, 1, 1],
            &[0, 1, 1, 3],
            &[3.0_f32, 1.0, 2.0, 5.0],
            Duplicates::Sum,
            &Unlimited,
        )
        .unwrap();
        let model = Popularity::fit(&interactions, &Unlimited).unwrap();
        (interactions, model)
    }

    #[test]
    fn items_come_by_weight_then_number() {
        let (interactions, model) = fit();
        assert_eq!(model.weights, [3.0, 3.0, 0.0, 5.0]);
        assert_eq!(model.order, [3, 0, 1]);
        let seen = Exclusion {
            items: interactions.pattern(),
            rows: None,
        };
        let found = model.top_k(3, 2, &[seen], None, &Unlimited).unwrap();
        assert_eq!(found.list(0), (&[3][..], &[5.0][..]));
        assert_eq!(found.list(1), (&[0][..], &[3.0][..]));
        assert_eq!(found.list(2), (&[3, 0][..], &[5.0, 3.0][..]));
        let some = model.top_k(1, 5, &[], Some(&[1, 2]), &Unlimited).unwrap();
        assert_eq!(some.list(0).0, [1]);
        assert!(model.top_k(1, 0, &[], None, &Unlimited).is_err());
    }

    #[test]
    fn nothing_is_not_popular() {
        let none = Csr::<f32>::from_triples(1, 1, &[], &[], &[], Duplicates::Sum, &Unlimited);
        assert!(Popularity::fit(&none.unwrap(), &Unlimited).is_err());
        let empty = Pattern::from_pairs(0, 0, &[], &[], &Unlimited).unwrap();
        assert_eq!((empty.rows(), empty.cells()), (0, 0));
    }
}
