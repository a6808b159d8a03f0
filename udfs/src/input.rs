//! An input relation, read: the columns of a relation function as numbers, keys and batches.
//!
//! Rows keep the order in which the engine delivered them, which is not fixed; an algorithm whose
//! answer depends on the order takes [`Input::canonical_order`], which depends on content alone.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{cast, concat, take};
use arrow::datatypes::{DataType, Float32Type, Float64Type, SchemaRef};
use arrow::row::{RowConverter, Rows, SortField};
use arrow::util::display::array_value_to_string;
use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_128;

use crate::call::{Call, CallInput};
use crate::error::{Error, Kind, Result};
use crate::run::{Held, Run};
use crate::types::{plain_layout, sql_number, sql_type};

/// All rows of one input relation.
#[derive(Debug)]
pub struct Input {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    rows: usize,
}

/// Values of one or more columns as dense codes.
#[derive(Debug)]
pub struct Keys {
    /// For each row the position of its key among the distinct ones.
    pub codes: Vec<u32>,
    /// The distinct keys, one array a column, in ascending order of their values.
    pub values: Vec<ArrayRef>,
}

impl Keys {
    /// The number of distinct keys.
    pub fn len(&self) -> usize {
        self.values.first().map_or(0, |column| column.len())
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The key of a code as error texts show it: its values with commas.
    pub fn display(&self, code: u32) -> Result<String> {
        let values = self
            .values
            .iter()
            .map(|column| array_value_to_string(column, code as usize))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(values.join(", "))
    }
}

impl Input {
    /// The rows of `batches`, which all have the columns of `schema`.
    pub fn new(schema: SchemaRef, batches: Vec<RecordBatch>) -> Self {
        let rows = batches.iter().map(RecordBatch::num_rows).sum();
        Self {
            schema,
            batches,
            rows,
        }
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The rows as the engine delivered them.
    pub fn batches(&self) -> &[RecordBatch] {
        &self.batches
    }

    /// The columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The names of all columns.
    pub fn names(&self) -> Vec<String> {
        self.schema
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect()
    }

    /// One column as a single array, text and bytes in their plain layout.
    pub fn column(&self, name: &str) -> Result<ArrayRef> {
        let position = self.schema.index_of(name).map_err(|_| {
            Error::internal(format!("column \"{name}\" was not read from the input"))
        })?;
        let data_type = plain_layout(self.schema.field(position).data_type());
        let parts = self
            .batches
            .iter()
            .map(|batch| Ok(cast(batch.column(position), data_type)?))
            .collect::<Result<Vec<ArrayRef>>>()?;
        match parts.as_slice() {
            [] => Ok(arrow::array::new_empty_array(data_type)),
            [only] => Ok(Arc::clone(only)),
            many => {
                let parts: Vec<&dyn Array> = many.iter().map(AsRef::as_ref).collect();
                Ok(concat(&parts)?)
            }
        }
    }

    /// One numeric or boolean column as f64, which must be finite and not NULL.
    pub fn numbers(&self, described: &CallInput, name: &str) -> Result<Vec<f64>> {
        let column = self.column(name)?;
        check_numeric(described, name, column.data_type())?;
        let column = cast(&column, &DataType::Float64)?;
        let numbers = column.as_primitive::<Float64Type>();
        if numbers.null_count() > 0 {
            return Err(Error::new(
                Kind::NullNotAllowed,
                format!(
                    "column \"{name}\" of {} holds {} NULL of {} values",
                    described.describe(),
                    numbers.null_count(),
                    numbers.len()
                ),
            )
            .hint(format!(
                "Leave them out with WHERE {name} IS NOT NULL, or fill them with coalesce()."
            )));
        }
        let values = numbers.values();
        if let Some(bad) = values.iter().find(|value| !value.is_finite()) {
            return Err(Error::new(
                Kind::NumericOutOfRange,
                format!(
                    "column \"{name}\" of {} holds {}",
                    described.describe(),
                    sql_number(*bad)
                ),
            )
            .hint("Leave such rows out, or replace the value with nullif() or CASE."));
        }
        Ok(values.to_vec())
    }

    /// The rows' keys over the columns `names`, none of them NULL.
    pub fn keys(&self, described: &CallInput, names: &[String], run: &Run) -> Result<Keys> {
        let columns = self.key_columns(described, names)?;
        distinct_keys(&columns, self.rows, run)
    }

    /// The rows' keys over the columns `names`, none of them NULL and none of them twice.
    pub fn unique_keys(&self, described: &CallInput, names: &[String], run: &Run) -> Result<Keys> {
        let keys = self.keys(described, names, run)?;
        if keys.len() == self.rows {
            return Ok(keys);
        }
        let mut held = vec![false; keys.len()];
        let twice = keys.codes.iter().find(|code| {
            held.get_mut(**code as usize)
                .is_some_and(|held| std::mem::replace(held, true))
        });
        let code = *twice.ok_or_else(|| Error::internal("fewer keys than rows repeat one"))?;
        let key = keys.display(code)?;
        let times = keys.codes.iter().filter(|other| **other == code).count();
        let columns = names.join(", ");
        Err(Error::new(
            Kind::InvalidData,
            format!("key ({columns}) of {} is not unique", described.describe()),
        )
        .detail(format!("Key ({columns})=({key}) occurs {times} times."))
        .hint("Name the columns that together identify a row, or leave the duplicates out."))
    }

    /// The columns of a key, which must hold no NULL.
    pub fn key_columns(&self, described: &CallInput, names: &[String]) -> Result<Vec<ArrayRef>> {
        names
            .iter()
            .map(|name| {
                let column = self.column(name)?;
                if column.logical_null_count() == 0 {
                    Ok(column)
                } else {
                    Err(Error::new(
                        Kind::NullNotAllowed,
                        format!(
                            "key column \"{name}\" of {} holds NULL",
                            described.describe()
                        ),
                    )
                    .hint(format!(
                        "Leave such rows out with WHERE {name} IS NOT NULL."
                    )))
                }
            })
            .collect()
    }

    /// An order of the rows that depends on the content of the columns `names` alone: by a
    /// 128-bit hash of their values, then by the values. Rows alike in all of them are
    /// interchangeable. Position `i` of the result holds the row that comes `i`-th.
    pub fn canonical_order(&self, names: &[String], run: &Run) -> Result<Vec<u32>> {
        let columns = names
            .iter()
            .map(|name| self.column(name))
            .collect::<Result<Vec<_>>>()?;
        let (rows, _held) = encode(&columns, run)?;
        let count = row_count(self.rows)?;
        run.reserve(self.rows.saturating_mul(4))?;
        let _order = run.hold(self.rows.saturating_mul(32))?;
        Ok(run.compute(|| {
            let mut order: Vec<(u128, u32)> = (0..count)
                .into_par_iter()
                .map(|row| (xxh3_128(rows.row(row as usize).as_ref()), row))
                .collect();
            order.par_sort_unstable_by(|left, right| {
                left.0.cmp(&right.0).then_with(|| {
                    rows.row(left.1 as usize)
                        .as_ref()
                        .cmp(rows.row(right.1 as usize).as_ref())
                })
            });
            order.into_iter().map(|(_, row)| row).collect()
        }))
    }

    /// Emits the batches with further columns behind those of the input; `values` is called with
    /// the range of row positions of each batch.
    pub fn with_columns(
        &self,
        run: &Run,
        values: impl Fn(std::ops::Range<usize>) -> Result<Vec<ArrayRef>>,
    ) -> Result<()> {
        let mut start = 0;
        for batch in &self.batches {
            let end = start + batch.num_rows();
            let mut columns = batch.columns().to_vec();
            columns.extend(values(start..end)?);
            run.emit_columns(columns)?;
            start = end;
        }
        Ok(())
    }
}

/// The rows given for the relation parameter `name`, which is required.
pub fn input_of<'a>(call: &Call, inputs: &'a [Input], name: &str) -> Result<&'a Input> {
    optional_input_of(call, inputs, name)?.ok_or_else(|| call.missing(name))
}

/// The rows given for the relation parameter `name`, if it was given.
pub fn optional_input_of<'a>(
    call: &Call,
    inputs: &'a [Input],
    name: &str,
) -> Result<Option<&'a Input>> {
    call.input_position(name)?
        .map(|position| {
            inputs
                .get(position)
                .ok_or_else(|| Error::internal("an argument points past the inputs"))
        })
        .transpose()
}

/// Codes for rows that hold `columns`: distinct values in ascending order.
pub fn distinct_keys(columns: &[ArrayRef], rows: usize, run: &Run) -> Result<Keys> {
    let count = row_count(rows)?;
    let columns: Vec<ArrayRef> = columns.iter().map(one_zero).collect();
    let (encoded, _held) = encode(&columns, run)?;
    run.reserve(rows.saturating_mul(4))?;
    let _order = run.hold(rows.saturating_mul(8))?;
    let (codes, firsts) = run.compute(|| {
        let mut order: Vec<u32> = (0..count).collect();
        order.par_sort_unstable_by(|left, right| {
            encoded
                .row(*left as usize)
                .as_ref()
                .cmp(encoded.row(*right as usize).as_ref())
        });
        let mut codes = vec![0_u32; rows];
        let mut firsts: Vec<u32> = Vec::new();
        let mut previous: Option<u32> = None;
        for row in order {
            let same = previous
                .is_some_and(|before| encoded.row(before as usize) == encoded.row(row as usize));
            if !same {
                firsts.push(row);
            }
            if let Some(code) = codes.get_mut(row as usize) {
                *code = (firsts.len() - 1) as u32;
            }
            previous = Some(row);
        }
        (codes, firsts)
    });
    let firsts = UInt32Array::from(firsts);
    let values = columns
        .iter()
        .map(|column| Ok(take(column, &firsts, None)?))
        .collect::<Result<Vec<_>>>()?;
    run.reserve(memory_of(&values))?;
    Ok(Keys { codes, values })
}

/// Fails where a column cannot be read as a number.
pub fn check_numeric(described: &CallInput, name: &str, data_type: &DataType) -> Result<()> {
    if data_type.is_numeric() || matches!(data_type, DataType::Boolean | DataType::Null) {
        return Ok(());
    }
    Err(Error::new(
        Kind::DatatypeMismatch,
        format!(
            "column \"{name}\" of {} is not numeric",
            described.describe()
        ),
    )
    .detail(format!("Its type is {}.", sql_type(data_type)))
    .hint("Name another column, or turn it into a number in the subquery."))
}

fn memory_of(columns: &[ArrayRef]) -> usize {
    columns
        .iter()
        .map(|column| column.get_array_memory_size())
        .fold(0, usize::saturating_add)
}

/// Floats of which equal ones have the same bits: -0 is 0 and there is one NaN, as SQL compares them.
fn one_zero(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Float64 => Arc::new(
            column
                .as_primitive::<Float64Type>()
                .unary::<_, Float64Type>(|value| {
                    if value.is_nan() {
                        f64::NAN
                    } else {
                        value + 0.0
                    }
                }),
        ),
        DataType::Float32 => Arc::new(
            column
                .as_primitive::<Float32Type>()
                .unary::<_, Float32Type>(|value| {
                    if value.is_nan() {
                        f32::NAN
                    } else {
                        value + 0.0
                    }
                }),
        ),
        _ => Arc::clone(column),
    }
}

/// The columns' values as bytes that compare as they do, and the memory that they and the columns,
/// which were put together from batches, take meanwhile.
fn encode(columns: &[ArrayRef], run: &Run) -> Result<(Rows, Held)> {
    let fields = columns
        .iter()
        .map(|column| SortField::new(column.data_type().clone()))
        .collect();
    let converter = RowConverter::new(fields)?;
    let values: usize = columns.iter().map(|column| 9 * column.len()).sum();
    let held = run.hold(memory_of(columns).saturating_mul(2).saturating_add(values))?;
    Ok((converter.convert_columns(columns)?, held))
}

fn row_count(rows: usize) -> Result<u32> {
    u32::try_from(rows).map_err(|_| {
        Error::new(
            Kind::InvalidData,
            format!("a relation of {rows} rows is too large for this function"),
        )
        .detail("At most 4294967295 rows can be given.")
    })
}
