//! Rows of system relations: values by column name, the rest left at its zero or NULL.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Float32Builder, Float64Builder, Int16Builder, Int32Builder,
    Int64Builder, ListBuilder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder,
    UInt32Builder, new_null_array,
};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, exec_err};

use super::definition::Definition;
use crate::pgtype::TIMESTAMPTZ_ZONE;

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// NULL.
    Null,
    /// `bool`.
    Bool(bool),
    /// Any whole number, oids included.
    Int(i64),
    /// A floating point number.
    Float(f64),
    /// Any text.
    Text(String),
    /// An array or vector of whole numbers.
    Ints(Vec<i64>),
    /// An array of texts.
    Texts(Vec<String>),
    /// A time, in microseconds since 1970 UTC.
    Time(i64),
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Int(value.into())
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Self::Int(value.into())
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<char> for Value {
    fn from(value: char) -> Self {
        Self::Text(value.to_string())
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Collects the rows of one system relation.
pub(super) struct Rows {
    definition: &'static Definition,
    columns: Vec<Column>,
    /// The column that each value of the row being added belongs to.
    given: Vec<Option<Value>>,
}

impl Rows {
    /// No rows yet.
    pub fn new(definition: &'static Definition) -> Self {
        let fields = definition.arrow_schema.fields();
        Self {
            definition,
            columns: fields.iter().map(Column::new).collect(),
            given: vec![None; fields.len()],
        }
    }

    /// Adds a row. A column not named gets NULL or, where it is NOT NULL, the zero of its type.
    ///
    /// # Errors
    /// An internal error for a name that is no column or a value of another type.
    pub fn push<const N: usize>(&mut self, values: [(&str, Value); N]) -> Result<()> {
        for (name, value) in values {
            let place = self
                .definition
                .column(name)
                .and_then(|at| self.given.get_mut(at));
            match place {
                Some(place) => *place = Some(value),
                None => return exec_err!("no column \"{name}\" in \"{}\"", self.definition.name),
            }
        }
        for (column, (given, field)) in self.columns.iter_mut().zip(
            self.given
                .iter_mut()
                .zip(self.definition.arrow_schema.fields()),
        ) {
            let value = match given.take() {
                Some(value) => value,
                None if field.is_nullable() => Value::Null,
                None => zero(field.data_type()),
            };
            column.push(value, field)?;
        }
        Ok(())
    }

    /// All rows.
    pub fn finish(self) -> Result<RecordBatch> {
        let arrays = self.columns.into_iter().map(Column::finish).collect();
        Ok(RecordBatch::try_new(
            Arc::clone(&self.definition.arrow_schema),
            arrays,
        )?)
    }
}

fn zero(data_type: &DataType) -> Value {
    match data_type {
        DataType::Boolean => Value::Bool(false),
        DataType::Float32 | DataType::Float64 => Value::Float(0.0),
        DataType::Utf8 => Value::Text(String::new()),
        DataType::List(item) if item.data_type() == &DataType::Utf8 => Value::Texts(Vec::new()),
        DataType::List(_) => Value::Ints(Vec::new()),
        DataType::Timestamp(..) => Value::Time(0),
        _ => Value::Int(0),
    }
}

/// Values of one column being collected.
pub(super) enum Column {
    Bool(BooleanBuilder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    UInt32(UInt32Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Text(StringBuilder),
    Time(TimestampMicrosecondBuilder),
    Int16s(ListBuilder<Int16Builder>),
    UInt32s(ListBuilder<UInt32Builder>),
    Texts(ListBuilder<StringBuilder>),
    /// A type that no system relation of ours has values of.
    Nulls(DataType, usize),
}

impl Column {
    /// No values yet.
    pub fn new(field: &FieldRef) -> Self {
        match field.data_type() {
            DataType::Boolean => Self::Bool(BooleanBuilder::new()),
            DataType::Int16 => Self::Int16(Int16Builder::new()),
            DataType::Int32 => Self::Int32(Int32Builder::new()),
            DataType::Int64 => Self::Int64(Int64Builder::new()),
            DataType::UInt32 => Self::UInt32(UInt32Builder::new()),
            DataType::Float32 => Self::Float32(Float32Builder::new()),
            DataType::Float64 => Self::Float64(Float64Builder::new()),
            DataType::Utf8 => Self::Text(StringBuilder::new()),
            DataType::Timestamp(_, Some(_)) => {
                Self::Time(TimestampMicrosecondBuilder::new().with_timezone(TIMESTAMPTZ_ZONE))
            }
            DataType::List(item) => match item.data_type() {
                DataType::Int16 => {
                    Self::Int16s(ListBuilder::new(Int16Builder::new()).with_field(Arc::clone(item)))
                }
                DataType::UInt32 => Self::UInt32s(
                    ListBuilder::new(UInt32Builder::new()).with_field(Arc::clone(item)),
                ),
                DataType::Utf8 => {
                    Self::Texts(ListBuilder::new(StringBuilder::new()).with_field(Arc::clone(item)))
                }
                _ => Self::Nulls(field.data_type().clone(), 0),
            },
            other => Self::Nulls(other.clone(), 0),
        }
    }

    /// Adds a value.
    ///
    /// # Errors
    /// An internal error for a value of another type.
    pub fn push(&mut self, value: Value, field: &Field) -> Result<()> {
        match (self, value) {
            (Self::Bool(builder), Value::Bool(value)) => builder.append_value(value),
            (Self::Bool(builder), Value::Null) => builder.append_null(),
            (Self::Int16(builder), Value::Int(value)) => {
                builder.append_value(in_range(value, field)?);
            }
            (Self::Int16(builder), Value::Null) => builder.append_null(),
            (Self::Int32(builder), Value::Int(value)) => {
                builder.append_value(in_range(value, field)?);
            }
            (Self::Int32(builder), Value::Null) => builder.append_null(),
            (Self::Int64(builder), Value::Int(value)) => builder.append_value(value),
            (Self::Int64(builder), Value::Null) => builder.append_null(),
            (Self::UInt32(builder), Value::Int(value)) => {
                builder.append_value(in_range(value, field)?);
            }
            (Self::UInt32(builder), Value::Null) => builder.append_null(),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "estimates such as reltuples"
            )]
            (Self::Float32(builder), Value::Float(value)) => builder.append_value(value as f32),
            (Self::Float32(builder), Value::Null) => builder.append_null(),
            (Self::Float64(builder), Value::Float(value)) => builder.append_value(value),
            (Self::Float64(builder), Value::Null) => builder.append_null(),
            (Self::Text(builder), Value::Text(value)) => builder.append_value(value),
            (Self::Text(builder), Value::Null) => builder.append_null(),
            (Self::Time(builder), Value::Time(value)) => builder.append_value(value),
            (Self::Time(builder), Value::Null) => builder.append_null(),
            (Self::Int16s(builder), Value::Ints(values)) => {
                for value in values {
                    builder.values().append_value(in_range(value, field)?);
                }
                builder.append(true);
            }
            (Self::Int16s(builder), Value::Null) => builder.append_null(),
            (Self::UInt32s(builder), Value::Ints(values)) => {
                for value in values {
                    builder.values().append_value(in_range(value, field)?);
                }
                builder.append(true);
            }
            (Self::UInt32s(builder), Value::Null) => builder.append_null(),
            (Self::Texts(builder), Value::Texts(values)) => {
                for value in values {
                    builder.values().append_value(value);
                }
                builder.append(true);
            }
            (Self::Texts(builder), Value::Null) => builder.append_null(),
            (Self::Nulls(_, count), Value::Null) => *count += 1,
            (_, value) => {
                return exec_err!("value {value:?} does not fit column \"{}\"", field.name());
            }
        }
        Ok(())
    }

    /// All values.
    pub fn finish(self) -> ArrayRef {
        match self {
            Self::Bool(mut builder) => Arc::new(builder.finish()),
            Self::Int16(mut builder) => Arc::new(builder.finish()),
            Self::Int32(mut builder) => Arc::new(builder.finish()),
            Self::Int64(mut builder) => Arc::new(builder.finish()),
            Self::UInt32(mut builder) => Arc::new(builder.finish()),
            Self::Float32(mut builder) => Arc::new(builder.finish()),
            Self::Float64(mut builder) => Arc::new(builder.finish()),
            Self::Text(mut builder) => Arc::new(builder.finish()),
            Self::Time(mut builder) => Arc::new(builder.finish()),
            Self::Int16s(mut builder) => Arc::new(builder.finish()),
            Self::UInt32s(mut builder) => Arc::new(builder.finish()),
            Self::Texts(mut builder) => Arc::new(builder.finish()),
            Self::Nulls(data_type, count) => new_null_array(&data_type, count),
        }
    }
}

fn in_range<T: TryFrom<i64>>(value: i64, field: &Field) -> Result<T> {
    match T::try_from(value) {
        Ok(value) => Ok(value),
        Err(_) => exec_err!("value {value} does not fit column \"{}\"", field.name()),
    }
}
