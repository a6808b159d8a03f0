//! The names of result columns, as PostgreSQL gives them: `count`, `sum`, `?column?`.
//!
//! The engine names an expression by its text and refuses two alike in one list. So every unnamed
//! expression gets PostgreSQL's name as an alias before planning, made unique where it must be;
//! [`output_names`] tells what the client is to see.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Ident, Query, Select, SelectItem, SetExpr, Statement, VisitMut, VisitorMut,
};

use tributary_udfs::call::{UNIQUE, shown_name};

use crate::relation::normalise;

/// Gives every unnamed expression of every SELECT list PostgreSQL's name for it.
pub fn name_columns(statement: &mut Statement) {
    struct Namer;
    impl VisitorMut for Namer {
        type Break = ();
        fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
            name_select(select);
            ControlFlow::Continue(())
        }
    }
    let _ = statement.visit(&mut Namer);
}

fn name_select(select: &mut Select) {
    let mut used: Vec<String> = Vec::new();
    for item in &mut select.projection {
        if let SelectItem::ExprWithAlias { alias, .. } = item {
            let name = normalise(alias);
            let repeated = used.iter().filter(|before| **before == name).count();
            if repeated > 0 {
                *alias = Ident::with_quote('"', format!("{name}{UNIQUE}{repeated}"));
            }
            used.push(name);
        }
    }
    // Beside all columns of a table, one of them stands twice.
    let beside_all = select.projection.iter().any(|item| {
        matches!(
            item,
            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)
        )
    });
    for item in &mut select.projection {
        let SelectItem::UnnamedExpr(expr) = item else {
            continue;
        };
        let name = column_name(expr);
        let is_column = matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
        let mut repeated = used.iter().filter(|before| **before == name).count();
        if is_column && beside_all {
            repeated += 1;
        }
        used.push(name.clone());
        let alias = match repeated {
            0 if is_column => continue,
            0 => name,
            _ => format!("{name}{UNIQUE}{repeated}"),
        };
        *item = SelectItem::ExprWithAlias {
            expr: expr.clone(),
            alias: Ident::with_quote('"', alias),
        };
    }
}

/// The names a client sees for the columns a plan calls `planned`.
pub fn output_names<'a>(planned: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    planned
        .into_iter()
        .map(|name| shown_name(name).to_owned())
        .collect()
}

/// PostgreSQL's name for a result column that has no alias (`FigureColname`).
fn column_name(expr: &Expr) -> String {
    figure(expr).unwrap_or_else(|| "?column?".to_owned())
}

fn figure(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(ident) => Some(normalise(ident)),
        Expr::CompoundIdentifier(idents) => idents.last().map(normalise),
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => figure(inner),
        Expr::Function(function) => function
            .name
            .0
            .last()
            .and_then(|part| part.as_ident())
            .map(normalise),
        Expr::Cast {
            expr, data_type, ..
        } => figure(expr).filter(|_| is_telling(expr)).or_else(|| {
            let name = data_type.to_string().to_lowercase();
            let name = name.split('(').next().unwrap_or(&name).trim();
            Some(
                match name {
                    "integer" | "int" => "int4",
                    "bigint" => "int8",
                    "smallint" => "int2",
                    "real" => "float4",
                    "double precision" | "double" | "float" => "float8",
                    "boolean" => "bool",
                    "character varying" => "varchar",
                    "decimal" | "dec" => "numeric",
                    "timestamp with time zone" => "timestamptz",
                    other => other.rsplit('.').next().unwrap_or(other),
                }
                .to_owned(),
            )
        }),
        Expr::Case { else_result, .. } => Some(
            else_result
                .as_deref()
                .filter(|result| is_telling(result))
                .and_then(figure)
                .unwrap_or_else(|| "case".to_owned()),
        ),
        Expr::Exists { negated: false, .. } => Some("exists".to_owned()),
        Expr::Subquery(query) => subquery_name(query),
        Expr::Extract { .. } => Some("extract".to_owned()),
        Expr::Substring { .. } => Some("substring".to_owned()),
        Expr::Position { .. } => Some("position".to_owned()),
        Expr::Overlay { .. } => Some("overlay".to_owned()),
        Expr::Ceil { .. } => Some("ceil".to_owned()),
        Expr::Floor { .. } => Some("floor".to_owned()),
        Expr::Trim { .. } => Some("btrim".to_owned()),
        Expr::Array(_) => Some("array".to_owned()),
        Expr::Interval(_) => Some("interval".to_owned()),
        Expr::AtTimeZone { .. } => Some("timezone".to_owned()),
        Expr::Tuple(_) => Some("row".to_owned()),
        Expr::TypedString(typed) => Some(typed.data_type.to_string().to_lowercase()),
        _ => None,
    }
}

/// Whether the name of an expression goes before that of a cast or CASE around it; that of a type does not.
fn is_telling(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => is_telling(inner),
        Expr::Cast { expr, .. } => is_telling(expr),
        Expr::Case { else_result, .. } => else_result.as_deref().is_some_and(is_telling),
        Expr::TypedString(_) | Expr::Interval(_) => false,
        other => figure(other).is_some(),
    }
}

fn subquery_name(query: &Query) -> Option<String> {
    let SetExpr::Select(select) = query.body.as_ref() else {
        return None;
    };
    match select.projection.as_slice() {
        [SelectItem::UnnamedExpr(expr)] => figure(expr),
        [SelectItem::ExprWithAlias { alias, .. }] => Some(normalise(alias)),
        _ => None,
    }
}
