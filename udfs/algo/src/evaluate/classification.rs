//! How well classes and their probabilities are predicted.

use ndarray::{Array2, ArrayView2};

use crate::{Error, Result};

/// Figures of one class, or a mean of them.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ClassScore {
    /// Share of the rows predicted as the class that are of it; 0 where none is predicted.
    pub precision: f64,
    /// Share of the rows of the class that are predicted as it; 0 where there are none.
    pub recall: f64,
    /// Harmonic mean of the two; 0 where both are.
    pub f1: f64,
    /// Rows of the class.
    pub support: u64,
}

/// Predicted against actual classes.
#[derive(Debug, Clone, PartialEq)]
pub struct Classification {
    /// Rows by actual class (row of the matrix) and predicted class (column).
    pub confusion: Array2<u64>,
    /// Share of the rows that are right.
    pub accuracy: f64,
    /// One entry for each class.
    pub classes: Vec<ClassScore>,
    /// Plain means over the classes that occur, actual or predicted.
    pub macro_average: ClassScore,
    /// Means weighted by support.
    pub weighted_average: ClassScore,
}

impl Classification {
    /// Counts `predicted` against `actual`, both of classes numbered below `classes`. Time O(rows + classes^2).
    ///
    /// # Errors
    /// [`Error::Data`] for no rows or a class out of range.
    pub fn of(actual: &[u32], predicted: &[u32], classes: usize) -> Result<Self> {
        if actual.len() != predicted.len() {
            return Err(Error::Internal("a prediction for each row"));
        }
        let rows = checked_rows(actual.len())?;
        let mut confusion = Array2::zeros((classes, classes));
        for (row, (&a, &p)) in actual.iter().zip(predicted).enumerate() {
            match confusion.get_mut((a as usize, p as usize)) {
                Some(count) => *count += 1_u64,
                None => {
                    return Err(Error::data(
                        format!("the class in row {row} is not below {classes}"),
                        "Number the classes from 0 without gaps.",
                    ));
                }
            }
        }
        let ratio = |part: u64, whole: u64| {
            if whole == 0 {
                0.0
            } else {
                part as f64 / whole as f64
            }
        };
        let (mut scores, mut occurring, mut right) = (Vec::with_capacity(classes), 0_u64, 0);
        let (mut plain, mut weighted) = (ClassScore::default(), ClassScore::default());
        for class in 0..classes {
            let hits = confusion[[class, class]];
            let support = confusion.row(class).sum();
            let predicted = confusion.column(class).sum();
            let score = ClassScore {
                precision: ratio(hits, predicted),
                recall: ratio(hits, support),
                // 2 P R / (P + R) with P = hits / predicted and R = hits / support.
                f1: ratio(2 * hits, predicted + support),
                support,
            };
            right += hits;
            occurring += u64::from(support + predicted > 0);
            plain.add(&score, 1.0);
            weighted.add(&score, support as f64);
            scores.push(score);
        }
        plain.divide(occurring as f64);
        weighted.divide(rows);
        Ok(Self {
            confusion,
            accuracy: right as f64 / rows,
            classes: scores,
            macro_average: plain,
            weighted_average: weighted,
        })
    }
}

impl ClassScore {
    fn add(&mut self, other: &Self, weight: f64) {
        self.precision += weight * other.precision;
        self.recall += weight * other.recall;
        self.f1 += weight * other.f1;
        self.support += other.support;
    }

    fn divide(&mut self, by: f64) {
        self.precision /= by;
        self.recall /= by;
        self.f1 /= by;
    }
}

/// The mean of `-ln p` of the probability that was given to the actual class; `probabilities` is rows x classes, each row adding up to 1. Probabilities below
/// the precision of f64 count as that.
///
/// # Errors
/// [`Error::Data`] for no rows, a class out of range, or a row that is no distribution (to 1e-6).
pub fn log_loss(actual: &[u32], probabilities: ArrayView2<'_, f64>) -> Result<f64> {
    if actual.len() != probabilities.nrows() {
        return Err(Error::Internal("probabilities for each row"));
    }
    let rows = checked_rows(actual.len())?;
    let mut sum = 0.0;
    for (row, (&class, given)) in actual.iter().zip(probabilities.outer_iter()).enumerate() {
        let whole: f64 = given.sum();
        if given.iter().any(|p| !(0.0..=1.0).contains(p)) || (whole - 1.0).abs() > 1e-6 {
            return Err(Error::data(
                format!("the probabilities in row {row} are not from 0 to 1 or do not add up to 1"),
                "Give the probability of each class.",
            ));
        }
        let Some(p) = given.get(class as usize) else {
            return Err(Error::data(
                format!("the class in row {row} is not below {}", given.len()),
                "Number the classes from 0 without gaps.",
            ));
        };
        sum -= p.clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln();
    }
    Ok(sum / rows)
}

/// The area under the ROC curve: the chance that a positive row scores above a negative one, ties counting half (Hanley and McNeil 1982).
///
/// Time O(n log n).
///
/// # Errors
/// [`Error::Data`] when all rows are of one kind, for which there is no curve, or a score is not a number.
pub fn auc(positive: &[bool], score: &[f64]) -> Result<f64> {
    if positive.len() != score.len() {
        return Err(Error::Internal("a score for each row"));
    }
    if let Some(row) = score.iter().position(|score| score.is_nan()) {
        return Err(Error::data(
            format!("the score in row {row} is not a number"),
            "Remove NaN.",
        ));
    }
    let positives = positive.iter().filter(|positive| **positive).count() as f64;
    let negatives = positive.len() as f64 - positives;
    if positives == 0.0 || negatives == 0.0 {
        return Err(Error::data(
            "all rows are of one class",
            "Give rows of both classes.",
        ));
    }
    let mut rows: Vec<(f64, bool)> = score
        .iter()
        .copied()
        .zip(positive.iter().copied())
        .collect();
    rows.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut wins) = (0.0, 0.0);
    // Zeros of either sign are the same score.
    for tied in rows.chunk_by(|a, b| a.0 == b.0) {
        let hits = tied.iter().filter(|row| row.1).count() as f64;
        let misses = tied.len() as f64 - hits;
        wins += hits * (below + misses / 2.0);
        below += misses;
    }
    Ok(wins / (positives * negatives))
}

fn checked_rows(rows: usize) -> Result<f64> {
    if rows == 0 {
        return Err(Error::data(
            "there are no rows to compare",
            "Give a relation with at least one row.",
        ));
    }
    Ok(rows as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use proptest::prelude::*;

    #[test]
    fn counts_by_hand() {
        let found = Classification::of(&[0, 0, 0, 1, 1, 2], &[0, 0, 1, 1, 0, 0], 4).unwrap();
        assert_eq!(
            found.confusion,
            array![[2, 1, 0, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
        );
        assert_eq!(found.accuracy, 0.5);
        assert_eq!(
            found.classes[0],
            ClassScore {
                precision: 0.5,
                recall: 2.0 / 3.0,
                f1: 4.0 / 7.0,
                support: 3
            }
        );
        assert_eq!(found.classes[2].precision, 0.0);
        // The fourth class does not occur.
        assert!((found.macro_average.precision - (0.5 + 0.5) / 3.0).abs() < 1e-15);
        assert!((found.weighted_average.recall - 0.5).abs() < 1e-15);
        assert_eq!(found.macro_average.support, 6);
    }

    #[test]
    fn losses_and_areas_by_hand() {
        let loss = log_loss(&[0, 1], array![[0.5, 0.5], [0.75, 0.25]].view()).unwrap();
        assert!((loss - (2.0_f64.ln() + 4.0_f64.ln()) / 2.0).abs() < 1e-15);
        assert!(
            log_loss(&[0], array![[0.0, 1.0]].view())
                .unwrap()
                .is_finite()
        );
        let area = auc(&[true, false, true, false], &[0.9, 0.9, 0.4, 0.1]).unwrap();
        assert_eq!(area, (0.5 + 1.0 + 0.0 + 1.0) / 4.0);
        assert_eq!(auc(&[true, false], &[0.0, -0.0]).unwrap(), 0.5);
    }

    #[test]
    fn refuses_what_cannot_be_measured() {
        assert!(Classification::of(&[], &[], 2).is_err());
        assert!(Classification::of(&[2], &[0], 2).is_err());
        assert!(log_loss(&[0], array![[0.5, 0.4]].view()).is_err());
        assert!(log_loss(&[2], array![[0.5, 0.5]].view()).is_err());
        assert!(log_loss(&[0], array![[1.5, -0.5]].view()).is_err());
        assert!(auc(&[true, true], &[0.1, 0.2]).is_err());
        assert!(auc(&[true, false], &[f64::NAN, 0.2]).is_err());
    }

    proptest! {
        #[test]
        fn the_area_turns_with_the_scores(scores in prop::collection::vec((any::<bool>(), -5i32..5), 2..30)) {
            let positive: Vec<bool> = scores.iter().map(|s| s.0).collect();
            let score: Vec<f64> = scores.iter().map(|s| f64::from(s.1)).collect();
            let turned: Vec<f64> = score.iter().map(|s| -s).collect();
            if let (Ok(a), Ok(b)) = (auc(&positive, &score), auc(&positive, &turned)) {
                prop_assert!((a + b - 1.0).abs() < 1e-12);
                let stretched: Vec<f64> = score.iter().map(|s| s.exp()).collect();
                prop_assert_eq!(auc(&positive, &stretched).unwrap(), a);
            }
        }
    }
}
