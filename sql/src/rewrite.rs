//! From PostgreSQL's syntax tree to one that the engine plans: the general differences, wherever they occur.
//!
//! The engine's SQL planner reads most of PostgreSQL as it stands. [`rewrite`] changes the rest in the tree, before
//! planning, by meaning and never by the text of a query:
//! - `pg_catalog.f(...)` and `OPERATOR(pg_catalog.~)` lose the schema, byte-order collations vanish, others are refused;
//! - `ARRAY(SELECT ...)` becomes a scalar subquery over `array_agg`, its order kept ([`arrays`]);
//! - `x op ANY (array)`, `x op ALL (array)` and `LIKE ANY` become functions with SQL's three values;
//! - a set-returning function in a SELECT list or in FROM becomes `unnest` of the function of the same name that gives an
//!   array; other functions in FROM become one-row subqueries ([`tables`]);
//! - a whole number becomes an `integer` where it fits ([`literals`]);
//! - a cast to an OID alias type becomes the function of that name; `tableoid` becomes the number it stands for ([`scope`]).
//!
//! What needs to know types is done on the plan: [`convert`] and [`present`].

mod absent;
mod arrays;
mod common_type;
mod conversions;
mod literals;
mod parameters;
mod precedence;
mod scope;
mod similar;
mod tables;
mod tree;

use std::ops::ControlFlow;
use std::sync::Arc;

use sqlparser::ast::{
    BinaryOperator, DataType as SqlType, Expr, FunctionArguments, Ident, ObjectName,
    ObjectNamePart, Query, Select, SelectItem, SetExpr, SetOperator, SetQuantifier, Statement,
    TableFactor, VisitMut, VisitorMut, WildcardAdditionalOptions,
};

use crate::error::{Condition, Error, Report, Result};
use crate::joins;
use crate::relation::normalise;
use crate::shared;
use crate::system::{ReferenceKind, SystemEnv};

pub(crate) use common_type::unified;
pub use conversions::{convert, expr_planner, present, read_texts};
pub use literals::keep;
pub use parameters::with_arrays;
use scope::Scopes;
use tree::{function, number};

/// Rewrites a statement, at any depth, for planning with the names that `env` sees.
///
/// # Errors
/// [`Condition::FeatureNotSupported`] and others for what PostgreSQL has and the engine cannot do.
pub fn rewrite(statement: &mut Statement, env: &Arc<SystemEnv>) -> Result<()> {
    let mut rewriter = Rewriter {
        env,
        scopes: Scopes::default(),
    };
    match statement.visit(&mut rewriter) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Rewriter<'e> {
    env: &'e Arc<SystemEnv>,
    scopes: Scopes,
}

impl VisitorMut for Rewriter<'_> {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        if let Err(error) = check_set_operations(&query.body) {
            return ControlFlow::Break(error);
        }
        shared::mark(query);
        joins::prepare(query);
        self.scopes.enter_query(query);
        literals::keep_in_query(query);
        if let SetExpr::Values(values) = query.body.as_mut() {
            literals::doubles_in_values(values);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<Error> {
        self.scopes.leave_query();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Error> {
        self.scopes.enter_select(select);
        name_bare_columns(select);
        tables::unnest_in_select_list(select);
        literals::keep_in_select(select);
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _select: &mut Select) -> ControlFlow<Error> {
        self.scopes.leave_select();
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        literals::keep_in_table(factor);
        if let TableFactor::NestedJoin {
            table_with_joins, ..
        } = factor
        {
            joins::nest(table_with_joins);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        precedence::reassociate(expr);
        literals::keep_within(expr);
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        tables::rewrite_function(factor);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        match self.rewrite_expr(expr) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}

impl Rewriter<'_> {
    fn rewrite_expr(&self, expr: &mut Expr) -> Result<()> {
        literals::narrow(expr);
        match expr {
            Expr::Function(call) => {
                without_pg_catalog(&mut call.name);
                whole_array(&mut call.name);
                if let FunctionArguments::Subquery(query) = &mut call.args
                    && is_named(&call.name, "array")
                {
                    *expr = arrays::array_subquery(query)?;
                }
            }
            Expr::BinaryOp { op, .. } => plain_operator(op)?,
            Expr::AtTimeZone {
                timestamp,
                time_zone,
            } => {
                *expr = function(
                    "timezone",
                    vec![tree::take(time_zone), tree::take(timestamp)],
                );
            }
            Expr::Collate {
                expr: inner,
                collation,
            } => {
                check_collation(collation)?;
                // Parentheses keep `a || b COLLATE "C"` one operand of what stands around it.
                *expr = Expr::Nested(Box::new(tree::take(inner)));
            }
            Expr::AnyOp {
                left,
                compare_op,
                right,
                ..
            } => {
                plain_operator(compare_op)?;
                if let Some(rewritten) = arrays::quantified(left, compare_op, right, true) {
                    *expr = rewritten;
                }
            }
            Expr::AllOp {
                left,
                compare_op,
                right,
            } => {
                plain_operator(compare_op)?;
                if let Some(rewritten) = arrays::quantified(left, compare_op, right, false) {
                    *expr = rewritten;
                }
            }
            Expr::Like {
                negated,
                any: true,
                expr: value,
                pattern,
                escape_char: None,
            } => {
                *expr = arrays::like_any(value, pattern, "~~", *negated);
            }
            Expr::ILike {
                negated,
                any: true,
                expr: value,
                pattern,
                escape_char: None,
            } => {
                *expr = arrays::like_any(value, pattern, "~~*", *negated);
            }
            Expr::SimilarTo {
                negated,
                expr: value,
                pattern,
                escape_char,
            } => {
                *expr = similar::similar_to(value, pattern, escape_char.as_ref(), *negated)?;
            }
            Expr::Cast {
                expr: inner,
                data_type,
                array: false,
                format: None,
                ..
            } => {
                own_char_type(data_type);
                if let Some(kind) = reference_kind(data_type) {
                    *expr = function(kind.cast(), vec![tree::take(inner)]);
                }
            }
            Expr::CompoundIdentifier(parts) => {
                if let [.., relation, column] = parts.as_slice()
                    && normalise(column) == "tableoid"
                    && let Some(oid) = self.scopes.table_oid(Some(relation), self.env)
                {
                    *expr = oid_literal(oid);
                }
            }
            Expr::Identifier(name) => {
                if let Some(rewritten) = self.bare_name(name) {
                    *expr = rewritten;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Names that are no columns: PostgreSQL reserves these words for functions called without parentheses.
    fn bare_name(&self, name: &Ident) -> Option<Expr> {
        let folded = normalise(name);
        match folded.as_str() {
            _ if NILADIC.contains(&folded.as_str()) && name.quote_style.is_none() => {
                Some(function(&folded, vec![]))
            }
            "tableoid" => self.scopes.table_oid(None, self.env).map(oid_literal),
            _ => None,
        }
    }
}

/// Puts a cast to a type of `pg_catalog` around an expression.
pub fn cast_to(expr: &mut Expr, type_name: &str) {
    *expr = tree::cast(tree::take(expr), type_name);
}

/// `SELECT columns FROM table`, all columns where none are named.
pub fn rows_of(table: &ObjectName, columns: &[Ident]) -> Query {
    let from = TableFactor::Table {
        name: table.clone(),
        alias: None,
        args: None,
        with_hints: Vec::new(),
        version: None,
        with_ordinality: false,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    };
    let items = if columns.is_empty() {
        vec![SelectItem::Wildcard(WildcardAdditionalOptions::default())]
    } else {
        let columns = columns.iter().cloned().map(Expr::Identifier);
        columns.map(SelectItem::UnnamedExpr).collect()
    };
    tree::select(items, Some(from))
}

/// Makes of a query a selection of all of its columns, the query under a name in FROM.
pub(crate) fn select_all(query: &mut Query, alias: &str) {
    let inner = tree::take_query(query);
    let from = tree::derived(inner, false, tree::quoted(alias), Vec::new());
    let all = SelectItem::Wildcard(WildcardAdditionalOptions::default());
    *query = tree::select(vec![all], Some(from));
}

/// Refuses set operations that the engine carries out as if they had no ALL.
fn check_set_operations(body: &SetExpr) -> Result<()> {
    let SetExpr::SetOperation {
        op,
        set_quantifier,
        left,
        right,
    } = body
    else {
        return Ok(());
    };
    if matches!(op, SetOperator::Except | SetOperator::Intersect)
        && *set_quantifier == SetQuantifier::All
    {
        return Err(Report::unsupported(format!("{op} ALL")).into());
    }
    check_set_operations(left)?;
    check_set_operations(right)
}

/// The engine's functions of these names change the first element found only.
fn whole_array(name: &mut ObjectName) {
    for (given, meant) in [
        ("array_remove", "array_remove_all"),
        ("array_replace", "array_replace_all"),
    ] {
        if is_named(name, given) {
            *name = ObjectName(vec![ObjectNamePart::Identifier(Ident::new(meant))]);
        }
    }
}

/// Functions that are called without parentheses and that the parser takes for names.
const NILADIC: &[&str] = &[
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "localtime",
    "localtimestamp",
];

/// What is rewritten from a bare name keeps it as the name of its column.
fn name_bare_columns(select: &mut Select) {
    for item in &mut select.projection {
        let name = match item {
            SelectItem::UnnamedExpr(Expr::Identifier(name)) => normalise(name),
            SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => {
                parts.last().map(normalise).unwrap_or_default()
            }
            _ => continue,
        };
        let rewritten = NILADIC.contains(&name.as_str()) || name == "tableoid";
        if let SelectItem::UnnamedExpr(expr) = item
            && rewritten
        {
            *item = SelectItem::ExprWithAlias {
                expr: tree::take(expr),
                alias: tree::quoted(name),
            };
        }
    }
}

fn oid_literal(oid: u32) -> Expr {
    tree::cast(number(oid), "oid")
}

/// Drops `pg_catalog.` before a name: all functions of that schema are found without it.
fn without_pg_catalog(name: &mut ObjectName) {
    if let [ObjectNamePart::Identifier(schema), _] = name.0.as_slice()
        && normalise(schema) == "pg_catalog"
    {
        name.0.remove(0);
    }
}

fn is_named(name: &ObjectName, wanted: &str) -> bool {
    match name.0.as_slice() {
        [ObjectNamePart::Identifier(only)] => normalise(only) == wanted,
        _ => false,
    }
}

/// `OPERATOR(pg_catalog.~)` to `~`.
fn plain_operator(op: &mut BinaryOperator) -> Result<()> {
    let BinaryOperator::PGCustomBinaryOperator(parts) = op else {
        return Ok(());
    };
    let symbol = match parts.as_slice() {
        [symbol] => symbol,
        [schema, symbol] if schema == "pg_catalog" => symbol,
        _ => {
            return Err(Report::new(
                Condition::UndefinedFunction,
                format!("operator does not exist: {}", parts.join(".")),
            )
            .into());
        }
    };
    *op = match symbol.as_str() {
        "=" => BinaryOperator::Eq,
        "<>" | "!=" => BinaryOperator::NotEq,
        "<" => BinaryOperator::Lt,
        "<=" => BinaryOperator::LtEq,
        ">" => BinaryOperator::Gt,
        ">=" => BinaryOperator::GtEq,
        "+" => BinaryOperator::Plus,
        "-" => BinaryOperator::Minus,
        "*" => BinaryOperator::Multiply,
        "/" => BinaryOperator::Divide,
        "%" => BinaryOperator::Modulo,
        "^" => BinaryOperator::PGExp,
        "||" => BinaryOperator::StringConcat,
        "~" => BinaryOperator::PGRegexMatch,
        "~*" => BinaryOperator::PGRegexIMatch,
        "!~" => BinaryOperator::PGRegexNotMatch,
        "!~*" => BinaryOperator::PGRegexNotIMatch,
        "~~" => BinaryOperator::PGLikeMatch,
        "~~*" => BinaryOperator::PGILikeMatch,
        "!~~" => BinaryOperator::PGNotLikeMatch,
        "!~~*" => BinaryOperator::PGNotILikeMatch,
        "&" => BinaryOperator::BitwiseAnd,
        "|" => BinaryOperator::BitwiseOr,
        "#" => BinaryOperator::PGBitwiseXor,
        "<<" => BinaryOperator::PGBitwiseShiftLeft,
        ">>" => BinaryOperator::PGBitwiseShiftRight,
        "@>" => BinaryOperator::AtArrow,
        "<@" => BinaryOperator::ArrowAt,
        "&&" => BinaryOperator::PGOverlap,
        "->" => BinaryOperator::Arrow,
        "->>" => BinaryOperator::LongArrow,
        other => return Err(Report::unsupported(format!("operator {other}")).into()),
    };
    Ok(())
}

/// Text compares by its bytes here, so that exactly these collations change nothing.
fn check_collation(collation: &ObjectName) -> Result<()> {
    let name = match collation.0.as_slice() {
        [ObjectNamePart::Identifier(name)] => name,
        [
            ObjectNamePart::Identifier(schema),
            ObjectNamePart::Identifier(name),
        ] if normalise(schema) == "pg_catalog" => name,
        _ => return Err(undefined_collation(&collation.to_string())),
    };
    let name = normalise(name);
    match name.as_str() {
        "default" | "C" | "POSIX" | "ucs_basic" | "C.UTF-8" | "C.utf8" => Ok(()),
        _ => Err(undefined_collation(&name)),
    }
}

fn undefined_collation(name: &str) -> Error {
    Report::new(
        Condition::UndefinedObject,
        format!("collation \"{name}\" for encoding \"UTF8\" does not exist"),
    )
    .hint("Text compares by its bytes; the collations \"default\", \"C\" and \"POSIX\" say so.")
    .into()
}

/// `"char"` in quotes is the one-byte type of the system tables, unlike `char`.
fn own_char_type(data_type: &mut SqlType) {
    if let SqlType::Custom(name, modifiers) = data_type
        && modifiers.is_empty()
        && let [ObjectNamePart::Identifier(only)] = name.0.as_slice()
        && only.quote_style.is_some()
        && only.value == "char"
    {
        name.0
            .insert(0, ObjectNamePart::Identifier(Ident::new("pg_catalog")));
    }
}

/// The OID alias type that a type name means.
fn reference_kind(data_type: &SqlType) -> Option<ReferenceKind> {
    match data_type {
        SqlType::Regclass => Some(ReferenceKind::Relation),
        SqlType::Custom(name, modifiers) if modifiers.is_empty() => {
            let last = match name.0.as_slice() {
                [ObjectNamePart::Identifier(only)] => only,
                [
                    ObjectNamePart::Identifier(schema),
                    ObjectNamePart::Identifier(only),
                ] if normalise(schema) == "pg_catalog" => only,
                _ => return None,
            };
            ReferenceKind::of_type(&normalise(last))
        }
        _ => None,
    }
}
