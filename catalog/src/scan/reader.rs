//! Readers that check a file before they trust it, and say which file it was when reading fails.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::common::Result as EngineResult;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::ObjectStore;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::ParquetMetaData;

use crate::files::verify::Expected;
use crate::warehouse::Warehouse;

/// Makes readers over the warehouse's own store, with the engine's cache of footers.
#[derive(Debug)]
pub struct CheckedReaders {
    inner: CachedParquetFileReaderFactory,
    warehouse: Warehouse,
}

impl CheckedReaders {
    /// Readers over `objects`.
    pub fn new(
        objects: Arc<dyn ObjectStore>,
        footers: Arc<FileMetadataCache>,
        warehouse: Warehouse,
    ) -> Self {
        Self {
            inner: CachedParquetFileReaderFactory::new(objects, footers),
            warehouse,
        }
    }
}

impl ParquetFileReaderFactory for CheckedReaders {
    fn create_reader(
        &self,
        partition_index: usize,
        file: PartitionedFile,
        metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> EngineResult<Box<dyn AsyncFileReader + Send>> {
        let expected = file.extension::<Arc<Expected>>().cloned();
        let hint = file.metadata_size_hint.or(metadata_size_hint);
        let inner = self
            .inner
            .create_reader(partition_index, file, hint, metrics)?;
        Ok(match expected {
            Some(expected) => Box::new(CheckedReader {
                inner,
                expected,
                warehouse: self.warehouse.clone(),
                checked: false,
            }),
            None => inner,
        })
    }
}

struct CheckedReader {
    inner: Box<dyn AsyncFileReader + Send>,
    expected: Arc<Expected>,
    warehouse: Warehouse,
    checked: bool,
}

impl CheckedReader {
    async fn check(&mut self) -> ParquetResult<()> {
        if !self.checked {
            self.warehouse
                .verified()
                .ensure(&self.expected)
                .await
                .map_err(external)?;
            self.checked = true;
        }
        Ok(())
    }
}

impl AsyncFileReader for CheckedReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        async move {
            self.check().await?;
            match self.inner.get_bytes(range).await {
                Err(error) => Err(explain(&self.warehouse, &self.expected, error).await),
                bytes => bytes,
            }
        }
        .boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        async move {
            self.check().await?;
            match self.inner.get_byte_ranges(ranges).await {
                Err(error) => Err(explain(&self.warehouse, &self.expected, error).await),
                bytes => bytes,
            }
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        async move {
            self.check().await?;
            match self.inner.get_metadata(options).await {
                Err(error) => Err(explain(&self.warehouse, &self.expected, error).await),
                metadata => metadata,
            }
        }
        .boxed()
    }
}

/// What is wrong with the file, if anything is; else the error as it came.
async fn explain(
    warehouse: &Warehouse,
    expected: &Arc<Expected>,
    error: ParquetError,
) -> ParquetError {
    match warehouse.verified().recheck(expected).await {
        Err(found) => external(found),
        Ok(()) => error,
    }
}

fn external(error: crate::error::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}
