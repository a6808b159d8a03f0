//! `JOIN .. USING` and `NATURAL JOIN` as PostgreSQL has them: one column for each common name, before all others.
//!
//! The engine keeps the columns of both sides and takes one of them for the common one, which is NULL for rows that the
//! other side lacks. Here [`prepare`] gives each such join parentheses of its own, [`JoinPlanner`] plans it as a join ON
//! equality below a projection with the merged columns in front, and [`resolved`] takes away the node that has told the
//! engine, until then, which columns a `*` leaves out.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::common::{Column, DFSchema, DFSchemaRef, NullEquality, Result, TableReference};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::utils::expand_wildcard;
use datafusion::logical_expr::{
    EmptyRelation, Expr, Extension, Join, JoinConstraint, JoinType, LogicalPlan,
    LogicalPlanBuilder, UserDefinedLogicalNodeCore,
};
use sqlparser::ast::{
    self, Ident, JoinOperator, OrderBy, Query, Select, SelectItem, SetExpr, TableAlias,
    TableFactor, TableWithJoins, Visit, VisitMut, Visitor, VisitorMut,
};

use crate::error::{Condition, Report};
use crate::relation::normalise;
use crate::rewrite::unified;

/// The qualifiers of merged columns are of this character alone, none for the first entry of FROM. They sort before all
/// others, so that the engine's `*` keeps these columns.
const MERGED: char = '\0';

/// The aliases of the joins that are enclosed begin so, and go on with the qualifier of their merged columns. No user can
/// write such a name. Of the second kind of joins no column is named with a qualifier, so that only the merged ones need be
/// kept.
const ENCLOSED: &str = "\0join of";
const UNQUALIFIED: &str = "\0unqualified join of";

/// Puts each join with common columns in FROM, and what is on its left, into parentheses; where the query also names
/// columns of the sides, names without a qualifier are made to mean the merged columns.
pub fn prepare(query: &mut Query) {
    if !has_merges(&query.body) {
        return;
    }
    let qualified = names_with_qualifiers(query);
    let Query { body, order_by, .. } = query;
    prepare_body(body, order_by.as_mut(), qualified);
}

fn prepare_body(body: &mut SetExpr, order_by: Option<&mut OrderBy>, qualified: bool) {
    match body {
        SetExpr::Select(select) => {
            let kind = if qualified { ENCLOSED } else { UNQUALIFIED };
            let merging = select.from.iter_mut().filter(|tables| merges(tables));
            for (number, tables) in merging.enumerate() {
                fold(tables, Some(&format!("{kind}{}", qualifier(number))));
            }
            if qualified {
                qualify(select, order_by);
            }
        }
        SetExpr::SetOperation { left, right, .. } => {
            prepare_body(left, None, qualified);
            prepare_body(right, None, qualified);
        }
        _ => {}
    }
}

fn has_merges(body: &SetExpr) -> bool {
    match body {
        SetExpr::Select(select) => select.from.iter().any(merges),
        SetExpr::SetOperation { left, right, .. } => has_merges(left) || has_merges(right),
        _ => false,
    }
}

fn merges(tables: &TableWithJoins) -> bool {
    let mut joins = tables.joins.iter();
    joins.any(|join| common(&join.join_operator).is_some())
}

/// Whether any column of a query is named with a qualifier.
fn names_with_qualifiers(query: &Query) -> bool {
    struct Finder;
    impl Visitor for Finder {
        type Break = ();

        fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<()> {
            match expr {
                ast::Expr::CompoundIdentifier(_) | ast::Expr::CompoundFieldAccess { .. } => {
                    ControlFlow::Break(())
                }
                _ => ControlFlow::Continue(()),
            }
        }

        fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
            let mut items = select.projection.iter();
            if items.any(|item| matches!(item, SelectItem::QualifiedWildcard(..))) {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        }
    }
    query.visit(&mut Finder).is_break()
}

/// Makes the names of USING that stand without a qualifier in a SELECT those of the merged columns.
fn qualify(select: &mut Select, order_by: Option<&mut OrderBy>) {
    struct Qualifier {
        names: Vec<String>,
        depth: usize,
    }
    impl VisitorMut for Qualifier {
        type Break = ();

        // Names within a subquery are those of its own tables first.
        fn pre_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
            self.depth += 1;
            ControlFlow::Continue(())
        }

        fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
            self.depth -= 1;
            ControlFlow::Continue(())
        }

        fn pre_visit_expr(&mut self, expr: &mut ast::Expr) -> ControlFlow<()> {
            if self.depth == 0
                && let ast::Expr::Identifier(name) = expr
                && self.names.contains(&normalise(name))
            {
                let merged = Ident::with_quote('"', qualifier(0));
                *expr = ast::Expr::CompoundIdentifier(vec![merged, name.clone()]);
            }
            ControlFlow::Continue(())
        }
    }
    // A name that two entries of FROM have merged is ambiguous.
    let mut names = Vec::new();
    let merging = select.from.iter().map(|tables| {
        let mut names = Vec::new();
        names_of_using(tables, &mut names);
        names
    });
    let mut merging = merging.filter(|names| !names.is_empty());
    names.extend(merging.next().unwrap_or_default());
    for others in merging {
        names.retain(|name| !others.contains(name));
    }
    let aliases: Vec<String> = select
        .projection
        .iter()
        .filter_map(|item| match item {
            SelectItem::ExprWithAlias { alias, .. } => Some(normalise(alias)),
            _ => None,
        })
        .collect();
    let mut qualifier = Qualifier { names, depth: 0 };
    // The visitor never breaks off. What stands in FROM sees the sides only.
    let from = std::mem::take(&mut select.from);
    let _ = select.visit(&mut qualifier);
    select.from = from;
    // In ORDER BY, the name of a result column comes first.
    qualifier.names.retain(|name| !aliases.contains(name));
    if let Some(order_by) = order_by {
        let _ = order_by.visit(&mut qualifier);
    }
}

fn names_of_using(tables: &TableWithJoins, names: &mut Vec<String>) {
    let factors = tables.joins.iter().map(|join| &join.relation);
    for factor in factors.chain([&tables.relation]) {
        if let TableFactor::NestedJoin {
            table_with_joins,
            alias,
        } = factor
            && alias.as_ref().is_none_or(|alias| kind(alias).is_some())
        {
            names_of_using(table_with_joins, names);
        }
    }
    for join in &tables.joins {
        if let Some((_, ast::JoinConstraint::Using(columns))) = common(&join.join_operator) {
            let columns = columns.iter().filter_map(|name| name.0.last()?.as_ident());
            names.extend(columns.map(normalise));
        }
    }
}

/// As [`prepare`], for a join in parentheses.
pub fn nest(tables: &mut TableWithJoins) {
    let is_nested = tables.joins.len() == 1 && merges(tables);
    if !is_nested && merges(tables) {
        fold(tables, None);
    }
}

fn fold(tables: &mut TableWithJoins, alias: Option<&str>) {
    let joins = std::mem::take(&mut tables.joins);
    for join in joins {
        let merges = common(&join.join_operator).is_some();
        if merges && !tables.joins.is_empty() {
            enclose(tables, None);
        }
        tables.joins.push(join);
        if merges {
            enclose(tables, alias);
        }
    }
}

/// `a JOIN b ...` to `(a JOIN b ...)`.
fn enclose(tables: &mut TableWithJoins, alias: Option<&str>) {
    let enclosed = TableWithJoins {
        relation: TableFactor::NestedJoin {
            table_with_joins: Box::new(tables.clone()),
            alias: alias.map(|alias| TableAlias {
                explicit: true,
                name: Ident::with_quote('"', alias),
                columns: Vec::new(),
                at: None,
            }),
        },
        joins: Vec::new(),
    };
    *tables = enclosed;
}

/// The type of a join that merges columns, and its constraint.
fn common(operator: &JoinOperator) -> Option<(JoinType, &ast::JoinConstraint)> {
    let (join_type, constraint) = match operator {
        JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => {
            (JoinType::Inner, constraint)
        }
        JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => {
            (JoinType::Left, constraint)
        }
        JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => {
            (JoinType::Right, constraint)
        }
        JoinOperator::FullOuter(constraint) => (JoinType::Full, constraint),
        _ => return None,
    };
    matches!(
        constraint,
        ast::JoinConstraint::Using(_) | ast::JoinConstraint::Natural
    )
    .then_some((join_type, constraint))
}

/// What is known of a join that is enclosed.
#[derive(Debug, Clone, Copy, Default)]
struct Kind {
    unqualified: bool,
    /// Which of the entries of FROM with such joins it belongs to.
    number: usize,
}

fn kind(alias: &TableAlias) -> Option<Kind> {
    let name = alias.name.value.as_str();
    let (unqualified, marks) = match name.strip_prefix(ENCLOSED) {
        Some(marks) => (false, marks),
        None => (true, name.strip_prefix(UNQUALIFIED)?),
    };
    Some(Kind {
        unqualified,
        number: marks.len(),
    })
}

/// The qualifier of the columns that are merged in an entry of FROM.
fn qualifier(number: usize) -> String {
    MERGED.to_string().repeat(number)
}

/// Plans the joins that [`prepare`] has put into parentheses.
#[derive(Debug)]
pub struct JoinPlanner;

impl RelationPlanner for JoinPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let TableFactor::NestedJoin {
            table_with_joins,
            alias,
        } = relation
        else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let merges = match table_with_joins.joins.as_slice() {
            [join] => common(&join.join_operator).map(|(kind, by)| (kind, by.clone())),
            _ => None,
        };
        let Some((join_type, constraint)) = merges else {
            return Ok(RelationPlanning::Original(Box::new(
                TableFactor::NestedJoin {
                    table_with_joins,
                    alias,
                },
            )));
        };
        let TableWithJoins { relation, joins } = *table_with_joins;
        let left = context.plan(relation)?;
        let Some(join) = joins.into_iter().next() else {
            return Err(Report::new(Condition::Internal, "a join has no right side").into());
        };
        let right = context.plan(not_lateral(join.relation)?)?;
        let names = match constraint {
            ast::JoinConstraint::Using(names) => names
                .iter()
                .filter_map(|name| name.0.last()?.as_ident())
                .map(normalise)
                .collect(),
            _ => {
                let right = visible(&right)?;
                let is_common =
                    |column: &&Column| right.iter().any(|other| other.name == column.name);
                let left = visible(&left)?;
                left.iter()
                    .filter(is_common)
                    .map(|column| column.name.clone())
                    .collect()
            }
        };
        let (kind, alias) = match alias {
            None => (Kind::default(), None),
            Some(alias) => match kind(&alias) {
                Some(kind) => (kind, None),
                None => (Kind::default(), Some(alias)),
            },
        };
        let mut plan = merged(left, right, join_type, names, kind)?;
        if alias.is_some() {
            // Under a name of its own, the join has no columns but those that `*` shows.
            let columns = visible(&plan)?.into_iter().map(Expr::Column);
            let columns: Vec<Expr> = columns.collect();
            plan = LogicalPlanBuilder::from(plan).project(columns)?.build()?;
        }
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(
            plan, alias,
        ))))
    }
}

/// The right side of a join that the rewriting of functions has made LATERAL for every case.
fn not_lateral(mut factor: TableFactor) -> Result<TableFactor> {
    if let TableFactor::Derived {
        lateral, subquery, ..
    } = &mut factor
        && *lateral
    {
        if matches!(subquery.body.as_ref(), ast::SetExpr::Select(select) if !select.from.is_empty())
        {
            return Err(
                Report::unsupported("USING or NATURAL with a LATERAL subquery")
                    .hint("Write the condition with ON.")
                    .into(),
            );
        }
        *lateral = false;
    }
    Ok(factor)
}

/// The columns that `*` stands for.
fn visible(plan: &LogicalPlan) -> Result<Vec<Column>> {
    let columns = expand_wildcard(plan.schema(), plan, None)?.into_iter();
    Ok(columns
        .filter_map(|column| match column {
            Expr::Column(column) => Some(column),
            _ => None,
        })
        .collect())
}

/// The one visible column of that name.
fn key(columns: &[Column], name: &str, side: &str) -> Result<Column> {
    let mut found = columns.iter().filter(|column| column.name == name);
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(only.clone()),
        (None, _) => Err(Report::new(
            Condition::UndefinedColumn,
            format!("column \"{name}\" specified in USING clause does not exist in {side} table"),
        )
        .into()),
        (Some(_), Some(_)) => Err(Report::new(
            Condition::AmbiguousColumn,
            format!("common column name \"{name}\" appears more than once in {side} table"),
        )
        .into()),
    }
}

fn merged(
    left: LogicalPlan,
    right: LogicalPlan,
    join_type: JoinType,
    names: Vec<String>,
    kind: Kind,
) -> Result<LogicalPlan> {
    let (left_visible, right_visible) = (visible(&left)?, visible(&right)?);
    let mut conditions = Vec::with_capacity(names.len());
    let mut columns = Vec::new();
    for (position, name) in names.iter().enumerate() {
        if names.iter().take(position).any(|earlier| earlier == name) {
            return Err(Report::new(
                Condition::DuplicateColumn,
                format!("column name \"{name}\" appears more than once in USING clause"),
            )
            .into());
        }
        let of_left = Expr::Column(key(&left_visible, name, "left")?);
        let of_right = Expr::Column(key(&right_visible, name, "right")?);
        let sides = [
            (&of_left, left.schema().as_ref()),
            (&of_right, right.schema().as_ref()),
        ];
        let (of_left, of_right) = match unified(&sides, "JOIN/USING")?.as_deref() {
            Some([of_left, of_right]) => (of_left.clone(), of_right.clone()),
            _ => (of_left, of_right),
        };
        conditions.push(of_left.clone().eq(of_right.clone()));
        let value = match join_type {
            JoinType::Right => of_right,
            JoinType::Full => coalesce(vec![of_left, of_right]),
            _ => of_left,
        };
        columns.push(value.alias_qualified(Some(qualifier(kind.number)), name));
    }
    // What was merged below under the same name is in what is merged here.
    let rest = left
        .schema()
        .columns()
        .into_iter()
        .chain(right.schema().columns());
    let rest: Vec<Column> = rest
        .filter(|column| !names.contains(&column.name) || !(kind.unqualified || is_merged(column)))
        .collect();
    columns.extend(rest.iter().cloned().map(Expr::Column));
    let pairs = rest
        .into_iter()
        .filter(|column| names.contains(&column.name))
        .map(|column| {
            let kept = Column::new(Some(qualifier(kind.number)), &column.name);
            (Expr::Column(kept), Expr::Column(column))
        })
        .collect();
    let join = if conditions.is_empty() {
        // Tables without common columns, of which a NATURAL JOIN is a cross join.
        LogicalPlanBuilder::from(left).join_on(
            right,
            join_type,
            [Expr::Literal(true.into(), None)],
        )?
    } else {
        LogicalPlanBuilder::from(left).join_on(right, join_type, conditions)?
    };
    let join = join.project(columns)?.build()?;
    if kind.unqualified {
        return Ok(join);
    }
    Ok(LogicalPlan::Extension(Extension {
        node: Arc::new(MergedJoin {
            join,
            marker: marker(pairs),
        }),
    }))
}

fn is_merged(column: &Column) -> bool {
    matches!(&column.relation, Some(TableReference::Bare { table }) if table.chars().all(|c| c == MERGED))
}

/// A join that is never run: the engine looks for such in the plan to know the columns that `*` leaves out.
fn marker(on: Vec<(Expr, Expr)>) -> LogicalPlan {
    let schema: DFSchemaRef = Arc::new(DFSchema::empty());
    let nothing = || {
        Arc::new(LogicalPlan::EmptyRelation(EmptyRelation {
            produce_one_row: false,
            schema: Arc::clone(&schema),
        }))
    };
    LogicalPlan::Join(Join {
        left: nothing(),
        right: nothing(),
        on,
        filter: None,
        join_type: JoinType::Inner,
        join_constraint: JoinConstraint::Using,
        schema: Arc::clone(&schema),
        null_equality: NullEquality::NullEqualsNothing,
        null_aware: false,
    })
}

/// A join with merged columns while names are resolved.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd)]
struct MergedJoin {
    join: LogicalPlan,
    marker: LogicalPlan,
}

impl UserDefinedLogicalNodeCore for MergedJoin {
    fn name(&self) -> &str {
        "MergedJoin"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.join, &self.marker]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.join.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("MergedJoin")
    }

    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        match <[LogicalPlan; 2]>::try_from(inputs) {
            Ok([join, marker]) => Ok(Self { join, marker }),
            Err(_) => Err(Report::new(Condition::Internal, "a merged join has two inputs").into()),
        }
    }
}

/// The join that a node made here stands for; `None` for other nodes.
pub fn resolved(extension: &Extension) -> Option<LogicalPlan> {
    let node = extension.node.as_any().downcast_ref::<MergedJoin>()?;
    Some(node.join.clone())
}
