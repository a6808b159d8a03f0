//! Running a subquery for all tuples of its domain at once.
//!
//! [`push`] makes of a plan with outer references one without, that yields the rows of every tuple, each with the tuple's
//! number. Every operator stays what it is within each number: groupings group by it, joins match on it, limits count
//! within it. Below the last outer reference the domain is joined as it is.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, JoinType, Result, ScalarValue, TableReference};
use datafusion::functions_window::row_number::row_number_udwf;
use datafusion::logical_expr::expr::{
    AggregateFunction, Sort as SortExpr, WindowFunction, WindowFunctionParams,
};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    Aggregate, Distinct, DistinctOn, Expr, Extension, FetchType, Filter, Join, Limit, LogicalPlan,
    LogicalPlanBuilder, Projection, SkipType, Sort, SubqueryAlias, Union, Unnest, Values, Window,
    WindowFrame, WindowFunctionDefinition, cast, lit,
};

use super::domain::{Bound, Domain};
use super::node::ApplyNode;
use crate::error::Report;

/// `plan` for every tuple of `domain`, and where the domain's columns are in its output. The plan's own columns keep
/// their names.
///
/// # Errors
/// `0A000` for a reference in an operator that cannot be run so, such as a relation function.
pub(super) fn push(plan: LogicalPlan, domain: &Domain) -> Result<(LogicalPlan, Bound)> {
    if !refers(&plan, domain)? {
        let (scan, bound) = domain.scan()?;
        let plan = LogicalPlanBuilder::from(scan).cross_join(plan)?.build()?;
        return Ok((plan, bound));
    }
    match plan {
        LogicalPlan::Projection(projection) => push_projection(projection, domain),
        LogicalPlan::Filter(filter) => {
            let (input, bound) = push_input(filter.input, domain)?;
            let predicate = bind(filter.predicate, domain, &bound)?;
            Ok((
                LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(input))?),
                bound,
            ))
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let (input, bound) = push_input(alias.input, domain)?;
            let bound = bound.map(|column| Column::new(Some(alias.alias.clone()), column.name()));
            let plan = SubqueryAlias::try_new(Arc::new(input), alias.alias)?;
            Ok((LogicalPlan::SubqueryAlias(plan), bound))
        }
        LogicalPlan::Subquery(subquery) => push_input(subquery.subquery, domain),
        LogicalPlan::Sort(Sort {
            expr,
            input,
            fetch: Some(fetch),
        }) => {
            let sort = LogicalPlan::Sort(Sort {
                expr,
                input,
                fetch: None,
            });
            let fetch = i64::try_from(fetch).unwrap_or(i64::MAX);
            push_limit(sort, None, Some(fetch), domain)
        }
        LogicalPlan::Sort(Sort {
            expr,
            input,
            fetch: None,
        }) => {
            let (input, bound) = push_input(input, domain)?;
            let expr = bind_sort(expr, domain, &bound)?;
            let sort = Sort {
                expr,
                input: Arc::new(input),
                fetch: None,
            };
            Ok((LogicalPlan::Sort(sort), bound))
        }
        LogicalPlan::Limit(limit) => {
            let (skip, fetch) = constant_limit(&limit)?;
            push_limit(Arc::unwrap_or_clone(limit.input), skip, fetch, domain)
        }
        LogicalPlan::Distinct(Distinct::All(input)) => {
            let (input, bound) = push_input(input, domain)?;
            Ok((LogicalPlan::Distinct(Distinct::All(Arc::new(input))), bound))
        }
        LogicalPlan::Distinct(Distinct::On(on)) => push_distinct_on(on, domain),
        LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty() => {
            push_scalar_aggregate(aggregate, domain)
        }
        LogicalPlan::Aggregate(aggregate) => push_aggregate(aggregate, domain),
        LogicalPlan::Window(window) => push_window(window, domain),
        LogicalPlan::Join(join) => push_join(join, domain),
        LogicalPlan::Union(union) => push_union(union, domain),
        LogicalPlan::Values(values) => push_values(values, domain),
        LogicalPlan::Unnest(unnest) => push_unnest(unnest, domain),
        LogicalPlan::Extension(extension) => {
            let Some(apply) = extension.node.as_any().downcast_ref::<ApplyNode>() else {
                return Err(unsupported(extension.node.name()));
            };
            push_apply(apply, domain)
        }
        other => Err(unsupported(&other.display().to_string())),
    }
}

fn unsupported(operator: &str) -> datafusion::error::DataFusionError {
    Report::unsupported(format!("a reference to an outer query within {operator}"))
        .hint("Compute it in a common table expression or a join first.")
        .into()
}

fn push_input(input: Arc<LogicalPlan>, domain: &Domain) -> Result<(LogicalPlan, Bound)> {
    push(Arc::unwrap_or_clone(input), domain)
}

/// Whether anything in a plan refers to the domain. References of the subqueries in its expressions are their own affair:
/// those that reach further out have been converted before.
fn refers(plan: &LogicalPlan, domain: &Domain) -> Result<bool> {
    plan.exists(|node| {
        let mut found = false;
        node.apply_expressions(|expr| {
            found = found || expr_refers(expr, domain)?;
            Ok(if found {
                TreeNodeRecursion::Stop
            } else {
                TreeNodeRecursion::Continue
            })
        })?;
        Ok(found)
    })
}

fn expr_refers(expr: &Expr, domain: &Domain) -> Result<bool> {
    expr.exists(|expr| {
        Ok(matches!(expr, Expr::OuterReferenceColumn(..)) && domain.references.contains(expr))
    })
}

/// An expression with the domain's columns for the outer references.
pub(super) fn bind(expr: Expr, domain: &Domain, bound: &Bound) -> Result<Expr> {
    expr.transform_up(|expr| {
        let at = match &expr {
            Expr::OuterReferenceColumn(..) => domain
                .references
                .iter()
                .position(|reference| *reference == expr),
            _ => None,
        };
        Ok(match at.and_then(|at| bound.columns.get(at)) {
            Some(column) => Transformed::yes(Expr::Column(column.clone())),
            None => Transformed::no(expr),
        })
    })
    .data()
}

fn bind_all(exprs: Vec<Expr>, domain: &Domain, bound: &Bound) -> Result<Vec<Expr>> {
    exprs
        .into_iter()
        .map(|expr| bind(expr, domain, bound))
        .collect()
}

fn bind_sort(exprs: Vec<SortExpr>, domain: &Domain, bound: &Bound) -> Result<Vec<SortExpr>> {
    exprs
        .into_iter()
        .map(|sort| {
            Ok(SortExpr {
                expr: bind(sort.expr, domain, bound)?,
                ..sort
            })
        })
        .collect()
}

/// Bound expressions under the names that they had before, by which the operators above know them.
fn bind_named(
    exprs: Vec<Expr>,
    domain: &Domain,
    bound: &Bound,
    mut change: impl FnMut(Expr) -> Result<Expr>,
) -> Result<Vec<Expr>> {
    let names = NamePreserver::new_for_projection();
    exprs
        .into_iter()
        .map(|expr| {
            let name = names.save(&expr);
            Ok(name.restore(change(bind(expr, domain, bound)?)?))
        })
        .collect()
}

fn columns<'a>(columns: impl IntoIterator<Item = &'a Column>) -> Vec<Expr> {
    columns.into_iter().cloned().map(Expr::Column).collect()
}

fn push_projection(projection: Projection, domain: &Domain) -> Result<(LogicalPlan, Bound)> {
    let (input, bound) = push_input(projection.input, domain)?;
    let mut exprs = columns(bound.all());
    exprs.extend(bind_named(projection.expr, domain, &bound, Ok)?);
    let plan = Projection::try_new(exprs, Arc::new(input))?;
    Ok((LogicalPlan::Projection(plan), bound))
}

/// Skip and fetch of a limit.
fn constant_limit(limit: &Limit) -> Result<(Option<i64>, Option<i64>)> {
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let (SkipType::Literal(skip), FetchType::Literal(fetch)) =
        (limit.get_skip_type()?, limit.get_fetch_type()?)
    else {
        return Err(unsupported("a LIMIT that is not a constant"));
    };
    Ok(((skip > 0).then(|| count(skip)), fetch.map(count)))
}

/// A limit counts within each tuple: by the number of the row in the order asked for.
fn push_limit(
    input: LogicalPlan,
    skip: Option<i64>,
    fetch: Option<i64>,
    domain: &Domain,
) -> Result<(LogicalPlan, Bound)> {
    match input {
        // The order is below; a projection changes neither the number of rows nor their order.
        LogicalPlan::Projection(projection) => {
            let (input, bound) =
                push_limit(Arc::unwrap_or_clone(projection.input), skip, fetch, domain)?;
            let mut exprs = columns(bound.all());
            exprs.extend(bind_named(projection.expr, domain, &bound, Ok)?);
            let plan = Projection::try_new(exprs, Arc::new(input))?;
            Ok((LogicalPlan::Projection(plan), bound))
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let (input, bound) =
                push_limit(Arc::unwrap_or_clone(alias.input), skip, fetch, domain)?;
            let bound = bound.map(|column| Column::new(Some(alias.alias.clone()), column.name()));
            let plan = SubqueryAlias::try_new(Arc::new(input), alias.alias)?;
            Ok((LogicalPlan::SubqueryAlias(plan), bound))
        }
        LogicalPlan::Sort(Sort {
            expr,
            input,
            fetch: None,
        }) => {
            let (input, bound) = push_input(input, domain)?;
            let order_by = bind_sort(expr, domain, &bound)?;
            Ok((number_rows(input, &bound, order_by, skip, fetch)?, bound))
        }
        other => {
            let (input, bound) = push(other, domain)?;
            Ok((number_rows(input, &bound, Vec::new(), skip, fetch)?, bound))
        }
    }
}

fn number_rows(
    input: LogicalPlan,
    bound: &Bound,
    order_by: Vec<SortExpr>,
    skip: Option<i64>,
    fetch: Option<i64>,
) -> Result<LogicalPlan> {
    let all = input.schema().columns();
    let name = format!("{}_row", bound.id.name());
    let ordered = !order_by.is_empty();
    let row_number = WindowFunction {
        fun: WindowFunctionDefinition::WindowUDF(row_number_udwf()),
        params: WindowFunctionParams {
            args: Vec::new(),
            partition_by: vec![Expr::Column(bound.id.clone())],
            order_by,
            window_frame: WindowFrame::new(ordered.then_some(false)),
            filter: None,
            null_treatment: None,
            distinct: false,
        },
    };
    let numbered = Expr::from(row_number).alias(&name);
    // The analyzer's coercion of types has been before us.
    let number = || {
        cast(
            Expr::Column(Column::new_unqualified(&name)),
            DataType::Int64,
        )
    };
    let first = skip.unwrap_or(0);
    let mut wanted = number().gt(lit(first));
    if let Some(fetch) = fetch {
        wanted = wanted.and(number().lt_eq(lit(first.saturating_add(fetch))));
    }
    LogicalPlanBuilder::from(input)
        .window(vec![numbered])?
        .filter(wanted)?
        .project(columns(&all))?
        .build()
}

fn push_distinct_on(on: DistinctOn, domain: &Domain) -> Result<(LogicalPlan, Bound)> {
    let (input, bound) = push_input(on.input, domain)?;
    let mut on_expr = columns(bound.all());
    on_expr.extend(bind_all(on.on_expr, domain, &bound)?);
    let mut select_expr = columns(bound.all());
    select_expr.extend(bind_named(on.select_expr, domain, &bound, Ok)?);
    let sort_expr = match on.sort_expr {
        Some(sort) => {
            let mut within: Vec<SortExpr> = columns(bound.all())
                .into_iter()
                .map(|column| column.sort(true, false))
                .collect();
            within.extend(bind_sort(sort, domain, &bound)?);
            Some(within)
        }
        None => None,
    };
    let plan = DistinctOn::try_new(on_expr, select_expr, sort_expr, Arc::new(input))?;
    Ok((LogicalPlan::Distinct(Distinct::On(plan)), bound))
}

fn push_aggregate(aggregate: Aggregate, domain: &Domain) -> Result<(LogicalPlan, Bound)> {
    if aggregate
        .group_expr
        .iter()
        .any(|expr| matches!(expr, Expr::GroupingSet(_)))
    {
        return Err(unsupported("GROUPING SETS"));
    }
    let (input, bound) = push_input(aggregate.input, domain)?;
    let mut group = columns(bound.all());
    group.extend(bind_named(aggregate.group_expr, domain, &bound, Ok)?);
    let aggregates = bind_named(aggregate.aggr_expr, domain, &bound, Ok)?;
    let plan = Aggregate::try_new(Arc::new(input), group, aggregates)?;
    Ok((LogicalPlan::Aggregate(plan), bound))
}

/// An aggregate without groups has a row even over no rows: every tuple gets its group, and rows that only the outer join
/// made are kept from the aggregates by FILTER, so that each gives what it gives over nothing.
fn push_scalar_aggregate(aggregate: Aggregate, domain: &Domain) -> Result<(LogicalPlan, Bound)> {
    let (input, inner) = push_input(aggregate.input, domain)?;
    let (input, matched) = rename_domain(input, &inner, "row")?;
    let (scan, bound) = domain.scan()?;
    let joined = join_on_id(scan, input, &bound.id, &matched, JoinType::Left)?;
    let is_row = Expr::Column(matched).is_not_null();
    let aggregates = bind_named(aggregate.aggr_expr, domain, &bound, |expr| {
        expr.transform_down(|expr| match expr {
            Expr::AggregateFunction(AggregateFunction { func, mut params }) => {
                let given = params.filter.take();
                let filter = match given {
                    Some(given) => is_row.clone().and(*given),
                    None => is_row.clone(),
                };
                params.filter = Some(Box::new(filter));
                let expr = Expr::AggregateFunction(AggregateFunction { func, params });
                Ok(Transformed::new(expr, true, TreeNodeRecursion::Jump))
            }
            other => Ok(Transformed::no(other)),
        })
        .data()
    })?;
    let plan = Aggregate::try_new(Arc::new(joined), columns(bound.all()), aggregates)?;
    Ok((LogicalPlan::Aggregate(plan), bound))
}

fn push_window(window: Window, domain: &Domain) -> Result<(LogicalPlan, Bound)> {
    let (input, bound) = push_input(window.input, domain)?;
    let exprs = bind_named(window.window_expr, domain, &bound, |expr| {
        expr.transform_down(|expr| match expr {
            Expr::WindowFunction(mut function) => {
                function
                    .params
                    .partition_by
                    .insert(0, Expr::Column(bound.id.clone()));
                let expr = Expr::WindowFunction(function);
                Ok(Transformed::new(expr, true, TreeNodeRecursion::Jump))
            }
            other => Ok(Transformed::no(other)),
        })
        .data()
    })?;
    let plan = Window::try_new(exprs, Arc::new(input))?;
    Ok((LogicalPlan::Window(plan), bound))
}

fn push_join(join: Join, domain: &Domain) -> Result<(LogicalPlan, Bound)> {
    let left_refers = refers(&join.left, domain)?;
    let right_refers = refers(&join.right, domain)?;
    // Which sides need the domain, and on which its columns are never NULL.
    let (push_left, push_right, from_left) = match join.join_type {
        JoinType::Inner => (
            left_refers || !right_refers,
            right_refers,
            left_refers || !right_refers,
        ),
        JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => {
            (true, right_refers, true)
        }
        JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => {
            (left_refers, true, false)
        }
        JoinType::Full => return Err(unsupported("FULL JOIN")),
    };
    let (left, left_bound) = if push_left {
        let (plan, bound) = push_input(join.left, domain)?;
        (plan, Some(bound))
    } else {
        (Arc::unwrap_or_clone(join.left), None)
    };
    let (right, right_bound) = if push_right {
        let (plan, bound) = push_input(join.right, domain)?;
        (plan, Some(bound))
    } else {
        (Arc::unwrap_or_clone(join.right), None)
    };
    let mut on = join.on;
    let (left, right, bound) = match (left_bound, right_bound) {
        (Some(bound), Some(other)) if from_left => {
            let (right, id) = rename_domain(right, &other, "right")?;
            on.push((Expr::Column(bound.id.clone()), Expr::Column(id)));
            (left, right, bound)
        }
        (Some(other), Some(bound)) => {
            let (left, id) = rename_domain(left, &other, "left")?;
            on.push((Expr::Column(id), Expr::Column(bound.id.clone())));
            (left, right, bound)
        }
        (Some(bound), None) | (None, Some(bound)) => (left, right, bound),
        (None, None) => return Err(unsupported("a join")),
    };
    let on = on
        .into_iter()
        .map(|(left, right)| Ok((bind(left, domain, &bound)?, bind(right, domain, &bound)?)))
        .collect::<Result<Vec<_>>>()?;
    let filter = join
        .filter
        .map(|filter| bind(filter, domain, &bound))
        .transpose()?;
    let plan = Join::try_new(
        Arc::new(left),
        Arc::new(right),
        on,
        filter,
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )?;
    Ok((LogicalPlan::Join(plan), bound))
}

/// `plan` with the domain's number under another name and without its other columns, so that it can stand beside a plan
/// that has them too.
fn rename_domain(plan: LogicalPlan, bound: &Bound, suffix: &str) -> Result<(LogicalPlan, Column)> {
    let name = format!("{}_{suffix}", bound.id.name());
    let mut exprs = vec![Expr::Column(bound.id.clone()).alias(&name)];
    let own = plan.schema().columns();
    let kept = own
        .iter()
        .filter(|column| !bound.all().any(|domain| domain == *column));
    exprs.extend(columns(kept));
    let plan = LogicalPlanBuilder::from(plan).project(exprs)?.build()?;
    Ok((plan, Column::new_unqualified(name)))
}

fn join_on_id(
    left: LogicalPlan,
    right: LogicalPlan,
    left_id: &Column,
    right_id: &Column,
    join_type: JoinType,
) -> Result<LogicalPlan> {
    let on = (vec![left_id.clone()], vec![right_id.clone()]);
    LogicalPlanBuilder::from(left)
        .join(right, join_type, on, None)?
        .build()
}

fn push_union(union: Union, domain: &Domain) -> Result<(LogicalPlan, Bound)> {
    let mut first = None;
    let mut inputs = Vec::with_capacity(union.inputs.len());
    for input in union.inputs {
        let own = input.schema().columns();
        let (input, bound) = push_input(input, domain)?;
        // The branches of a union are matched by position.
        let mut exprs = columns(bound.all());
        exprs.extend(columns(&own));
        let input = LogicalPlanBuilder::from(input).project(exprs)?.build()?;
        inputs.push(Arc::new(input));
        first.get_or_insert(bound);
    }
    let plan = LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?);
    let Some(bound) = first else {
        return Err(unsupported("an empty UNION"));
    };
    // Give every column the name it had before.
    let given = plan.schema().columns();
    let domain_columns = bound.all().count();
    let before = union
        .schema
        .iter()
        .map(|(qualifier, field)| (qualifier.cloned(), field.name()));
    let names: Vec<(Option<TableReference>, &String)> = bound
        .all()
        .map(|column| (column.relation.clone(), &column.name))
        .chain(before)
        .collect();
    if names.len() != given.len() || domain_columns > given.len() {
        return Err(unsupported("a UNION of different widths"));
    }
    let exprs: Vec<Expr> = given
        .into_iter()
        .zip(names)
        .map(|(column, (qualifier, name))| {
            if column.relation == qualifier && column.name == *name {
                Expr::Column(column)
            } else {
                Expr::Column(column).alias_qualified(qualifier, name)
            }
        })
        .collect();
    let plan = LogicalPlanBuilder::from(plan).project(exprs)?.build()?;
    Ok((plan, bound))
}

fn push_values(values: Values, domain: &Domain) -> Result<(LogicalPlan, Bound)> {
    let mut rows = Vec::with_capacity(values.values.len());
    let (_, bound) = domain.scan()?;
    for row in values.values {
        let (scan, _) = domain.scan()?;
        let mut exprs = columns(bound.all());
        for (expr, (_, field)) in row.into_iter().zip(values.schema.iter()) {
            let expr = bind(expr, domain, &bound)?;
            // The rows of VALUES share the types of its schema.
            let expr = match &expr {
                Expr::Literal(value, _) if value.data_type() == *field.data_type() => expr,
                Expr::Literal(ScalarValue::Null, _) => {
                    lit(ScalarValue::try_from(field.data_type())?)
                }
                _ => cast(expr, field.data_type().clone()),
            };
            exprs.push(expr.alias(field.name()));
        }
        rows.push(LogicalPlanBuilder::from(scan).project(exprs)?.build()?);
    }
    let mut rows = rows.into_iter();
    let Some(first) = rows.next() else {
        return Err(unsupported("VALUES without rows"));
    };
    let all: Vec<Arc<LogicalPlan>> = std::iter::once(first.clone())
        .chain(rows)
        .map(Arc::new)
        .collect();
    if all.len() == 1 {
        return Ok((first, bound));
    }
    let names = first.schema().columns();
    let plan = LogicalPlan::Union(Union::try_new_with_loose_types(all)?);
    let exprs: Vec<Expr> = plan
        .schema()
        .columns()
        .into_iter()
        .zip(names)
        .map(|(given, wanted)| {
            if given == wanted {
                Expr::Column(given)
            } else {
                Expr::Column(given).alias_qualified(wanted.relation, wanted.name)
            }
        })
        .collect();
    let plan = LogicalPlanBuilder::from(plan).project(exprs)?.build()?;
    Ok((plan, bound))
}

fn push_unnest(unnest: Unnest, domain: &Domain) -> Result<(LogicalPlan, Bound)> {
    let (input, bound) = push_input(unnest.input, domain)?;
    let plan = LogicalPlanBuilder::from(input)
        .unnest_columns_with_options(unnest.exec_columns, unnest.options)?
        .build()?;
    Ok((plan, bound))
}

/// A subquery within the subquery: its own domain takes the values from this one.
fn push_apply(apply: &ApplyNode, domain: &Domain) -> Result<(LogicalPlan, Bound)> {
    use datafusion::logical_expr::UserDefinedLogicalNodeCore;
    let Some(input) = apply
        .inputs()
        .first()
        .map(|input| LogicalPlan::clone(input))
    else {
        return Err(unsupported("a subquery"));
    };
    let (input, bound) = push(input, domain)?;
    let node = apply.over(input, |expr| bind(expr, domain, &bound))?;
    Ok((
        LogicalPlan::Extension(Extension {
            node: Arc::new(node),
        }),
        bound,
    ))
}
