//! Result columns: those of the input with new ones behind them, and no silent clash of names.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};

use crate::call::{Call, CallInput};
use crate::error::{Error, Kind, Result};

/// The columns of `input` followed by `added`.
///
/// # Errors
/// [`Kind::DuplicateColumn`] where a name would occur twice; `renaming` is the hint's advice.
pub fn appended(input: &CallInput, added: Vec<Field>, renaming: &str) -> Result<SchemaRef> {
    let mut fields: Vec<Arc<Field>> = input.schema.fields().iter().map(Arc::clone).collect();
    for field in added {
        if fields.iter().any(|before| before.name() == field.name()) {
            return Err(Error::new(
                Kind::DuplicateColumn,
                format!(
                    "result column \"{}\" is already a column of {}",
                    field.name(),
                    input.describe()
                ),
            )
            .hint(renaming));
        }
        fields.push(Arc::new(field));
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// Fields of the columns at `positions`, under their own names.
pub fn fields_at(input: &CallInput, positions: &[usize]) -> Result<Vec<Field>> {
    positions
        .iter()
        .map(|position| {
            input
                .schema
                .fields()
                .get(*position)
                .map(|field| field.as_ref().clone())
                .ok_or_else(|| Error::internal("a column's position is past the columns"))
        })
        .collect()
}

/// The positions of the columns `names` in `input`, each once and in ascending order.
///
/// # Errors
/// [`Kind::UndefinedColumn`] for a name that is not a column.
pub fn positions<'a>(
    input: &CallInput,
    names: impl IntoIterator<Item = &'a String>,
) -> Result<Vec<usize>> {
    let mut found = names
        .into_iter()
        .map(|name| input.column(name))
        .collect::<Result<Vec<_>>>()?;
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// What is read of each input, in the order in which the inputs were given; `of` tells it for one,
/// by the parameter it was given for.
pub fn required(
    call: &Call,
    of: impl Fn(&CallInput) -> Result<Vec<usize>>,
) -> Result<Vec<Vec<usize>>> {
    call.inputs.iter().map(of).collect()
}

/// The result's columns, each under a name of its own.
///
/// # Errors
/// [`Kind::DuplicateColumn`] where a name would occur twice.
pub fn distinct_fields(fields: Vec<Field>) -> Result<SchemaRef> {
    for (position, field) in fields.iter().enumerate() {
        if fields
            .iter()
            .take(position)
            .any(|before| before.name() == field.name())
        {
            return Err(Error::new(
                Kind::DuplicateColumn,
                format!("the result would have two columns \"{}\"", field.name()),
            )
            .hint("Rename the column in the subquery."));
        }
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// All positions of `input`.
pub fn all_positions(input: &CallInput) -> Vec<usize> {
    (0..input.schema.fields().len()).collect()
}

/// The names under which `names` are columns of `input`.
pub fn resolved_names(input: &CallInput, names: &[String]) -> Result<Vec<String>> {
    names
        .iter()
        .map(|name| {
            let position = input.column(name)?;
            Ok(input.schema.field(position).name().clone())
        })
        .collect()
}
