//! `ml.predict`: what a model says of rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, StringArray};
use arrow::datatypes::{DataType, Field};
use rayon::prelude::*;

use super::ml_recommend::{column, histories, model_positions};
use super::ml_train::{ITEM, USER};
use crate::call::{Call, CallInput};
use crate::error::{Error, Kind, Result};
use crate::feature_model::{
    FEATURE_ALGORITHMS, model_features, predict_features, predicted_fields,
};
use crate::features::emit_beside;
use crate::function::{
    Binding, Default, Example, Parameter, ParameterType, RelationFunction, ResultColumn, Signature,
};
use crate::input::{Input, input_of};
use crate::interaction_model::InteractionModel;
use crate::keys::key_text;
use crate::model::ModelInfo;
use crate::output::{all_positions, appended, required};
use crate::run::Run;

/// See [`SIGNATURE`].
#[derive(Debug)]
pub struct Predict;

/// How many users' histories are scored at once.
const USERS: usize = 256;

static SIGNATURE: Signature = Signature {
    schema: "ml",
    name: "predict",
    summary: "gives what a model says of rows",
    prose: "Every row of `rel` comes back once, with all its columns. A model of features finds its \
            features by their names and treats them as in training, so that the answer for a row depends \
            on that row alone: 'kmeans' gives cluster_id and the distance to the nearest centroid; 'gmm' \
            cluster_id and its probability; 'dbscan' the cluster_id of the nearest core, or -1 where that is \
            farther than eps, and the distance to it, NULL without cores; 'pca' pc1, pc2, ... and 'svd' \
            svd1, svd2, .... A model of interactions finds its user and item columns by their names: \
            'als_explicit' gives the rating, to which a user or item that it does not know adds nothing; \
            the others give the score that ml.recommend() ranks by, NULL where they do not know the user \
            or the item. A model that was altered, or written by half, is refused.",
    parameters: &[
        Parameter::new(
            "model",
            ParameterType::Model,
            Default::Required,
            "The model table, made with ml.train().",
        ),
        Parameter::relation("rel", "The rows to ask about."),
        Parameter::constant(
            "output",
            ParameterType::Text,
            Default::Null,
            "The name of the first column that is added; absent, 'cluster_id', 'rating' or 'score'.",
        ),
    ],
    positional: 2,
    columns: &[
        ResultColumn {
            name: "<all input columns>",
            data_type: "as in the input",
            meaning: "The row as given.",
        },
        ResultColumn {
            name: "<prediction columns>",
            data_type: "integer, double precision",
            meaning: "cluster_id and distance or probability; pc1 ..; svd1 ..; rating; score.",
        },
    ],
    example: Example {
        setup: &[
            "CREATE TABLE near_model AS SELECT * FROM ml.train('kmeans', \
             (SELECT * FROM (VALUES (0.0), (2.0), (10.0), (14.0)) AS points (x)), features => 'x', k => 2)",
        ],
        sql: "SELECT x, distance FROM ml.predict(near_model, \
              (SELECT * FROM (VALUES (3.0), (13.0)) AS points (x))) ORDER BY x",
        output: "3.0|2\n13.0|1",
    },
    source: "As the algorithm of the model.",
};

/// What a model is asked about, and the columns it adds.
pub(super) enum Asked {
    /// Rows of features.
    Features(Vec<Field>),
    /// Pairs of a user and an item: the names of their columns, and the column of the answer.
    Pairs(String, String, Field),
}

impl Asked {
    /// What the model of a call is asked about the rows of `input`.
    ///
    /// # Errors
    /// For columns that are absent or of another type than in training.
    pub(super) fn of(call: &Call, input: &CallInput, output: Option<String>) -> Result<Self> {
        let model = call.input("model")?;
        let info = model.model.as_ref().ok_or_else(|| {
            Error::new(
                Kind::WrongObjectType,
                format!("{} is not a model table", model.label),
            )
            .hint("Make one with CREATE TABLE m AS SELECT * FROM ml.train(...).")
        })?;
        if FEATURE_ALGORITHMS.contains(&info.algorithm.as_str()) {
            model_features(call, info, input)?;
            return Ok(Self::Features(predicted_fields(info, output)?));
        }
        Self::pairs(call, info, input, output)
    }

    fn pairs(
        call: &Call,
        info: &ModelInfo,
        input: &CallInput,
        output: Option<String>,
    ) -> Result<Self> {
        let name = |role: &str| -> Result<String> {
            let (key, data_type) = info.key(role)?;
            column(call, input, &key.name, &data_type)
        };
        let rating = info.algorithm == "als_explicit";
        let usual = if rating { "rating" } else { "score" };
        Ok(Self::Pairs(
            name(USER)?,
            name(ITEM)?,
            Field::new(
                output.unwrap_or_else(|| usual.to_owned()),
                DataType::Float64,
                !rating,
            ),
        ))
    }

    /// The columns that are added.
    pub(super) fn fields(&self) -> Vec<Field> {
        match self {
            Self::Features(fields) => fields.clone(),
            Self::Pairs(_, _, field) => vec![field.clone()],
        }
    }

    /// The answers for `rows`, in their order.
    ///
    /// # Errors
    /// For a model that is not as it was trained, and bad rows.
    pub(super) fn answers(
        &self,
        call: &Call,
        model: &Input,
        described: &CallInput,
        rows: &Input,
        run: &Run,
    ) -> Result<Vec<ArrayRef>> {
        match self {
            Self::Features(_) => predict_features(call, model, described, rows, run),
            Self::Pairs(user, item, _) => {
                let label = &call.input("model")?.label;
                let model = InteractionModel::read(label, model, run)?;
                let text = |name: &String| -> Result<StringArray> {
                    let columns = rows.key_columns(described, std::slice::from_ref(name))?;
                    match columns.as_slice() {
                        [column] => key_text(described, name, column),
                        _ => Err(Error::internal("a single key has one column")),
                    }
                };
                run.reserve(rows.rows().saturating_mul(32))?;
                let find = |keys: &StringArray, section: &crate::interaction_model::Section| {
                    let found = keys.iter().map(|key| key.and_then(|key| section.find(key)));
                    found.collect::<Vec<Option<u32>>>()
                };
                let users = find(&text(user)?, model.users());
                let items = find(&text(item)?, model.items());
                let scores = run.compute(|| scores(&model, &users, &items, run))?;
                Ok(vec![Arc::new(Float64Array::from(scores))])
            }
        }
    }
}

/// The score of each pair.
fn scores(
    model: &InteractionModel,
    users: &[Option<u32>],
    items: &[Option<u32>],
    run: &Run,
) -> Result<Vec<Option<f64>>> {
    if let Some(graph) = model.graph() {
        return by_histories(model, graph, users, items, run);
    }
    let Some(factors) = model.item_factors() else {
        let weight = |item: &Option<u32>| {
            item.and_then(|item| model.item_weights().get(item as usize).copied())
        };
        let known = users.iter().zip(items).map(|(user, item)| {
            // The same for everyone, but still not known of someone unknown.
            user.and_then(|_| weight(item))
        });
        return Ok(known.collect());
    };
    let explicit = model.manifest().info.algorithm == "als_explicit";
    let width = factors.ncols();
    users
        .par_iter()
        .zip(items)
        .enumerate()
        .map(|(at, (user, item))| {
            if at % 1024 == 0 {
                run.check()?;
            }
            let user = user.map(|user| model.user_factors(&[user])).transpose()?;
            let item = item.map(|item| factors.row(item as usize));
            let product = match (&user, item) {
                (Some(user), Some(item)) => Some(
                    user.row(0)
                        .iter()
                        .zip(item)
                        .map(|(x, y)| f64::from(*x) * f64::from(*y))
                        .sum::<f64>(),
                ),
                // The biases stand last: that of a user before a 1, that of an item behind one.
                (Some(user), None) if explicit => user
                    .get((0, width.saturating_sub(2)))
                    .map(|b| f64::from(*b)),
                (None, Some(item)) if explicit => {
                    item.get(width.saturating_sub(1)).map(|b| f64::from(*b))
                }
                (None, None) if explicit => Some(0.0),
                _ => None,
            };
            Ok(product.map(|product| product + model.mean()))
        })
        .collect()
}

fn by_histories(
    model: &InteractionModel,
    graph: &tributary_algo::recommend::ItemModel,
    users: &[Option<u32>],
    items: &[Option<u32>],
    run: &Run,
) -> Result<Vec<Option<f64>>> {
    let mut order: Vec<usize> = (0..users.len()).collect();
    order.sort_by_key(|at| users.get(*at).copied().flatten());
    let mut found = vec![None; users.len()];
    let known: Vec<(u32, Vec<usize>)> = order
        .chunk_by(|a, b| users.get(*a) == users.get(*b))
        .filter_map(|rows| {
            let user = rows
                .first()
                .and_then(|at| users.get(*at).copied().flatten())?;
            Some((user, rows.to_vec()))
        })
        .collect();
    for chunk in known.chunks(USERS) {
        run.check()?;
        let asked: Vec<u32> = chunk.iter().map(|(user, _)| *user).collect();
        let histories = histories(model, &asked, run)?;
        let scored = (0..chunk.len())
            .into_par_iter()
            .map(|at| {
                run.check()?;
                let (seen, weights) = histories.row(at);
                Ok(graph.scores(seen, weights)?)
            })
            .collect::<Result<Vec<Vec<f32>>>>()?;
        for ((_, rows), scores) in chunk.iter().zip(scored) {
            for at in rows {
                let item = items.get(*at).copied().flatten();
                let score = item.and_then(|item| scores.get(item as usize));
                if let Some(slot) = found.get_mut(*at) {
                    *slot = score.map(|score| f64::from(*score));
                }
            }
        }
    }
    Ok(found)
}

impl RelationFunction for Predict {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        let input = call.input("rel")?;
        let asked = Asked::of(call, input, call.text("output")?)?;
        Ok(Binding {
            schema: appended(
                input,
                asked.fields(),
                "Rename the column in the subquery, or the added one with output => '...'.",
            )?,
            required: required(call, |input| match input.parameter {
                "model" => model_positions(input),
                _ => Ok(all_positions(input)),
            })?,
            tags: vec![],
        })
    }

    fn run(&self, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
        let described = call.input("rel")?;
        let rows = input_of(call, inputs, "rel")?;
        let asked = Asked::of(call, described, call.text("output")?)?;
        let model = input_of(call, inputs, "model")?;
        let answers = asked.answers(call, model, described, rows, run)?;
        emit_beside(rows, &answers, run)
    }
}
