//! Statements: what each becomes when planned against a snapshot.
//!
//! Queries and writes become plans of the engine ([`Plan::Rows`], [`Plan::Write`]); definitions
//! become changes of a transaction ([`Plan::Define`]); the rest concerns the session
//! ([`Plan::Session`]). A clause that would be ignored is refused. Start at [`plan`].

use std::sync::Arc;

use arrow::datatypes::FieldRef;
use datafusion::common::TableReference;
use datafusion::logical_expr::LogicalPlan;
use sqlparser::ast::{Ident, ObjectName, Statement};
use tributary_catalog::Transaction;

use crate::error::{Condition, Report, Result};
use crate::parse::Parsed;
use crate::planner::Planner;
use crate::relation::normalise;
use crate::rewrite::present;

pub mod copy;
pub mod define;
pub mod insert;
mod numeric;
pub mod qualify;
pub mod session;

pub use copy::CopyFrom;
pub use define::Definition;
pub use session::SessionCommand;

/// The word of a command tag that is followed by a row count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteTag {
    /// `INSERT 0 n`
    Insert,
    /// `SELECT n`, the tag of CREATE TABLE AS.
    CreateTableAs,
    /// `COPY n`
    Copy,
}

impl WriteTag {
    /// The whole tag for `rows` rows.
    pub fn text(self, rows: u64) -> String {
        match self {
            Self::Insert => format!("INSERT 0 {rows}"),
            Self::CreateTableAs => format!("SELECT {rows}"),
            Self::Copy => format!("COPY {rows}"),
        }
    }
}

/// A planned statement.
#[derive(Debug)]
pub enum Plan {
    /// Yields rows; the tag is `SELECT n`, or the fixed word given.
    Rows {
        /// What yields them.
        plan: LogicalPlan,
        /// The command tag, where it has no row count.
        tag: Option<&'static str>,
        /// Whether running it changes the transaction, as EXPLAIN ANALYZE of a write does.
        writes: bool,
    },
    /// Appends rows.
    Write {
        /// Its one result row is the number of rows.
        plan: LogicalPlan,
        /// The command tag.
        tag: WriteTag,
    },
    /// Changes the catalog.
    Define(Definition),
    /// Loads files; planned further once their schemas are read.
    Load(CopyFrom),
    /// Concerns the session alone.
    Session(SessionCommand),
    /// Does nothing but say so, such as CREATE TABLE IF NOT EXISTS of one that exists.
    Nothing {
        /// The command tag.
        tag: &'static str,
        /// What to tell the user.
        notice: String,
    },
}

/// The transaction to write in; reading statements need none.
pub type Target<'a> = Option<&'a Transaction>;

/// Plans a statement. `parameters` are the declared types of `$1`, `$2`, ...; `None` where the
/// statement is to tell.
///
/// # Errors
/// For names, types and clauses that do not fit; nothing is changed and no data read.
pub fn plan(
    planner: &Planner,
    parsed: &Parsed,
    parameters: &[Option<FieldRef>],
    target: Target<'_>,
) -> Result<Plan> {
    plan_parsed(planner, parsed, parameters, target).map_err(|error| error.located(&parsed.source))
}

fn plan_parsed(
    planner: &Planner,
    parsed: &Parsed,
    parameters: &[Option<FieldRef>],
    target: Target<'_>,
) -> Result<Plan> {
    if let Some(command) = session::command(&parsed.statement)? {
        return Ok(Plan::Session(command));
    }
    match &parsed.statement {
        Statement::Query(_) => Ok(Plan::Rows {
            plan: present(
                planner.plan(parsed.statement.clone(), parameters)?,
                planner.functions(),
            )?,
            tag: None,
            writes: false,
        }),
        Statement::Explain { .. } => explain(planner, parsed, parameters, target),
        Statement::Insert(insert) => insert::plan(planner, insert, parameters, target),
        Statement::CreateTable(create) if create.query.is_some() => {
            define::create_table_as(planner, create, parameters, target)
        }
        Statement::Copy { .. } => copy::plan(planner, &parsed.statement),
        other => define::plan(planner, other),
    }
}

/// EXPLAIN of a query or a write.
fn explain(
    planner: &Planner,
    Parsed {
        statement, source, ..
    }: &Parsed,
    parameters: &[Option<FieldRef>],
    target: Target<'_>,
) -> Result<Plan> {
    let Statement::Explain {
        analyze,
        verbose,
        query_plan: false,
        estimate: false,
        statement: inner,
        format: None,
        options,
        ..
    } = statement
    else {
        return Err(Report::unsupported("this form of EXPLAIN").into());
    };
    let (analyze, verbose) = explain_options(*analyze, *verbose, options.as_deref())?;
    let parsed = Parsed {
        statement: inner.as_ref().clone(),
        text: inner.to_string(),
        offset: 0,
        source: Arc::clone(source),
    };
    let (input, writes) = match plan_parsed(planner, &parsed, parameters, target)? {
        Plan::Rows { plan, .. } => (plan, false),
        Plan::Write { plan, .. } => (plan, true),
        _ => return Err(Report::unsupported("EXPLAIN of this statement").into()),
    };
    let builder = datafusion::logical_expr::LogicalPlanBuilder::from(input);
    Ok(Plan::Rows {
        plan: builder.explain(verbose, analyze)?.build()?,
        tag: Some("EXPLAIN"),
        writes: writes && analyze,
    })
}

fn explain_options(
    mut analyze: bool,
    mut verbose: bool,
    options: Option<&[sqlparser::ast::UtilityOption]>,
) -> Result<(bool, bool)> {
    for option in options.unwrap_or_default() {
        let on = match option.arg.as_ref().map(ToString::to_string) {
            None => true,
            Some(value) => match value.trim_matches('\'').to_lowercase().as_str() {
                "true" | "on" | "1" => true,
                "false" | "off" | "0" => false,
                other => {
                    return Err(Report::new(
                        Condition::InvalidParameter,
                        format!(
                            "EXPLAIN option \"{}\" cannot be \"{other}\"",
                            normalise(&option.name)
                        ),
                    )
                    .into());
                }
            },
        };
        match normalise(&option.name).as_str() {
            "analyze" => analyze = on,
            "verbose" => verbose = on,
            // Switched off, these leave out what is not shown anyway.
            "costs" | "timing" | "summary" | "buffers" | "settings" | "wal" if !on => {}
            other => {
                return Err(Report::new(
                    Condition::FeatureNotSupported,
                    format!("EXPLAIN option \"{other}\" is not supported"),
                )
                .hint("The options are ANALYZE and VERBOSE.")
                .into());
            }
        }
    }
    Ok((analyze, verbose))
}

/// A name as the planner looks it up.
///
/// # Errors
/// [`Condition::Syntax`] for names with more than three parts.
pub fn reference(name: &ObjectName) -> Result<TableReference> {
    let parts: Vec<String> = name
        .0
        .iter()
        .filter_map(|part| part.as_ident().map(normalise))
        .collect();
    match parts.as_slice() {
        [table] => Ok(TableReference::bare(table.as_str())),
        [schema, table] => Ok(TableReference::partial(schema.as_str(), table.as_str())),
        [database, schema, table] => Ok(TableReference::full(
            database.as_str(),
            schema.as_str(),
            table.as_str(),
        )),
        _ => Err(Report::new(
            Condition::Syntax,
            format!("improper qualified name (too many dotted names): {name}"),
        )
        .into()),
    }
}

/// The schema and name under which an object of that name is made.
pub fn creation_name(planner: &Planner, name: &ObjectName) -> Result<(String, String)> {
    let reference = reference(name)?;
    planner.check_name(&reference)?;
    let schema = match reference.schema() {
        Some(schema) => schema.to_owned(),
        None => planner.creation_schema()?.to_owned(),
    };
    if crate::system::is_reserved_schema(&schema) {
        return Err(Report::new(
            Condition::InsufficientPrivilege,
            format!(
                "permission denied to create \"{schema}.{}\"",
                reference.table()
            ),
        )
        .detail(if crate::system::is_system_schema(&schema) {
            "System catalog modifications are not allowed.".to_owned()
        } else {
            format!("Schema \"{schema}\" is kept for relation functions.")
        })
        .into());
    }
    Ok((schema, reference.table().to_owned()))
}

/// The names of a column list, folded; each only once.
pub fn column_names<'a>(idents: impl IntoIterator<Item = &'a Ident>) -> Result<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for ident in idents {
        let name = normalise(ident);
        if names.contains(&name) {
            return Err(Report::new(
                Condition::DuplicateColumn,
                format!("column \"{name}\" specified more than once"),
            )
            .into());
        }
        names.push(name);
    }
    Ok(names)
}

/// The transaction that a writing statement was given.
pub fn transaction<'a>(target: Target<'a>) -> Result<&'a Transaction> {
    target.ok_or_else(|| {
        Report::new(
            Condition::Internal,
            "a writing statement has no transaction",
        )
        .into()
    })
}
