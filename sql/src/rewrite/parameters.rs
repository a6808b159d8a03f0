//! The types of parameters that only a cast tells.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use sqlparser::ast::{Expr, Statement, Value, visit_expressions};

use crate::error::{Error, Result};
use crate::types::field_of;

/// `declared`, the types of `$1`, `$2`, ..., with those of parameters that have none and are cast to an array, as in
/// `$1::text[]`: as a text, such a parameter would be one element.
///
/// # Errors
/// For a type that does not exist.
pub fn with_arrays(
    statement: &Statement,
    declared: &[Option<FieldRef>],
) -> Result<Vec<Option<FieldRef>>> {
    let mut types = declared.to_vec();
    let visited = visit_expressions(statement, |expr| {
        let Expr::Cast {
            expr, data_type, ..
        } = expr
        else {
            return ControlFlow::Continue(());
        };
        let Some(index) = parameter(expr) else {
            return ControlFlow::Continue(());
        };
        let field = match field_of("", data_type) {
            Ok(field) if matches!(field.data_type(), DataType::List(_)) => field,
            Ok(_) => return ControlFlow::Continue(()),
            Err(error) => return ControlFlow::Break(error),
        };
        if types.len() <= index {
            types.resize(index + 1, None);
        }
        if let Some(slot) = types.get_mut(index)
            && slot.is_none()
        {
            *slot = Some(Arc::new(field));
        }
        ControlFlow::<Error>::Continue(())
    });
    match visited {
        ControlFlow::Continue(()) => Ok(types),
        ControlFlow::Break(error) => Err(error),
    }
}

/// Which parameter an expression is, from 0.
fn parameter(expr: &Expr) -> Option<usize> {
    let value = match expr {
        Expr::Value(value) => &value.value,
        Expr::Nested(inner) => return parameter(inner),
        _ => return None,
    };
    let Value::Placeholder(name) = value else {
        return None;
    };
    let number: usize = name.strip_prefix('$')?.parse().ok()?;
    number
        .checked_sub(1)
        .filter(|index| *index < usize::from(u16::MAX))
}
