//! Outside Parquet files: found, opened, checked and scanned.
//!
//! Everything that can be wrong with a file is found before a row is loaded: its footer is read,
//! its content summed. A file that changes while it is read fails the load as a whole.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result as DataFusionResult};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use object_store::ObjectMeta;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use tributary_catalog::IngestedFile;
use xxhash_rust::xxh3::Xxh3;

use crate::error::{Condition, Report, Result};

/// Writes a Parquet file.
pub struct ParquetWriter(ArrowWriter<File>);

impl ParquetWriter {
    /// A writer of rows of `schema` into `file`.
    ///
    /// # Errors
    /// For a type that Parquet has not.
    pub fn new(file: File, schema: &SchemaRef) -> Result<Self> {
        let compression = Compression::ZSTD(ZstdLevel::default());
        let properties = WriterProperties::builder()
            .set_compression(compression)
            .build();
        let writer = ArrowWriter::try_new(file, Arc::clone(schema), Some(properties));
        Ok(Self(writer.map_err(DataFusionError::from)?))
    }

    /// Writes rows.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        Ok(self.0.write(rows).map_err(DataFusionError::from)?)
    }

    /// Writes the footer; the file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(self) -> Result<File> {
        Ok(self.0.into_inner().map_err(DataFusionError::from)?)
    }
}

/// A Parquet file whose footer has been read.
#[derive(Debug, Clone)]
pub struct ParquetFile {
    /// Its absolute path.
    pub path: PathBuf,
    /// Its columns.
    pub schema: SchemaRef,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its number of rows.
    pub rows: u64,
    /// The sum of its content, as `xxh3:` and 32 hexadecimal digits.
    pub checksum: String,
    /// When it was last modified, where the file system says.
    pub modified_at: Option<DateTime<Utc>>,
}

impl ParquetFile {
    /// The file as the manifest keeps it.
    pub fn manifest(&self) -> IngestedFile {
        IngestedFile {
            path: self.path.display().to_string(),
            bytes: self.bytes,
            modified_at: self.modified_at,
            checksum: self.checksum.clone(),
            rows: self.rows,
        }
    }
}

/// The files that `pattern` names, in ascending order of their absolute paths. A pattern without
/// `*`, `?` or `[` names one file.
///
/// # Errors
/// [`Condition::UndefinedFile`] where there is none.
pub fn find(pattern: &str) -> Result<Vec<PathBuf>> {
    let is_glob = pattern.contains(['*', '?', '[']);
    let literal = Path::new(pattern);
    if !is_glob || literal.exists() {
        return Ok(vec![absolute(literal)?]);
    }
    let paths = glob::glob(pattern).map_err(|error| {
        Report::new(
            Condition::UndefinedFile,
            format!("\"{pattern}\" is not a file pattern"),
        )
        .detail(format!("{error}."))
    })?;
    let mut found = Vec::new();
    for path in paths {
        let path = path.map_err(|error| {
            Report::new(
                Condition::BadFile,
                format!("could not read directory \"{}\"", error.path().display()),
            )
            .detail(format!("{}.", error.error()))
        })?;
        if path.is_file() {
            found.push(absolute(&path)?);
        }
    }
    found.sort();
    found.dedup();
    if found.is_empty() {
        return Err(Report::new(
            Condition::UndefinedFile,
            format!("no file matches \"{pattern}\""),
        )
        .into());
    }
    Ok(found)
}

fn absolute(path: &Path) -> Result<PathBuf> {
    path.canonicalize()
        .map_err(|error| unreadable(path, &error).into())
}

fn unreadable(path: &Path, error: &std::io::Error) -> Report {
    let condition = match error.kind() {
        std::io::ErrorKind::NotFound => Condition::UndefinedFile,
        std::io::ErrorKind::PermissionDenied => Condition::InsufficientPrivilege,
        _ => Condition::BadFile,
    };
    let reason = match error.kind() {
        std::io::ErrorKind::NotFound => "No such file or directory".to_owned(),
        std::io::ErrorKind::PermissionDenied => "Permission denied".to_owned(),
        _ => error.to_string(),
    };
    Report::new(
        condition,
        format!("could not open file \"{}\" for reading", path.display()),
    )
    .detail(format!("{reason}."))
}

/// Reads a file's footer and sums its content.
///
/// # Errors
/// [`Condition::BadFile`] for a directory and for what is not a whole Parquet file.
pub fn open(path: &Path) -> Result<ParquetFile> {
    let facts = path.metadata().map_err(|error| unreadable(path, &error))?;
    if facts.is_dir() {
        return Err(Report::new(
            Condition::BadFile,
            format!("\"{}\" is a directory", path.display()),
        )
        .hint("Name its files with a pattern, such as directory/*.parquet.")
        .into());
    }
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let metadata =
        ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).map_err(|error| {
            Report::new(
                Condition::BadFile,
                format!("file \"{}\" is not a readable Parquet file", path.display()),
            )
            .detail(format!("{}.", error.to_string().trim_end_matches('.')))
            .hint("The file may be cut off or of another format. Nothing of it was loaded.")
        })?;
    let rows = u64::try_from(metadata.metadata().file_metadata().num_rows()).unwrap_or(0);
    Ok(ParquetFile {
        path: path.to_owned(),
        schema: Arc::clone(metadata.schema()),
        bytes: facts.len(),
        rows,
        checksum: checksum(path)?,
        modified_at: facts.modified().ok().map(DateTime::<Utc>::from),
    })
}

/// Whether an error of the engine is about what a file holds, or the reading of it.
pub fn is_of_reading(error: &DataFusionError) -> bool {
    match error.find_root() {
        DataFusionError::ParquetError(_)
        | DataFusionError::ObjectStore(_)
        | DataFusionError::IoError(_) => true,
        DataFusionError::ArrowError(error, _) => matches!(
            error.as_ref(),
            ArrowError::ParquetError(_) | ArrowError::ExternalError(_) | ArrowError::IoError(..)
        ),
        DataFusionError::External(error) => {
            !(error.is::<Report>()
                || error.is::<tributary_catalog::Error>()
                || error.is::<tributary_udfs::Error>())
        }
        _ => false,
    }
}

/// Reads the files to their ends, until one cannot be read.
pub fn first_damaged(files: &[PathBuf]) -> Option<Report> {
    files.iter().find_map(|path| {
        let reason = match decode(path) {
            Ok(()) => return None,
            Err(reason) => reason,
        };
        Some(
            Report::new(
                Condition::BadFile,
                format!("could not read file \"{}\"", path.display()),
            )
            .detail(format!("{}.", reason.trim_end_matches('.')))
            .hint("The file is damaged. The statement that read it has loaded nothing."),
        )
    })
}

fn decode(path: &Path) -> std::result::Result<(), String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let rows = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(ParquetRecordBatchReaderBuilder::build)
        .map_err(|error| error.to_string())?;
    for batch in rows {
        batch.map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn checksum(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let mut sum = Xxh3::new();
    let mut buffer = vec![0_u8; 1 << 20];
    loop {
        let count = file
            .read(&mut buffer)
            .map_err(|error| unreadable(path, &error))?;
        match buffer.get(..count) {
            Some([]) | None => break,
            Some(bytes) => sum.update(bytes),
        }
    }
    Ok(format!("xxh3:{:032x}", sum.digest128()))
}

/// A scan of outside files that all have the same columns.
#[derive(Debug)]
pub struct FilesScan {
    schema: SchemaRef,
    files: Vec<ParquetFile>,
}

impl FilesScan {
    /// A scan of `files`, whose columns are `schema`.
    pub fn new(schema: SchemaRef, files: Vec<ParquetFile>) -> Self {
        Self { schema, files }
    }
}

#[async_trait]
impl TableProvider for FilesScan {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let files = self
            .files
            .iter()
            .map(|file| {
                let path = object_store::path::Path::from_absolute_path(&file.path)
                    .map_err(|error| DataFusionError::External(Box::new(error)))?;
                // The path is encoded already: it must not be made from its text again.
                Ok(PartitionedFile::new_from_meta(ObjectMeta {
                    location: path,
                    last_modified: file.modified_at.unwrap_or_default(),
                    size: file.bytes,
                    e_tag: None,
                    version: None,
                }))
            })
            .collect::<DataFusionResult<Vec<_>>>()?;
        let groups = FileGroup::new(files).split_files(state.config().target_partitions().max(1));
        let source = Arc::new(ParquetSource::new(Arc::clone(&self.schema)));
        let config = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), source)
            .with_file_groups(groups)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}
