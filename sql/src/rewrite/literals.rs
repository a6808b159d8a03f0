//! Whole numbers in the text: an `integer` where they fit, as in PostgreSQL. The engine reads each as a `bigint`.
//!
//! A number becomes a cast of itself, unless its place needs a number as it stands: a position in ORDER BY or GROUP BY,
//! a LIMIT, a frame's bound, or an argument of a function, many of which look for constants. Such numbers are marked by
//! [`keep`], which takes their place in the text away; the numbers that this crate makes have none either.

use sqlparser::ast::{
    AccessExpr, DataType, Distinct, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, GroupByExpr, LimitClause, OrderByKind, Query, Select, Subscript,
    TableFactor, Value, Values, WindowFrameBound, WindowType,
};
use sqlparser::tokenizer::Span;

use super::tree;

/// Functions whose result has the type of their arguments.
const OF_ARGUMENT_TYPE: &[&str] = &[
    "array_agg",
    "avg",
    "coalesce",
    "greatest",
    "least",
    "max",
    "min",
    "nullif",
    "pg_typeof",
    "sum",
    "unnest",
];

/// The exponent beyond which a number is a double: a decimal has no digits for it.
const EXPONENT_MAX: u32 = 20;

/// Makes an `integer` of a number that is not kept, and a double of one with a large exponent.
pub(super) fn narrow(expr: &mut Expr) {
    if let Expr::Value(value) = expr
        && let Value::Number(digits, false) = &value.value
        && let Some((_, exponent)) = digits.split_once(['e', 'E'])
        && exponent
            .parse::<i32>()
            .is_ok_and(|exponent| exponent.unsigned_abs() > EXPONENT_MAX)
    {
        *expr = Expr::Cast {
            kind: sqlparser::ast::CastKind::Cast,
            expr: Box::new(tree::text(digits)),
            data_type: DataType::DoublePrecision,
            array: false,
            format: None,
        };
        return;
    }
    if let Expr::Value(value) = expr
        && value.span != Span::empty()
        && let Value::Number(digits, false) = &value.value
        && digits.parse::<i32>().is_ok()
    {
        value.span = Span::empty();
        *expr = Expr::Cast {
            kind: sqlparser::ast::CastKind::Cast,
            expr: Box::new(tree::take(expr)),
            data_type: DataType::Integer(None),
            array: false,
            format: None,
        };
    }
}

/// Marks a number, the numbers of a list, or one with a sign, as staying what it is.
pub fn keep(expr: &mut Expr) {
    match expr {
        Expr::Value(value) => value.span = Span::empty(),
        Expr::Nested(inner) | Expr::UnaryOp { expr: inner, .. } => keep(inner),
        Expr::Array(array) => array.elem.iter_mut().for_each(keep),
        _ => {}
    }
}

/// Marks the numbers that a query counts rows or columns with.
pub(super) fn keep_in_query(query: &mut Query) {
    match &mut query.limit_clause {
        Some(LimitClause::LimitOffset { limit, offset, .. }) => {
            limit.iter_mut().for_each(keep);
            offset.iter_mut().for_each(|offset| keep(&mut offset.value));
        }
        Some(LimitClause::OffsetCommaLimit { offset, limit }) => {
            keep(offset);
            keep(limit);
        }
        None => {}
    }
    if let Some(fetch) = &mut query.fetch {
        fetch.quantity.iter_mut().for_each(keep);
    }
    if let Some(order) = &mut query.order_by
        && let OrderByKind::Expressions(keys) = &mut order.kind
    {
        keys.iter_mut().for_each(|key| keep(&mut key.expr));
    }
}

/// Marks the positions of columns in GROUP BY and DISTINCT ON.
pub(super) fn keep_in_select(select: &mut Select) {
    if let Some(Distinct::On(keys)) = &mut select.distinct {
        keys.iter_mut().for_each(keep);
    }
    if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
        for key in keys {
            match key {
                Expr::GroupingSets(sets) | Expr::Rollup(sets) | Expr::Cube(sets) => {
                    sets.iter_mut().flatten().for_each(keep);
                }
                key => keep(key),
            }
        }
    }
}

/// Marks the arguments of a function in FROM.
pub(super) fn keep_in_table(factor: &mut TableFactor) {
    match factor {
        TableFactor::Table {
            args: Some(call), ..
        } => call.args.iter_mut().for_each(keep_argument),
        TableFactor::Function { args, .. } => args.iter_mut().for_each(keep_argument),
        TableFactor::TableFunction {
            expr: Expr::Function(call),
            ..
        } => keep_arguments(call),
        _ => {}
    }
}

/// Marks the numbers right within an expression that are to stay.
pub(super) fn keep_within(expr: &mut Expr) {
    match expr {
        Expr::Function(call) => {
            let of_argument_type = call
                .name
                .0
                .last()
                .and_then(|part| part.as_ident())
                .is_some_and(|name| {
                    OF_ARGUMENT_TYPE.contains(&crate::relation::normalise(name).as_str())
                });
            if !of_argument_type {
                keep_arguments(call);
            }
            if let Some(WindowType::WindowSpec(window)) = &mut call.over
                && let Some(frame) = &mut window.window_frame
            {
                keep_bound(&mut frame.start_bound);
                frame.end_bound.iter_mut().for_each(keep_bound);
            }
        }
        // The values are brought to the type of what they are compared with.
        Expr::InList { list, .. } => list.iter_mut().for_each(keep),
        Expr::CompoundFieldAccess { access_chain, .. } => {
            for access in access_chain {
                if let AccessExpr::Subscript(Subscript::Index { index }) = access {
                    keep(index);
                }
            }
        }
        _ => {}
    }
}

/// Makes doubles of the numbers with a point that stand in a column of VALUES with doubles: the engine would make decimals
/// of the doubles.
pub(super) fn doubles_in_values(values: &mut Values) {
    let is_double = |expr: &Expr| {
        matches!(
            expr,
            Expr::Cast {
                data_type: DataType::DoublePrecision | DataType::Float8 | DataType::Float(_),
                ..
            }
        )
    };
    let rows = &mut values.rows;
    let width = rows.first().map_or(0, |row| row.content.len());
    for position in 0..width {
        let mut column = rows.iter().filter_map(|row| row.content.get(position));
        if !column.any(is_double) {
            continue;
        }
        for cell in rows
            .iter_mut()
            .filter_map(|row| row.content.get_mut(position))
        {
            let number = match &*cell {
                Expr::UnaryOp { expr, .. } => expr.as_ref(),
                other => other,
            };
            if let Expr::Value(value) = number
                && let Value::Number(digits, _) = &value.value
                && digits.parse::<i64>().is_err()
            {
                *cell = Expr::Cast {
                    kind: sqlparser::ast::CastKind::Cast,
                    expr: Box::new(tree::take(cell)),
                    data_type: DataType::DoublePrecision,
                    array: false,
                    format: None,
                };
            }
        }
    }
}

fn keep_bound(bound: &mut WindowFrameBound) {
    if let WindowFrameBound::Preceding(Some(rows)) | WindowFrameBound::Following(Some(rows)) = bound
    {
        keep(rows);
    }
}

fn keep_arguments(call: &mut Function) {
    if let FunctionArguments::List(list) = &mut call.args {
        list.args.iter_mut().for_each(keep_argument);
    }
}

fn keep_argument(argument: &mut FunctionArg) {
    let (FunctionArg::Named { arg, .. }
    | FunctionArg::ExprNamed { arg, .. }
    | FunctionArg::Unnamed(arg)) = argument;
    if let FunctionArgExpr::Expr(expr) = arg {
        keep(expr);
    }
}
