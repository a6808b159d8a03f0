//! The operator: reads its input, runs the subquery once for the domain, hands the rows on with their values.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array,
    UInt32Builder, UInt64Array, UInt64Builder,
};
use arrow::compute::{concat, concat_batches, take, take_record_batch};
use arrow::datatypes::{Field, Schema, SchemaRef, UInt32Type};
use arrow::row::{OwnedRow, RowConverter, SortField};
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::utils::memory::get_record_batch_memory_size;
use datafusion::common::{Result, exec_err, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore};
use datafusion::physical_expr::{Distribution, EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning,
    PlanProperties, ReplaceChildrenOptions,
};
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use futures::{Stream, StreamExt, TryStreamExt, stream};

use super::domain::DomainExec;
use super::node::{ApplyNode, Kind};
use crate::error::{Condition, Report};

/// Plans [`ApplyNode`].
pub(super) struct ApplyPlanner;

#[async_trait]
impl ExtensionPlanner for ApplyPlanner {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        planning: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(node) = node.as_any().downcast_ref::<ApplyNode>() else {
            return Ok(None);
        };
        let ([logical, _], [input, subquery]) = (logical_inputs, physical_inputs) else {
            return internal_err!("Apply has two inputs");
        };
        let physical =
            |expr| planner.create_physical_expr(expr, logical.schema(), session, planning);
        let domain = node
            .domain()
            .iter()
            .map(physical)
            .collect::<Result<Vec<_>>>()?;
        let guard = node.guard().map(physical).transpose()?;
        Ok(Some(Arc::new(ApplyExec::new(
            Arc::new(Work {
                domain,
                guard,
                kind: node.kind(),
                number: node.number(),
                schema: Arc::clone(UserDefinedLogicalNodeCore::schema(node).inner()),
            }),
            Arc::clone(input),
            Arc::clone(subquery),
        ))))
    }
}

/// What does not change when the operator gets other inputs.
#[derive(Debug)]
struct Work {
    domain: Vec<Arc<dyn PhysicalExpr>>,
    guard: Option<Arc<dyn PhysicalExpr>>,
    kind: Kind,
    number: u64,
    schema: SchemaRef,
}

/// The operator of [`ApplyNode`].
#[derive(Debug)]
struct ApplyExec {
    work: Arc<Work>,
    input: Arc<dyn ExecutionPlan>,
    subquery: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl ApplyExec {
    fn new(
        work: Arc<Work>,
        input: Arc<dyn ExecutionPlan>,
        subquery: Arc<dyn ExecutionPlan>,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&work.schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self {
            work,
            input,
            subquery,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }
}

impl DisplayAs for ApplyExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let domain: Vec<String> = self.work.domain.iter().map(ToString::to_string).collect();
        write!(
            f,
            "ApplyExec: {:?} domain={} for=[{}]",
            self.work.kind,
            self.work.number,
            domain.join(", ")
        )?;
        match &self.work.guard {
            Some(guard) => write!(f, " where {guard}"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for ApplyExec {
    fn name(&self) -> &str {
        "ApplyExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input, &self.subquery]
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![Distribution::SinglePartition, Distribution::SinglePartition]
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut children = children.into_iter();
        let (Some(input), Some(subquery), None) =
            (children.next(), children.next(), children.next())
        else {
            return internal_err!("Apply has two inputs");
        };
        Ok(Arc::new(Self::new(Arc::clone(&self.work), input, subquery)))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(
            children,
            ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute),
        )
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        for expr in self.work.domain.iter().chain(&self.work.guard) {
            if f(expr)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let memory = MemoryConsumer::new("Apply").register(context.memory_pool());
        let work = Arc::clone(&self.work);
        let (input, subquery) = (Arc::clone(&self.input), Arc::clone(&self.subquery));
        let rows = stream::once(async move {
            let mut gathered = Gathered::new(Arc::clone(&work), memory)?;
            let mut batches = input.execute(partition, Arc::clone(&context))?;
            while let Some(batch) = batches.next().await {
                gathered.add(batch?)?;
            }
            drop(batches);
            let answers = gathered.ask(&subquery, &context).await?;
            Ok::<_, datafusion::error::DataFusionError>(gathered.answered(answers))
        })
        .try_flatten()
        .inspect_ok(move |batch| metrics.record_output(batch.num_rows()));
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.work.schema),
            rows,
        )))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// The input, read, and its domain.
struct Gathered {
    work: Arc<Work>,
    memory: MemoryReservation,
    /// Each batch with the number of each row's tuple; NULL where the guard keeps the row from the subquery.
    batches: Vec<(RecordBatch, UInt32Array)>,
    converter: Option<RowConverter>,
    numbers: HashMap<OwnedRow, u32>,
    /// The tuples in the order of their numbers.
    tuples: Vec<OwnedRow>,
    /// Whether any row asks for the subquery, which matters where the domain has no columns.
    wanted: bool,
}

impl Gathered {
    fn new(work: Arc<Work>, memory: MemoryReservation) -> Result<Self> {
        Ok(Self {
            work,
            memory,
            batches: Vec::new(),
            converter: None,
            numbers: HashMap::new(),
            tuples: Vec::new(),
            wanted: false,
        })
    }

    fn add(&mut self, batch: RecordBatch) -> Result<()> {
        let rows = batch.num_rows();
        self.memory
            .try_grow(get_record_batch_memory_size(&batch) + rows * size_of::<u32>())?;
        let asks = match &self.work.guard {
            Some(guard) => {
                let outcome = guard.evaluate(&batch)?.into_array(rows)?;
                Some(outcome.as_boolean().clone())
            }
            None => None,
        };
        let asks = |row: usize| {
            asks.as_ref()
                .is_none_or(|asks: &BooleanArray| asks.is_valid(row) && asks.value(row))
        };
        let mut numbers = UInt32Builder::with_capacity(rows);
        if self.work.domain.is_empty() {
            for row in 0..rows {
                self.wanted = self.wanted || asks(row);
                numbers.append_option(asks(row).then_some(0));
            }
        } else {
            let columns = self
                .work
                .domain
                .iter()
                .map(|expr| expr.evaluate(&batch)?.into_array(rows))
                .collect::<Result<Vec<ArrayRef>>>()?;
            let converter = match &mut self.converter {
                Some(converter) => converter,
                none => {
                    let fields = columns
                        .iter()
                        .map(|c| SortField::new(c.data_type().clone()));
                    none.insert(RowConverter::new(fields.collect())?)
                }
            };
            let keys = converter.convert_columns(&columns)?;
            for row in 0..rows {
                if !asks(row) {
                    numbers.append_null();
                    continue;
                }
                self.wanted = true;
                let key = keys.row(row).owned();
                let number = match self.numbers.get(&key) {
                    Some(number) => *number,
                    None => {
                        let Ok(number) = u32::try_from(self.tuples.len()) else {
                            return exec_err!("a subquery refers to too many different values");
                        };
                        // Kept twice: to be found, and in order.
                        self.memory
                            .try_grow(2 * (key.row().as_ref().len() + size_of::<OwnedRow>()))?;
                        self.tuples.push(key.clone());
                        self.numbers.insert(key, number);
                        number
                    }
                };
                numbers.append_value(number);
            }
        }
        self.batches.push((batch, numbers.finish()));
        Ok(())
    }

    /// How many tuples there are.
    fn size(&self) -> usize {
        if self.work.domain.is_empty() {
            usize::from(self.wanted)
        } else {
            self.tuples.len()
        }
    }

    /// The domain as the subquery's scans of it read it.
    fn domain(&self, batch_rows: usize) -> Result<Vec<RecordBatch>> {
        let size = self.size();
        let mut columns: Vec<ArrayRef> = vec![Arc::new(
            (0..size)
                .map(|number| u32::try_from(number).ok())
                .collect::<UInt32Array>(),
        )];
        if let Some(converter) = &self.converter {
            columns.extend(converter.convert_rows(self.tuples.iter().map(OwnedRow::row))?);
        }
        let fields: Vec<Field> = columns
            .iter()
            .enumerate()
            .map(|(at, column)| Field::new(at.to_string(), column.data_type().clone(), at > 0))
            .collect();
        let all = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
        let starts = (0..size).step_by(batch_rows.max(1));
        Ok(starts
            .map(|start| all.slice(start, batch_rows.min(size - start)))
            .collect())
    }

    /// Runs the subquery for the domain.
    async fn ask(
        &mut self,
        subquery: &Arc<dyn ExecutionPlan>,
        context: &Arc<TaskContext>,
    ) -> Result<Answers> {
        let mut answers = Answers::new(self.work.kind, self.size());
        self.memory.try_grow(answers.bytes())?;
        if !self.wanted {
            return answers.finish(&subquery.schema());
        }
        let domain = self.domain(context.session_config().batch_size())?;
        subquery.apply(|node| {
            if let Some(scan) = node.downcast_ref::<DomainExec>() {
                scan.fill(self.work.number, &domain)?;
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        drop(domain);
        let mut rows = subquery.execute(0, Arc::clone(context))?;
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            if answers.keeps_rows() {
                self.memory.try_grow(get_record_batch_memory_size(&batch))?;
            }
            answers.add(batch)?;
        }
        answers.finish(&subquery.schema())
    }

    /// The input with the answers beside it.
    fn answered(self, answers: Answers) -> impl Stream<Item = Result<RecordBatch>> {
        let Self {
            work,
            memory,
            batches,
            ..
        } = self;
        stream::iter(batches).map(move |(batch, numbers)| {
            let batch = answers.beside(&batch, &numbers, &work.schema)?;
            // Held until the last batch has left.
            let _ = &memory;
            Ok(batch)
        })
    }
}

/// What the subquery gave for each tuple.
enum Answers {
    /// The rows of the subquery, and which of them is a tuple's.
    Scalar {
        values: Vec<ArrayRef>,
        row_of: Vec<Option<u32>>,
        rows: u32,
        all: Option<ArrayRef>,
    },
    /// Three values of an EXISTS, ANY or ALL: `None` is unknown.
    Truth {
        kind: Kind,
        outcomes: Vec<Option<bool>>,
    },
    /// The rows of the subquery, those of each tuple together.
    Rows {
        outer: bool,
        batches: Vec<RecordBatch>,
        starts: Vec<usize>,
        order: Vec<u32>,
        all: Option<RecordBatch>,
    },
}

impl Answers {
    fn new(kind: Kind, size: usize) -> Self {
        match kind {
            Kind::Scalar => Self::Scalar {
                values: Vec::new(),
                row_of: vec![None; size],
                rows: 0,
                all: None,
            },
            Kind::Exists | Kind::Any => Self::Truth {
                kind,
                outcomes: vec![Some(false); size],
            },
            Kind::All => Self::Truth {
                kind,
                outcomes: vec![Some(true); size],
            },
            Kind::Rows { outer } => Self::Rows {
                outer,
                batches: Vec::new(),
                starts: vec![0; size + 1],
                order: Vec::new(),
                all: None,
            },
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Scalar { row_of, .. } => size_of_val(row_of.as_slice()),
            Self::Truth { outcomes, .. } => size_of_val(outcomes.as_slice()),
            Self::Rows { starts, .. } => size_of_val(starts.as_slice()),
        }
    }

    fn keeps_rows(&self) -> bool {
        !matches!(self, Self::Truth { .. })
    }

    /// Takes rows of the subquery: the tuple's number, then what it gave.
    fn add(&mut self, batch: RecordBatch) -> Result<()> {
        let Some(numbers) = batch
            .columns()
            .first()
            .and_then(|c| c.as_primitive_opt::<UInt32Type>())
        else {
            return internal_err!("a subquery yields no tuple numbers");
        };
        match self {
            Self::Scalar {
                values,
                row_of,
                rows,
                ..
            } => {
                for number in numbers.iter().flatten() {
                    match at(row_of, number)? {
                        none @ None => *none = Some(*rows),
                        Some(_) => {
                            return Err(Report::new(
                                Condition::CardinalityViolation,
                                "more than one row returned by a subquery used as an expression",
                            )
                            .into());
                        }
                    }
                    *rows += 1;
                }
                values.push(Arc::clone(batch.column(1)));
            }
            Self::Truth {
                kind: Kind::Exists,
                outcomes,
            } => {
                for number in numbers.iter().flatten() {
                    *at(outcomes, number)? = Some(true);
                }
            }
            Self::Truth { kind, outcomes } => {
                let decides = *kind == Kind::Any;
                let compared = batch.column(1).as_boolean();
                for (number, compared) in numbers.iter().zip(compared) {
                    let Some(number) = number else { continue };
                    let outcome = at(outcomes, number)?;
                    if *outcome != Some(decides) && compared != Some(!decides) {
                        *outcome = compared;
                    }
                }
            }
            Self::Rows { batches, .. } => batches.push(batch),
        }
        Ok(())
    }

    /// Makes ready to be read, all rows being there.
    fn finish(mut self, schema: &SchemaRef) -> Result<Self> {
        match &mut self {
            Self::Scalar { values, all, .. } => {
                let parts: Vec<&dyn Array> = values.iter().map(AsRef::as_ref).collect();
                *all = Some(match parts.is_empty() {
                    true => arrow::array::new_empty_array(schema.field(1).data_type()),
                    false => concat(&parts)?,
                });
                values.clear();
            }
            Self::Truth { .. } => {}
            Self::Rows {
                batches,
                starts,
                order,
                all,
                ..
            } => {
                let rows = concat_batches(schema, batches.iter())?;
                batches.clear();
                let numbers = rows.column(0).as_primitive::<UInt32Type>();
                // Where each tuple's rows start once they stand together: a count, its running sum, then each in its place.
                for number in numbers.iter().flatten() {
                    *at(starts, number + 1)? += 1;
                }
                let mut total = 0;
                for start in starts.iter_mut() {
                    total += *start;
                    *start = total;
                }
                let mut next = starts.clone();
                *order = vec![0; rows.num_rows()];
                for (row, number) in (0_u32..).zip(numbers.iter().flatten()) {
                    let place = at(&mut next, number)?;
                    if let Some(slot) = order.get_mut(*place) {
                        *slot = row;
                    }
                    *place += 1;
                }
                let kept: Vec<usize> = (1..rows.num_columns()).collect();
                *all = Some(rows.project(&kept)?);
            }
        }
        Ok(self)
    }

    /// A batch of the input with the answers for its rows.
    fn beside(
        &self,
        batch: &RecordBatch,
        numbers: &UInt32Array,
        schema: &SchemaRef,
    ) -> Result<RecordBatch> {
        let column: ArrayRef = match self {
            Self::Scalar {
                row_of,
                all: Some(all),
                ..
            } => {
                let rows: UInt32Array = numbers
                    .iter()
                    .map(|number| number.and_then(|number| get(row_of, number).flatten()))
                    .collect();
                take(all, &rows, None)?
            }
            Self::Truth { outcomes, .. } => Arc::new(
                numbers
                    .iter()
                    .map(|number| number.and_then(|number| get(outcomes, number).flatten()))
                    .collect::<BooleanArray>(),
            ),
            Self::Rows {
                outer,
                starts,
                order,
                all: Some(all),
                ..
            } => {
                return rows_beside(batch, numbers, schema, *outer, starts, order, all);
            }
            Self::Scalar { .. } | Self::Rows { .. } => {
                return internal_err!("a subquery is read before it is complete");
            }
        };
        let mut columns = batch.columns().to_vec();
        columns.push(column);
        Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
    }
}

fn rows_beside(
    batch: &RecordBatch,
    numbers: &UInt32Array,
    schema: &SchemaRef,
    outer: bool,
    starts: &[usize],
    order: &[u32],
    all: &RecordBatch,
) -> Result<RecordBatch> {
    let mut left = UInt64Builder::new();
    let mut right = UInt64Builder::new();
    for (row, number) in (0_u64..).zip(numbers) {
        let bounds =
            number.and_then(|number| Some((get(starts, number)?, get(starts, number + 1)?)));
        let matches = bounds
            .and_then(|(start, end)| order.get(start..end))
            .unwrap_or_default();
        for matched in matches {
            left.append_value(row);
            right.append_value(u64::from(*matched));
        }
        if matches.is_empty() && outer {
            left.append_value(row);
            right.append_null();
        }
    }
    let (left, right): (UInt64Array, UInt64Array) = (left.finish(), right.finish());
    let mut columns = take_record_batch(batch, &left)?.columns().to_vec();
    for column in all.columns() {
        columns.push(take(column, &right, None)?);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(left.len()));
    Ok(RecordBatch::try_new_with_options(
        Arc::clone(schema),
        columns,
        &options,
    )?)
}

fn at<T>(values: &mut [T], number: u32) -> Result<&mut T> {
    match usize::try_from(number)
        .ok()
        .and_then(|number| values.get_mut(number))
    {
        Some(value) => Ok(value),
        None => internal_err!("a subquery yields a tuple number that is none"),
    }
}

fn get<T: Copy>(values: &[T], number: u32) -> Option<T> {
    values.get(usize::try_from(number).ok()?).copied()
}
