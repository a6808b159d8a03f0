//! How much of an old interaction counts in a history.

use crate::{Error, Result};

/// Decay of the weights of a history with age, measured from the latest interaction of the same user.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Recency {
    /// Weights halve each time so much time has passed, in the unit of the times.
    Time {
        /// Positive.
        half_life: f64,
    },
    /// Weights halve each so many interactions; interactions at the same time count as one step.
    Position {
        /// Positive.
        half_life: f64,
    },
}

impl Recency {
    /// The decayed weights of interactions that are given as user, time and weight, in any order.
    ///
    /// Time O(interactions log interactions).
    ///
    /// # Errors
    /// [`Error::Parameter`] for a half-life that is not positive, [`Error::Data`] for a time that is not finite.
    pub fn decay(&self, user: &[u32], time: &[f64], weight: &[f32]) -> Result<Vec<f32>> {
        if time.len() != user.len() || weight.len() != user.len() {
            return Err(Error::Internal("a time and a weight for each interaction"));
        }
        let (Self::Time { half_life } | Self::Position { half_life }) = *self;
        if half_life.is_nan() || half_life <= 0.0 {
            return Err(Error::parameter(
                "half_life",
                format!("\"half_life\" must be positive, not {half_life}"),
                "Give the age at which an interaction counts half.",
            ));
        }
        if let Some(at) = time.iter().position(|time| !time.is_finite()) {
            return Err(Error::data(
                format!("the time in row {at} is not finite"),
                "Remove NaN and infinity.",
            ));
        }
        let mut order: Vec<usize> = (0..user.len()).collect();
        // Latest first.
        order.sort_unstable_by(|&a, &b| {
            user[a]
                .cmp(&user[b])
                .then(time[b].total_cmp(&time[a]))
                .then(a.cmp(&b))
        });
        let mut decayed = weight.to_vec();
        let (mut latest, mut last, mut step) = (0.0, 0.0, 0_u32);
        let mut before = None;
        for at in order {
            if before != Some(user[at]) {
                before = Some(user[at]);
                (latest, last, step) = (time[at], time[at], 0);
            } else if time[at] < last {
                last = time[at];
                step += 1;
            }
            let age = match self {
                Self::Time { .. } => latest - time[at],
                Self::Position { .. } => f64::from(step),
            };
            decayed[at] = (f64::from(weight[at]) * (-age / half_life).exp2()) as f32;
        }
        Ok(decayed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_halve_with_age() {
        let user = [7, 7, 3, 7, 7];
        let time = [10.0, 30.0, 5.0, 20.0, 20.0];
        let weight = [1.0, 1.0, 4.0, 2.0, 1.0];
        let found = Recency::Time { half_life: 10.0 }.decay(&user, &time, &weight);
        assert_eq!(found.unwrap(), [0.25, 1.0, 4.0, 1.0, 0.5]);
        let found = Recency::Position { half_life: 0.5 }.decay(&user, &time, &weight);
        assert_eq!(found.unwrap(), [0.0625, 1.0, 4.0, 0.5, 0.25]);
    }

    #[test]
    fn refuses_what_is_no_age() {
        let zero = Recency::Time { half_life: 0.0 };
        assert_eq!(
            zero.decay(&[], &[], &[]).unwrap_err().to_string(),
            "\"half_life\" must be positive, not 0"
        );
        let one = Recency::Position { half_life: 1.0 };
        assert!(one.decay(&[0], &[f64::NAN], &[1.0]).is_err());
    }
}
