//! The value of a subquery that may have no row.
//!
//! The engine takes a scalar subquery for NOT NULL where its column is, and so `(SELECT 1 WHERE false) IS NULL` for false.
//! [`maybe_absent`] gives its argument as it is, and says of it that it may be NULL.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

/// The function that marks a value as one that may be NULL.
pub(super) fn maybe_absent() -> Arc<ScalarUDF> {
    static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
        Arc::new(ScalarUDF::new_from_impl(MaybeAbsent {
            // Volatile, so that of a constant no constant is made, which is not NULL.
            signature: Signature::any(1, Volatility::Volatile),
        }))
    });
    Arc::clone(&FUNCTION)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct MaybeAbsent {
    signature: Signature,
}

impl ScalarUDFImpl for MaybeAbsent {
    fn name(&self) -> &str {
        "maybe_absent"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [value] => Ok(value.clone()),
            _ => internal_err!("maybe_absent has one argument"),
        }
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> Result<FieldRef> {
        match arguments.arg_fields {
            [value] => Ok(Arc::new(value.as_ref().clone().with_nullable(true))),
            _ => internal_err!("maybe_absent has one argument"),
        }
    }

    fn invoke_with_args(&self, mut arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match (arguments.args.pop(), arguments.args.is_empty()) {
            (Some(value), true) => Ok(value),
            _ => internal_err!("maybe_absent has one argument"),
        }
    }
}
