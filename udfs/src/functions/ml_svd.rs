//! `ml.svd`: the truncated singular value decomposition.

use std::sync::Arc;

use arrow::array::{Array, Float64Array, Int32Array, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema};
use ndarray::Array2;
use tributary_algo::factorization::Svd as Algorithm;

use crate::call::Call;
use crate::error::{Error, Kind, Result};
use crate::function::{
    Binding, Default, Example, Parameter, ParameterType, RelationFunction, ResultColumn, Signature,
};
use crate::input::{Input, check_numeric, input_of};
use crate::interactions::matrix;
use crate::keys::distinct_text;
use crate::output::{positions, required};
use crate::run::Run;

/// See [`SIGNATURE`].
#[derive(Debug)]
pub struct Svd;

static SIGNATURE: Signature = Signature {
    schema: "ml",
    name: "svd",
    summary: "decomposes a matrix into its largest singular values and their vectors",
    prose: "Each row of the relation is a cell of a matrix: its row, its column and its value. Rows of \
            the same cell are added up; cells that are not given count as `missing` says. The sum over \
            components of left x sigma x right is the best approximation of rank k in the \
            least-squares sense. All is computed in double precision; a small matrix is decomposed \
            whole, a large one by subspace iteration until the singular values stand still to 1e-7 of \
            the largest, 50 times at most. The entry of largest magnitude in each right vector is \
            positive. The same data, arguments and seed give the same values for any number of threads \
            and any order of rows. Time is O((cells + (rows + columns) k) k) an iteration.",
    parameters: &[
        Parameter::relation("rel", "The cells, one a row."),
        Parameter::constant(
            "row_id",
            ParameterType::Column,
            Default::Required,
            "The column that names the row of the matrix.",
        ),
        Parameter::constant(
            "column_id",
            ParameterType::Column,
            Default::Required,
            "The column that names the column of the matrix.",
        ),
        Parameter::constant(
            "value",
            ParameterType::Column,
            Default::Required,
            "The column that holds the value of the cell.",
        ),
        Parameter::new(
            "k",
            ParameterType::Integer,
            Default::Required,
            "The number of components, from 1 to the smaller side of the matrix.",
        ),
        Parameter::new(
            "missing",
            ParameterType::Text,
            Default::Text("zero"),
            "What a cell that is not given holds: 'zero'.",
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
            meaning: "'left' for a row of the matrix, 'right' for a column, 'sigma' for a singular \
                      value.",
        },
        ResultColumn {
            name: "key",
            data_type: "text",
            meaning: "The row or column, as text; NULL for a singular value.",
        },
        ResultColumn {
            name: "component",
            data_type: "integer",
            meaning: "From 1, the largest singular value first.",
        },
        ResultColumn {
            name: "value",
            data_type: "double precision",
            meaning: "The entry of the singular vector, or the singular value.",
        },
    ],
    example: Example {
        setup: &[],
        sql: "SELECT component, value::numeric(8, 6) AS value FROM ml.svd(\
              (SELECT * FROM (VALUES ('a', 'x', 3.0), ('b', 'y', -2.0)) AS cells (r, c, v)), \
              row_id => 'r', column_id => 'c', value => 'v', k => 2) \
              WHERE side = 'sigma' ORDER BY component",
        output: "1|3.000000\n2|2.000000",
    },
    source: "N. Halko, P. G. Martinsson, J. A. Tropp: Finding structure with randomness, SIAM Review \
             53 (2011), algorithm 4.4.",
};

/// The names under which the relation has the columns of the cells.
struct Columns {
    row: String,
    column: String,
    value: String,
}

impl Columns {
    fn of(call: &Call) -> Result<Self> {
        let input = call.input("rel")?;
        let name = |argument: &str| -> Result<String> {
            let position = input.column(&call.required_text(argument)?)?;
            Ok(input.schema.field(position).name().clone())
        };
        let columns = Self {
            row: name("row_id")?,
            column: name("column_id")?,
            value: name("value")?,
        };
        if columns.row == columns.column {
            return Err(Error::new(
                Kind::InvalidParameter,
                format!(
                    "column \"{}\" is given for both \"row_id\" and \"column_id\"",
                    columns.row
                ),
            ));
        }
        let field = input.schema.field(input.column(&columns.value)?);
        check_numeric(input, field.name(), field.data_type())?;
        Ok(columns)
    }
}

fn algorithm(call: &Call) -> Result<Algorithm> {
    call.word("missing", &["zero"])?;
    Ok(Algorithm {
        k: call.count("k", 1)?,
        seed: call.seed()?,
        ..Algorithm::default()
    })
}

impl RelationFunction for Svd {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        let columns = Columns::of(call)?;
        if call.is_complete() {
            algorithm(call)?;
        }
        Ok(Binding {
            schema: Arc::new(Schema::new(vec![
                Field::new("side", DataType::Utf8, false),
                Field::new("key", DataType::Utf8, true),
                Field::new("component", DataType::Int32, false),
                Field::new("value", DataType::Float64, false),
            ])),
            required: required(call, |input| {
                positions(input, [&columns.row, &columns.column, &columns.value])
            })?,
            tags: vec![],
        })
    }

    fn run(&self, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
        let described = call.input("rel")?;
        let rows = input_of(call, inputs, "rel")?;
        let columns = Columns::of(call)?;
        let algorithm = algorithm(call)?;
        let row_keys = rows.keys(described, std::slice::from_ref(&columns.row), run)?;
        let column_keys = rows.keys(described, std::slice::from_ref(&columns.column), run)?;
        run.reserve(rows.rows().saturating_mul(8))?;
        let values = rows.numbers(described, &columns.value)?;
        let cells = matrix(&row_keys, &column_keys, &values, run)?;
        let model = run.compute(|| algorithm.fit(&cells, run))?;
        run.reserve(model.bytes())?;
        let row_names = distinct_text(described, &columns.row, &row_keys)?;
        let column_names = distinct_text(described, &columns.column, &column_keys)?;
        emit_vectors(run, "left", &row_names, &model.left)?;
        emit_vectors(run, "right", &column_names, &model.right)?;
        let components = model.sigma.len();
        run.emit_columns(vec![
            Arc::new(StringArray::from(vec!["sigma"; components])),
            Arc::new(StringArray::new_null(components)),
            Arc::new(Int32Array::from_iter_values(1..=components as i32)),
            Arc::new(Float64Array::from(model.sigma)),
        ])
    }
}

/// Emits `vectors`, keys x components, one row an entry, a few thousand keys at a time.
fn emit_vectors(run: &Run, side: &str, keys: &StringArray, vectors: &Array2<f64>) -> Result<()> {
    const KEYS: usize = 4096;
    let components = vectors.ncols();
    for start in (0..keys.len()).step_by(KEYS) {
        let end = keys.len().min(start + KEYS);
        let entries = (end - start) * components;
        let mut key = StringBuilder::with_capacity(entries, entries * 8);
        for at in start..end {
            for _ in 0..components {
                key.append_value(keys.value(at));
            }
        }
        let rows = vectors.slice(ndarray::s![start..end, ..]);
        run.emit_columns(vec![
            Arc::new(StringArray::from_iter_values(std::iter::repeat_n(
                side, entries,
            ))),
            Arc::new(key.finish()),
            Arc::new(Int32Array::from_iter_values(
                (start..end).flat_map(|_| 1..=components as i32),
            )),
            Arc::new(Float64Array::from_iter_values(rows.iter().copied())),
        ])?;
    }
    Ok(())
}
