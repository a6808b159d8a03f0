//! `ml.tune`: which parameters do best on what was kept back.

use std::sync::Arc;
use std::time::Instant;

use arrow::array::{BooleanArray, Float64Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::ScalarValue;
use serde_json::{Map, Value};
use tributary_algo::evaluate::split::{Fractions, Part, per_user};
use tributary_algo::evaluate::{Lists, Metric, RankingEvaluation};
use tributary_algo::recommend::{Exclusion, ItemTable, Popularity, Ranked};
use tributary_algo::{Csr, Pattern};

use super::ml_train::{Learner, OPTIONAL_RATING, Vectors, algorithm, learn};
use crate::call::{Argument, Call, coerce};
use crate::error::{Error, Kind, Result};
use crate::features::SEED;
use crate::function::{
    Binding, Default, Example, Parameter, ParameterType, RelationFunction, ResultColumn, Signature,
};
use crate::input::{Input, input_of};
use crate::interactions::{ITEM_ID, InteractionColumns, USER_ID, WEIGHT, mean_matrix};
use crate::output::required;
use crate::run::Run;

/// See [`SIGNATURE`].
#[derive(Debug)]
pub struct Tune;

/// The most combinations that are tried.
const TRIALS_MAX: usize = 1000;

/// How many users are scored at once.
const USERS: usize = 1024;

static SIGNATURE: Signature = Signature {
    schema: "ml",
    name: "tune",
    summary: "tries parameters of a model and says which do best on interactions kept back",
    prose: "Every combination of the values in `grid` is trained on the interactions but for those kept back, \
            a share of each user's, drawn by `seed`, and the same for all trials. Models rank all items that \
            a user did not interact with in the rest, and the lists are measured as by ml.evaluate_ranking(), \
            over the users of whom something is kept back; 'als_explicit' is measured by the error of the \
            ratings kept back. Arguments that are not in the grid have the defaults of ml.train(). Trials come \
            in the order of the grid, the last argument changing fastest, arguments in the order of their names. \
            The figures are the same for any number of threads and any order of rows; the seconds are not.",
    parameters: &[
        Parameter::constant(
            "algorithm",
            ParameterType::Text,
            Default::Required,
            "What to train: an algorithm of ml.train() that learns from interactions.",
        ),
        Parameter::relation("rel", "The interactions, one a row."),
        USER_ID,
        ITEM_ID,
        WEIGHT,
        OPTIONAL_RATING,
        Parameter::new(
            "grid",
            ParameterType::Text,
            Default::Text("{}"),
            "What to try, as a JSON object of arrays, such as '{\"factors\": [32, 64], \"alpha\": [1, 20]}'; at \
             most 1000 combinations.",
        ),
        Parameter::new(
            "metric",
            ParameterType::Text,
            Default::Text("auto"),
            "What decides: 'precision', 'recall', 'recall_min', 'f1', 'ndcg', 'map', 'mrr' or 'hit_rate' with \
             '@' and the length of the lists, or 'rmse' for 'als_explicit'; 'auto' is 'ndcg@10' or 'rmse'.",
        ),
        Parameter::new(
            "holdout",
            ParameterType::Float,
            Default::Float(0.2),
            "The share of each user's items that is kept back, above 0 and below 1.",
        ),
        SEED,
    ],
    positional: 2,
    columns: &[
        ResultColumn {
            name: "trial",
            data_type: "bigint",
            meaning: "The number of the trial, from 1.",
        },
        ResultColumn {
            name: "parameters",
            data_type: "text",
            meaning: "The arguments that were tried, as JSON.",
        },
        ResultColumn {
            name: "metric",
            data_type: "text",
            meaning: "What was measured.",
        },
        ResultColumn {
            name: "value",
            data_type: "double precision",
            meaning: "The figure.",
        },
        ResultColumn {
            name: "seconds",
            data_type: "double precision",
            meaning: "How long the trial took.",
        },
        ResultColumn {
            name: "best",
            data_type: "boolean",
            meaning: "Whether this is the best trial, the first of equal ones.",
        },
    ],
    example: Example {
        setup: &[],
        sql: "SELECT trial, parameters, metric, value BETWEEN 0 AND 1 AS sound FROM ml.tune('item_knn', \
              (SELECT n % 9 AS who, n * n % 7 AS what FROM generate_series(1, 99) AS s (n)), \
              user_id => 'who', item_id => 'what', grid => '{\"neighbours\": [1, 5]}', metric => 'ndcg@3') ORDER BY trial",
        output: "1|{\"neighbours\":1}|ndcg@3|t\n2|{\"neighbours\":5}|ndcg@3|t",
    },
    source: "S. Rendle, W. Krichene, L. Zhang, Y. Koren: Revisiting the performance of iALS on item \
             recommendation benchmarks, RecSys 2022.",
};

/// What decides between trials.
#[derive(Clone, Copy)]
enum Measure {
    Ranking(Metric, usize),
    Rmse,
}

fn measure(call: &Call, name: &str) -> Result<(Measure, String)> {
    let text = call.required_text("metric")?;
    let text = text.trim().to_lowercase();
    let explicit = name == "als_explicit";
    if text == "rmse" || (text == "auto" && explicit) {
        if explicit {
            return Ok((Measure::Rmse, "rmse".to_owned()));
        }
        return Err(Error::new(
            Kind::InvalidParameter,
            format!("metric \"rmse\" cannot be had of algorithm \"{name}\""),
        )
        .hint("Give a metric of lists, such as 'ndcg@10'."));
    }
    let text = if text == "auto" {
        "ndcg@10".to_owned()
    } else {
        text
    };
    let metrics = [
        ("precision", Metric::Precision),
        ("recall", Metric::Recall),
        ("recall_min", Metric::RecallMinK),
        ("f1", Metric::F1),
        ("ndcg", Metric::Ndcg),
        ("map", Metric::Map),
        ("mrr", Metric::Mrr),
        ("hit_rate", Metric::HitRate),
    ];
    let found = text.split_once('@').and_then(|(word, k)| {
        let (_, metric) = metrics.iter().find(|(known, _)| *known == word)?;
        let k = k.parse().ok().filter(|k| (1..=10_000).contains(k))?;
        Some(Measure::Ranking(*metric, k))
    });
    found.map(|found| (found, text.clone())).ok_or_else(|| {
        let words = metrics.map(|(word, _)| format!("{word}@10"));
        Error::new(
            Kind::InvalidParameter,
            format!("\"{text}\" is not a value of argument \"metric\" of ml.tune"),
        )
        .hint(format!("Its values are: {}, rmse.", words.join(", ")))
    })
}

/// The combinations of a grid: the arguments of each trial.
fn combinations(call: &Call) -> Result<Vec<Map<String, Value>>> {
    let text = call.required_text("grid")?;
    let wrong = |detail: String| {
        Error::new(
            Kind::Syntax,
            "argument \"grid\" of ml.tune is not a JSON object of arrays",
        )
        .detail(detail)
        .hint("Write it as '{\"factors\": [32, 64], \"alpha\": [1, 20]}'.")
    };
    let grid: Map<String, Value> =
        serde_json::from_str(&text).map_err(|error| wrong(format!("{error}.")))?;
    let mut found = vec![Map::new()];
    for (name, values) in &grid {
        let values = match values {
            Value::Array(values) if !values.is_empty() => values.as_slice(),
            _ => return Err(wrong(format!("\"{name}\" has no array of values."))),
        };
        if found.len().saturating_mul(values.len()) > TRIALS_MAX {
            return Err(Error::new(
                Kind::InvalidParameter,
                format!("argument \"grid\" of ml.tune has more than {TRIALS_MAX} combinations"),
            )
            .hint("Give fewer values."));
        }
        found = found
            .iter()
            .flat_map(|before| {
                values.iter().map(|value| {
                    let mut next = before.clone();
                    next.insert(name.clone(), value.clone());
                    next
                })
            })
            .collect();
    }
    Ok(found)
}

/// The call of ml.train that a trial stands for.
fn trial(call: &Call, signature: &'static Signature, values: &Map<String, Value>) -> Result<Call> {
    let what = format!(
        "algorithm \"{}\" of ml.tune",
        call.required_text("algorithm")?.trim()
    );
    let mut shared = call.clone();
    // What decides is not for training.
    for own in ["grid", "metric", "holdout"] {
        if let Some((position, _)) = call.signature.parameter(own)
            && let Some(slot) = shared.arguments.get_mut(position)
        {
            *slot = Argument::Absent;
        }
    }
    if signature.parameter("seed").is_none()
        && let Some((position, _)) = call.signature.parameter("seed")
        && let Some(slot) = shared.arguments.get_mut(position)
    {
        *slot = Argument::Absent;
    }
    let mut trial = shared.narrowed(signature, &what)?;
    for (name, value) in values {
        let (position, parameter) = signature
            .parameter(name)
            .filter(|(_, parameter)| {
                use ParameterType::{Boolean, Float, Integer, Text};
                matches!(parameter.kind, Boolean | Float | Integer | Text)
                    && parameter.name != "algorithm"
            })
            .ok_or_else(|| {
                Error::new(
                    Kind::InvalidParameter,
                    format!("{what} takes no \"{name}\" in its grid"),
                )
                .hint("Name arguments of the algorithm that are numbers or words.")
            })?;
        let value = match value {
            Value::Number(number) => match number.as_i64() {
                Some(whole) => ScalarValue::from(whole),
                None => ScalarValue::from(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => ScalarValue::from(text.as_str()),
            Value::Bool(value) => ScalarValue::from(*value),
            other => {
                return Err(Error::new(
                    Kind::InvalidParameter,
                    format!("\"{other}\" is not a value of \"{name}\""),
                ));
            }
        };
        if let Some(slot) = trial.arguments.get_mut(position) {
            *slot = Argument::Value(coerce(signature, parameter.name, parameter.kind, value)?);
        }
    }
    Ok(trial)
}

/// What is learned from and what is kept back of a matrix.
struct Parts {
    train: Csr<f32>,
    held: Csr<f32>,
}

/// Deals the cells of each user at random, which depends on the matrix and the seed alone.
fn divide(matrix: &Csr<f32>, holdout: f64, seed: u64, run: &Run) -> Result<Parts> {
    let cells = matrix.values().len();
    run.reserve(cells.saturating_mul(24))?;
    let users: Vec<u32> = (0..matrix.rows())
        .flat_map(|row| std::iter::repeat_n(row as u32, matrix.row(row).0.len()))
        .collect();
    let parts = per_user(&users, Fractions::new(1.0 - holdout, 0.0, holdout)?, seed);
    let of = |part: Part| -> Result<Csr<f32>> {
        let mut flags = parts.iter();
        let (mut starts, mut items, mut values) = (vec![0], Vec::new(), Vec::new());
        for row in 0..matrix.rows() {
            let (columns, weights) = matrix.row(row);
            for ((column, weight), own) in columns.iter().zip(weights).zip(flags.by_ref()) {
                if *own == part {
                    items.push(*column);
                    values.push(*weight);
                }
            }
            starts.push(items.len());
        }
        Ok(Csr::from_rows(
            matrix.columns(),
            starts,
            items,
            values,
            run,
        )?)
    };
    Ok(Parts {
        train: of(Part::Train)?,
        held: of(Part::Test)?,
    })
}

/// The lists of the users, items of the training left out.
fn lists(
    learned: &Vectors,
    train: &Csr<f32>,
    users: &[u32],
    k: usize,
    run: &Run,
) -> Result<Ranked> {
    let (mut starts, mut items, mut weights) = (vec![0], Vec::new(), Vec::new());
    for user in users {
        let (seen, counts) = train.row(*user as usize);
        items.extend_from_slice(seen);
        weights.extend_from_slice(counts);
        starts.push(items.len());
    }
    let histories = Csr::from_rows(train.columns(), starts, items, weights, run)?;
    let seen = [Exclusion {
        items: histories.pattern(),
        rows: None,
    }];
    if let Some(graph) = &learned.graph {
        return Ok(graph.scorer(None, run)?.top_k(&histories, k, &seen, run)?);
    }
    match (&learned.users, &learned.items) {
        (Some(of_users), Some(of_items)) => {
            let rows: Vec<usize> = users.iter().map(|user| *user as usize).collect();
            let own = of_users.select(ndarray::Axis(0), &rows);
            let table = ItemTable::new(of_items.view(), None, run)?;
            Ok(table.top_k(own.view(), k, &seen, run)?)
        }
        _ => Ok(Popularity::fit(train, run)?.top_k(users.len(), k, &seen, None, run)?),
    }
}

fn value(
    learned: &Vectors,
    parts: &Parts,
    held_ratings: Option<&Csr<f32>>,
    measure: Measure,
    run: &Run,
) -> Result<f64> {
    let (metric, k) = match (measure, held_ratings) {
        (Measure::Ranking(metric, k), _) => (metric, k),
        (Measure::Rmse, Some(held)) => {
            let (Some(users), Some(items)) = (&learned.users, &learned.items) else {
                return Err(Error::internal("a model of ratings has factors"));
            };
            let mean = learned.mean.unwrap_or(0.0);
            let (mut sum, mut count) = (0.0, 0.0);
            for (row, user) in users.outer_iter().enumerate() {
                let (columns, ratings) = held.row(row);
                for (column, rating) in columns.iter().zip(ratings) {
                    let item = items.row(*column as usize);
                    let product = user
                        .iter()
                        .zip(item)
                        .map(|(x, y)| f64::from(*x) * f64::from(*y));
                    let error = mean + product.sum::<f64>() - f64::from(*rating);
                    sum += error * error;
                    count += 1.0;
                }
            }
            return Ok((sum / f64::max(count, 1.0)).sqrt());
        }
        (Measure::Rmse, None) => return Err(Error::internal("ratings are measured by ratings")),
    };
    let users: Vec<u32> = (0..parts.held.rows() as u32)
        .filter(|user| !parts.held.row(*user as usize).0.is_empty())
        .collect();
    let mut whole = (vec![0], Vec::new());
    for chunk in users.chunks(USERS) {
        let ranked = lists(learned, &parts.train, chunk, k, run)?;
        for at in 0..chunk.len() {
            whole.1.extend_from_slice(ranked.list(at).0);
            whole.0.push(whole.1.len());
        }
    }
    let (mut at, mut item) = (Vec::new(), Vec::new());
    for (place, user) in users.iter().enumerate() {
        let held = parts.held.row(*user as usize).0;
        at.extend(std::iter::repeat_n(place as u32, held.len()));
        item.extend_from_slice(held);
    }
    let truth = Pattern::from_pairs(users.len(), parts.held.columns(), &at, &item, run)?;
    let evaluation = RankingEvaluation {
        k: vec![k],
        resamples: 0,
        ..RankingEvaluation::default()
    };
    let lists = Lists::from_lists(&whole.0, &whole.1, run)?;
    let scores = evaluation.fit(&lists, &truth, parts.held.columns(), run)?;
    scores
        .iter()
        .find(|score| score.metric == metric)
        .map(|score| score.value)
        .ok_or_else(|| Error::internal("every metric is measured"))
}

fn holdout(call: &Call) -> Result<f64> {
    let share = call.float_from("holdout", 0.0, true)?;
    if share < 1.0 {
        return Ok(share);
    }
    Err(Error::new(
        Kind::InvalidParameter,
        format!("argument \"holdout\" of ml.tune is out of range: {share}"),
    )
    .hint("It must be above 0 and below 1."))
}

impl RelationFunction for Tune {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        let (name, signature) = algorithm(call)?;
        let empty = trial(call, signature, &Map::new())?;
        let columns = InteractionColumns::bind(&empty)?;
        if call.is_complete() {
            measure(call, name)?;
            holdout(call)?;
            for values in combinations(call)? {
                Learner::of(name, &trial(call, signature, &values)?)?;
            }
        }
        Ok(Binding {
            schema: Arc::new(Schema::new(vec![
                Field::new("trial", DataType::Int64, false),
                Field::new("parameters", DataType::Utf8, false),
                Field::new("metric", DataType::Utf8, false),
                Field::new("value", DataType::Float64, false),
                Field::new("seconds", DataType::Float64, false),
                Field::new("best", DataType::Boolean, false),
            ])),
            required: required(call, |input| columns.positions(input))?,
            tags: vec![],
        })
    }

    fn run(&self, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
        let (name, signature) = algorithm(call)?;
        let trials = combinations(call)?;
        let (measure, metric) = measure(call, name)?;
        let empty = trial(call, signature, &Map::new())?;
        let columns = InteractionColumns::bind(&empty)?;
        let rows = input_of(call, inputs, "rel")?;
        let interactions = columns.read(&empty, rows, run)?;
        let (share, seed) = (holdout(call)?, call.seed()?);
        let parts = divide(&interactions.matrix, share, seed, run)?;
        let ratings = match name {
            "als_explicit" => {
                let means = mean_matrix(&empty, rows, &columns, &interactions, run)?;
                Some(divide(&means, share, seed, run)?)
            }
            _ => None,
        };
        if parts.held.values().is_empty() {
            return Err(Error::new(
                Kind::InvalidData,
                "nothing is kept back to measure by: every user has too few items",
            )
            .hint("Give users with more items, or raise \"holdout\"."));
        }
        let mut found = Vec::with_capacity(trials.len());
        for values in &trials {
            let started = Instant::now();
            let trial = trial(call, signature, values)?;
            let learner = Learner::of(name, &trial)?;
            let of_ratings = ratings.as_ref().map(|ratings| &ratings.train);
            let figure = run.compute(|| -> Result<f64> {
                let learned = learn(&learner, &trial, &parts.train, of_ratings, None, run)?;
                let held = ratings.as_ref().map(|ratings| &ratings.held);
                value(&learned, &parts, held, measure, run)
            })?;
            found.push((values, figure, started.elapsed().as_secs_f64()));
        }
        let less_is_better = matches!(measure, Measure::Rmse);
        let mut best = 0;
        for (at, (_, figure, _)) in found.iter().enumerate() {
            let (_, held, _) = found.get(best).ok_or_else(|| Error::internal("a trial"))?;
            if (less_is_better && figure < held) || (!less_is_better && figure > held) {
                best = at;
            }
        }
        let texts = found
            .iter()
            .map(|(values, _, _)| {
                serde_json::to_string(values).map_err(|error| Error::internal(error.to_string()))
            })
            .collect::<Result<Vec<_>>>()?;
        run.emit_columns(vec![
            Arc::new(Int64Array::from_iter_values(1..=found.len() as i64)),
            Arc::new(StringArray::from(texts)),
            Arc::new(StringArray::from(vec![metric; found.len()])),
            Arc::new(Float64Array::from_iter_values(
                found.iter().map(|trial| trial.1),
            )),
            Arc::new(Float64Array::from_iter_values(
                found.iter().map(|trial| trial.2),
            )),
            Arc::new(BooleanArray::from_iter(
                (0..found.len()).map(|at| Some(at == best)),
            )),
        ])
    }
}
