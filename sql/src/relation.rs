//! Relation functions in FROM: from `schema.verb(relation, name => value)` to a plan node.
//!
//! [`canonicalise`] first gives every relation argument its one form, `(SELECT ...)`, so that name
//! resolution, views and lineage see ordinary queries. [`FunctionPlanner`] then plans the call.
//! What the engine's own planner would silently ignore in FROM is refused here.

use std::ops::ControlFlow;

use datafusion::common::{DFSchema, Result as DataFusionResult};
use datafusion::datasource::DefaultTableSource;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use sqlparser::ast::{
    Expr as SqlExpr, FunctionArg, FunctionArgExpr, FunctionArgOperator, Ident, ObjectName,
    ObjectNamePart, Query, Select, SelectItem, SetExpr, Statement, TableAlias, TableFactor, Value,
    Visit, VisitMut, Visitor, VisitorMut,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use tributary_udfs::function::{Default, Parameter, ParameterType, RelationFunction};
use tributary_udfs::functions;
use tributary_udfs::model::{MODEL_TAG, ModelInfo};
use tributary_udfs::plan::{NodeInput, RelationFunctionNode, refers_to_columns};

use crate::error::{Condition, Error, Report, Result};
use crate::provider::table_of;

/// Rewrites the relation arguments of every relation function call in a statement, at any depth,
/// to `(SELECT ...)`.
///
/// # Errors
/// [`Condition::UndefinedFunction`] and others for calls that cannot be understood.
pub fn canonicalise(statement: &mut Statement) -> Result<()> {
    struct Canonicaliser;
    impl VisitorMut for Canonicaliser {
        type Break = Error;

        fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
            match canonicalise_factor(factor) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => ControlFlow::Break(error),
            }
        }
    }
    match statement.visit(&mut Canonicaliser) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

fn canonicalise_factor(factor: &mut TableFactor) -> Result<()> {
    let (name, args) = match factor {
        TableFactor::Table {
            name,
            args: Some(args),
            ..
        } => (name, &mut args.args),
        TableFactor::Function { name, args, .. } => (name, args),
        _ => return Ok(()),
    };
    let Some(function) = function_named(name)? else {
        return Ok(());
    };
    let arguments = match_arguments(function, args)?;
    for (arg, parameter) in args.iter_mut().zip(arguments) {
        if parameter.kind.is_relation() {
            let expr = argument_expr_mut(arg)?;
            *expr = relation_expr(function, parameter, expr)?;
        }
    }
    Ok(())
}

/// The function that a name in FROM calls; `None` where the name is not in one of our schemas.
fn function_named(name: &ObjectName) -> Result<Option<&'static dyn RelationFunction>> {
    let parts: Vec<String> = name.0.iter().filter_map(normalised).collect();
    let (schema, function) = match parts.as_slice() {
        [schema, function] => (schema, function),
        [_, schema, function] => (schema, function),
        _ => return Ok(None),
    };
    if !functions::is_schema(schema) {
        return Ok(None);
    }
    if let Some(found) = functions::find(schema, function) {
        return Ok(Some(found));
    }
    let names = functions::ALL
        .iter()
        .map(|function| function.signature())
        .filter(|signature| signature.schema == schema)
        .map(|signature| signature.name)
        .collect::<Vec<_>>()
        .join(", ");
    Err(Report::new(
        Condition::UndefinedFunction,
        format!("function {schema}.{function} does not exist"),
    )
    .hint(format!(
        "The functions of schema \"{schema}\" are: {names}."
    ))
    .into())
}

fn normalised(part: &ObjectNamePart) -> Option<String> {
    part.as_ident().map(normalise)
}

/// A name as PostgreSQL folds it.
pub fn normalise(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    }
}

/// The parameter of each argument, in the order given.
fn match_arguments(
    function: &'static dyn RelationFunction,
    args: &[FunctionArg],
) -> Result<Vec<&'static Parameter>> {
    let signature = function.signature();
    let mut matched: Vec<&'static Parameter> = Vec::with_capacity(args.len());
    let mut named = false;
    for arg in args {
        let parameter = match argument_name(arg)? {
            None if named => {
                return Err(Report::new(
                    Condition::Syntax,
                    "positional argument cannot follow named argument",
                )
                .into());
            }
            None => signature
                .parameters
                .get(matched.len())
                .filter(|_| matched.len() < signature.positional)
                .ok_or_else(|| {
                    Report::new(
                        Condition::UndefinedFunction,
                        format!(
                            "{} takes {} positional argument{}",
                            signature.qualified_name(),
                            signature.positional,
                            if signature.positional == 1 { "" } else { "s" },
                        ),
                    )
                    .hint("Give the others by name, as name => value.")
                })?,
            Some(name) => {
                named = true;
                signature
                    .parameter(&name)
                    .map(|(_, parameter)| parameter)
                    .ok_or_else(|| {
                        let valid = signature
                            .parameters
                            .iter()
                            .map(|parameter| parameter.name)
                            .collect::<Vec<_>>()
                            .join(", ");
                        Report::new(
                            Condition::UndefinedFunction,
                            format!("{} has no argument \"{name}\"", signature.qualified_name()),
                        )
                        .hint(format!("Its arguments are: {valid}."))
                    })?
            }
        };
        if matched.iter().any(|before| before.name == parameter.name) {
            return Err(Report::new(
                Condition::InvalidOption,
                format!(
                    "argument \"{}\" of {} is given more than once",
                    parameter.name,
                    signature.qualified_name()
                ),
            )
            .into());
        }
        matched.push(parameter);
    }
    Ok(matched)
}

fn argument_name(arg: &FunctionArg) -> Result<Option<String>> {
    let wrong = |what: &dyn std::fmt::Display| {
        Report::new(
            Condition::Syntax,
            format!("syntax error in argument \"{what}\""),
        )
        .hint("Name an argument with =>, as in k => 8.")
    };
    let (name, operator) = match arg {
        FunctionArg::Unnamed(_) => return Ok(None),
        FunctionArg::Named { name, operator, .. } => (normalise(name), operator),
        FunctionArg::ExprNamed {
            name: SqlExpr::Identifier(name),
            operator,
            ..
        } => (normalise(name), operator),
        FunctionArg::ExprNamed { name, .. } => return Err(wrong(name).into()),
    };
    match operator {
        FunctionArgOperator::RightArrow | FunctionArgOperator::Assignment => Ok(Some(name)),
        _ => Err(wrong(arg).into()),
    }
}

fn argument_expr_mut(arg: &mut FunctionArg) -> Result<&mut SqlExpr> {
    let inner = match arg {
        FunctionArg::Unnamed(arg)
        | FunctionArg::Named { arg, .. }
        | FunctionArg::ExprNamed { arg, .. } => arg,
    };
    match inner {
        FunctionArgExpr::Expr(expr) => Ok(expr),
        other => Err(Report::new(
            Condition::Syntax,
            format!("\"{other}\" cannot be an argument of a relation function"),
        )
        .into()),
    }
}

/// The one form of a relation argument. NULL stays NULL: it stands for an absent relation.
fn relation_expr(
    function: &'static dyn RelationFunction,
    parameter: &Parameter,
    expr: &SqlExpr,
) -> Result<SqlExpr> {
    let name = match expr {
        SqlExpr::Subquery(_) => return Ok(expr.clone()),
        SqlExpr::Nested(inner) => return relation_expr(function, parameter, inner),
        SqlExpr::Value(value) if matches!(value.value, Value::Null) => return Ok(expr.clone()),
        SqlExpr::Identifier(ident) => ObjectName::from(vec![ident.clone()]),
        SqlExpr::CompoundIdentifier(idents) => ObjectName::from(idents.clone()),
        SqlExpr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => name_in_text(parameter, text)?,
            _ => return Err(not_a_relation(function, parameter, expr).into()),
        },
        _ => return Err(not_a_relation(function, parameter, expr).into()),
    };
    let text = format!("(SELECT * FROM {name})");
    Parser::new(&PostgreSqlDialect {})
        .try_with_sql(&text)
        .and_then(|mut parser| parser.parse_expr())
        .map_err(|_| not_a_relation(function, parameter, expr).into())
}

fn not_a_relation(
    function: &'static dyn RelationFunction,
    parameter: &Parameter,
    expr: &SqlExpr,
) -> Report {
    Report::new(
        Condition::WrongObjectType,
        format!(
            "argument \"{}\" of {} must be a relation, not {expr}",
            parameter.name,
            function.signature().qualified_name()
        ),
    )
    .hint("Write (SELECT ...), a table's name, or the name in quotes.")
}

fn name_in_text(parameter: &Parameter, text: &str) -> Result<ObjectName> {
    let wrong = || {
        Report::new(
            Condition::UndefinedTable,
            format!(
                "\"{text}\" in argument \"{}\" is not the name of a relation",
                parameter.name
            ),
        )
    };
    let mut parser = Parser::new(&PostgreSqlDialect {})
        .try_with_sql(text)
        .map_err(|_| wrong())?;
    let name = parser.parse_object_name(false).map_err(|_| wrong())?;
    if parser.peek_token().token == sqlparser::tokenizer::Token::EOF {
        Ok(name)
    } else {
        Err(wrong().into())
    }
}

/// The name `n` where a query is exactly `SELECT * FROM n`.
fn whole_relation(query: &Query) -> Option<&ObjectName> {
    let SetExpr::Select(select) = query.body.as_ref() else {
        return None;
    };
    let [SelectItem::Wildcard(_)] = select.projection.as_slice() else {
        return None;
    };
    let [from] = select.from.as_slice() else {
        return None;
    };
    let TableFactor::Table {
        name,
        args: None,
        sample: None,
        alias: None,
        ..
    } = &from.relation
    else {
        return None;
    };
    let plain = from.joins.is_empty()
        && query.with.is_none()
        && query.order_by.is_none()
        && query.limit_clause.is_none()
        && query.fetch.is_none()
        && is_plain(select);
    plain.then_some(name)
}

fn is_plain(select: &Select) -> bool {
    select.selection.is_none()
        && select.distinct.is_none()
        && select.having.is_none()
        && select.qualify.is_none()
        && matches!(&select.group_by, sqlparser::ast::GroupByExpr::Expressions(by, _) if by.is_empty())
}

/// Plans calls of relation functions, and refuses what FROM would silently ignore.
#[derive(Debug)]
pub struct FunctionPlanner;

impl RelationPlanner for FunctionPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> DataFusionResult<RelationPlanning> {
        refuse_ignored(&relation)?;
        let (name, args, alias) = match relation {
            TableFactor::Table {
                name,
                args: Some(args),
                alias,
                ..
            } => match function_named(&name)? {
                Some(function) => (function, args.args, alias),
                None => {
                    refuse_named(&name, &args.args)?;
                    return Ok(RelationPlanning::Original(Box::new(TableFactor::Table {
                        name,
                        args: Some(args),
                        alias,
                        with_hints: vec![],
                        version: None,
                        with_ordinality: false,
                        partitions: vec![],
                        json_path: None,
                        sample: None,
                        index_hints: vec![],
                    })));
                }
            },
            TableFactor::Function {
                lateral,
                name,
                args,
                with_ordinality,
                alias,
            } => match function_named(&name)? {
                Some(function) => (function, args, alias),
                None => {
                    refuse_named(&name, &args)?;
                    return Ok(RelationPlanning::Original(Box::new(
                        TableFactor::Function {
                            lateral,
                            name,
                            args,
                            with_ordinality,
                            alias,
                        },
                    )));
                }
            },
            other => return Ok(RelationPlanning::Original(Box::new(other))),
        };
        let plan = plan_call(name, args, context)?;
        let alias = alias.unwrap_or_else(|| TableAlias {
            explicit: false,
            name: Ident::with_quote('"', name.signature().name),
            columns: vec![],
            at: None,
        });
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(
            plan,
            Some(alias),
        ))))
    }
}

fn refuse_ignored(relation: &TableFactor) -> Result<()> {
    let ignored = match relation {
        TableFactor::Table {
            with_hints,
            version,
            with_ordinality,
            partitions,
            json_path,
            sample,
            index_hints,
            ..
        } => {
            if sample.is_some() {
                Some("TABLESAMPLE")
            } else if *with_ordinality {
                Some("WITH ORDINALITY")
            } else if version.is_some() {
                Some("a table version in FROM")
            } else if json_path.is_some() {
                Some("a JSON path in FROM")
            } else if !with_hints.is_empty() || !partitions.is_empty() || !index_hints.is_empty() {
                Some("a table hint")
            } else {
                None
            }
        }
        TableFactor::Derived {
            sample: Some(_), ..
        } => Some("TABLESAMPLE"),
        TableFactor::Function {
            with_ordinality: true,
            ..
        } => Some("WITH ORDINALITY"),
        _ => None,
    };
    match ignored {
        Some(what) => Err(Report::unsupported(what).into()),
        None => Ok(()),
    }
}

fn plan_call(
    function: &'static dyn RelationFunction,
    args: Vec<FunctionArg>,
    context: &mut dyn RelationPlannerContext,
) -> DataFusionResult<LogicalPlan> {
    let signature = function.signature();
    let parameters = match_arguments(function, &args)?;
    let mut scalars = Vec::new();
    let mut inputs = Vec::new();
    for (mut arg, parameter) in args.into_iter().zip(parameters) {
        let position = signature
            .parameter(parameter.name)
            .map(|(position, _)| position)
            .ok_or_else(|| Error::from(Report::new(Condition::Internal, "a parameter is lost")))?;
        let expr = argument_expr_mut(&mut arg)?.clone();
        if !parameter.kind.is_relation() {
            scalars.push((position, plan_scalar(function, parameter, expr, context)?));
            continue;
        }
        match expr {
            SqlExpr::Subquery(query) => {
                let input = plan_input(function, parameter, position, *query, context)?;
                inputs.push(input);
            }
            SqlExpr::Value(value) if matches!(value.value, Value::Null) => {
                if parameter.default == Default::Required {
                    return Err(Error::from(not_a_relation(
                        function,
                        parameter,
                        &SqlExpr::Value(value),
                    ))
                    .into());
                }
            }
            other => return Err(Error::from(not_a_relation(function, parameter, &other)).into()),
        }
    }
    let node = RelationFunctionNode::try_new(function, scalars, inputs)?;
    Ok(LogicalPlan::Extension(Extension {
        node: std::sync::Arc::new(node),
    }))
}

/// Named arguments are those of relation functions: a call with them outside of their schemas is of none that there is.
fn refuse_named(name: &ObjectName, args: &[FunctionArg]) -> Result<()> {
    let is_named = |arg: &FunctionArg| !matches!(arg, FunctionArg::Unnamed(_));
    if !args.iter().any(is_named) {
        return Ok(());
    }
    let called = name.0.iter().filter_map(normalised).collect::<Vec<_>>();
    let report = Report::new(
        Condition::UndefinedFunction,
        format!("function {}() does not exist", called.join(".")),
    );
    let meant = functions::ALL
        .iter()
        .map(|function| function.signature())
        .find(|signature| called.last().is_some_and(|last| last == signature.name));
    Err(match meant {
        Some(signature) => report.hint(format!("Did you mean {}?", signature.qualified_name())),
        None => report.hint(
            "Named arguments are those of relation functions, which are called with their schema.",
        ),
    }
    .into())
}

fn plan_input(
    function: &'static dyn RelationFunction,
    parameter: &'static Parameter,
    position: usize,
    query: Query,
    context: &mut dyn RelationPlannerContext,
) -> DataFusionResult<NodeInput> {
    let whole = whole_relation(&query).cloned();
    let label = match &whole {
        Some(name) => format!("relation \"{name}\""),
        None => "the subquery".to_owned(),
    };
    let plan = context.plan(TableFactor::Derived {
        lateral: false,
        subquery: Box::new(query),
        alias: None,
        sample: None,
    })?;
    if !plan.all_out_ref_exprs().is_empty() {
        return Err(correlated(function, parameter));
    }
    let model = if parameter.kind == ParameterType::Model {
        let name = whole.ok_or_else(|| {
            Report::new(
                Condition::WrongObjectType,
                format!(
                    "argument \"{}\" of {} must be a model table",
                    parameter.name,
                    signature_name(function)
                ),
            )
            .hint("Write the model's name, or exactly (SELECT * FROM name).")
        })?;
        Some(model_of(&name, context)?)
    } else {
        None
    };
    Ok(NodeInput {
        parameter: position,
        label,
        model,
        plan,
    })
}

/// What planning knows of the model table called `name`.
fn model_of(
    name: &ObjectName,
    context: &mut dyn RelationPlannerContext,
) -> DataFusionResult<ModelInfo> {
    let reference = context.object_name_to_table_reference(name.clone())?;
    let source = context.context_provider().get_table_source(reference)?;
    let tag = source
        .downcast_ref::<DefaultTableSource>()
        .and_then(|source| table_of(source.table_provider.as_ref()))
        .and_then(|table| table.tags.get(MODEL_TAG));
    let Some(tag) = tag else {
        return Err(Report::new(
            Condition::WrongObjectType,
            format!("\"{name}\" is not a model table"),
        )
        .hint("Make one with CREATE TABLE m AS SELECT * FROM ml.train(...).")
        .into());
    };
    Ok(ModelInfo::from_tag(tag)?)
}

fn plan_scalar(
    function: &'static dyn RelationFunction,
    parameter: &'static Parameter,
    expr: SqlExpr,
    context: &mut dyn RelationPlannerContext,
) -> DataFusionResult<Expr> {
    let nothing = DFSchema::empty();
    if let Some(column) = first_column(&expr) {
        return Err(Report::new(
            Condition::FeatureNotSupported,
            format!(
                "argument \"{}\" of {} must be a constant, not column {column}",
                parameter.name,
                signature_name(function)
            ),
        )
        .hint(match parameter.kind {
            ParameterType::Column | ParameterType::Columns => {
                "Give the names of columns as text, in single quotes."
            }
            _ => "Write the value as a literal, or as a parameter of a prepared statement.",
        })
        .into());
    }
    if holds_query(&expr) {
        return Err(Report::new(
            Condition::FeatureNotSupported,
            format!(
                "argument \"{}\" of {} must be a constant, not a subquery",
                parameter.name,
                signature_name(function)
            ),
        )
        .hint("Write the value as a literal, or as a parameter of a prepared statement.")
        .into());
    }
    let mut planned = context.sql_to_expr(expr, &nothing)?;
    if refers_to_columns(&planned) {
        return Err(correlated(function, parameter));
    }
    if let Expr::Placeholder(placeholder) = &mut planned {
        if parameter.constant {
            return Err(Report::new(
                Condition::FeatureNotSupported,
                format!(
                    "argument \"{}\" of {} must be a constant",
                    parameter.name,
                    signature_name(function)
                ),
            )
            .detail("It shapes the columns of the result, which are fixed at planning.")
            .hint("Put the literal into the SQL.")
            .into());
        }
        if placeholder.field.is_none()
            && let Some(data_type) = parameter.kind.data_type()
        {
            placeholder.field = Some(std::sync::Arc::new(arrow::datatypes::Field::new(
                parameter.name,
                data_type,
                true,
            )));
        }
        return Ok(planned);
    }
    let simplifier = ExprSimplifier::new(SimplifyContext::builder().build());
    let coerced = simplifier.coerce(planned, &nothing)?;
    simplifier.simplify(coerced)
}

fn signature_name(function: &'static dyn RelationFunction) -> String {
    function.signature().qualified_name()
}

fn correlated(
    function: &'static dyn RelationFunction,
    parameter: &Parameter,
) -> datafusion::error::DataFusionError {
    Report::new(
        Condition::FeatureNotSupported,
        format!(
            "argument \"{}\" of {} cannot refer to other relations of the FROM clause",
            parameter.name,
            signature_name(function)
        ),
    )
    .hint("Put the join into the relation that is given, as (SELECT ... JOIN ...).")
    .into()
}

/// Whether an argument has a query in it.
fn holds_query(expr: &SqlExpr) -> bool {
    struct Finder;
    impl Visitor for Finder {
        type Break = ();

        fn pre_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
            ControlFlow::Break(())
        }
    }
    expr.visit(&mut Finder).is_break()
}

/// The first column that an argument names, if it names any.
fn first_column(expr: &SqlExpr) -> Option<String> {
    match expr {
        SqlExpr::Identifier(_) | SqlExpr::CompoundIdentifier(_) => Some(expr.to_string()),
        SqlExpr::Nested(inner) => first_column(inner),
        _ => None,
    }
}
