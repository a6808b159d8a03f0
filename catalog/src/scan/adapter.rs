//! Matches columns of the table with columns of a file by field id.
//!
//! A file keeps the names its columns had when it was written. Going by name, a renamed column would read as NULL, and two columns that swapped
//! names would read each other's values.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Result as EngineResult, ScalarValue};
use datafusion::physical_expr::expressions::Column as ColumnExpr;
use datafusion::physical_expr::{PhysicalExpr, expressions};
use datafusion::physical_expr_adapter::{
    DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory,
};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;

use crate::error::Error;
use crate::model::{Column, ColumnId, Table};
use crate::spec::internal;
use crate::spec::stats::Bound;

/// The columns of a table, by which expressions over it are turned into expressions over one of its files.
#[derive(Debug)]
pub struct ByFieldId {
    table: Arc<str>,
    columns: Arc<[Column]>,
}

impl ByFieldId {
    /// For files of `table`.
    pub fn new(table: &Table) -> Self {
        Self {
            table: table.qualified_name().into(),
            columns: table.columns.as_slice().into(),
        }
    }
}

impl PhysicalExprAdapterFactory for ByFieldId {
    fn create(
        &self,
        logical: SchemaRef,
        physical: SchemaRef,
    ) -> EngineResult<Arc<dyn PhysicalExprAdapter>> {
        let unchanged = self.columns.iter().all(|column| {
            physical
                .fields()
                .iter()
                .any(|field| field.name() == &column.name && same_parts(column, field))
        });
        if unchanged {
            return DefaultPhysicalExprAdapterFactory.create(logical, physical);
        }
        let mut renamed = Vec::with_capacity(physical.fields().len());
        for (at, field) in physical.fields().iter().enumerate() {
            let column =
                field_id(field).and_then(|id| self.columns.iter().find(|column| column.id == id));
            let name = match column {
                Some(column) => column.name.clone(),
                None if field.name().starts_with(internal::PREFIX) => field.name().clone(),
                // A column that the table does not have any more must not be found under any name.
                None => format!("\0{at}"),
            };
            if let Some(column) = column
                && !same_parts(column, field)
            {
                return Err(Error::UnsupportedFeature {
                    object: format!("table \"{}\"", self.table),
                    feature: format!("column \"{}\" with altered fields", column.name),
                }
                .into());
            }
            renamed.push(Field::clone(field).with_name(name));
        }
        let renamed: SchemaRef = Arc::new(ArrowSchema::new(renamed));
        let inner =
            DefaultPhysicalExprAdapterFactory.create(Arc::clone(&logical), Arc::clone(&renamed))?;
        let missing = self
            .columns
            .iter()
            .filter(|column| renamed.index_of(&column.name).is_err())
            .map(|column| {
                let field = logical.field_with_name(&column.name)?;
                Ok((column.name.clone(), initial(column, field.data_type())))
            })
            .collect::<EngineResult<_>>()?;
        Ok(Arc::new(Adapter {
            inner,
            physical,
            missing,
        }))
    }
}

/// The value that rows have which were written before the column was added.
fn initial(column: &Column, data_type: &DataType) -> ScalarValue {
    let bound = column
        .initial_default
        .as_deref()
        .and_then(|text| Bound::parse(text, &column.column_type));
    bound
        .and_then(|bound| bound.scalar(data_type))
        .or_else(|| ScalarValue::try_from(data_type).ok())
        .unwrap_or(ScalarValue::Null)
}

#[derive(Debug)]
struct Adapter {
    inner: Arc<dyn PhysicalExprAdapter>,
    physical: SchemaRef,
    missing: Vec<(String, ScalarValue)>,
}

impl PhysicalExprAdapter for Adapter {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> EngineResult<Arc<dyn PhysicalExpr>> {
        let filled = expr
            .transform(|expr| {
                let Some(column) = expr.downcast_ref::<ColumnExpr>() else {
                    return Ok(Transformed::no(expr));
                };
                Ok(
                    match self.missing.iter().find(|(name, _)| name == column.name()) {
                        Some((_, value)) => Transformed::yes(expressions::lit(value.clone())),
                        None => Transformed::no(expr),
                    },
                )
            })
            .data()?;
        // The inner adapter speaks of the file's columns by the names they have in the table; their positions are right.
        self.inner
            .rewrite(filled)?
            .transform(|expr| {
                let Some(column) = expr.downcast_ref::<ColumnExpr>() else {
                    return Ok(Transformed::no(expr));
                };
                let field = self.physical.fields().get(column.index()).ok_or_else(|| {
                    Error::Internal(format!(
                        "column {} is beyond the columns of the file",
                        column.index()
                    ))
                })?;
                let column: Arc<dyn PhysicalExpr> =
                    Arc::new(ColumnExpr::new(field.name(), column.index()));
                Ok(Transformed::yes(column))
            })
            .data()
    }
}

fn field_id(field: &Field) -> Option<ColumnId> {
    field
        .metadata()
        .get(PARQUET_FIELD_ID_META_KEY)?
        .parse()
        .ok()
        .map(ColumnId)
}

/// Whether a field of a file is the column, and has the same parts under the same names.
fn same_parts(column: &Column, field: &Field) -> bool {
    let ids_agree = field_id(field) == Some(column.id);
    let struct_agrees = |parts: &[Column], fields: &arrow::datatypes::Fields| {
        parts.len() == fields.len()
            && parts
                .iter()
                .zip(fields)
                .all(|(part, field)| part.name == *field.name() && same_parts(part, field))
    };
    ids_agree
        && match (field.data_type(), column.children.as_slice()) {
            (DataType::List(item), [element]) => same_parts(element, item),
            (DataType::Struct(fields), parts) => struct_agrees(parts, fields),
            (DataType::Map(entries, _), [key, value]) => match entries.data_type() {
                DataType::Struct(fields) if fields.len() == 2 => {
                    same_parts(key, &fields[0]) && same_parts(value, &fields[1])
                }
                _ => false,
            },
            (_, parts) => parts.is_empty(),
        }
}
