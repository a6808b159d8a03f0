//! Feature columns: what `features`, `standardize` and `impute` mean, the same in every function.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, UInt32Array};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, Float64Type};
use ndarray::Array2;
use tributary_algo::clustering::{Scale, Scaling};

use crate::call::{Call, CallInput};
use crate::error::{Error, Kind, Result};
use crate::function::{Binding, Default, Parameter, ParameterType};
use crate::input::{Input, check_numeric};
use crate::output::{all_positions, appended, required, resolved_names};
use crate::run::Run;
use crate::types::sql_number;

/// The columns that rows are compared by.
pub const FEATURES: Parameter = Parameter::constant(
    "features",
    ParameterType::Columns,
    Default::Required,
    "The numeric or boolean columns to compute with.",
);

/// How features are brought to one scale.
pub const STANDARDIZE: Parameter = Parameter::new(
    "standardize",
    ParameterType::Text,
    Default::Text("none"),
    "How features are brought to one scale first: 'none', 'zscore' (mean 0, standard deviation \
     1), 'minmax' (from 0 to 1) or 'robust' (median 0, interquartile range 1).",
);

/// What stands for a feature that is NULL.
pub const IMPUTE: Parameter = Parameter::new(
    "impute",
    ParameterType::Text,
    Default::Text("error"),
    "What a NULL feature becomes: 'error' refuses it, 'mean' and 'median' put the feature's \
     own, 'zero' puts 0.",
);

/// The seed of random draws.
pub const SEED: Parameter = Parameter::new(
    "seed",
    ParameterType::Integer,
    Default::Integer(0),
    "Fixes the random draws.",
);

/// The name of the label column.
pub const OUTPUT: Parameter = Parameter::constant(
    "output",
    ParameterType::Text,
    Default::Text("cluster_id"),
    "The name of the label column.",
);

/// A column with the weight of each row.
pub const WEIGHT: Parameter = Parameter::constant(
    "weight",
    ParameterType::Column,
    Default::Null,
    "A column with the weight of each row, not negative; absent, every row weighs 1.",
);

/// The feature columns of a call.
#[derive(Debug)]
pub struct Features {
    /// Their names in the relation, in the order given.
    pub names: Vec<String>,
}

/// What is done to a feature before it is computed with, the same for rows to come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Treatment {
    /// How its values are scaled.
    pub scale: Scale,
    /// What stands for NULL; `None` where NULL is refused.
    pub fill: Option<f64>,
}

/// Features as a matrix, standardized as asked.
#[derive(Debug)]
pub struct Prepared {
    /// Rows in the order asked for x features.
    pub matrix: Array2<f64>,
    /// What was done to each feature.
    pub treatments: Vec<Treatment>,
}

impl Features {
    /// Finds the columns named by `features` in the relation `rel`.
    ///
    /// # Errors
    /// For columns that are absent, named twice or not numeric.
    pub fn bind(call: &Call) -> Result<Self> {
        let input = call.input("rel")?;
        let features = Self {
            names: resolved_names(input, &call.columns("features")?)?,
        };
        let names = &features.names;
        for (position, name) in names.iter().enumerate() {
            if names.iter().take(position).any(|before| before == name) {
                return Err(Error::new(
                    Kind::DuplicateColumn,
                    format!("column \"{name}\" is given twice in argument \"features\""),
                ));
            }
        }
        if names.is_empty() {
            return Err(Error::new(
                Kind::InvalidParameter,
                "argument \"features\" names no columns",
            ));
        }
        features.check(input)?;
        Ok(features)
    }

    /// Fails where a feature is not a numeric column of `input`.
    pub fn check(&self, input: &CallInput) -> Result<()> {
        for name in &self.names {
            let field = input.schema.field(input.column(name)?);
            check_numeric(input, field.name(), field.data_type())?;
        }
        Ok(())
    }

    /// Checks the values of `standardize` and `impute`.
    pub fn check_options(&self, call: &Call) -> Result<()> {
        scaling(call)?;
        imputation(call)?;
        Ok(())
    }

    /// The names and whatever else decides an order of the rows.
    pub fn names_and(&self, further: &Option<String>) -> Vec<String> {
        self.names.iter().chain(further).cloned().collect()
    }

    /// Reads the features of all rows, in `order`.
    ///
    /// # Errors
    /// For NULL where it is not imputed, NaN, infinity, and memory that the limit forbids.
    pub fn read(&self, call: &Call, rows: &Input, order: &[u32], run: &Run) -> Result<Prepared> {
        let scaling = scaling(call)?;
        let imputation = imputation(call)?;
        let described = call.input("rel")?;
        self.with_treatments(rows, order, run, |name| {
            let (values, fill) = complete(described, rows, name, imputation)?;
            let ordered = reordered(&values, order);
            let scale = if ordered.is_empty() {
                Scale {
                    offset: 0.0,
                    unit: 1.0,
                }
            } else {
                scaling.fit(&ordered)?
            };
            Ok((ordered, Treatment { scale, fill }))
        })
    }

    /// Reads the features of all rows as they come, treated as those of a model were.
    ///
    /// # Errors
    /// As [`Features::read`].
    pub fn read_treated(
        &self,
        described: &CallInput,
        rows: &Input,
        treatments: &[Treatment],
        run: &Run,
    ) -> Result<Array2<f64>> {
        let order: Vec<u32> = (0..rows.rows() as u32).collect();
        let mut treatments = treatments.iter();
        let prepared = self.with_treatments(rows, &order, run, |name| {
            let treatment = *treatments
                .next()
                .ok_or_else(|| Error::internal("a treatment for each feature"))?;
            let name = described.schema.field(described.column(name)?).name();
            let values = match treatment.fill {
                None => rows.numbers(described, name)?,
                Some(fill) => numbers_or_null(described, rows, name)?
                    .iter()
                    .map(|value| value.unwrap_or(fill))
                    .collect(),
            };
            Ok((values, treatment))
        })?;
        Ok(prepared.matrix)
    }

    fn with_treatments(
        &self,
        rows: &Input,
        order: &[u32],
        run: &Run,
        mut column_of: impl FnMut(&str) -> Result<(Vec<f64>, Treatment)>,
    ) -> Result<Prepared> {
        run.reserve(
            rows.rows()
                .saturating_mul(self.names.len() + 2)
                .saturating_mul(8),
        )?;
        let mut matrix = Array2::zeros((order.len(), self.names.len()));
        let mut treatments = Vec::with_capacity(self.names.len());
        for (column, name) in self.names.iter().enumerate() {
            run.check()?;
            let (values, treatment) = column_of(name)?;
            for (slot, value) in matrix.column_mut(column).iter_mut().zip(values) {
                *slot = treatment.scale.apply(value);
            }
            treatments.push(treatment);
        }
        Ok(Prepared { matrix, treatments })
    }
}

/// The column named by `weight` in the relation `rel`, if it is given.
///
/// # Errors
/// For a column that is absent or not numeric.
pub fn weight_column(call: &Call) -> Result<Option<String>> {
    let input = call.input("rel")?;
    call.text("weight")?
        .map(|name| {
            let field = input.schema.field(input.column(&name)?);
            check_numeric(input, field.name(), field.data_type())?;
            Ok(field.name().clone())
        })
        .transpose()
}

/// The values in `order`.
pub fn reordered<T: Copy>(values: &[T], order: &[u32]) -> Vec<T> {
    order
        .iter()
        .filter_map(|row| values.get(*row as usize).copied())
        .collect()
}

/// Plans a function whose result is the rows of `rel`, all their columns, and what is found for each: a label named by `output`, and `added`.
///
/// # Errors
/// [`Kind::DuplicateColumn`] where a name would occur twice.
pub fn bind_labels(call: &Call, added: Vec<Field>) -> Result<Binding> {
    let mut fields = vec![Field::new(
        call.required_text("output")?,
        DataType::Int32,
        false,
    )];
    fields.extend(added);
    Ok(Binding {
        schema: appended(
            call.input("rel")?,
            fields,
            "Rename the column in the subquery, or name the label column with output => '...'.",
        )?,
        required: required(call, |input| Ok(all_positions(input)))?,
        tags: vec![],
    })
}

/// Emits `rows` with the further `columns`, whose values are in `order`.
pub fn emit_ordered(rows: &Input, order: &[u32], columns: &[ArrayRef], run: &Run) -> Result<()> {
    run.reserve(rows.rows().saturating_mul(4 + 16 * columns.len()))?;
    let mut places = vec![0_u32; rows.rows()];
    for (place, row) in order.iter().enumerate() {
        if let Some(slot) = places.get_mut(*row as usize) {
            *slot = place as u32;
        }
    }
    let places = UInt32Array::from(places);
    let columns = columns
        .iter()
        .map(|column| Ok(take(column, &places, None)?))
        .collect::<Result<Vec<ArrayRef>>>()?;
    emit_beside(rows, &columns, run)
}

/// Emits `rows` with the further `columns`, whose values are in the order of the rows.
pub fn emit_beside(rows: &Input, columns: &[ArrayRef], run: &Run) -> Result<()> {
    rows.with_columns(run, |range| {
        Ok(columns
            .iter()
            .map(|column| column.slice(range.start, range.len()))
            .collect())
    })
}

/// Labels of clusters as the result has them.
pub fn label_array(labels: &[u32]) -> Result<ArrayRef> {
    let labels = labels
        .iter()
        .map(|label| i32::try_from(*label).map_err(|_| Error::internal("a label fits i32")))
        .collect::<Result<Vec<i32>>>()?;
    Ok(Arc::new(arrow::array::Int32Array::from(labels)))
}

/// A numeric column that may hold NULL, but neither NaN nor infinity.
fn numbers_or_null(described: &CallInput, rows: &Input, name: &str) -> Result<Vec<Option<f64>>> {
    let column = cast(&rows.column(name)?, &DataType::Float64)?;
    let numbers = column.as_primitive::<Float64Type>();
    if let Some(bad) = numbers.iter().flatten().find(|value| !value.is_finite()) {
        return Err(Error::new(
            Kind::NumericOutOfRange,
            format!(
                "column \"{name}\" of {} holds {}",
                described.describe(),
                sql_number(bad)
            ),
        )
        .hint("Leave such rows out, or replace the value with nullif() or CASE."));
    }
    Ok(numbers.iter().collect())
}

/// A column with something in place of NULL, and what that is.
fn complete(
    described: &CallInput,
    rows: &Input,
    name: &str,
    imputation: &str,
) -> Result<(Vec<f64>, Option<f64>)> {
    if imputation == "error" {
        return Ok((rows.numbers(described, name)?, None));
    }
    let numbers = numbers_or_null(described, rows, name)?;
    let mut known: Vec<f64> = numbers.iter().copied().flatten().collect();
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
    let values = numbers.iter().map(|value| value.unwrap_or(fill)).collect();
    Ok((values, Some(fill)))
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (
        values.get(middle),
        middle.checked_sub(1).and_then(|before| values.get(before)),
    ) {
        (Some(high), Some(low)) if values.len().is_multiple_of(2) => low / 2.0 + high / 2.0,
        (Some(only), _) => *only,
        _ => 0.0,
    }
}

fn scaling(call: &Call) -> Result<Scaling> {
    if call.signature.parameter("standardize").is_none() {
        return Ok(Scaling::None);
    }
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
