//! The hidden columns of a scan: which file a row is in, where in it, and its row id.
//!
//! File and position come from the reader at no cost. The row id is what the file says, where it says so (rows that an update or a compaction
//! has moved keep theirs), and else the row id of the first row of the file plus the position; rows that the transaction has inserted itself
//! have none yet.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::{DataType, Field, Fields, Schema as ArrowSchema, SchemaRef};
use datafusion::common::{Result as EngineResult, ScalarValue};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, binary, case, is_not_null};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use parquet::arrow::RowNumber;

use crate::error::Error;
use crate::model::{DataFile, FileId, LOCAL, Table};
use crate::spec::internal;

/// The column of a scan with row identity that says which file a row is in: `bigint`, for [`RowSet`](crate::RowSet).
pub const FILE_COLUMN: &str = "_ducklake_internal_file";

/// The column of a scan with row identity that says where in its file a row is: `bigint`, for [`RowSet`](crate::RowSet).
pub const POSITION_COLUMN: &str = "_ducklake_internal_position";

/// The column of a scan with row identity that says the row id, which a row keeps through updates: `bigint`, NULL for rows that the
/// transaction has inserted, for [`write_updated`](crate::TableWriter::write_updated).
pub const ROW_ID_COLUMN: &str = internal::ROW_ID_COLUMN;

/// The row id of the first row of the file.
const ROW_ID_START: &str = "_ducklake_internal_row_id_start";

/// The columns of a table and the hidden ones.
pub fn with_hidden(columns: &SchemaRef) -> SchemaRef {
    let hidden = [
        Field::new(FILE_COLUMN, DataType::Int64, false),
        Field::new(POSITION_COLUMN, DataType::Int64, false),
        Field::new(ROW_ID_COLUMN, DataType::Int64, true),
    ];
    let fields = columns.fields().iter().cloned();
    Arc::new(ArrowSchema::new(
        fields.chain(hidden.map(Arc::new)).collect::<Fields>(),
    ))
}

/// What the reader gives: the columns of the table, the row ids in the file, file and first row id, position.
pub fn reader_schema(columns: &SchemaRef) -> TableSchema {
    let row_id = Field::new(internal::ROW_ID_COLUMN, DataType::Int64, true);
    let fields = columns.fields().iter().cloned();
    let fields = fields.chain([Arc::new(row_id)]).collect::<Fields>();
    TableSchema::builder(Arc::new(ArrowSchema::new(fields)))
        .with_table_partition_cols(vec![
            Arc::new(Field::new(FILE_COLUMN, DataType::Int64, false)),
            Arc::new(Field::new(ROW_ID_START, DataType::Int64, true)),
        ])
        .with_virtual_columns(vec![Arc::new(
            Field::new(POSITION_COLUMN, DataType::Int64, false).with_extension_type(RowNumber),
        )])
        .build()
}

/// The values that are the same for all rows of a file, in the order of [`reader_schema`].
pub fn file_values(file: &DataFile) -> Vec<ScalarValue> {
    vec![
        ScalarValue::Int64(Some(file.id.0)),
        ScalarValue::Int64(file.row_id_start),
    ]
}

/// The hidden columns of rows that lie in the catalog database.
pub fn of_inlined(keys: &Int64Array, row_ids: &Int64Array) -> [ArrayRef; 3] {
    let file = std::iter::repeat_n(FileId::INLINED.0, row_ids.len());
    // Rows that the transaction has inserted have a name of their own, but no row id yet.
    let known = row_ids
        .values()
        .iter()
        .map(|id| (*id < LOCAL).then_some(*id));
    [
        Arc::new(file.collect::<Int64Array>()),
        Arc::new(keys.clone()),
        Arc::new(known.collect::<Int64Array>()),
    ]
}

/// The columns of the reader that the columns `projection` of [`with_hidden`] take.
pub fn reader_projection(table: &Table, projection: &[usize]) -> Vec<usize> {
    let width = table.columns.len();
    let (row_id, file, start, position) = (width, width + 1, width + 2, width + 3);
    let mut wanted = Vec::new();
    for at in projection {
        match at.checked_sub(width) {
            None => wanted.push(*at),
            Some(0) => wanted.push(file),
            Some(1) => wanted.push(position),
            Some(_) => wanted.extend([row_id, start, position]),
        }
    }
    wanted.sort_unstable();
    wanted.dedup();
    wanted
}

/// Makes the columns `projection` of [`with_hidden`] from those of a reader that gives [`reader_projection`] of them.
pub fn project(
    reader: Arc<dyn ExecutionPlan>,
    table: &Table,
    projection: &[usize],
) -> EngineResult<Arc<dyn ExecutionPlan>> {
    let schema = reader.schema();
    let column = |name: &str| -> EngineResult<Arc<dyn PhysicalExpr>> {
        Ok(Arc::new(Column::new_with_schema(name, &schema)?))
    };
    let output = with_hidden(&table.scan_schema);
    let expressions = projection.iter().map(|at| {
        let field = output.fields().get(*at).ok_or_else(|| {
            Error::Internal(format!(
                "a scan is asked for column {at}, which is not there"
            ))
        })?;
        let expr = if field.name() == ROW_ID_COLUMN {
            let own = column(internal::ROW_ID_COLUMN)?;
            let (start, position) = (column(ROW_ID_START)?, column(POSITION_COLUMN)?);
            let in_sequence = binary(start, Operator::Plus, position, &schema)?;
            let has_own = is_not_null(Arc::clone(&own))?;
            case(None, vec![(has_own, own)], Some(in_sequence))?
        } else {
            column(field.name())?
        };
        Ok(ProjectionExpr {
            expr,
            alias: field.name().clone(),
        })
    });
    let expressions = expressions.collect::<EngineResult<Vec<_>>>()?;
    Ok(Arc::new(ProjectionExec::try_new(expressions, reader)?))
}
