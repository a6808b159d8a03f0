//! Names and plans: one statement's view of the warehouse while it is planned.
//!
//! A [`Planner`] is made for each statement from one catalog snapshot; everything it answers comes
//! from memory, so planning does no I/O. Views are planned in place, each with its own names.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arrow::datatypes::{DataType, FieldRef, SchemaRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::{Result as DataFusionResult, TableReference};
use datafusion::datasource::cte_worktable::CteWorkTable;
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::planner::{
    ContextProvider, ExprPlanner, RelationPlanner, TypePlanner,
};
use datafusion::logical_expr::{
    AggregateUDF, Expr, HigherOrderUDF, LogicalPlan, LogicalPlanBuilder, ScalarUDF, TableSource,
    Volatility, WindowUDF,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::analyzer::type_coercion::TypeCoercion;
use datafusion::sql::planner::{NullOrdering, ParserOptions, PlannerContext, SqlToRel};
use sqlparser::ast::Statement;
use tributary_catalog::{Relation, Snapshot, View, Warehouse};

use crate::error::{Condition, Error, Report, Result};
use crate::joins::JoinPlanner;
use crate::names::name_columns;
use crate::parse::parse;
use crate::provider::table_provider;
use crate::relation::{FunctionPlanner, canonicalise};
use crate::rewrite::{convert, read_texts, rewrite, with_arrays};
use crate::shared::SharedPlanner;
use crate::system::{self, SystemEnv, SystemRelation};
use crate::types::PgTypePlanner;

/// The name of the one database.
pub const DATABASE: &str = "tributary";

/// How deeply views may stand on views.
const VIEW_DEPTH_MAX: usize = 64;

/// Plans one statement against one snapshot.
pub struct Planner {
    state: Arc<SessionState>,
    warehouse: Warehouse,
    snapshot: Arc<Snapshot>,
    system: Arc<SystemEnv>,
    functions: Arc<HashMap<String, Arc<ScalarUDF>>>,
    search_path: Vec<String>,
    relation_planners: Vec<Arc<dyn RelationPlanner>>,
    type_planner: Arc<dyn TypePlanner>,
    view_depth: AtomicUsize,
    /// Whether a plan made here holds for this statement only; shared with the planners of views.
    momentary: Arc<AtomicBool>,
}

impl Planner {
    /// A planner over `snapshot` for the session that `system` describes.
    pub fn new(
        state: Arc<SessionState>,
        warehouse: Warehouse,
        snapshot: Arc<Snapshot>,
        system: Arc<SystemEnv>,
        functions: Arc<HashMap<String, Arc<ScalarUDF>>>,
    ) -> Self {
        let search_path = system.search_path.clone();
        Self {
            state,
            warehouse,
            snapshot,
            system,
            functions,
            search_path,
            relation_planners: vec![
                Arc::new(SharedPlanner),
                Arc::new(JoinPlanner),
                Arc::new(FunctionPlanner),
            ],
            type_planner: Arc::new(PgTypePlanner),
            view_depth: AtomicUsize::new(0),
            momentary: Arc::default(),
        }
    }

    /// The snapshot that names are looked up in.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// The warehouse the statement belongs to.
    pub fn warehouse(&self) -> &Warehouse {
        &self.warehouse
    }

    /// The engine's state: functions, options, runtime.
    pub fn state(&self) -> &Arc<SessionState> {
        &self.state
    }

    /// The functions of the system catalog, by name.
    pub fn functions(&self) -> &HashMap<String, Arc<ScalarUDF>> {
        &self.functions
    }

    /// Whether a plan made by this planner shows the session or the time as they were when it was made, so that another
    /// execution must plan again.
    pub fn is_momentary(&self) -> bool {
        self.momentary.load(Ordering::Relaxed)
    }

    /// The session's own facts.
    pub fn system(&self) -> &Arc<SystemEnv> {
        &self.system
    }

    /// Plans a query, EXPLAIN or another statement that the engine plans by itself.
    /// `parameters` are the declared types of `$1`, `$2`, ...; `None` where to be inferred.
    pub fn plan(
        &self,
        mut statement: Statement,
        parameters: &[Option<FieldRef>],
    ) -> Result<LogicalPlan> {
        canonicalise(&mut statement)?;
        name_columns(&mut statement);
        rewrite(&mut statement, &self.system)?;
        let parameters = with_arrays(&statement, parameters)?;
        let mut context = PlannerContext::new().with_prepare_param_data_types(parameters);
        let planner = SqlToRel::new_with_options(self, parser_options());
        let plan = planner.sql_statement_to_plan_with_context(statement, &mut context)?;
        self.coerced(convert(plan, &self.functions)?)
    }

    /// The plan with its operands brought to common types, so that the types of its result are known before it runs. A
    /// plan with parameters of unknown types waits for their values.
    ///
    /// # Errors
    /// For operands that have no common type.
    pub fn coerced(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let parameters = plan.get_parameter_fields()?;
        if parameters.values().any(Option::is_none) {
            return Ok(plan);
        }
        let plan = TypeCoercion::new().analyze(plan, self.state.config_options())?;
        read_texts(plan, &self.functions)
    }

    /// An expression without columns, such as a column's default.
    ///
    /// # Errors
    /// For what is not an expression, or refers to columns or parameters.
    pub fn constant(&self, text: &str) -> Result<Expr> {
        let mut parsed = parse(&format!("SELECT {text}"))?;
        let statement = match (parsed.pop(), parsed.is_empty()) {
            (Some(only), true) => only.statement,
            _ => {
                return Err(Report::new(
                    Condition::Syntax,
                    format!("\"{text}\" is not one expression"),
                )
                .into());
            }
        };
        match self.plan(statement, &[])? {
            LogicalPlan::Projection(mut projection) if projection.expr.len() == 1 => {
                let expr = projection.expr.remove(0).unalias();
                if tributary_udfs::plan::refers_to_columns(&expr) {
                    return Err(Report::new(
                        Condition::FeatureNotSupported,
                        "cannot use a column reference in a default expression",
                    )
                    .into());
                }
                Ok(expr)
            }
            _ => Err(Report::new(
                Condition::Syntax,
                format!("\"{text}\" is not one expression"),
            )
            .into()),
        }
    }

    /// The schema in which an unqualified name is created: the first of the search path that
    /// exists.
    pub fn creation_schema(&self) -> Result<&str> {
        self.search_path
            .iter()
            .find(|schema| self.snapshot.schema(schema).is_some())
            .map(String::as_str)
            .ok_or_else(|| {
                Report::new(
                    Condition::UndefinedSchema,
                    "no schema has been selected to create in",
                )
                .hint("Name the schema, or set search_path to one that exists.")
                .into()
            })
    }

    /// The relation a possibly unqualified name stands for, and its schema's name.
    pub fn find(&self, name: &TableReference) -> Result<Option<(String, &Relation)>> {
        check_database(name)?;
        if let Some(schema) = name.schema() {
            return Ok(self
                .snapshot
                .relation(schema, name.table())
                .map(|relation| (schema.to_owned(), relation)));
        }
        Ok(self.search_path.iter().find_map(|schema| {
            self.snapshot
                .relation(schema, name.table())
                .map(|relation| (schema.clone(), relation))
        }))
    }

    /// Refuses names in another database.
    pub fn check_name(&self, name: &TableReference) -> Result<()> {
        check_database(name)
    }

    /// The schema in which an unqualified name is found, system relations included.
    pub fn schema_of(&self, name: &TableReference) -> Result<Option<String>> {
        if system::relation("pg_catalog", name.table(), &self.system).is_some() {
            return Ok(Some("pg_catalog".to_owned()));
        }
        Ok(self.find(name)?.map(|(schema, _)| schema))
    }

    /// Plans a view's query; its names are qualified, whatever the caller's search path.
    ///
    /// # Errors
    /// Where it reads what is no longer there.
    pub fn view_plan(&self, schema: &str, view: &View) -> Result<LogicalPlan> {
        let depth = self.view_depth.load(Ordering::Relaxed);
        if depth >= VIEW_DEPTH_MAX {
            return Err(Report::new(
                Condition::StatementTooComplex,
                format!("view \"{schema}.{}\" stands on too many views", view.name),
            )
            .detail(format!("At most {VIEW_DEPTH_MAX} may be stacked."))
            .into());
        }
        self.view_depth.store(depth + 1, Ordering::Relaxed);
        let plan = self
            .view_plan_within(schema, view)
            .map_err(Error::elsewhere);
        self.view_depth.store(depth, Ordering::Relaxed);
        plan
    }

    fn view_plan_within(&self, schema: &str, view: &View) -> Result<LogicalPlan> {
        let mut parsed = parse(&view.sql)?;
        let (Some(only), true) = (parsed.pop(), parsed.is_empty()) else {
            return Err(Report::new(
                Condition::Internal,
                format!("view \"{schema}.{}\" is not one statement", view.name),
            )
            .into());
        };
        let inner = Planner {
            state: Arc::clone(&self.state),
            warehouse: self.warehouse.clone(),
            snapshot: Arc::clone(&self.snapshot),
            system: Arc::clone(&self.system),
            functions: Arc::clone(&self.functions),
            search_path: vec![schema.to_owned()],
            relation_planners: self.relation_planners.clone(),
            type_planner: Arc::clone(&self.type_planner),
            view_depth: AtomicUsize::new(self.view_depth.load(Ordering::Relaxed)),
            momentary: Arc::clone(&self.momentary),
        };
        let plan = inner.plan(only.statement, &[])?;
        rename_columns(plan, &view.column_aliases)
    }

    fn system_source(&self, schema: &str, name: &str) -> Result<Option<Arc<dyn TableSource>>> {
        let Some(relation) = system::relation(schema, name, &self.system) else {
            return Ok(None);
        };
        self.momentary.store(true, Ordering::Relaxed);
        match relation {
            SystemRelation::Table(provider) => Ok(Some(provider_as_source(provider))),
            SystemRelation::View(sql) => {
                let mut parsed = parse(&sql)?;
                let statement = parsed
                    .pop()
                    .ok_or_else(|| Report::new(Condition::Internal, "a system view has no query"))?
                    .statement;
                let plan = self.plan(statement, &[]).map_err(Error::elsewhere)?;
                Ok(Some(provider_as_source(Arc::new(ViewTable::new(
                    plan, None,
                )))))
            }
        }
    }

    fn source(&self, name: &TableReference) -> Result<Arc<dyn TableSource>> {
        check_database(name)?;
        let system_schemas: &[&str] = match name.schema() {
            None => &["pg_catalog"],
            Some(_) => &[],
        };
        for schema in name
            .schema()
            .into_iter()
            .chain(system_schemas.iter().copied())
        {
            if let Some(source) = self.system_source(schema, name.table())? {
                return Ok(source);
            }
        }
        match self.find(name)? {
            Some((_, Relation::Table(table))) => Ok(provider_as_source(table_provider(
                &self.warehouse,
                &self.snapshot,
                Arc::clone(table),
            )?)),
            Some((schema, Relation::View(view))) => {
                let plan = self.view_plan(&schema, view)?;
                Ok(provider_as_source(Arc::new(ViewTable::new(
                    plan,
                    Some(view.sql.clone()),
                ))))
            }
            None => Err(self.undefined(name).into()),
        }
    }

    /// The error for a relation that does not exist.
    pub fn undefined(&self, name: &TableReference) -> Report {
        Report::new(
            Condition::UndefinedTable,
            format!("relation \"{}\" does not exist", display(name)),
        )
    }
}

fn display(name: &TableReference) -> String {
    match name.schema() {
        Some(schema) => format!("{schema}.{}", name.table()),
        None => name.table().to_owned(),
    }
}

/// Refuses names in another database than the one there is.
fn check_database(name: &TableReference) -> Result<()> {
    match name.catalog() {
        Some(database) if database != DATABASE => Err(Report::new(
            Condition::FeatureNotSupported,
            format!(
                "cross-database references are not implemented: \"{database}.{}\"",
                display(name)
            ),
        )
        .hint(format!("The only database is \"{DATABASE}\"."))
        .into()),
        _ => Ok(()),
    }
}

/// Gives the first columns of a plan the names of `aliases`.
pub fn rename_columns(plan: LogicalPlan, aliases: &[String]) -> Result<LogicalPlan> {
    if aliases.is_empty() {
        return Ok(plan);
    }
    let columns = plan.schema().columns();
    if aliases.len() > columns.len() {
        return Err(Report::new(
            Condition::Syntax,
            "more column names are given than the query has columns",
        )
        .into());
    }
    let projection = columns.into_iter().enumerate().map(|(position, column)| {
        let expr = Expr::Column(column);
        match aliases.get(position) {
            Some(alias) => expr.alias(alias),
            None => expr,
        }
    });
    Ok(LogicalPlanBuilder::from(plan)
        .project(projection.collect::<Vec<_>>())?
        .build()?)
}

fn parser_options() -> ParserOptions {
    ParserOptions::new()
        .with_parse_float_as_decimal(true)
        .with_map_string_types_to_utf8view(false)
        .with_default_null_ordering(NullOrdering::NullsMax)
        .with_collect_spans(true)
}

impl ContextProvider for Planner {
    fn get_table_source(&self, name: TableReference) -> DataFusionResult<Arc<dyn TableSource>> {
        self.source(&name).map_err(Error::into)
    }

    fn get_table_function_source(
        &self,
        name: &str,
        args: Vec<Expr>,
    ) -> DataFusionResult<Arc<dyn TableSource>> {
        let Some(function) = self.state.table_functions().get(name) else {
            return Err(Report::new(
                Condition::UndefinedFunction,
                format!("function {name} does not exist in FROM"),
            )
            .hint("Relation functions are called with their schema, as in ml.kmeans(...).")
            .into());
        };
        let arguments = datafusion::catalog::TableFunctionArgs::new(&args, self.state.as_ref());
        Ok(provider_as_source(
            function.create_table_provider_with_args(arguments)?,
        ))
    }

    fn create_cte_work_table(
        &self,
        name: &str,
        schema: SchemaRef,
    ) -> DataFusionResult<Arc<dyn TableSource>> {
        Ok(provider_as_source(Arc::new(CteWorkTable::new(
            name, schema,
        ))))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.state.expr_planners()
    }

    fn get_relation_planners(&self) -> &[Arc<dyn RelationPlanner>] {
        &self.relation_planners
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(Arc::clone(&self.type_planner))
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        let function = self
            .functions
            .get(name)
            .or_else(|| self.state.scalar_functions().get(name))?;
        if function.signature().volatility == Volatility::Stable {
            self.momentary.store(true, Ordering::Relaxed);
        }
        Some(Arc::clone(function))
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.state.higher_order_functions().get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.state.aggregate_functions().get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.state.window_functions().get(name).cloned()
    }

    fn get_variable_type(&self, _variable_names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        let own = self.functions.keys();
        let mut names: Vec<String> = own
            .chain(self.state.scalar_functions().keys())
            .cloned()
            .collect();
        // The nearest name is suggested in errors; of several, always the same one.
        names.sort_unstable();
        names
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        self.state
            .higher_order_functions()
            .keys()
            .cloned()
            .collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.state.aggregate_functions().keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.state.window_functions().keys().cloned().collect()
    }
}
