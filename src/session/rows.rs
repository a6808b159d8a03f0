//! Small results made by the session itself, and results that it reads.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, stream};
use tributary_sql::{Condition, Report};

use super::Result;

/// Columns of text.
pub fn text_schema(names: &[&str]) -> SchemaRef {
    Arc::new(Schema::new(
        names
            .iter()
            .map(|name| Field::new(*name, DataType::Utf8, true))
            .collect::<Vec<_>>(),
    ))
}

/// The one column of EXPLAIN.
pub fn explain_schema() -> SchemaRef {
    text_schema(&["QUERY PLAN"])
}

/// A result of text columns that all have the same length.
pub fn of_texts(schema: SchemaRef, columns: Vec<Vec<String>>) -> Result<SendableRecordBatchStream> {
    let columns = columns
        .into_iter()
        .map(|texts| Arc::new(StringArray::from(texts)) as ArrayRef)
        .collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns)?;
    Ok(Box::pin(RecordBatchStreamAdapter::new(
        schema,
        stream::once(async move { Ok(batch) }),
    )))
}

/// The engine's explanation as PostgreSQL lays it out: one column, a row a line. Of several
/// plans the last, the one that runs, comes first.
pub async fn query_plan(
    mut explained: SendableRecordBatchStream,
) -> Result<(SchemaRef, SendableRecordBatchStream)> {
    let mut sections: Vec<Vec<String>> = Vec::new();
    while let Some(batch) = explained.next().await {
        let batch = batch?;
        let kinds = cast(batch.column(0), &DataType::Utf8)?;
        let plans = cast(batch.column(1), &DataType::Utf8)?;
        let (kinds, plans) = (kinds.as_string::<i32>(), plans.as_string::<i32>());
        for row in 0..batch.num_rows() {
            let title = match kinds.value(row) {
                "physical_plan" | "Plan with Metrics" => None,
                other => Some(format!("{}:", other.replace('_', " "))),
            };
            let indent = if title.is_some() { "  " } else { "" };
            let plan = plans.value(row).lines();
            let plan = plan.map(|line| format!("{indent}{line}"));
            sections.push(title.into_iter().chain(plan).collect());
        }
    }
    let schema = explain_schema();
    let lines = sections.into_iter().rev().flatten().collect();
    let rows = of_texts(Arc::clone(&schema), vec![lines])?;
    Ok((schema, rows))
}

/// The sum of a result's one bigint column.
pub async fn count(mut rows: SendableRecordBatchStream) -> Result<u64> {
    let mut total = 0_u64;
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        let counts = batch
            .column(0)
            .as_primitive_opt::<Int64Type>()
            .ok_or_else(|| Report::new(Condition::Internal, "a write yields its row count"))?;
        for count in counts.values() {
            total = total.saturating_add(u64::try_from(*count).unwrap_or(0));
        }
    }
    Ok(total)
}

/// The value of an expression without columns, brought to `data_type`.
pub fn evaluate(state: &SessionState, expr: Expr, data_type: &DataType) -> Result<ScalarValue> {
    let expr = datafusion::logical_expr::cast(expr, data_type.clone());
    let physical = state.create_physical_expr(expr, &DFSchema::empty())?;
    let row = RecordBatch::try_new_with_options(
        Arc::new(Schema::empty()),
        vec![],
        &datafusion::arrow::array::RecordBatchOptions::new().with_row_count(Some(1)),
    )?;
    let value = physical.evaluate(&row)?.into_array(1)?;
    if value.is_empty() {
        return Err(Report::new(Condition::Internal, "an expression has a value").into());
    }
    Ok(ScalarValue::try_from_array(&value, 0)?)
}
