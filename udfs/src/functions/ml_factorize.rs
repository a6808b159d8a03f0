//! `ml.factorize`: interactions as the product of user and item factors.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Float32Builder, Float64Array, Int64Array, ListBuilder, StringArray,
};
use arrow::datatypes::{DataType, Field, Schema};
use ndarray::Array2;
use tributary_algo::factorization::Als;

use crate::als::{ALPHA, FACTORS, ITERATIONS, NU, REGULARIZATION, als};
use crate::call::Call;
use crate::error::{Error, Kind, Result};
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
            confidence 1. Each system is solved exactly. Vectors are kept in single precision. The \
            same data, arguments and seed give the same bits for any number of threads and any order of \
            rows. To recommend, use ml.train() and ml.recommend(), which keep the same vectors in a \
            model table. Time is O(interactions x factors^2 + (users + items) x factors^3) an \
            iteration.",
    parameters: &[
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
            "method",
            ParameterType::Text,
            Default::Text("als"),
            "How to factorize: 'als'.",
        ),
        Parameter::new(
            "seed",
            ParameterType::Integer,
            Default::Integer(0),
            "Fixes the random draws.",
        ),
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
            meaning: "What is added to the dot product; NULL for 'als', which has none.",
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
             ICDM 2008.",
};

fn algorithm(call: &Call) -> Result<Als> {
    let method = call.required_text("method")?;
    if method.trim().eq_ignore_ascii_case("nmf") {
        return Err(Error::new(
            Kind::FeatureNotSupported,
            "method \"nmf\" of ml.factorize is not supported yet",
        )
        .hint("Its methods are: als."));
    }
    call.word("method", &["als"])?;
    als(call)
}

impl RelationFunction for Factorize {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        let columns = InteractionColumns::bind(call)?;
        if call.is_complete() {
            algorithm(call)?;
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
        let algorithm = algorithm(call)?;
        let interactions = columns.read(call, input_of(call, inputs, "rel")?, run)?;
        let model = run.compute(|| algorithm.fit(&interactions.matrix, None, run))?;
        run.reserve(model.bytes())?;
        let described = call.input("rel")?;
        let users = distinct_text(described, &columns.user, &interactions.users)?;
        let items = distinct_text(described, &columns.item, &interactions.items)?;
        emit_side(run, "user", &users, &model.user_factors)?;
        emit_side(run, "item", &items, &model.item_factors)
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
