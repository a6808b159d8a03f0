//! `ml.similar`: what is like what.

use std::sync::Arc;

use arrow::array::{Float64Array, Int64Array, StringArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field};
use ndarray::Array2;
use tributary_algo::Pattern;
use tributary_algo::recommend::{Exclusion, ItemTable, Ranked, unit_rows};

use super::ml_recommend::{column, model_info, model_positions};
use super::ml_train::{ITEM, USER};
use crate::call::{Call, CallInput};
use crate::error::{Error, Kind, Result};
use crate::function::{
    Binding, Default, Example, Parameter, ParameterType, RelationFunction, ResultColumn, Signature,
};
use crate::input::{Input, optional_input_of};
use crate::interaction_model::InteractionModel;
use crate::keys::distinct_text;
use crate::output::{distinct_fields, positions, required};
use crate::run::Run;

/// See [`SIGNATURE`].
#[derive(Debug)]
pub struct Similar;

/// How many are compared before their rows are handed on.
const AT_ONCE: usize = 1024;

static SIGNATURE: Signature = Signature {
    schema: "ml",
    name: "similar",
    summary: "gives the items or users most like others",
    prose: "A model with factors ('als', 'als_explicit', 'bpr') compares by the cosine of their vectors, \
            biases left out; one of item weights ('item_knn', 'ease', 'graph_filter', 'rp3beta') gives the \
            items that each item adds most to. Nothing is similar to itself here. Items or users are found \
            by the name the column had in training; what the model does not know is passed over, and what \
            is given twice is answered once. Equal scores are ordered by key. Time is O(asked x items x \
            factors).",
    parameters: &[
        Parameter::new(
            "model",
            ParameterType::Model,
            Default::Required,
            "The model table, made with ml.train() of interactions, but for 'popularity'.",
        ),
        Parameter::new(
            "items",
            ParameterType::Relation,
            Default::Null,
            "The items to start from; with neither `items` nor `users`, all items of the model.",
        ),
        Parameter::new(
            "users",
            ParameterType::Relation,
            Default::Null,
            "The users to start from, for a model with factors; then users are compared.",
        ),
        Parameter::new(
            "k",
            ParameterType::Integer,
            Default::Integer(10),
            "How many similar ones each gets at most.",
        ),
    ],
    positional: 1,
    columns: &[
        ResultColumn {
            name: "<item or user column>",
            data_type: "as given, or as in training",
            meaning: "What was asked about, under the name the column had in training.",
        },
        ResultColumn {
            name: "rank",
            data_type: "bigint",
            meaning: "From 1, the most similar first.",
        },
        ResultColumn {
            name: "similar_<item or user column>",
            data_type: "as in training",
            meaning: "What is similar to it.",
        },
        ResultColumn {
            name: "score",
            data_type: "double precision",
            meaning: "The cosine, from -1 to 1, or the weight of the one for the other.",
        },
    ],
    example: Example {
        setup: &[
            "CREATE TABLE neighbours AS SELECT * FROM ml.train('item_knn', \
             (SELECT * FROM (VALUES ('ann', 10), ('ann', 20), ('bob', 10), ('bob', 20), ('cat', 10), ('cat', 30)) \
             AS bought (who, what)), user_id => 'who', item_id => 'what')",
        ],
        sql: "SELECT what, rank, similar_what, round(score::numeric, 4) AS score FROM ml.similar(neighbours, \
              items => (SELECT 10 AS what)) ORDER BY rank",
        output: "10|1|20|0.8165\n10|2|30|0.5774",
    },
    source: "B. Sarwar, G. Karypis, J. Konstan, J. Riedl: Item-based collaborative filtering recommendation \
             algorithms, WWW 2001.",
};

/// What is compared: the role of its key, and the column of the relation that says what to start from.
struct Columns {
    role: &'static str,
    name: String,
    trained: DataType,
    given: Option<(&'static str, String, DataType)>,
}

impl Columns {
    fn of(call: &Call) -> Result<Self> {
        let info = model_info(call)?;
        if info.algorithm == "popularity" {
            return Err(Error::new(
                Kind::WrongObjectType,
                format!(
                    "ml.similar cannot use {}, a model of kind \"popularity\"",
                    call.input("model")?.label
                ),
            )
            .hint("Give a model that knows more of an item than its weight."));
        }
        let (items, users) = (call.optional_input("items")?, call.optional_input("users")?);
        if items.is_some() && users.is_some() {
            return Err(Error::new(
                Kind::InvalidParameter,
                "ml.similar takes either \"items\" or \"users\"",
            )
            .hint("Leave one of them out."));
        }
        if users.is_some() && !["als", "als_explicit", "bpr"].contains(&info.algorithm.as_str()) {
            return Err(Error::new(
                Kind::WrongObjectType,
                format!(
                    "a model of kind \"{}\" does not compare users",
                    info.algorithm
                ),
            )
            .hint("Give a model of kind als, als_explicit or bpr."));
        }
        let role = if users.is_some() { USER } else { ITEM };
        let (key, trained) = info.key(role)?;
        let given = items
            .or(users)
            .map(|input| -> Result<_> {
                let name = column(call, input, &key.name, &trained)?;
                let data_type = input.schema.field(input.column(&name)?).data_type().clone();
                Ok((input.parameter, name, data_type))
            })
            .transpose()?;
        Ok(Self {
            role,
            name: key.name.clone(),
            trained,
            given,
        })
    }
}

impl RelationFunction for Similar {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        let columns = Columns::of(call)?;
        if call.is_complete() {
            call.count("k", 1)?;
        }
        let asked = columns.given.as_ref().map(|(_, name, _)| name.clone());
        let of = |input: &CallInput| match input.parameter {
            "model" => model_positions(input),
            _ => positions(input, &asked),
        };
        let asked_type = columns
            .given
            .map_or_else(|| columns.trained.clone(), |(_, _, given)| given);
        Ok(Binding {
            schema: distinct_fields(vec![
                Field::new(&columns.name, asked_type, false),
                Field::new("rank", DataType::Int64, false),
                Field::new(format!("similar_{}", columns.name), columns.trained, false),
                Field::new("score", DataType::Float64, false),
            ])?,
            required: required(call, of)?,
            tags: vec![],
        })
    }

    fn run(&self, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
        let columns = Columns::of(call)?;
        let k = call.count("k", 1)?;
        let label = &call.input("model")?.label;
        let model =
            InteractionModel::read(label, crate::input::input_of(call, inputs, "model")?, run)?;
        let section = if columns.role == USER {
            model.users()
        } else {
            model.items()
        };
        let keys = model.keys(section, &columns.trained, run)?;
        // Each asked one: its place among the keys that come back, and its index in the model.
        let (asked_keys, asked) = match &columns.given {
            None => {
                let all: Vec<(u32, u32)> = (0..section.len() as u32).map(|at| (at, at)).collect();
                (Arc::clone(&keys), all)
            }
            Some((parameter, name, _)) => {
                let described = call.input(parameter)?;
                let rows = optional_input_of(call, inputs, parameter)?
                    .ok_or_else(|| Error::internal("a given relation has rows"))?;
                let given = rows.keys(described, std::slice::from_ref(name), run)?;
                let text: StringArray = distinct_text(described, name, &given)?;
                let known = text.iter().zip(0_u32..).filter_map(|(key, place)| {
                    let index = section.find(key?)?;
                    Some((place, index))
                });
                let known = known.collect();
                let values = given.values.into_iter().next();
                let values =
                    values.ok_or_else(|| Error::internal("a single key has one column"))?;
                (values, known)
            }
        };
        let table = match model.graph() {
            Some(_) => None,
            None => {
                let all: Vec<u32> = (0..section.len() as u32).collect();
                let factors = if columns.role == USER {
                    model.user_factors(&all)?
                } else {
                    model
                        .item_factors()
                        .ok_or_else(|| Error::internal("a model of another kind has factors"))?
                        .clone()
                };
                run.reserve(factors.len().saturating_mul(12))?;
                let biases = match model.manifest().info.algorithm.as_str() {
                    "als_explicit" => 2,
                    "bpr" => 1,
                    _ => 0,
                };
                let plain =
                    factors.slice(ndarray::s![.., ..factors.ncols().saturating_sub(biases)]);
                let unit = unit_rows(plain);
                let table = run.compute(|| ItemTable::new(unit.view(), None, run))?;
                Some((unit, table))
            }
        };
        for chunk in asked.chunks(AT_ONCE) {
            let indices: Vec<u32> = chunk.iter().map(|(_, index)| *index).collect();
            let ranked = run.compute(|| match (&table, model.graph()) {
                (Some((unit, table)), _) => nearest(unit, table, &indices, k, run),
                (None, Some(graph)) => Ok(graph.similar(&indices, k, None, run)?),
                (None, None) => Err(Error::internal("a model has factors or item weights")),
            })?;
            let (mut places, mut ranks, mut found) = (Vec::new(), Vec::new(), Vec::new());
            let mut scores = Vec::new();
            for (at, (place, _)) in chunk.iter().enumerate() {
                let (items, values) = ranked.list(at);
                for ((item, score), rank) in items.iter().zip(values).zip(1_i64..) {
                    places.push(*place);
                    ranks.push(rank);
                    found.push(*item);
                    scores.push(f64::from(*score));
                }
            }
            run.emit_columns(vec![
                take(&asked_keys, &UInt32Array::from(places), None)?,
                Arc::new(Int64Array::from(ranks)),
                take(&keys, &UInt32Array::from(found), None)?,
                Arc::new(Float64Array::from(scores)),
            ])?;
        }
        Ok(())
    }
}

/// The rows of `unit` of the highest cosine with those at `indices`, themselves left out.
fn nearest(
    unit: &Array2<f32>,
    table: &ItemTable,
    indices: &[u32],
    k: usize,
    run: &Run,
) -> Result<Ranked> {
    let rows: Vec<usize> = indices.iter().map(|index| *index as usize).collect();
    let queries = unit.select(ndarray::Axis(0), &rows);
    let own: Vec<u32> = (0..indices.len() as u32).collect();
    let itself = Pattern::from_pairs(indices.len(), unit.nrows(), &own, indices, run)?;
    let exclusion = Exclusion {
        items: &itself,
        rows: None,
    };
    Ok(table.top_k(queries.view(), k, &[exclusion], run)?)
}
