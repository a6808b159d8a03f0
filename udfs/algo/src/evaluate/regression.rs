//! How far numbers are from what they were to be.

use crate::{Error, Result};

/// Errors of predicted numbers. With a_i the actual, p_i the predicted of n values and m the mean of the actual:
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Regression {
    /// Mean squared error, `sum (a_i - p_i)^2 / n`.
    pub mse: f64,
    /// Its root.
    pub rmse: f64,
    /// Mean absolute error, `sum |a_i - p_i| / n`.
    pub mae: f64,
    /// Share of the variance that is explained, `1 - sum (a_i - p_i)^2 / sum (a_i - m)^2`: 1 at best, 0 for the mean, and below for worse. Where all actual
    /// values are the same it is 1 without errors and else 0, as in scikit-learn.
    pub r2: f64,
}

impl Regression {
    /// Measures `predicted` against `actual`. Time O(n), in f64.
    ///
    /// # Errors
    /// [`Error::Data`] for no values or a value that is not finite.
    pub fn of(actual: &[f64], predicted: &[f64]) -> Result<Self> {
        if actual.len() != predicted.len() {
            return Err(Error::Internal("a prediction for each value"));
        }
        if actual.is_empty() {
            return Err(Error::data(
                "there are no values to compare",
                "Give a relation with at least one row.",
            ));
        }
        let odd = |(a, p): (&f64, &f64)| !(a.is_finite() && p.is_finite());
        if let Some(row) = actual.iter().zip(predicted).position(odd) {
            return Err(Error::data(
                format!("value in row {row} is not finite"),
                "Remove NaN and infinity.",
            ));
        }
        let n = actual.len() as f64;
        let mean = actual.iter().sum::<f64>() / n;
        let errors = || actual.iter().zip(predicted).map(|(a, p)| a - p);
        let squares: f64 = errors().map(|error| error * error).sum();
        let spread: f64 = actual.iter().map(|a| (a - mean).powi(2)).sum();
        Ok(Self {
            mse: squares / n,
            rmse: (squares / n).sqrt(),
            mae: errors().map(f64::abs).sum::<f64>() / n,
            r2: match (spread > 0.0, squares > 0.0) {
                (true, _) => 1.0 - squares / spread,
                (false, true) => 0.0,
                (false, false) => 1.0,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_by_hand() {
        let found = Regression::of(&[1.0, 2.0, 3.0], &[1.0, 3.0, 1.0]).unwrap();
        assert!((found.mse - 5.0 / 3.0).abs() < 1e-15);
        assert!((found.rmse - (5.0_f64 / 3.0).sqrt()).abs() < 1e-15);
        assert_eq!(found.mae, 1.0);
        assert_eq!(found.r2, 1.0 - 5.0 / 2.0);
        assert_eq!(Regression::of(&[2.0, 2.0], &[2.0, 2.0]).unwrap().r2, 1.0);
        assert_eq!(Regression::of(&[2.0, 2.0], &[2.0, 3.0]).unwrap().r2, 0.0);
        assert!(Regression::of(&[], &[]).is_err());
        let error = Regression::of(&[1.0, f64::NAN], &[1.0, 1.0]).unwrap_err();
        assert_eq!(error.to_string(), "value in row 1 is not finite");
    }
}
