//! Delete files: the deleted positions of one data file, as Parquet.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, DictionaryArray, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int32Type, Schema as ArrowSchema, SchemaRef};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;
use parquet::arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions};
use parquet::basic::{Compression, Encoding};
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use super::write::{CREATED_BY, Sink, create_in};
use super::{Disk, durable};
use crate::deletes::{DeleteFile, Positions};
use crate::error::{Error, Result};
use crate::fail;
use crate::model::FileId;
use crate::spec::internal::{
    DELETE_PATH_COLUMN, DELETE_PATH_FIELD, DELETE_POSITION_COLUMN, DELETE_POSITION_FIELD,
};
use crate::spec::paths;

/// Positions that are encoded at a time.
const BATCH_ROWS: usize = 1 << 16;

/// Writes `positions` of the data file at `data_file` to a new file in `directory`, durably. Its id is still to be given.
///
/// # Errors
/// [`Error::Io`]; then there is no file.
pub fn write(
    disk: &Disk,
    directory: &Path,
    data_file: &str,
    positions: &Positions,
) -> Result<(PathBuf, DeleteFile)> {
    let name = paths::delete_file_name();
    let (path, file) = create_in(disk, directory, &name)?;
    let written = Sink::new(file)
        .encode(&path, data_file, positions)
        .and_then(|encoded| durable::sync_directory(directory).map(|()| encoded));
    match written {
        Ok(sink) => {
            if let Some(text) = path.to_str() {
                disk.verified.trust(text.to_owned());
            }
            let file = DeleteFile {
                id: FileId(0),
                path: name,
                path_is_relative: true,
                rows: positions.len(),
                bytes: sink.bytes(),
                footer_bytes: sink.footer_bytes(),
                checksum: Some(sink.checksum()),
                partial_max: None,
                content: OnceLock::from(vec![(0, positions.clone())]),
            };
            Ok((path, file))
        }
        Err(error) => {
            // One that stays is named by nothing; clean-up finds it.
            let _ = std::fs::remove_file(&path);
            Err(error)
        }
    }
}

impl Sink {
    fn encode(self, path: &Path, data_file: &str, positions: &Positions) -> Result<Self> {
        let position = ColumnPath::from(DELETE_POSITION_COLUMN);
        let properties = WriterProperties::builder()
            .set_created_by(CREATED_BY.to_owned())
            .set_compression(Compression::SNAPPY)
            .set_column_dictionary_enabled(position.clone(), false)
            .set_column_encoding(position, Encoding::DELTA_BINARY_PACKED)
            .build();
        let options = ArrowWriterOptions::new()
            .with_properties(properties)
            .with_skip_arrow_metadata(true);
        let schema = schema();
        let explain = |error| super::write::explain(path, error);
        let mut writer = ArrowWriter::try_new_with_options(self, Arc::clone(&schema), options)?;
        let names: ArrayRef = Arc::new(StringArray::from(vec![data_file]));
        let mut left = positions.iter();
        loop {
            let chunk = left
                .by_ref()
                .take(BATCH_ROWS)
                .map(i64::try_from)
                .collect::<Result<Vec<_>, _>>()
                .map_err(|_| Error::Internal("a position does not fit".to_owned()))?;
            if chunk.is_empty() {
                break;
            }
            let keys = Int32Array::from(vec![0; chunk.len()]);
            let names = DictionaryArray::<Int32Type>::try_new(keys, Arc::clone(&names))?;
            let columns: Vec<ArrayRef> = vec![Arc::new(names), Arc::new(Int64Array::from(chunk))];
            writer
                .write(&RecordBatch::try_new(Arc::clone(&schema), columns)?)
                .map_err(explain)?;
        }
        let sink = writer.into_inner().map_err(explain)?;
        fail::point("a delete file is written");
        sink.sync(path)?;
        fail::point("a delete file is synced");
        Ok(sink)
    }
}

fn schema() -> SchemaRef {
    let field = |name: &str, data_type: DataType, id: i64| {
        Field::new(name, data_type, true)
            .with_metadata([(PARQUET_FIELD_ID_META_KEY.to_owned(), id.to_string())].into())
    };
    let names = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    Arc::new(ArrowSchema::new(vec![
        field(DELETE_PATH_COLUMN, names, DELETE_PATH_FIELD),
        field(
            DELETE_POSITION_COLUMN,
            DataType::Int64,
            DELETE_POSITION_FIELD,
        ),
    ]))
}
