//! Division of `numeric` with at least sixteen digits after the point, as PostgreSQL gives.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array};
use arrow::compute::kernels::arity;
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, i256};
use arrow::error::ArrowError;
use datafusion::common::{DFSchema, Result, ScalarValue, internal_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility, cast,
};

/// Digits after the point that a quotient has at least.
const QUOTIENT_SCALE: i8 = 16;

/// `left / right` where one is a decimal and the other a decimal or an integer; `None` for other types.
pub(crate) fn quotient(left: &Expr, right: &Expr, schema: &DFSchema) -> Result<Option<Expr>> {
    let (left_type, right_type) = (left.get_type(schema)?, right.get_type(schema)?);
    let is_decimal = |data_type: &DataType| matches!(data_type, DataType::Decimal128(..));
    let fits = |data_type: &DataType| is_decimal(data_type) || data_type.is_integer();
    if !(fits(&left_type)
        && fits(&right_type)
        && (is_decimal(&left_type) || is_decimal(&right_type)))
    {
        return Ok(None);
    }
    let as_decimal = |operand: &Expr, data_type: &DataType| {
        if data_type.is_integer() {
            cast(operand.clone(), DataType::Decimal128(INTEGER_DIGITS, 0))
        } else {
            operand.clone()
        }
    };
    Ok(Some(quotient_of_decimals(
        as_decimal(left, &left_type),
        as_decimal(right, &right_type),
    )))
}

/// `left / right` of two decimals.
pub(crate) fn quotient_of_decimals(left: Expr, right: Expr) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(
        Arc::clone(&DIVIDE),
        vec![left, right],
    ))
}

/// Digits that hold every integer.
const INTEGER_DIGITS: u8 = 20;

/// The division of two decimals of at most 38 digits.
static DIVIDE: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    Arc::new(ScalarUDF::new_from_impl(Divide {
        signature: Signature::any(2, Volatility::Immutable),
    }))
});

#[derive(Debug, PartialEq, Eq, Hash)]
struct Divide {
    signature: Signature,
}

fn shown(arguments: &[Expr]) -> String {
    match arguments {
        [left, right] => format!("{left} / {right}"),
        _ => "/".to_owned(),
    }
}

impl ScalarUDFImpl for Divide {
    fn name(&self) -> &str {
        "/"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn display_name(&self, arguments: &[Expr]) -> Result<String> {
        Ok(shown(arguments))
    }

    fn schema_name(&self, arguments: &[Expr]) -> Result<String> {
        Ok(shown(arguments))
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [
                DataType::Decimal128(_, left),
                DataType::Decimal128(_, right),
            ] => Ok(DataType::Decimal128(
                DECIMAL128_MAX_PRECISION,
                QUOTIENT_SCALE.max(*left).max(*right),
            )),
            _ => internal_err!("two decimals are divided"),
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = arguments.args.as_slice() else {
            return internal_err!("a division has two operands");
        };
        let constant = matches!(
            (left, right),
            (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_))
        );
        let rows = if constant { 1 } else { arguments.number_rows };
        let quotients = divide(
            &left.to_array(rows)?,
            &right.to_array(rows)?,
            arguments.return_field.data_type(),
        )?;
        Ok(if constant {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&quotients, 0)?)
        } else {
            ColumnarValue::Array(quotients)
        })
    }
}

fn divide(left: &ArrayRef, right: &ArrayRef, quotient: &DataType) -> Result<ArrayRef> {
    let (
        DataType::Decimal128(_, left_scale),
        DataType::Decimal128(_, right_scale),
        DataType::Decimal128(precision, scale),
    ) = (left.data_type(), right.data_type(), quotient)
    else {
        return internal_err!("two decimals are divided");
    };
    let shift = i32::from(*scale) - i32::from(*left_scale) + i32::from(*right_scale);
    let shift = u32::try_from(shift).unwrap_or(0);
    let small = 10_i128.checked_pow(shift);
    let large = i256::from_i128(10).checked_pow(shift);
    let quotients: Decimal128Array = arity::try_binary(
        left.as_primitive::<Decimal128Type>(),
        right.as_primitive::<Decimal128Type>(),
        |left, right| {
            if right == 0 {
                return Err(ArrowError::DivideByZero);
            }
            let rounded = match small.and_then(|factor| left.checked_mul(factor)) {
                Some(shifted) => rounded(shifted, right),
                None => large
                    .and_then(|factor| i256::from_i128(left).checked_mul(factor))
                    .and_then(|shifted| rounded_wide(shifted, i256::from_i128(right))),
            };
            rounded.ok_or_else(|| {
                ArrowError::ArithmeticOverflow(format!("Overflow happened on: {left} / {right}"))
            })
        },
    )?;
    let quotients = quotients.with_precision_and_scale(*precision, *scale)?;
    quotients.validate_decimal_precision(*precision)?;
    Ok(Arc::new(quotients))
}

/// The quotient, rounded half away from zero.
fn rounded(left: i128, right: i128) -> Option<i128> {
    let (whole, rest) = (left.checked_div(right)?, left.checked_rem(right)?);
    // Twice the rest may overflow, so the other half is compared with it.
    let half = right.unsigned_abs() - rest.unsigned_abs() <= rest.unsigned_abs();
    match (half, (left < 0) == (right < 0)) {
        (false, _) => Some(whole),
        (true, true) => whole.checked_add(1),
        (true, false) => whole.checked_sub(1),
    }
}

fn rounded_wide(left: i256, right: i256) -> Option<i128> {
    let zero = i256::ZERO;
    let (whole, rest) = (left.checked_div(right)?, left.checked_rem(right)?);
    let magnitude = |value: i256| {
        if value < zero {
            value.checked_neg()
        } else {
            Some(value)
        }
    };
    let rest = magnitude(rest)?;
    let half = magnitude(right)?.checked_sub(rest)? <= rest;
    let one = i256::ONE;
    let whole = match (half, (left < zero) == (right < zero)) {
        (false, _) => whole,
        (true, true) => whole.checked_add(one)?,
        (true, false) => whole.checked_sub(one)?,
    };
    whole.to_i128()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotients_are_rounded_half_away_from_zero() {
        for (left, right, expected) in [
            (7, 2, 4),
            (-7, 2, -4),
            (7, -2, -4),
            (-7, -2, 4),
            (1, 3, 0),
            (2, 3, 1),
            (-2, 3, -1),
            (6, 3, 2),
        ] {
            assert_eq!(rounded(left, right), Some(expected), "{left} / {right}");
            assert_eq!(
                rounded_wide(i256::from_i128(left), i256::from_i128(right)),
                Some(expected),
                "{left} / {right}"
            );
        }
        assert_eq!(rounded(i128::MAX, i128::MAX - 1), Some(1));
        assert_eq!(rounded(i128::MIN, -1), None);
    }
}
