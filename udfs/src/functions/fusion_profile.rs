//! `fusion.profile`: what the columns of a relation hold.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array, Int64Array, StringArray, UInt32Array};
use arrow::compute::{SortOptions, sort_to_indices};
use arrow::datatypes::{DataType, Field, Schema};
use tributary_algo::fusion::profile::{Profile as Found, profile};

use crate::call::Call;
use crate::error::Result;
use crate::function::{Binding, Example, Parameter, RelationFunction, ResultColumn, Signature};
use crate::input::{Input, input_of};
use crate::output::{all_positions, required};
use crate::records::{numbered, text_of};
use crate::run::Run;
use crate::types::sql_type;

/// See [`SIGNATURE`].
#[derive(Debug)]
pub struct Profile;

static SIGNATURE: Signature = Signature {
    schema: "fusion",
    name: "profile",
    summary: "tells what the columns of a relation hold",
    prose: "A row for each column, in their order. Values that stand for a missing one, such as '', \
            'n/a', 'unknown', '-' or '000', count as NULL. The role is guessed from the name and the \
            values together: a role that the values contradict is out whatever the name says. From roles \
            follow the columns that fusion.resolve() compares. Columns of arrays, records and bytes are \
            counted only, and have no role. Time is O(n log n) for each column.",
    parameters: &[Parameter::relation("rel", "The relation to look through.")],
    positional: 1,
    columns: &[
        ResultColumn {
            name: "column_name",
            data_type: "text",
            meaning: "The column.",
        },
        ResultColumn {
            name: "data_type",
            data_type: "text",
            meaning: "Its type.",
        },
        ResultColumn {
            name: "rows",
            data_type: "bigint",
            meaning: "How many rows there are.",
        },
        ResultColumn {
            name: "nulls",
            data_type: "bigint",
            meaning: "Rows without a value, or with one that stands for none.",
        },
        ResultColumn {
            name: "distinct_values",
            data_type: "bigint",
            meaning: "How many different values there are.",
        },
        ResultColumn {
            name: "top_value",
            data_type: "text",
            meaning: "The most frequent value, of equally frequent ones the smallest.",
        },
        ResultColumn {
            name: "top_share",
            data_type: "double precision",
            meaning: "The share of rows that have it.",
        },
        ResultColumn {
            name: "min_value",
            data_type: "text",
            meaning: "The smallest value in the order of the type.",
        },
        ResultColumn {
            name: "max_value",
            data_type: "text",
            meaning: "The largest value.",
        },
        ResultColumn {
            name: "role",
            data_type: "text",
            meaning: "What the column is taken to hold: key, given_name, family_name, full_name, \
                      birth_date, time, email, phone, street, city, postal_code, region, \
                      person_number, device, gtin, amount, number, category, text or empty.",
        },
        ResultColumn {
            name: "outliers",
            data_type: "bigint",
            meaning: "Of numbers, those further from the middle half than three times its width.",
        },
    ],
    example: Example {
        setup: &[],
        sql: "SELECT column_name, nulls, distinct_values, top_value, min_value, role FROM fusion.profile(\
              (SELECT * FROM (VALUES (1, 'ann@x.org', 'Ann'), (2, 'n/a', 'Bob'), (3, 'bob@x.org', 'Bob')) \
              AS accounts (id, mail, first_name)))",
        output: "id|0|3|1|1|key\nmail|1|2|ann@x.org|ann@x.org|email\nfirst_name|0|2|Bob|Ann|given_name",
    },
    source: "J. W. Tukey: Exploratory data analysis, 1977, for the outliers.",
};

impl RelationFunction for Profile {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        let whole = |name: &str, nullable| Field::new(name, DataType::Int64, nullable);
        let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
        Ok(Binding {
            schema: Arc::new(Schema::new(vec![
                text("column_name", false),
                text("data_type", false),
                whole("rows", false),
                whole("nulls", false),
                whole("distinct_values", true),
                text("top_value", true),
                Field::new("top_share", DataType::Float64, true),
                text("min_value", true),
                text("max_value", true),
                text("role", true),
                whole("outliers", true),
            ])),
            required: required(call, |input| Ok(all_positions(input)))?,
            tags: vec![],
        })
    }

    fn run(&self, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
        let described = call.input("rel")?;
        let rows = input_of(call, inputs, "rel")?;
        let mut table = Table::default();
        for field in described.schema.fields() {
            run.check()?;
            let column = rows.column(field.name())?;
            let _held = run.hold(column.get_array_memory_size().saturating_mul(2))?;
            table.names.push(field.name().clone());
            table.types.push(sql_type(field.data_type()));
            table.rows.push(column.len() as i64);
            match text_of(described, field.name(), &column) {
                Ok(text) => table.push(field.name(), &column, &text, run)?,
                Err(_) => table.push_unread(&column),
            }
        }
        run.emit_columns(vec![
            Arc::new(StringArray::from(table.names)),
            Arc::new(StringArray::from(table.types)),
            Arc::new(Int64Array::from(table.rows)),
            Arc::new(Int64Array::from(table.nulls)),
            Arc::new(Int64Array::from(table.distinct)),
            Arc::new(StringArray::from(table.top)),
            Arc::new(Float64Array::from(table.share)),
            Arc::new(StringArray::from(table.least)),
            Arc::new(StringArray::from(table.most)),
            Arc::new(StringArray::from(table.roles)),
            Arc::new(Int64Array::from(table.outliers)),
        ])
    }
}

/// The roles of a relation's columns with what was seen of each; values are numbered in their order.
///
/// # Errors
/// For memory that the limit forbids.
pub fn looked_through(
    name: &str,
    column: &ArrayRef,
    text: &StringArray,
    run: &Run,
) -> Result<(Found, Ordered)> {
    let ordered = Ordered::of(column, text)?;
    let values = ordered.order.values().iter().map(|row| {
        text.is_valid(*row as usize)
            .then(|| text.value(*row as usize))
    });
    let (codes, strings) = numbered(values, run)?;
    let found = run.compute(|| profile(name, &codes, &strings, run))?;
    let top = found
        .top
        .and_then(|(code, _)| strings.get(code))
        .map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned());
    Ok((found, Ordered { top, ..ordered }))
}

/// The rows in the order of their values, the most frequent value, and the ends.
#[derive(Debug)]
pub struct Ordered {
    order: UInt32Array,
    top: Option<String>,
    least: Option<String>,
    most: Option<String>,
}

impl Ordered {
    fn of(column: &ArrayRef, text: &StringArray) -> Result<Self> {
        let options = SortOptions {
            descending: false,
            nulls_first: false,
        };
        let order = sort_to_indices(column, Some(options), None)?;
        let is_value = |row: usize| {
            text.is_valid(row) && {
                let value = text.value(row).trim();
                value == "0" || !tributary_algo::fusion::is_null_like(value)
            }
        };
        let rows = || order.values().iter().map(|row| *row as usize);
        let shown = |row: usize| text.value(row).to_owned();
        Ok(Self {
            least: rows().find(|row| is_value(*row)).map(shown),
            most: rows().rev().find(|row| is_value(*row)).map(shown),
            top: None,
            order,
        })
    }
}

#[derive(std::default::Default)]
struct Table {
    names: Vec<String>,
    types: Vec<String>,
    rows: Vec<i64>,
    nulls: Vec<i64>,
    distinct: Vec<Option<i64>>,
    top: Vec<Option<String>>,
    share: Vec<Option<f64>>,
    least: Vec<Option<String>>,
    most: Vec<Option<String>>,
    roles: Vec<Option<&'static str>>,
    outliers: Vec<Option<i64>>,
}

impl Table {
    fn push(&mut self, name: &str, column: &ArrayRef, text: &StringArray, run: &Run) -> Result<()> {
        let (found, ordered) = looked_through(name, column, text, run)?;
        self.nulls.push(found.nulls as i64);
        self.distinct.push(Some(found.distinct as i64));
        self.share.push(
            found
                .top
                .map(|(_, rows)| f64::from(rows) / found.rows as f64),
        );
        self.top.push(ordered.top);
        self.least.push(ordered.least);
        self.most.push(ordered.most);
        self.roles.push(Some(found.role.name()));
        self.outliers.push(Some(found.outliers as i64));
        Ok(())
    }

    fn push_unread(&mut self, column: &ArrayRef) {
        self.nulls.push(column.logical_null_count() as i64);
        self.distinct.push(None);
        self.share.push(None);
        self.top.push(None);
        self.least.push(None);
        self.most.push(None);
        self.roles.push(None);
        self.outliers.push(None);
    }
}
