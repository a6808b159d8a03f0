//! Relation functions planned and run by the engine, over tables in memory.
//!
//! [`Engine`] runs calls with the parallelism, batch size and memory it is given; [`Called`] builds
//! one. A test reads `check(call, expected rows)`.

mod engine;
mod fusion;
mod matrices;
mod ranking;
mod recommend;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::util::display::array_value_to_string;
use async_trait::async_trait;
use datafusion::catalog::{MemTable, Session};
use datafusion::common::Result as DataFusionResult;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::provider_as_source;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::{QueryPlanner, SessionConfig, SessionContext};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, LogicalPlanBuilder, lit};
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};
use tokio::runtime::Runtime;

use crate::model::{MODEL_TAG, ModelInfo};
use crate::plan::{NodeInput, RelationFunctionNode, RelationFunctionPlanner};
use crate::run::Compute;
use crate::{Error, Kind, Result, functions};

/// An engine that knows the relation functions.
pub struct Engine {
    context: SessionContext,
    runtime: Runtime,
    partitions: usize,
    batch_rows: usize,
}

impl Default for Engine {
    fn default() -> Self {
        Self::new(2, 8192, None)
    }
}

impl Engine {
    /// Tables lie in `partitions` partitions of batches of `batch_rows` rows; memory is limited to
    /// `memory` bytes.
    pub fn new(partitions: usize, batch_rows: usize, memory: Option<usize>) -> Self {
        let mut environment = RuntimeEnvBuilder::new();
        if let Some(bytes) = memory {
            environment = environment.with_memory_limit(bytes, 1.0);
        }
        let state = SessionStateBuilder::new()
            .with_config(
                SessionConfig::new()
                    .with_target_partitions(partitions)
                    .with_batch_size(batch_rows),
            )
            .with_runtime_env(Arc::new(environment.build().unwrap()))
            .with_default_features()
            .with_query_planner(Arc::new(Planner(Arc::new(
                Compute::new(partitions).unwrap(),
            ))))
            .build();
        Self {
            context: SessionContext::new_with_state(state),
            runtime: Runtime::new().unwrap(),
            partitions,
            batch_rows,
        }
    }

    /// A call of `schema.name`.
    pub fn call(&self, name: &str) -> Called<'_> {
        let (schema, name) = name.split_once('.').unwrap();
        Called {
            engine: self,
            function: functions::find(schema, name).unwrap(),
            scalars: Vec::new(),
            inputs: Vec::new(),
        }
    }

    /// Runs a plan to its end.
    pub fn collect(&self, plan: LogicalPlan) -> Result<RecordBatch> {
        let schema: SchemaRef = Arc::clone(plan.schema().inner());
        let frame = DataFrame::new(self.context.state(), plan);
        let batches = self.runtime.block_on(frame.collect())?;
        for batch in &batches {
            assert!(batch.num_rows() <= self.batch_rows);
        }
        Ok(concat_batches(&schema, &batches).unwrap())
    }

    /// The physical plan of a plan.
    pub fn physical(&self, plan: LogicalPlan) -> Arc<dyn ExecutionPlan> {
        let frame = DataFrame::new(self.context.state(), plan);
        self.runtime.block_on(frame.create_physical_plan()).unwrap()
    }

    fn table(&self, rows: &RecordBatch) -> MemTable {
        let mut partitions = vec![Vec::new(); self.partitions];
        let mut start = 0;
        let mut at = 0;
        while start < rows.num_rows() {
            let length = self.batch_rows.min(rows.num_rows() - start);
            partitions[at % self.partitions].push(rows.slice(start, length));
            start += length;
            at += 1;
        }
        MemTable::try_new(rows.schema(), partitions).unwrap()
    }
}

#[derive(Debug)]
struct Planner(Arc<Compute>);

#[async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        session: &dyn Session,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(
            RelationFunctionPlanner::new(Arc::clone(&self.0)),
        )])
        .create_physical_plan(plan, session)
        .await
    }
}

/// A call that is being put together.
#[derive(Clone)]
pub struct Called<'a> {
    engine: &'a Engine,
    function: &'static dyn crate::function::RelationFunction,
    scalars: Vec<(usize, Expr)>,
    inputs: Vec<NodeInput>,
}

impl Called<'_> {
    /// Gives an argument as a literal.
    pub fn with(self, name: &str, value: impl datafusion::logical_expr::Literal) -> Self {
        self.expression(name, lit(value))
    }

    /// Gives an argument as an expression.
    pub fn expression(mut self, name: &str, expr: Expr) -> Self {
        let (position, _) = self.function.signature().parameter(name).unwrap();
        self.scalars.push((position, expr));
        self
    }

    /// Gives a relation.
    pub fn over(self, name: &str, rows: &RecordBatch) -> Self {
        self.input(name, rows, None)
    }

    /// Gives a model table, as `model` says it was made.
    pub fn model(self, name: &str, model: &Model) -> Self {
        let info = ModelInfo::from_tag(&model.tag).unwrap();
        self.input(name, &model.rows, Some(info))
    }

    fn input(mut self, name: &str, rows: &RecordBatch, model: Option<ModelInfo>) -> Self {
        let (parameter, _) = self.function.signature().parameter(name).unwrap();
        let table = provider_as_source(Arc::new(self.engine.table(rows)));
        let plan = LogicalPlanBuilder::scan(format!("given_as_{name}"), table, None)
            .unwrap()
            .build()
            .unwrap();
        self.inputs.push(NodeInput {
            parameter,
            label: format!("relation \"given_as_{name}\""),
            model,
            plan,
        });
        self
    }

    /// The call as a node of a plan.
    pub fn node(&self) -> Result<RelationFunctionNode> {
        RelationFunctionNode::try_new(self.function, self.scalars.clone(), self.inputs.clone())
    }

    /// The call as a plan.
    pub fn plan(&self) -> Result<LogicalPlan> {
        Ok(LogicalPlan::Extension(Extension {
            node: Arc::new(self.node()?),
        }))
    }

    /// The rows of the result.
    pub fn rows(&self) -> Result<RecordBatch> {
        self.engine.collect(self.plan()?)
    }

    /// The rows of the result as text, values with `|` between them, in the order they came in.
    pub fn lines(&self) -> Vec<String> {
        lines(&self.rows().unwrap())
    }

    /// The result as a model.
    pub fn train(&self) -> Model {
        let node = self.node().unwrap();
        let tag = node.tags().iter().find(|(name, _)| name == MODEL_TAG);
        Model {
            tag: tag.unwrap().1.clone(),
            rows: self.rows().unwrap(),
        }
    }

    /// The call's error, from planning or from running.
    #[track_caller]
    pub fn error(&self) -> Error {
        match self.rows() {
            Ok(rows) => panic!("no error, but {:?}", lines(&rows)),
            Err(error) => error,
        }
    }

    /// Starts the call.
    pub fn start(&self) -> SendableRecordBatchStream {
        let plan = self.engine.physical(self.plan().unwrap());
        let context = self.engine.context.task_ctx();
        self.engine
            .runtime
            .block_on(async { plan.execute(0, context).unwrap() })
    }
}

/// A model table in memory.
#[derive(Clone)]
pub struct Model {
    pub tag: String,
    pub rows: RecordBatch,
}

/// Rows as text, values with `|` between them and NULL as nothing.
pub fn lines(rows: &RecordBatch) -> Vec<String> {
    (0..rows.num_rows())
        .map(|row| {
            let value = |column: &ArrayRef| match column.is_null(row) {
                true => String::new(),
                false => array_value_to_string(column, row).unwrap(),
            };
            let values: Vec<String> = rows.columns().iter().map(value).collect();
            values.join("|")
        })
        .collect()
}

/// The rows of `rows` in another order, fixed by `seed`.
pub fn shuffled(rows: &RecordBatch, seed: u64) -> RecordBatch {
    let mut order: Vec<u32> = (0..rows.num_rows() as u32).collect();
    order.sort_by_key(|row| xxhash_rust::xxh3::xxh3_64_with_seed(&row.to_le_bytes(), seed));
    take_record_batch(rows, &arrow::array::UInt32Array::from(order)).unwrap()
}

/// Asserts that what `call` makes of an engine and a permutation of rows does not depend on either.
#[track_caller]
pub fn check_invariant(
    call: impl Fn(&Engine, &dyn Fn(&RecordBatch) -> RecordBatch) -> Vec<String>,
) {
    let expected = call(&Engine::new(1, 8192, None), &|rows| rows.clone());
    assert!(!expected.is_empty());
    for (partitions, batch_rows, seed) in [(2, 8192, 1), (3, 7, 2), (1, 1, 3), (3, 64, 4)] {
        let engine = Engine::new(partitions, batch_rows, None);
        let found = call(&engine, &|rows| shuffled(rows, seed));
        assert_eq!(
            found, expected,
            "{partitions} partitions, {batch_rows} rows"
        );
    }
}

/// Asserts an error's kind and that its message holds all of `parts`.
#[track_caller]
pub fn check_error(error: &Error, kind: Kind, parts: &[&str]) {
    assert_eq!(error.kind, kind, "{error:?}");
    for part in parts {
        assert!(error.message.contains(part), "{part}: {error:?}");
    }
    let first = error.message.chars().next().unwrap();
    assert!(!first.is_uppercase(), "{error}");
    assert!(!error.message.ends_with('.'), "{error}");
    for sentence in [&error.detail, &error.hint].into_iter().flatten() {
        assert!(sentence.ends_with('.'), "{sentence}");
    }
}

/// A table of the given columns.
pub fn table<const N: usize>(columns: [(&str, ArrayRef); N]) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, values)| (name, values, true)))
        .unwrap()
}

/// A column of text; "" stays what it is.
pub fn text<'a>(values: impl IntoIterator<Item = &'a str>) -> ArrayRef {
    Arc::new(arrow::array::StringArray::from_iter_values(values))
}

/// A column of text with NULLs.
pub fn nullable<'a>(values: impl IntoIterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(arrow::array::StringArray::from_iter(values))
}

/// A column of whole numbers.
pub fn whole(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(arrow::array::Int64Array::from_iter_values(values))
}

/// A column of numbers.
pub fn numbers(values: impl IntoIterator<Item = f64>) -> ArrayRef {
    Arc::new(arrow::array::Float64Array::from_iter_values(values))
}

/// The same column in another type.
pub fn as_type(column: &ArrayRef, data_type: &DataType) -> ArrayRef {
    arrow::compute::cast(column, data_type).unwrap()
}
