//! The table provider: from a table of a snapshot to a Parquet scan.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use chrono::DateTime;
use datafusion::catalog::Session;
use datafusion::common::config::TableParquetOptions;
use datafusion::common::stats::Precision;
use datafusion::common::{
    ColumnStatistics, DFSchema, Result as EngineResult, Statistics, project_schema,
};
use datafusion::datasource::TableProvider;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::parquet::ParquetRowSelection;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr_adapter::PhysicalExprAdapterFactory;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::union::UnionExec;
use object_store::ObjectMeta;
use object_store::path::Path as ObjectPath;

use super::adapter::ByFieldId;
use super::prune::Bounds;
use super::reader::CheckedReaders;
use super::{identity, statistics};
use crate::deletes::{self, Deletes, Positions};
use crate::error::{Error, Result};
use crate::files::verify::Expected;
use crate::model::{DataFile, FileId, Table};
use crate::spec::paths;
use crate::warehouse::Warehouse;

/// A table of a snapshot as the engine scans it.
///
/// Which files there are, how many rows they have and between which values their columns lie is known from the snapshot: planning does no I/O,
/// files that cannot hold a wanted row are not opened, and `count(*)` reads nothing.
#[derive(Debug, Clone)]
pub struct TableScan {
    warehouse: Warehouse,
    table: Arc<Table>,
    directory: String,
    with_row_identity: bool,
}

impl TableScan {
    /// A scan of `table`, which is of a snapshot of `warehouse` or of one of its transactions.
    pub fn new(warehouse: Warehouse, table: Arc<Table>) -> Self {
        let directory = table.directory(warehouse.data_path());
        Self {
            warehouse,
            table,
            directory,
            with_row_identity: false,
        }
    }

    /// The same scan with the columns [`FILE_COLUMN`](crate::FILE_COLUMN), [`POSITION_COLUMN`](crate::POSITION_COLUMN) and
    /// [`ROW_ID_COLUMN`](crate::ROW_ID_COLUMN) behind those of the table, for statements that change rows. No column of a table has such a
    /// name. Those that a query does not use cost nothing.
    pub fn with_row_identity(self) -> Self {
        Self {
            with_row_identity: true,
            ..self
        }
    }

    /// The table.
    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// The files that may hold rows for which all `filters` are true.
    fn prune(&self, state: &dyn Session, filters: &[Expr]) -> EngineResult<Vec<Arc<DataFile>>> {
        let files = self.table.files.as_slice();
        let Some(filter) = conjunction(filters.iter().cloned()).filter(|_| files.len() > 1) else {
            return Ok(files.to_vec());
        };
        let schema = self.schema();
        let df_schema = DFSchema::try_from(Arc::clone(&schema))?;
        let predicate = state.create_physical_expr(filter, &df_schema)?;
        let Some(pruning) = PruningPredicateBuilder::new()
            .with_file_schema(schema)
            .build(predicate)
        else {
            // A predicate that cannot prune keeps everything.
            return Ok(files.to_vec());
        };
        let keep = pruning.prune(&Bounds::new(&self.table, files))?;
        Ok(files
            .iter()
            .zip(keep)
            .filter(|(_, keep)| *keep)
            .map(|(file, _)| Arc::clone(file))
            .collect())
    }

    /// Whether a column that the scan reads has a NaN somewhere, or may have.
    ///
    /// The engine orders NaN above all numbers, Parquet leaves it out of its bounds: pruning inside a file would lose rows.
    fn may_have_nan(&self, files: &[Arc<DataFile>], projection: Option<&Vec<usize>>) -> bool {
        let read = |at: usize| projection.is_none_or(|projection| projection.contains(&at));
        let columns = self
            .table
            .columns
            .iter()
            .enumerate()
            .filter(|(at, _)| read(*at));
        let mut floating = columns
            .flat_map(|(_, column)| column.walk())
            .filter(|part| part.data_type.is_floating());
        floating.any(|part| {
            files.iter().any(|file| {
                file.column(part.id)
                    .is_none_or(|known| known.contains_nan != Some(false))
            })
        })
    }

    /// A scan of the rows that lie in the catalog database, if there are any.
    fn inlined(
        &self,
        projection: Option<&Vec<usize>>,
    ) -> EngineResult<Option<Arc<dyn ExecutionPlan>>> {
        if self.table.inlined.rows() == 0 {
            return Ok(None);
        }
        let schema = self.schema();
        let mut batches = Vec::new();
        for (batch, keys, row_ids) in self.table.inlined.scan(&self.table)? {
            let mut columns = batch.columns().to_vec();
            if self.with_row_identity {
                columns.extend(identity::of_inlined(&keys, &row_ids));
            }
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            batches.push(RecordBatch::try_new_with_options(
                Arc::clone(&schema),
                columns,
                &options,
            )?);
        }
        let scan = MemorySourceConfig::try_new_exec(&[batches], schema, projection.cloned())?;
        Ok(Some(scan))
    }

    /// Which rows of `files` are deleted. What has to be read from delete files for that is kept in the snapshot.
    async fn deletes(&self, files: &[Arc<DataFile>]) -> Result<HashMap<FileId, Arc<Positions>>> {
        let mut found = HashMap::new();
        let mut unknown = Vec::new();
        if !self.table.deletes.is_empty() {
            for file in files {
                match self.table.deletes.get(&file.id).map(Deletes::known) {
                    Some(Some(known)) => drop(found.insert(file.id, known)),
                    Some(None) => unknown.push(Arc::clone(file)),
                    None => {}
                }
            }
        }
        if !unknown.is_empty() {
            let (table, disk) = (Arc::clone(&self.table), Arc::clone(self.warehouse.disk()));
            let read = tokio::task::spawn_blocking(move || {
                let directory = disk.directory(&table);
                let place = disk.place(&directory);
                let read = unknown.iter().filter_map(|file| {
                    let deletes = table.deletes.get(&file.id)?;
                    Some(deletes.load(file, &place).map(|rows| (file.id, rows)))
                });
                read.collect::<Result<Vec<_>>>()
            });
            let read = read.await.map_err(|error| {
                Error::Internal(format!("the reading of deletes ended early: {error}"))
            })?;
            found.extend(read?);
        }
        Ok(found)
    }

    fn partitioned_file(
        &self,
        file: &DataFile,
        deleted: Option<&Arc<Positions>>,
    ) -> Result<PartitionedFile> {
        let path = paths::resolve(
            &self.directory,
            [(file.path.as_str(), file.path_is_relative)],
        );
        let location =
            ObjectPath::from_absolute_path(&path).map_err(|error| Error::DataFileDamaged {
                table: self.table.qualified_name(),
                path: path.clone(),
                reason: format!("The catalog records a path that cannot be used: {error}."),
            })?;
        let meta = ObjectMeta {
            location,
            // Files never change, so nothing may depend on this.
            last_modified: DateTime::UNIX_EPOCH,
            size: file.bytes,
            e_tag: None,
            version: None,
        };
        let expected = Expected {
            path,
            table: self.table.qualified_name(),
            bytes: file.bytes,
            checksum: file.checksum.clone(),
        };
        // The footer is followed by its length and the magic number.
        let footer = usize::try_from(file.footer_bytes)
            .unwrap_or(0)
            .saturating_add(8);
        let mut partitioned = PartitionedFile::new_from_meta(meta)
            .with_metadata_size_hint(footer)
            .with_extension(Arc::new(expected));
        let mut known = statistics::of_rows_left(&self.table, file);
        if self.with_row_identity {
            partitioned.partition_values = identity::file_values(file);
            let mut wider = Statistics::clone(&known);
            wider
                .column_statistics
                .push(ColumnStatistics::new_unknown());
            known = Arc::new(wider);
        }
        if let Some(deleted) = deleted {
            let left = ParquetRowSelection::new(deletes::selection(file.rows, deleted)?);
            partitioned = partitioned.with_extension(left);
        }
        Ok(partitioned.with_statistics(known))
    }
}

#[async_trait]
impl TableProvider for TableScan {
    fn schema(&self) -> SchemaRef {
        if self.with_row_identity {
            identity::with_hidden(&self.table.scan_schema)
        } else {
            Arc::clone(&self.table.scan_schema)
        }
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> EngineResult<Vec<TableProviderFilterPushDown>> {
        // Statistics only rule out; each row is still to be looked at.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    fn statistics(&self) -> Option<Statistics> {
        let mut known = statistics::of_files(&self.table, &self.table.files);
        if self.table.inlined.rows() > 0 {
            known = Statistics::new_unknown(&self.table.scan_schema);
            known.num_rows =
                usize::try_from(self.table.rows).map_or(Precision::Absent, Precision::Exact);
        }
        if self.with_row_identity {
            known
                .column_statistics
                .extend((0..3).map(|_| ColumnStatistics::new_unknown()));
        }
        Some(known)
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        if let Some(feature) = &self.table.unreadable {
            let object = format!("table \"{}\"", self.table.qualified_name());
            return Err(Error::UnsupportedFeature {
                object,
                feature: feature.clone(),
            }
            .into());
        }
        let mut files = self.prune(state, filters)?;
        if let (Some(limit), true) = (limit, filters.is_empty()) {
            let limit =
                limit.saturating_sub(usize::try_from(self.table.inlined.rows()).unwrap_or(0));
            truncate(&mut files, &self.table, limit);
        }
        let inlined = self.inlined(projection)?;
        if files.is_empty() {
            return match inlined {
                Some(inlined) => Ok(inlined),
                None => Ok(Arc::new(EmptyExec::new(project_schema(
                    &self.schema(),
                    projection,
                )?))),
            };
        }
        let mut statistics = statistics::of_files(&self.table, &files);
        let deleted = self.deletes(&files).await?;
        let partitions = state.config().target_partitions();
        let groups = FileGroup::new(
            files
                .iter()
                .map(|file| self.partitioned_file(file, deleted.get(&file.id)))
                .collect::<Result<Vec<_>>>()?,
        )
        .split_files(partitions);
        let mut options = TableParquetOptions {
            global: state.config_options().execution.parquet.clone(),
            ..TableParquetOptions::default()
        };
        if self.may_have_nan(&files, projection) {
            options.global.pruning = false;
            options.global.enable_page_index = false;
        }
        let readers = CheckedReaders::new(
            Arc::clone(self.warehouse.objects()),
            state.runtime_env().cache_manager.get_file_metadata_cache(),
            self.warehouse.clone(),
        );
        let source = if self.with_row_identity {
            let schema = identity::reader_schema(&self.table.scan_schema);
            statistics
                .column_statistics
                .extend((0..4).map(|_| ColumnStatistics::new_unknown()));
            ParquetSource::new(schema)
        } else {
            ParquetSource::new(self.schema())
        };
        let source = source
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(Arc::new(readers));
        let adapter: Arc<dyn PhysicalExprAdapterFactory> = Arc::new(ByFieldId::new(&self.table));
        let wanted = self.with_row_identity.then(|| match projection {
            Some(projection) => projection.clone(),
            None => (0..self.table.columns.len() + 3).collect(),
        });
        let read = match &wanted {
            Some(wanted) => Some(identity::reader_projection(&self.table, wanted)),
            None => projection.cloned(),
        };
        let config =
            FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(source))
                .with_file_groups(groups)
                .with_statistics(statistics)
                .with_projection_indices(read)?
                .with_limit(limit)
                .with_expr_adapter(Some(adapter))
                .build();
        let scan = DataSourceExec::from_data_source(config);
        let files: Arc<dyn ExecutionPlan> = match wanted {
            Some(wanted) => identity::project(scan, &self.table, &wanted)?,
            None => scan,
        };
        match inlined {
            Some(inlined) => UnionExec::try_new(vec![files, inlined]),
            None => Ok(files),
        }
    }
}

/// Keeps the first files that have `limit` rows together.
fn truncate(files: &mut Vec<Arc<DataFile>>, table: &Table, limit: usize) {
    let mut rows = 0u64;
    let enough = files.iter().position(|file| {
        let left = match table.deletes.get(&file.id).map(Deletes::count) {
            None => file.rows,
            // One whose deletes nobody has counted may have no row left.
            Some(deleted) => deleted.map_or(0, |deleted| file.rows.saturating_sub(deleted)),
        };
        rows = rows.saturating_add(left);
        rows >= limit as u64
    });
    if let Some(last) = enough {
        files.truncate(last + 1);
    }
}
