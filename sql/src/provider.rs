//! The bridge between catalog tables and the engine's table providers.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use tributary_catalog::{Snapshot, Table, TableScan, Warehouse};

use crate::error::Result;

/// A provider that scans `table` as of `snapshot`.
pub fn table_provider(
    warehouse: &Warehouse,
    _snapshot: &Snapshot,
    table: Arc<Table>,
) -> Result<Arc<dyn TableProvider>> {
    Ok(Arc::new(TableScan::new(warehouse.clone(), table)))
}

/// The catalog table behind a provider, if it is one of ours.
pub fn table_of(provider: &dyn TableProvider) -> Option<&Arc<Table>> {
    provider.downcast_ref::<TableScan>().map(TableScan::table)
}
