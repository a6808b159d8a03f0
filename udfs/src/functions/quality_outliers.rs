//! `quality.outliers`: which rows are out of line.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Float64Array, ListBuilder, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float64Type};
use tributary_algo::quality::{IsolationForest, Outliers};

use crate::call::Call;
use crate::error::{Error, Kind, Result};
use crate::function::{
    Binding, Default, Example, Parameter, ParameterType, RelationFunction, ResultColumn, Signature,
};
use crate::input::{Input, check_numeric, distinct_keys, input_of};
use crate::output::{all_positions, appended, required};
use crate::records::distinct_names;
use crate::run::Run;
use crate::types::sql_number;

/// See [`SIGNATURE`].
#[derive(Debug)]
pub struct DetectOutliers;

static SIGNATURE: Signature = Signature {
    schema: "quality",
    name: "outliers",
    summary: "scores how far rows are out of line",
    prose: "'iqr' is the distance from the middle half of a feature's values in widths of that half (0 \
            within it), 'mad' that from the median in median absolute deviations times 0.6745, 'zscore' that \
            from the mean in standard deviations: each feature by itself, and a row scores the largest of \
            its features. 'isolation' looks at all features together: how soon random cuts leave the row \
            alone, from 0 to 1, with 100 trees of 256 rows. A NULL feature has no score; a row with none \
            has NULL; for 'isolation' no feature may be NULL. With `group_by_columns` a row is measured by the \
            rows that agree with it there. Time is O(n log n) a feature.",
    parameters: &[
        Parameter::relation("rel", "The rows."),
        Parameter::constant(
            "features",
            ParameterType::Columns,
            Default::Required,
            "The numeric columns to look at.",
        ),
        Parameter::new(
            "method",
            ParameterType::Text,
            Default::Text("iqr"),
            "'iqr', 'mad', 'zscore' or 'isolation'.",
        ),
        Parameter::constant(
            "group_by_columns",
            ParameterType::Columns,
            Default::Null,
            "Columns that part the rows into groups; absent, all rows are one group.",
        ),
        Parameter::new(
            "threshold",
            ParameterType::Float,
            Default::Null,
            "Above which score a row is an outlier, not negative; absent, 1.5 for 'iqr', 3.5 for \
             'mad', 3 for 'zscore' and 0.6 for 'isolation'.",
        ),
        Parameter::new(
            "seed",
            ParameterType::Integer,
            Default::Integer(0),
            "Fixes the random cuts of 'isolation'.",
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
            name: "is_outlier",
            data_type: "boolean",
            meaning: "Whether the score is above the threshold; NULL without a score.",
        },
        ResultColumn {
            name: "outlier_score",
            data_type: "double precision",
            meaning: "How far out the row is, in the unit of the method.",
        },
        ResultColumn {
            name: "outlier_features",
            data_type: "text[]",
            meaning: "The features above the threshold; NULL for 'isolation'.",
        },
    ],
    example: Example {
        setup: &[],
        sql: "SELECT * FROM quality.outliers(\
              (SELECT * FROM (VALUES (1, 10.0), (2, 11.0), (3, 12.0), (4, 13.0), (5, 90.0)) AS orders (id, total)), \
              features => 'total') ORDER BY id",
        output: "1|10.0|f|0.5|{}\n2|11.0|f|0|{}\n3|12.0|f|0|{}\n4|13.0|f|0|{}\n5|90.0|t|38.5|{total}",
    },
    source: "J. W. Tukey: Exploratory data analysis, 1977; B. Iglewicz, D. Hoaglin: How to detect and \
             handle outliers, 1993; F. T. Liu, K. M. Ting, Z.-H. Zhou: Isolation forest, ICDM 2008.",
};

/// How a call scores.
enum Method {
    OfEach(Outliers),
    Isolation(IsolationForest),
}

fn method(call: &Call) -> Result<(Method, f64)> {
    let method = match call.word("method", &["iqr", "mad", "zscore", "isolation"])? {
        "iqr" => Method::OfEach(Outliers::Iqr),
        "mad" => Method::OfEach(Outliers::Mad),
        "zscore" => Method::OfEach(Outliers::ZScore),
        _ => Method::Isolation(IsolationForest {
            seed: call.seed()?,
            ..IsolationForest::default()
        }),
    };
    let usual = match &method {
        Method::OfEach(outliers) => outliers.threshold(),
        Method::Isolation(_) => 0.6,
    };
    let threshold = match call.float("threshold")? {
        None => usual,
        Some(_) => call.float_from("threshold", 0.0, false)?,
    };
    Ok((method, threshold))
}

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

fn groups(call: &Call) -> Result<Vec<String>> {
    if call.has("group_by_columns")? {
        distinct_names(call.input("rel")?, call, "group_by_columns")
    } else {
        Ok(Vec::new())
    }
}

impl RelationFunction for DetectOutliers {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        let input = call.input("rel")?;
        features(call)?;
        groups(call)?;
        if call.is_complete() {
            method(call)?;
        }
        let added = vec![
            Field::new("is_outlier", DataType::Boolean, true),
            Field::new("outlier_score", DataType::Float64, true),
            Field::new(
                "outlier_features",
                DataType::new_list(DataType::Utf8, true),
                true,
            ),
        ];
        Ok(Binding {
            schema: appended(input, added, "Rename the column in the subquery.")?,
            required: required(call, |input| Ok(all_positions(input)))?,
            tags: vec![],
        })
    }

    fn run(&self, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
        let described = call.input("rel")?;
        let rows = input_of(call, inputs, "rel")?;
        let (names, by) = (features(call)?, groups(call)?);
        let (method, threshold) = method(call)?;
        let count = rows.rows();
        run.reserve(count.saturating_mul(8 * (names.len() + 3)))?;
        let (groups, group_count) = if by.is_empty() {
            (vec![0; count], 1)
        } else {
            let columns = by
                .iter()
                .map(|name| rows.column(name))
                .collect::<Result<Vec<_>>>()?;
            let keys = distinct_keys(&columns, count, run)?;
            let number = keys.len();
            (keys.codes, number)
        };
        let mut over: Option<Vec<Vec<bool>>> = None;
        let scores: Vec<f64> = match method {
            Method::OfEach(outliers) => {
                let mut most = vec![f64::NAN; count];
                let mut over_each = Vec::with_capacity(names.len());
                for name in &names {
                    run.check()?;
                    let values = numbers(rows, described, name)?;
                    let scores =
                        run.compute(|| outliers.scores(&values, &groups, group_count, run))?;
                    for (most, score) in most.iter_mut().zip(&scores) {
                        // The other of a number and NaN is the number.
                        *most = most.max(*score);
                    }
                    over_each.push(scores.iter().map(|score| *score > threshold).collect());
                }
                over = Some(over_each);
                most
            }
            Method::Isolation(forest) => {
                let columns = names
                    .iter()
                    .map(|name| rows.numbers(described, name))
                    .collect::<Result<Vec<_>>>()?;
                let order = rows.canonical_order(&names, run)?;
                let mut members: Vec<Vec<u32>> = vec![Vec::new(); group_count];
                for row in order {
                    let group = groups.get(row as usize).copied().unwrap_or_default();
                    if let Some(members) = members.get_mut(group as usize) {
                        members.push(row);
                    }
                }
                let mut scores = vec![f64::NAN; count];
                for members in members {
                    let matrix: Vec<f64> = members
                        .iter()
                        .flat_map(|row| {
                            let row = *row as usize;
                            columns
                                .iter()
                                .map(move |column| column.get(row).copied().unwrap_or_default())
                        })
                        .collect();
                    let found = run.compute(|| forest.scores(&matrix, names.len(), run))?;
                    for (row, score) in members.iter().zip(found) {
                        if let Some(slot) = scores.get_mut(*row as usize) {
                            *slot = score;
                        }
                    }
                }
                scores
            }
        };
        rows.with_columns(run, |range| {
            let of = scores.get(range.clone()).unwrap_or_default();
            let known = |score: &f64| Some(*score).filter(|score| !score.is_nan());
            let flags: BooleanArray = of
                .iter()
                .map(|score| known(score).map(|score| score > threshold))
                .collect();
            let numbers: Float64Array = of.iter().map(known).collect();
            let mut features = ListBuilder::new(StringBuilder::new());
            for row in range {
                if let Some(over) = &over {
                    for (name, over) in names.iter().zip(over) {
                        if over.get(row) == Some(&true) {
                            features.values().append_value(name);
                        }
                    }
                }
                features.append(over.is_some());
            }
            let columns: Vec<ArrayRef> = vec![
                Arc::new(flags),
                Arc::new(numbers),
                Arc::new(features.finish()),
            ];
            Ok(columns)
        })
    }
}

/// A feature, NaN where it is NULL.
fn numbers(rows: &Input, described: &crate::call::CallInput, name: &str) -> Result<Vec<f64>> {
    let column = rows.column(name)?;
    let column = cast(&column, &DataType::Float64)?;
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
    Ok(numbers
        .iter()
        .map(|value| value.unwrap_or(f64::NAN))
        .collect())
}
