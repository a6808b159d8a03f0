//! Model tables: what planning knows of a model, and the one schema in which weights are kept.
//!
//! A model is an ordinary table `(section, idx, key, value, vector, payload)`: a manifest row,
//! then the weights. What planning needs (the kind and the key columns) travels as a catalog tag
//! of the table, so that planning reads no data.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryBuilder, Float32Builder, Float64Builder, Int64Builder,
    ListBuilder, RecordBatch, StringBuilder,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type, Int64Type, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};
use crate::input::Input;

/// The catalog tag that marks a table as a model.
pub const MODEL_TAG: &str = "tributary.model";

/// The version of the layout of model tables that this build writes and reads.
pub const FORMAT_VERSION: u32 = 1;

/// A key column that a model was trained on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ModelKey {
    /// What the key identifies: `user` or `item`.
    pub role: String,
    /// The column's name in the training relation.
    pub name: String,
    /// The column's Arrow type, as Arrow prints it.
    pub data_type: String,
}

/// What planning knows of a model.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ModelInfo {
    /// The layout's version.
    pub format_version: u32,
    /// The algorithm, such as `als`.
    pub algorithm: String,
    /// The key columns.
    pub keys: Vec<ModelKey>,
}

impl ModelInfo {
    /// The text of the catalog tag.
    pub fn to_tag(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| Error::internal(error.to_string()))
    }

    /// Reads the text of a catalog tag.
    ///
    /// # Errors
    /// [`Kind::WrongObjectType`] where the tag is not one, or of another version.
    pub fn from_tag(tag: &str) -> Result<Self> {
        let info: Self = serde_json::from_str(tag).map_err(|error| {
            Error::new(Kind::WrongObjectType, "the model's tag cannot be read")
                .detail(error.to_string())
        })?;
        if info.format_version != FORMAT_VERSION {
            return Err(Error::new(
                Kind::WrongObjectType,
                format!(
                    "the model has format version {}, this build reads version {FORMAT_VERSION}",
                    info.format_version
                ),
            )
            .hint("Train the model again."));
        }
        Ok(info)
    }

    /// The key with the given role, and its Arrow type.
    pub fn key(&self, role: &str) -> Result<(&ModelKey, DataType)> {
        let key = self
            .keys
            .iter()
            .find(|key| key.role == role)
            .ok_or_else(|| {
                Error::new(
                    Kind::WrongObjectType,
                    format!("a model of kind \"{}\" has no {role} key", self.algorithm),
                )
            })?;
        let data_type = key.data_type.parse().map_err(|_| {
            Error::new(
                Kind::WrongObjectType,
                format!("the model's key type \"{}\" is not known", key.data_type),
            )
        })?;
        Ok((key, data_type))
    }
}

/// The columns of every model table.
pub fn model_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("section", DataType::Utf8, false),
        Field::new("idx", DataType::Int64, true),
        Field::new("key", DataType::Utf8, true),
        Field::new("value", DataType::Float64, true),
        Field::new(
            "vector",
            DataType::List(Arc::new(Field::new("item", DataType::Float32, true))),
            true,
        ),
        Field::new("payload", DataType::Binary, true),
    ]))
}

/// Builds the rows of a model table.
#[derive(Debug, Default)]
pub struct ModelWriter {
    section: StringBuilder,
    idx: Int64Builder,
    key: StringBuilder,
    value: Float64Builder,
    vector: ListBuilder<Float32Builder>,
    payload: BinaryBuilder,
}

impl ModelWriter {
    /// Adds a row; what is `None` becomes NULL.
    pub fn push(
        &mut self,
        section: &str,
        idx: Option<i64>,
        key: Option<&str>,
        value: Option<f64>,
        vector: Option<&[f32]>,
    ) {
        self.section.append_value(section);
        self.idx.append_option(idx);
        self.key.append_option(key);
        self.value.append_option(value);
        match vector {
            Some(numbers) => {
                self.vector.values().append_slice(numbers);
                self.vector.append(true);
            }
            None => self.vector.append_null(),
        }
        self.payload.append_null();
    }

    /// Adds the manifest row: one JSON text of facts under section `manifest`.
    pub fn push_manifest(&mut self, algorithm: &str, facts: &serde_json::Value) {
        self.section.append_value("manifest");
        self.idx.append_value(0);
        self.key.append_value(algorithm);
        self.value.append_null();
        self.vector.append_null();
        self.payload.append_value(facts.to_string().as_bytes());
    }

    /// The rows added so far; the writer is empty afterwards.
    pub fn finish(&mut self) -> Result<RecordBatch> {
        Ok(RecordBatch::try_new(
            model_schema(),
            vec![
                Arc::new(self.section.finish()),
                Arc::new(self.idx.finish()),
                Arc::new(self.key.finish()),
                Arc::new(self.value.finish()),
                Arc::new(self.vector.finish()),
                Arc::new(self.payload.finish()),
            ],
        )?)
    }
}

/// One row of a model table, borrowed.
#[derive(Debug, Clone, Copy)]
pub struct ModelRow<'a> {
    /// The part of the model the row belongs to.
    pub section: &'a str,
    /// Its position within the section.
    pub idx: Option<i64>,
    /// A key as text.
    pub key: Option<&'a str>,
    /// A number.
    pub value: Option<f64>,
    /// A vector of numbers.
    pub vector: Option<&'a [f32]>,
    /// Bytes; JSON in the manifest row.
    pub payload: Option<&'a [u8]>,
}

/// The rows of a model table, read and checked for the right columns.
#[derive(Debug)]
pub struct ModelRows {
    batches: Vec<[ArrayRef; 6]>,
}

impl ModelRows {
    /// Takes the rows of `input`, casting text and binary layouts to the model's own.
    ///
    /// # Errors
    /// [`Kind::WrongObjectType`] where the columns are not those of a model table.
    pub fn read(input: &Input) -> Result<Self> {
        let schema = model_schema();
        let batches = input
            .batches()
            .iter()
            .map(|batch| {
                let mut columns = Vec::with_capacity(6);
                for field in schema.fields() {
                    let column = batch.column_by_name(field.name()).ok_or_else(|| {
                        Error::new(Kind::WrongObjectType, "the relation is not a model table")
                            .detail(format!("It has no column \"{}\".", field.name()))
                            .hint("Make one with CREATE TABLE m AS SELECT * FROM ml.train(...).")
                    })?;
                    columns.push(cast(column, field.data_type())?);
                }
                <[ArrayRef; 6]>::try_from(columns)
                    .map_err(|_| Error::internal("a model table has six columns"))
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { batches })
    }

    /// Calls `visit` for every row.
    pub fn for_each(&self, mut visit: impl FnMut(ModelRow<'_>) -> Result<()>) -> Result<()> {
        for [section, idx, key, value, vector, payload] in &self.batches {
            let section = section.as_string::<i32>();
            let idx = idx.as_primitive::<Int64Type>();
            let key = key.as_string::<i32>();
            let value = value.as_primitive::<Float64Type>();
            let vector = vector.as_list::<i32>();
            let numbers = vector.values().as_primitive::<Float32Type>().values();
            let payload = payload.as_binary::<i32>();
            let offsets = vector.value_offsets();
            for row in 0..section.len() {
                let range = match (offsets.get(row), offsets.get(row + 1)) {
                    (Some(start), Some(end)) => *start as usize..*end as usize,
                    _ => return Err(Error::internal("a list has one more offset than rows")),
                };
                visit(ModelRow {
                    section: section.value(row),
                    idx: idx.is_valid(row).then(|| idx.value(row)),
                    key: key.is_valid(row).then(|| key.value(row)),
                    value: value.is_valid(row).then(|| value.value(row)),
                    vector: if vector.is_valid(row) {
                        numbers.get(range)
                    } else {
                        None
                    },
                    payload: payload.is_valid(row).then(|| payload.value(row)),
                })?;
            }
        }
        Ok(())
    }
}
