//! Functions of arrays: `ANY` and `ALL` over an array, bounds and subscripts, reading an array from text.

use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, Int32Builder, ListArray, ListBuilder,
    StringArray, UInt32Array, UInt64Array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{cast_with_options, kernels, take};
use arrow::datatypes::{DataType, Field, FieldRef, Int32Type};
use datafusion::common::cast::as_list_array;
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::formats::checked_texts;
use crate::error::{Condition, Report};
use crate::pgtype;

/// The name of `value op ANY (array)` as a function of the value, the operator as text, and the array.
pub(crate) const ANY: &str = "any_of_array";
/// The name of `value op ALL (array)`.
pub(crate) const ALL: &str = "all_of_array";
/// The name of the function that makes an empty array of NULL, for `ARRAY(SELECT ...)` over no rows.
pub(crate) const ARRAY_OR_EMPTY: &str = "array_or_empty";

/// The functions of this module.
pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    let stable = || Signature::user_defined(Volatility::Immutable);
    [
        ScalarUDF::new_from_impl(Quantified {
            any: true,
            signature: stable(),
        }),
        ScalarUDF::new_from_impl(Quantified {
            any: false,
            signature: stable(),
        }),
        ScalarUDF::new_from_impl(ArrayOrEmpty {
            signature: Signature::any(1, Volatility::Immutable),
        }),
        ScalarUDF::new_from_impl(Bound {
            upper: true,
            signature: stable(),
        }),
        ScalarUDF::new_from_impl(Bound {
            upper: false,
            signature: stable(),
        }),
        ScalarUDF::new_from_impl(GenerateSubscripts {
            signature: stable(),
        }),
        ScalarUDF::new_from_impl(TypeOf {
            signature: Signature::any(1, Volatility::Stable),
        }),
    ]
    .into_iter()
    .map(Arc::new)
    .collect()
}

/// The function that reads an array of type `target` from text such as `{1,2,NULL}`.
pub(crate) fn array_in(target: FieldRef) -> ScalarUDF {
    ScalarUDF::new_from_impl(ArrayIn {
        target,
        signature: Signature::exact(vec![DataType::Utf8], Volatility::Immutable),
    })
}

/// `value op ANY (array)` and `value op ALL (array)` with SQL's three values: an element that compares as NULL leaves the
/// answer unknown unless another decides it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Quantified {
    any: bool,
    signature: Signature,
}

impl ScalarUDFImpl for Quantified {
    fn name(&self) -> &str {
        if self.any { ANY } else { ALL }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let [value, operator, array] = given else {
            return plan_err!("{} takes a value, an operator and an array", self.name());
        };
        let item = match array {
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                item
            }
            // Text is read as an array of the value's type when the function runs.
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => {
                return Ok(vec![value.clone(), operator.clone(), DataType::Utf8]);
            }
            other => {
                let quantifier = if self.any { "ANY" } else { "ALL" };
                return Err(Report::new(
                    Condition::WrongObjectType,
                    format!("op {quantifier} (array) requires array on right side"),
                )
                .detail(format!(
                    "The right side is of type {}.",
                    pgtype::format_type(pgtype::of_data_type(other).oid, None)
                ))
                .into());
            }
        };
        let Some(common) = comparison_coercion(value, item.data_type()) else {
            let name = |data_type| pgtype::format_type(pgtype::of_data_type(data_type).oid, None);
            return Err(Report::new(
                Condition::UndefinedFunction,
                format!(
                    "operator does not exist: {} = {}",
                    name(value),
                    name(item.data_type())
                ),
            )
            .into());
        };
        let item = Field::clone(item)
            .with_data_type(common.clone())
            .with_nullable(true);
        Ok(vec![
            common,
            operator.clone(),
            DataType::List(Arc::new(item)),
        ])
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    /// `= ANY` and `<> ALL` of a constant array are IN lists, which the engine prunes files and row groups by.
    fn simplify(&self, args: Vec<Expr>, _info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let [
            value,
            Expr::Literal(operator, _),
            Expr::Literal(ScalarValue::List(list), _),
        ] = args.as_slice()
        else {
            return Ok(ExprSimplifyResult::Original(args));
        };
        let negated = match (self.any, operator.try_as_str().flatten()) {
            (true, Some("=")) => false,
            (false, Some("<>")) => true,
            _ => return Ok(ExprSimplifyResult::Original(args)),
        };
        if list.is_null(0) {
            return Ok(ExprSimplifyResult::Original(args));
        }
        let items = list.value(0);
        let list = (0..items.len())
            .map(|at| {
                Ok(Expr::Literal(
                    ScalarValue::try_from_array(&items, at)?,
                    None,
                ))
            })
            .collect::<Result<Vec<Expr>>>()?;
        Ok(ExprSimplifyResult::Simplified(Expr::InList(InList {
            expr: Box::new(value.clone()),
            list,
            negated,
        })))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [value, operator, array] = args.args.as_slice() else {
            return exec_err!("{} takes a value, an operator and an array", self.name());
        };
        let ColumnarValue::Scalar(operator) = operator else {
            return exec_err!("the operator of {} must be a constant", self.name());
        };
        let operator = operator.try_as_str().flatten().unwrap_or_default();
        let value = value.to_array(args.number_rows)?;
        let array = array.to_array(args.number_rows)?;
        let array = match array.data_type() {
            DataType::List(_) => array,
            _ => {
                let item = Field::new_list_field(value.data_type().clone(), true);
                read_arrays(array.as_string::<i32>(), &item)?
            }
        };
        let result = quantify(&value, operator, as_list_array(&array)?, self.any)?;
        Ok(ColumnarValue::Array(Arc::new(result)))
    }
}

fn quantify(
    value: &ArrayRef,
    operator: &str,
    lists: &ListArray,
    any: bool,
) -> Result<BooleanArray> {
    // One comparison for all elements of all rows: the value of its row beside each element.
    let offsets = lists.value_offsets();
    let mut rows = Vec::with_capacity(lists.values().len());
    let mut elements = Vec::with_capacity(lists.values().len());
    for (row, bounds) in (0_u32..).zip(offsets.windows(2)) {
        if let [start, end] = bounds {
            for element in *start..*end {
                rows.push(row);
                elements.push(u32::try_from(element).unwrap_or(0));
            }
        }
    }
    let rows = UInt32Array::from(rows);
    let left = take(value, &rows, None)?;
    let right = take(lists.values(), &UInt32Array::from(elements), None)?;
    let compared = compare(&left, operator, &right)?;
    // Start with what no elements mean: false for ANY, true for ALL.
    let mut results: Vec<Option<bool>> = (0..lists.len())
        .map(|row| lists.is_valid(row).then_some(!any))
        .collect();
    for (row, outcome) in rows.values().iter().zip(compared.iter()) {
        let row = usize::try_from(*row).unwrap_or(usize::MAX);
        if let Some(result) = results.get_mut(row)
            && lists.is_valid(row)
        {
            *result = match (*result, outcome) {
                // Decided by an earlier or by this element.
                (Some(decided), _) | (_, Some(decided)) if decided == any => Some(any),
                (None, _) | (_, None) => None,
                (Some(undecided), Some(_)) => Some(undecided),
            };
        }
    }
    Ok(BooleanArray::from(results))
}

fn compare(left: &ArrayRef, operator: &str, right: &ArrayRef) -> Result<BooleanArray> {
    use kernels::cmp;
    let text = |array: &ArrayRef| -> Result<StringArray> {
        let array = arrow::compute::cast(array, &DataType::Utf8)?;
        Ok(array.as_string::<i32>().clone())
    };
    let matches = |flags: Option<&str>| -> Result<BooleanArray> {
        let flags = flags.map(|flags| StringArray::from(vec![flags; left.len()]));
        Ok(kernels::regexp::regexp_is_match(
            &text(left)?,
            &text(right)?,
            flags.as_ref(),
        )?)
    };
    let not = |result: BooleanArray| arrow::compute::not(&result);
    Ok(match operator {
        "=" => cmp::eq(left, right)?,
        "<>" | "!=" => cmp::neq(left, right)?,
        "<" => cmp::lt(left, right)?,
        "<=" => cmp::lt_eq(left, right)?,
        ">" => cmp::gt(left, right)?,
        ">=" => cmp::gt_eq(left, right)?,
        "~~" => kernels::comparison::like(left, right)?,
        "!~~" => kernels::comparison::nlike(left, right)?,
        "~~*" => kernels::comparison::ilike(left, right)?,
        "!~~*" => kernels::comparison::nilike(left, right)?,
        "~" => matches(None)?,
        "~*" => matches(Some("i"))?,
        "!~" => not(matches(None)?)?,
        "!~*" => not(matches(Some("i"))?)?,
        other => {
            return Err(Report::unsupported(format!("operator {other} with an array")).into());
        }
    })
}

/// Makes NULL an empty array.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ArrayOrEmpty {
    signature: Signature,
}

impl ScalarUDFImpl for ArrayOrEmpty {
    fn name(&self) -> &str {
        ARRAY_OR_EMPTY
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        match given {
            [only] => Ok(only.clone()),
            _ => plan_err!("{ARRAY_OR_EMPTY} takes one array"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(array) = args.args.first() else {
            return exec_err!("{ARRAY_OR_EMPTY} takes one array");
        };
        let array = array.to_array(args.number_rows)?;
        let DataType::List(item) = array.data_type() else {
            return exec_err!("{ARRAY_OR_EMPTY} takes an array, not {}", array.data_type());
        };
        if array.null_count() == 0 {
            return Ok(ColumnarValue::Array(array));
        }
        let lists = as_list_array(&array)?;
        // A NULL list may still span elements, which must not appear in the empty one.
        let lengths = (0..lists.len()).map(|row| {
            let length = if lists.is_null(row) {
                0
            } else {
                lists.value_length(row)
            };
            usize::try_from(length).unwrap_or(0)
        });
        let offsets = OffsetBuffer::from_lengths(lengths);
        let kept: UInt64Array = (0..lists.len())
            .filter(|row| lists.is_valid(*row))
            .flat_map(|row| {
                let start = lists.value_offsets().get(row).copied().unwrap_or(0);
                (start..start + lists.value_length(row)).map(|at| u64::try_from(at).unwrap_or(0))
            })
            .collect();
        let values = take(lists.values(), &kept, None)?;
        let result = ListArray::try_new(Arc::clone(item), offsets, values, None)?;
        Ok(ColumnarValue::Array(Arc::new(result)))
    }
}

/// `array_upper` and `array_lower`: subscripts start at 1, an empty array has no bounds.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Bound {
    upper: bool,
    signature: Signature,
}

impl ScalarUDFImpl for Bound {
    fn name(&self) -> &str {
        if self.upper {
            "array_upper"
        } else {
            "array_lower"
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        array_and_dimension(self.name(), given, 2)
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int32)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (arrays, dimensions) = array_and_dimension_args(&args)?;
        let bounds = (0..arrays.len()).map(|row| {
            let length = dimension_length(
                &arrays,
                dimensions.is_valid(row),
                dimensions.value(row),
                row,
            )?;
            (length > 0).then_some(if self.upper { length } else { 1 })
        });
        Ok(ColumnarValue::Array(Arc::new(
            bounds.collect::<Int32Array>(),
        )))
    }
}

/// `generate_subscripts`: the subscripts of an array, as an array; the rewriting of queries makes rows of it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct GenerateSubscripts {
    signature: Signature,
}

impl ScalarUDFImpl for GenerateSubscripts {
    fn name(&self) -> &str {
        "generate_subscripts"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        array_and_dimension(self.name(), given, 3)
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(DataType::new_list(DataType::Int32, true))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (arrays, dimensions) = array_and_dimension_args(&args)?;
        let reverse = match args.args.get(2) {
            Some(reverse) => Some(reverse.to_array(args.number_rows)?),
            None => None,
        };
        let mut lists = ListBuilder::new(Int32Builder::new());
        for row in 0..arrays.len() {
            let backwards = reverse
                .as_ref()
                .is_some_and(|reverse| reverse.is_valid(row) && reverse.as_boolean().value(row));
            if let Some(length) = dimension_length(
                &arrays,
                dimensions.is_valid(row),
                dimensions.value(row),
                row,
            ) {
                if backwards {
                    lists.values().extend((1..=length).rev().map(Some));
                } else {
                    lists.values().extend((1..=length).map(Some));
                }
            }
            // NULL and an array without that dimension give no rows.
            lists.append(true);
        }
        Ok(ColumnarValue::Array(Arc::new(lists.finish())))
    }
}

fn array_and_dimension(name: &str, given: &[DataType], most: usize) -> Result<Vec<DataType>> {
    match given {
        [array @ (DataType::List(_) | DataType::Null), _, rest @ ..] if given.len() <= most => {
            let mut types = vec![array.clone(), DataType::Int32];
            types.extend(rest.iter().map(|_| DataType::Boolean));
            Ok(types)
        }
        _ => {
            let types: Vec<String> = given
                .iter()
                .map(|given| pgtype::format_type(pgtype::of_data_type(given).oid, None))
                .collect();
            Err(Report::new(
                Condition::UndefinedFunction,
                format!("function {name}({}) does not exist", types.join(", ")),
            )
            .into())
        }
    }
}

fn array_and_dimension_args(args: &ScalarFunctionArgs) -> Result<(ArrayRef, Int32Array)> {
    let [array, dimension, ..] = args.args.as_slice() else {
        return exec_err!("an array and a dimension are needed");
    };
    let array = array.to_array(args.number_rows)?;
    let dimension = dimension.to_array(args.number_rows)?;
    Ok((array, dimension.as_primitive::<Int32Type>().clone()))
}

/// The length of an array in a dimension from 1; `None` where the array or the dimension is NULL or not there.
fn dimension_length(arrays: &ArrayRef, known: bool, dimension: i32, row: usize) -> Option<i32> {
    if !known || dimension < 1 || arrays.is_null(row) {
        return None;
    }
    let mut current = Arc::clone(arrays).slice(row, 1);
    for _ in 1..dimension {
        let list = current.as_list_opt::<i32>()?;
        let inner = list.value(0);
        if inner.is_empty() {
            return None;
        }
        current = inner.slice(0, 1);
    }
    let list = current.as_list_opt::<i32>()?;
    if list.is_null(0) {
        None
    } else {
        Some(list.value_length(0))
    }
}

/// `pg_typeof`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct TypeOf {
    signature: Signature,
}

impl ScalarUDFImpl for TypeOf {
    fn name(&self) -> &str {
        "pg_typeof"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(DataType::UInt32)
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs) -> Result<FieldRef> {
        match pgtype::by_name("regtype").and_then(|regtype| pgtype::field(self.name(), regtype)) {
            Some(field) => Ok(Arc::new(field)),
            None => plan_err!("there is no type \"regtype\""),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let oid = args
            .arg_fields
            .first()
            .map(|field| match field.data_type() {
                DataType::Null => 705,
                _ => pgtype::of_field(field).oid,
            });
        Ok(ColumnarValue::Scalar(ScalarValue::UInt32(oid)))
    }
}

/// Reads arrays from their text form.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ArrayIn {
    target: FieldRef,
    signature: Signature,
}

impl ScalarUDFImpl for ArrayIn {
    fn name(&self) -> &str {
        "array_in"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(self.target.data_type().clone())
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(Arc::clone(&self.target))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (Some(text), DataType::List(item)) = (args.args.first(), self.target.data_type())
        else {
            return exec_err!("array_in reads a text as an array");
        };
        let text = text.to_array(args.number_rows)?;
        let lists = read_arrays(text.as_string::<i32>(), item)?;
        let lists = as_list_array(&lists)?;
        let result = ListArray::try_new(
            Arc::clone(item),
            lists.offsets().clone(),
            Arc::clone(lists.values()),
            lists.nulls().cloned(),
        )?;
        Ok(ColumnarValue::Array(Arc::new(result)))
    }
}

/// Arrays of `item` read from texts such as `{1,2,NULL}`.
fn read_arrays(texts: &StringArray, item: &Field) -> Result<ArrayRef> {
    let mut elements: Vec<Option<String>> = Vec::new();
    let mut lengths = Vec::with_capacity(texts.len());
    for text in texts {
        let before = elements.len();
        if let Some(text) = text {
            elements.extend(read_array(text)?);
        }
        lengths.push(elements.len() - before);
    }
    let elements = checked_texts(&StringArray::from(elements), item)?;
    let item = item.data_type();
    let strict = arrow::compute::CastOptions {
        safe: false,
        ..Default::default()
    };
    let elements = cast_with_options(&elements, item, &strict)?;
    let nulls: NullBuffer = texts.iter().map(|text| text.is_some()).collect();
    Ok(Arc::new(ListArray::try_new(
        Arc::new(Field::new_list_field(item.clone(), true)),
        OffsetBuffer::from_lengths(lengths),
        elements,
        Some(nulls),
    )?))
}

/// The elements of a one-dimensional array in text form; `None` for NULL.
///
/// # Errors
/// `malformed array literal` as in PostgreSQL; an array of arrays is not supported.
pub(crate) fn read_array(text: &str) -> Result<Vec<Option<String>>> {
    let malformed = |detail: &str| {
        Report::new(
            Condition::InvalidParameter,
            format!("malformed array literal: \"{text}\""),
        )
        .detail(detail)
    };
    let Some(mut rest) = text.trim().strip_prefix('{') else {
        return Err(
            malformed("Array value must start with \"{\" or dimension information.").into(),
        );
    };
    let mut elements = Vec::new();
    rest = rest.trim_start();
    if let Some(after) = rest.strip_prefix('}') {
        return if after.trim().is_empty() {
            Ok(elements)
        } else {
            Err(malformed("Junk after closing right brace.").into())
        };
    }
    loop {
        rest = rest.trim_start();
        if rest.starts_with('{') {
            return Err(Report::unsupported("reading an array of arrays from text").into());
        }
        let mut element = String::new();
        let quoted = rest.strip_prefix('"');
        let mut characters = quoted.unwrap_or(rest).char_indices();
        let mut end = None;
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' => match characters.next() {
                    Some((_, escaped)) => element.push(escaped),
                    None => break,
                },
                '"' if quoted.is_some() => {
                    end = Some(at + 1);
                    break;
                }
                ',' | '}' if quoted.is_none() => {
                    end = Some(at);
                    break;
                }
                '"' | '{' if quoted.is_none() => {
                    return Err(malformed("Incorrectly quoted array element.").into());
                }
                other => element.push(other),
            }
        }
        let Some((_, after)) = end.and_then(|end| quoted.unwrap_or(rest).split_at_checked(end))
        else {
            return Err(malformed("Unexpected end of input.").into());
        };
        if quoted.is_some() {
            elements.push(Some(element));
        } else {
            match element.trim_end() {
                "" => return Err(malformed("Unexpected \",\" character.").into()),
                null if null.eq_ignore_ascii_case("null") => elements.push(None),
                plain => elements.push(Some(plain.to_owned())),
            }
        }
        let after = after.trim_start();
        if let Some(more) = after.strip_prefix(',') {
            rest = more;
        } else if let Some(junk) = after.strip_prefix('}') {
            return if junk.trim().is_empty() {
                Ok(elements)
            } else {
                Err(malformed("Junk after closing right brace.").into())
            };
        } else {
            return Err(malformed("Unexpected array element.").into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(elements: &[Option<&str>]) -> Vec<Option<String>> {
        elements
            .iter()
            .map(|element| element.map(str::to_owned))
            .collect()
    }

    #[test]
    fn reads_array_literals() {
        assert_eq!(read_array("{}").unwrap(), texts(&[]));
        assert_eq!(
            read_array(" { 1 , NULL,3}").unwrap(),
            texts(&[Some("1"), None, Some("3")])
        );
        assert_eq!(
            read_array(r#"{"a,b","say \"x\"",c d,"null"}"#).unwrap(),
            texts(&[Some("a,b"), Some("say \"x\""), Some("c d"), Some("null")])
        );
        for bad in ["", "1,2", "{1", "{1,,2}", "{1}x", "{\"a", "{a\"b}"] {
            assert!(read_array(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn any_and_all_have_three_values() {
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([
            Some(vec![Some(1), Some(2)]),
            Some(vec![Some(2), None]),
            Some(vec![None, Some(1)]),
            Some(vec![]),
            None,
        ]);
        let value: ArrayRef = Arc::new(Int32Array::from(vec![1; 5]));
        let outcomes = |operator, any| -> Vec<Option<bool>> {
            quantify(&value, operator, &lists, any)
                .unwrap()
                .iter()
                .collect()
        };
        assert_eq!(
            outcomes("=", true),
            [Some(true), None, Some(true), Some(false), None]
        );
        assert_eq!(
            outcomes("<>", false),
            [Some(false), None, Some(false), Some(true), None]
        );
        assert_eq!(
            outcomes("<=", false),
            [Some(true), None, None, Some(true), None]
        );
    }
}
