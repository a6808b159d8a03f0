//! Arrays from subqueries, and comparisons with the elements of an array.

use sqlparser::ast::{
    BinaryOperator, Expr, FunctionArgumentClause, OrderByExpr, OrderByKind, Query, SelectItem,
    SetExpr, Value,
};

use super::tree::{derived, function, function_with, quoted, select, take, take_query, text};
use crate::error::{Condition, Report, Result};
use crate::relation::normalise;
use crate::system::array_functions::{ALL, ANY, ARRAY_OR_EMPTY};

/// The name of the subquery's one column.
const VALUE: &str = "value";

/// `ARRAY(SELECT x ... ORDER BY k)` as
/// `(SELECT array_or_empty(array_agg(value ORDER BY key_1)) FROM (SELECT x, k ...) AS "array" (value, key_1))`.
///
/// # Errors
/// [`Condition::Syntax`] for a subquery of several columns.
pub(super) fn array_subquery(query: &mut Query) -> Result<Expr> {
    let mut query = take_query(query);
    let mut columns = vec![quoted(VALUE)];
    let mut order = Vec::new();
    let keys = match query.order_by.as_ref().map(|order_by| &order_by.kind) {
        Some(OrderByKind::Expressions(keys)) => keys.clone(),
        _ => Vec::new(),
    };
    if let SetExpr::Select(body) = query.body.as_mut() {
        if body.projection.len() != 1 {
            return Err(
                Report::new(Condition::Syntax, "subquery must return only one column").into(),
            );
        }
        for key in keys {
            if is_output(&key.expr, body.projection.first()) || body.distinct.is_some() {
                order.push(ordered_by(VALUE, key));
            } else {
                let name = format!("key_{}", columns.len());
                body.projection.push(SelectItem::ExprWithAlias {
                    expr: key.expr.clone(),
                    alias: quoted(&name),
                });
                order.push(ordered_by(&name, key));
                columns.push(quoted(name));
            }
        }
    } else {
        // The rows of UNION and the like can only be ordered by their own columns, of which there is one.
        order.extend(keys.into_iter().map(|key| ordered_by(VALUE, key)));
    }
    // Without a limit the order matters to the array only.
    if query.limit_clause.is_none() && query.fetch.is_none() {
        query.order_by = None;
    }
    let clauses = if order.is_empty() {
        Vec::new()
    } else {
        vec![FunctionArgumentClause::OrderBy(order)]
    };
    let gathered = function_with("array_agg", vec![Expr::Identifier(quoted(VALUE))], clauses);
    let projection = SelectItem::ExprWithAlias {
        expr: function(ARRAY_OR_EMPTY, vec![gathered]),
        alias: quoted("array"),
    };
    let from = derived(query, false, quoted("array"), columns);
    Ok(Expr::Subquery(Box::new(select(
        vec![projection],
        Some(from),
    ))))
}

/// Whether a sort key is the one output column: by position, by name or by being the same expression.
fn is_output(key: &Expr, item: Option<&SelectItem>) -> bool {
    match (key, item) {
        (Expr::Value(value), _) => matches!(value.value, Value::Number(..)),
        (Expr::Identifier(name), Some(SelectItem::ExprWithAlias { alias, .. }))
            if normalise(name) == normalise(alias) =>
        {
            true
        }
        (key, Some(SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. })) => {
            key == expr
        }
        _ => false,
    }
}

fn ordered_by(column: &str, key: OrderByExpr) -> OrderByExpr {
    OrderByExpr {
        expr: Expr::Identifier(quoted(column)),
        ..key
    }
}

/// `left op ANY (right)` or `ALL (right)`. Over a subquery, `= ANY` is IN and `<> ALL` is NOT IN, for which the engine has
/// joins; `None` leaves the others to it.
pub(super) fn quantified(
    left: &mut Expr,
    op: &BinaryOperator,
    right: &mut Expr,
    any: bool,
) -> Option<Expr> {
    let inner = match right {
        Expr::Nested(inner) => inner.as_mut(),
        other => other,
    };
    if let Expr::Subquery(query) = inner {
        let negated = match (op, any) {
            (BinaryOperator::Eq, true) => false,
            (BinaryOperator::NotEq, false) => true,
            _ => return None,
        };
        return Some(Expr::InSubquery {
            expr: Box::new(take(left)),
            subquery: Box::new(take_query(query)),
            negated,
        });
    }
    let name = if any { ANY } else { ALL };
    Some(function(
        name,
        vec![take(left), text(&op.to_string()), take(inner)],
    ))
}

/// `value LIKE ANY (patterns)`, with the operator that LIKE stands for. `NOT LIKE ANY` asks for one that does not match.
pub(super) fn like_any(
    value: &mut Expr,
    patterns: &mut Expr,
    operator: &str,
    negated: bool,
) -> Expr {
    let operator = if negated {
        format!("!{operator}")
    } else {
        operator.to_owned()
    };
    let patterns = match take(patterns) {
        // `LIKE ANY ('a%', 'b%')` is not PostgreSQL, but some tools write it.
        Expr::Tuple(items) => function("make_array", items),
        Expr::Nested(inner) => *inner,
        other => other,
    };
    function(ANY, vec![take(value), text(&operator), patterns])
}
