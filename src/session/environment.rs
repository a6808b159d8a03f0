//! What the system catalog shows a statement of its session and server.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use tributary_catalog::{Snapshot, View, Warehouse};
use tributary_sql::planner::{DATABASE, Planner};
use tributary_sql::settings::SERVER_VERSION;
use tributary_sql::system::{self, SystemEnv, ViewColumns};

use super::{Result, Session, engine};

/// The environment of one statement.
pub fn system(session: &Session, snapshot: Arc<Snapshot>) -> Result<Arc<SystemEnv>> {
    let engine = &session.engine;
    let roles = engine
        .warehouse()
        .roles()?
        .iter()
        .map(system::Role::from)
        .collect();
    Ok(Arc::new(SystemEnv {
        snapshot,
        roles: Arc::new(roles),
        user: session.options.user.clone(),
        session_user: session.options.user.clone(),
        database: DATABASE.to_owned(),
        search_path: session.settings.search_path(&session.options.user),
        settings: Arc::new(session.settings.rows()),
        sessions: Arc::clone(engine.sessions()),
        backend_pid: session.options.backend_pid,
        version: format!(
            "PostgreSQL {SERVER_VERSION} (Tributary {})",
            env!("CARGO_PKG_VERSION")
        ),
        started_at: engine.started_at(),
        transaction_started_at: session
            .open
            .as_ref()
            .map_or(session.statement_started_at, |open| open.started_at),
        statement_started_at: session.statement_started_at,
        clock: engine::now,
        server_address: session.options.server_address,
        client_address: session.options.client_address,
        view_columns: Arc::new(PlannedColumns {
            warehouse: engine.warehouse().clone(),
            state: Arc::clone(&session.state),
        }),
        objects: Default::default(),
    }))
}

/// Finds a view's columns by planning it.
#[derive(Debug)]
struct PlannedColumns {
    warehouse: Warehouse,
    state: Arc<datafusion::execution::session_state::SessionState>,
}

impl ViewColumns for PlannedColumns {
    fn columns(&self, env: &Arc<SystemEnv>, view: &View) -> Option<SchemaRef> {
        let schema = env.snapshot.schema_by_id(view.schema_id)?;
        let functions = system::functions(env)
            .into_iter()
            .map(|function| (function.name().to_owned(), function))
            .collect();
        let planner = Planner::new(
            Arc::clone(&self.state),
            self.warehouse.clone(),
            Arc::clone(&env.snapshot),
            Arc::clone(env),
            Arc::new(functions),
        );
        let plan = planner.view_plan(&schema.name, view).ok()?;
        Some(Arc::new(plan.schema().as_arrow().clone()))
    }
}
