//! Model tables: what planning knows of a model, and the one schema in which weights are kept.
//!
//! A model is an ordinary table `(section, idx, key, value, vector, payload)`: a manifest row,
//! then the weights. What planning needs (the kind and the key columns) travels as a catalog tag
//! of the table, so that planning reads no data. The manifest holds a checksum over all rows,
//! whatever order they come back in, so that a model altered or written by half is refused.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryBuilder, Float32Builder, Float64Builder, Int64Builder,
    ListBuilder, RecordBatch, StringBuilder,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type, Int64Type, Schema, SchemaRef};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::error::{Error, Kind, Result};
use crate::input::Input;
use crate::run::Run;
use crate::types::sql_type;

/// The catalog tag that marks a table as a model.
pub const MODEL_TAG: &str = "tributary.model";

/// The version of the layout of model tables that this build writes and reads.
pub const FORMAT_VERSION: u32 = 1;

/// The section of the manifest row.
pub const MANIFEST: &str = "manifest";

/// What stands for the checksum in the manifest while the checksum is computed.
const NO_CHECKSUM: &str = "00000000000000000000000000000000";

/// How many rows of a model are handed on at once.
const ROWS: usize = 4096;

/// A key column that a model was trained on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ModelKey {
    /// What the key identifies, `user` or `item`, or `feature`.
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
    /// The key columns, or the feature columns.
    pub keys: Vec<ModelKey>,
    /// How many component columns a prediction has, for models that give such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub components: Option<u32>,
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
        check_version(info.format_version)?;
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

/// The rows of one section of a model, in the order of their idx, which counts from 0 without gaps.
///
/// # Errors
/// [`Kind::InvalidData`] where it does not.
pub fn section_rows<'a>(label: &str, rows: &'a ModelRows, name: &str) -> Result<Vec<ModelRow<'a>>> {
    let mut found: Vec<(i64, RowPlace)> = Vec::new();
    rows.for_each(|place, row| {
        if row.section == name {
            found.push((row.idx.unwrap_or(-1), place));
        }
        Ok(())
    })?;
    found.sort_unstable();
    if found.iter().zip(0..).any(|((idx, _), at)| *idx != at) {
        return Err(malformed(
            label,
            format!("The rows of section \"{name}\" are not numbered from 0 without gaps."),
        ));
    }
    found.iter().map(|(_, place)| rows.row(*place)).collect()
}

/// The error for a model whose rows are whole but not as `ml.train` writes them.
pub fn malformed(label: &str, detail: String) -> Error {
    Error::new(
        Kind::InvalidData,
        format!("the model in {label} is not as it was trained"),
    )
    .detail(detail)
    .hint("Train the model again.")
}

/// Numbers of double precision as the bytes of a payload.
pub fn payload_of(numbers: &[f64]) -> Vec<u8> {
    numbers
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect()
}

/// The `count` numbers of double precision in a payload.
///
/// # Errors
/// [`Kind::InvalidData`] for another number of bytes.
pub fn numbers_of(label: &str, payload: Option<&[u8]>, count: usize) -> Result<Vec<f64>> {
    let (numbers, rest) = payload.unwrap_or_default().as_chunks::<8>();
    if numbers.len() != count || !rest.is_empty() {
        return Err(malformed(
            label,
            format!("A payload does not hold {count} numbers."),
        ));
    }
    Ok(numbers
        .iter()
        .map(|bytes| f64::from_le_bytes(*bytes))
        .collect())
}

fn check_version(version: u32) -> Result<()> {
    if version == FORMAT_VERSION {
        return Ok(());
    }
    Err(Error::new(
        Kind::WrongObjectType,
        format!(
            "the model has format version {version}, this build reads version {FORMAT_VERSION}"
        ),
    )
    .hint("Train the model again."))
}

/// The facts of a model, as JSON in the payload of its manifest row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// A hash of all rows of the model, in hexadecimal; of the manifest row with zeros here.
    pub checksum: String,
    /// What planning knows too.
    #[serde(flatten)]
    pub info: ModelInfo,
    /// How many rows the model has beside the manifest.
    pub rows: u64,
    /// The arguments it was trained with, by name.
    pub parameters: serde_json::Map<String, serde_json::Value>,
    /// What it was trained on: `rows`, `users`, `items` and the like.
    pub training: serde_json::Map<String, serde_json::Value>,
    /// How the training went: `loss` after each iteration and the like.
    pub metrics: serde_json::Map<String, serde_json::Value>,
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

/// One row of a model table, borrowed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
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

impl ModelRow<'_> {
    /// A hash of the row. Those of all rows are added up, so that their order plays no part.
    fn checksum(&self, bytes: &mut Vec<u8>) -> u128 {
        bytes.clear();
        put(bytes, Some(self.section.as_bytes()));
        put(bytes, self.idx.map(i64::to_le_bytes));
        put(bytes, self.key.map(str::as_bytes));
        put(bytes, self.value.map(f64::to_le_bytes));
        put_length(bytes, self.vector.map(<[f32]>::len));
        for number in self.vector.unwrap_or_default() {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        put(bytes, self.payload);
        xxh3_128(bytes)
    }
}

/// Appends a value with its length before it, so that no two rows give the same bytes.
fn put(bytes: &mut Vec<u8>, value: Option<impl AsRef<[u8]>>) {
    let value = value.as_ref().map(AsRef::as_ref);
    put_length(bytes, value.map(<[u8]>::len));
    bytes.extend_from_slice(value.unwrap_or_default());
}

fn put_length(bytes: &mut Vec<u8>, length: Option<usize>) {
    bytes.push(u8::from(length.is_some()));
    bytes.extend_from_slice(&(length.unwrap_or_default() as u64).to_le_bytes());
}

/// Writes a model: `rows` is called twice, for the checksum and for the rows themselves, and hands
/// the same rows to its argument each time.
///
/// # Errors
/// Those of `rows`; [`Kind::Cancelled`].
pub fn write_model(
    run: &Run,
    mut manifest: Manifest,
    rows: impl Fn(&mut dyn FnMut(ModelRow<'_>) -> Result<()>) -> Result<()>,
) -> Result<()> {
    let mut bytes = Vec::new();
    let mut sum = 0_u128;
    manifest.rows = 0;
    rows(&mut |row| {
        if manifest.rows.is_multiple_of(ROWS as u64) {
            run.check()?;
        }
        sum = sum.wrapping_add(row.checksum(&mut bytes));
        manifest.rows += 1;
        Ok(())
    })?;
    manifest.checksum = NO_CHECKSUM.to_owned();
    let blank = json(&manifest)?;
    sum = sum.wrapping_add(manifest_row(&manifest, &blank).checksum(&mut bytes));
    manifest.checksum = format!("{sum:032x}");
    let text = json(&manifest)?;

    let mut writer = ModelWriter::default();
    writer.push(manifest_row(&manifest, &text))?;
    rows(&mut |row| {
        writer.push(row)?;
        if writer.rows == ROWS {
            run.emit_columns(writer.finish())?;
        }
        Ok(())
    })?;
    run.emit_columns(writer.finish())
}

fn json(manifest: &Manifest) -> Result<String> {
    serde_json::to_string(manifest).map_err(|error| Error::internal(error.to_string()))
}

fn manifest_row<'a>(manifest: &'a Manifest, text: &'a str) -> ModelRow<'a> {
    ModelRow {
        section: MANIFEST,
        idx: Some(0),
        key: Some(&manifest.info.algorithm),
        payload: Some(text.as_bytes()),
        ..ModelRow::default()
    }
}

/// Builds rows of a model table.
#[derive(Debug, Default)]
struct ModelWriter {
    rows: usize,
    section: StringBuilder,
    idx: Int64Builder,
    key: StringBuilder,
    value: Float64Builder,
    vector: ListBuilder<Float32Builder>,
    payload: BinaryBuilder,
}

impl ModelWriter {
    fn push(&mut self, row: ModelRow<'_>) -> Result<()> {
        self.rows += 1;
        self.section.append_value(row.section);
        self.idx.append_option(row.idx);
        self.key.append_option(row.key);
        self.value.append_option(row.value);
        match row.vector {
            Some(numbers) => {
                self.vector.values().append_slice(numbers);
                self.vector.append(true);
            }
            None => self.vector.append_null(),
        }
        self.payload.append_option(row.payload);
        Ok(())
    }

    /// The columns of the rows added so far; the writer is empty afterwards.
    fn finish(&mut self) -> Vec<ArrayRef> {
        self.rows = 0;
        vec![
            Arc::new(self.section.finish()),
            Arc::new(self.idx.finish()),
            Arc::new(self.key.finish()),
            Arc::new(self.value.finish()),
            Arc::new(self.vector.finish()),
            Arc::new(self.payload.finish()),
        ]
    }
}

/// The rows of a model table, read and found whole.
#[derive(Debug)]
pub struct ModelRows {
    batches: Vec<[ArrayRef; 6]>,
    manifest: Manifest,
}

/// Where a row is among the rows of a model: its batch and its place there.
pub type RowPlace = (u32, u32);

impl ModelRows {
    /// Takes the rows of `input`, casting text and binary layouts to the model's own. `label` names
    /// the model in error texts.
    ///
    /// # Errors
    /// [`Kind::WrongObjectType`] where the columns are not those of a model table or its format is
    /// of another version; [`Kind::InvalidData`] where rows are missing or altered.
    pub fn read(label: &str, input: &Input, run: &Run) -> Result<Self> {
        let schema = model_schema();
        let mut batches = Vec::with_capacity(input.batches().len());
        for batch in input.batches() {
            batches.push(model_columns(label, &schema, batch, run)?);
        }
        let manifest = verified(label, &batches, run)?;
        Ok(Self { batches, manifest })
    }

    /// The facts of the model.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Calls `visit` for every row, with its place.
    pub fn for_each(&self, visit: impl FnMut(RowPlace, ModelRow<'_>) -> Result<()>) -> Result<()> {
        for_each(&self.batches, visit)
    }

    /// The row at a place that [`ModelRows::for_each`] named.
    pub fn row(&self, place: RowPlace) -> Result<ModelRow<'_>> {
        let batch = self
            .batches
            .get(place.0 as usize)
            .ok_or_else(|| Error::internal("a row's place is among the batches"))?;
        Columns::of(batch).row(place.1 as usize)
    }
}

fn for_each(
    batches: &[[ArrayRef; 6]],
    mut visit: impl FnMut(RowPlace, ModelRow<'_>) -> Result<()>,
) -> Result<()> {
    for (number, batch) in batches.iter().enumerate() {
        let columns = Columns::of(batch);
        for row in 0..columns.section.len() {
            visit((number as u32, row as u32), columns.row(row)?)?;
        }
    }
    Ok(())
}

/// The manifest, once the rows agree with its checksum.
fn verified(label: &str, batches: &[[ArrayRef; 6]], run: &Run) -> Result<Manifest> {
    let broken = |detail: String| {
        Error::new(
            Kind::InvalidData,
            format!("the model in {label} is incomplete or was altered"),
        )
        .detail(detail)
        .hint("Train the model again.")
    };
    let mut found: Option<Manifest> = None;
    let mut bytes = Vec::new();
    let mut sum = 0_u128;
    let mut rows = 0_u64;
    for_each(batches, |place, row| {
        if place.1.is_multiple_of(ROWS as u32) {
            run.check()?;
        }
        if row.section != MANIFEST {
            rows += 1;
            sum = sum.wrapping_add(row.checksum(&mut bytes));
            return Ok(());
        }
        let text = row
            .payload
            .and_then(|payload| std::str::from_utf8(payload).ok())
            .ok_or_else(|| broken("Its manifest is not text.".to_owned()))?;
        let manifest: Manifest = serde_json::from_str(text)
            .map_err(|error| broken(format!("Its manifest cannot be read: {error}.")))?;
        check_version(manifest.info.format_version)?;
        let blank = text.replacen(&manifest.checksum, NO_CHECKSUM, 1);
        let row = ModelRow {
            payload: Some(blank.as_bytes()),
            ..row
        };
        sum = sum.wrapping_add(row.checksum(&mut bytes));
        if found.replace(manifest).is_some() {
            return Err(broken("It has more than one manifest.".to_owned()));
        }
        Ok(())
    })?;
    let manifest = found.ok_or_else(|| broken("It has no manifest.".to_owned()))?;
    if rows != manifest.rows {
        return Err(broken(format!(
            "It has {rows} rows beside its manifest, which says {}.",
            manifest.rows
        )));
    }
    if manifest.checksum != format!("{sum:032x}") {
        return Err(broken(
            "Its rows do not agree with its checksum.".to_owned(),
        ));
    }
    Ok(manifest)
}

fn model_columns(
    label: &str,
    schema: &Schema,
    batch: &RecordBatch,
    run: &Run,
) -> Result<[ArrayRef; 6]> {
    let not_a_model = |detail: String| {
        Error::new(
            Kind::WrongObjectType,
            format!("{label} is not a model table"),
        )
        .detail(detail)
        .hint("Make one with CREATE TABLE m AS SELECT * FROM ml.train(...).")
    };
    let mut columns = Vec::with_capacity(6);
    for field in schema.fields() {
        let column = batch
            .column_by_name(field.name())
            .ok_or_else(|| not_a_model(format!("It has no column \"{}\".", field.name())))?;
        if column.data_type() == field.data_type() {
            columns.push(Arc::clone(column));
            continue;
        }
        run.reserve(column.get_array_memory_size())?;
        columns.push(cast(column, field.data_type()).map_err(|_| {
            not_a_model(format!(
                "Its column \"{}\" is of type {}.",
                field.name(),
                sql_type(column.data_type())
            ))
        })?);
    }
    <[ArrayRef; 6]>::try_from(columns).map_err(|_| Error::internal("a model table has six columns"))
}

/// The columns of a batch of model rows, by type.
struct Columns<'a> {
    section: &'a arrow::array::StringArray,
    idx: &'a arrow::array::Int64Array,
    key: &'a arrow::array::StringArray,
    value: &'a arrow::array::Float64Array,
    vector: &'a arrow::array::ListArray,
    numbers: &'a [f32],
    payload: &'a arrow::array::BinaryArray,
}

impl<'a> Columns<'a> {
    fn of([section, idx, key, value, vector, payload]: &'a [ArrayRef; 6]) -> Self {
        let vector = vector.as_list::<i32>();
        Self {
            section: section.as_string(),
            idx: idx.as_primitive::<Int64Type>(),
            key: key.as_string(),
            value: value.as_primitive::<Float64Type>(),
            numbers: vector.values().as_primitive::<Float32Type>().values(),
            vector,
            payload: payload.as_binary(),
        }
    }

    fn row(&self, row: usize) -> Result<ModelRow<'a>> {
        if row >= self.section.len() {
            return Err(Error::internal("a row's place is within its batch"));
        }
        let vector = match self.vector.value_offsets().get(row..=row + 1) {
            Some([start, end]) if self.vector.is_valid(row) => {
                self.numbers.get(*start as usize..*end as usize)
            }
            _ => None,
        };
        Ok(ModelRow {
            section: self.section.value(row),
            idx: self.idx.is_valid(row).then(|| self.idx.value(row)),
            key: self.key.is_valid(row).then(|| self.key.value(row)),
            value: self.value.is_valid(row).then(|| self.value.value(row)),
            vector,
            payload: self.payload.is_valid(row).then(|| self.payload.value(row)),
        })
    }
}
