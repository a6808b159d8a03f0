//! `ml.factorize`: interactions as the product of user and item factors.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Float32Builder, Float64Array, Int64Array, ListBuilder, StringArray,
};
use arrow::datatypes::{DataType, Field, Schema};
use ndarray::Array2;
use tributary_algo::factorization::Nmf;
use tributary_algo::factorization::als::FACTORS_MAX;

use crate::als::{ALPHA, FACTORS, ITERATIONS, NU, REGULARIZATION, SOLVER, als, als_options};
use crate::call::Call;
use crate::error::Result;
use crate::features::SEED;
use crate::function::{
    Binding, Default, Example, Parameter, ParameterType, RelationFunction, ResultColumn, Signature,
};
use crate::input::{Input, input_of};
use crate::interactions::{ITEM_ID, InteractionColumns, USER_ID, WEIGHT};
use crate::keys::distinct_text;
use crate::output::required;
use crate::run::Run;

/// See [`SIGNATURE`].
#[derive(Debug)]
pub struct Factorize;

static SIGNATURE: Signature = Signature {
    schema: "ml",
    name: "factorize",
    summary: "factorizes interactions into vectors of users and items",
    prose: "The score of a user for an item is the dot product of their vectors. 'als' is alternating \
            least squares for implicit feedback: a user who interacted with an item with weight w \
            prefers it with confidence 1 + alpha w, every other item counts as not preferred with \
            confidence 1. 'nmf' approximates the matrix of the weights itself, cells without a row being \
            0, by vectors without negative numbers, as scikit-learn's NMF does by coordinate descent from \
            random factors. Each method refuses the arguments of the other. Vectors are given in single \
            precision. The same data, arguments and seed give the same bits for any number of threads and any order of \
            rows. To recommend, use ml.train() and ml.recommend(), which keep the same vectors in a \
            model table. Time is O(interactions x factors^2 + (users + items) x factors^3) an \
            iteration.",
    parameters: &[
        REL,
        USER_ID,
        ITEM_ID,
        WEIGHT,
        optional(FACTORS),
        optional(ITERATIONS),
        REGULARIZATION,
        optional(ALPHA),
        optional(NU),
        optional(SOLVER),
        optional(TOL),
        METHOD,
        SEED,
    ],
    positional: 1,
    columns: &[
        ResultColumn {
            name: "side",
            data_type: "text",
            meaning: "'user' or 'item'.",
        },
        ResultColumn {
            name: "key",
            data_type: "text",
            meaning: "The user or item, as text.",
        },
        ResultColumn {
            name: "idx",
            data_type: "bigint",
            meaning: "Its place among the users or items, in ascending order from 0.",
        },
        ResultColumn {
            name: "factors",
            data_type: "real[]",
            meaning: "Its vector.",
        },
        ResultColumn {
            name: "bias",
            data_type: "double precision",
            meaning: "What is added to the dot product; NULL, as neither method has one.",
        },
    ],
    example: Example {
        setup: &[],
        sql: "SELECT side, key, idx, cardinality(factors) AS width, bias FROM ml.factorize(\
              (SELECT * FROM (VALUES ('ann', 10), ('ann', 20), ('bob', 10)) AS bought (who, what)), \
              user_id => 'who', item_id => 'what', factors => 2) ORDER BY side, idx",
        output: "item|10|0|2|\nitem|20|1|2|\nuser|ann|0|2|\nuser|bob|1|2|",
    },
    source: "Y. Hu, Y. Koren, C. Volinsky: Collaborative filtering for implicit feedback datasets, \
             ICDM 2008; A. Cichocki, A.-H. Phan: Fast local algorithms for large scale nonnegative \
             matrix and tensor factorizations, IEICE Trans. Fundamentals E92-A (2009).",
};

const METHOD: Parameter = Parameter::new(
    "method",
    ParameterType::Text,
    Default::Text("als"),
    "How to factorize: 'als' or 'nmf'.",
);

const TOL: Parameter = Parameter::new(
    "tol",
    ParameterType::Float,
    Default::Float(1e-4),
    "'nmf': ends once the violation of optimality is below this share of the first; 0.0001.",
);

const REL: Parameter = Parameter::relation("rel", "The interactions, one a row.");

static ALS: Signature = taken(&[
    REL,
    USER_ID,
    ITEM_ID,
    WEIGHT,
    FACTORS,
    ITERATIONS,
    REGULARIZATION,
    ALPHA,
    NU,
    SOLVER,
    METHOD,
    SEED,
]);

static NMF: Signature = taken(&[
    REL,
    USER_ID,
    ITEM_ID,
    WEIGHT,
    by_default(FACTORS, Default::Integer(16)),
    by_default(ITERATIONS, Default::Integer(200)),
    TOL,
    METHOD,
    SEED,
]);

/// The arguments that a method takes, with its defaults.
const fn taken(parameters: &'static [Parameter]) -> Signature {
    Signature {
        schema: "ml",
        name: "factorize",
        summary: "",
        prose: "",
        parameters,
        positional: 1,
        columns: &[],
        example: Example {
            setup: &[],
            sql: "",
            output: "",
        },
        source: "",
    }
}

const fn by_default(parameter: Parameter, default: Default) -> Parameter {
    Parameter {
        default,
        ..parameter
    }
}

const fn optional(parameter: Parameter) -> Parameter {
    by_default(parameter, Default::Null)
}

/// Whether a call is by 'nmf', and the call with the arguments that its method takes.
fn chosen(call: &Call) -> Result<(bool, Call)> {
    let method = call.word("method", &["als", "nmf"])?;
    let signature = if method == "nmf" { &NMF } else { &ALS };
    let what = format!("method \"{method}\" of ml.factorize");
    Ok((method == "nmf", call.narrowed(signature, &what)?))
}

fn nmf(call: &Call) -> Result<Nmf> {
    Ok(Nmf {
        factors: call.count_within("factors", 1, FACTORS_MAX as i64)?,
        max_iter: call.count("iterations", 1)?,
        tol: call.float_from("tol", 0.0, false)?,
        seed: call.seed()?,
    })
}

impl RelationFunction for Factorize {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        let columns = InteractionColumns::bind(call)?;
        if call.is_complete() {
            match chosen(call)? {
                (true, call) => nmf(&call).map(|_| ())?,
                (false, call) => als_options(&call).map(|_| ())?,
            }
        }
        Ok(Binding {
            schema: Arc::new(Schema::new(vec![
                Field::new("side", DataType::Utf8, false),
                Field::new("key", DataType::Utf8, false),
                Field::new("idx", DataType::Int64, false),
                Field::new(
                    "factors",
                    DataType::List(Arc::new(Field::new("item", DataType::Float32, true))),
                    false,
                ),
                Field::new("bias", DataType::Float64, true),
            ])),
            required: required(call, |input| columns.positions(input))?,
            tags: vec![],
        })
    }

    fn run(&self, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
        let columns = InteractionColumns::bind(call)?;
        let interactions = columns.read(call, input_of(call, inputs, "rel")?, run)?;
        let (user_factors, item_factors) = match chosen(call)? {
            (true, call) => {
                let algorithm = nmf(&call)?;
                let model = run.compute(|| algorithm.fit(&interactions.matrix, None, run))?;
                run.reserve((model.row_factors.len() + model.column_factors.len()) * 12)?;
                let single = |factors: &Array2<f64>| factors.mapv(|value| value as f32);
                (single(&model.row_factors), single(&model.column_factors))
            }
            (false, call) => {
                let algorithm = als(&call, &interactions.matrix)?;
                let model = run.compute(|| algorithm.fit(&interactions.matrix, None, run))?;
                run.reserve(model.bytes())?;
                (model.user_factors, model.item_factors)
            }
        };
        let described = call.input("rel")?;
        let users = distinct_text(described, &columns.user, &interactions.users)?;
        let items = distinct_text(described, &columns.item, &interactions.items)?;
        emit_side(run, "user", &users, &user_factors)?;
        emit_side(run, "item", &items, &item_factors)
    }
}

/// Emits `factors`, keys x factors, one row a key, a few thousand at a time.
fn emit_side(run: &Run, side: &str, keys: &StringArray, factors: &Array2<f32>) -> Result<()> {
    const KEYS: usize = 4096;
    for start in (0..keys.len()).step_by(KEYS) {
        let length = KEYS.min(keys.len() - start);
        let mut vectors = ListBuilder::new(Float32Builder::with_capacity(length * factors.ncols()));
        for row in factors
            .slice(ndarray::s![start..start + length, ..])
            .outer_iter()
        {
            for value in row {
                vectors.values().append_value(*value);
            }
            vectors.append(true);
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(std::iter::repeat_n(
                side, length,
            ))),
            Arc::new(keys.slice(start, length)),
            Arc::new(Int64Array::from_iter_values(
                start as i64..(start + length) as i64,
            )),
            Arc::new(vectors.finish()),
            Arc::new(Float64Array::new_null(length)),
        ];
        run.emit_columns(columns)?;
    }
    Ok(())
}
