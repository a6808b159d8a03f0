//! Columns of CREATE TABLE AS that are `numeric` without a declared precision.
//!
//! The engine knows the digits of every decimal: `1.5` is one of two digits, a sum one of ten more than its column has. In
//! PostgreSQL only a declared precision, of a column or a cast, holds for the new table; all else is plain `numeric`, with
//! room for what is inserted later.

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::expr::{Cast, TryCast};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, cast};

use crate::error::Result;

/// The digits after the point that plain `numeric` has at least.
const SCALE_MIN: i8 = 9;

/// The plan with its decimals of no declared precision as plain `numeric`.
///
/// # Errors
/// Of the engine, for an expression without a type.
pub fn unconstrained(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut changed = false;
    let columns = plan.schema().columns().into_iter().enumerate();
    let columns = columns
        .map(|(position, column)| {
            let (qualifier, field) = plan.schema().qualified_field(position);
            let DataType::Decimal128(precision, scale) = *field.data_type() else {
                return Ok(Expr::Column(column));
            };
            if precision == DECIMAL128_MAX_PRECISION {
                return Ok(Expr::Column(column));
            }
            let scale = match origin(&plan, position)? {
                Origin::Declared => return Ok(Expr::Column(column)),
                Origin::Computed => scale,
                Origin::Literal => scale.max(SCALE_MIN),
            };
            changed = true;
            let wide = DataType::Decimal128(DECIMAL128_MAX_PRECISION, scale);
            Ok(cast(Expr::Column(column), wide).alias_qualified(qualifier.cloned(), field.name()))
        })
        .collect::<Result<Vec<Expr>>>()?;
    if !changed {
        return Ok(plan);
    }
    Ok(LogicalPlanBuilder::from(plan).project(columns)?.build()?)
}

/// Where a decimal has its digits from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// A column or a cast that declares them.
    Declared,
    /// A computation with columns: it has as many after the point whenever it is done again.
    Computed,
    /// Literals alone, which the next row may have more of.
    Literal,
}

fn origin(plan: &LogicalPlan, position: usize) -> Result<Origin> {
    Ok(match plan {
        LogicalPlan::Projection(projection) => match projection.expr.get(position) {
            Some(expr) => origin_of(expr, &projection.input)?,
            None => Origin::Declared,
        },
        LogicalPlan::SubqueryAlias(alias) => origin(&alias.input, position)?,
        LogicalPlan::Filter(filter) => origin(&filter.input, position)?,
        LogicalPlan::Sort(sort) => origin(&sort.input, position)?,
        LogicalPlan::Limit(limit) => origin(&limit.input, position)?,
        LogicalPlan::Distinct(datafusion::logical_expr::Distinct::All(input)) => {
            origin(input, position)?
        }
        LogicalPlan::Aggregate(aggregate) => {
            let groups = aggregate.group_expr.len();
            match aggregate.group_expr.get(position) {
                Some(expr) => origin_of(expr, &aggregate.input)?,
                None => match aggregate.aggr_expr.get(position.saturating_sub(groups)) {
                    Some(expr) => computed(expr, aggregate.input.schema())?,
                    None => Origin::Declared,
                },
            }
        }
        LogicalPlan::Window(window) => {
            let given = window.input.schema().fields().len();
            match window.window_expr.get(position.wrapping_sub(given)) {
                Some(expr) => computed(expr, window.input.schema())?,
                None => origin(&window.input, position)?,
            }
        }
        LogicalPlan::Join(join) => {
            let left = join.left.schema().fields().len();
            match position.checked_sub(left) {
                Some(position) => origin(&join.right, position)?,
                None => origin(&join.left, position)?,
            }
        }
        LogicalPlan::Union(union) => {
            let mut widest = Origin::Declared;
            for input in &union.inputs {
                match origin(input, position)? {
                    Origin::Literal => return Ok(Origin::Literal),
                    Origin::Computed => widest = Origin::Computed,
                    Origin::Declared => {}
                }
            }
            widest
        }
        LogicalPlan::Values(_) => Origin::Literal,
        _ => Origin::Declared,
    })
}

fn origin_of(expr: &Expr, input: &LogicalPlan) -> Result<Origin> {
    match expr {
        Expr::Alias(alias) => origin_of(&alias.expr, input),
        Expr::Column(column) => of_column(column, input),
        Expr::Cast(Cast { field, .. }) | Expr::TryCast(TryCast { field, .. })
            if field.data_type().is_decimal() =>
        {
            Ok(Origin::Declared)
        }
        other => computed(other, input.schema()),
    }
}

fn of_column(column: &Column, input: &LogicalPlan) -> Result<Origin> {
    match input.schema().maybe_index_of_column(column) {
        Some(position) => origin(input, position),
        None => Ok(Origin::Declared),
    }
}

fn computed(expr: &Expr, schema: &DFSchema) -> Result<Origin> {
    let mut from_columns = false;
    expr.apply(|part| {
        if let Expr::Column(_) = part
            && part.get_type(schema)?.is_decimal()
        {
            from_columns = true;
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(if from_columns {
        Origin::Computed
    } else {
        Origin::Literal
    })
}
