//! Feature columns: what `features`, `standardize` and `impute` mean, the same in every function.

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use ndarray::Array2;
use tributary_algo::clustering::{Scale, Scaling};

use crate::call::Call;
use crate::error::{Error, Kind, Result};
use crate::function::{Default, Parameter, ParameterType};
use crate::input::{Input, check_numeric};
use crate::output::resolved_names;
use crate::run::Run;
use crate::types::sql_number;

/// The parameters `features`, `standardize` and `impute`.
pub const FEATURE_PARAMETERS: [Parameter; 3] = [
    Parameter::constant(
        "features",
        ParameterType::Columns,
        Default::Required,
        "The numeric or boolean columns to compute with.",
    ),
    Parameter::new(
        "standardize",
        ParameterType::Text,
        Default::Text("none"),
        "How features are brought to one scale first: 'none', 'zscore' (mean 0, standard deviation \
         1), 'minmax' (from 0 to 1) or 'robust' (median 0, interquartile range 1).",
    ),
    Parameter::new(
        "impute",
        ParameterType::Text,
        Default::Text("error"),
        "What a NULL feature becomes: 'error' refuses it, 'mean' and 'median' put the feature's \
         own, 'zero' puts 0.",
    ),
];

/// The feature columns of a call.
#[derive(Debug)]
pub struct Features {
    /// Their names in the relation, in the order given.
    pub names: Vec<String>,
}

/// Features as a matrix, standardized as asked.
#[derive(Debug)]
pub struct Prepared {
    /// Rows in the order asked for x features.
    pub matrix: Array2<f64>,
    /// How each feature was scaled.
    pub scales: Vec<Scale>,
}

impl Features {
    /// Finds the columns named by `features` in the relation `rel`.
    ///
    /// # Errors
    /// For columns that are absent, named twice or not numeric.
    pub fn bind(call: &Call) -> Result<Self> {
        let input = call.input("rel")?;
        let names = resolved_names(input, &call.columns("features")?)?;
        for (position, name) in names.iter().enumerate() {
            if names.iter().take(position).any(|before| before == name) {
                return Err(Error::new(
                    Kind::DuplicateColumn,
                    format!("column \"{name}\" is given twice in argument \"features\""),
                ));
            }
            let field = input.schema.field(input.column(name)?);
            check_numeric(input, name, field.data_type())?;
        }
        if names.is_empty() {
            return Err(Error::new(
                Kind::InvalidParameter,
                "argument \"features\" names no columns",
            ));
        }
        Ok(Self { names })
    }

    /// Checks the values of `standardize` and `impute`.
    pub fn check_options(&self, call: &Call) -> Result<()> {
        scaling(call)?;
        imputation(call)?;
        Ok(())
    }

    /// Reads the features of all rows, in `order`.
    ///
    /// # Errors
    /// For NULL where it is not imputed, NaN, infinity, and memory that the limit forbids.
    pub fn read(&self, call: &Call, rows: &Input, order: &[u32], run: &Run) -> Result<Prepared> {
        let scaling = scaling(call)?;
        run.reserve(
            rows.rows()
                .saturating_mul(self.names.len() + 2)
                .saturating_mul(8),
        )?;
        let mut matrix = Array2::zeros((rows.rows(), self.names.len()));
        let mut scales = Vec::with_capacity(self.names.len());
        for (column, name) in self.names.iter().enumerate() {
            run.check()?;
            let values = self.complete(call, rows, name)?;
            let ordered: Vec<f64> = order
                .iter()
                .filter_map(|row| values.get(*row as usize).copied())
                .collect();
            let scale = if ordered.is_empty() {
                Scale {
                    offset: 0.0,
                    unit: 1.0,
                }
            } else {
                scaling.fit(&ordered)?
            };
            for (slot, value) in matrix.column_mut(column).iter_mut().zip(ordered) {
                *slot = scale.apply(value);
            }
            scales.push(scale);
        }
        Ok(Prepared { matrix, scales })
    }

    fn complete(&self, call: &Call, rows: &Input, name: &str) -> Result<Vec<f64>> {
        let described = call.input("rel")?;
        let imputation = imputation(call)?;
        if imputation == "error" {
            return rows.numbers(described, name);
        }
        let column = cast(&rows.column(name)?, &DataType::Float64)?;
        let numbers = column.as_primitive::<Float64Type>();
        let mut known: Vec<f64> = numbers.iter().flatten().collect();
        if let Some(bad) = known.iter().find(|value| !value.is_finite()) {
            return Err(Error::new(
                Kind::NumericOutOfRange,
                format!(
                    "column \"{name}\" of {} holds {}",
                    described.describe(),
                    sql_number(*bad)
                ),
            ));
        }
        if known.is_empty() && imputation != "zero" && !numbers.is_empty() {
            return Err(Error::new(
                Kind::NullNotAllowed,
                format!(
                    "column \"{name}\" of {} holds only NULL",
                    described.describe()
                ),
            )
            .hint("There is no value to impute from: leave the column out."));
        }
        let fill = match imputation {
            "zero" => 0.0,
            "mean" => {
                // Sorted first, so that the sum does not depend on the order of rows.
                known.sort_unstable_by(f64::total_cmp);
                known.iter().sum::<f64>() / known.len().max(1) as f64
            }
            _ => median(&mut known),
        };
        Ok(numbers.iter().map(|value| value.unwrap_or(fill)).collect())
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (
        values.get(middle),
        middle.checked_sub(1).and_then(|before| values.get(before)),
    ) {
        (Some(high), Some(low)) if values.len().is_multiple_of(2) => low + (high - low) / 2.0,
        (Some(only), _) => *only,
        _ => 0.0,
    }
}

fn scaling(call: &Call) -> Result<Scaling> {
    Ok(
        match call.word("standardize", &["none", "zscore", "minmax", "robust"])? {
            "zscore" => Scaling::ZScore,
            "minmax" => Scaling::MinMax,
            "robust" => Scaling::Robust,
            _ => Scaling::None,
        },
    )
}

fn imputation(call: &Call) -> Result<&'static str> {
    call.word("impute", &["error", "mean", "median", "zero"])
}
