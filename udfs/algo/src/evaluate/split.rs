//! Which interactions are learned from and which are kept back, as a part for each row.
//!
//! A split by time or of the last interactions is what a shop meets; a random one within users is what most papers report; one by users measures how well users
//! never trained on are served (Meng, McCreadie, Macdonald and Ounis 2020).

use crate::random::Random;
use crate::{Error, Result};

/// Where a row belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// Learned from.
    Train,
    /// For choosing parameters.
    Validation,
    /// For the final figures.
    Test,
}

impl Part {
    /// The name used in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

/// Shares of the parts: train, validation and test, each 0 to 1 and together 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fractions {
    train: f64,
    validation: f64,
}

impl Fractions {
    /// # Errors
    /// [`Error::Parameter`] for shares below 0 or that do not add up to 1 (to 1e-9).
    pub fn new(train: f64, validation: f64, test: f64) -> Result<Self> {
        let shares = [train, validation, test];
        let sound = shares.iter().all(|share| (0.0..=1.0).contains(share));
        if !sound || (shares.iter().sum::<f64>() - 1.0).abs() > 1e-9 {
            return Err(Error::parameter(
                "fractions",
                "\"fractions\" must hold shares of train, validation and test that add up to 1",
                "Give three shares such as ARRAY[0.8, 0.1, 0.1].",
            ));
        }
        Ok(Self { train, validation })
    }

    /// How many of `count` things end train and validation: the shares, rounded.
    fn ends(self, count: usize) -> (usize, usize) {
        let end = |share: f64| ((share * count as f64).round() as usize).min(count);
        (end(self.train), end(self.train + self.validation))
    }

    fn part(self, place: usize, count: usize) -> Part {
        let (train, validation) = self.ends(count);
        if place < train {
            Part::Train
        } else if place < validation {
            Part::Validation
        } else {
            Part::Test
        }
    }
}

/// The earliest share to train, the latest to test. Rows of the same time are of the same part, that of the first of them, so that nothing is
/// learned from the time that is tested.
///
/// # Errors
/// [`Error::Data`] for a time that is not finite.
pub fn by_time(time: &[f64], fractions: Fractions) -> Result<Vec<Part>> {
    let order = ordered_by_time(time)?;
    let mut parts = vec![Part::Train; time.len()];
    let mut last: Option<(f64, Part)> = None;
    for (place, &row) in order.iter().enumerate() {
        let part = match last {
            Some((before, part)) if before == time[row] => part,
            _ => fractions.part(place, time.len()),
        };
        last = Some((time[row], part));
        parts[row] = part;
    }
    Ok(parts)
}

/// The latest interaction of each user to test and, if `validation`, the one before to validation. A user keeps at least one interaction to learn from;
/// of several at the same time the one given last is the latest.
///
/// # Errors
/// [`Error::Data`] for a time that is not finite.
pub fn leave_last_out(user: &[u32], time: &[f64], validation: bool) -> Result<Vec<Part>> {
    if user.len() != time.len() {
        return Err(Error::Internal("a time for each user"));
    }
    let order = ordered_by_time(time)?;
    let mut parts = vec![Part::Train; user.len()];
    for rows in grouped(user, order) {
        let mut left = rows.as_slice();
        let wanted: &[Part] = if validation {
            &[Part::Test, Part::Validation]
        } else {
            &[Part::Test]
        };
        for part in wanted {
            if let [before @ .., last] = left
                && !before.is_empty()
            {
                parts[*last] = *part;
                left = before;
            }
        }
    }
    Ok(parts)
}

/// The interactions of each user dealt at random by the shares, rounded for each user.
pub fn per_user(user: &[u32], fractions: Fractions, seed: u64) -> Vec<Part> {
    let mut parts = vec![Part::Train; user.len()];
    for mut rows in grouped(user, (0..user.len()).collect()) {
        let of = rows.first().map_or(0, |row| user[*row]);
        shuffle(&mut rows, &mut Random::stream(seed, u64::from(of)));
        for (place, &row) in rows.iter().enumerate() {
            parts[row] = fractions.part(place, rows.len());
        }
    }
    parts
}

/// All interactions of a user to one part, the users dealt at random (strong generalisation, Marlin 2004): users to test are folded in from a share of their
/// interactions.
pub fn strong(user: &[u32], fractions: Fractions, seed: u64) -> Vec<Part> {
    let mut users: Vec<u32> = user.to_vec();
    users.sort_unstable();
    users.dedup();
    let mut order: Vec<usize> = (0..users.len()).collect();
    shuffle(&mut order, &mut Random::stream(seed, 0));
    let mut of_user = vec![Part::Train; users.len()];
    for (place, &at) in order.iter().enumerate() {
        of_user[at] = fractions.part(place, users.len());
    }
    user.iter()
        .map(|user| {
            users
                .binary_search(user)
                .map_or(Part::Train, |at| of_user[at])
        })
        .collect()
}

fn ordered_by_time(time: &[f64]) -> Result<Vec<usize>> {
    if let Some(row) = time.iter().position(|time| !time.is_finite()) {
        return Err(Error::data(
            format!("the time in row {row} is not finite"),
            "Remove NaN and infinity.",
        ));
    }
    let mut order: Vec<usize> = (0..time.len()).collect();
    order.sort_by(|&a, &b| time[a].total_cmp(&time[b]));
    Ok(order)
}

/// The rows of each user, in the order given.
fn grouped(user: &[u32], mut order: Vec<usize>) -> Vec<Vec<usize>> {
    order.sort_by_key(|row| user[*row]);
    order
        .chunk_by(|a, b| user[*a] == user[*b])
        .map(<[usize]>::to_vec)
        .collect()
}

/// Fisher and Yates.
fn shuffle(rows: &mut [usize], random: &mut Random) {
    for last in (1..rows.len()).rev() {
        rows.swap(last, random.below(last + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::Part::{Test, Train, Validation};
    use super::*;
    use proptest::prelude::*;

    fn fractions(train: f64, validation: f64) -> Fractions {
        Fractions::new(train, validation, 1.0 - train - validation).unwrap()
    }

    #[test]
    fn the_latest_are_tested() {
        let time = [5.0, 1.0, 2.0, 3.0, 4.0];
        let found = by_time(&time, fractions(0.6, 0.2)).unwrap();
        assert_eq!(found, [Test, Train, Train, Train, Validation]);
        // What happens at one time stays together.
        let found = by_time(&[1.0, 2.0, 2.0, 2.0], fractions(0.5, 0.0)).unwrap();
        assert_eq!(found, [Train; 4]);
        assert!(by_time(&[f64::NAN], fractions(0.5, 0.0)).is_err());
    }

    #[test]
    fn the_last_of_each_user_is_left_out() {
        let user = [1, 1, 1, 2, 2, 3];
        let time = [3.0, 1.0, 2.0, 7.0, 7.0, 1.0];
        let found = leave_last_out(&user, &time, true).unwrap();
        assert_eq!(found, [Test, Train, Validation, Train, Test, Train]);
        let found = leave_last_out(&user, &time, false).unwrap();
        assert_eq!(found, [Test, Train, Train, Train, Test, Train]);
    }

    #[test]
    fn shares_must_make_a_whole() {
        for (train, validation, test) in [(0.5, 0.2, 0.2), (1.2, -0.2, 0.0), (f64::NAN, 0.0, 1.0)] {
            let error = Fractions::new(train, validation, test).unwrap_err();
            assert_eq!(
                error.to_string(),
                "\"fractions\" must hold shares of train, validation and test that add up to 1"
            );
        }
    }

    proptest! {
        #[test]
        fn shares_are_kept(user in prop::collection::vec(0u32..6, 0..80), seed in 0u64..9) {
            let shares = fractions(0.5, 0.25);
            let found = per_user(&user, shares, seed);
            for who in 0..6 {
                let count = |part| (0..user.len()).filter(|&row| user[row] == who && found[row] == part).count();
                let all = user.iter().filter(|user| **user == who).count();
                let (train, validation) = shares.ends(all);
                prop_assert_eq!(count(Train), train);
                prop_assert_eq!(count(Validation), validation - train);
                prop_assert_eq!(count(Test), all - validation);
            }
            prop_assert_eq!(&found, &per_user(&user, shares, seed));
            let found = strong(&user, shares, seed);
            for (a, one) in user.iter().enumerate() {
                for (b, two) in user.iter().enumerate() {
                    prop_assert!(one != two || found[a] == found[b]);
                }
            }
        }
    }
}
