//! Nested values as JSON, for maps, which PostgreSQL has no type for: written with the spacing of `jsonb`.

use super::{Cell, ListParts, Style, Write, internal};
use crate::error::Report;
use crate::pgtype;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field};
use bytes::{BufMut, BytesMut};

/// A writer of `array`'s values as JSON.
///
/// # Errors
/// As [`Cell::new`].
pub fn writer(array: &ArrayRef, style: Style) -> Result<Write, Report> {
    match array.data_type() {
        DataType::Map(..) => map(array, style),
        DataType::Struct(_) => object(array, style),
        _ => list(array, style),
    }
}

/// A writer of one value within JSON, NULL included.
fn value(array: &ArrayRef, field: &Field, style: Style) -> Result<Write, Report> {
    let data_type = array.data_type();
    if matches!(data_type, DataType::Map(..) | DataType::Struct(_)) || data_type.is_list() {
        let write = writer(array, style)?;
        let nulls = array.logical_nulls();
        return Ok(Box::new(move |row, out| {
            if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                out.put_slice(b"null");
                return Ok(());
            }
            write(row, out)
        }));
    }
    let cell = Cell::new(array, field, style)?;
    let is_number = data_type.is_numeric();
    let is_json = matches!(pgtype::of_field(field).name, "json" | "jsonb");
    let is_boolean = matches!(data_type, DataType::Boolean);
    Ok(Box::new(move |row, out| {
        if cell.is_null(row) {
            out.put_slice(b"null");
            return Ok(());
        }
        let at = out.len();
        cell.write(row, out)?;
        let written = out.get(at..).unwrap_or_default();
        if is_boolean {
            let word: &[u8] = if written == b"t" { b"true" } else { b"false" };
            out.truncate(at);
            out.put_slice(word);
        } else if !(is_json
            || is_number
                && written
                    .iter()
                    .all(|byte| !byte.is_ascii_alphabetic() || *byte == b'e'))
        {
            // Text, and the numbers that JSON does not have: NaN and the infinities.
            let text = super::take_from(out, at);
            string(&text, out)?;
        }
        Ok(())
    }))
}

fn map(array: &ArrayRef, style: Style) -> Result<Write, Report> {
    let Some(map) = array.as_map_opt().cloned() else {
        return Err(internal("a map column without maps"));
    };
    let (key_field, value_field) = match map.entries().fields().as_ref() {
        [key, value] => (key.clone(), value.clone()),
        _ => return Err(internal("a map without keys and values")),
    };
    let keys = Cell::new(map.keys(), &key_field, style)?;
    let values = value(map.values(), &value_field, style)?;
    let offsets = map.offsets().clone();
    Ok(Box::new(move |row, out| {
        let at = |index: usize| offsets.get(index).map_or(0, |offset| *offset as usize);
        out.put_u8(b'{');
        for index in at(row)..at(row + 1) {
            if index > at(row) {
                out.put_slice(b", ");
            }
            let start = out.len();
            keys.write(index, out)?;
            let key = super::take_from(out, start);
            string(&key, out)?;
            out.put_slice(b": ");
            values(index, out)?;
        }
        out.put_u8(b'}');
        Ok(())
    }))
}

fn object(array: &ArrayRef, style: Style) -> Result<Write, Report> {
    let Some(record) = array.as_struct_opt() else {
        return Err(internal("a record column without records"));
    };
    let members = record
        .columns()
        .iter()
        .zip(record.fields())
        .map(|(column, field)| Ok((field.name().clone(), value(column, field, style)?)))
        .collect::<Result<Vec<_>, Report>>()?;
    Ok(Box::new(move |row, out| {
        out.put_u8(b'{');
        for (index, (name, write)) in members.iter().enumerate() {
            if index > 0 {
                out.put_slice(b", ");
            }
            string(name.as_bytes(), out)?;
            out.put_slice(b": ");
            write(row, out)?;
        }
        out.put_u8(b'}');
        Ok(())
    }))
}

fn list(array: &ArrayRef, style: Style) -> Result<Write, Report> {
    let Some(ListParts {
        elements,
        item,
        range,
    }) = ListParts::new(array)
    else {
        return Err(internal("a list column without lists"));
    };
    let write = value(&elements, &item, style)?;
    Ok(Box::new(move |row, out| {
        let (start, end) = range(row);
        out.put_u8(b'[');
        for index in start..end {
            if index > start {
                out.put_slice(b", ");
            }
            write(index, out)?;
        }
        out.put_u8(b']');
        Ok(())
    }))
}

fn string(text: &[u8], out: &mut BytesMut) -> Result<(), Report> {
    let text = String::from_utf8_lossy(text);
    serde_json::to_writer(out.writer(), &text)
        .map_err(|error| internal(format_args!("could not write JSON: {error}")))
}
