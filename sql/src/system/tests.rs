//! A small warehouse to ask questions of, and the questions clients ask.

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, SchemaRef, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::execution::context::SessionContext;
use datafusion::execution::session_state::SessionState;
use datafusion::physical_plan::collect;
use tempfile::TempDir;
use tributary_catalog::{ColumnDef, CommentOn, TypeModifier, View, ViewDef, Warehouse};
use tributary_udfs::run::Compute;

use super::{Role, Setting, SystemEnv, ViewColumns};
use crate::engine::session_state;
use crate::parse::parse;
use crate::pgtype;
use crate::planner::Planner;
use crate::rewrite::present;

/// A warehouse with a table of every kind of column, a second schema and a view.
pub(crate) struct Fixture {
    _directory: TempDir,
    state: Arc<SessionState>,
    warehouse: Warehouse,
    env: Arc<SystemEnv>,
    runtime: tokio::runtime::Runtime,
}

/// What a query gave: the names and types of its columns, and its rows as psql prints them unaligned.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub columns: Vec<(String, &'static str)>,
    pub rows: Vec<String>,
}

impl Fixture {
    /// The warehouse as the superuser `owner` sees it with the default search path.
    pub fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .build()
            .unwrap();
        let warehouse = runtime.block_on(warehouse(&directory.path().join("w")));
        let compute = Arc::new(Compute::new(2).unwrap());
        let state = Arc::new(session_state(Arc::default(), compute, 2));
        let views = Views {
            state: Arc::clone(&state),
            warehouse: warehouse.clone(),
        };
        let env = Arc::new(SystemEnv {
            snapshot: warehouse.snapshot().unwrap(),
            roles: Arc::new(vec![
                role("owner", true, &[]),
                role("ann", false, &["owner"]),
            ]),
            user: "owner".to_owned(),
            session_user: "owner".to_owned(),
            database: "tributary".to_owned(),
            search_path: vec!["public".to_owned()],
            settings: Arc::new(vec![
                setting("server_version", "15.0"),
                setting("work_mem", "4096"),
            ]),
            sessions: Arc::default(),
            backend_pid: 42,
            version: "PostgreSQL 15.0 (Tributary)".to_owned(),
            started_at: 0,
            transaction_started_at: 1_000_000,
            statement_started_at: 2_000_000,
            clock: || 3_000_000,
            server_address: None,
            client_address: None,
            view_columns: Arc::new(views),
            objects: super::ObjectCache::default(),
        });
        Self {
            _directory: directory,
            state,
            warehouse,
            env,
            runtime,
        }
    }

    /// Runs one statement.
    pub fn ask(&self, sql: &str) -> Result<Answer, String> {
        self.runtime.block_on(self.run(sql))
    }

    async fn run(&self, sql: &str) -> Result<Answer, String> {
        let statement = parse(sql)
            .map_err(|error| error.to_string())?
            .remove(0)
            .statement;
        let planner = planner(&self.state, &self.warehouse, &self.env);
        let plan = planner
            .plan(statement, &[])
            .and_then(|plan| present(plan, planner.functions()))
            .map_err(|error| error.to_string())?;
        let columns = plan
            .schema()
            .fields()
            .iter()
            .map(|field| (field.name().clone(), pgtype::of_field(field).name))
            .collect();
        let state = SessionState::clone(&self.state);
        let plan = state
            .create_physical_plan(&plan)
            .await
            .map_err(|error| error.to_string())?;
        let context = SessionContext::new_with_state(state).task_ctx();
        let batches = collect(plan, context)
            .await
            .map_err(|error| error.to_string())?;
        let mut rows = Vec::new();
        let options = FormatOptions::default();
        for batch in batches {
            let columns: Vec<_> = batch
                .columns()
                .iter()
                .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
                .collect();
            rows.extend((0..batch.num_rows()).map(|row| {
                let cells: Vec<String> = columns.iter().map(|c| c.value(row).to_string()).collect();
                cells.join("|")
            }));
        }
        Ok(Answer { columns, rows })
    }
}

async fn warehouse(directory: &Path) -> Warehouse {
    let warehouse = Warehouse::create(directory).unwrap();
    let transaction = warehouse.begin().unwrap();
    transaction.create_schema("web").unwrap();
    let timestamp = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let columns = [
        ColumnDef {
            nullable: false,
            ..ColumnDef::new("customer_id", DataType::Int64)
        },
        ColumnDef::new("name", DataType::Utf8),
        ColumnDef {
            type_modifier: Some(TypeModifier {
                type_name: "varchar".to_owned(),
                modifier: 24,
            }),
            ..ColumnDef::new("country", DataType::Utf8)
        },
        ColumnDef {
            default: Some("0".to_owned()),
            ..ColumnDef::new("balance", DataType::Decimal128(10, 2))
        },
        ColumnDef::new("created_at", timestamp),
        ColumnDef::new("tags", DataType::new_list(DataType::Utf8, true)),
    ];
    transaction
        .create_table("public", "customers", &columns)
        .unwrap();
    let columns = [
        ColumnDef::new("event_id", DataType::Int64),
        ColumnDef::new("customer_id", DataType::Int64),
        ColumnDef::new("price", DataType::Float64),
    ];
    transaction.create_table("web", "events", &columns).unwrap();
    let view = ViewDef {
        sql: "SELECT customer_id, name, count(*) FROM public.customers GROUP BY 1, 2".to_owned(),
        dialect: "postgres".to_owned(),
        column_aliases: Vec::new(),
    };
    transaction
        .create_view("public", "vip", view, false)
        .unwrap();
    transaction
        .set_comment(
            CommentOn::Table("public", "customers"),
            Some("People who buy"),
        )
        .unwrap();
    transaction
        .set_comment(
            CommentOn::Column("public", "customers", "name"),
            Some("Full name"),
        )
        .unwrap();
    transaction.commit().await.unwrap();
    warehouse
}

fn role(name: &str, superuser: bool, member_of: &[&str]) -> Role {
    Role {
        name: name.to_owned(),
        superuser,
        login: true,
        create_role: superuser,
        connection_limit: -1,
        member_of: member_of
            .iter()
            .map(|group| ((*group).to_owned(), false))
            .collect(),
    }
}

fn setting(name: &str, value: &str) -> Setting {
    Setting {
        name: name.to_owned(),
        value: value.to_owned(),
        unit: None,
        category: "Test".to_owned(),
        description: "A setting.".to_owned(),
        context: "user".to_owned(),
        kind: "string".to_owned(),
        source: "default".to_owned(),
        min_value: None,
        max_value: None,
        enum_values: None,
        boot_value: Some(value.to_owned()),
        reset_value: Some(value.to_owned()),
    }
}

fn planner(state: &Arc<SessionState>, warehouse: &Warehouse, env: &Arc<SystemEnv>) -> Planner {
    let functions = super::functions(env).into_iter();
    Planner::new(
        Arc::clone(state),
        warehouse.clone(),
        Arc::clone(&env.snapshot),
        Arc::clone(env),
        Arc::new(functions.map(|f| (f.name().to_owned(), f)).collect()),
    )
}

#[derive(Debug)]
struct Views {
    state: Arc<SessionState>,
    warehouse: Warehouse,
}

impl ViewColumns for Views {
    fn columns(&self, env: &Arc<SystemEnv>, view: &View) -> Option<SchemaRef> {
        let statement = parse(&view.sql).ok()?.pop()?.statement;
        let plan = planner(&self.state, &self.warehouse, env)
            .plan(statement, &[])
            .ok()?;
        Some(Arc::new(Schema::clone(plan.schema().as_arrow())))
    }
}

#[track_caller]
fn check(sql: &str, columns: usize, rows: &[&str]) {
    let answer = Fixture::new().ask(sql).unwrap();
    assert_eq!(answer.columns.len(), columns, "{sql}");
    let mut found = answer.rows;
    found.sort();
    assert_eq!(found, rows, "{sql}");
}

#[test]
fn subqueries_that_refer_to_the_outer_row_give_its_value() {
    check(
        "SELECT (SELECT count(*) FROM (VALUES (1), (2)) AS u (b) WHERE u.b > t.a) AS n \
         FROM (VALUES (1), (2)) AS t (a)",
        1,
        &["0", "1"],
    );
    check(
        "SELECT EXISTS (SELECT 1 FROM (VALUES (1)) AS u (b) WHERE u.b = t.a) AS e \
         FROM (VALUES (1), (2)) AS t (a)",
        1,
        &["false", "true"],
    );
}

#[test]
fn the_schemas_are_listed() {
    check(
        "SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname IN ('public', 'pg_catalog')",
        1,
        &["pg_catalog", "public"],
    );
}
