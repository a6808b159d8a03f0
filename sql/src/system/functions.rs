//! The scalar functions of `pg_catalog`: each is a [`Declaration`] and runs row by row.
//!
//! They serve questions about the catalog and the session, thousands of rows at most, so a value at a time is fast enough.
//! A function is strict, as nearly all of PostgreSQL's are: NULL in, NULL out; the few that are not say so.

pub(crate) mod array_functions;
pub(crate) mod formats;
mod objects;
mod privileges;
mod references;
mod session;
mod text;
mod time;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, FieldRef, Float64Type, Int16Type, Int32Type, Int64Type, UInt32Type,
};
use datafusion::common::{Result, exec_err, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::SystemEnv;
use super::rows::{Column, Value};
use crate::error::undefined_function;
use crate::pgtype::{self, PgType};

pub(crate) use references::ReferenceKind;

/// All functions of this module, for the session that `env` describes.
pub fn functions(env: &Arc<SystemEnv>) -> Vec<Arc<ScalarUDF>> {
    let declared = declarations().map(|declaration| {
        Arc::new(ScalarUDF::new_from_impl(Function {
            declaration,
            env: Arc::clone(env),
            signature: Signature::user_defined(declaration.volatility),
        }))
    });
    declared
        .chain(time::local(env))
        .chain(formats::functions(env))
        .chain(array_functions::functions())
        .collect()
}

/// Whether `name` is a function of this module that takes and gives single values.
pub(crate) fn is_declared(name: &str) -> bool {
    declarations().any(|declaration| declaration.name == name) || time::is_local(name)
}

fn declarations() -> impl Iterator<Item = &'static Declaration> {
    [
        objects::DECLARATIONS,
        privileges::DECLARATIONS,
        references::DECLARATIONS,
        session::DECLARATIONS,
        text::DECLARATIONS,
        time::DECLARATIONS,
    ]
    .into_iter()
    .flatten()
}

/// At the end of an overload: any number of further arguments, taken as text.
const VARIADIC: &str = "...";

/// A function: what it takes, what it gives, how it is computed.
struct Declaration {
    name: &'static str,
    /// The types of the arguments, one list for each way to call it; `any` takes every type.
    overloads: &'static [&'static [&'static str]],
    result: &'static str,
    /// Whether a NULL argument makes the result NULL without a call.
    strict: bool,
    volatility: Volatility,
    evaluate: fn(&Arc<SystemEnv>, &[Value]) -> Result<Value>,
}

impl Declaration {
    /// A strict function whose result may change between statements.
    const fn new(
        name: &'static str,
        overloads: &'static [&'static [&'static str]],
        result: &'static str,
        evaluate: fn(&Arc<SystemEnv>, &[Value]) -> Result<Value>,
    ) -> Self {
        Self {
            name,
            overloads,
            result,
            strict: true,
            volatility: Volatility::Stable,
            evaluate,
        }
    }

    /// The same, called with NULLs too.
    const fn not_strict(mut self) -> Self {
        self.strict = false;
        self
    }

    /// The same, its result depending on the arguments only.
    const fn immutable(mut self) -> Self {
        self.volatility = Volatility::Immutable;
        self
    }

    /// The same, its result changing from row to row.
    const fn volatile(mut self) -> Self {
        self.volatility = Volatility::Volatile;
        self
    }

    fn result_type(&self) -> Result<&'static PgType> {
        match pgtype::by_name(self.result) {
            Some(pg_type) => Ok(pg_type),
            None => internal_err!("function \"{}\" has an unknown result type", self.name),
        }
    }
}

struct Function {
    declaration: &'static Declaration,
    env: Arc<SystemEnv>,
    signature: Signature,
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.declaration.name)
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.declaration.name == other.declaration.name && Arc::ptr_eq(&self.env, &other.env)
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.declaration.name.hash(state);
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.declaration.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let best = self
            .declaration
            .overloads
            .iter()
            .filter_map(|overload| accept(overload, given))
            .reduce(|best, next| if next.0 > best.0 { next } else { best });
        match best {
            Some((_, types)) => Ok(types),
            None => Err(undefined_function(self.declaration.name, given).into()),
        }
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        let result = self.declaration.result_type()?;
        match pgtype::data_type_of(result.oid) {
            Some(data_type) => Ok(data_type),
            None => internal_err!("function \"{}\" has no result", self.declaration.name),
        }
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs) -> Result<FieldRef> {
        match pgtype::field(self.name(), self.declaration.result_type()?) {
            Some(field) => Ok(Arc::new(field)),
            None => internal_err!("function \"{}\" has no result", self.declaration.name),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args
            .args
            .iter()
            .all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let constant = constant && self.declaration.volatility != Volatility::Volatile;
        let rows = if constant { 1 } else { args.number_rows };
        let arrays = args
            .args
            .iter()
            .map(|argument| argument.to_array(rows))
            .collect::<Result<Vec<ArrayRef>>>()?;
        let mut column = Column::new(&args.return_field);
        for row in 0..rows {
            let values = arrays
                .iter()
                .map(|array| value_at(array, row))
                .collect::<Result<Vec<Value>>>()?;
            let value = if self.declaration.strict && values.contains(&Value::Null) {
                Value::Null
            } else {
                (self.declaration.evaluate)(&self.env, &values)?
            };
            column.push(value, &args.return_field)?;
        }
        let result = column.finish();
        Ok(if constant {
            ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(&result, 0)?)
        } else {
            ColumnarValue::Array(result)
        })
    }
}

/// How well arguments of the `given` types fit an overload, and what they are to be cast to; `None` if they do not.
fn accept(overload: &[&str], given: &[DataType]) -> Option<(u32, Vec<DataType>)> {
    let fixed = match overload {
        [fixed @ .., VARIADIC] => fixed,
        all if all.len() == given.len() => all,
        _ => return None,
    };
    if given.len() < fixed.len() {
        return None;
    }
    let mut fit = 0;
    let mut types = Vec::with_capacity(given.len());
    for (wanted, given) in fixed.iter().zip(given) {
        let (one, data_type) = accept_one(pgtype::by_name(wanted)?, given)?;
        fit += one;
        types.push(data_type);
    }
    // Values of any type, as text; booleans have a text form of their own here.
    types.extend(given.iter().skip(fixed.len()).map(|given| match given {
        DataType::Boolean => DataType::Boolean,
        _ => DataType::Utf8,
    }));
    Some((fit, types))
}

fn accept_one(wanted: &'static PgType, given: &DataType) -> Option<(u32, DataType)> {
    if wanted.name == "any" {
        return Some((0, given.clone()));
    }
    let data_type = pgtype::data_type_of(wanted.oid)?;
    let is_text = matches!(
        given,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    );
    let fit = match given {
        _ if *given == data_type => 4,
        // `name` before `oid` for a text, as PostgreSQL does for a literal of no type.
        _ if is_text && data_type == DataType::Utf8 => 3,
        _ if given.is_integer() && data_type.is_integer() => 3,
        _ if given.is_numeric() && data_type.is_floating() => 2,
        // The name of an object: looked up by the function itself.
        _ if is_text && wanted.is_oid_alias() => return Some((2, DataType::Utf8)),
        _ if is_text => 1,
        DataType::Null => 1,
        DataType::List(_) if matches!(data_type, DataType::List(_)) => 1,
        _ => return None,
    };
    Some((fit, data_type))
}

/// One value of an argument.
fn value_at(array: &ArrayRef, row: usize) -> Result<Value> {
    if array.is_null(row) {
        return Ok(Value::Null);
    }
    Ok(match array.data_type() {
        DataType::Null => Value::Null,
        DataType::Boolean => Value::Bool(array.as_boolean().value(row)),
        DataType::Int16 => Value::Int(array.as_primitive::<Int16Type>().value(row).into()),
        DataType::Int32 => Value::Int(array.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => Value::Int(array.as_primitive::<Int64Type>().value(row)),
        DataType::UInt32 => Value::Int(array.as_primitive::<UInt32Type>().value(row).into()),
        DataType::Float64 => Value::Float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => Value::Text(array.as_string::<i32>().value(row).to_owned()),
        DataType::List(item) => {
            let items = array.as_list::<i32>().value(row);
            let values = (0..items.len())
                .map(|at| value_at(&items, at))
                .collect::<Result<Vec<Value>>>()?;
            if item.data_type() == &DataType::Utf8 {
                Value::Texts(values.into_iter().filter_map(into_text).collect())
            } else {
                Value::Ints(values.into_iter().filter_map(into_int).collect())
            }
        }
        // Of an `any` argument only the type is of interest.
        _ => Value::Bool(true),
    })
}

fn into_text(value: Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

fn into_int(value: Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(number),
        _ => None,
    }
}

/// The text argument at a position.
fn text(arguments: &[Value], at: usize) -> Result<&str> {
    match arguments.get(at) {
        Some(Value::Text(text)) => Ok(text),
        other => exec_err!("expected a text, not {other:?}"),
    }
}

/// The number argument at a position.
fn int(arguments: &[Value], at: usize) -> Result<i64> {
    match arguments.get(at) {
        Some(Value::Int(number)) => Ok(*number),
        other => exec_err!("expected a whole number, not {other:?}"),
    }
}

/// The oid argument at a position; 0, which is no object, for a number that is no oid.
fn oid(arguments: &[Value], at: usize) -> Result<u32> {
    Ok(u32::try_from(int(arguments, at)?).unwrap_or(0))
}
