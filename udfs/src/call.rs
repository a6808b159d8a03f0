//! One call of a relation function: its arguments checked against the signature.
//!
//! A [`Call`] is what `bind` and `run` read. An argument that is a parameter of a prepared
//! statement is [`Argument::Deferred`] until execution; one marked `constant` never is.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::ScalarValue;

use crate::error::{Error, Kind, Result};
use crate::function::{Default, ParameterType, Signature};
use crate::model::ModelInfo;
use crate::types::quoted;

/// What stands between a column's name and its number where a name had to be made unique.
pub const UNIQUE: char = '\u{1}';

/// The name of a column as a user knows it.
pub fn shown_name(name: &str) -> &str {
    name.split_once(UNIQUE).map_or(name, |(shown, _)| shown)
}

/// The state of one argument.
#[derive(Debug, Clone, PartialEq)]
pub enum Argument {
    /// Not given: the parameter's default holds.
    Absent,
    /// A known value, already of the parameter's type.
    Value(ScalarValue),
    /// A value that is known at execution only.
    Deferred,
    /// An input of the node, by its position in [`Call::inputs`].
    Input(usize),
}

/// One input relation of a call.
#[derive(Debug, Clone)]
pub struct CallInput {
    /// The parameter it was given for.
    pub parameter: &'static str,
    /// How error texts name it: the relation's name, or `the subquery`.
    pub label: String,
    /// Its columns.
    pub schema: SchemaRef,
    /// What planning knows of it when it is a model table.
    pub model: Option<ModelInfo>,
}

impl CallInput {
    /// The position of the column called `name`: the exact name first, then its lower-case form.
    pub fn column(&self, name: &str) -> Result<usize> {
        let fields = self.schema.fields();
        let find = |wanted: &str| {
            let mut found = fields
                .iter()
                .enumerate()
                .filter(|(_, field)| shown_name(field.name()) == wanted)
                .map(|(position, _)| position);
            (found.next(), found.next())
        };
        let folded = name.to_lowercase();
        for wanted in [name, folded.as_str()] {
            match find(wanted) {
                (Some(position), None) => return Ok(position),
                (Some(_), Some(_)) => {
                    return Err(Error::new(
                        Kind::DuplicateColumn,
                        format!("column \"{wanted}\" of {} is ambiguous", self.describe()),
                    )
                    .hint("Give the columns different names with AS."));
                }
                (None, _) => {}
            }
        }
        let names = fields
            .iter()
            .map(|field| field.name().as_str())
            .collect::<Vec<_>>()
            .join(", ");
        Err(Error::new(
            Kind::UndefinedColumn,
            format!("column \"{name}\" does not exist in {}", self.describe()),
        )
        .hint(format!("Its columns are: {names}.")))
    }

    /// How error texts name this relation.
    pub fn describe(&self) -> String {
        format!("{} of argument \"{}\"", self.label, self.parameter)
    }
}

/// A call: one argument for each parameter of the signature, and the inputs' columns.
#[derive(Debug, Clone)]
pub struct Call {
    /// The function's definition.
    pub signature: &'static Signature,
    /// One entry a parameter, in the signature's order.
    pub arguments: Vec<Argument>,
    /// The input relations, in the order in which the node holds them.
    pub inputs: Vec<CallInput>,
}

impl Call {
    /// Whether every value is known, so that all checks can be made.
    pub fn is_complete(&self) -> bool {
        !self.arguments.contains(&Argument::Deferred)
    }

    /// Whether an argument was given.
    pub fn has(&self, name: &str) -> Result<bool> {
        Ok(!matches!(self.argument(name)?.0, Argument::Absent))
    }

    /// The position of the input given for `name`, if it was given.
    pub fn input_position(&self, name: &str) -> Result<Option<usize>> {
        match self.argument(name)?.0 {
            Argument::Input(position) => Ok(Some(*position)),
            _ => Ok(None),
        }
    }

    /// The input relation given for `name`, if it was given.
    pub fn optional_input(&self, name: &str) -> Result<Option<&CallInput>> {
        match self.input_position(name)? {
            None => Ok(None),
            Some(position) => self
                .inputs
                .get(position)
                .map(Some)
                .ok_or_else(|| Error::internal("an argument points past the inputs")),
        }
    }

    /// The input relation given for `name`, which is required.
    pub fn input(&self, name: &str) -> Result<&CallInput> {
        self.optional_input(name)?.ok_or_else(|| self.missing(name))
    }

    /// A text argument, or its default.
    pub fn text(&self, name: &str) -> Result<Option<String>> {
        match self.value(name)? {
            Some(value) => Ok(value.try_as_str().flatten().map(str::to_owned)),
            None => match self.default(name)? {
                Default::Text(text) => Ok(Some(text.to_owned())),
                _ => Ok(None),
            },
        }
    }

    /// A text argument that must have a value.
    pub fn required_text(&self, name: &str) -> Result<String> {
        self.text(name)?.ok_or_else(|| self.missing(name))
    }

    /// A text argument that must be one of `words`.
    pub fn word(&self, name: &str, words: &[&'static str]) -> Result<&'static str> {
        let text = self.required_text(name)?;
        words
            .iter()
            .copied()
            .find(|word| word.eq_ignore_ascii_case(text.trim()))
            .ok_or_else(|| {
                Error::new(
                    Kind::InvalidParameter,
                    format!(
                        "\"{text}\" is not a value of argument \"{name}\" of {}",
                        self.signature.qualified_name()
                    ),
                )
                .hint(format!("Its values are: {}.", words.join(", ")))
            })
    }

    /// A whole number, or its default; `None` where neither is there.
    pub fn integer(&self, name: &str) -> Result<Option<i64>> {
        match self.value(name)? {
            Some(ScalarValue::Int64(number)) => Ok(*number),
            Some(_) => Err(Error::internal("a bigint argument holds another type")),
            None => match self.default(name)? {
                Default::Integer(number) => Ok(Some(number)),
                _ => Ok(None),
            },
        }
    }

    /// A whole number, or its default; `None` where NULL is given, which such a parameter takes.
    pub fn nullable_integer(&self, name: &str) -> Result<Option<i64>> {
        match self.argument(name)?.0 {
            Argument::Value(value) if value.is_null() => Ok(None),
            _ => self.integer(name),
        }
    }

    /// A whole number from `least` to `most`.
    pub fn integer_within(&self, name: &str, least: i64, most: i64) -> Result<i64> {
        let number = self.integer(name)?.ok_or_else(|| self.missing(name))?;
        if (least..=most).contains(&number) {
            return Ok(number);
        }
        let range = if most == i64::MAX {
            format!("It must be at least {least}.")
        } else {
            format!("It must be from {least} to {most}.")
        };
        Err(Error::new(
            Kind::InvalidParameter,
            format!(
                "argument \"{name}\" of {} is out of range: {number}",
                self.signature.qualified_name()
            ),
        )
        .hint(range))
    }

    /// A count from `least` up, as `usize`.
    pub fn count(&self, name: &str, least: i64) -> Result<usize> {
        self.count_within(name, least, i64::from(i32::MAX))
    }

    /// A count from `least` to `most`, as `usize`; `least` is not negative.
    pub fn count_within(&self, name: &str, least: i64, most: i64) -> Result<usize> {
        let number = self.integer_within(name, least, most)?;
        usize::try_from(number).map_err(|_| Error::internal("a checked count is negative"))
    }

    /// The `seed` argument; any whole number.
    pub fn seed(&self) -> Result<u64> {
        let number = self.integer("seed")?.unwrap_or(0);
        Ok(u64::from_ne_bytes(number.to_ne_bytes()))
    }

    /// A finite number, or its default; `None` where neither is there.
    pub fn float(&self, name: &str) -> Result<Option<f64>> {
        let number = match self.value(name)? {
            Some(ScalarValue::Float64(number)) => *number,
            Some(_) => {
                return Err(Error::internal(
                    "a double precision argument holds another type",
                ));
            }
            None => match self.default(name)? {
                Default::Float(number) => Some(number),
                _ => None,
            },
        };
        match number {
            Some(number) if !number.is_finite() => Err(Error::new(
                Kind::InvalidParameter,
                format!(
                    "argument \"{name}\" of {} must be a finite number",
                    self.signature.qualified_name()
                ),
            )),
            other => Ok(other),
        }
    }

    /// A finite number that is at least `least`, or above it where `above` says so.
    pub fn float_from(&self, name: &str, least: f64, above: bool) -> Result<f64> {
        let number = self.float(name)?.ok_or_else(|| self.missing(name))?;
        if number > least || (!above && number == least) {
            return Ok(number);
        }
        Err(Error::new(
            Kind::InvalidParameter,
            format!(
                "argument \"{name}\" of {} is out of range: {number}",
                self.signature.qualified_name()
            ),
        )
        .hint(if above {
            format!("It must be greater than {least}.")
        } else {
            format!("It must be at least {least}.")
        }))
    }

    /// True or false, or the default.
    pub fn boolean(&self, name: &str) -> Result<bool> {
        match self.value(name)? {
            Some(ScalarValue::Boolean(Some(value))) => Ok(*value),
            Some(ScalarValue::Boolean(None)) => Err(Error::new(
                Kind::NullNotAllowed,
                format!(
                    "argument \"{name}\" of {} must not be NULL",
                    self.signature.qualified_name()
                ),
            )),
            Some(_) => Err(Error::internal("a boolean argument holds another type")),
            None => match self.default(name)? {
                Default::Boolean(value) => Ok(value),
                _ => Err(self.missing(name)),
            },
        }
    }

    /// Whole numbers given as an array or as text with commas, or the default.
    pub fn integers(&self, name: &str) -> Result<Vec<i64>> {
        let Some(value) = self.value(name)? else {
            return match self.default(name)? {
                Default::Integers(numbers) => Ok(numbers.to_vec()),
                _ => Err(self.missing(name)),
            };
        };
        let wrong = |what: String| {
            Error::new(
                Kind::InvalidParameter,
                format!(
                    "argument \"{name}\" of {} must be whole numbers: {what}",
                    self.signature.qualified_name()
                ),
            )
            .hint("Write ARRAY[5, 10] or '5, 10'.")
        };
        if let Some(text) = value.try_as_str() {
            let text = text.ok_or_else(|| self.missing(name))?;
            return text
                .split(',')
                .map(|part| {
                    part.trim()
                        .parse()
                        .map_err(|_| wrong(format!("\"{part}\"")))
                })
                .collect();
        }
        let Some(items) = list_items(value)? else {
            return match value.cast_to(&DataType::Int64) {
                Ok(ScalarValue::Int64(Some(number))) => Ok(vec![number]),
                _ => Err(wrong(value.to_string())),
            };
        };
        let items =
            arrow::compute::cast(&items, &DataType::Int64).map_err(|_| wrong(value.to_string()))?;
        let items = items.as_primitive::<arrow::datatypes::Int64Type>();
        if items.null_count() > 0 {
            return Err(wrong("NULL".to_owned()));
        }
        Ok(items.values().to_vec())
    }

    /// Names of columns given as text with commas or as `text[]`; empty where none are given.
    pub fn columns(&self, name: &str) -> Result<Vec<String>> {
        let Some(value) = self.value(name)? else {
            return match self.default(name)? {
                Default::Text(text) => split_names(name, text),
                Default::Required => Err(self.missing(name)),
                _ => Ok(Vec::new()),
            };
        };
        if let Some(text) = value.try_as_str() {
            return split_names(name, text.ok_or_else(|| self.missing(name))?);
        }
        let wrong = || {
            Error::new(
                Kind::DatatypeMismatch,
                format!(
                    "argument \"{name}\" of {} must be column names",
                    self.signature.qualified_name()
                ),
            )
            .hint("Write 'a, b' or ARRAY['a', 'b'].")
        };
        let items = list_items(value)?.ok_or_else(wrong)?;
        let items = arrow::compute::cast(&items, &DataType::Utf8).map_err(|_| wrong())?;
        items
            .as_string::<i32>()
            .iter()
            .map(|item| item.map(str::to_owned).ok_or_else(wrong))
            .collect()
    }

    /// The values of a key as text: one, or those of an array.
    pub fn key_values(&self, name: &str) -> Result<Vec<String>> {
        let value = self.value(name)?.ok_or_else(|| self.missing(name))?;
        if let Some(text) = value.try_as_str() {
            return Ok(vec![text.unwrap_or_default().to_owned()]);
        }
        let items =
            list_items(value)?.ok_or_else(|| Error::internal("a key is text or a list of text"))?;
        let items = arrow::compute::cast(&items, &DataType::Utf8)?;
        items
            .as_string::<i32>()
            .iter()
            .map(|item| item.map(str::to_owned).ok_or_else(|| self.missing(name)))
            .collect()
    }

    /// The error for an argument that must be given and is not.
    pub fn missing(&self, name: &str) -> Error {
        let given = self.has(name).unwrap_or(false);
        let function = self.signature.qualified_name();
        if given {
            Error::new(
                Kind::NullNotAllowed,
                format!("argument \"{name}\" of {function} must not be NULL"),
            )
        } else {
            Error::new(
                Kind::UndefinedParameter,
                format!("argument \"{name}\" of {function} is missing"),
            )
            .hint(format!(
                "The arguments are: {}.",
                self.signature.arguments_text()
            ))
        }
    }

    fn argument(&self, name: &str) -> Result<(&Argument, Default)> {
        let (position, parameter) = self
            .signature
            .parameter(name)
            .ok_or_else(|| Error::internal(format!("no parameter is called \"{name}\"")))?;
        let argument = self
            .arguments
            .get(position)
            .ok_or_else(|| Error::internal("a call has fewer arguments than parameters"))?;
        Ok((argument, parameter.default))
    }

    fn default(&self, name: &str) -> Result<Default> {
        Ok(self.argument(name)?.1)
    }

    /// The given value, `None` where the argument is absent or NULL stands for the default.
    fn value(&self, name: &str) -> Result<Option<&ScalarValue>> {
        match self.argument(name)? {
            (Argument::Value(value), default) => {
                if value.is_null() && default == Default::Null {
                    Ok(None)
                } else if value.is_null() {
                    Err(Error::new(
                        Kind::NullNotAllowed,
                        format!(
                            "argument \"{name}\" of {} must not be NULL",
                            self.signature.qualified_name()
                        ),
                    ))
                } else {
                    Ok(Some(value))
                }
            }
            (Argument::Absent, _) => Ok(None),
            (Argument::Deferred, _) => Err(Error::internal(format!(
                "argument \"{name}\" is read before it is known"
            ))),
            (Argument::Input(_), _) => Err(Error::internal(format!(
                "argument \"{name}\" is a relation, not a value"
            ))),
        }
    }
}

/// Brings a constant to the type of its parameter.
///
/// # Errors
/// [`Kind::DatatypeMismatch`] where a value of that type cannot stand for the parameter.
pub fn coerce(
    signature: &Signature,
    parameter: &str,
    kind: ParameterType,
    value: ScalarValue,
) -> Result<ScalarValue> {
    let wrong = |value: &ScalarValue| {
        Error::new(
            Kind::DatatypeMismatch,
            format!(
                "argument \"{parameter}\" of {} must be {}, not {}",
                signature.qualified_name(),
                match kind {
                    ParameterType::Column => "the name of a column",
                    other => other.name(),
                },
                quoted(value),
            ),
        )
    };
    let Some(target) = kind.data_type() else {
        return Ok(value);
    };
    if value.is_null() {
        return ScalarValue::try_from(&target).map_err(|_| wrong(&value));
    }
    let given = value.data_type();
    if kind == ParameterType::Key && matches!(list_items(&value), Ok(Some(_))) {
        return Ok(value);
    }
    let fits = match kind {
        ParameterType::Key => !given.is_nested(),
        ParameterType::Text | ParameterType::Column => is_text(&given),
        ParameterType::Boolean => given == DataType::Boolean,
        ParameterType::Integer => {
            given.is_integer()
                || matches!(given, DataType::Decimal128(_, scale) if scale <= 0)
                || whole_number(&value)
        }
        ParameterType::Float => given.is_numeric(),
        _ => false,
    };
    if !fits {
        return Err(wrong(&value));
    }
    value.cast_to(&target).map_err(|_| wrong(&value))
}

/// Whether a type is text in any of its layouts.
pub fn is_text(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    )
}

fn whole_number(value: &ScalarValue) -> bool {
    match value {
        ScalarValue::Float64(Some(number)) => number.fract() == 0.0,
        ScalarValue::Float32(Some(number)) => number.fract() == 0.0,
        ScalarValue::Decimal128(Some(number), _, scale) => u32::try_from(*scale)
            .ok()
            .and_then(|scale| 10_i128.checked_pow(scale))
            .is_some_and(|unit| number % unit == 0),
        _ => false,
    }
}

/// Splits `a, "B c", d` into names; what is not quoted is trimmed.
pub(crate) fn split_names(argument: &str, text: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let mut name = String::new();
    let mut quoted = false;
    let mut was_quoted = false;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                name.push('"');
            }
            '"' => {
                quoted = !quoted;
                was_quoted = true;
            }
            ',' if !quoted => {
                names.push(finish_name(std::mem::take(&mut name), was_quoted));
                was_quoted = false;
            }
            other if was_quoted && !quoted && other.is_whitespace() => {}
            other if !quoted && name.is_empty() && other.is_whitespace() => {}
            other => name.push(other),
        }
    }
    names.push(finish_name(name, was_quoted));
    if quoted || names.iter().any(String::is_empty) {
        return Err(Error::new(
            Kind::Syntax,
            format!("argument \"{argument}\" is not a list of column names: \"{text}\""),
        )
        .hint("Write names with commas between them, such as 'a, b'."));
    }
    Ok(names)
}

fn finish_name(name: String, quoted: bool) -> String {
    if quoted { name } else { name.trim().to_owned() }
}

fn list_items(value: &ScalarValue) -> Result<Option<arrow::array::ArrayRef>> {
    let items = match value {
        ScalarValue::List(array) => array.values().clone(),
        ScalarValue::LargeList(array) => array.values().clone(),
        ScalarValue::FixedSizeList(array) => array.values().clone(),
        _ => return Ok(None),
    };
    Ok(Some(items))
}

#[cfg(test)]
mod tests {
    use super::split_names;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(split_names("key", text).unwrap(), expected);
    }

    #[test]
    fn names_are_split_at_commas_and_quotes_keep_what_they_hold() {
        check("a", &["a"]);
        check(" a , b ", &["a", "b"]);
        check("\"A, b\" , c", &["A, b", "c"]);
        check("\"say \"\"x\"\"\"", &["say \"x\""]);
        check("first name, x", &["first name", "x"]);
        assert!(split_names("key", "a,,b").is_err());
        assert!(split_names("key", "").is_err());
        assert!(split_names("key", "\"open").is_err());
    }
}
