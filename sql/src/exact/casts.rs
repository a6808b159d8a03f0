//! Casts between numbers as PostgreSQL makes them: to the nearest whole number, and to the nearest float.

use std::fmt::Display;
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::compute::{cast, kernels::arity};
use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, Decimal256Type, Float64Type,
};
use arrow::error::ArrowError;
use datafusion::common::{DFSchema, Result, internal_err};
use datafusion::logical_expr::expr::{Cast, ScalarFunction};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

/// Powers of ten up to this one are exact in a double, so that one division rounds once.
const EXACT_POWER_MAX: i8 = 22;

/// The largest whole number up to which all are exact in a double.
const EXACT_WHOLE_MAX: i128 = 1 << 53;

/// A cast with PostgreSQL's rounding; `None` where the engine's is the same.
pub(super) fn exact(inner: &Expr, to: &DataType, schema: &DFSchema) -> Result<Option<Expr>> {
    let wanted = to.is_integer() || matches!(to, DataType::Float32 | DataType::Float64);
    if !wanted {
        return Ok(None);
    }
    let from = inner.get_type(schema)?;
    let whole = to.is_integer();
    Ok(match from {
        // A change of scale rounds half away from zero; the cast that follows cuts nothing off.
        DataType::Decimal128(_, scale) if whole && scale > 0 => Some(Expr::Cast(Cast::new(
            Box::new(inner.clone()),
            DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0),
        ))),
        DataType::Float32 | DataType::Float64 if whole => Some(call(&RINT, inner.clone())),
        DataType::Decimal128(..) | DataType::Decimal256(..) if !whole => {
            Some(call(&NEAREST_DOUBLE, inner.clone()))
        }
        _ => None,
    })
}

/// `x` rounded to the nearest whole number, the even one of two, as PostgreSQL rounds a double.
pub(crate) fn rounded_double(x: Expr) -> Expr {
    call(&RINT, x)
}

fn call(function: &Arc<ScalarUDF>, argument: Expr) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(
        Arc::clone(function),
        vec![argument],
    ))
}

static RINT: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| Conversion::udf("rint", DataType::Float64, rint));
static NEAREST_DOUBLE: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| Conversion::udf("nearest_double", DataType::Float64, nearest_double));

/// A conversion of a column of numbers.
#[derive(Debug)]
struct Conversion {
    name: &'static str,
    signature: Signature,
    to: DataType,
    convert: fn(&ArrayRef) -> Result<ArrayRef>,
}

impl PartialEq for Conversion {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Conversion {}

impl std::hash::Hash for Conversion {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl Conversion {
    fn udf(
        name: &'static str,
        to: DataType,
        convert: fn(&ArrayRef) -> Result<ArrayRef>,
    ) -> Arc<ScalarUDF> {
        Arc::new(ScalarUDF::new_from_impl(Self {
            name,
            signature: Signature::any(1, Volatility::Immutable),
            to,
            convert,
        }))
    }
}

impl ScalarUDFImpl for Conversion {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(self.to.clone())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match arguments.args.as_slice() {
            [ColumnarValue::Array(values)] => Ok(ColumnarValue::Array((self.convert)(values)?)),
            [ColumnarValue::Scalar(value)] => {
                let converted = (self.convert)(&value.to_array()?)?;
                Ok(ColumnarValue::Scalar(
                    datafusion::common::ScalarValue::try_from_array(&converted, 0)?,
                ))
            }
            _ => internal_err!("{} has one argument", self.name),
        }
    }
}

fn rint(values: &ArrayRef) -> Result<ArrayRef> {
    let doubles = cast(values, &DataType::Float64)?;
    let rounded: Float64Array =
        arity::unary(doubles.as_primitive::<Float64Type>(), f64::round_ties_even);
    Ok(Arc::new(rounded))
}

fn nearest_double(values: &ArrayRef) -> Result<ArrayRef> {
    let doubles: Float64Array = match values.data_type() {
        DataType::Decimal128(_, scale) => {
            let scale = *scale;
            arity::try_unary(values.as_primitive::<Decimal128Type>(), |value| {
                double(value, scale)
            })?
        }
        DataType::Decimal256(_, scale) => {
            let scale = *scale;
            arity::try_unary(
                values.as_primitive::<Decimal256Type>(),
                |value| match value.to_i128() {
                    Some(small) => double(small, scale),
                    None => parsed(value, scale),
                },
            )?
        }
        other => return internal_err!("{other} is no decimal type"),
    };
    Ok(Arc::new(doubles))
}

fn double(value: i128, scale: i8) -> std::result::Result<f64, ArrowError> {
    if value.abs() <= EXACT_WHOLE_MAX && scale.abs() <= EXACT_POWER_MAX {
        #[expect(clippy::cast_precision_loss, reason = "it is exact up to that limit")]
        let whole = value as f64;
        let power = 10_f64.powi(i32::from(scale.abs()));
        return Ok(if scale >= 0 {
            whole / power
        } else {
            whole * power
        });
    }
    parsed(value, scale)
}

/// The nearest double, by way of the text.
fn parsed(value: impl Display, scale: i8) -> std::result::Result<f64, ArrowError> {
    let text = format!("{value}e{}", -i16::from(scale));
    text.parse()
        .map_err(|_| ArrowError::CastError(format!("decimal {text} is not a number")))
}

#[cfg(test)]
mod tests {
    use super::double;

    #[test]
    fn the_nearest_double_is_found() {
        for (value, scale, expected) in [
            (11, 1, 1.1),
            (1, -15, 1e15),
            (1, -100, 1e100),
            (1, 23, 1e-23),
            (-123_456_789_012_345_678, 5, -1_234_567_890_123.456_8),
            (9_007_199_254_740_993, 0, 9_007_199_254_740_992.0),
        ] {
            assert_eq!(double(value, scale).unwrap(), expected, "{value}e-{scale}");
        }
    }
}
