//! `ml.train`: a model, as the rows of a model table.

use arrow::array::{Array, ArrayRef, StringArray};
use arrow::compute::cast;
use ndarray::Array2;
use serde_json::{Map, Value, json};
use tributary_algo::factorization::Als;
use tributary_algo::recommend::Popularity;

use crate::als::{
    ALPHA, FACTORS, ITERATIONS, NU, PARAMETERS as ALS_PARAMETERS, REGULARIZATION, als,
};
use crate::call::{Call, CallInput};
use crate::error::{Error, Kind, Result};
use crate::function::{
    Binding, Default, Example, Parameter, ParameterType, RelationFunction, ResultColumn, Signature,
};
use crate::input::{Input, Keys, input_of};
use crate::interactions::{ITEM_ID, InteractionColumns, Interactions, USER_ID, WEIGHT};
use crate::keys::distinct_text;
use crate::model::{
    FORMAT_VERSION, MODEL_TAG, Manifest, ModelInfo, ModelKey, ModelRow, model_schema, write_model,
};
use crate::output::required;
use crate::run::Run;
use crate::types::sql_type;

/// See [`SIGNATURE`].
#[derive(Debug)]
pub struct Train;

/// The section of a model with a row for each user.
pub const USER: &str = "user";

/// The section of a model with a row for each item.
pub const ITEM: &str = "item";

static SIGNATURE: Signature = Signature {
    schema: "ml",
    name: "train",
    summary: "trains a model, as the rows of a model table",
    prose: "Keep the result with CREATE TABLE m AS SELECT * FROM ml.train(...); the table is then the \
            model, to be used, queried, renamed, granted and dropped by its name. 'als' factorizes the \
            interactions as ml.factorize() does; 'popularity' ranks items by the sum of their weights, \
            the same for everyone, and takes none of `factors` to `nu`. Section 'manifest' has one row: \
            the algorithm as key, and as payload a JSON text with the arguments, the key columns, \
            counts, the loss after each iteration and a checksum over the whole model, by which a \
            model altered or written by half is refused when it is used. Section 'user' has a row for \
            each user, in ascending order from idx 0: the sum of the user's weights as value, the \
            factors as vector, and as payload the idx of every item of positive weight, four bytes \
            each, the lowest first. Section 'item' has a row for each item: the sum of its weights as \
            value, the factors as vector. The same data, arguments and seed give the same rows for any \
            number of threads and any order of rows.",
    parameters: &[
        Parameter::constant(
            "algorithm",
            ParameterType::Text,
            Default::Required,
            "What to train: 'als' or 'popularity'.",
        ),
        Parameter::relation("rel", "The interactions, one a row."),
        USER_ID,
        ITEM_ID,
        WEIGHT,
        FACTORS,
        ITERATIONS,
        REGULARIZATION,
        ALPHA,
        NU,
        Parameter::new(
            "seed",
            ParameterType::Integer,
            Default::Integer(0),
            "Fixes the random draws.",
        ),
    ],
    positional: 2,
    columns: &[
        ResultColumn {
            name: "section",
            data_type: "text",
            meaning: "The part of the model the row belongs to: 'manifest', 'user' or 'item'.",
        },
        ResultColumn {
            name: "idx",
            data_type: "bigint",
            meaning: "Its position within the section, from 0.",
        },
        ResultColumn {
            name: "key",
            data_type: "text",
            meaning: "The user or item, as text.",
        },
        ResultColumn {
            name: "value",
            data_type: "double precision",
            meaning: "The sum of the weights.",
        },
        ResultColumn {
            name: "vector",
            data_type: "real[]",
            meaning: "The factors.",
        },
        ResultColumn {
            name: "payload",
            data_type: "bytea",
            meaning: "JSON in the manifest; for a user the items of the training interactions.",
        },
    ],
    example: Example {
        setup: &[],
        sql: "SELECT section, idx, key, value, cardinality(vector) AS width FROM ml.train('als', \
              (SELECT * FROM (VALUES ('ann', 10, 3), ('ann', 20, 1), ('bob', 10, 1)) \
              AS bought (who, what, times)), \
              user_id => 'who', item_id => 'what', weight => 'times', factors => 2) \
              WHERE section <> 'manifest' ORDER BY section, idx",
        output: "item|0|10|4|2\nitem|1|20|1|2\nuser|0|ann|4|2\nuser|1|bob|1|2",
    },
    source: "Y. Hu, Y. Koren, C. Volinsky: Collaborative filtering for implicit feedback datasets, \
             ICDM 2008; S. Rendle, W. Krichene, L. Zhang, Y. Koren: Revisiting the performance of iALS \
             on item recommendation benchmarks, RecSys 2022.",
};

/// What is trained.
enum Algorithm {
    Als(Als),
    Popularity,
}

/// Algorithms that are to come, known by name so that they are refused as such.
const PLANNED: [&str; 11] = [
    "als_explicit",
    "bpr",
    "item_knn",
    "ease",
    "graph_filter",
    "simplex",
    "kmeans",
    "gmm",
    "dbscan",
    "pca",
    "svd",
];

const ALGORITHMS: [&str; 2] = ["als", "popularity"];

fn algorithm_name(call: &Call) -> Result<&'static str> {
    let name = call.required_text("algorithm")?;
    if let Some(planned) = PLANNED
        .iter()
        .find(|planned| planned.eq_ignore_ascii_case(name.trim()))
    {
        return Err(Error::new(
            Kind::FeatureNotSupported,
            format!("algorithm \"{planned}\" of ml.train is not supported yet"),
        )
        .hint(format!("Its algorithms are: {}.", ALGORITHMS.join(", "))));
    }
    let name = call.word("algorithm", &ALGORITHMS)?;
    if name == "popularity" {
        for parameter in ALS_PARAMETERS {
            if call.has(parameter)? {
                return Err(Error::new(
                    Kind::InvalidParameter,
                    format!("algorithm \"popularity\" of ml.train takes no \"{parameter}\""),
                )
                .hint("Leave the argument out, or train 'als'."));
            }
        }
    }
    Ok(name)
}

fn algorithm(call: &Call) -> Result<Algorithm> {
    let algorithm = match algorithm_name(call)? {
        "popularity" => Algorithm::Popularity,
        _ => Algorithm::Als(als(call)?),
    };
    call.seed()?;
    Ok(algorithm)
}

impl RelationFunction for Train {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        let name = algorithm_name(call)?;
        let columns = InteractionColumns::bind(call)?;
        if call.is_complete() {
            algorithm(call)?;
        }
        Ok(Binding {
            schema: model_schema(),
            required: required(call, |input| columns.positions(input))?,
            tags: vec![(
                MODEL_TAG.to_owned(),
                info(name, call.input("rel")?, &columns)?.to_tag()?,
            )],
        })
    }

    fn run(&self, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
        let described = call.input("rel")?;
        let columns = InteractionColumns::bind(call)?;
        let rows = input_of(call, inputs, "rel")?;
        let interactions = columns.read(call, rows, run)?;
        let users = model_keys(described, &columns.user, &interactions.users)?;
        let items = model_keys(described, &columns.item, &interactions.items)?;
        let training = counts(rows, &interactions)?;
        let mut parameters = Map::new();
        let mut metrics = Map::new();
        let algorithm = algorithm(call)?;
        let popularity = run.compute(|| Popularity::fit(&interactions.matrix, run))?;
        let factors = match &algorithm {
            Algorithm::Popularity => None,
            Algorithm::Als(als) => {
                let model = run.compute(|| als.fit(&interactions.matrix, None, run))?;
                run.reserve(model.bytes())?;
                parameters.insert("factors".to_owned(), json!(als.factors));
                parameters.insert("iterations".to_owned(), json!(als.iterations));
                parameters.insert("regularization".to_owned(), json!(als.regularization));
                parameters.insert("alpha".to_owned(), json!(als.alpha));
                parameters.insert("nu".to_owned(), json!(als.nu));
                parameters.insert("seed".to_owned(), json!(call.integer("seed")?));
                metrics.insert("loss".to_owned(), json!(model.losses));
                Some((model.user_factors, model.item_factors))
            }
        };
        if let Some(weight) = &columns.weight {
            parameters.insert("weight".to_owned(), json!(weight));
        }
        let manifest = Manifest {
            checksum: String::new(),
            info: info(algorithm_name(call)?, described, &columns)?,
            rows: 0,
            parameters,
            training,
            metrics,
        };
        let (user_factors, item_factors) = factors
            .as_ref()
            .map_or((None, None), |(users, items)| (Some(users), Some(items)));
        write_model(run, manifest, |visit| {
            user_rows(&users, &interactions, user_factors, visit)?;
            item_rows(&items, &popularity.weights, item_factors, visit)
        })
    }
}

/// What planning will know of the model.
fn info(algorithm: &str, input: &CallInput, columns: &InteractionColumns) -> Result<ModelInfo> {
    let key = |role: &str, name: &str| -> Result<ModelKey> {
        let field = input.schema.field(input.column(name)?);
        Ok(ModelKey {
            role: role.to_owned(),
            name: field.name().clone(),
            data_type: field.data_type().to_string(),
        })
    };
    Ok(ModelInfo {
        format_version: FORMAT_VERSION,
        algorithm: algorithm.to_owned(),
        keys: vec![key(USER, &columns.user)?, key(ITEM, &columns.item)?],
    })
}

/// The distinct keys as text, from which they can be had back.
fn model_keys(described: &CallInput, name: &str, keys: &Keys) -> Result<StringArray> {
    let text = distinct_text(described, name, keys)?;
    let [column] = keys.values.as_slice() else {
        return Err(Error::internal("a single key has one column"));
    };
    let same = |back: ArrayRef| back.as_ref() == column.as_ref();
    if cast(&text, column.data_type()).is_ok_and(same) {
        return Ok(text);
    }
    Err(Error::new(
        Kind::DatatypeMismatch,
        format!(
            "column \"{name}\" of {} cannot be a key of a model",
            described.describe()
        ),
    )
    .detail(format!(
        "A value of type {} cannot be had back from its text.",
        sql_type(column.data_type())
    ))
    .hint("Cast it to text or to a number in the subquery."))
}

/// How much there is to learn from, which must be something.
fn counts(rows: &Input, interactions: &Interactions) -> Result<Map<String, Value>> {
    let positive = interactions
        .matrix
        .values()
        .iter()
        .filter(|weight| **weight > 0.0)
        .count();
    if positive == 0 {
        return Err(
            Error::new(Kind::InvalidData, "there are no interactions to learn from")
                .hint("Give a relation with at least one row of positive weight."),
        );
    }
    let mut counts = Map::new();
    counts.insert("rows".to_owned(), json!(rows.rows()));
    counts.insert("users".to_owned(), json!(interactions.users.len()));
    counts.insert("items".to_owned(), json!(interactions.items.len()));
    counts.insert("interactions".to_owned(), json!(positive));
    Ok(counts)
}

fn user_rows(
    users: &StringArray,
    interactions: &Interactions,
    factors: Option<&Array2<f32>>,
    visit: &mut dyn FnMut(ModelRow<'_>) -> Result<()>,
) -> Result<()> {
    let mut seen = Vec::new();
    for (user, key) in users.iter().enumerate() {
        let (items, weights) = interactions.matrix.row(user);
        seen.clear();
        let mut sum = 0.0;
        for (item, weight) in items
            .iter()
            .zip(weights)
            .filter(|(_, weight)| **weight > 0.0)
        {
            seen.extend_from_slice(&item.to_le_bytes());
            sum += f64::from(*weight);
        }
        visit(ModelRow {
            section: USER,
            idx: Some(user as i64),
            key,
            value: Some(sum),
            vector: vector(factors, user)?,
            payload: Some(&seen),
        })?;
    }
    Ok(())
}

fn item_rows(
    items: &StringArray,
    weights: &[f64],
    factors: Option<&Array2<f32>>,
    visit: &mut dyn FnMut(ModelRow<'_>) -> Result<()>,
) -> Result<()> {
    for ((item, key), weight) in items.iter().enumerate().zip(weights) {
        visit(ModelRow {
            section: ITEM,
            idx: Some(item as i64),
            key,
            value: Some(*weight),
            vector: vector(factors, item)?,
            payload: None,
        })?;
    }
    Ok(())
}

fn vector(factors: Option<&Array2<f32>>, row: usize) -> Result<Option<&[f32]>> {
    let Some(factors) = factors else {
        return Ok(None);
    };
    let width = factors.ncols();
    factors
        .as_slice()
        .and_then(|values| values.get(row * width..(row + 1) * width))
        .map(Some)
        .ok_or_else(|| Error::internal("factors are rows in one piece"))
}
