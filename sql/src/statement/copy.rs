//! COPY: loading a channel's files, each exactly once; rows from and to the client.
//!
//! The files are opened and compared with the table first; then they are one scan under one sink,
//! and their manifest entries are committed with their rows.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::datasource::provider_as_source;
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, LogicalPlanBuilder, cast, lit};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::scalar::ScalarValue;
use futures::stream;
use parking_lot::Mutex;
use sqlparser::ast::{CopyLegacyOption, CopyOption, CopySource, CopyTarget, Statement};
use tokio::sync::mpsc;
use tributary_catalog::{ColumnDef, Relation, Table, Transaction, storage_type};

use super::insert::{assigned, target_columns};
use super::{Plan, column_names, creation_name, reference, transaction};
use crate::copy_format::{self, CopyFormat};
use crate::error::{Condition, Error, Report, Result};
use crate::files::{self, FilesScan, ParquetFile};
use crate::names::output_names;
use crate::planner::Planner;
use crate::rewrite::{present, rows_of};
use crate::write::{WriteNode, WriteTarget, WriteTask};

/// A load of files into a table.
#[derive(Debug, Clone)]
pub struct CopyFrom {
    /// The table's schema; made if absent.
    pub schema: String,
    /// The table; made if absent.
    pub table: String,
    /// The columns that the files hold, where the statement lists them.
    pub columns: Vec<String>,
    /// The path or pattern of the files.
    pub pattern: String,
}

/// What a load will do.
#[derive(Debug)]
pub struct Load {
    /// The plan that does it; `None` where every file was taken before.
    pub plan: Option<LogicalPlan>,
    /// What to tell the user.
    pub notices: Vec<String>,
    /// Files that are loaded.
    pub files: Vec<PathBuf>,
    /// Their rows.
    pub rows: u64,
}

/// Rows that go out of the database.
#[derive(Debug)]
pub struct CopyTo {
    /// The query whose rows they are.
    pub plan: LogicalPlan,
    /// How they are spelled; `None` for Parquet.
    pub format: Option<CopyFormat>,
    /// The file of the server they go to; `None` for the client.
    pub file: Option<String>,
}

/// Rows that come from the client.
#[derive(Debug)]
pub struct CopyIn {
    /// The plan that writes them.
    pub plan: LogicalPlan,
    /// How they are spelled.
    pub format: CopyFormat,
    /// Their columns, as texts.
    pub schema: SchemaRef,
    /// Where the plan takes them from.
    pub rows: mpsc::Sender<DataFusionResult<RecordBatch>>,
}

/// Plans COPY.
pub fn plan(planner: &Planner, statement: &Statement, target: super::Target<'_>) -> Result<Plan> {
    let Statement::Copy {
        source,
        to,
        target: place,
        options,
        legacy_options,
        ..
    } = statement
    else {
        return Err(Report::new(Condition::Internal, "not a COPY").into());
    };
    let is_parquet = copy_format::format_name(options, legacy_options)? == "parquet";
    if is_parquet {
        check_parquet_options(options, legacy_options)?;
    }
    let format = (!is_parquet)
        .then(|| CopyFormat::new(options, legacy_options, !*to))
        .transpose()?;
    if *to {
        let file = match place {
            CopyTarget::Stdout => None,
            CopyTarget::File { filename } => Some(filename.clone()),
            _ => return Err(Report::unsupported("COPY TO anything but a file or STDOUT").into()),
        };
        if is_parquet && file.is_none() {
            return Err(Report::unsupported("COPY TO STDOUT in Parquet format")
                .hint("Name a file, or use the formats text or csv.")
                .into());
        }
        return copy_to(planner, source, format, file);
    }
    let CopySource::Table {
        table_name,
        columns,
    } = source
    else {
        return Err(Report::new(Condition::Syntax, "COPY FROM needs a table").into());
    };
    let columns = column_names(columns)?;
    let found = reference(table_name)?;
    let existing = match planner.find(&found)? {
        Some((schema, Relation::Table(table))) => Some((schema, Arc::clone(table))),
        Some((_, Relation::View(view))) => {
            return Err(Report::new(
                Condition::WrongObjectType,
                format!("cannot copy to view \"{}\"", view.name),
            )
            .into());
        }
        None => None,
    };
    match (place, format) {
        (CopyTarget::File { filename }, None) => {
            let (schema, table) = match existing {
                Some((schema, table)) => (schema, table.name.clone()),
                None => creation_name(planner, table_name)?,
            };
            Ok(Plan::Load(CopyFrom {
                schema,
                table,
                columns,
                pattern: filename.clone(),
            }))
        }
        (CopyTarget::File { .. }, Some(_)) => Err(Report::unsupported(
            "COPY FROM a file in this format",
        )
        .hint(
            "Write (FORMAT parquet), or send the rows with COPY FROM STDIN, as psql's \\copy does.",
        )
        .into()),
        (CopyTarget::Stdin, Some(format)) => {
            let (_, table) = existing.ok_or_else(|| planner.undefined(&found))?;
            copy_in(planner, &table, &columns, format, target)
        }
        (CopyTarget::Stdin, None) => {
            Err(Report::unsupported("COPY FROM STDIN in Parquet format").into())
        }
        _ => Err(Report::unsupported("COPY FROM anything but a file or STDIN").into()),
    }
}

fn copy_to(
    planner: &Planner,
    source: &CopySource,
    format: Option<CopyFormat>,
    file: Option<String>,
) -> Result<Plan> {
    let query = match source {
        CopySource::Query(query) => query.as_ref().clone(),
        CopySource::Table {
            table_name,
            columns,
        } => {
            if let Some((_, Relation::View(view))) = planner.find(&reference(table_name)?)? {
                return Err(Report::new(
                    Condition::WrongObjectType,
                    format!("cannot copy from view \"{}\"", view.name),
                )
                .hint("Try the COPY (SELECT ...) TO variant.")
                .into());
            }
            rows_of(table_name, columns)
        }
    };
    let plan = planner.plan(Statement::Query(Box::new(query)), &[])?;
    let plan = present(plan, planner.functions())?;
    if let Some(format) = &format {
        let fields = plan.schema().fields().iter();
        let names: Vec<&str> = fields.map(|field| field.name().as_str()).collect();
        format.check_columns(&output_names(names))?;
    }
    Ok(Plan::CopyTo(CopyTo { plan, format, file }))
}

/// Rows that wait to be written while others are read.
const BATCHES_AHEAD: usize = 2;

fn copy_in(
    planner: &Planner,
    table: &Arc<Table>,
    listed: &[String],
    format: CopyFormat,
    target: super::Target<'_>,
) -> Result<Plan> {
    let columns = target_columns(table, listed)?;
    let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
    format.check_columns(&names)?;
    let fields = names
        .iter()
        .map(|name| Field::new(name, DataType::Utf8, true));
    let schema: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
    let rows = StreamingTable::try_new(
        Arc::clone(&schema),
        vec![Arc::new(ClientRows {
            schema: Arc::clone(&schema),
            rows: Mutex::new(Some(receiver)),
        })],
    )?;
    let input = LogicalPlanBuilder::scan("copied", provider_as_source(Arc::new(rows)), None)?;
    let input = assigned(planner, table, &columns, input.build()?)?;
    let node = WriteNode::try_new(
        WriteTask {
            transaction: transaction(target)?.clone(),
            target: WriteTarget::Existing(table.id),
            label: format!("copy into {}", table.qualified_name()),
            files: vec![],
        },
        input,
    )?;
    Ok(Plan::CopyIn(CopyIn {
        plan: LogicalPlan::Extension(Extension {
            node: Arc::new(node),
        }),
        format,
        schema,
        rows: sender,
    }))
}

/// The rows that a client sends, read once.
#[derive(Debug)]
struct ClientRows {
    schema: SchemaRef,
    rows: Mutex<Option<mpsc::Receiver<DataFusionResult<RecordBatch>>>>,
}

impl PartitionStream for ClientRows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = self.rows.lock().take();
        let rows = stream::unfold(rows, |rows| async move {
            let mut rows = rows?;
            let batch = rows.recv().await?;
            Some((batch, Some(rows)))
        });
        Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            rows,
        ))
    }
}

fn check_parquet_options(options: &[CopyOption], legacy: &[CopyLegacyOption]) -> Result<()> {
    let other = options
        .iter()
        .find(|option| !matches!(option, CopyOption::Format(_)))
        .map(ToString::to_string)
        .or_else(|| legacy.first().map(ToString::to_string));
    match other {
        Some(option) => {
            Err(Report::unsupported(format!("the COPY option {option} with Parquet")).into())
        }
        None => Ok(()),
    }
}

impl CopyFrom {
    /// Opens the files, leaves out those taken before, and plans the load of the rest.
    ///
    /// # Errors
    /// For files that are missing, damaged, changed since they were taken, or whose columns do not
    /// fit; the error names the file, the column and both types. Nothing has been loaded then.
    pub async fn load(&self, planner: &Planner, transaction: &Transaction) -> Result<Load> {
        let pattern = self.pattern.clone();
        let files = tokio::task::spawn_blocking(move || -> Result<Vec<ParquetFile>> {
            let paths: Vec<PathBuf> = files::find(&pattern)?;
            paths.iter().map(|path| files::open(path)).collect()
        })
        .await
        .map_err(|error| {
            Report::new(
                Condition::Internal,
                format!("opening files stopped: {error}"),
            )
        })??;
        let table = planner.snapshot().table(&self.schema, &self.table).cloned();
        let mut notices = Vec::new();
        let files = match &table {
            Some(table) => self.not_yet_taken(table, transaction, files, &mut notices)?,
            None => files,
        };
        if files.is_empty() {
            return Ok(Load {
                plan: None,
                notices,
                files: vec![],
                rows: 0,
            });
        }
        let columns = match &table {
            Some(table) => Arc::clone(&table.arrow_schema),
            None => self.new_columns(&files)?,
        };
        let input = self.input(&columns, table.as_deref(), &files)?;
        let rows = files.iter().map(|file| file.rows).sum();
        let target = match &table {
            Some(table) => WriteTarget::Existing(table.id),
            None => WriteTarget::New {
                schema: self.schema.clone(),
                create_schema: true,
                name: self.table.clone(),
                columns: columns
                    .fields()
                    .iter()
                    .map(|field| ColumnDef::from_field(field))
                    .collect(),
                tags: vec![],
            },
        };
        let count = files.len();
        let node = WriteNode::try_new(
            WriteTask {
                transaction: transaction.clone(),
                target,
                label: format!(
                    "copy into {}.{} from {count} files",
                    self.schema, self.table
                ),
                files: files.iter().map(ParquetFile::manifest).collect(),
            },
            input,
        )?;
        Ok(Load {
            plan: Some(LogicalPlan::Extension(Extension {
                node: Arc::new(node),
            })),
            notices,
            files: files.into_iter().map(|file| file.path).collect(),
            rows,
        })
    }

    /// The files that the manifest does not list.
    fn not_yet_taken(
        &self,
        table: &Table,
        transaction: &Transaction,
        files: Vec<ParquetFile>,
        notices: &mut Vec<String>,
    ) -> Result<Vec<ParquetFile>> {
        let taken = transaction.ingested(table.id)?;
        let mut fresh = Vec::new();
        let mut skipped = 0_usize;
        for file in files {
            let path = file.path.display().to_string();
            let mut before = taken.iter().filter(|known| known.path == path).peekable();
            if before.peek().is_none() {
                fresh.push(file);
            } else if before.any(|known| known.checksum == file.checksum) {
                skipped += 1;
            } else {
                return Err(Report::new(
                    Condition::BadFile,
                    format!("file \"{path}\" has changed since it was loaded"),
                )
                .detail(format!(
                    "Table \"{}\" holds the rows of the file as it was.",
                    table.qualified_name()
                ))
                .hint("Give the new content a file of its own.")
                .into());
            }
        }
        if skipped > 0 {
            notices.push(format!(
                "{skipped} file{} already loaded into \"{}\", skipping",
                if skipped == 1 { " was" } else { "s were" },
                table.qualified_name()
            ));
        }
        Ok(fresh)
    }

    /// The columns of a table made for `files`: those of the first, wide enough for all.
    fn new_columns(&self, files: &[ParquetFile]) -> Result<SchemaRef> {
        let (Some(first), true) = (files.first(), self.columns.is_empty()) else {
            return Err(Report::new(
                Condition::UndefinedTable,
                format!("relation \"{}.{}\" does not exist", self.schema, self.table),
            )
            .hint("A column list needs a table that exists.")
            .into());
        };
        let mut columns: Vec<Field> = Vec::new();
        for field in first.schema.fields() {
            if columns.iter().any(|before| before.name() == field.name()) {
                return Err(Report::new(
                    Condition::DuplicateColumn,
                    format!(
                        "file \"{}\" has column \"{}\" twice",
                        first.path.display(),
                        field.name()
                    ),
                )
                .into());
            }
            let stored = stored(first, field.name(), field.data_type())?;
            columns.push(Field::new(field.name(), stored, true));
        }
        for file in files.iter().skip(1) {
            for column in &mut columns {
                let Ok(field) = file.schema.field_with_name(column.name()) else {
                    continue;
                };
                let other = stored(file, field.name(), field.data_type())?;
                let wider = wider(column.data_type(), &other).ok_or_else(|| {
                    mismatch(
                        file,
                        column.name(),
                        &other,
                        &format!("file \"{}\"", first.path.display()),
                        column.data_type(),
                    )
                })?;
                *column = Field::new(column.name(), wider, true);
            }
        }
        Ok(Arc::new(Schema::new(columns)))
    }

    /// One query over all files, with the table's columns.
    fn input(
        &self,
        columns: &SchemaRef,
        table: Option<&Table>,
        files: &[ParquetFile],
    ) -> Result<LogicalPlan> {
        let mut groups: Vec<(SchemaRef, Vec<ParquetFile>)> = Vec::new();
        for file in files {
            self.check_columns(columns, table, file)?;
            match groups.iter_mut().find(|(schema, _)| *schema == file.schema) {
                Some((_, group)) => group.push(file.clone()),
                None => groups.push((Arc::clone(&file.schema), vec![file.clone()])),
            }
        }
        let mut plan: Option<LogicalPlan> = None;
        for (schema, group) in groups {
            let scan = FilesScan::new(Arc::clone(&schema), group);
            let builder =
                LogicalPlanBuilder::scan("files", provider_as_source(Arc::new(scan)), None)?;
            let projection = columns
                .fields()
                .iter()
                .map(|column| match schema.field_with_name(column.name()) {
                    Ok(field) => {
                        let source = Expr::Column(datafusion::common::Column::new(
                            Some("files"),
                            field.name(),
                        ));
                        Ok(if field.data_type() == column.data_type() {
                            source.alias(column.name())
                        } else {
                            cast(source, column.data_type().clone()).alias(column.name())
                        })
                    }
                    Err(_) => {
                        Ok(lit(ScalarValue::try_from(column.data_type())?).alias(column.name()))
                    }
                })
                .collect::<Result<Vec<Expr>>>()?;
            let builder = builder.project(projection)?;
            plan = Some(match plan {
                None => builder.build()?,
                Some(before) => LogicalPlanBuilder::from(before)
                    .union(builder.build()?)?
                    .build()?,
            });
        }
        plan.ok_or_else(|| Report::new(Condition::Internal, "a load has files").into())
    }

    /// Compares a file's columns with the table's.
    fn check_columns(
        &self,
        columns: &Schema,
        table: Option<&Table>,
        file: &ParquetFile,
    ) -> Result<()> {
        let name = format!("table \"{}.{}\"", self.schema, self.table);
        for field in file.schema.fields() {
            let Ok(column) = columns.field_with_name(field.name()) else {
                return Err(Report::new(
                    Condition::UndefinedColumn,
                    format!(
                        "column \"{}\" of file \"{}\" is not a column of {name}",
                        field.name(),
                        file.path.display()
                    ),
                )
                .hint("Load it into another table, or add the column to this one.")
                .into());
            };
            let given = stored(file, field.name(), field.data_type())?;
            if wider(column.data_type(), &given).as_ref() != Some(column.data_type()) {
                return Err(mismatch(file, field.name(), &given, &name, column.data_type()).into());
            }
        }
        for wanted in &self.columns {
            if file.schema.field_with_name(wanted).is_err() {
                return Err(Report::new(
                    Condition::UndefinedColumn,
                    format!(
                        "file \"{}\" has no column \"{wanted}\"",
                        file.path.display()
                    ),
                )
                .into());
            }
        }
        let missing = table
            .into_iter()
            .flat_map(|table| &table.columns)
            .find(|column| !column.nullable && file.schema.field_with_name(&column.name).is_err());
        if let Some(column) = missing {
            return Err(Report::new(
                Condition::NotNullViolation,
                format!(
                    "file \"{}\" has no column \"{}\", which {name} declares NOT NULL",
                    file.path.display(),
                    column.name
                ),
            )
            .into());
        }
        Ok(())
    }
}

impl Load {
    /// What went wrong when the plan was run: where it was the reading of a file, the error names it.
    pub async fn blamed(files: Vec<PathBuf>, error: Error) -> Error {
        let Error::Engine(engine) = &error else {
            return error;
        };
        if !files::is_of_reading(engine) {
            return error;
        }
        let damaged = tokio::task::spawn_blocking(move || files::first_damaged(&files)).await;
        match damaged {
            Ok(Some(report)) => report.into(),
            _ => error,
        }
    }
}

/// The type in which a file's column is stored.
fn stored(file: &ParquetFile, column: &str, data_type: &DataType) -> Result<DataType> {
    storage_type(data_type).map_err(|words| {
        Report::new(
            Condition::DatatypeMismatch,
            format!(
                "column \"{column}\" of file \"{}\" has type {words}, which cannot be stored",
                file.path.display()
            ),
        )
        .into()
    })
}

fn mismatch(
    file: &ParquetFile,
    column: &str,
    given: &DataType,
    against: &str,
    wanted: &DataType,
) -> Report {
    let name = |data_type: &DataType| {
        crate::pgtype::format_type(crate::pgtype::of_data_type(data_type).oid, None)
    };
    Report::new(
        Condition::DatatypeMismatch,
        format!(
            "column \"{column}\" of file \"{}\" is {}, but in {against} it is {}",
            file.path.display(),
            name(given),
            name(wanted)
        ),
    )
    .hint("Nothing was loaded. Convert the file, or load it into another table.")
}

/// The narrower-or-equal type of the two that holds every value of both; `None` where none does.
fn wider(left: &DataType, right: &DataType) -> Option<DataType> {
    use DataType as T;
    if left == right {
        return Some(left.clone());
    }
    let rank = |data_type: &DataType| match data_type {
        T::Int8 => Some(1),
        T::Int16 => Some(2),
        T::Int32 => Some(3),
        T::Int64 => Some(4),
        _ => None,
    };
    if let (Some(a), Some(b)) = (rank(left), rank(right)) {
        return Some(if a >= b { left.clone() } else { right.clone() });
    }
    match (left, right) {
        (T::Float64, T::Float32 | T::Int8 | T::Int16 | T::Int32)
        | (T::Float32 | T::Int8 | T::Int16 | T::Int32, T::Float64) => Some(T::Float64),
        (T::Float32, T::Int8 | T::Int16) | (T::Int8 | T::Int16, T::Float32) => Some(T::Float32),
        (T::Decimal128(p1, s1), T::Decimal128(p2, s2)) => {
            let scale = *s1.max(s2);
            let whole = (i16::from(*p1) - i16::from(*s1)).max(i16::from(*p2) - i16::from(*s2));
            let precision = u8::try_from(whole + i16::from(scale)).ok()?;
            (precision <= arrow::datatypes::DECIMAL128_MAX_PRECISION)
                .then_some(T::Decimal128(precision, scale))
        }
        (T::Timestamp(unit, Some(zone)), T::Timestamp(other, Some(_))) if unit == other => {
            Some(T::Timestamp(*unit, Some(Arc::clone(zone))))
        }
        _ => None,
    }
}
