//! `pg_catalog` and `information_schema`: what clients ask to find out what is here.
//!
//! Every relation is real: a table whose rows are computed from the statement's catalog snapshot and the session
//! ([`SystemEnv`]) when it is scanned, or an SQL view over such tables (`sql/views`). All of PostgreSQL 15 that clients
//! name is declared, with its columns and types, in one list (`relations.txt`, see [`definition`]); what Tributary has no
//! objects for is empty there. No query is recognised by its text.
//!
//! Start at [`relation`] and [`functions`]; [`objects`] turns the snapshot into numbered objects, [`tables`] turns those
//! into rows.
//!
//! Object numbers (oids) are stable: PostgreSQL's own below 16384, 16384 + the catalog's id for schemas, tables and views,
//! and numbers made from the name for functions and roles ([`objects`]).

mod activity;
mod definition;
mod functions;
mod names;
mod objects;
mod provider;
mod rows;
mod tables;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use tributary_catalog::{Snapshot, View};

pub use activity::{SessionActivity, SessionState, Sessions};
pub use functions::functions;
pub(crate) use functions::{ReferenceKind, array_functions, formats, is_declared};
pub use names::quote_ident;

use objects::Objects;

/// What one statement sees of the warehouse and of its session.
#[derive(Debug)]
pub struct SystemEnv {
    /// The catalog as the statement sees it.
    pub snapshot: Arc<Snapshot>,
    /// All roles.
    pub roles: Arc<Vec<Role>>,
    /// `current_user`.
    pub user: String,
    /// `session_user`: who logged in.
    pub session_user: String,
    /// `current_database()`.
    pub database: String,
    /// The schemas of `search_path` in order, without `pg_catalog`.
    pub search_path: Vec<String>,
    /// All settings with this session's values.
    pub settings: Arc<Vec<Setting>>,
    /// All connected sessions.
    pub sessions: Arc<Sessions>,
    /// `pg_backend_pid()`.
    pub backend_pid: i32,
    /// What `version()` answers.
    pub version: String,
    /// When the server started; this and all times in microseconds since 1970 UTC.
    pub started_at: i64,
    /// When the open transaction, or else the statement, started: `now()`.
    pub transaction_started_at: i64,
    /// When the statement started.
    pub statement_started_at: i64,
    /// The time now.
    pub clock: fn() -> i64,
    /// Where the client is connected to, if over the network.
    pub server_address: Option<std::net::SocketAddr>,
    /// Where the client is, if over the network.
    pub client_address: Option<std::net::SocketAddr>,
    /// Plans a view to know its columns.
    pub view_columns: Arc<dyn ViewColumns>,
    /// Filled on first use; make it by `Default::default()`.
    pub objects: ObjectCache,
}

/// The columns of a view, which the catalog stores only as SQL text.
pub trait ViewColumns: Debug + Send + Sync {
    /// The result columns of `view`; `None` where its query no longer plans.
    fn columns(&self, env: &Arc<SystemEnv>, view: &View) -> Option<SchemaRef>;
}

/// The numbered objects of a [`SystemEnv`], computed once when first needed.
#[derive(Debug, Default)]
pub struct ObjectCache(OnceLock<Objects>);

/// A role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// Whether it may do everything.
    pub superuser: bool,
    /// Whether it may log in.
    pub login: bool,
    /// Whether it may make roles.
    pub create_role: bool,
    /// The most connections it may have, -1 for no limit.
    pub connection_limit: i32,
    /// The roles it is a member of, by name, and whether it may grant the membership on.
    pub member_of: Vec<(String, bool)>,
}

impl Role {
    /// Its oid.
    pub fn oid(&self) -> u32 {
        objects::role_oid(&self.name)
    }
}

impl From<&tributary_catalog::Role> for Role {
    fn from(role: &tributary_catalog::Role) -> Self {
        Self {
            name: role.name.clone(),
            superuser: role.superuser,
            login: role.login,
            create_role: role.superuser,
            connection_limit: -1,
            member_of: Vec::new(),
        }
    }
}

/// A setting, as a row of `pg_settings`.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// Its value in this session.
    pub value: String,
    /// The unit of the value (`kB`, `ms`), if any.
    pub unit: Option<String>,
    /// Its group.
    pub category: String,
    /// What it does, in one sentence.
    pub description: String,
    /// Who may set it and when: `user`, `superuser`, `postmaster`, `internal`, ...
    pub context: String,
    /// `bool`, `enum`, `integer`, `real` or `string`.
    pub kind: String,
    /// Where the value is from: `default`, `session`, `client`, `configuration file`, ...
    pub source: String,
    /// The smallest value.
    pub min_value: Option<String>,
    /// The largest value.
    pub max_value: Option<String>,
    /// All values of an `enum`.
    pub enum_values: Option<Vec<String>>,
    /// The value without any configuration.
    pub boot_value: Option<String>,
    /// The value RESET goes back to.
    pub reset_value: Option<String>,
}

/// A relation of `pg_catalog` or `information_schema`.
#[derive(Debug)]
pub enum SystemRelation {
    /// A table, its rows computed when scanned.
    Table(Arc<dyn TableProvider>),
    /// A view: one query, all names in it qualified.
    View(String),
}

/// The system relation `schema.name`, both as folded by PostgreSQL; `None` where there is none.
pub fn relation(schema: &str, name: &str, env: &Arc<SystemEnv>) -> Option<SystemRelation> {
    let definition = definition::find(schema, name)?;
    Some(match definition.view_query() {
        Some(query) => SystemRelation::View(query.to_owned()),
        None => SystemRelation::Table(Arc::new(provider::SystemTable::new(
            definition,
            Arc::clone(env),
        ))),
    })
}

/// Whether the rows of the function `name` in FROM are those of a system relation of that name.
pub(crate) fn is_row_function(name: &str) -> bool {
    definition::find("pg_catalog", name).is_some_and(|definition| definition.kind == 'f')
}

/// Whether `name` is one of the two schemas that this module serves.
pub fn is_system_schema(name: &str) -> bool {
    matches!(name, "pg_catalog" | "information_schema")
}

/// Whether no user's objects may be in a schema: it is ours, or is kept for relation functions to come.
pub fn is_reserved_schema(name: &str) -> bool {
    is_system_schema(name)
        || tributary_udfs::functions::is_schema(name)
        || matches!(name, "commerce" | "privacy" | "quality" | "sys")
}

impl SystemEnv {
    /// The value of a setting, its name in any case.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings
            .iter()
            .find(|setting| setting.name.eq_ignore_ascii_case(name))
            .map(|setting| setting.value.as_str())
    }

    /// The oid of the relation that a possibly qualified name stands for.
    pub(crate) fn relation_oid(self: &Arc<Self>, name: &str) -> Option<u32> {
        self.objects()
            .find_relation(name)
            .map(|relation| relation.oid)
    }

    fn objects(self: &Arc<Self>) -> &Objects {
        self.objects.0.get_or_init(|| Objects::new(self))
    }
}
