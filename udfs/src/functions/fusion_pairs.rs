//! `fusion.pairs`: the pairs that `fusion.resolve` scores, with the part of each column.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Array, Float64Builder, Int32Builder, ListBuilder, StringArray, StringBuilder,
    UInt32Array,
};
use arrow::datatypes::{DataType, Field};
use tributary_algo::fusion::resolve::Basis;

use crate::call::Call;
use crate::error::Result;
use crate::function::{Binding, Example, RelationFunction, ResultColumn, Signature};
use crate::functions::score;
use crate::input::Input;
use crate::output::{distinct_fields, required};
use crate::records::{
    ACROSS_SOURCES, BLOCK_ON, COMPARE, KEY, MAX_RECORDS_PER_BLOCK, MAX_RECORDS_PER_VALUE, Prepared,
    REL, REVIEW_THRESHOLD, RecordColumns, SEED, SOURCE, THRESHOLD, options, pair_columns,
};
use crate::run::Run;

/// See [`SIGNATURE`].
#[derive(Debug)]
pub struct Pairs;

static SIGNATURE: Signature = Signature {
    schema: "fusion",
    name: "pairs",
    summary: "scores pairs of records, with the part that each column has in the score",
    prose: "The pairs are those that share a block of `block_on` and have at least the probability \
            `review_threshold`, the best first, before anything is joined: what is learnt and how is \
            told at fusion.resolve(). A weight is the log2 of how much likelier what the column says is \
            among records of one person than among strangers; match_weight, the log2 of the odds, is \
            prior + the sum of weights + relatives. `threshold` only bounds `review_threshold`.",
    parameters: &[
        REL,
        KEY,
        COMPARE,
        BLOCK_ON,
        THRESHOLD,
        REVIEW_THRESHOLD,
        MAX_RECORDS_PER_VALUE,
        MAX_RECORDS_PER_BLOCK,
        SOURCE,
        ACROSS_SOURCES,
        SEED,
    ],
    positional: 1,
    columns: &[
        ResultColumn {
            name: "left_<key columns>",
            data_type: "as in the input",
            meaning: "The record with the smaller key.",
        },
        ResultColumn {
            name: "right_<key columns>",
            data_type: "as in the input",
            meaning: "The record with the larger key.",
        },
        ResultColumn {
            name: "score",
            data_type: "double precision",
            meaning: "The probability that they are of one person.",
        },
        ResultColumn {
            name: "match_weight",
            data_type: "double precision",
            meaning: "The log2 of the odds of it.",
        },
        ResultColumn {
            name: "match_key",
            data_type: "text",
            meaning: "The first rule of `block_on` that brought them together.",
        },
        ResultColumn {
            name: "column_names",
            data_type: "text[]",
            meaning: "The columns that were compared.",
        },
        ResultColumn {
            name: "levels",
            data_type: "integer[]",
            meaning: "How much they agree on each, from 0 for not at all; NULL where a value is \
                      missing. fusion.explain() names the levels.",
        },
        ResultColumn {
            name: "weights",
            data_type: "double precision[]",
            meaning: "The part of each column in match_weight.",
        },
        ResultColumn {
            name: "prior",
            data_type: "double precision",
            meaning: "The part that is there before anything is compared: matches are rare.",
        },
        ResultColumn {
            name: "relatives",
            data_type: "double precision",
            meaning: "What is taken off because relatives would agree as well; at most 0.",
        },
    ],
    example: Example {
        setup: &[],
        sql: "SELECT left_id, right_id, match_key, column_names, levels FROM fusion.pairs(\
              (SELECT * FROM (VALUES (1, 'William', 'Smith', '1980-03-07'), \
              (2, 'Bill', 'Smith', '1980-03-07'), (3, 'Ann', 'Smith', '1984-11-02'), \
              (4, 'Ann', 'Lee', '1991-05-30'), (5, 'Anne', 'Lee', '1991-05-30')) \
              AS people (id, first_name, last_name, dob)), key => 'id') ORDER BY left_id",
        output: "1|2|last_name:sound, dob|{first_name,last_name,dob}|{2,4,4}\n4|5|first_name:sound, dob|{first_name,last_name,dob}|{3,4,4}",
    },
    source: "I. P. Fellegi, A. B. Sunter: A theory for record linkage, JASA 64 (1969).",
};

fn list(item: DataType) -> DataType {
    DataType::new_list(item, true)
}

impl RelationFunction for Pairs {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        let input = call.input("rel")?;
        let columns = RecordColumns::of(call)?;
        if call.is_complete() {
            options(call)?;
        }
        let mut fields = columns.key_fields(input, "left_")?;
        fields.extend(columns.key_fields(input, "right_")?);
        fields.extend([
            Field::new("score", DataType::Float64, false),
            Field::new("match_weight", DataType::Float64, false),
            Field::new("match_key", DataType::Utf8, false),
            Field::new("column_names", list(DataType::Utf8), false),
            Field::new("levels", list(DataType::Int32), false),
            Field::new("weights", list(DataType::Float64), false),
            Field::new("prior", DataType::Float64, false),
            Field::new("relatives", DataType::Float64, false),
        ]);
        Ok(Binding {
            schema: distinct_fields(fields)?,
            required: required(call, |other| columns.positions(other))?,
            tags: vec![],
        })
    }

    fn run(&self, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
        let Prepared {
            key_columns,
            records,
            decisions,
            resolve,
            ..
        } = Prepared::of(call, inputs, run)?;
        if records.is_empty() {
            return Ok(());
        }
        let (rules, pairs) = records.with(&decisions, run, |data| resolve.pairs(data, run))?;
        let rules = records.rule_texts(&rules);
        for pairs in pairs.chunks(1 << 14) {
            run.check()?;
            let ends = |of: fn(&tributary_algo::fusion::resolve::Edge) -> u32| {
                UInt32Array::from_iter_values(pairs.iter().map(|(edge, _)| of(edge)))
            };
            let (left, right) = (ends(|edge| edge.left), ends(|edge| edge.right));
            let mut names = ListBuilder::new(StringBuilder::new());
            let mut levels = ListBuilder::new(Int32Builder::new());
            let mut weights = ListBuilder::new(Float64Builder::new());
            for (_, waterfall) in pairs {
                for ((column, level), weight) in records
                    .compared
                    .iter()
                    .zip(&waterfall.levels)
                    .zip(&waterfall.weights)
                {
                    names.values().append_value(&column.name);
                    levels
                        .values()
                        .append_option(level.map(|level| level as i32));
                    weights.values().append_value(*weight);
                }
                names.append(true);
                levels.append(true);
                weights.append(true);
            }
            let numbers = |of: &dyn Fn(usize) -> f64| -> ArrayRef {
                Arc::new(Float64Array::from_iter_values((0..pairs.len()).map(of)))
            };
            let waterfall = |at: usize| pairs.get(at).map(|(_, waterfall)| waterfall);
            let mut result = pair_columns(&key_columns, &left, &right)?;
            result.push(Arc::new(Float64Array::from_iter_values(
                pairs.iter().map(|(edge, _)| score(edge)),
            )));
            result.push(numbers(&|at| waterfall(at).map_or(0.0, |w| w.weight)));
            result.push(Arc::new(StringArray::from_iter_values(pairs.iter().map(
                |(edge, _)| {
                    match edge.basis {
                        Basis::Compared(rule) => rules
                            .get(rule as usize)
                            .map(String::as_str)
                            .unwrap_or_default(),
                        Basis::Forced | Basis::Id(_) => "",
                    }
                },
            ))));
            result.push(Arc::new(names.finish()));
            result.push(Arc::new(levels.finish()));
            result.push(Arc::new(weights.finish()));
            result.push(numbers(&|at| waterfall(at).map_or(0.0, |w| w.prior)));
            result.push(numbers(&|at| waterfall(at).map_or(0.0, |w| w.relatives)));
            run.emit_columns(result)?;
        }
        Ok(())
    }
}
