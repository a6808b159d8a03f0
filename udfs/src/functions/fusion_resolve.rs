//! `fusion.resolve`: which records are of one person, by all that they say.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, SchemaRef};
use tributary_algo::fusion::resolve::{Basis, Edge, probability};

use crate::call::Call;
use crate::entities::{PREVIOUS, Previous, link_positions, named};
use crate::error::{Error, Kind, Result};
use crate::function::{
    Binding, Default, Example, Parameter, ParameterType, RelationFunction, ResultColumn, Signature,
};
use crate::input::Input;
use crate::output::{distinct_fields, required};
use crate::records::{
    ACROSS_SOURCES, BLOCK_ON, COMPARE, FORBID, FORCE, IDS, MAX_RECORDS_PER_BLOCK,
    MAX_RECORDS_PER_ENTITY, MAX_RECORDS_PER_VALUE, MAX_VALUES, ONE_TO_ONE, Prepared, REL,
    REVIEW_THRESHOLD, RecordColumns, SEED, SOURCE, THRESHOLD, options,
};
use crate::resolve_model::{FIXED, ResolveModel, model_info, model_key_fields, model_positions};
use crate::run::Run;

/// See [`SIGNATURE`].
#[derive(Debug)]
pub struct Resolve;

static SIGNATURE: Signature = Signature {
    schema: "fusion",
    name: "resolve",
    summary: "finds which records are of one person, by all that they say",
    prose: "Values are brought to one form by the kind of their column, pairs are formed inside the \
            blocks of `block_on`, and how much each agreement says is learnt from the records \
            themselves, without labels: rare values say more than common ones, and agreement that \
            relatives share is told from agreement of one person. Equal identifiers, pairs above the \
            threshold and decisions of stewards are joined best first; a link that would break a rule \
            (a decision, a limit, or records on both sides that speak against it) is refused, and \
            fusion.refusals() lists it with values and blocks that were passed over. fusion.pairs() \
            shows the scored pairs, fusion.explain() why two records are one. NULL and values that \
            stand for it never agree. Every record comes back once, in the order of its key. \
            unified_id is a hash of the entity's smallest key; with `previous`, entities keep their \
            ids, and an entity that is new gets an id that nobody had. With `model`, made by \
            fusion.train(), nothing is learnt: records that the model does not know are compared with \
            those it holds, and rows come for the given records and for every other record whose link \
            changed, review being NULL; what a model knows already it answers as it knows it. Time \
            grows with records x columns and with the pairs inside blocks, memory with about 20 bytes \
            a record and column.",
    parameters: &[
        REL,
        Parameter::constant(
            "key",
            ParameterType::Columns,
            Default::Null,
            "The columns that together identify a record; a key that occurs twice is an error. Must \
             be given, unless `model` is, whose key it is then.",
        ),
        IDS,
        COMPARE,
        BLOCK_ON,
        THRESHOLD,
        REVIEW_THRESHOLD,
        MAX_VALUES,
        MAX_RECORDS_PER_VALUE,
        MAX_RECORDS_PER_BLOCK,
        MAX_RECORDS_PER_ENTITY,
        PREVIOUS,
        FORBID,
        FORCE,
        SOURCE,
        ONE_TO_ONE,
        ACROSS_SOURCES,
        Parameter::new(
            "model",
            ParameterType::Model,
            Default::Null,
            "A model made by fusion.train(). What it fixes cannot be given beside it: everything from \
             `ids` to `max_records_per_entity`, decisions, sources and the seed.",
        ),
        SEED,
    ],
    positional: 1,
    columns: &[
        ResultColumn {
            name: "<key columns>",
            data_type: "as in the input",
            meaning: "The record.",
        },
        ResultColumn {
            name: "unified_id",
            data_type: "text",
            meaning: "The entity, the same text for all its records.",
        },
        ResultColumn {
            name: "score",
            data_type: "double precision",
            meaning: "The probability of the link by which the record came to its entity; 1 for \
                      identifiers and decisions, NULL for a record that is alone.",
        },
        ResultColumn {
            name: "match_key",
            data_type: "text",
            meaning: "What that link rests on: an id column, a rule of `block_on`, or 'force'.",
        },
        ResultColumn {
            name: "linked_to_<key columns>",
            data_type: "as in the input",
            meaning: "The record at the other end of that link.",
        },
        ResultColumn {
            name: "reason",
            data_type: "text",
            meaning: "'identifier', 'comparison' or 'decision'; NULL for a record that is alone.",
        },
        ResultColumn {
            name: "cluster_size",
            data_type: "bigint",
            meaning: "How many records the entity has.",
        },
        ResultColumn {
            name: "review",
            data_type: "boolean",
            meaning: "Whether the record has a pair of at least `review_threshold` with a record of \
                      another entity, too doubtful to link.",
        },
    ],
    example: Example {
        setup: &[],
        sql: "SELECT id, match_key, linked_to_id, reason, cluster_size FROM fusion.resolve(\
              (SELECT * FROM (VALUES (1, 'William', 'Smith', '1980-03-07', 'will@x.org'), \
              (2, 'Bill', 'Smith', '1980-03-07', NULL), \
              (3, 'Ann', 'Smith', '1984-11-02', 'ann@x.org'), \
              (4, 'Ann', 'Lee', '1991-05-30', 'ann@y.org'), \
              (5, 'Anne', 'Lee', '1991-05-30', 'ann@y.org')) \
              AS people (id, first_name, last_name, dob, email)), key => 'id') ORDER BY id",
        output: "1|last_name:sound, dob|2|comparison|2\n2|last_name:sound, dob|1|comparison|2\n3||||1\n4|email|5|comparison|2\n5|email|4|comparison|2",
    },
    source: "I. P. Fellegi, A. B. Sunter: A theory for record linkage, JASA 64 (1969); W. E. Winkler: \
             Using the EM algorithm for weight computation in the Fellegi-Sunter model of record \
             linkage, 1988.",
};

/// The columns of the result behind those of the key.
pub fn link_fields(key: Vec<Field>, linked: Vec<Field>) -> Result<SchemaRef> {
    let mut fields = key;
    fields.push(Field::new("unified_id", DataType::Utf8, false));
    fields.push(Field::new("score", DataType::Float64, true));
    fields.push(Field::new("match_key", DataType::Utf8, true));
    fields.extend(linked);
    fields.push(Field::new("reason", DataType::Utf8, true));
    fields.push(Field::new("cluster_size", DataType::Int64, false));
    fields.push(Field::new("review", DataType::Boolean, true));
    distinct_fields(fields)
}

/// The probability of a link.
pub fn score(edge: &Edge) -> f64 {
    match edge.basis {
        Basis::Compared(_) => probability(f64::from(edge.weight)),
        Basis::Forced | Basis::Id(_) => 1.0,
    }
}

impl RelationFunction for Resolve {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        let input = call.input("rel")?;
        if call.optional_input("model")?.is_some() {
            for name in FIXED {
                if call.has(name)? {
                    let hint = "Leave the argument out, or train another model with it.";
                    let message = format!("argument \"{name}\" cannot be given beside \"model\"");
                    return Err(Error::new(Kind::InvalidParameter, message).hint(hint));
                }
            }
            let info = model_info(call)?;
            let key = model_key_fields(info)?;
            let names: Vec<String> = key.iter().map(|field| field.name().clone()).collect();
            crate::resolve_model::check_key(call, input, &key)?;
            let linked = key.iter().map(|field| {
                let name = format!("linked_to_{}", field.name());
                Field::new(name, field.data_type().clone(), true)
            });
            return Ok(Binding {
                schema: link_fields(key.clone(), linked.collect())?,
                required: required(call, |other| match other.parameter {
                    "model" => model_positions(other),
                    "previous" => link_positions(input, &names, other),
                    _ => Ok(crate::output::all_positions(other)),
                })?,
                tags: vec![],
            });
        }
        let columns = RecordColumns::of(call)?;
        if call.is_complete() {
            options(call)?;
        }
        Ok(Binding {
            schema: link_fields(
                columns.key_fields(input, "")?,
                columns.key_fields(input, "linked_to_")?,
            )?,
            required: required(call, |other| match other.parameter {
                "previous" => link_positions(input, &columns.key, other),
                "forbid" | "force" => columns.decision_positions(input, other),
                _ => columns.positions(other),
            })?,
            tags: vec![],
        })
    }

    fn run(&self, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
        if call.optional_input("model")?.is_some() {
            return ResolveModel::answer(call, inputs, run);
        }
        let Prepared {
            columns,
            key_columns,
            keys,
            records,
            decisions,
            resolve,
        } = Prepared::of(call, inputs, run)?;
        if records.is_empty() {
            return Ok(());
        }
        let previous = if call.has("previous")? {
            Previous::read(call, inputs, &columns.key, &keys.index(run)?, run)?
        } else {
            None
        };
        let found = records.with(&decisions, run, |data| resolve.fit(data, run))?;
        let rules = records.rule_texts(&found.rules);

        let unified = named(&found.entity, &keys, previous.as_ref(), run)?;
        let links: Vec<Option<(f64, String, u32, &'static str)>> = found
            .link
            .iter()
            .enumerate()
            .map(|(record, link)| {
                link.map(|edge| {
                    let (match_key, reason) = records.basis(&rules, edge.basis);
                    let other = edge.left ^ edge.right ^ record as u32;
                    (score(&edge), match_key, other, reason)
                })
            })
            .collect();
        let linked: UInt32Array = links
            .iter()
            .map(|link| link.as_ref().map(|(_, _, other, _)| *other))
            .collect();
        let mut result: Vec<ArrayRef> = key_columns.clone();
        result.push(Arc::new(unified));
        result.push(Arc::new(Float64Array::from_iter(
            links.iter().map(|link| link.as_ref().map(|link| link.0)),
        )));
        result.push(Arc::new(StringArray::from_iter(
            links
                .iter()
                .map(|link| link.as_ref().map(|link| link.1.as_str())),
        )));
        for column in &key_columns {
            result.push(take(column, &linked, None)?);
        }
        result.push(Arc::new(StringArray::from_iter(
            links.iter().map(|link| link.as_ref().map(|link| link.3)),
        )));
        result.push(Arc::new(Int64Array::from_iter_values(
            found.entity_size.iter().map(|size| i64::from(*size)),
        )));
        result.push(Arc::new(BooleanArray::from_iter(
            found.review.iter().map(|review| Some(review.is_some())),
        )));
        run.emit_columns(result)
    }
}
