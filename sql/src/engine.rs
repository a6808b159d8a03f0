//! The engine's state as every session starts from it: functions, rules, planners, limits.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::Result as DataFusionResult;
use datafusion::execution::context::{QueryPlanner, SessionConfig};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};
use tributary_udfs::plan::RelationFunctionPlanner;
use tributary_udfs::run::Compute;

use crate::write::WritePlanner;
use crate::{apply, exact, rewrite, shared};

/// The state from which sessions are cloned.
pub fn session_state(
    runtime: Arc<RuntimeEnv>,
    compute: Arc<Compute>,
    threads: usize,
) -> SessionState {
    let mut config = SessionConfig::new()
        .with_target_partitions(threads)
        .with_information_schema(false);
    let options = config.options_mut();
    options.execution.time_zone = Some("UTC".to_owned());
    options.execution.collect_statistics = true;
    options.sql_parser.dialect = datafusion::common::config::Dialect::PostgreSQL;
    options.optimizer.skip_failed_rules = false;
    let mut builder = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_default_features()
        .with_analyzer_rule(exact::analyzer_rule())
        .with_analyzer_rule(apply::analyzer_rule())
        .with_query_planner(Arc::new(EnginePlanner { compute }));
    // Before the engine's own, which take a literal as text.
    builder
        .expr_planners()
        .get_or_insert_default()
        .insert(0, rewrite::expr_planner());
    for function in tributary_udfs::scalars::all() {
        builder
            .scalar_functions()
            .get_or_insert_default()
            .push(function);
    }
    builder
        .aggregate_functions()
        .get_or_insert_default()
        .push(exact::sum());
    for function in builder.window_functions().get_or_insert_default() {
        *function = exact::window(Arc::clone(function));
    }
    builder.build()
}

/// Plans physically, knowing our own nodes.
#[derive(Debug)]
struct EnginePlanner {
    compute: Arc<Compute>,
}

#[async_trait]
impl QueryPlanner for EnginePlanner {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        session: &dyn Session,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let extensions: Vec<Arc<dyn ExtensionPlanner + Send + Sync>> = vec![
            Arc::new(RelationFunctionPlanner::new(Arc::clone(&self.compute))),
            Arc::new(WritePlanner),
            apply::extension_planner(),
            shared::extension_planner(),
        ];
        DefaultPhysicalPlanner::with_extension_planners(extensions)
            .create_physical_plan(plan, session)
            .await
    }
}
