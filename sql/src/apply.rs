//! Subqueries that the engine cannot or does not rightly turn into joins.
//!
//! The engine has joins for the common cases: EXISTS and IN as a condition of WHERE, aggregates correlated by equality. It
//! refuses the rest, or answers it with fewer values than SQL has (an IN that is neither true nor false). [`analyzer_rule`]
//! finds those and puts an [`ApplyNode`] below the expression: it adds the subquery's value to each row as a column.
//!
//! Nothing runs row by row. The operator reads its input once and numbers the distinct tuples of the values that the
//! subquery refers to, the *domain*. The subquery is rewritten to run for the whole domain at once ([`push`]): a scan of
//! the domain is pushed down into it until nothing refers outside any more, as in Neumann and Kemper, "Unnesting Arbitrary
//! Queries" (BTW 2015). Because the domain carries one number a tuple, joins and groupings on it use that number alone,
//! and the input, which may be volatile or in no fixed order, is never evaluated twice.
//!
//! A scalar subquery of several rows is an error here as in PostgreSQL, raised only for rows whose value is asked for:
//! a subquery in a branch of CASE or COALESCE sees only the rows that reach the branch.
//!
//! Use: [`analyzer_rule`] last among the analyzer's rules, after type coercion, and [`extension_planner`] among the
//! physical planners.

mod domain;
mod exec;
mod node;
mod push;
mod rule;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use datafusion::optimizer::AnalyzerRule;
use datafusion::physical_planner::ExtensionPlanner;

pub use node::ApplyNode;

/// The rule that converts subqueries; to be run after type coercion.
pub fn analyzer_rule() -> Arc<dyn AnalyzerRule + Send + Sync> {
    Arc::new(rule::ApplySubqueries)
}

/// The planner of [`ApplyNode`].
pub fn extension_planner() -> Arc<dyn ExtensionPlanner + Send + Sync> {
    Arc::new(exec::ApplyPlanner)
}
