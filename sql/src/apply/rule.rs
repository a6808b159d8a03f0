//! Which subqueries become [`ApplyNode`]s, and how their expressions change.

use std::sync::Arc;

use arrow::datatypes::FieldRef;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, ExprSchema, JoinType, Result, internal_err};
use datafusion::logical_expr::expr::{
    Case, Exists, InSubquery, ScalarFunction, SetComparison, SetQuantifier,
};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, split_conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    BinaryExpr, Expr, ExprSchemable, Extension, Filter, Join, LogicalPlan, LogicalPlanBuilder,
    Operator, Subquery,
};
use datafusion::optimizer::AnalyzerRule;

use super::domain::Domain;
use super::node::{ApplyNode, Kind, Parts};
use super::push::{bind, push};
use crate::error::Report;

/// Converts the subqueries that the engine has no right join for.
#[derive(Debug)]
pub(super) struct ApplySubqueries;

impl AnalyzerRule for ApplySubqueries {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        if has_subqueries(&plan)? {
            rewrite(plan)
        } else {
            Ok(plan)
        }
    }

    fn name(&self) -> &str {
        "apply_subqueries"
    }
}

fn has_subqueries(plan: &LogicalPlan) -> Result<bool> {
    plan.exists(|node| {
        if matches!(node, LogicalPlan::Subquery(_)) {
            return Ok(true);
        }
        let mut found = false;
        node.apply_expressions(|expr| {
            found = found || has_subquery(expr)?;
            Ok(if found {
                TreeNodeRecursion::Stop
            } else {
                TreeNodeRecursion::Continue
            })
        })?;
        Ok(found)
    })
}

/// Whether an expression holds a subquery.
fn has_subquery(expr: &Expr) -> Result<bool> {
    expr.exists(|expr| {
        Ok(matches!(
            expr,
            Expr::ScalarSubquery(_)
                | Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::SetComparison(_)
        ))
    })
}

/// Converts bottom-up, so that a subquery within a subquery is an [`ApplyNode`] of it already or refers to nothing beyond it.
fn rewrite(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = plan
        .map_children(|child| Ok(Transformed::yes(rewrite(child)?)))
        .data()?;
    match plan {
        LogicalPlan::Join(join) => rewrite_join(join),
        LogicalPlan::Filter(filter) if has_subquery(&filter.predicate)? => rewrite_filter(filter),
        other => rewrite_expressions(other),
    }
}

/// Any node whose expressions are over one input.
fn rewrite_expressions(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut holds = false;
    plan.apply_expressions(|expr| {
        holds = holds || has_subquery(expr)?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    let inputs = plan.inputs();
    if !holds {
        return Ok(plan);
    }
    let [input] = inputs.as_slice() else {
        return Ok(plan);
    };
    let keeps_columns = matches!(plan, LogicalPlan::Sort(_) | LogicalPlan::Window(_));
    let before = plan.schema().columns();
    let mut place = Place::new(LogicalPlan::clone(input));
    let names = NamePreserver::new(&plan);
    let plan = plan
        .map_expressions(|expr| {
            let name = names.save(&expr);
            Ok(Transformed::yes(name.restore(place.convert(expr)?)))
        })
        .data()?;
    let converted = place.converted;
    let plan = plan
        .map_children(|_| Ok(Transformed::yes(std::mem::take(&mut place.input))))
        .data()?
        .recompute_schema()?;
    // What passes its input's columns on must not pass those of the subqueries.
    if converted && keeps_columns {
        project(plan, before)
    } else {
        Ok(plan)
    }
}

fn project(plan: LogicalPlan, columns: Vec<Column>) -> Result<LogicalPlan> {
    LogicalPlanBuilder::from(plan)
        .project(columns.into_iter().map(Expr::Column).collect::<Vec<_>>())?
        .build()
}

/// Conditions without subqueries, and those the engine joins, come first; they leave fewer rows to ask for.
fn rewrite_filter(filter: Filter) -> Result<LogicalPlan> {
    let before = filter.input.schema().columns();
    let input = Arc::unwrap_or_clone(filter.input);
    let (mut first, mut later) = (Vec::new(), Vec::new());
    for condition in split_conjunction_owned(filter.predicate) {
        if !has_subquery(&condition)? {
            first.push(condition);
            continue;
        }
        // Whatever the subqueries hold is converted whether or not they are themselves.
        let condition = rewrite_within(condition)?;
        if is_engines(&condition, input.schema())? {
            first.push(condition);
        } else {
            later.push(condition);
        }
    }
    let input = match conjunction(first) {
        Some(first) => LogicalPlan::Filter(Filter::try_new(first, Arc::new(input))?),
        None => input,
    };
    let mut place = Place::new(input);
    let later = later
        .into_iter()
        .map(|condition| place.convert(condition))
        .collect::<Result<Vec<Expr>>>()?;
    match conjunction(later) {
        Some(later) => {
            let plan = LogicalPlan::Filter(Filter::try_new(later, Arc::new(place.input))?);
            project(plan, before)
        }
        None => Ok(place.input),
    }
}

/// A LATERAL join, or one with subqueries in its condition.
fn rewrite_join(mut join: Join) -> Result<LogicalPlan> {
    if let Some(subquery) = lateral(&join.right) {
        let references = references(&subquery)?;
        let left = join.left.schema();
        if references.iter().any(|reference| is_of(reference, left)) {
            return rewrite_lateral(join, subquery);
        }
        // It refers to a query around this one only.
        join.right = Arc::new(subquery);
        return rewrite_join(join);
    }
    if let Some(subquery) = lateral(&join.left) {
        join.left = Arc::new(subquery);
        return rewrite_join(join);
    }
    let filter = join.filter.take();
    let mut on = Vec::with_capacity(join.on.len());
    let mut conditions: Vec<Expr> = filter.map(split_conjunction_owned).unwrap_or_default();
    for (left, right) in join.on {
        if has_subquery(&left)? || has_subquery(&right)? {
            conditions.push(left.eq(right));
        } else {
            on.push((left, right));
        }
    }
    let mut plain = Vec::new();
    let mut asking = Vec::new();
    for condition in conditions {
        if has_subquery(&condition)? {
            asking.push(condition)
        } else {
            plain.push(condition)
        }
    }
    let before = join.schema.columns();
    let (mut left, mut right) = (join.left, join.right);
    let after = if join.join_type == JoinType::Inner {
        asking
    } else {
        // The condition of an outer join decides what is matched, so it must be known on one side before the join.
        for condition in asking {
            let condition = rewrite_within(condition)?;
            let needs = outside(&condition)?;
            let side = if needs.iter().all(|expr| is_of(expr, left.schema())) {
                &mut left
            } else if needs.iter().all(|expr| is_of(expr, right.schema())) {
                &mut right
            } else {
                return Err(Report::unsupported(
                    "a subquery that refers to both sides in the condition of an outer join",
                )
                .into());
            };
            let mut place = Place::new(LogicalPlan::clone(side));
            plain.push(place.convert(condition)?);
            *side = Arc::new(place.input);
        }
        Vec::new()
    };
    let plan = LogicalPlan::Join(Join::try_new(
        left,
        right,
        on,
        conjunction(plain),
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )?);
    let plan = if plan.schema().columns() == before {
        plan
    } else {
        project(plan, before)?
    };
    match conjunction(after) {
        Some(after) => rewrite_filter(Filter::try_new(after, Arc::new(plan))?),
        None => Ok(plan),
    }
}

/// The outer references and columns that an expression and its subqueries need.
fn outside(expr: &Expr) -> Result<Vec<Expr>> {
    let mut needs = Vec::new();
    expr.apply(|expr| {
        match expr {
            Expr::Column(_) => needs.push(expr.clone()),
            Expr::ScalarSubquery(subquery)
            | Expr::Exists(Exists { subquery, .. })
            | Expr::InSubquery(InSubquery { subquery, .. })
            | Expr::SetComparison(SetComparison { subquery, .. }) => {
                needs.extend(references(&subquery.subquery)?);
            }
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(needs)
}

/// The plan of a LATERAL item, under its alias.
fn lateral(plan: &LogicalPlan) -> Option<LogicalPlan> {
    match plan {
        LogicalPlan::Subquery(subquery) => Some(LogicalPlan::clone(&subquery.subquery)),
        LogicalPlan::SubqueryAlias(alias) => {
            let LogicalPlan::Subquery(subquery) = alias.input.as_ref() else {
                return None;
            };
            LogicalPlanBuilder::from(LogicalPlan::clone(&subquery.subquery))
                .alias(alias.alias.clone())
                .and_then(LogicalPlanBuilder::build)
                .ok()
        }
        _ => None,
    }
}

fn rewrite_lateral(join: Join, subquery: LogicalPlan) -> Result<LogicalPlan> {
    let outer = match join.join_type {
        JoinType::Inner => false,
        JoinType::Left => true,
        other => {
            return Err(Report::unsupported(format!("LATERAL in a {other} join")).into());
        }
    };
    // The condition becomes one of the subquery, in which the columns of the left side are outer references.
    let left = Arc::clone(join.left.schema());
    let conditions = join
        .on
        .into_iter()
        .map(|(left, right)| left.eq(right))
        .chain(join.filter);
    let subquery = match conjunction(conditions) {
        Some(condition) => {
            let condition = condition
                .transform_up(|expr| match expr {
                    Expr::Column(column) if left.has_column(&column) => {
                        let field: FieldRef = Arc::clone(left.field_from_column(&column)?);
                        Ok(Transformed::yes(Expr::OuterReferenceColumn(field, column)))
                    }
                    other => Ok(Transformed::no(other)),
                })
                .data()?;
            rewrite(LogicalPlan::Filter(Filter::try_new(
                condition,
                Arc::new(subquery),
            )?))?
        }
        None => subquery,
    };
    let own = subquery.schema().columns();
    let mut place = Place::new(Arc::unwrap_or_clone(join.left));
    place.apply(subquery, Kind::Rows { outer }, None, |plan, id, _| {
        let mut exprs = vec![Expr::Column(id.clone())];
        exprs.extend(own.into_iter().map(Expr::Column));
        LogicalPlanBuilder::from(plan).project(exprs)?.build()
    })?;
    Ok(place.input)
}

/// Converts what the subqueries of an expression hold.
fn rewrite_within(expr: Expr) -> Result<Expr> {
    let plan = |subquery: Subquery| -> Result<Subquery> {
        let plan = rewrite(Arc::unwrap_or_clone(subquery.subquery))?;
        Ok(Subquery {
            outer_ref_columns: references(&plan)?,
            subquery: Arc::new(plan),
            spans: subquery.spans,
        })
    };
    expr.transform_up(|expr| {
        Ok(match expr {
            Expr::ScalarSubquery(subquery) => {
                Transformed::yes(Expr::ScalarSubquery(plan(subquery)?))
            }
            Expr::Exists(Exists { subquery, negated }) => Transformed::yes(Expr::Exists(Exists {
                subquery: plan(subquery)?,
                negated,
            })),
            Expr::InSubquery(InSubquery {
                expr,
                subquery,
                negated,
            }) => {
                let subquery = plan(subquery)?;
                Transformed::yes(Expr::InSubquery(InSubquery {
                    expr,
                    subquery,
                    negated,
                }))
            }
            Expr::SetComparison(SetComparison {
                expr,
                subquery,
                op,
                quantifier,
            }) => {
                let subquery = plan(subquery)?;
                Transformed::yes(Expr::SetComparison(SetComparison {
                    expr,
                    subquery,
                    op,
                    quantifier,
                }))
            }
            other => Transformed::no(other),
        })
    })
    .data()
}

/// The distinct outer references of a plan that has been rewritten. Subqueries left in its expressions refer to the plan
/// itself only.
fn references(plan: &LogicalPlan) -> Result<Vec<Expr>> {
    let mut references: Vec<Expr> = Vec::new();
    plan.apply(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if matches!(expr, Expr::OuterReferenceColumn(..)) && !references.contains(expr) {
                    references.push(expr.clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(references)
}

/// Whether a column or outer reference is one of `schema`.
fn is_of(expr: &Expr, schema: &DFSchema) -> bool {
    match expr {
        Expr::Column(column) | Expr::OuterReferenceColumn(_, column) => schema.has_column(column),
        _ => false,
    }
}

/// Where expressions are converted: the input that gets a column for each of their subqueries.
struct Place {
    input: LogicalPlan,
    converted: bool,
}

impl Place {
    fn new(input: LogicalPlan) -> Self {
        Self {
            input,
            converted: false,
        }
    }

    /// An expression with columns for its subqueries.
    fn convert(&mut self, expr: Expr) -> Result<Expr> {
        if !has_subquery(&expr)? {
            return Ok(expr);
        }
        let expr = rewrite_within(expr)?;
        self.replace(expr, None)
    }

    /// `guard` says which rows need the value: those that reach it in a CASE or COALESCE around it.
    fn replace(&mut self, expr: Expr, guard: Option<&Expr>) -> Result<Expr> {
        if !has_subquery(&expr)? {
            return Ok(expr);
        }
        match expr {
            Expr::Case(case) => self.replace_case(case, guard),
            Expr::ScalarFunction(call) if call.func.name() == "coalesce" => {
                self.replace_coalesce(call, guard)
            }
            // An uncorrelated scalar subquery runs once, as the engine has it.
            Expr::ScalarSubquery(subquery)
                if subquery.outer_ref_columns.is_empty() && guard.is_none() =>
            {
                Ok(Expr::ScalarSubquery(subquery))
            }
            Expr::ScalarSubquery(subquery) => {
                let plan = Arc::unwrap_or_clone(subquery.subquery);
                let value = first_column(&plan)?;
                self.apply(plan, Kind::Scalar, guard, |plan, id, _| {
                    let exprs = vec![Expr::Column(id.clone()), value];
                    LogicalPlanBuilder::from(plan).project(exprs)?.build()
                })
            }
            Expr::Exists(Exists { subquery, negated }) => {
                let plan = Arc::unwrap_or_clone(subquery.subquery);
                let exists = self.apply(plan, Kind::Exists, guard, |plan, id, _| {
                    LogicalPlanBuilder::from(plan)
                        .project(vec![Expr::Column(id.clone())])?
                        .build()
                })?;
                Ok(if negated { !exists } else { exists })
            }
            Expr::InSubquery(InSubquery {
                expr,
                subquery,
                negated,
            }) => {
                let value = self.replace(*expr, guard)?;
                let found = self.compare(value, Operator::Eq, subquery, Kind::Any, guard)?;
                Ok(if negated { !found } else { found })
            }
            Expr::SetComparison(SetComparison {
                expr,
                subquery,
                op,
                quantifier,
            }) => {
                let value = self.replace(*expr, guard)?;
                let kind = match quantifier {
                    SetQuantifier::Any => Kind::Any,
                    SetQuantifier::All => Kind::All,
                };
                self.compare(value, op, subquery, kind, guard)
            }
            other => other
                .map_children(|child| Ok(Transformed::yes(self.replace(child, guard)?)))
                .data(),
        }
    }

    fn replace_case(&mut self, case: Case, guard: Option<&Expr>) -> Result<Expr> {
        let Case {
            expr,
            when_then_expr,
            else_expr,
        } = case;
        let operand = match expr {
            Some(operand) => Some(self.replace(*operand, guard)?),
            None => None,
        };
        let mut reached = guard.cloned();
        let mut branches = Vec::with_capacity(when_then_expr.len());
        for (when, then) in when_then_expr {
            let when = self.replace(*when, reached.as_ref())?;
            let holds = match &operand {
                Some(operand) => operand.clone().eq(when.clone()),
                None => when.clone(),
            };
            let taken = and(reached.clone(), holds.clone().is_true());
            let then = self.replace(*then, Some(&taken))?;
            branches.push((Box::new(when), Box::new(then)));
            reached = Some(and(reached, holds.is_not_true()));
        }
        let otherwise = match else_expr {
            Some(otherwise) => Some(Box::new(self.replace(*otherwise, reached.as_ref())?)),
            None => None,
        };
        Ok(Expr::Case(Case {
            expr: operand.map(Box::new),
            when_then_expr: branches,
            else_expr: otherwise,
        }))
    }

    fn replace_coalesce(&mut self, call: ScalarFunction, guard: Option<&Expr>) -> Result<Expr> {
        let mut reached = guard.cloned();
        let mut args = Vec::with_capacity(call.args.len());
        for arg in call.args {
            let arg = self.replace(arg, reached.as_ref())?;
            reached = Some(and(reached, arg.clone().is_null()));
            args.push(arg);
        }
        Ok(Expr::ScalarFunction(ScalarFunction {
            func: call.func,
            args,
        }))
    }

    /// `value op ANY (subquery)` or `ALL`: the subquery yields for each tuple the outcomes that may decide.
    fn compare(
        &mut self,
        value: Expr,
        op: Operator,
        subquery: Subquery,
        kind: Kind,
        guard: Option<&Expr>,
    ) -> Result<Expr> {
        let plan = Arc::unwrap_or_clone(subquery.subquery);
        let element = first_column(&plan)?;
        // The value takes part as one more reference, the last.
        let (_, field) = value.to_field(self.input.schema())?;
        let column = Column::new_unqualified(format!("__value_{}", field.name()));
        let reference = Expr::OuterReferenceColumn(field, column);
        let undecided = kind == Kind::All;
        self.apply_with(
            plan,
            kind,
            guard,
            vec![(reference.clone(), value)],
            |plan, id, bind| {
                let outcome = Expr::BinaryExpr(BinaryExpr::new(
                    Box::new(bind(reference)?),
                    op,
                    Box::new(element),
                ));
                let may_decide = if undecided {
                    outcome.clone().is_not_true()
                } else if outcome.nullable(plan.schema())? {
                    outcome.clone().is_not_false()
                } else {
                    // A plain equality, which the engine joins by.
                    outcome.clone()
                };
                LogicalPlanBuilder::from(plan)
                    .filter(may_decide)?
                    .project(vec![Expr::Column(id.clone()), outcome.alias("outcome")])?
                    .build()
            },
        )
    }

    fn apply(
        &mut self,
        plan: LogicalPlan,
        kind: Kind,
        guard: Option<&Expr>,
        finish: impl FnOnce(LogicalPlan, &Column, &dyn Fn(Expr) -> Result<Expr>) -> Result<LogicalPlan>,
    ) -> Result<Expr> {
        self.apply_with(plan, kind, guard, Vec::new(), finish)
    }

    /// Puts an [`ApplyNode`] on the input and gives the column it adds. `more` are references beyond those of the plan,
    /// with the values they stand for; `finish` makes of the plan for all tuples the columns that the kind asks for.
    fn apply_with(
        &mut self,
        plan: LogicalPlan,
        kind: Kind,
        guard: Option<&Expr>,
        more: Vec<(Expr, Expr)>,
        finish: impl FnOnce(LogicalPlan, &Column, &dyn Fn(Expr) -> Result<Expr>) -> Result<LogicalPlan>,
    ) -> Result<Expr> {
        let schema = Arc::clone(self.input.schema());
        let mut references = references(&plan)?;
        let mut values: Vec<Expr> = references
            .iter()
            .map(|reference| match reference {
                Expr::OuterReferenceColumn(_, column) if schema.has_column(column) => {
                    Expr::Column(column.clone())
                }
                // One of a query further out, which will bind it when this one is its subquery.
                further => further.clone(),
            })
            .collect();
        for (reference, value) in more {
            references.push(reference);
            values.push(value);
        }
        let fields = references
            .iter()
            .map(|reference| match reference {
                Expr::OuterReferenceColumn(field, _) => Ok(Arc::clone(field)),
                other => internal_err!("{other} is no outer reference"),
            })
            .collect::<Result<Vec<FieldRef>>>()?;
        let domain = Domain::new(references, &fields);
        let (plan, bound) = push(plan, &domain)?;
        let plan = finish(plan, &bound.id, &|expr| bind(expr, &domain, &bound))?;
        let name = format!("__apply_{}", domain.number);
        let node = ApplyNode::try_new(Parts {
            input: std::mem::take(&mut self.input),
            subquery: plan,
            domain: values,
            guard: guard.cloned(),
            kind,
            number: domain.number,
            name: name.clone(),
        })?;
        self.input = LogicalPlan::Extension(Extension {
            node: Arc::new(node),
        });
        self.converted = true;
        Ok(Expr::Column(Column::new_unqualified(name)))
    }
}

fn and(left: Option<Expr>, right: Expr) -> Expr {
    match left {
        Some(left) => left.and(right),
        None => right,
    }
}

fn first_column(plan: &LogicalPlan) -> Result<Expr> {
    match plan.schema().columns().into_iter().next() {
        Some(column) => Ok(Expr::Column(column)),
        None => internal_err!("a subquery has no column"),
    }
}

/// Whether the engine's own joins give a condition of WHERE its right answer.
fn is_engines(condition: &Expr, schema: &DFSchema) -> Result<bool> {
    let (condition, not) = match condition {
        Expr::Not(inner) => (inner.as_ref(), true),
        other => (other, false),
    };
    match condition {
        Expr::Exists(Exists { subquery, .. }) => is_semi_join(subquery, schema),
        Expr::InSubquery(InSubquery {
            expr,
            subquery,
            negated,
        }) => {
            // NOT IN with a correlation would need NULLs told apart for each tuple; with a constant to compare, the
            // engine's join has no key of which it could tell them.
            let told_apart = subquery.outer_ref_columns.is_empty()
                && tributary_udfs::plan::refers_to_columns(expr);
            Ok(!has_subquery(expr)?
                && (*negated == not || told_apart)
                && is_semi_join(subquery, schema)?)
        }
        other => {
            // Comparisons with scalar subqueries, and what has uncorrelated ones only.
            let mut right = true;
            other.apply(|expr| {
                match expr {
                    Expr::ScalarSubquery(subquery) => {
                        right = right
                            && (subquery.outer_ref_columns.is_empty()
                                || is_aggregate_join(subquery, schema)?);
                    }
                    Expr::Exists(_)
                    | Expr::InSubquery(_)
                    | Expr::SetComparison(_)
                    | Expr::Case(_) => {
                        right = false;
                    }
                    Expr::ScalarFunction(call) if call.func.name() == "coalesce" => right = false,
                    _ => {}
                }
                Ok(if right {
                    TreeNodeRecursion::Continue
                } else {
                    TreeNodeRecursion::Stop
                })
            })?;
            Ok(right)
        }
    }
}

/// EXISTS and IN whose references are in conditions that can be those of a semi-join.
fn is_semi_join(subquery: &Subquery, schema: &DFSchema) -> Result<bool> {
    Ok(subquery
        .outer_ref_columns
        .iter()
        .all(|reference| is_of(reference, schema))
        && (subquery.outer_ref_columns.is_empty() || is_plain(&subquery.subquery, |_| true)?))
}

/// An aggregate without groups over rows that equalities correlate: a join with the aggregate grouped by them.
fn is_aggregate_join(subquery: &Subquery, schema: &DFSchema) -> Result<bool> {
    if !subquery
        .outer_ref_columns
        .iter()
        .all(|reference| is_of(reference, schema))
    {
        return Ok(false);
    }
    let mut plan = subquery.subquery.as_ref();
    while let LogicalPlan::Projection(projection) = plan {
        let simple = projection.expr.iter().all(|expr| {
            !expr.contains_outer()
                && match expr.clone().unalias() {
                    Expr::Column(_) => true,
                    Expr::BinaryExpr(binary) => {
                        // A factor on an aggregate that is NULL over no rows stays NULL.
                        matches!(
                            (binary.left.as_ref(), binary.right.as_ref()),
                            (Expr::Literal(..), Expr::Column(_))
                                | (Expr::Column(_), Expr::Literal(..))
                        )
                    }
                    _ => false,
                }
        });
        if !simple {
            return Ok(false);
        }
        plan = projection.input.as_ref();
    }
    let LogicalPlan::Aggregate(aggregate) = plan else {
        return Ok(false);
    };
    let known = aggregate
        .aggr_expr
        .iter()
        .all(|expr| match expr.clone().unalias() {
            Expr::AggregateFunction(aggregate) => {
                matches!(aggregate.func.name(), "min" | "max" | "sum" | "avg")
            }
            _ => false,
        });
    let equality = |condition: &Expr| match condition {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Eq,
            right,
        }) => {
            left.contains_outer() != right.contains_outer()
                && (matches!(left.as_ref(), Expr::OuterReferenceColumn(..))
                    || matches!(right.as_ref(), Expr::OuterReferenceColumn(..)))
        }
        _ => false,
    };
    Ok(known
        && aggregate.group_expr.is_empty()
        && !aggregate.aggr_expr.iter().any(Expr::contains_outer)
        && is_plain(&aggregate.input, equality)?)
}

/// Whether all outer references of a plan are in conditions of filters over inner joins, each such condition as asked for.
fn is_plain(plan: &LogicalPlan, allowed: impl Fn(&Expr) -> bool + Copy) -> Result<bool> {
    Ok(match plan {
        LogicalPlan::Filter(filter) => {
            for condition in split_conjunction(&filter.predicate) {
                if condition.contains_outer() && (!allowed(condition) || has_subquery(condition)?) {
                    return Ok(false);
                }
            }
            is_plain(&filter.input, allowed)?
        }
        LogicalPlan::Projection(projection) => {
            !projection.expr.iter().any(Expr::contains_outer)
                && is_plain(&projection.input, allowed)?
        }
        LogicalPlan::SubqueryAlias(alias) => is_plain(&alias.input, allowed)?,
        LogicalPlan::Join(join) if join.join_type == JoinType::Inner => {
            let own = join
                .on
                .iter()
                .flat_map(|(left, right)| [left, right])
                .chain(&join.filter);
            !own.into_iter().any(Expr::contains_outer)
                && is_plain(&join.left, allowed)?
                && is_plain(&join.right, allowed)?
        }
        other => references(other)?.is_empty(),
    })
}
