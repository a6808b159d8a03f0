//! The one logical node and the one operator behind every relation function.
//!
//! [`RelationFunctionNode`] holds the function, its argument expressions and its input plans, so
//! that the optimizer, prepared statements, EXPLAIN, permissions and limits treat a call like any
//! other part of a query. [`RelationFunctionExec`] reads the inputs under a memory reservation,
//! runs the function off the async threads and streams its rows. Nothing runs while planning.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering as Atomic};
use std::task::{Context, Poll};

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::config::ConfigOptions;
use datafusion::common::runtime::{JoinSet, SpawnedTask};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::utils::memory::RecordBatchMemoryCounter;
use datafusion::common::{DFSchema, DFSchemaRef, Result as DataFusionResult, ScalarValue};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    Expr, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::analyzer::type_coercion::TypeCoercion;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet,
};
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties,
    Partitioning, PlanProperties, ReplaceChildrenOptions,
};
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use futures::{Stream, StreamExt};
use tokio::sync::mpsc;

use crate::call::{Argument, Call, CallInput, coerce};
use crate::error::{Error, Kind, Result};
use crate::function::{Binding, RelationFunction};
use crate::input::Input;
use crate::model::ModelInfo;
use crate::run::{Compute, Run};

/// An input relation of a node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NodeInput {
    /// The position of the parameter it was given for.
    pub parameter: usize,
    /// How error texts name it.
    pub label: String,
    /// What planning knows of it when it is a model table.
    pub model: Option<ModelInfo>,
    /// The plan that yields its rows.
    pub plan: LogicalPlan,
}

/// A call of a relation function in a logical plan.
#[derive(Debug, Clone)]
pub struct RelationFunctionNode {
    function: &'static dyn RelationFunction,
    scalars: Vec<(usize, Expr)>,
    inputs: Vec<NodeInput>,
    binding: Binding,
    schema: DFSchemaRef,
}

impl RelationFunctionNode {
    /// Plans a call: checks its arguments and fixes its columns.
    ///
    /// # Errors
    /// What the function's `bind` says of the arguments.
    pub fn try_new(
        function: &'static dyn RelationFunction,
        scalars: Vec<(usize, Expr)>,
        inputs: Vec<NodeInput>,
    ) -> Result<Self> {
        let inputs: Vec<NodeInput> = inputs
            .into_iter()
            .map(|input| NodeInput {
                plan: coerced(input.plan),
                ..input
            })
            .collect();
        let call = call(function, &scalars, &inputs, None)?;
        let binding = function.bind(&call)?;
        let schema = DFSchema::try_from(Arc::clone(&binding.schema)).map_err(Error::from)?;
        Ok(Self {
            function,
            scalars,
            inputs,
            binding,
            schema: Arc::new(schema),
        })
    }

    /// The function that is called.
    pub fn function(&self) -> &'static dyn RelationFunction {
        self.function
    }

    /// Catalog tags for a table that is made of exactly this result.
    pub fn tags(&self) -> &[(String, String)] {
        &self.binding.tags
    }

    fn identity(&self) -> (String, &[(usize, Expr)], &[NodeInput]) {
        (
            self.function.signature().qualified_name(),
            &self.scalars,
            &self.inputs,
        )
    }
}

impl PartialEq for RelationFunctionNode {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for RelationFunctionNode {}

impl Hash for RelationFunctionNode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl PartialOrd for RelationFunctionNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for RelationFunctionNode {
    fn name(&self) -> &str {
        "RelationFunction"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        self.inputs.iter().map(|input| &input.plan).collect()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.scalars.iter().map(|(_, expr)| expr.clone()).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let signature = self.function.signature();
        write!(f, "RelationFunction: {}(", signature.qualified_name())?;
        for (position, (parameter, expr)) in self.scalars.iter().enumerate() {
            let separator = if position == 0 { "" } else { ", " };
            let name = signature.parameters.get(*parameter).map_or("?", |p| p.name);
            write!(f, "{separator}{name} => {}", expr.clone().unalias())?;
        }
        write!(f, ")")
    }

    fn with_exprs_and_inputs(
        &self,
        exprs: Vec<Expr>,
        inputs: Vec<LogicalPlan>,
    ) -> DataFusionResult<Self> {
        let scalars: Vec<_> = self
            .scalars
            .iter()
            .map(|(parameter, _)| *parameter)
            .zip(exprs)
            .collect();
        let inputs: Vec<_> = self
            .inputs
            .iter()
            .zip(inputs)
            .map(|(before, plan)| NodeInput {
                parameter: before.parameter,
                label: before.label.clone(),
                model: before.model.clone(),
                plan,
            })
            .collect();
        // The optimizer prunes the inputs and learns where NULL cannot be, which leaves the columns
        // of the result as they were planned. Only values put for parameters can change their types.
        let call = call(self.function, &scalars, &inputs, None)?;
        let mut binding = self.function.bind(&call)?;
        let schema = if same_types(&binding.schema, &self.binding.schema) {
            binding.schema = Arc::clone(&self.binding.schema);
            Arc::clone(&self.schema)
        } else {
            Arc::new(DFSchema::try_from(Arc::clone(&binding.schema))?)
        };
        Ok(Self {
            function: self.function,
            scalars,
            inputs,
            binding,
            schema,
        })
    }

    fn necessary_children_exprs(&self, _output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(self.binding.required.clone())
    }
}

/// An input with the types that its columns have once the engine has coerced them: the branches of a
/// UNION, for one, get their common types only after planning, when the result's columns are fixed.
fn coerced(plan: LogicalPlan) -> LogicalPlan {
    // What fails here, such as a parameter whose type is not known yet, is told by the analysis of
    // the whole statement.
    TypeCoercion::new()
        .analyze(plan.clone(), &ConfigOptions::default())
        .unwrap_or(plan)
}

fn same_types(left: &Schema, right: &Schema) -> bool {
    let columns = |schema: &Schema| -> Vec<(String, DataType)> {
        let fields = schema.fields().iter();
        fields
            .map(|field| (field.name().clone(), field.data_type().clone()))
            .collect()
    };
    columns(left) == columns(right)
}

/// The call that a node's arguments make. `values`, when given, holds the scalars' values at
/// execution; otherwise what is not a literal is deferred.
fn call(
    function: &'static dyn RelationFunction,
    scalars: &[(usize, Expr)],
    inputs: &[NodeInput],
    values: Option<Vec<ScalarValue>>,
) -> Result<Call> {
    let signature = function.signature();
    let mut arguments = vec![Argument::Absent; signature.parameters.len()];
    let mut set = |position: usize, argument: Argument| match arguments.get_mut(position) {
        Some(slot) => {
            *slot = argument;
            Ok(())
        }
        None => Err(Error::internal("an argument has no parameter")),
    };
    let mut values = values.map(Vec::into_iter);
    for (position, expr) in scalars {
        let parameter = signature
            .parameters
            .get(*position)
            .ok_or_else(|| Error::internal("an argument has no parameter"))?;
        let value = match &mut values {
            Some(values) => values.next(),
            None => literal(expr),
        };
        let argument = match value {
            Some(value) => {
                Argument::Value(coerce(signature, parameter.name, parameter.kind, value)?)
            }
            None if parameter.constant => {
                return Err(Error::new(
                    Kind::FeatureNotSupported,
                    format!(
                        "argument \"{}\" of {} must be a constant",
                        parameter.name,
                        signature.qualified_name()
                    ),
                )
                .detail("It shapes the columns of the result, which are fixed at planning.")
                .hint("Write the value as a literal into the SQL."));
            }
            None => Argument::Deferred,
        };
        set(*position, argument)?;
    }
    let mut call_inputs = Vec::with_capacity(inputs.len());
    for input in inputs {
        let parameter = signature
            .parameters
            .get(input.parameter)
            .ok_or_else(|| Error::internal("an input has no parameter"))?;
        set(input.parameter, Argument::Input(call_inputs.len()))?;
        call_inputs.push(CallInput {
            parameter: parameter.name,
            label: input.label.clone(),
            schema: Arc::new(Schema::new(input.plan.schema().as_arrow().fields().clone())),
            model: input.model.clone(),
        });
    }
    Ok(Call {
        signature,
        arguments,
        inputs: call_inputs,
    })
}

/// The value of an expression that is a literal, whatever aliases are around it.
fn literal(expr: &Expr) -> Option<ScalarValue> {
    match expr {
        Expr::Literal(value, _) => Some(value.clone()),
        Expr::Alias(alias) => literal(&alias.expr),
        _ => None,
    }
}

/// Lowers [`RelationFunctionNode`] to [`RelationFunctionExec`].
#[derive(Debug)]
pub struct RelationFunctionPlanner {
    compute: Arc<Compute>,
}

impl RelationFunctionPlanner {
    /// A planner whose operators compute on `compute`.
    pub fn new(compute: Arc<Compute>) -> Self {
        Self { compute }
    }
}

#[async_trait]
impl ExtensionPlanner for RelationFunctionPlanner {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        planning_ctx: &PhysicalPlanningContext,
    ) -> DataFusionResult<Option<Arc<dyn ExecutionPlan>>> {
        let Some(node) = node.as_any().downcast_ref::<RelationFunctionNode>() else {
            return Ok(None);
        };
        let nothing = DFSchema::empty();
        let row = RecordBatch::try_new_with_options(
            Arc::new(Schema::empty()),
            vec![],
            &RecordBatchOptions::new().with_row_count(Some(1)),
        )?;
        let mut values = Vec::with_capacity(node.scalars.len());
        for (_, expr) in &node.scalars {
            let value = match literal(expr) {
                Some(value) => value,
                None => {
                    let physical =
                        planner.create_physical_expr(expr, &nothing, session, planning_ctx)?;
                    let array = physical.evaluate(&row)?.into_array(1)?;
                    ScalarValue::try_from_array(&array, 0)?
                }
            };
            values.push(value);
        }
        let call = call(node.function, &node.scalars, &node.inputs, Some(values))?;
        node.function.bind(&call)?;
        Ok(Some(Arc::new(RelationFunctionExec::new(
            node.function,
            Arc::new(call),
            physical_inputs.to_vec(),
            Arc::clone(&node.binding.schema),
            Arc::clone(&self.compute),
        ))))
    }
}

/// Reads the inputs, runs the function, streams its rows.
#[derive(Debug)]
pub struct RelationFunctionExec {
    function: &'static dyn RelationFunction,
    call: Arc<Call>,
    inputs: Vec<Arc<dyn ExecutionPlan>>,
    schema: SchemaRef,
    compute: Arc<Compute>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl RelationFunctionExec {
    fn new(
        function: &'static dyn RelationFunction,
        call: Arc<Call>,
        inputs: Vec<Arc<dyn ExecutionPlan>>,
        schema: SchemaRef,
        compute: Arc<Compute>,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self {
            function,
            call,
            inputs,
            schema,
            compute,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }
}

impl DisplayAs for RelationFunctionExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let signature = self.function.signature();
        write!(f, "RelationFunctionExec: {}(", signature.qualified_name())?;
        let mut separator = "";
        for (parameter, argument) in signature.parameters.iter().zip(&self.call.arguments) {
            if let Argument::Value(value) = argument {
                write!(f, "{separator}{} => {value}", parameter.name)?;
                separator = ", ";
            }
        }
        write!(f, ")")
    }
}

impl ExecutionPlan for RelationFunctionExec {
    fn name(&self) -> &str {
        "RelationFunctionExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inputs.iter().collect()
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::new(
            self.function,
            Arc::clone(&self.call),
            children,
            Arc::clone(&self.schema),
            Arc::clone(&self.compute),
        )))
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
        vec![true; self.inputs.len()]
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> DataFusionResult<SendableRecordBatchStream> {
        let name = self.function.signature().qualified_name();
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let load_time = MetricBuilder::new(&self.metrics).subset_time("load_time", partition);
        let compute_time = MetricBuilder::new(&self.metrics).subset_time("compute_time", partition);
        let input_rows = MetricBuilder::new(&self.metrics).counter("input_rows", partition);
        let (output, receiver) = mpsc::channel(2);
        let cancelled = Arc::new(AtomicBool::new(false));
        let run = Run {
            compute: Arc::clone(&self.compute),
            cancelled: Arc::clone(&cancelled),
            memory: MemoryConsumer::new(name.clone()).register(context.memory_pool()),
            output: output.clone(),
            schema: Arc::clone(&self.schema),
            steps: MetricBuilder::new(&self.metrics).counter("steps", partition),
            peak_bytes: MetricBuilder::new(&self.metrics).gauge("peak_bytes", partition),
            held: Arc::default(),
            function: name.clone(),
            batch_rows: context.session_config().batch_size(),
        };
        let function = self.function;
        let call = Arc::clone(&self.call);
        let children = self.inputs.clone();
        let task = SpawnedTask::spawn(async move {
            let work = async {
                let timer = load_time.timer();
                let mut inputs = Vec::with_capacity(children.len());
                for child in children {
                    let input = read(child, &context, &run).await?;
                    input_rows.add(input.rows());
                    inputs.push(input);
                }
                drop(timer);
                tokio::task::spawn_blocking(move || {
                    let _timer = compute_time.timer();
                    function.run(&call, &inputs, &run)
                })
                .await
                .map_err(|error| Error::internal(format!("{name} stopped: {error}")))??;
                DataFusionResult::Ok(())
            };
            if let Err(error) = work.await {
                // A reader that has gone away needs no error.
                let _ = output.send(Err(error)).await;
            }
        });
        Ok(Box::pin(OutputStream {
            schema: Arc::clone(&self.schema),
            receiver,
            cancelled,
            baseline,
            _task: task,
        }))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// Reads all partitions of a plan at once, charging each batch to the call's reservation.
async fn read(
    plan: Arc<dyn ExecutionPlan>,
    context: &Arc<TaskContext>,
    run: &Run,
) -> DataFusionResult<Input> {
    let schema = plan.schema();
    let partitions = plan.output_partitioning().partition_count();
    let (sender, mut batches) = mpsc::channel(2 * partitions.max(1));
    let mut tasks = JoinSet::new();
    for partition in 0..partitions {
        let mut stream = plan.execute(partition, Arc::clone(context))?;
        let sender = sender.clone();
        tasks.spawn(async move {
            while let Some(batch) = stream.next().await {
                if sender.send((partition, batch)).await.is_err() {
                    break;
                }
            }
        });
    }
    drop(sender);
    let mut collected: Vec<Vec<RecordBatch>> = vec![Vec::new(); partitions];
    // Batches may be slices of one larger batch, whose memory is there once.
    let mut counter = RecordBatchMemoryCounter::new();
    while let Some((partition, batch)) = batches.recv().await {
        let batch = batch?;
        run.reserve(counter.count_batch(&batch))?;
        if let Some(slot) = collected.get_mut(partition) {
            slot.push(batch);
        }
    }
    while let Some(finished) = tasks.join_next().await {
        finished.map_err(|error| Error::internal(format!("reading an input stopped: {error}")))?;
    }
    Ok(Input::new(
        schema,
        collected.into_iter().flatten().collect(),
    ))
}

/// The rows as they come; dropping it cancels the call.
struct OutputStream {
    schema: SchemaRef,
    receiver: mpsc::Receiver<DataFusionResult<RecordBatch>>,
    cancelled: Arc<AtomicBool>,
    baseline: BaselineMetrics,
    _task: SpawnedTask<()>,
}

impl Stream for OutputStream {
    type Item = DataFusionResult<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let poll = self.receiver.poll_recv(context);
        self.baseline.record_poll(poll)
    }
}

impl RecordBatchStream for OutputStream {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

impl Drop for OutputStream {
    fn drop(&mut self) {
        self.cancelled.store(true, Atomic::Relaxed);
    }
}

/// Whether an expression refers to a column, which a relation function's argument must not.
pub fn refers_to_columns(expr: &Expr) -> bool {
    expr.exists(|part| {
        Ok(matches!(
            part,
            Expr::Column(_) | Expr::OuterReferenceColumn(..)
        ))
    })
    .unwrap_or(true)
}
