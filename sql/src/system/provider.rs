//! A system table in a plan: its schema is known at once, its rows are computed when it is scanned.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Result, ScalarValue};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType,
};
use datafusion::physical_plan::ExecutionPlan;

use super::SystemEnv;
use super::definition::Definition;
use super::tables;

/// A table of `pg_catalog` or `information_schema`.
#[derive(Debug)]
pub(super) struct SystemTable {
    definition: &'static Definition,
    env: Arc<SystemEnv>,
}

impl SystemTable {
    /// The table as `env` sees it.
    pub fn new(definition: &'static Definition, env: Arc<SystemEnv>) -> Self {
        Self { definition, env }
    }
}

#[async_trait]
impl TableProvider for SystemTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.definition.arrow_schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        // Only columns of one relation are worth asking for: `pg_attribute` has a row for each column of the warehouse.
        Ok(filters
            .iter()
            .map(|filter| match wanted_relations(filter) {
                Some(_) => TableProviderFilterPushDown::Inexact,
                None => TableProviderFilterPushDown::Unsupported,
            })
            .collect())
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let wanted = filters
            .iter()
            .flat_map(split_conjunction)
            .filter_map(wanted_relations)
            .reduce(|left, right| left.intersection(&right).copied().collect());
        let batch = tables::rows(self.definition, &self.env, wanted.as_ref())?;
        let source =
            MemorySourceConfig::try_new_exec(&[vec![batch]], self.schema(), projection.cloned())?;
        Ok(source)
    }
}

/// The relations that `attrelid = ...` asks for; `None` for any other filter.
fn wanted_relations(filter: &Expr) -> Option<HashSet<u32>> {
    let is_relation =
        |expr: &Expr| matches!(expr, Expr::Column(column) if column.name == "attrelid");
    match filter {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Eq,
            right,
        }) => {
            let literal = if is_relation(left) {
                right
            } else if is_relation(right) {
                left
            } else {
                return None;
            };
            Some(HashSet::from([oid(literal)?]))
        }
        Expr::InList(list) if !list.negated && is_relation(&list.expr) => {
            list.list.iter().map(oid).collect()
        }
        _ => None,
    }
}

fn oid(expr: &Expr) -> Option<u32> {
    match expr {
        Expr::Literal(ScalarValue::UInt32(value), _) => *value,
        Expr::Literal(ScalarValue::Int64(Some(value)), _) => u32::try_from(*value).ok(),
        _ => None,
    }
}
