//! The table provider: from a table of a snapshot to a Parquet scan.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use chrono::DateTime;
use datafusion::catalog::Session;
use datafusion::common::config::TableParquetOptions;
use datafusion::common::{DFSchema, Result as EngineResult, Statistics, project_schema};
use datafusion::datasource::TableProvider;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr_adapter::PhysicalExprAdapterFactory;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use object_store::ObjectMeta;
use object_store::path::Path as ObjectPath;

use super::adapter::ByFieldId;
use super::prune::Bounds;
use super::reader::CheckedReaders;
use super::statistics;
use crate::error::{Error, Result};
use crate::files::verify::Expected;
use crate::model::{DataFile, Table};
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
}

impl TableScan {
    /// A scan of `table`, which is of a snapshot of `warehouse` or of one of its transactions.
    pub fn new(warehouse: Warehouse, table: Arc<Table>) -> Self {
        let directory = table.directory(warehouse.data_path());
        Self {
            warehouse,
            table,
            directory,
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

    fn partitioned_file(&self, file: &DataFile) -> Result<PartitionedFile> {
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
        Ok(PartitionedFile::new_from_meta(meta)
            .with_metadata_size_hint(footer)
            .with_statistics(statistics::of_file(&self.table, file))
            .with_extension(Arc::new(expected)))
    }
}

#[async_trait]
impl TableProvider for TableScan {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.table.scan_schema)
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
        Some(statistics::of_files(&self.table, &self.table.files))
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
            truncate(&mut files, limit);
        }
        if files.is_empty() {
            return Ok(Arc::new(EmptyExec::new(project_schema(
                &self.schema(),
                projection,
            )?)));
        }
        let statistics = if files.len() == self.table.files.len() {
            statistics::of_files(&self.table, &self.table.files)
        } else {
            statistics::of_files(&self.table, &files)
        };
        let partitions = state.config().target_partitions();
        let groups = FileGroup::new(
            files
                .iter()
                .map(|file| self.partitioned_file(file))
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
        let source = ParquetSource::new(self.schema())
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(Arc::new(readers));
        let adapter: Arc<dyn PhysicalExprAdapterFactory> = Arc::new(ByFieldId::new(&self.table));
        let config =
            FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(source))
                .with_file_groups(groups)
                .with_statistics(statistics)
                .with_projection_indices(projection.cloned())?
                .with_limit(limit)
                .with_expr_adapter(Some(adapter))
                .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

/// Keeps the first files that have `limit` rows together.
fn truncate(files: &mut Vec<Arc<DataFile>>, limit: usize) {
    let mut rows = 0u64;
    let enough = files.iter().position(|file| {
        rows = rows.saturating_add(file.rows);
        rows >= limit as u64
    });
    if let Some(last) = enough {
        files.truncate(last + 1);
    }
}
