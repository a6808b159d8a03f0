//! `fusion.link`: the records that two relations have in common.

use std::sync::Arc;

use arrow::array::{Float64Array, StringArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field};
use tributary_algo::fusion::resolve::{Edge, weight_of};

use crate::call::{Call, CallInput};
use crate::error::Result;
use crate::function::{
    Binding, Default, Example, Parameter, ParameterType, RelationFunction, ResultColumn, Signature,
};
use crate::functions::score;
use crate::input::Input;
use crate::keys::counterpart;
use crate::output::{all_positions, distinct_fields, positions, required};
use crate::records::{
    BLOCK_ON, COMPARE, Decisions, KEY, MAX_RECORDS_PER_BLOCK, MAX_RECORDS_PER_VALUE, RecordColumns,
    Records, Rows, SEED, THRESHOLD, key_fields, options,
};
use crate::run::Run;

/// See [`SIGNATURE`].
#[derive(Debug)]
pub struct Link;

static SIGNATURE: Signature = Signature {
    schema: "fusion",
    name: "link",
    summary: "finds the records that two relations have in common",
    prose: "Records of `rel` are compared with records of `other`, never with each other, as \
            fusion.resolve() does it; columns of `other` are found by the names that they have in \
            `rel`. With one_to_one, a record has one partner at most: pairs are taken best first. \
            Without it, every pair that reaches the threshold is told. The best pairs come first.",
    parameters: &[
        Parameter::relation("rel", "The records of the one side."),
        Parameter::relation("other", "The records of the other side."),
        KEY,
        COMPARE,
        BLOCK_ON,
        THRESHOLD,
        Parameter::new(
            "one_to_one",
            ParameterType::Boolean,
            Default::Boolean(true),
            "Whether a record is linked to at most one of the other side.",
        ),
        MAX_RECORDS_PER_VALUE,
        MAX_RECORDS_PER_BLOCK,
        SEED,
    ],
    positional: 1,
    columns: &[
        ResultColumn {
            name: "left_<key columns>",
            data_type: "as in rel",
            meaning: "The record of `rel`.",
        },
        ResultColumn {
            name: "right_<key columns>",
            data_type: "as in other",
            meaning: "The record of `other`.",
        },
        ResultColumn {
            name: "score",
            data_type: "double precision",
            meaning: "The probability that they are one.",
        },
        ResultColumn {
            name: "match_key",
            data_type: "text",
            meaning: "The first rule of `block_on` that brought them together.",
        },
    ],
    example: Example {
        setup: &[],
        sql: "SELECT left_id, right_id, match_key FROM fusion.link(\
              (SELECT * FROM (VALUES (1, 'William', 'Smith', '1980-03-07'), \
              (2, 'Ann', 'Lee', '1991-05-30'), (3, 'Joe', 'Ray', '1977-01-12')) \
              AS shop (id, first_name, last_name, dob)), \
              other => (SELECT * FROM (VALUES ('a', 'Bill', 'Smith', '1980-03-07'), \
              ('b', 'Anne', 'Lee', '1991-05-30'), ('c', 'Eve', 'Roe', '1969-08-23')) \
              AS app (id, first_name, last_name, dob)), key => 'id') ORDER BY left_id",
        output: "1|a|last_name:sound, dob\n2|b|first_name:sound, dob",
    },
    source: "I. P. Fellegi, A. B. Sunter: A theory for record linkage, JASA 64 (1969).",
};

/// The positions of what is read of `other`.
fn other_positions(
    columns: &RecordColumns,
    rel: &CallInput,
    other: &CallInput,
) -> Result<Vec<usize>> {
    let compared = columns.compare.iter().flatten().map(|(name, _)| name);
    let mut found = columns
        .key
        .iter()
        .chain(compared)
        .map(|name| counterpart(rel, name, other, name))
        .collect::<Result<Vec<_>>>()?;
    if columns.compare.is_none() {
        return Ok(all_positions(other));
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

impl RelationFunction for Link {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        let (rel, other) = (call.input("rel")?, call.input("other")?);
        let columns = RecordColumns::of(call)?;
        if call.is_complete() {
            options(call)?;
        }
        for name in &columns.key {
            counterpart(rel, name, other, name)?;
        }
        let mut fields = columns.key_fields(rel, "left_")?;
        // Under the names that the key has in the first relation.
        let of_other = key_fields(other, &columns.key, "right_")?;
        fields.extend(of_other.into_iter().zip(&columns.key).map(|(field, name)| {
            Field::new(format!("right_{name}"), field.data_type().clone(), true)
        }));
        fields.extend([
            Field::new("score", DataType::Float64, false),
            Field::new("match_key", DataType::Utf8, false),
        ]);
        Ok(Binding {
            schema: distinct_fields(fields)?,
            required: required(call, |input| match input.parameter {
                "other" => other_positions(&columns, rel, other),
                _ => match columns.compare {
                    None => Ok(all_positions(input)),
                    Some(_) => positions(
                        input,
                        columns
                            .key
                            .iter()
                            .chain(columns.compare.iter().flatten().map(|(name, _)| name)),
                    ),
                },
            })?,
            tags: vec![],
        })
    }

    fn run(&self, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
        let columns = RecordColumns::of(call)?;
        let parts = [
            Rows::of(call, inputs, "rel", &columns.key, run)?,
            Rows::of(call, inputs, "other", &columns.key, run)?,
        ];
        let [left_rows, right_rows] = &parts;
        if left_rows.is_empty() || right_rows.is_empty() {
            return Ok(());
        }
        let first_right = left_rows.len() as u32;
        let mut records = Records::read(&columns, &parts, run)?;
        let sides = (0..left_rows.len())
            .map(|_| 0)
            .chain((0..right_rows.len()).map(|_| 1))
            .collect();
        records.source = Some((sides, tributary_algo::fusion::intern::Strings::new()));
        let resolve = tributary_algo::fusion::Resolve {
            rules: records.rules.clone(),
            across_sources: true,
            ..options(call)?
        };
        let decisions = Decisions::default();
        let (rules, edges): (_, Vec<Edge>) = if resolve.one_to_one {
            let found = records.with(&decisions, run, |data| resolve.fit(data, run))?;
            let mut edges: Vec<Edge> = found
                .link
                .iter()
                .take(left_rows.len())
                .flatten()
                .copied()
                .collect();
            edges.sort_unstable_by(|a, b| {
                b.weight
                    .total_cmp(&a.weight)
                    .then((a.left, a.right).cmp(&(b.left, b.right)))
            });
            (found.rules, edges)
        } else {
            let least = weight_of(resolve.threshold) as f32;
            let (rules, pairs) = records.with(&decisions, run, |data| resolve.pairs(data, run))?;
            let edges = pairs.into_iter().map(|(edge, _)| edge);
            (rules, edges.filter(|edge| edge.weight >= least).collect())
        };
        let rules = records.rule_texts(&rules);
        let left = UInt32Array::from_iter_values(edges.iter().map(|edge| edge.left));
        let right = UInt32Array::from_iter_values(
            edges
                .iter()
                .map(|edge| edge.right.saturating_sub(first_right)),
        );
        let mut result = Vec::new();
        for (rows, at) in [(left_rows, &left), (right_rows, &right)] {
            for column in &rows.keys {
                result.push(take(column, at, None)?);
            }
        }
        result.push(Arc::new(Float64Array::from_iter_values(
            edges.iter().map(score),
        )));
        result.push(Arc::new(StringArray::from_iter_values(
            edges.iter().map(|edge| records.basis(&rules, edge.basis).0),
        )));
        run.emit_columns(result)
    }
}
