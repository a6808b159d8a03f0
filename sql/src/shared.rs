//! A WITH query that is computed once although it is read several times.
//!
//! The engine plans a WITH query anew wherever it is named, so that `random()` in it gives other values each time, and a
//! relation function runs again. As in PostgreSQL, a query that is read more than once and is volatile, or MATERIALIZED,
//! is computed once; so is one that calls a relation function. [`mark`] marks the candidates in the syntax tree,
//! [`SharedPlanner`] decides with the plan at hand, and the operator keeps the rows for as long as the statement runs, in
//! memory that the statement's limit counts.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::ControlFlow;
use std::sync::{Arc, Weak};

use arrow::array::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::utils::memory::get_record_batch_memory_size;
use datafusion::common::{DFSchemaRef, Result, internal_err};
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{
    Expr, Extension, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore,
};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties,
    Partitioning, PlanProperties, ReplaceChildrenOptions, execute_stream_partitioned,
};
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use futures::{StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;
use sqlparser::ast::{
    Cte, CteAsMaterialized, Query, Select, SetExpr, TableAlias, TableFactor, Visit, Visitor,
};
use tokio::sync::OnceCell;
use tokio::task::JoinSet;
use tributary_udfs::plan::RelationFunctionNode;

use crate::relation::normalise;
use crate::rewrite::select_all;

/// The alias of a query that is to be computed once if it need be. No user can write such a name.
const ONCE_IF_VOLATILE: &str = "\0once if volatile";

/// The alias of a query that is to be computed once.
const ONCE: &str = "\0once";

/// Marks the WITH queries of `query` that are read several times.
pub fn mark(query: &mut Query) {
    let Some(with) = &query.with else {
        return;
    };
    if with.recursive {
        return;
    }
    let aliases: Vec<Option<&'static str>> = with
        .cte_tables
        .iter()
        .map(|cte| match cte.materialized {
            Some(CteAsMaterialized::NotMaterialized) => None,
            _ if references(query, cte) < 2 => None,
            Some(CteAsMaterialized::Materialized) => Some(ONCE),
            None => Some(ONCE_IF_VOLATILE),
        })
        .collect();
    let Some(with) = &mut query.with else {
        return;
    };
    for (cte, alias) in with.cte_tables.iter_mut().zip(aliases) {
        if let Some(alias) = alias {
            enclose(&mut cte.query, alias);
        }
    }
}

/// `query` to `SELECT * FROM (query) AS "alias"`.
fn enclose(query: &mut Query, alias: &str) {
    if let SetExpr::Select(select) = query.body.as_ref()
        && marked(select).is_some()
    {
        return;
    }
    select_all(query, alias);
}

fn marked(select: &Select) -> Option<&TableAlias> {
    match select.from.as_slice() {
        [only] => match &only.relation {
            TableFactor::Derived { alias, .. } => alias
                .as_ref()
                .filter(|alias| matches!(alias.name.value.as_str(), ONCE | ONCE_IF_VOLATILE)),
            _ => None,
        },
        _ => None,
    }
}

/// How often a WITH query may be named within the query that it belongs to.
fn references(query: &Query, cte: &Cte) -> usize {
    struct Counter {
        name: String,
        found: usize,
    }
    impl Visitor for Counter {
        type Break = ();

        fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
            if let TableFactor::Table {
                name, args: None, ..
            } = factor
                && let [only] = name.0.as_slice()
                && only
                    .as_ident()
                    .is_some_and(|name| normalise(name) == self.name)
            {
                self.found += 1;
            }
            ControlFlow::Continue(())
        }
    }
    let mut counter = Counter {
        name: normalise(&cte.alias.name),
        found: 0,
    };
    // The visitor never breaks off.
    let _ = query.visit(&mut counter);
    counter.found
}

/// Plans what [`mark`] has marked.
#[derive(Debug)]
pub struct SharedPlanner;

impl RelationPlanner for SharedPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let marked = match &relation {
            TableFactor::Derived {
                alias: Some(alias), ..
            } => match alias.name.value.as_str() {
                ONCE => Some(true),
                ONCE_IF_VOLATILE => Some(false),
                _ => None,
            },
            _ => None,
        };
        let (
            Some(always),
            TableFactor::Derived {
                lateral, subquery, ..
            },
        ) = (marked, &relation)
        else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let plan = context.plan(TableFactor::Derived {
            lateral: *lateral,
            subquery: subquery.clone(),
            alias: None,
            sample: None,
        })?;
        // What refers to an outer query has other values for each of its rows.
        let once = plan.all_out_ref_exprs().is_empty() && (always || varies(&plan)?);
        let plan = if once {
            LogicalPlan::Extension(Extension {
                node: Arc::new(SharedNode {
                    input: plan,
                    rows: Arc::default(),
                }),
            })
        } else {
            plan
        };
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(
            plan, None,
        ))))
    }
}

/// Whether a plan may give other rows when it is run again, or calls a relation function, which is dear.
fn varies(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Extension(extension) = node {
            found |= extension.node.as_any().is::<RelationFunctionNode>();
        }
        node.apply_expressions(|expr| {
            found |= expr.is_volatile();
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(if found {
            TreeNodeRecursion::Stop
        } else {
            TreeNodeRecursion::Continue
        })
    })?;
    Ok(found)
}

/// A query whose rows are computed once for all of its copies in a plan.
#[derive(Debug, Clone)]
struct SharedNode {
    input: LogicalPlan,
    rows: Arc<Shared>,
}

impl PartialEq for SharedNode {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.rows, &other.rows) && self.input == other.input
    }
}

impl Eq for SharedNode {}

impl Hash for SharedNode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.input.hash(state);
    }
}

impl PartialOrd for SharedNode {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        self.input
            .partial_cmp(&other.input)
            .filter(|order| order.is_ne() || self == other)
    }
}

impl UserDefinedLogicalNodeCore for SharedNode {
    fn name(&self) -> &str {
        "Shared"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    /// Every copy reads the same rows, so that no condition of one of them goes below.
    fn prevent_predicate_push_down_columns(&self) -> std::collections::HashSet<String> {
        let fields = self.input.schema().fields().iter();
        fields.map(|field| field.name().clone()).collect()
    }

    fn necessary_children_exprs(&self, _output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![(0..self.input.schema().fields().len()).collect()])
    }

    fn fmt_for_explain(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("Shared")
    }

    fn with_exprs_and_inputs(
        &self,
        _exprs: Vec<Expr>,
        mut inputs: Vec<LogicalPlan>,
    ) -> Result<Self> {
        match (inputs.pop(), inputs.is_empty()) {
            (Some(input), true) => Ok(Self {
                input,
                rows: Arc::clone(&self.rows),
            }),
            _ => internal_err!("a shared query has one input"),
        }
    }
}

/// The planner of the operator of shared queries.
pub fn extension_planner() -> Arc<dyn ExtensionPlanner + Send + Sync> {
    Arc::new(SharedExecPlanner)
}

struct SharedExecPlanner;

#[async_trait]
impl ExtensionPlanner for SharedExecPlanner {
    async fn plan_extension(
        &self,
        _planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        _session: &dyn Session,
        _planning: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(node) = node.as_any().downcast_ref::<SharedNode>() else {
            return Ok(None);
        };
        let [input] = physical_inputs else {
            return internal_err!("a shared query has one input");
        };
        Ok(Some(Arc::new(SharedExec::new(
            Arc::clone(input),
            Arc::clone(&node.rows),
        ))))
    }
}

/// The rows of a shared query in the execution that is under way.
#[derive(Debug, Default)]
struct Shared {
    current: Mutex<Option<(Weak<TaskContext>, Arc<OnceCell<Rows>>)>>,
}

/// The rows of each partition, and the memory they take.
#[derive(Debug)]
struct Rows {
    partitions: Vec<Vec<RecordBatch>>,
    _memory: MemoryReservation,
}

impl Shared {
    /// The rows of the execution that `context` belongs to, computed or not.
    fn rows(&self, context: &Arc<TaskContext>) -> Arc<OnceCell<Rows>> {
        let mut current = self.current.lock();
        if let Some((of, rows)) = current.as_ref()
            && std::ptr::eq(of.as_ptr(), Arc::as_ptr(context))
        {
            return Arc::clone(rows);
        }
        let rows = Arc::new(OnceCell::new());
        *current = Some((Arc::downgrade(context), Arc::clone(&rows)));
        rows
    }
}

/// The operator of [`SharedNode`]: the first copy that is read computes the rows for all.
#[derive(Debug)]
struct SharedExec {
    input: Arc<dyn ExecutionPlan>,
    rows: Arc<Shared>,
    properties: Arc<PlanProperties>,
}

impl SharedExec {
    fn new(input: Arc<dyn ExecutionPlan>, rows: Arc<Shared>) -> Self {
        let partitions = input.output_partitioning().partition_count();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(input.schema()),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self {
            input,
            rows,
            properties: Arc::new(properties),
        }
    }
}

impl DisplayAs for SharedExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedExec")
    }
}

impl ExecutionPlan for SharedExec {
    fn name(&self) -> &str {
        "SharedExec"
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
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self::new(input, Arc::clone(&self.rows)))),
            _ => internal_err!("a shared query has one input"),
        }
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
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let rows = self.rows.rows(&context);
        let input = Arc::clone(&self.input);
        let partitions = self.properties.partitioning.partition_count();
        let batches = stream::once(async move {
            let rows = rows.get_or_try_init(|| compute(input, context)).await?;
            // Another copy may have been planned with more partitions than this one.
            let own = rows.partitions.iter().skip(partition).step_by(partitions);
            let batches: Vec<RecordBatch> = own.flatten().cloned().collect();
            Ok::<_, DataFusionError>(stream::iter(batches).map(Ok))
        })
        .try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            self.schema(),
            batches,
        )))
    }
}

async fn compute(input: Arc<dyn ExecutionPlan>, context: Arc<TaskContext>) -> Result<Rows> {
    let memory =
        MemoryConsumer::new("WITH query read more than once").register(context.memory_pool());
    let memory = Arc::new(Mutex::new(memory));
    let mut tasks: JoinSet<Result<(usize, Vec<RecordBatch>)>> = JoinSet::new();
    for (partition, mut rows) in execute_stream_partitioned(input, context)?
        .into_iter()
        .enumerate()
    {
        let memory = Arc::clone(&memory);
        tasks.spawn(async move {
            let mut batches = Vec::new();
            while let Some(batch) = rows.next().await {
                let batch = batch?;
                memory
                    .lock()
                    .try_grow(get_record_batch_memory_size(&batch))?;
                batches.push(batch);
            }
            Ok((partition, batches))
        });
    }
    let mut partitions = vec![Vec::new(); tasks.len()];
    while let Some(done) = tasks.join_next().await {
        let (partition, batches) = match done {
            Ok(done) => done?,
            Err(error) => return internal_err!("a shared query has ended early: {error}"),
        };
        if let Some(slot) = partitions.get_mut(partition) {
            *slot = batches;
        }
    }
    drop(tasks);
    match Arc::try_unwrap(memory) {
        Ok(memory) => Ok(Rows {
            partitions,
            _memory: memory.into_inner(),
        }),
        Err(_) => internal_err!("a shared query is still being computed"),
    }
}
