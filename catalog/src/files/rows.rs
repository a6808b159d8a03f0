//! Fits batches of rows to the columns of a table.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use arrow::util::display::FormatOptions;

use crate::error::{Error, Result};
use crate::model::{Column, Table};
use crate::spec::types::storage_type;

/// `batch` with the schema of `table`: columns by position, each in its [`storage_type`].
///
/// # Errors
/// [`Error::TypeMismatch`] if the number of columns differs or a type is not stored as that of the column;
/// [`Error::NotNullViolation`]; [`Error::Arrow`] for a value that its storage type cannot hold.
pub fn fit(table: &Table, batch: &RecordBatch) -> Result<RecordBatch> {
    let mismatch = |reason| Error::TypeMismatch {
        table: table.qualified_name(),
        reason,
    };
    if batch.num_columns() != table.columns.len() {
        return Err(mismatch(format!(
            "The table has {} columns, the rows have {}.",
            table.columns.len(),
            batch.num_columns()
        )));
    }
    let mut arrays = Vec::with_capacity(batch.num_columns());
    for (column, array) in table.columns.iter().zip(batch.columns()) {
        let fits = column.data_type == *array.data_type()
            || storage_type(array.data_type())
                .is_ok_and(|stored| same_shape(&stored, &column.data_type));
        if !fits {
            return Err(mismatch(format!(
                "Column \"{}\" has type {}, the rows have {}.",
                column.name,
                column.column_type,
                array.data_type()
            )));
        }
        let array = convert(array, &column.data_type)?;
        if !column.nullable && array.logical_null_count() > 0 {
            return Err(Error::NotNullViolation {
                table: table.qualified_name(),
                column: column.name.clone(),
            });
        }
        arrays.push(array);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        Arc::clone(&table.arrow_schema),
        arrays,
        &options,
    )?)
}

/// Notes for each leaf of `columns`, in order, whether it has a NaN in `arrays`. Parts that a list does not reach count too.
pub fn note_nan(columns: &[Column], arrays: &[ArrayRef], found: &mut [bool]) {
    let mut at = 0;
    for (column, array) in columns.iter().zip(arrays) {
        note_nan_in(column, array, found, &mut at);
    }
}

fn note_nan_in(column: &Column, array: &ArrayRef, found: &mut [bool], at: &mut usize) {
    match array.data_type() {
        DataType::List(_) => {
            if let Some(part) = column.children.first() {
                note_nan_in(part, array.as_list::<i32>().values(), found, at);
            }
        }
        DataType::Struct(_) => {
            for (part, array) in column.children.iter().zip(array.as_struct().columns()) {
                note_nan_in(part, array, found, at);
            }
        }
        DataType::Map(..) => {
            for (part, array) in column
                .children
                .iter()
                .zip(array.as_map().entries().columns())
            {
                note_nan_in(part, array, found, at);
            }
        }
        leaf => {
            if let Some(found) = found.get_mut(*at) {
                // Most columns have none: look at the raw values, and at NULLs apart only when one of them looks like a NaN.
                *found = *found
                    || match leaf {
                        DataType::Float32 => {
                            let array = array.as_primitive::<Float32Type>();
                            array.values().iter().any(|value| value.is_nan())
                                && array.iter().flatten().any(f32::is_nan)
                        }
                        DataType::Float64 => {
                            let array = array.as_primitive::<Float64Type>();
                            array.values().iter().any(|value| value.is_nan())
                                && array.iter().flatten().any(f64::is_nan)
                        }
                        _ => false,
                    };
            }
            *at += 1;
        }
    }
}

fn same_shape(left: &DataType, right: &DataType) -> bool {
    match (left, right) {
        // The name of a time zone is a matter of display; the values are UTC.
        (DataType::Timestamp(a, Some(_)), DataType::Timestamp(b, Some(_))) => a == b,
        _ => left.equals_datatype(right),
    }
}

/// Casts, failing on a value that does not fit instead of making it NULL.
fn convert(array: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    if array.data_type() == data_type {
        return Ok(Arc::clone(array));
    }
    let options = CastOptions {
        safe: false,
        format_options: FormatOptions::default(),
    };
    if let (DataType::Struct(from), DataType::Struct(to)) = (array.data_type(), data_type)
        && from.len() == to.len()
    {
        // By position: the cast of the kernel goes by name where names meet.
        let (_, parts, nulls) = array.as_struct().clone().into_parts();
        let parts = parts
            .iter()
            .zip(to)
            .map(|(part, to)| convert(part, to.data_type()))
            .collect::<Result<Vec<_>>>()?;
        return Ok(Arc::new(arrow::array::StructArray::try_new(
            to.clone(),
            parts,
            nulls,
        )?));
    }
    if let (DataType::List(_), DataType::List(to)) = (array.data_type(), data_type) {
        let (_, offsets, values, nulls) = array.as_list::<i32>().clone().into_parts();
        let values = convert(&values, to.data_type())?;
        return Ok(Arc::new(arrow::array::ListArray::try_new(
            Arc::clone(to),
            offsets,
            values,
            nulls,
        )?));
    }
    Ok(cast_with_options(array, data_type, &options)?)
}
