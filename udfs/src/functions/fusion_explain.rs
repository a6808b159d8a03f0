//! `fusion.explain`: why two records are one, or are not.

use std::sync::Arc;

use arrow::array::{Array, Float64Array, Int64Array, StringArray, UInt32Array};
use arrow::datatypes::{DataType, Field};
use tributary_algo::fusion::resolve::{Basis, Step};

use crate::call::Call;
use crate::error::{Error, Kind, Result};
use crate::function::{
    Binding, Default, Example, Parameter, ParameterType, RelationFunction, ResultColumn, Signature,
};
use crate::input::{Input, input_of};
use crate::output::{distinct_fields, required};
use crate::records::{
    ACROSS_SOURCES, BLOCK_ON, COMPARE, FORBID, FORCE, IDS, KEY, KeyTexts, MAX_RECORDS_PER_BLOCK,
    MAX_RECORDS_PER_ENTITY, MAX_RECORDS_PER_VALUE, MAX_VALUES, ONE_TO_ONE, Prepared, REL,
    REVIEW_THRESHOLD, RecordColumns, SEED, SOURCE, THRESHOLD, options, pair_columns, text_of,
};
use crate::run::Run;

/// See [`SIGNATURE`].
#[derive(Debug)]
pub struct Explain;

static SIGNATURE: Signature = Signature {
    schema: "fusion",
    name: "explain",
    summary: "tells why two records are one entity, or are not",
    prose: "The arguments are those of fusion.resolve(), and two records. Records of one entity are told \
            by the shortest chain of links from the left to the right one, a step for each link; of two \
            records that are not one, step 0 compares them directly. Each step has a row for what it \
            rests on, then one for each column that was compared, and the parts that no column has: \
            '(prior)', that matches are rare, and '(relatives)', what is taken off because relatives \
            would agree as well. The weights of a step, without its first row, add up to the log2 of the \
            odds that the two are of one person.",
    parameters: &[
        REL,
        KEY,
        IDS,
        COMPARE,
        BLOCK_ON,
        THRESHOLD,
        REVIEW_THRESHOLD,
        MAX_VALUES,
        MAX_RECORDS_PER_VALUE,
        MAX_RECORDS_PER_BLOCK,
        MAX_RECORDS_PER_ENTITY,
        FORBID,
        FORCE,
        SOURCE,
        ONE_TO_ONE,
        ACROSS_SOURCES,
        Parameter::new(
            "left_key",
            ParameterType::Key,
            Default::Required,
            "The key of the one record; of a key of several columns, an array of text.",
        ),
        Parameter::new(
            "right_key",
            ParameterType::Key,
            Default::Required,
            "The key of the other record.",
        ),
        SEED,
    ],
    positional: 1,
    columns: &[
        ResultColumn {
            name: "step",
            data_type: "bigint",
            meaning: "The link of the chain, from 1; 0 for two records that are not one entity.",
        },
        ResultColumn {
            name: "left_<key columns>",
            data_type: "as in the input",
            meaning: "Where the link begins.",
        },
        ResultColumn {
            name: "right_<key columns>",
            data_type: "as in the input",
            meaning: "Where it ends.",
        },
        ResultColumn {
            name: "column_name",
            data_type: "text",
            meaning: "The column; in the first row of a step what the link rests on, as match_key.",
        },
        ResultColumn {
            name: "left_value",
            data_type: "text",
            meaning: "Its value where the link begins.",
        },
        ResultColumn {
            name: "right_value",
            data_type: "text",
            meaning: "Its value where the link ends.",
        },
        ResultColumn {
            name: "level",
            data_type: "text",
            meaning: "How much they agree; in the first row of a step 'identifier', 'comparison', \
                      'decision' or 'not linked'; NULL where a value is missing.",
        },
        ResultColumn {
            name: "weight",
            data_type: "double precision",
            meaning: "The part of the column in the log2 of the odds; in the first row the odds \
                      themselves, NULL where nothing is compared.",
        },
    ],
    example: Example {
        setup: &[],
        sql: "SELECT step, left_id, right_id, column_name, left_value, right_value, level \
              FROM fusion.explain(\
              (SELECT * FROM (VALUES (1, 'William', 'Smith', '1980-03-07'), \
              (2, 'Bill', 'Smith', '1980-03-07'), (3, 'Ann', 'Smith', '1984-11-02'), \
              (4, 'Ann', 'Lee', '1991-05-30'), (5, 'Anne', 'Lee', '1991-05-30')) \
              AS people (id, first_name, last_name, dob)), key => 'id', left_key => 1, right_key => 2)",
        output: "1|1|2|last_name:sound, dob|||comparison\n1|1|2|(prior)|||\n1|1|2|first_name|William|Bill|short form\n1|1|2|last_name|Smith|Smith|equal\n1|1|2|dob|1980-03-07|1980-03-07|equal\n1|1|2|(relatives)|||",
    },
    source: "I. P. Fellegi, A. B. Sunter: A theory for record linkage, JASA 64 (1969).",
};

impl RelationFunction for Explain {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        let input = call.input("rel")?;
        let columns = RecordColumns::of(call)?;
        if call.is_complete() {
            options(call)?;
            for side in ["left_key", "right_key"] {
                wanted(call, side, columns.key.len())?;
            }
        }
        let mut fields = vec![Field::new("step", DataType::Int64, false)];
        fields.extend(columns.key_fields(input, "left_")?);
        fields.extend(columns.key_fields(input, "right_")?);
        fields.extend([
            Field::new("column_name", DataType::Utf8, true),
            Field::new("left_value", DataType::Utf8, true),
            Field::new("right_value", DataType::Utf8, true),
            Field::new("level", DataType::Utf8, true),
            Field::new("weight", DataType::Float64, true),
        ]);
        Ok(Binding {
            schema: distinct_fields(fields)?,
            required: required(call, |other| match other.parameter {
                "forbid" | "force" => columns.decision_positions(input, other),
                _ => columns.positions(other),
            })?,
            tags: vec![],
        })
    }

    fn run(&self, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
        let described = call.input("rel")?;
        let rows = input_of(call, inputs, "rel")?;
        let Prepared {
            columns,
            key_columns,
            keys,
            records,
            decisions,
            resolve,
        } = Prepared::of(call, inputs, run)?;
        let index = keys.index(run)?;
        let record = |side: &str| -> Result<u32> {
            let values = wanted(call, side, columns.key.len())?;
            let texts = values
                .iter()
                .map(|value| StringArray::from(vec![value.as_str()]))
                .collect();
            let found = KeyTexts::from_texts(texts).find_in(&index);
            found.first().copied().flatten().ok_or_else(|| {
                Error::new(
                    Kind::InvalidData,
                    format!(
                        "there is no record ({}) in {}",
                        values.join(", "),
                        described.describe()
                    ),
                )
                .hint(format!(
                    "Argument \"{side}\" is the key of one of its rows."
                ))
            })
        };
        let (left, right) = (record("left_key")?, record("right_key")?);
        let told = records.with(&decisions, run, |data| {
            resolve.explain(data, left, right, run)
        })?;
        let rules = records.rule_texts(&told.rules);
        let mut table = Told::default();
        for (at, step) in told.steps.iter().enumerate() {
            let number = if step.basis.is_some() {
                at as i64 + 1
            } else {
                0
            };
            let (match_key, reason) = match step.basis {
                Some(basis) => {
                    let (key, reason) = records.basis(&rules, basis);
                    (Some(key), reason)
                }
                None => (None, "not linked"),
            };
            let weight = step.waterfall.as_ref().map(|waterfall| waterfall.weight);
            // A shared identifier is shown with its value.
            let id = match step.basis {
                Some(Basis::Id(_)) => match_key.clone(),
                _ => None,
            };
            table.push(number, step, match_key, id, Some(reason), weight);
            let Some(waterfall) = &step.waterfall else {
                continue;
            };
            table.push(
                number,
                step,
                Some("(prior)".to_owned()),
                None,
                None,
                Some(waterfall.prior),
            );
            for ((column, level), weight) in records
                .compared
                .iter()
                .zip(&waterfall.levels)
                .zip(&waterfall.weights)
            {
                let words = level.and_then(|level| column.kind.levels().get(level).copied());
                let name = column.name.clone();
                table.push(
                    number,
                    step,
                    Some(name.clone()),
                    Some(name),
                    words,
                    Some(*weight),
                );
            }
            let relatives = Some("(relatives)".to_owned());
            table.push(
                number,
                step,
                relatives,
                None,
                None,
                Some(waterfall.relatives),
            );
        }
        // Values as they are in the relation, of the few records that are told of.
        let row_of = rows.unique_keys(described, &columns.key, run)?;
        let mut places = vec![0_u32; row_of.len()];
        for (row, code) in row_of.codes.iter().enumerate() {
            if let Some(place) = places.get_mut(*code as usize) {
                *place = row as u32;
            }
        }
        let value = |name: &Option<String>, record: u32| -> Result<Option<String>> {
            let Some(name) = name else { return Ok(None) };
            let place = places.get(record as usize).copied().unwrap_or_default();
            let column = rows.column(name)?.slice(place as usize, 1);
            let text = text_of(described, name, &column)?;
            Ok(text.is_valid(0).then(|| text.value(0).to_owned()))
        };
        let values = |ends: &[u32]| -> Result<StringArray> {
            table
                .shown
                .iter()
                .zip(ends)
                .map(|(name, record)| value(name, *record))
                .collect()
        };
        let (left_values, right_values) = (values(&table.left)?, values(&table.right)?);
        let (left, right) = (
            UInt32Array::from(table.left),
            UInt32Array::from(table.right),
        );
        let mut result: Vec<arrow::array::ArrayRef> = vec![Arc::new(Int64Array::from(table.steps))];
        result.extend(pair_columns(&key_columns, &left, &right)?);
        result.push(Arc::new(StringArray::from(table.names)));
        result.push(Arc::new(left_values));
        result.push(Arc::new(right_values));
        result.push(Arc::new(StringArray::from(table.levels)));
        result.push(Arc::new(Float64Array::from(table.weights)));
        run.emit_columns(result)
    }
}

/// The rows of the result.
#[derive(std::default::Default)]
struct Told {
    steps: Vec<i64>,
    left: Vec<u32>,
    right: Vec<u32>,
    names: Vec<Option<String>>,
    /// The column whose values are shown.
    shown: Vec<Option<String>>,
    levels: Vec<Option<&'static str>>,
    weights: Vec<Option<f64>>,
}

impl Told {
    fn push(
        &mut self,
        number: i64,
        step: &Step,
        name: Option<String>,
        shown: Option<String>,
        level: Option<&'static str>,
        weight: Option<f64>,
    ) {
        self.steps.push(number);
        self.left.push(step.left);
        self.right.push(step.right);
        self.names.push(name);
        self.shown.push(shown);
        self.levels.push(level);
        self.weights.push(weight);
    }
}

/// The values of a key that is asked about, as text.
fn wanted(call: &Call, side: &str, width: usize) -> Result<Vec<String>> {
    let values = call.key_values(side)?;
    if values.len() == width {
        return Ok(values);
    }
    Err(Error::new(
        Kind::InvalidParameter,
        format!(
            "argument \"{side}\" has {} values, but the key has {width} columns",
            values.len()
        ),
    )
    .hint("Give a value for each column of the key, such as ARRAY['web', '17']."))
}
