//! `quality.scale`: features in comparable units.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Builder, ListBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float64Type};
use tributary_algo::clustering::Scaling;

use crate::call::Call;
use crate::error::Result;
use crate::function::{
    Binding, Default, Example, Parameter, ParameterType, RelationFunction, ResultColumn, Signature,
};
use crate::input::{Input, check_numeric, input_of};
use crate::output::{all_positions, appended, required};
use crate::records::distinct_names;
use crate::run::Run;

/// See [`SIGNATURE`].
#[derive(Debug)]
pub struct ScaleColumns;

static SIGNATURE: Signature = Signature {
    schema: "quality",
    name: "scale",
    summary: "brings features to one scale",
    prose: "'zscore' gives each feature mean 0 and standard deviation 1, the deviation dividing by n; \
            'minmax' the smallest value 0 and the largest 1; 'robust' median 0 and interquartile range 1. A \
            feature that is constant becomes 0. NULL stays NULL and plays no part in the scale; NaN and \
            infinity are refused. Time is O(n log n) a feature.",
    parameters: &[
        Parameter::relation("rel", "The rows."),
        Parameter::constant(
            "features",
            ParameterType::Columns,
            Default::Required,
            "The numeric or boolean columns to scale.",
        ),
        Parameter::new(
            "method",
            ParameterType::Text,
            Default::Text("zscore"),
            "'zscore', 'minmax' or 'robust'.",
        ),
    ],
    positional: 1,
    columns: &[
        ResultColumn {
            name: "<input columns>",
            data_type: "as in the input",
            meaning: "The row.",
        },
        ResultColumn {
            name: "scaled",
            data_type: "double precision[]",
            meaning: "The scaled features, in the order of `features`.",
        },
    ],
    example: Example {
        setup: &[],
        sql: "SELECT * FROM quality.scale((SELECT * FROM (VALUES (1, 10, 5), (2, 20, 5), (3, NULL, 5), (4, 30, 5)) \
              AS t (id, x, y)), features => 'x, y', method => 'minmax') ORDER BY id",
        output: "1|10|5|{0,0}\n2|20|5|{0.5,0}\n3||5|{NULL,0}\n4|30|5|{1,0}",
    },
    source: "StandardScaler, MinMaxScaler and RobustScaler of scikit-learn.",
};

fn features(call: &Call) -> Result<Vec<String>> {
    let input = call.input("rel")?;
    let names = distinct_names(input, call, "features")?;
    for name in &names {
        check_numeric(
            input,
            name,
            input.schema.field(input.column(name)?).data_type(),
        )?;
    }
    Ok(names)
}

fn scaling(call: &Call) -> Result<Scaling> {
    Ok(
        match call.word("method", &["zscore", "minmax", "robust"])? {
            "minmax" => Scaling::MinMax,
            "robust" => Scaling::Robust,
            _ => Scaling::ZScore,
        },
    )
}

impl RelationFunction for ScaleColumns {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        let input = call.input("rel")?;
        features(call)?;
        if call.is_complete() {
            scaling(call)?;
        }
        let numbers = DataType::new_list(DataType::Float64, true);
        Ok(Binding {
            schema: appended(
                input,
                vec![Field::new("scaled", numbers, false)],
                "Rename the column in the subquery.",
            )?,
            required: required(call, |input| Ok(all_positions(input)))?,
            tags: vec![],
        })
    }

    fn run(&self, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
        let described = call.input("rel")?;
        let rows = input_of(call, inputs, "rel")?;
        let names = features(call)?;
        let scaling = scaling(call)?;
        run.reserve(rows.rows().saturating_mul(16 * (names.len() + 1)))?;
        let mut scaled: Vec<Vec<Option<f64>>> = Vec::with_capacity(names.len());
        for name in &names {
            run.check()?;
            let column = rows.column(name)?;
            check_numeric(described, name, column.data_type())?;
            let column = cast(&column, &DataType::Float64)?;
            let numbers = column.as_primitive::<Float64Type>();
            let mut known: Vec<f64> = numbers.iter().flatten().collect();
            if known.is_empty() {
                scaled.push(vec![None; rows.rows()]);
                continue;
            }
            // Sums of sorted numbers do not depend on the order of rows.
            known.sort_unstable_by(f64::total_cmp);
            let scale = run.compute(|| scaling.fit(&known))?;
            scaled.push(
                numbers
                    .iter()
                    .map(|value| value.map(|value| scale.apply(value)))
                    .collect(),
            );
        }
        rows.with_columns(run, |range| {
            let mut lists = ListBuilder::new(Float64Builder::new());
            for row in range {
                for column in &scaled {
                    lists
                        .values()
                        .append_option(column.get(row).copied().flatten());
                }
                lists.append(true);
            }
            let lists: ArrayRef = Arc::new(lists.finish());
            Ok(vec![lists])
        })
    }
}
