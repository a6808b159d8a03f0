//! The sink behind CREATE TABLE AS, INSERT and COPY FROM: a plan node that appends its input's rows.
//!
//! Because a write is a node, EXPLAIN, limits, cancellation and metrics hold for it as for a
//! query. The rows become visible when the statement's transaction commits, never before.

use std::any::Any;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::runtime::JoinSet;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchema, DFSchemaRef, Result as DataFusionResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    Expr, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore,
};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties,
    Partitioning, PlanProperties, ReplaceChildrenOptions,
};
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use futures::StreamExt;
use tributary_catalog::{ColumnDef, IngestedFile, Table, TableId, Transaction};

use crate::error::{Condition, Error, Report};
use crate::pgtype;

/// The table that rows go to.
#[derive(Debug, Clone)]
pub enum WriteTarget {
    /// A table that exists in the transaction.
    Existing(TableId),
    /// A table that is made when the plan runs.
    New {
        /// The schema it is made in.
        schema: String,
        /// Whether that schema is made too, where it is absent.
        create_schema: bool,
        /// The table's name.
        name: String,
        /// Its columns.
        columns: Vec<ColumnDef>,
        /// Its catalog tags.
        tags: Vec<(String, String)>,
    },
}

/// Everything the sink needs beside its rows.
#[derive(Debug, Clone)]
pub struct WriteTask {
    /// The transaction the rows become part of.
    pub transaction: Transaction,
    /// Where they go.
    pub target: WriteTarget,
    /// How EXPLAIN names the target.
    pub label: String,
    /// Files whose rows these are, for the ingest manifest.
    pub files: Vec<IngestedFile>,
}

/// The node: appends the rows of its input and yields their number.
#[derive(Debug, Clone)]
pub struct WriteNode {
    task: Arc<WriteTask>,
    input: LogicalPlan,
    schema: DFSchemaRef,
}

impl WriteNode {
    /// A sink for the rows of `input`, which has the target's columns in order.
    pub fn try_new(task: WriteTask, input: LogicalPlan) -> DataFusionResult<Self> {
        Ok(Self {
            task: Arc::new(task),
            input,
            schema: Arc::new(DFSchema::try_from(count_schema())?),
        })
    }
}

fn count_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new(
        "count",
        DataType::Int64,
        false,
    )]))
}

impl PartialEq for WriteNode {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.task, &other.task) && self.input == other.input
    }
}

impl Eq for WriteNode {}

impl Hash for WriteNode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.task).hash(state);
        self.input.hash(state);
    }
}

impl PartialOrd for WriteNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for WriteNode {
    fn name(&self) -> &str {
        "Write"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        vec![]
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Write: {}", self.task.label)
    }

    fn with_exprs_and_inputs(
        &self,
        _exprs: Vec<Expr>,
        mut inputs: Vec<LogicalPlan>,
    ) -> DataFusionResult<Self> {
        let input = inputs.pop().ok_or_else(|| {
            Error::from(Report::new(Condition::Internal, "a write has one input"))
        })?;
        Ok(Self {
            task: Arc::clone(&self.task),
            input,
            schema: Arc::clone(&self.schema),
        })
    }

    fn necessary_children_exprs(&self, _output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![(0..self.input.schema().fields().len()).collect()])
    }
}

/// Lowers [`WriteNode`] to its operator.
#[derive(Debug)]
pub struct WritePlanner;

#[async_trait]
impl ExtensionPlanner for WritePlanner {
    async fn plan_extension(
        &self,
        _planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        _session: &dyn Session,
        _planning_ctx: &PhysicalPlanningContext,
    ) -> DataFusionResult<Option<Arc<dyn ExecutionPlan>>> {
        let Some(node) = (node.as_any() as &dyn Any).downcast_ref::<WriteNode>() else {
            return Ok(None);
        };
        let [input] = physical_inputs else {
            return Err(
                Error::from(Report::new(Condition::Internal, "a write has one input")).into(),
            );
        };
        Ok(Some(Arc::new(WriteExec::new(
            Arc::clone(&node.task),
            Arc::clone(input),
        ))))
    }
}

/// Streams the input's partitions into the table's files, one writer a partition.
#[derive(Debug)]
struct WriteExec {
    task: Arc<WriteTask>,
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl WriteExec {
    fn new(task: Arc<WriteTask>, input: Arc<dyn ExecutionPlan>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(count_schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self {
            task,
            input,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }
}

impl DisplayAs for WriteExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "WriteExec: {}", self.task.label)
    }
}

impl ExecutionPlan for WriteExec {
    fn name(&self) -> &str {
        "WriteExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let input = children.pop().ok_or_else(|| {
            Error::from(Report::new(Condition::Internal, "a write has one input"))
        })?;
        Ok(Arc::new(Self::new(Arc::clone(&self.task), input)))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        self.replace_children(
            children,
            ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute),
        )
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DataFusionResult<TreeNodeRecursion>,
    ) -> DataFusionResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn execute(
        &self,
        _partition: usize,
        context: Arc<TaskContext>,
    ) -> DataFusionResult<SendableRecordBatchStream> {
        let task = Arc::clone(&self.task);
        let input = Arc::clone(&self.input);
        let written = MetricBuilder::new(&self.metrics).global_counter("rows_written");
        let rows = futures::stream::once(async move {
            let rows = write(&task, input, context).await?;
            written.add(usize::try_from(rows).unwrap_or(usize::MAX));
            let rows = i64::try_from(rows).map_err(|_| {
                Error::from(Report::new(Condition::Internal, "a row count fits bigint"))
            })?;
            let column: ArrayRef = Arc::new(Int64Array::from(vec![rows]));
            Ok(RecordBatch::try_new(count_schema(), vec![column])?)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            count_schema(),
            rows,
        )))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

async fn write(
    task: &WriteTask,
    input: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
) -> DataFusionResult<u64> {
    let transaction = &task.transaction;
    let table = match &task.target {
        WriteTarget::Existing(table) => *table,
        WriteTarget::New {
            schema,
            create_schema,
            name,
            columns,
            tags,
        } => {
            if *create_schema && transaction.snapshot().schema(schema).is_none() {
                transaction.create_schema(schema)?;
            }
            let table = transaction.create_table(schema, name, columns)?;
            for (key, value) in tags {
                transaction.set_tag(schema, name, key, Some(value))?;
            }
            table
        }
    };
    let target = transaction
        .snapshot()
        .table_by_id(table)
        .cloned()
        .ok_or_else(|| Error::from(Report::new(Condition::Internal, "the target table is lost")))?;
    let mut tasks: JoinSet<DataFusionResult<u64>> = JoinSet::new();
    for partition in 0..input.output_partitioning().partition_count() {
        let mut rows = input.execute(partition, Arc::clone(&context))?;
        let transaction = transaction.clone();
        let target = Arc::clone(&target);
        tasks.spawn(async move {
            let mut writer = None;
            while let Some(batch) = rows.next().await {
                let batch = batch?;
                if batch.num_rows() == 0 {
                    continue;
                }
                check_nulls(&target, &batch)?;
                let batch = fitted(&target.arrow_schema, batch)?;
                let mut current = match writer.take() {
                    Some(writer) => writer,
                    None => transaction.writer(table)?,
                };
                current.write(&batch).await?;
                writer = Some(current);
            }
            match writer {
                Some(writer) => Ok(writer.finish().await?),
                None => DataFusionResult::Ok(0),
            }
        });
    }
    let mut total = 0_u64;
    while let Some(finished) = tasks.join_next().await {
        let rows = finished.map_err(|error| {
            Error::from(Report::new(
                Condition::Internal,
                format!("a writer stopped: {error}"),
            ))
        })??;
        total = total.saturating_add(rows);
    }
    for file in &task.files {
        transaction.record_ingest(table, file.clone())?;
    }
    Ok(total)
}

/// Refuses NULL in a column that is NOT NULL, and shows the row.
fn check_nulls(table: &Table, batch: &RecordBatch) -> crate::error::Result<()> {
    for (field, column) in table.arrow_schema.fields().iter().zip(batch.columns()) {
        if field.is_nullable() || column.logical_null_count() == 0 {
            continue;
        }
        let row = (0..batch.num_rows()).find(|row| {
            column
                .logical_nulls()
                .is_some_and(|nulls| nulls.is_null(*row))
        });
        let values = row.map(|row| shown(batch, row)).transpose()?;
        return Err(Report {
            detail: values.map(|values| format!("Failing row contains ({values}).")),
            ..Report::new(
                Condition::NotNullViolation,
                format!(
                    "null value in column \"{}\" of relation \"{}\" violates not-null constraint",
                    field.name(),
                    table.name
                ),
            )
        }
        .into());
    }
    Ok(())
}

/// A row as PostgreSQL shows it in an error: the values' texts, cut off where they are long.
fn shown(batch: &RecordBatch, row: usize) -> crate::error::Result<String> {
    const CHARACTERS_MAX: usize = 64;
    let options = FormatOptions::new()
        .with_null("null")
        .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.f"))
        .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.f%#z"));
    let values = batch
        .columns()
        .iter()
        .map(|column| {
            let text = match column.as_boolean_opt() {
                Some(flags) if !flags.is_null(row) => {
                    if flags.value(row) { "t" } else { "f" }.to_owned()
                }
                _ => ArrayFormatter::try_new(column.as_ref(), &options)?
                    .value(row)
                    .try_to_string()?,
            };
            Ok(match text.char_indices().nth(CHARACTERS_MAX) {
                Some((end, _)) => format!("{}...", &text[..end]),
                None => text,
            })
        })
        .collect::<crate::error::Result<Vec<String>>>()?;
    Ok(values.join(", "))
}

/// The rows with texts as `varchar(n)` and `char(n)` hold them on assignment: what is too long is refused unless it is
/// too long by blanks; a `char(n)` is held without the blanks at its end, which mean nothing.
fn fitted(fields: &Schema, mut batch: RecordBatch) -> crate::error::Result<RecordBatch> {
    for (position, field) in fields.fields().iter().enumerate() {
        let type_name = pgtype::of_field(field).name;
        let modifier = pgtype::type_modifier(field);
        let padded = type_name == "bpchar";
        if !padded && (modifier < 0 || type_name != "varchar") {
            continue;
        }
        // The modifier counts four bytes of header with the length.
        let most = usize::try_from(modifier - 4).unwrap_or(usize::MAX);
        let column = batch.column(position);
        let given = arrow::compute::cast(column, &DataType::Utf8)?;
        let given = given.as_string::<i32>();
        let fits = |text: &str| text.len() <= most || text.chars().count() <= most;
        if given
            .iter()
            .flatten()
            .all(|text| fits(text) && !(padded && text.ends_with(' ')))
        {
            continue;
        }
        let fit = |text| -> crate::error::Result<_> {
            let bare = str::trim_end_matches(text, ' ');
            if !fits(bare) {
                return Err(Report::new(
                    Condition::StringTooLong,
                    format!(
                        "value too long for type {}",
                        pgtype::format_type(pgtype::of_field(field).oid, Some(modifier))
                    ),
                )
                .into());
            }
            Ok(match text.char_indices().nth(most) {
                _ if padded => bare,
                Some((end, _)) => text.get(..end).unwrap_or(bare),
                None => text,
            })
        };
        let held = given.iter().map(|text| text.map(fit).transpose());
        let held: StringArray = held.collect::<crate::error::Result<_>>()?;
        let held = arrow::compute::cast(&held, column.data_type())?;
        let mut columns = batch.columns().to_vec();
        if let Some(slot) = columns.get_mut(position) {
            *slot = held;
        }
        batch = RecordBatch::try_new(batch.schema(), columns)?;
    }
    Ok(batch)
}
