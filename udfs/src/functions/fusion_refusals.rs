//! `fusion.refusals`: what `fusion.resolve` did not link, and why.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Float64Array, StringArray, UInt32Array};
use arrow::datatypes::{DataType, Field};
use tributary_algo::fusion::resolve::Guard;

use crate::call::Call;
use crate::error::Result;
use crate::function::{Binding, Example, RelationFunction, ResultColumn, Signature};
use crate::functions::score;
use crate::input::Input;
use crate::output::{distinct_fields, required};
use crate::records::{
    ACROSS_SOURCES, BLOCK_ON, COMPARE, FORBID, FORCE, IDS, KEY, MAX_RECORDS_PER_BLOCK,
    MAX_RECORDS_PER_ENTITY, MAX_RECORDS_PER_VALUE, MAX_VALUES, ONE_TO_ONE, Prepared, REL,
    REVIEW_THRESHOLD, RecordColumns, SEED, SOURCE, THRESHOLD, options, pair_columns,
};
use crate::run::Run;

/// See [`SIGNATURE`].
#[derive(Debug)]
pub struct Refusals;

static SIGNATURE: Signature = Signature {
    schema: "fusion",
    name: "refusals",
    summary: "lists the links that fusion.resolve refused, and what it passed over",
    prose: "The arguments are those of fusion.resolve(); the same arguments give what that call \
            refused. Links that a guard refused come in the order in which they were tried; then blocks \
            that were passed over because too many records are in them, the largest first, and values \
            that were taken as missing because too many records hold them: of these the left key is the \
            first record that has it, and the right key and the score are NULL.",
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
            meaning: "The probability of the link; 1 for identifiers and decisions.",
        },
        ResultColumn {
            name: "match_key",
            data_type: "text",
            meaning: "What the link rests on, or the rule or column that was passed over.",
        },
        ResultColumn {
            name: "rule",
            data_type: "text",
            meaning: "What refused it: 'evidence' for records on both sides that speak against it, \
                      otherwise the argument, such as 'max_values' or 'forbid'.",
        },
        ResultColumn {
            name: "reason",
            data_type: "text",
            meaning: "The same in words.",
        },
    ],
    example: Example {
        setup: &[],
        sql: "SELECT left_id, right_id, match_key, rule, reason FROM fusion.refusals(\
              (SELECT * FROM (VALUES (1, 'ann@x.org', 7), (2, 'ann@x.org', 8), (3, 'bob@x.org', 9)) \
              AS accounts (id, email, card)), key => 'id', ids => 'email', compare => 'card', \
              max_values => 'card:1')",
        output: "1|2|email|max_values|the entity would have more than 1 distinct values of \"card\"",
    },
    source: "The union-find of R. E. Tarjan, J. van Leeuwen: Worst-case analysis of set union \
             algorithms, JACM 31 (1984), with guards.",
};

impl RelationFunction for Refusals {
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
            Field::new("score", DataType::Float64, true),
            Field::new("match_key", DataType::Utf8, false),
            Field::new("rule", DataType::Utf8, false),
            Field::new("reason", DataType::Utf8, false),
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
        let found = records.with(&decisions, run, |data| resolve.fit(data, run))?;
        let rules = records.rule_texts(&found.rules);
        let (mut left, mut right, mut scores) = (Vec::new(), Vec::new(), Vec::new());
        let (mut match_keys, mut names, mut reasons) = (Vec::new(), Vec::new(), Vec::new());
        let mut tell = |ends: (u32, Option<u32>), score: Option<f64>, key: String, what: Told| {
            left.push(ends.0);
            right.push(ends.1);
            scores.push(score);
            match_keys.push(key);
            names.push(what.0);
            reasons.push(what.1);
        };
        for refused in &found.refused {
            let edge = &refused.edge;
            let (match_key, _) = records.basis(&rules, edge.basis);
            let what = guard(refused.guard, &records.ids, &resolve);
            tell(
                (edge.left, Some(edge.right)),
                Some(score(edge)),
                match_key,
                what,
            );
        }
        for block in &found.large_blocks {
            let rule = rules.get(block.rule as usize).cloned().unwrap_or_default();
            let reason = format!(
                "{} records agree on the rule, more than {}",
                block.records, resolve.max_records_per_block
            );
            tell(
                (block.first, None),
                None,
                rule,
                ("max_records_per_block", reason),
            );
        }
        // A column that is compared and links is told of once.
        let mut told: HashSet<(String, u32)> = HashSet::new();
        for &(column, first, holders) in &found.ignored_values {
            let column = column as usize;
            let compared = records.compared.get(column).map(|column| &column.name);
            let id = column
                .checked_sub(records.compared.len())
                .and_then(|at| records.ids.get(at));
            let name = compared.or(id.map(|id| &id.id.name));
            let name = name.cloned().unwrap_or_default();
            if !told.insert((name.clone(), first)) {
                continue;
            }
            let most = resolve.max_records_per_value.unwrap_or_default();
            let reason = format!("{holders} records hold the value, more than {most}");
            tell((first, None), None, name, ("max_records_per_value", reason));
        }
        let (left, right) = (UInt32Array::from(left), UInt32Array::from(right));
        let mut result = pair_columns(&key_columns, &left, &right)?;
        result.push(Arc::new(Float64Array::from(scores)));
        result.push(Arc::new(StringArray::from(match_keys)));
        result.push(Arc::new(StringArray::from(names)));
        result.push(Arc::new(StringArray::from(reasons)));
        run.emit_columns(result)
    }
}

/// The name of what refused, and the reason in words.
type Told = (&'static str, String);

fn guard(
    guard: Guard,
    ids: &[crate::records::Identified],
    resolve: &tributary_algo::fusion::Resolve,
) -> Told {
    match guard {
        Guard::EntitySize => (
            "max_records_per_entity",
            format!(
                "the entity would have more than {} records",
                resolve.max_records_per_entity.unwrap_or_default()
            ),
        ),
        Guard::MaxValues(at) => {
            let id = ids.get(at as usize).map(|column| &column.id);
            let most = id.and_then(|id| id.cap).unwrap_or_default();
            let name = id.map(|id| id.name.as_str()).unwrap_or_default();
            (
                "max_values",
                format!("the entity would have more than {most} distinct values of \"{name}\""),
            )
        }
        Guard::OneToOne => (
            "one_to_one",
            "the entity would have two records of one source".to_owned(),
        ),
        Guard::Forbidden => (
            "forbid",
            "two records of the entity are forbidden to be one".to_owned(),
        ),
        Guard::Evidence => (
            "evidence",
            "the other records of both sides speak against it".to_owned(),
        ),
    }
}
