//! `ml.split`: what is learned from and what is kept back.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int64Type, TimeUnit};
use tributary_algo::evaluate::split::{Fractions, Part, by_time, leave_last_out, per_user, strong};

use crate::call::{Call, CallInput};
use crate::error::{Error, Kind, Result};
use crate::features::{SEED, emit_ordered, reordered};
use crate::function::{
    Binding, Default, Example, Parameter, ParameterType, RelationFunction, ResultColumn, Signature,
};
use crate::input::{Input, check_numeric, input_of};
use crate::output::{all_positions, appended, required};
use crate::run::Run;

/// See [`SIGNATURE`].
#[derive(Debug)]
pub struct Split;

static SIGNATURE: Signature = Signature {
    schema: "ml",
    name: "split",
    summary: "divides rows into those to learn from, to choose by and to test with",
    prose: "Every row comes back once. 'time' gives the earliest share to train and the latest to test; rows \
            of one time stay together. 'leave_last_out' gives the last row of each user to test and, unless \
            the middle fraction is 0, the one before to validation; a user keeps at least one row to learn \
            from. 'per_user' deals the rows of each user at random, 'strong' whole users, so that those \
            tested are never learned from. The answer depends on the rows alone, not on their order: rows \
            that tie are told apart by all their values.",
    parameters: &[
        Parameter::relation("rel", "The rows, one interaction each."),
        Parameter::new(
            "method",
            ParameterType::Text,
            Default::Text("time"),
            "How to divide: 'time', 'leave_last_out', 'per_user' or 'strong'.",
        ),
        Parameter::new(
            "fractions",
            ParameterType::Floats,
            Default::Floats(&[0.8, 0.1, 0.1]),
            "The shares of train, validation and test, which add up to 1.",
        ),
        Parameter::constant(
            "user_id",
            ParameterType::Column,
            Default::Null,
            "The column that holds the user; needed but for 'time'.",
        ),
        Parameter::constant(
            "event_time",
            ParameterType::Column,
            Default::Null,
            "The column that holds the time, a timestamp, date or number; needed for 'time' and \
             'leave_last_out'.",
        ),
        SEED,
        Parameter::constant(
            "output",
            ParameterType::Text,
            Default::Text("split"),
            "The name of the column that is added.",
        ),
    ],
    positional: 1,
    columns: &[
        ResultColumn {
            name: "<all input columns>",
            data_type: "as in the input",
            meaning: "The row as given.",
        },
        ResultColumn {
            name: "split",
            data_type: "text",
            meaning: "'train', 'validation' or 'test'.",
        },
    ],
    example: Example {
        setup: &[],
        sql: "SELECT * FROM ml.split((SELECT * FROM (VALUES ('ann', 1), ('ann', 2), ('ann', 3), ('bob', 9)) \
              AS bought (who, day)), method => 'leave_last_out', user_id => 'who', event_time => 'day') \
              ORDER BY who, day",
        output: "ann|1|train\nann|2|validation\nann|3|test\nbob|9|train",
    },
    source: "Z. Meng, R. McCreadie, C. Macdonald, I. Ounis: Exploring data splitting strategies for the \
             evaluation of recommendation models, RecSys 2020; B. Marlin: Collaborative filtering: a machine \
             learning perspective, 2004.",
};

/// A column named by an argument, in the relation `rel`.
fn named(call: &Call, parameter: &str) -> Result<Option<String>> {
    let input = call.input("rel")?;
    call.text(parameter)?
        .map(|name| Ok(input.schema.field(input.column(&name)?).name().clone()))
        .transpose()
}

fn needed(call: &Call, parameter: &str, method: &str) -> Result<String> {
    named(call, parameter)?.ok_or_else(|| {
        Error::new(
            Kind::UndefinedParameter,
            format!("argument \"{parameter}\" of ml.split is missing"),
        )
        .hint(format!("Method '{method}' needs it."))
    })
}

fn check_options(call: &Call) -> Result<(&'static str, [f64; 3])> {
    let method = call.word("method", &["time", "leave_last_out", "per_user", "strong"])?;
    if ["time", "leave_last_out"].contains(&method) {
        needed(call, "event_time", method)?;
    }
    if method != "time" {
        needed(call, "user_id", method)?;
    }
    let fractions = call.floats("fractions")?;
    let fractions = <[f64; 3]>::try_from(fractions).map_err(|given| {
        Error::new(
            Kind::InvalidParameter,
            format!(
                "argument \"fractions\" of ml.split has {} numbers",
                given.len()
            ),
        )
        .hint("Give three shares such as ARRAY[0.8, 0.1, 0.1].")
    })?;
    let [train, validation, test] = fractions;
    Fractions::new(train, validation, test)?;
    call.seed()?;
    Ok((method, fractions))
}

/// Whether a column can be a time, which is told before anything runs.
fn check_time(input: &CallInput, name: &str) -> Result<()> {
    let data_type = input.schema.field(input.column(name)?).data_type();
    match data_type {
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => Ok(()),
        other => check_numeric(input, name, other),
    }
}

/// A time as a number, the later the larger.
fn times(described: &CallInput, rows: &Input, name: &str) -> Result<Vec<f64>> {
    let data_type = described
        .schema
        .field(described.column(name)?)
        .data_type()
        .clone();
    if data_type.is_numeric() {
        return rows.numbers(described, name);
    }
    let columns = rows.key_columns(described, &[name.to_owned()])?;
    let [column] = columns.as_slice() else {
        return Err(Error::internal("a single key has one column"));
    };
    // Microseconds are whole numbers that a double holds until the year 2255.
    let micros = cast(column, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
    let micros = cast(&micros, &DataType::Int64)?;
    Ok(micros
        .as_primitive::<Int64Type>()
        .values()
        .iter()
        .map(|time| *time as f64)
        .collect())
}

impl RelationFunction for Split {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        let input = call.input("rel")?;
        named(call, "user_id")?;
        if let Some(name) = named(call, "event_time")? {
            check_time(input, &name)?;
        }
        if call.is_complete() {
            check_options(call)?;
        }
        Ok(Binding {
            schema: appended(
                input,
                vec![Field::new(
                    call.required_text("output")?,
                    DataType::Utf8,
                    false,
                )],
                "Rename the column in the subquery, or the added one with output => '...'.",
            )?,
            required: required(call, |input| Ok(all_positions(input)))?,
            tags: vec![],
        })
    }

    fn run(&self, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
        let described = call.input("rel")?;
        let rows = input_of(call, inputs, "rel")?;
        let (method, [train, validation, test]) = check_options(call)?;
        let fractions = Fractions::new(train, validation, test)?;
        run.reserve(rows.rows().saturating_mul(48))?;
        let order = rows.canonical_order(&rows.names(), run)?;
        let user = || -> Result<Vec<u32>> {
            let name = needed(call, "user_id", method)?;
            Ok(reordered(
                &rows.keys(described, &[name], run)?.codes,
                &order,
            ))
        };
        let time = || -> Result<Vec<f64>> {
            let name = needed(call, "event_time", method)?;
            Ok(reordered(&times(described, rows, &name)?, &order))
        };
        let parts: Vec<Part> = match method {
            "time" => by_time(&time()?, fractions)?,
            "leave_last_out" => leave_last_out(&user()?, &time()?, validation > 0.0)?,
            "per_user" => per_user(&user()?, fractions, call.seed()?),
            _ => strong(&user()?, fractions, call.seed()?),
        };
        let parts: ArrayRef = Arc::new(StringArray::from_iter_values(
            parts.iter().map(|part| part.name()),
        ));
        emit_ordered(rows, &order, &[parts], run)
    }
}
