//! The one type of several values: of the branches of CASE, the inputs of UNION, the elements of an array.
//!
//! PostgreSQL's rule, not the engine's: a literal in quotes and NULL have no type of their own and take that of the
//! others; numbers go to the widest of `integer`, `numeric`, `real`, `double precision`; types of different categories do
//! not meet (42804).

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, TimeUnit};
use datafusion::common::{DFSchema, Result as DataFusionResult, ScalarValue};
use datafusion::logical_expr::{Expr, ExprSchemable, cast};
use std::sync::Arc;

use super::conversions::call;
use crate::error::{Condition, Report};
use crate::pgtype;
use crate::system::array_functions::array_in;

/// What a value brings to the choice of a type.
enum Given {
    /// NULL.
    Nothing,
    /// A literal in quotes.
    Literal(String),
    Typed(DataType),
    /// A type not known yet, or one that the engine is left to deal with.
    Other,
}

/// Kinds of types that are brought to one another without being asked.
#[derive(PartialEq, Eq, Clone, Copy)]
enum Category {
    Number,
    Text,
    Boolean,
    Moment,
    Time,
    Interval,
    Array,
}

/// Brings `values`, each with the schema of its columns, to their common type where the engine would choose another; `None` where it need not be done. `what` is
/// the name of the construct in errors.
///
/// # Errors
/// [`Condition::DatatypeMismatch`] for types without a common one.
pub(crate) fn unified(
    values: &[(&Expr, &DFSchema)],
    what: &str,
) -> DataFusionResult<Option<Vec<Expr>>> {
    let given: Vec<Given> = values
        .iter()
        .map(|(value, schema)| given(value, schema))
        .collect();
    let Some(target) = target(&given, what)? else {
        return Ok(None);
    };
    let changed = given.iter().any(|given| match given {
        Given::Literal(_) => true,
        Given::Typed(data_type) => *data_type != target,
        Given::Nothing | Given::Other => false,
    });
    if !changed {
        return Ok(None);
    }
    let brought = values
        .iter()
        .zip(&given)
        .map(|((value, _), given)| match given {
            Given::Typed(data_type) if *data_type != target => {
                cast((*value).clone(), target.clone())
            }
            Given::Literal(_) => of_literal(unaliased(value).clone(), &target),
            _ => (*value).clone(),
        });
    Ok(Some(brought.collect()))
}

fn unaliased(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => unaliased(&alias.expr),
        other => other,
    }
}

fn of_literal(literal: Expr, target: &DataType) -> Expr {
    if let DataType::List(_) = target {
        let field = Arc::new(Field::new("array", target.clone(), true));
        return call(Arc::new(array_in(field)), literal);
    }
    cast(literal, target.clone())
}

fn given(value: &Expr, schema: &DFSchema) -> Given {
    match unaliased(value) {
        Expr::Literal(ScalarValue::Null, _) => return Given::Nothing,
        Expr::Literal(ScalarValue::Utf8(Some(text)), None) => return Given::Literal(text.clone()),
        _ => {}
    }
    match value.to_field(schema) {
        // An own type, such as an OID alias or json, is the engine's affair.
        Ok((_, field))
            if pgtype::of_field(&field).name != pgtype::of_data_type(field.data_type()).name =>
        {
            Given::Other
        }
        Ok((_, field)) if category(field.data_type()).is_some() => {
            Given::Typed(field.data_type().clone())
        }
        Ok((_, field)) if field.data_type().is_null() => Given::Nothing,
        _ => Given::Other,
    }
}

/// The type that all are brought to; `None` to leave it to the engine.
fn target(given: &[Given], what: &str) -> DataFusionResult<Option<DataType>> {
    let mut chosen: Option<DataType> = None;
    for value in given {
        let data_type = match value {
            Given::Typed(data_type) => data_type,
            Given::Other => return Ok(None),
            Given::Nothing | Given::Literal(_) => continue,
        };
        chosen = Some(match chosen {
            None => data_type.clone(),
            Some(before) if before == *data_type => before,
            Some(before) => match wider(&before, data_type) {
                Ok(Some(wider)) => wider,
                Ok(None) => return Ok(None),
                Err(()) => {
                    return Err(Report::new(
                        Condition::DatatypeMismatch,
                        format!(
                            "{what} types {} and {} cannot be matched",
                            name(&before),
                            name(data_type)
                        ),
                    )
                    .into());
                }
            },
        });
    }
    // Literals alone are text.
    let Some(mut chosen) = chosen else {
        return Ok(None);
    };
    // A literal with more digits than the others has room for them.
    for value in given {
        if let Given::Literal(text) = value
            && let DataType::Decimal128(..) = chosen
            && let Some(digits) = digits_of(text)
        {
            chosen = wider_decimal(&chosen, &digits);
        }
    }
    Ok(Some(chosen))
}

fn name(data_type: &DataType) -> String {
    pgtype::format_type(pgtype::of_data_type(data_type).oid, None)
}

fn category(data_type: &DataType) -> Option<Category> {
    use DataType as T;
    Some(match data_type {
        T::Int16 | T::Int32 | T::Int64 | T::Decimal128(..) | T::Float32 | T::Float64 => {
            Category::Number
        }
        T::Utf8 => Category::Text,
        T::Boolean => Category::Boolean,
        T::Date32 | T::Timestamp(TimeUnit::Microsecond, _) => Category::Moment,
        T::Time64(_) => Category::Time,
        T::Interval(_) => Category::Interval,
        T::List(_) => Category::Array,
        _ => return None,
    })
}

/// The wider of two types; `None` where the engine decides, an error where there is none.
fn wider(left: &DataType, right: &DataType) -> Result<Option<DataType>, ()> {
    let kind = category(left);
    if kind != category(right) {
        return Err(());
    }
    Ok(match kind {
        Some(Category::Number) => Some(wider_number(left, right)),
        Some(Category::Moment) => Some(if rank_of_moment(left) >= rank_of_moment(right) {
            left.clone()
        } else {
            right.clone()
        }),
        _ => None,
    })
}

fn rank_of_moment(data_type: &DataType) -> u8 {
    match data_type {
        DataType::Date32 => 0,
        DataType::Timestamp(_, None) => 1,
        _ => 2,
    }
}

fn wider_number(left: &DataType, right: &DataType) -> DataType {
    let rank = |data_type: &DataType| match data_type {
        DataType::Int16 => 0,
        DataType::Int32 => 1,
        DataType::Int64 => 2,
        DataType::Decimal128(..) => 3,
        DataType::Float32 => 4,
        _ => 5,
    };
    match (rank(left), rank(right)) {
        (3, 0..=3) => wider_decimal(left, right),
        (0..=2, 3) => wider_decimal(right, left),
        (left_rank, right_rank) if left_rank >= right_rank => left.clone(),
        _ => right.clone(),
    }
}

/// A decimal with room for the digits of both before and after the point.
fn wider_decimal(decimal: &DataType, other: &DataType) -> DataType {
    let parts = |data_type: &DataType| match data_type {
        DataType::Decimal128(precision, scale) => {
            (i16::from(*precision) - i16::from(*scale), *scale)
        }
        DataType::Int16 => (5, 0),
        DataType::Int32 => (10, 0),
        _ => (19, 0),
    };
    let ((left_whole, left_scale), (right_whole, right_scale)) = (parts(decimal), parts(other));
    let scale = left_scale.max(right_scale);
    let precision = left_whole.max(right_whole) + i16::from(scale);
    let most = i16::from(DECIMAL128_MAX_PRECISION);
    DataType::Decimal128(
        u8::try_from(precision.clamp(1, most)).unwrap_or(DECIMAL128_MAX_PRECISION),
        scale,
    )
}

/// The decimal that holds a number in plain digits.
fn digits_of(text: &str) -> Option<DataType> {
    let text = text.trim();
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let plain = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(whole) || !plain(fraction) {
        return None;
    }
    let scale = i8::try_from(fraction.len()).ok()?;
    let precision = u8::try_from(whole.len() + fraction.len()).ok()?;
    (1..=DECIMAL128_MAX_PRECISION)
        .contains(&precision)
        .then_some(DataType::Decimal128(precision, scale))
}
