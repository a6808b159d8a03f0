//! Conversions that depend on types: of literals to the type they are compared with, of OID aliases to names.
//!
//! In PostgreSQL a literal has no type of its own; it takes the type of what it meets. [`expr_planner`] does that where
//! the engine has no conversion from text: arrays and booleans. [`convert`] makes names of OID aliases (`regclass`, ...)
//! where they are cast to text, and [`present`] does so in the result that a client sees.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::metadata::FieldMetadata;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DFSchema, Result as DataFusionResult, ScalarValue};
use datafusion::functions::core::expr_fn::nullif;
use datafusion::functions::string::expr_fn::rtrim;
use datafusion::functions::unicode::expr_fn::{left, rpad};
use datafusion::logical_expr::expr::{Between, Case, Cast, InList, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator, ScalarUDF,
    Subquery, Union, cast, lit,
};
use sqlparser::ast::BinaryOperator;

use super::absent::maybe_absent;
use super::common_type::unified;
use crate::error::{Condition, Report, Result};
use crate::exact;
use crate::joins;
use crate::output::{has_own_text, text_out};
use crate::pgtype::{self, PG_TYPE};
use crate::system::{ReferenceKind, array_functions::array_in, formats};

/// Gives text literals the type of the array or boolean they are compared with.
pub fn expr_planner() -> Arc<dyn ExprPlanner> {
    Arc::new(LiteralPlanner)
}

#[derive(Debug)]
struct LiteralPlanner;

impl ExprPlanner for LiteralPlanner {
    fn plan_binary_op(
        &self,
        expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> DataFusionResult<PlannerResult<RawBinaryExpr>> {
        let RawBinaryExpr { op, left, right } = expr;
        // An operand whose type is not known yet is the engine's affair.
        if op == BinaryOperator::Divide
            && let Ok(Some(quotient)) = exact::quotient(&left, &right, schema)
        {
            return Ok(PlannerResult::Planned(quotient));
        }
        if matches!(op, BinaryOperator::Plus | BinaryOperator::Minus)
            && let Some((left, right)) = with_time_of_day(&left, &right, schema)
        {
            return Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }));
        }
        let takes_type = matches!(
            op,
            BinaryOperator::Eq
                | BinaryOperator::NotEq
                | BinaryOperator::Lt
                | BinaryOperator::LtEq
                | BinaryOperator::Gt
                | BinaryOperator::GtEq
                | BinaryOperator::AtArrow
                | BinaryOperator::ArrowAt
                | BinaryOperator::StringConcat
        );
        if !takes_type || is_text_literal(&left) == is_text_literal(&right) {
            return Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }));
        }
        let left_as = literal_as(&left, &right, &op, schema)?;
        let right_as = literal_as(&right, &left, &op, schema)?;
        Ok(PlannerResult::Original(RawBinaryExpr {
            op,
            left: left_as.unwrap_or(left),
            right: right_as.unwrap_or(right),
        }))
    }
}

/// `literal` with the type of `other`, where it is a text literal and that type needs it.
fn literal_as(
    literal: &Expr,
    other: &Expr,
    op: &BinaryOperator,
    schema: &DFSchema,
) -> DataFusionResult<Option<Expr>> {
    if !is_text_literal(literal) {
        return Ok(None);
    }
    let (_, field) = other.to_field(schema)?;
    Ok(match field.data_type() {
        DataType::List(_) => Some(call(Arc::new(array_in(unnamed(&field))), literal.clone())),
        DataType::Boolean if *op != BinaryOperator::StringConcat => Some(Expr::Cast(Cast::new(
            Box::new(literal.clone()),
            DataType::Boolean,
        ))),
        _ => None,
    })
}

/// The operands of a date and an interval, the date as the timestamp of its start: the sum has a time of day.
fn with_time_of_day(left: &Expr, right: &Expr, schema: &DFSchema) -> Option<(Expr, Expr)> {
    const START: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);
    match (left.get_type(schema).ok()?, right.get_type(schema).ok()?) {
        (DataType::Date32, DataType::Interval(_)) => {
            Some((cast(left.clone(), START), right.clone()))
        }
        (DataType::Interval(_), DataType::Date32) => {
            Some((left.clone(), cast(right.clone(), START)))
        }
        _ => None,
    }
}

fn is_text_literal(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(ScalarValue::Utf8(Some(_)), _))
}

fn unnamed(field: &Field) -> FieldRef {
    Arc::new(field.clone().with_name("array").with_nullable(true))
}

pub(super) fn call(function: Arc<ScalarUDF>, argument: Expr) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![argument]))
}

/// Makes the casts of a plan PostgreSQL's: an OID alias cast to text is the name of the object, a text cast to an array
/// is read as one, and a text literal compared with an OID alias is the name of an object.
///
/// # Errors
/// Of the engine, for an expression without a type.
pub fn convert(
    plan: LogicalPlan,
    functions: &HashMap<String, Arc<ScalarUDF>>,
) -> Result<LogicalPlan> {
    // Whether the type of an input may have changed, so that what stands on it must be derived anew.
    let mut retyped = false;
    let converted = plan.transform_up_with_subqueries(|node| {
        let node = match node {
            LogicalPlan::Union(union) => match unified_inputs(&union)? {
                Some(unified) => {
                    retyped = true;
                    LogicalPlan::Union(unified)
                }
                None => LogicalPlan::Union(union),
            },
            LogicalPlan::Extension(extension) => match joins::resolved(&extension) {
                Some(join) => return Ok(Transformed::yes(join)),
                None => LogicalPlan::Extension(extension),
            },
            other => other,
        };
        let mut schema = merge_schema(&node.inputs());
        if let LogicalPlan::TableScan(scan) = &node {
            schema.merge(&scan.projected_schema);
        }
        let names = NamePreserver::new(&node);
        let converted = node.map_expressions(|expr| {
            let name = names.save(&expr);
            let converted = expr.transform_up(|expr| convert_expr(expr, &schema, functions))?;
            Ok(converted.update_data(|expr| name.restore(expr)))
        })?;
        retyped |= converted.transformed;
        if retyped {
            converted.map_data(LogicalPlan::recompute_schema)
        } else {
            Ok(converted)
        }
    });
    Ok(converted.data()?)
}

fn convert_expr(
    expr: Expr,
    schema: &DFSchema,
    functions: &HashMap<String, Arc<ScalarUDF>>,
) -> DataFusionResult<Transformed<Expr>> {
    match expr {
        Expr::Cast(Cast { expr: inner, field }) => {
            if let Some(field) = plain_target(&inner, &field, schema)? {
                let plain =
                    convert_expr(Expr::Cast(Cast { expr: inner, field }), schema, functions)?;
                return Ok(Transformed::yes(plain.data));
            }
            let mut own_text = false;
            // Only these targets differ from the engine's cast; the type of the operand is asked for last.
            let function = match field.data_type() {
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                    let (_, source) = inner.to_field(schema)?;
                    own_text = has_own_text(source.data_type());
                    let checked = || formats::checked_input(&field, &source);
                    output(&source, functions).or_else(|| functions.get(checked()?).map(Arc::clone))
                }
                DataType::List(_) => {
                    let (_, source) = inner.to_field(schema)?;
                    let is_text = source.data_type() == &DataType::Utf8;
                    is_text.then(|| Arc::new(array_in(unnamed(&field))))
                }
                _ => None,
            };
            if let Some(function) = function {
                return Ok(Transformed::yes(Expr::Cast(Cast {
                    expr: Box::new(call(function, *inner)),
                    field,
                })));
            }
            let inner = if own_text {
                Box::new(text_out(*inner))
            } else {
                inner
            };
            let padded = is_padded(&field);
            if is_cut(&inner) || !(padded || length_limit(&field).is_some()) {
                let expr = Expr::Cast(Cast { expr: inner, field });
                return Ok(Transformed::new_transformed(expr, own_text));
            }
            // An explicit cast cuts off what is too long, and the blanks that mean nothing.
            let mut text = Expr::Cast(Cast {
                expr: inner,
                field: Arc::clone(&field),
            });
            if let Some(length) = length_limit(&field) {
                text = left(text, lit(length));
            }
            if padded {
                text = rtrim(vec![text]);
            }
            Ok(Transformed::yes(Expr::Cast(Cast {
                expr: Box::new(text),
                field,
            })))
        }
        Expr::Case(case) if case.expr.is_none() => {
            for (condition, _) in &case.when_then_expr {
                let data_type = condition.get_type(schema)?;
                if !matches!(
                    data_type,
                    DataType::Boolean | DataType::Null | DataType::Utf8
                ) {
                    let name = pgtype::format_type(pgtype::of_data_type(&data_type).oid, None);
                    return Err(Report::new(
                        Condition::DatatypeMismatch,
                        format!("argument of CASE/WHEN must be type boolean, not type {name}"),
                    )
                    .into());
                }
            }
            unified_case(case, schema)
        }
        Expr::Case(case) => unified_case(case, schema),
        Expr::ScalarFunction(call)
            if let Some(what) = one_type(call.func.name())
                && let values = call
                    .args
                    .iter()
                    .map(|value| (value, schema))
                    .collect::<Vec<_>>()
                && let Some(args) = unified(&values, what)? =>
        {
            Ok(Transformed::yes(Expr::ScalarFunction(
                ScalarFunction::new_udf(call.func, args),
            )))
        }
        Expr::ScalarSubquery(subquery) => nullable(subquery),
        Expr::ScalarFunction(mut call)
            if matches!(call.func.name(), "concat" | "concat_ws" | "format") =>
        {
            // The pattern or separator is text already.
            let texts = usize::from(call.func.name() != "concat");
            let mut changed = false;
            for value in call.args.iter_mut().skip(texts) {
                changed |= into_text(value, schema, functions)?;
            }
            let call = Expr::ScalarFunction(call);
            Ok(Transformed::new_transformed(call, changed))
        }
        Expr::AggregateFunction(mut call) if call.func.name() == "string_agg" => {
            let changed = match call.params.args.first_mut() {
                Some(value) => into_text(value, schema, functions)?,
                None => false,
            };
            let call = Expr::AggregateFunction(call);
            Ok(Transformed::new_transformed(call, changed))
        }
        Expr::BinaryExpr(BinaryExpr {
            mut left,
            op: Operator::StringConcat,
            mut right,
        }) => {
            let mut changed = false;
            if is_joined_as_text(&left, &right, schema) {
                changed = into_text(&mut left, schema, functions)?;
            } else if is_joined_as_text(&right, &left, schema) {
                changed = into_text(&mut right, schema, functions)?;
            }
            Ok(Transformed::new_transformed(
                Expr::BinaryExpr(BinaryExpr {
                    left,
                    op: Operator::StringConcat,
                    right,
                }),
                changed,
            ))
        }
        Expr::ScalarFunction(call) => {
            let name = call.func.name();
            if name == "round"
                && let [x] = call.args.as_slice()
                && x.get_type(schema)?.is_floating()
            {
                return Ok(Transformed::yes(exact::rounded_double(x.clone())));
            }
            // The engine leaves out the fraction of a second.
            if name == "date_part"
                && let [
                    Expr::Literal(ScalarValue::Utf8(Some(part)), metadata),
                    moment,
                ] = call.args.as_slice()
                && matches!(part.to_lowercase().as_str(), "second" | "seconds")
                && moment.get_type(schema)? != DataType::Date32
            {
                let micros = ScalarValue::Utf8(Some("microsecond".to_owned()));
                let micros = Expr::ScalarFunction(ScalarFunction::new_udf(
                    Arc::clone(&call.func),
                    vec![Expr::Literal(micros, metadata.clone()), moment.clone()],
                ));
                let seconds = exact::quotient_of_decimals(
                    cast(micros, DataType::Decimal128(20, 0)),
                    lit(ScalarValue::Decimal128(Some(1_000_000), 20, 0)),
                );
                return Ok(Transformed::yes(cast(seconds, DataType::Decimal128(8, 6))));
            }
            // The engine counts unsigned; SQL has no such numbers.
            let counts = matches!(
                name,
                "array_length" | "cardinality" | "array_ndims" | "array_position"
            );
            let expr = Expr::ScalarFunction(call);
            Ok(if counts && expr.get_type(schema)? == DataType::UInt64 {
                let is_length = matches!(&expr, Expr::ScalarFunction(call) if call.func.name() == "array_length");
                let number = cast(expr, DataType::Int32);
                // An empty array has no dimension that has a length.
                Transformed::yes(if is_length {
                    nullif(number, lit(0_i32))
                } else {
                    number
                })
            } else {
                Transformed::no(expr)
            })
        }
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Divide,
            right,
        }) if let Ok(Some(quotient)) = exact::quotient(&left, &right, schema) => {
            Ok(Transformed::yes(quotient))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right })
            if (compares(op) || computes(op))
                && one_is_double([left.as_ref(), right.as_ref()], schema) =>
        {
            Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr {
                left: Box::new(as_double(*left, schema)),
                op,
                right: Box::new(as_double(*right, schema)),
            })))
        }
        Expr::Between(between)
            if one_is_double(
                [&between.expr, &between.low, &between.high].map(AsRef::as_ref),
                schema,
            ) =>
        {
            Ok(Transformed::yes(Expr::Between(Between {
                expr: Box::new(as_double(*between.expr, schema)),
                negated: between.negated,
                low: Box::new(as_double(*between.low, schema)),
                high: Box::new(as_double(*between.high, schema)),
            })))
        }
        Expr::InList(list)
            if list
                .list
                .iter()
                .any(|value| typed_literal(value, &list.expr, schema, functions).is_some()) =>
        {
            let values = list.list.into_iter();
            Ok(Transformed::yes(Expr::InList(InList {
                list: values
                    .map(|value| {
                        typed_literal(&value, &list.expr, schema, functions).unwrap_or(value)
                    })
                    .collect(),
                expr: list.expr,
                negated: list.negated,
            })))
        }
        Expr::InList(list)
            if one_is_double(list.list.iter().chain([list.expr.as_ref()]), schema) =>
        {
            let values = list.list.into_iter();
            Ok(Transformed::yes(Expr::InList(InList {
                expr: Box::new(as_double(*list.expr, schema)),
                list: values.map(|value| as_double(value, schema)).collect(),
                negated: list.negated,
            })))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right })
            if compares(op) && is_text_literal(&left) != is_text_literal(&right) =>
        {
            let left_as = match typed_literal(&left, &right, schema, functions) {
                None => named_object(&left, &right, schema, functions)?,
                typed => typed,
            };
            let right_as = match typed_literal(&right, &left, schema, functions) {
                None => named_object(&right, &left, schema, functions)?,
                typed => typed,
            };
            let changed = left_as.is_some() || right_as.is_some();
            let expr = Expr::BinaryExpr(BinaryExpr {
                left: left_as.map_or(left, Box::new),
                op,
                right: right_as.map_or(right, Box::new),
            });
            Ok(Transformed::new_transformed(expr, changed))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// Makes of a value that `concat` and its like take its text; whether it was none. Integers the engine brings to text.
fn into_text(
    value: &mut Expr,
    schema: &DFSchema,
    functions: &HashMap<String, Arc<ScalarUDF>>,
) -> DataFusionResult<bool> {
    // The type of a parameter may not be known yet.
    let Ok((_, field)) = value.to_field(schema) else {
        return Ok(false);
    };
    let text: Box<dyn FnOnce(Expr) -> Expr> = match output(&field, functions) {
        Some(function) => Box::new(|value| call(function, value)),
        None if *field.data_type() == DataType::Boolean || has_own_text(field.data_type()) => {
            Box::new(text_out)
        }
        None => return Ok(false),
    };
    *value = text(std::mem::take(value));
    Ok(true)
}

/// Whether `value || other` joins the text of `value`, which is none, to a text. An array takes the text as an element, a
/// literal beside bytes is bytes; of a boolean the engine makes `true` and `false`, as PostgreSQL does here.
fn is_joined_as_text(value: &Expr, other: &Expr, schema: &DFSchema) -> bool {
    let (Ok(value), Ok(text)) = (value.get_type(schema), other.get_type(schema)) else {
        return false;
    };
    text.is_string()
        && !value.is_list()
        && value != DataType::Boolean
        && !(value.is_binary() && is_text_literal(other))
}

/// A subquery whose value is known to be NULL where it has no row, whatever its column.
fn nullable(mut subquery: Subquery) -> DataFusionResult<Transformed<Expr>> {
    let schema = subquery.subquery.schema();
    let (qualifier, field) = schema.qualified_field(0);
    if schema.fields().len() != 1 || field.is_nullable() || has_one_row(&subquery.subquery) {
        return Ok(Transformed::no(Expr::ScalarSubquery(subquery)));
    }
    let name = field.name().clone();
    let value = Expr::from((qualifier, field));
    let value = call(maybe_absent(), value).alias_qualified(qualifier.cloned(), name);
    let plan = LogicalPlanBuilder::from(subquery.subquery.as_ref().clone());
    subquery.subquery = Arc::new(plan.project(vec![value])?.build()?);
    Ok(Transformed::yes(Expr::ScalarSubquery(subquery)))
}

/// Whether a query has a row in any case, as an aggregate without GROUP BY has.
fn has_one_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::Projection(projection) => has_one_row(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => has_one_row(&alias.input),
        LogicalPlan::EmptyRelation(empty) => empty.produce_one_row,
        _ => false,
    }
}

/// What PostgreSQL calls a function all of whose arguments have one type.
fn one_type(function: &str) -> Option<&'static str> {
    Some(match function {
        "coalesce" => "COALESCE",
        "greatest" => "GREATEST",
        "least" => "LEAST",
        "nullif" => "NULLIF",
        "make_array" => "ARRAY",
        _ => return None,
    })
}

/// CASE with results of one type.
fn unified_case(case: Case, schema: &DFSchema) -> DataFusionResult<Transformed<Expr>> {
    let results: Vec<(&Expr, &DFSchema)> = case
        .when_then_expr
        .iter()
        .map(|(_, then)| then.as_ref())
        .chain(case.else_expr.as_deref())
        .map(|result| (result, schema))
        .collect();
    let Some(results) = unified(&results, "CASE")? else {
        return Ok(Transformed::no(Expr::Case(case)));
    };
    let mut results = results.into_iter().map(Box::new);
    let when_then_expr = case
        .when_then_expr
        .into_iter()
        .zip(results.by_ref())
        .map(|((when, _), then)| (when, then))
        .collect();
    Ok(Transformed::yes(Expr::Case(Case {
        expr: case.expr,
        when_then_expr,
        else_expr: results.next(),
    })))
}

/// UNION with inputs whose columns have one type each; `None` where they have, or where the engine brings them to it.
fn unified_inputs(union: &Union) -> DataFusionResult<Option<Union>> {
    // The columns of each input, and what they are made from.
    let mut inputs: Vec<(Vec<Expr>, &Arc<LogicalPlan>)> = union
        .inputs
        .iter()
        .map(|input| match input.as_ref() {
            LogicalPlan::Projection(projection) => (projection.expr.clone(), &projection.input),
            other => (other.schema().iter().map(Expr::from).collect(), input),
        })
        .collect();
    let mut changed = false;
    for position in 0..union.schema.fields().len() {
        let values: Vec<(&Expr, &DFSchema)> = inputs
            .iter()
            .filter_map(|(columns, from)| Some((columns.get(position)?, from.schema().as_ref())))
            .collect();
        let Some(brought) = unified(&values, "UNION")? else {
            continue;
        };
        changed = true;
        for (((columns, _), value), input) in inputs.iter_mut().zip(brought).zip(&union.inputs) {
            let (qualifier, field) = input.schema().qualified_field(position);
            if let Some(column) = columns.get_mut(position) {
                *column = value.alias_qualified(qualifier.cloned(), field.name());
            }
        }
    }
    if !changed {
        return Ok(None);
    }
    let inputs = inputs.into_iter().map(|(columns, from)| {
        let input = LogicalPlanBuilder::from(from.as_ref().clone()).project(columns)?;
        Ok(Arc::new(input.build()?))
    });
    Union::try_new_with_loose_types(inputs.collect::<DataFusionResult<_>>()?).map(Some)
}

/// Reads texts as dates, times and intervals, and writes values as texts, as PostgreSQL does, wherever the plan casts
/// them; to be run after type coercion, which adds casts.
///
/// # Errors
/// Of the engine, for an expression without a type.
pub fn read_texts(
    plan: LogicalPlan,
    functions: &HashMap<String, Arc<ScalarUDF>>,
) -> Result<LogicalPlan> {
    let read = plan.transform_up_with_subqueries(|node| {
        let mut schema = merge_schema(&node.inputs());
        if let LogicalPlan::TableScan(scan) = &node {
            schema.merge(&scan.projected_schema);
        }
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            let read = expr.transform_up(|expr| read_text(expr, &schema, functions))?;
            Ok(read.update_data(|expr| name.restore(expr)))
        })
    });
    Ok(read.data()?)
}

fn read_text(
    expr: Expr,
    schema: &DFSchema,
    functions: &HashMap<String, Arc<ScalarUDF>>,
) -> DataFusionResult<Transformed<Expr>> {
    let Expr::Cast(Cast { expr: inner, field }) = expr else {
        return Ok(Transformed::no(expr));
    };
    let function = formats::input(field.data_type()).and_then(|name| functions.get(name));
    let to_text = field.data_type().is_string();
    let from = inner.get_type(schema)?;
    // Bytes that the engine takes as text, as for `length`, mean their characters; what a user casts is converted before.
    if to_text && has_own_text(&from) && !from.is_binary() {
        return Ok(Transformed::yes(Expr::Cast(Cast {
            expr: Box::new(text_out(*inner)),
            field,
        })));
    }
    Ok(match function {
        Some(function) if from == DataType::Utf8 => {
            let value = call(Arc::clone(function), *inner);
            // The function gives microseconds; the cast that was asked for may want another unit.
            Transformed::yes(Expr::Cast(Cast {
                expr: Box::new(value),
                field,
            }))
        }
        _ => Transformed::no(Expr::Cast(Cast { expr: inner, field })),
    })
}

/// The characters that a type allows: n of `varchar(n)` and `char(n)`.
fn length_limit(field: &Field) -> Option<i64> {
    let modifier = pgtype::type_modifier(field);
    let limited = matches!(pgtype::of_field(field).name, "varchar" | "bpchar");
    // The modifier counts four bytes of header with the length.
    (limited && modifier > 4).then(|| i64::from(modifier) - 4)
}

/// Whether blanks at the end mean nothing, as in `char(n)`: they are added when the value is shown.
fn is_padded(field: &Field) -> bool {
    pgtype::of_field(field).name == "bpchar"
}

/// Whether an expression is the cutting of a text, as this module writes it.
fn is_cut(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(call) if matches!(call.func.name(), "left" | "rtrim"))
}

/// A text literal as the value that it means where it meets another of a type that is held as text: without the blanks at
/// its end for `char(n)`, in the one form of a `uuid`.
fn typed_literal(
    literal: &Expr,
    other: &Expr,
    schema: &DFSchema,
    functions: &HashMap<String, Arc<ScalarUDF>>,
) -> Option<Expr> {
    let Expr::Literal(ScalarValue::Utf8(Some(text)), metadata) = literal else {
        return None;
    };
    let bare = text.trim_end_matches(' ');
    let (_, field) = other.to_field(schema).ok()?;
    if pgtype::of_field(&field).name == "uuid" {
        let read = functions.get("uuid_in")?;
        return Some(call(Arc::clone(read), literal.clone()));
    }
    (bare.len() < text.len() && is_padded(&field))
        .then(|| Expr::Literal(ScalarValue::Utf8(Some(bare.to_owned())), metadata.clone()))
}

/// Whether a decimal meets a double, to which it then gives way; the engine would make a decimal of the double. An operand
/// whose type is not known yet is neither.
fn one_is_double<'e>(operands: impl IntoIterator<Item = &'e Expr>, schema: &DFSchema) -> bool {
    let (mut double, mut decimal) = (false, false);
    for operand in operands {
        match operand.get_type(schema) {
            Ok(DataType::Decimal128(..) | DataType::Decimal256(..)) => decimal = true,
            Ok(other) => double = double || other.is_floating(),
            Err(_) => {}
        }
    }
    double && decimal
}

fn as_double(operand: Expr, schema: &DFSchema) -> Expr {
    match operand.get_type(schema) {
        Ok(DataType::Decimal128(..) | DataType::Decimal256(..)) => cast(operand, DataType::Float64),
        _ => operand,
    }
}

fn computes(op: Operator) -> bool {
    use Operator::{Divide, Minus, Modulo, Multiply, Plus};
    matches!(op, Plus | Minus | Multiply | Divide | Modulo)
}

fn compares(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(
        op,
        Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom
    )
}

/// The target of a cast from a type that is known by its metadata (`varchar`, `json`, `oid`) to one that needs none: it says
/// its name, for the engine would leave the value the type that it had.
fn plain_target(
    inner: &Expr,
    target: &FieldRef,
    schema: &DFSchema,
) -> DataFusionResult<Option<FieldRef>> {
    if !target.metadata().is_empty() || target.data_type().is_nested() {
        return Ok(None);
    }
    let (_, source) = inner.to_field(schema)?;
    Ok(source.metadata().contains_key(PG_TYPE).then(|| {
        let name = pgtype::of_data_type(target.data_type()).name.to_owned();
        let metadata = HashMap::from([(PG_TYPE.to_owned(), name)]);
        Arc::new(target.as_ref().clone().with_metadata(metadata))
    }))
}

/// The function that writes the names of an OID alias.
fn output(field: &Field, functions: &HashMap<String, Arc<ScalarUDF>>) -> Option<Arc<ScalarUDF>> {
    functions.get(reference(field)?.output()).cloned()
}

fn reference(field: &Field) -> Option<ReferenceKind> {
    if field.data_type() != &DataType::UInt32 {
        return None;
    }
    ReferenceKind::of_type(pgtype::of_field(field).name)
}

fn named_object(
    literal: &Expr,
    other: &Expr,
    schema: &DFSchema,
    functions: &HashMap<String, Arc<ScalarUDF>>,
) -> DataFusionResult<Option<Expr>> {
    if !is_text_literal(literal) {
        return Ok(None);
    }
    let (_, field) = other.to_field(schema)?;
    let cast = reference(&field).and_then(|kind| functions.get(kind.cast()));
    Ok(cast.map(|function| call(Arc::clone(function), literal.clone())))
}

/// The result of a query as a client sees it: OID aliases as the names of their objects, `char(n)` with all its blanks, still
/// of their types.
///
/// # Errors
/// Of the engine.
pub fn present(
    plan: LogicalPlan,
    functions: &HashMap<String, Arc<ScalarUDF>>,
) -> Result<LogicalPlan> {
    let mut fields = plan.schema().fields().iter();
    if !fields.any(|field| reference(field).is_some() || is_padded(field)) {
        return Ok(plan);
    }
    let columns: Vec<Expr> = plan
        .schema()
        .iter()
        .map(|(qualifier, field)| {
            let column = Expr::from((qualifier, field));
            if let Some(length) = length_limit(field)
                && is_padded(field)
            {
                return rpad(vec![column, lit(length)]).alias_qualified_with_metadata(
                    qualifier.cloned(),
                    field.name(),
                    Some(FieldMetadata::from(field.metadata().clone())),
                );
            }
            let Some(function) = output(field, functions) else {
                return column;
            };
            let type_name = pgtype::of_field(field).name.to_owned();
            let metadata = HashMap::from([(PG_TYPE.to_owned(), type_name)]);
            call(function, column).alias_qualified_with_metadata(
                qualifier.cloned(),
                field.name(),
                Some(FieldMetadata::from(metadata)),
            )
        })
        .collect();
    Ok(LogicalPlanBuilder::from(plan).project(columns)?.build()?)
}
