//! Scaling of feature columns to comparable units.

use crate::{Error, Result};

/// How a column is scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scaling {
    /// Left as it is.
    #[default]
    None,
    /// `(x - mean) / standard deviation`, the deviation dividing by n: scikit-learn's `StandardScaler`.
    ZScore,
    /// `(x - smallest) / (largest - smallest)`: `MinMaxScaler`.
    MinMax,
    /// `(x - median) / (third quartile - first quartile)`, quantiles interpolated linearly: `RobustScaler`.
    Robust,
}

/// The map `x -> (x - offset) / unit` of one column, to be kept with a model so that further rows are treated alike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// What is subtracted.
    pub offset: f64,
    /// What is divided by; positive. 1 for a constant column, which thus becomes 0.
    pub unit: f64,
}

impl Scaling {
    /// Finds the scale of a column from its values. Time O(n), for `Robust` O(n) expected and 8 n bytes.
    ///
    /// # Errors
    /// [`Error::Data`] when there is no value, a value is not finite, or the spread overflows.
    pub fn fit(self, values: &[f64]) -> Result<Scale> {
        if values.is_empty() {
            return Err(Error::data(
                "there are no values to scale",
                "Give a relation with at least one row.",
            ));
        }
        if let Some(row) = values.iter().position(|value| !value.is_finite()) {
            return Err(Error::data(
                format!("value in row {row} is not finite"),
                "Remove NaN and infinity, or impute them.",
            ));
        }
        let scale = match self {
            Self::None => Scale {
                offset: 0.0,
                unit: 1.0,
            },
            Self::ZScore => z_score(values),
            Self::MinMax => {
                let low = values.iter().copied().fold(f64::INFINITY, f64::min);
                let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                Scale {
                    offset: low,
                    unit: high - low,
                }
            }
            Self::Robust => {
                let mut sorted = values.to_vec();
                sorted.sort_unstable_by(f64::total_cmp);
                Scale {
                    offset: quantile(&sorted, 0.5),
                    unit: quantile(&sorted, 0.75) - quantile(&sorted, 0.25),
                }
            }
        };
        if !(scale.offset.is_finite() && scale.unit.is_finite()) {
            return Err(Error::data(
                "the spread of the values overflows double precision",
                "Divide the column by a large constant first.",
            ));
        }
        // As in scikit-learn: a spread that is rounding noise beside the values counts as none.
        let noise = 10.0 * f64::EPSILON * scale.offset.abs();
        Ok(Scale {
            offset: scale.offset,
            unit: if scale.unit > noise { scale.unit } else { 1.0 },
        })
    }
}

impl Scale {
    /// The scaled value.
    pub fn apply(&self, value: f64) -> f64 {
        (value - self.offset) / self.unit
    }

    /// The value that scales to `scaled`.
    pub fn invert(&self, scaled: f64) -> f64 {
        scaled.mul_add(self.unit, self.offset)
    }
}

/// Mean and standard deviation by two passes.
fn z_score(values: &[f64]) -> Scale {
    let n = values.len() as f64;
    let mean: f64 = values.iter().map(|value| value / n).sum();
    // The second pass mends what the first lost, and measures around the mended mean.
    let mean = mean + values.iter().map(|value| (value - mean) / n).sum::<f64>();
    let variance: f64 = values
        .iter()
        .map(|value| (value - mean) * ((value - mean) / n))
        .sum();
    Scale {
        offset: mean,
        unit: variance.sqrt(),
    }
}

/// Quantile of sorted values with linear interpolation (type 7 of Hyndman and Fan 1996, numpy's default).
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let position = share * sorted.len().saturating_sub(1) as f64;
    let below = position.floor();
    let low = sorted.get(below as usize).copied().unwrap_or(f64::NAN);
    let high = sorted.get(position.ceil() as usize).copied().unwrap_or(low);
    low + (high - low) * (position - below)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(scaling: Scaling, values: &[f64], offset: f64, unit: f64) {
        let scale = scaling.fit(values).unwrap();
        assert!((scale.offset - offset).abs() < 1e-12, "{scale:?}");
        assert!((scale.unit - unit).abs() < 1e-12, "{scale:?}");
        for &value in values {
            assert!((scale.invert(scale.apply(value)) - value).abs() < 1e-9);
        }
    }

    #[test]
    fn scales_as_documented() {
        let values = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
        check(Scaling::None, &values, 0.0, 1.0);
        check(Scaling::ZScore, &values, 5.0, 2.0);
        check(Scaling::MinMax, &values, 2.0, 7.0);
        check(Scaling::Robust, &values, 4.5, 1.5);
        check(Scaling::Robust, &[1.0, 2.0, 4.0], 2.0, 1.5);
    }

    #[test]
    fn a_constant_column_becomes_zero() {
        for scaling in [Scaling::ZScore, Scaling::MinMax, Scaling::Robust] {
            let scale = scaling.fit(&[0.1; 7]).unwrap();
            assert_eq!(scale.unit, 1.0);
            assert!(scale.apply(0.1).abs() < 1e-15);
        }
    }

    #[test]
    fn refuses_what_has_no_scale() {
        let text = |values: &[f64]| Scaling::ZScore.fit(values).unwrap_err().to_string();
        assert!(text(&[]).contains("no values"));
        assert!(text(&[1.0, f64::NAN]).contains("row 1 is not finite"));
        assert!(text(&[f64::MAX, f64::MIN]).contains("overflows"));
    }
}
