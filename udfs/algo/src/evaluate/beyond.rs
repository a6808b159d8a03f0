//! What lists are worth beyond hits: whether they tell something new and hold different things.

use ndarray::ArrayView2;

use super::ranking::Lists;
use crate::host::{Host, Meter};
use crate::recommend::unit_rows;
use crate::{Error, Result};

/// Mean self-information of the first `k` items of the lists, in bits: `-log2(users of the item / users)` (Zhou and others 2010). `chosen_by` holds how many of `users`
/// chose each item; an item that nobody chose counts as chosen by one. First the mean over a list, then over the lists that hold anything.
///
/// # Errors
/// [`Error::Parameter`] for k below 1; [`Error::Data`] for an item without a count, more users of an item than users, or empty lists;
/// [`Error::Cancelled`].
pub fn novelty(
    lists: &Lists,
    chosen_by: &[u32],
    users: usize,
    k: usize,
    host: &dyn Host,
) -> Result<f64> {
    if let Some(item) = chosen_by.iter().position(|count| *count as usize > users) {
        return Err(Error::data(
            format!("item {item} is chosen by more than all {users} users"),
            "Count each user of an item once.",
        ));
    }
    let information: Vec<f64> = chosen_by
        .iter()
        .map(|count| (users as f64 / f64::from((*count).max(1))).log2())
        .collect();
    mean_of_lists(lists, k, information.len(), host, 1, |items| {
        let sum: f64 = items
            .iter()
            .filter_map(|item| information.get(*item as usize))
            .sum();
        Some(sum / items.len() as f64)
    })
}

/// One less the mean cosine of the pairs among the first `k` items of a list (Ziegler, McNee, Konstan and Lausen 2005), by the rows of `factors`, items x f; the mean
/// over the lists of at least two items.
///
/// # Errors
/// [`Error::Parameter`] for k below 1; [`Error::Data`] for an item without factors or no list of two items; [`Error::Cancelled`].
pub fn diversity(
    lists: &Lists,
    factors: ArrayView2<'_, f32>,
    k: usize,
    host: &dyn Host,
) -> Result<f64> {
    let unit = unit_rows(factors);
    let cost = k.saturating_mul(unit.ncols()) / 2 + 1;
    mean_of_lists(lists, k, unit.nrows(), host, cost, |items| {
        let mut sum = 0.0;
        for (at, one) in items.iter().enumerate() {
            let row = unit.row(*one as usize);
            for two in items.iter().take(at) {
                sum += f64::from(row.dot(&unit.row(*two as usize)));
            }
        }
        let pairs = (items.len() * (items.len() - 1) / 2) as f64;
        (pairs > 0.0).then(|| 1.0 - sum / pairs)
    })
}

fn mean_of_lists(
    lists: &Lists,
    k: usize,
    known: usize,
    host: &dyn Host,
    cost: usize,
    of: impl Fn(&[u32]) -> Option<f64>,
) -> Result<f64> {
    if k < 1 {
        return Err(Error::parameter(
            "k",
            "\"k\" must be at least 1",
            "Give the number of items of a list that count, such as 10.",
        ));
    }
    let mut meter = Meter::new(host);
    let (mut sum, mut count) = (0.0, 0_usize);
    for user in 0..lists.users() {
        let list = lists.list(user);
        let items = list.get(..k.min(list.len())).unwrap_or_default();
        meter.spend(cost.saturating_mul(items.len()) + 1)?;
        if let Some(item) = items.iter().find(|item| **item as usize >= known) {
            return Err(Error::data(
                format!("item {item} is not one of the {known} items known"),
                "Take lists and items from the same model.",
            ));
        }
        if items.is_empty() {
            continue;
        }
        if let Some(value) = of(items) {
            sum += value;
            count += 1;
        }
    }
    if count == 0 {
        return Err(Error::data(
            "the lists hold too few items to be measured",
            "Give recommendations of several items.",
        ));
    }
    Ok(sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Unlimited;
    use ndarray::array;

    #[test]
    fn both_by_hand() {
        let lists = Lists::from_lists(&[0, 2, 2, 3], &[0, 1, 2], &Unlimited).unwrap();
        // 8 users: items chosen by 4, 1 and nobody.
        let found = novelty(&lists, &[4, 1, 0], 8, 5, &Unlimited).unwrap();
        assert_eq!(found, ((1.0 + 3.0) / 2.0 + 3.0) / 2.0);
        assert_eq!(novelty(&lists, &[4, 1, 0], 8, 1, &Unlimited).unwrap(), 2.0);
        let factors = array![[1.0_f32, 0.0], [3.0, 3.0], [0.0, 0.0]];
        let found = diversity(&lists, factors.view(), 5, &Unlimited).unwrap();
        assert!((found - (1.0 - 0.5_f64.sqrt())).abs() < 1e-6);
    }

    #[test]
    fn refuses_what_cannot_be_measured() {
        let lists = Lists::from_lists(&[0, 1], &[5], &Unlimited).unwrap();
        assert!(novelty(&lists, &[1], 2, 1, &Unlimited).is_err());
        assert!(novelty(&lists, &[9; 6], 2, 1, &Unlimited).is_err());
        assert!(novelty(&lists, &[1; 6], 2, 0, &Unlimited).is_err());
        let factors = ndarray::Array2::zeros((6, 2));
        assert!(diversity(&lists, factors.view(), 3, &Unlimited).is_err());
        assert!(Lists::from_lists(&[0, 2], &[5], &Unlimited).is_err());
        assert!(Lists::from_lists(&[0, 2], &[5, 5], &Unlimited).is_err());
    }
}
