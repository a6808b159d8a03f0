//! The function that a cast to text becomes.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, StringBuilder};
use arrow::datatypes::{DataType, Field, FieldRef};
use bytes::BytesMut;
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::{Cell, Style, internal};

/// The text of `value` as a client would be shown it; its type is `text`. A boolean is `t` or `f`, as within arrays and
/// for `concat`; a cast of one to text is `true` or `false` in PostgreSQL, and left to the engine.
pub(crate) fn text_out(value: Expr) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&TEXT_OUT), vec![value]))
}

/// Whether a cast to text must be by [`text_out`]: texts, integers and booleans have the engine's.
pub(crate) fn has_own_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => has_own_text(values),
        DataType::RunEndEncoded(_, values) => has_own_text(values.data_type()),
        DataType::Null | DataType::Boolean => false,
        other => !(other.is_string() || other.is_integer()),
    }
}

static TEXT_OUT: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    Arc::new(ScalarUDF::new_from_impl(TextOut {
        signature: Signature::any(1, Volatility::Immutable),
    }))
});

#[derive(Debug, PartialEq, Eq, Hash)]
struct TextOut {
    signature: Signature,
}

impl ScalarUDFImpl for TextOut {
    fn name(&self) -> &str {
        "text_out"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let nullable = arguments.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), DataType::Utf8, nullable)))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (Some(value), Some(field)) = (arguments.args.first(), arguments.arg_fields.first())
        else {
            return internal_err!("{} has one argument", self.name());
        };
        Ok(match value {
            ColumnarValue::Array(values) => ColumnarValue::Array(texts(values, field)?),
            ColumnarValue::Scalar(value) => {
                let text = texts(&value.to_array()?, field)?;
                ColumnarValue::Scalar(ScalarValue::try_from_array(&text, 0)?)
            }
        })
    }
}

fn texts(values: &ArrayRef, field: &Field) -> Result<ArrayRef> {
    let cell = Cell::new(values, field, Style::default())?;
    let mut texts = StringBuilder::with_capacity(values.len(), 16 * values.len());
    let mut text = BytesMut::new();
    for row in 0..values.len() {
        if cell.is_null(row) {
            texts.append_null();
            continue;
        }
        text.clear();
        cell.write(row, &mut text)?;
        texts.append_value(std::str::from_utf8(&text).map_err(internal)?);
    }
    Ok(Arc::new(texts.finish()))
}
