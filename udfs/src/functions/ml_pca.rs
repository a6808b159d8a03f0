//! `ml.pca`: rows along the directions in which they spread most.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use arrow::datatypes::{DataType, Field};
use ndarray::Array2;
use tributary_algo::factorization::Pca;

use crate::call::Call;
use crate::error::{Error, Kind, Result};
use crate::features::{FEATURES, Features, IMPUTE, STANDARDIZE, emit_ordered};
use crate::function::{
    Binding, Default, Example, Parameter, ParameterType, RelationFunction, ResultColumn, Signature,
};
use crate::input::{Input, input_of};
use crate::output::{all_positions, appended, required};
use crate::run::Run;

/// See [`SIGNATURE`].
#[derive(Debug)]
pub struct PcaFunction;

static SIGNATURE: Signature = Signature {
    schema: "ml",
    name: "pca",
    summary: "gives rows by their principal components",
    prose: "The mean of each feature is subtracted; components are the orthogonal directions of most variance, in double precision, with the signs of scikit-learn's PCA: the entry of largest magnitude of a direction is positive. Every input row comes back once. Beyond the rank of the rows the components are 0. To use the same directions on other rows, or to see them, train a model with ml.train('pca', ...). Time is O(rows x features^2 + features^3).",
    parameters: &[
        Parameter::relation("rel", "The rows."),
        FEATURES,
        Parameter::constant(
            "k",
            ParameterType::Integer,
            Default::Null,
            "The number of components, from 1 to the number of features, which is the default.",
        ),
        STANDARDIZE,
        IMPUTE,
    ],
    positional: 1,
    columns: &[
        ResultColumn {
            name: "<all input columns>",
            data_type: "as in the input",
            meaning: "The row as given.",
        },
        ResultColumn {
            name: "pc1 .. pc<k>",
            data_type: "double precision",
            meaning: "The row along each component, that of most variance first.",
        },
    ],
    example: Example {
        setup: &[],
        sql: "SELECT x, y, round(pc1::numeric, 6) AS pc1 FROM ml.pca((SELECT * FROM (VALUES (0.0, 0.0), (3.0, 4.0), (6.0, 8.0)) AS points (x, y)), features => 'x, y', k => 1) ORDER BY x",
        output: "0.0|0.0|-5.000000\n3.0|4.0|0.000000\n6.0|8.0|5.000000",
    },
    source: "H. Hotelling: Analysis of a complex of statistical variables into principal components, J. Educ. Psychol. 24 (1933).",
};

/// How many components a call asks for.
///
/// # Errors
/// For a number that is not from 1 to that of the features.
pub(crate) fn components(call: &Call, features: &Features) -> Result<usize> {
    let most = features.names.len();
    if let Ok(None) = call.nullable_integer("k") {
        return Ok(most);
    }
    let given = call.count_or_auto("k", i64::from(i32::MIN));
    match given {
        Ok(Some(k)) if (1..=most).contains(&k) => Ok(k),
        Ok(None) => Ok(most),
        _ => Err(Error::new(
            Kind::InvalidParameter,
            format!(
                "argument \"k\" of {} is out of range",
                call.signature.qualified_name()
            ),
        )
        .hint(format!(
            "It must be from 1 to {most}, the number of features."
        ))),
    }
}

/// The columns of components: `pc1`, `pc2`, ...
pub(crate) fn component_fields(prefix: &str, k: usize) -> Vec<Field> {
    (1..=k)
        .map(|number| Field::new(format!("{prefix}{number}"), DataType::Float64, false))
        .collect()
}

/// Rows x components, a column each.
pub(crate) fn component_columns(scores: &Array2<f64>) -> Vec<ArrayRef> {
    scores
        .columns()
        .into_iter()
        .map(|column| Arc::new(Float64Array::from_iter_values(column.iter().copied())) as ArrayRef)
        .collect()
}

impl RelationFunction for PcaFunction {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        let features = Features::bind(call)?;
        if call.is_complete() {
            features.check_options(call)?;
        }
        let fields = component_fields("pc", components(call, &features)?);
        Ok(Binding {
            schema: appended(
                call.input("rel")?,
                fields,
                "Rename the column in the subquery.",
            )?,
            required: required(call, |input| Ok(all_positions(input)))?,
            tags: vec![],
        })
    }

    fn run(&self, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
        let rows = input_of(call, inputs, "rel")?;
        let features = Features::bind(call)?;
        let k = components(call, &features)?;
        if rows.rows() == 0 {
            return Err(
                Error::new(Kind::InvalidData, "there are no rows to find components of")
                    .hint("Give a relation with at least one row."),
            );
        }
        let order = rows.canonical_order(&features.names, run)?;
        let matrix = features.read(call, rows, &order, run)?.matrix;
        let scores = run.compute(|| {
            Pca { k, centre: true }
                .fit(matrix.view(), run)?
                .transform(matrix.view(), run)
        })?;
        run.reserve(scores.len().saturating_mul(8))?;
        emit_ordered(rows, &order, &component_columns(&scores), run)
    }
}
