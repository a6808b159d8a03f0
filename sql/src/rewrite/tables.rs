//! Functions where PostgreSQL takes rows: in FROM, and set-returning ones in a SELECT list.
//!
//! A function that returns a set exists here as one of the same name that gives an array; `unnest` makes rows of it.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, ObjectNamePart,
    Query, Select, SelectItem, TableAlias, TableFactor, Visit, VisitMut, Visitor, VisitorMut,
};

use super::tree::{alias, derived, function, is_literal, number, quoted, select, take};
use super::{is_named, without_pg_catalog};
use crate::relation::normalise;
use crate::system;

/// Functions that return a set in PostgreSQL and an array here.
const SET_RETURNING: &[&str] = &[
    "generate_series",
    "generate_subscripts",
    "pg_partition_ancestors",
];

/// Functions that the engine itself takes in FROM, with constant arguments.
const ENGINE_TABLE_FUNCTIONS: &[&str] = &["generate_series"];

/// Functions of single values that clients call in FROM, beside those of [`system`].
const ROW_FUNCTIONS: &[&str] = &["now", "set_config"];

/// Puts `unnest` round each set-returning function of a SELECT list.
pub(super) fn unnest_in_select_list(select: &mut Select) {
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            // The visitor never stops early.
            let _ = expr.visit(&mut Unnester::default());
        }
    }
}

/// Visits one expression without the subqueries in it.
#[derive(Default)]
struct Unnester {
    depth: usize,
}

impl VisitorMut for Unnester {
    type Break = ();

    fn pre_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Expr::Function(call) = expr else {
            return ControlFlow::Continue(());
        };
        if self.depth > 0 || call.over.is_some() {
            return ControlFlow::Continue(());
        }
        without_pg_catalog(&mut call.name);
        if SET_RETURNING.iter().any(|name| is_named(&call.name, name)) {
            *expr = function("unnest", vec![take(expr)]);
        } else if is_named(&call.name, "unnest")
            && let FunctionArguments::List(list) = &mut call.args
            && let [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Function(inner)))] =
                list.args.as_slice()
            && is_named(&inner.name, "unnest")
        {
            // The array was unnested by its writer.
            *expr = Expr::Function(inner.clone());
        }
        ControlFlow::Continue(())
    }
}

/// Rewrites a function in FROM; leaves the engine's table functions and Tributary's relation functions alone.
pub(super) fn rewrite_function(factor: &mut TableFactor) {
    let rewritten = match factor {
        TableFactor::UNNEST {
            alias,
            array_exprs,
            with_offset: false,
            with_offset_alias: None,
            with_ordinality,
        } => {
            let arrays = array_exprs.iter_mut().map(take).collect();
            Some(unnested(arrays, "unnest", alias.as_ref(), *with_ordinality))
        }
        TableFactor::Table {
            name,
            alias,
            args: Some(args),
            with_ordinality,
            ..
        } if args.settings.is_none() => call(name, &args.args, alias, *with_ordinality),
        TableFactor::Function {
            name,
            args,
            with_ordinality,
            alias,
            ..
        } => call(name, args, alias, *with_ordinality),
        _ => None,
    };
    if let Some(rewritten) = rewritten {
        *factor = rewritten;
    }
}

fn call(
    name: &mut ObjectName,
    args: &[FunctionArg],
    table_alias: &mut Option<TableAlias>,
    with_ordinality: bool,
) -> Option<TableFactor> {
    let args = plain_arguments(args)?;
    without_pg_catalog(name);
    let [ObjectNamePart::Identifier(only)] = name.0.as_slice() else {
        return None;
    };
    let folded = normalise(only);
    if ENGINE_TABLE_FUNCTIONS.contains(&folded.as_str())
        && !with_ordinality
        && args.iter().all(is_literal)
    {
        name_after_function(&folded, table_alias);
        return None;
    }
    if folded == "unnest" {
        return Some(unnested(
            args,
            &folded,
            table_alias.as_ref(),
            with_ordinality,
        ));
    }
    if SET_RETURNING.contains(&folded.as_str()) {
        let array = function(&folded, args);
        return Some(unnested(
            vec![array],
            &folded,
            table_alias.as_ref(),
            with_ordinality,
        ));
    }
    if args.is_empty() && system::is_row_function(&folded) {
        return Some(system_rows(&folded, table_alias.take()));
    }
    if system::is_declared(&folded) || ROW_FUNCTIONS.contains(&folded.as_str()) {
        return Some(one_row(
            function(&folded, args),
            &folded,
            table_alias.as_ref(),
        ));
    }
    None
}

fn plain_arguments(args: &[FunctionArg]) -> Option<Vec<Expr>> {
    args.iter()
        .map(|arg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
            _ => None,
        })
        .collect()
}

/// The one column of a function in FROM is called like the function, or like the table alias.
fn name_after_function(name: &str, table_alias: &mut Option<TableAlias>) {
    match table_alias {
        None => *table_alias = Some(alias(quoted(name), vec![quoted(name)])),
        Some(given) if given.columns.is_empty() => {
            *given = alias(given.name.clone(), vec![given.name.clone()]);
        }
        Some(_) => {}
    }
}

/// `LATERAL (SELECT unnest(array), ..., unnest(generate_subscripts(array, 1))) AS name (columns)`.
fn unnested(
    arrays: Vec<Expr>,
    name: &str,
    table_alias: Option<&TableAlias>,
    with_ordinality: bool,
) -> TableFactor {
    let lateral = arrays.iter().any(refers_to_columns);
    let mut names = column_names(name, table_alias, arrays.len());
    let mut expressions = arrays;
    if with_ordinality && let Some(first) = expressions.first() {
        let given = table_alias.and_then(|given| given.columns.get(names.len()));
        names.push(given.map_or_else(|| quoted("ordinality"), |column| column.name.clone()));
        expressions.push(function(
            "generate_subscripts",
            vec![first.clone(), number(1)],
        ));
    }
    let projection = expressions
        .into_iter()
        .enumerate()
        .map(|(at, expr)| SelectItem::ExprWithAlias {
            expr: function("unnest", vec![expr]),
            alias: quoted(format!("unnest_{at}")),
        })
        .collect();
    let table = table_alias.map_or_else(|| quoted(name), |given| given.name.clone());
    derived(select(projection, None), lateral, table, names)
}

/// `pg_catalog.name AS name`, a system relation that has the rows of the function.
fn system_rows(name: &str, table_alias: Option<TableAlias>) -> TableFactor {
    let parts = ["pg_catalog", name].map(|part| ObjectNamePart::Identifier(quoted(part)));
    TableFactor::Table {
        name: ObjectName(parts.into()),
        alias: Some(table_alias.unwrap_or_else(|| alias(quoted(name), Vec::new()))),
        args: None,
        with_hints: Vec::new(),
        version: None,
        with_ordinality: false,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    }
}

/// `LATERAL (SELECT call) AS name (column)`.
fn one_row(call: Expr, name: &str, table_alias: Option<&TableAlias>) -> TableFactor {
    let lateral = refers_to_columns(&call);
    let names = column_names(name, table_alias, 1);
    let table = table_alias.map_or_else(|| quoted(name), |given| given.name.clone());
    let item = SelectItem::ExprWithAlias {
        expr: call,
        alias: quoted(name),
    };
    derived(select(vec![item], None), lateral, table, names)
}

fn column_names(name: &str, table_alias: Option<&TableAlias>, count: usize) -> Vec<Ident> {
    let default = match table_alias {
        // Several arrays: every column is called like the function.
        Some(given) if count == 1 => given.name.clone(),
        _ => quoted(name),
    };
    let given = table_alias
        .map(|given| given.columns.as_slice())
        .unwrap_or_default();
    (0..count)
        .map(|at| {
            given
                .get(at)
                .map_or_else(|| default.clone(), |column| column.name.clone())
        })
        .collect()
}

fn refers_to_columns(expr: &Expr) -> bool {
    struct Finder;
    impl Visitor for Finder {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            match expr {
                Expr::Identifier(_) | Expr::CompoundIdentifier(_) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }
    }
    expr.visit(&mut Finder).is_break()
}
