//! What `fusion.resolve` and its family read: the arguments they share, and records as numbers.
//!
//! [`RecordColumns`] is what planning fixes of a call; [`Records`] is the relation read by it, its rows
//! numbered in the order of their keys, so that the answer does not depend on how they came in.

use arrow::array::{Array, ArrayRef, StringArray, UInt32Array};
use arrow::compute::{cast, concat, take};
use arrow::datatypes::{DataType, Field as Column};
use rayon::prelude::*;
use tributary_algo::fusion::intern::Strings;
use tributary_algo::fusion::profile::profile;
use tributary_algo::fusion::resolve::{
    Basis, BlockRule, Field, Kind as Comparison, Part, Records as Data, Resolve,
};
use tributary_algo::fusion::stitch::NULL;
use tributary_algo::fusion::{IdColumn, is_null_like};
use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::call::{Call, CallInput, split_names};
use crate::error::{Error, Kind, Result};
use crate::function::{Default, Parameter, ParameterType};
use crate::input::{Input, Keys, input_of, optional_input_of};
use crate::keys::{counterpart, key_text, meeting_type};
use crate::output::{fields_at, resolved_names};
use crate::run::Run;
use crate::types::sql_type;

/// The records.
pub const REL: Parameter = Parameter::relation("rel", "The records, one a row.");

/// The columns of the key.
pub const KEY: Parameter = Parameter::constant(
    "key",
    ParameterType::Columns,
    Default::Required,
    "The columns that together identify a record; a key that occurs twice is an error.",
);

/// Identifiers that link.
pub const IDS: Parameter = Parameter::constant(
    "ids",
    ParameterType::Columns,
    Default::Null,
    "Columns whose equal values link by themselves, the most trusted first; absent, records are \
     linked by comparison alone.",
);

/// What is compared.
pub const COMPARE: Parameter = Parameter::constant(
    "compare",
    ParameterType::Text,
    Default::Null,
    "The columns to compare and what they hold, such as 'first_name:name, dob:date, city'. The kinds \
     are name, date, email, phone, address, code, exact, numeric and text; without one, and for an \
     absent argument all columns, the kind is guessed as fusion.profile() guesses roles.",
);

/// Which pairs are compared.
pub const BLOCK_ON: Parameter = Parameter::constant(
    "block_on",
    ParameterType::Text,
    Default::Null,
    "Which pairs are compared: those that agree on all columns of a rule, rules being parted by \
     semicolons, such as 'email; last_name:sound, dob; first_name, zip:3'. `:sound` asks that names \
     sound alike, `:3` that the first three characters agree. Absent, rules are made from the kinds.",
);

/// From when a pair is linked.
pub const THRESHOLD: Parameter = Parameter::new(
    "threshold",
    ParameterType::Float,
    Default::Float(0.5),
    "Least probability of a link, above 0 and below 1.",
);

/// From when a pair is looked at.
pub const REVIEW_THRESHOLD: Parameter = Parameter::new(
    "review_threshold",
    ParameterType::Float,
    Default::Float(0.1),
    "Least probability of a pair that a person should look at, at most `threshold`.",
);

/// Caps on distinct values.
pub const MAX_VALUES: Parameter = Parameter::constant(
    "max_values",
    ParameterType::Text,
    Default::Null,
    "How many distinct values of a column one entity may hold, such as 'loyalty_id:1' or \
     'loyalty_id:1, phone:5'. The column need not be one of `ids`: it then keeps apart without \
     linking. Absent, there is no such limit.",
);

/// The cap on common values.
pub const MAX_RECORDS_PER_VALUE: Parameter = Parameter::new(
    "max_records_per_value",
    ParameterType::Integer,
    Default::Integer(50),
    "An identifier, e-mail address or telephone number held by more records than this is taken as \
     missing; at least 2, or NULL for no limit.",
);

/// The cap on blocks.
pub const MAX_RECORDS_PER_BLOCK: Parameter = Parameter::new(
    "max_records_per_block",
    ParameterType::Integer,
    Default::Integer(300),
    "Records that agree on a rule of `block_on` are not compared by it where they are more than this; \
     at least 2. fusion.refusals() lists them.",
);

/// The cap on entities.
pub const MAX_RECORDS_PER_ENTITY: Parameter = Parameter::new(
    "max_records_per_entity",
    ParameterType::Integer,
    Default::Integer(200),
    "No entity becomes larger than this; at least 2, or NULL for no limit.",
);

/// Decisions against.
pub const FORBID: Parameter = Parameter::new(
    "forbid",
    ParameterType::Relation,
    Default::Null,
    "Pairs that are never one entity, with the columns left_<key> and right_<key>. Pairs with a \
     record that is not there have no effect.",
);

/// Decisions in favour.
pub const FORCE: Parameter = Parameter::new(
    "force",
    ParameterType::Relation,
    Default::Null,
    "Pairs that are one entity whatever they say, with the columns left_<key> and right_<key>; only \
     `forbid` overrules them. Pairs with a record that is not there have no effect.",
);

/// Where records are from.
pub const SOURCE: Parameter = Parameter::constant(
    "source",
    ParameterType::Column,
    Default::Null,
    "The column that says where a record is from, for `one_to_one` and `across_sources`.",
);

/// One record of a source.
pub const ONE_TO_ONE: Parameter = Parameter::new(
    "one_to_one",
    ParameterType::Boolean,
    Default::Boolean(false),
    "Whether an entity has at most one record of each `source`.",
);

/// Different sources only.
pub const ACROSS_SOURCES: Parameter = Parameter::new(
    "across_sources",
    ParameterType::Boolean,
    Default::Boolean(false),
    "Whether only records of different `source` are compared.",
);

/// The seed.
pub const SEED: Parameter = Parameter::new(
    "seed",
    ParameterType::Integer,
    Default::Integer(0),
    "Fixes which random pairs are drawn to learn how often strangers agree.",
);

/// What a call names.
#[derive(Debug)]
pub struct RecordColumns {
    /// The columns of the key, under their own names.
    pub key: Vec<String>,
    /// Id columns, then columns that only keep apart, with the cap of each.
    pub ids: Vec<IdName>,
    /// The columns to compare with their kinds, where they are given.
    pub compare: Option<Vec<(String, Option<Comparison>)>>,
    /// The rules of blocking, where they are given.
    pub block_on: Option<Vec<Vec<(String, Part)>>>,
    /// Where a record is from.
    pub source: Option<String>,
}

/// A column of identifiers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdName {
    /// Its name.
    pub name: String,
    /// Distinct values that an entity may hold.
    pub cap: Option<usize>,
    /// Whether equal values link.
    pub links: bool,
}

impl RecordColumns {
    /// Reads the arguments that the functions share; those that a function does not have are absent.
    ///
    /// # Errors
    /// For columns that do not exist or are named twice, and for text that is not what it should be.
    pub fn of(call: &Call) -> Result<Self> {
        let input = call.input("rel")?;
        let key = distinct_names(input, call, "key")?;
        let ids = if has(call, "ids") {
            distinct_names(input, call, "ids")?
        } else {
            Vec::new()
        };
        let caps = if has(call, "max_values") {
            caps_of(input, call)?
        } else {
            Vec::new()
        };
        let cap = |name: &String| {
            let cap = caps.iter().find(|(capped, _)| capped == name);
            cap.map(|(_, most)| *most)
        };
        let mut named: Vec<IdName> = ids
            .iter()
            .map(|name| IdName {
                name: name.clone(),
                cap: cap(name),
                links: true,
            })
            .collect();
        let further = caps.iter().filter(|(name, _)| !ids.contains(name));
        named.extend(further.map(|(name, most)| IdName {
            name: name.clone(),
            cap: Some(*most),
            links: false,
        }));
        let compare = match optional_text(call, "compare")? {
            None => None,
            Some(text) => Some(compared(input, &text)?),
        };
        let block_on = match optional_text(call, "block_on")? {
            None => None,
            Some(text) => Some(blocking(input, &text)?),
        };
        if let (Some(compare), Some(rules)) = (&compare, &block_on) {
            for (name, _) in rules.iter().flatten() {
                if !compare.iter().any(|(compared, _)| compared == name) {
                    return Err(not_compared(name));
                }
            }
        }
        let source = match optional_text(call, "source")? {
            None => None,
            Some(name) => Some(resolved_names(input, &[name])?.swap_remove(0)),
        };
        Ok(Self {
            key,
            ids: named,
            compare,
            block_on,
            source,
        })
    }

    /// The positions of what is read of `rel`: all columns where their roles are to be guessed.
    ///
    /// # Errors
    /// For a column that does not exist.
    pub fn positions(&self, input: &CallInput) -> Result<Vec<usize>> {
        let Some(compare) = &self.compare else {
            return Ok(crate::output::all_positions(input));
        };
        let compared = compare.iter().map(|(name, _)| name);
        crate::output::positions(
            input,
            self.key
                .iter()
                .chain(self.ids.iter().map(|id| &id.name))
                .chain(compared)
                .chain(&self.source),
        )
    }

    /// The columns of the key as fields.
    ///
    /// # Errors
    /// For a column that does not exist.
    pub fn key_fields(&self, input: &CallInput, prefix: &str) -> Result<Vec<Column>> {
        key_fields(input, &self.key, prefix)
    }

    /// The positions of `left_<key>` and `right_<key>` in a relation of decisions.
    ///
    /// # Errors
    /// [`Kind::UndefinedColumn`] and [`Kind::DatatypeMismatch`], naming both relations.
    pub fn decision_positions(&self, rel: &CallInput, input: &CallInput) -> Result<Vec<usize>> {
        let mut positions = Vec::new();
        for side in ["left_", "right_"] {
            for name in &self.key {
                let of_side = format!("{side}{name}");
                meeting_type(rel, name, input, &of_side)?;
                positions.push(counterpart(rel, name, input, &of_side)?);
            }
        }
        positions.sort_unstable();
        positions.dedup();
        Ok(positions)
    }
}

/// The columns of a key as fields, each with `prefix` before its name; those of a pair's other side and of
/// links may be NULL.
///
/// # Errors
/// For a column that does not exist.
pub fn key_fields(input: &CallInput, key: &[String], prefix: &str) -> Result<Vec<Column>> {
    let mut fields = Vec::with_capacity(key.len());
    for name in key {
        for field in fields_at(input, &[input.column(name)?])? {
            let nullable = !prefix.is_empty() || field.is_nullable();
            fields.push(Column::new(
                format!("{prefix}{}", field.name()),
                field.data_type().clone(),
                nullable,
            ));
        }
    }
    Ok(fields)
}

/// How the records of a call are resolved, apart from the rules of blocking.
///
/// # Errors
/// For arguments out of range.
pub fn options(call: &Call) -> Result<Resolve> {
    let usual = Resolve::default();
    let limit = |name: &str, usual: Option<usize>| -> Result<Option<usize>> {
        if call.signature.parameter(name).is_none() {
            return Ok(usual);
        }
        match call.nullable_integer(name)? {
            None => Ok(None),
            Some(_) => Ok(Some(call.count(name, 2)?)),
        }
    };
    let share = |name: &str, usual: f64| -> Result<f64> {
        if call.signature.parameter(name).is_none() {
            return Ok(usual);
        }
        let value = call.float(name)?.ok_or_else(|| call.missing(name))?;
        if value > 0.0 && value < 1.0 {
            return Ok(value);
        }
        Err(Error::new(
            Kind::InvalidParameter,
            format!(
                "argument \"{name}\" of {} is out of range: {value}",
                call.signature.qualified_name()
            ),
        )
        .hint("It is a probability: greater than 0 and less than 1."))
    };
    let flag = |name: &str| -> Result<bool> {
        Ok(call.signature.parameter(name).is_some() && call.boolean(name)?)
    };
    let threshold = share("threshold", usual.threshold)?;
    let review_threshold = if has(call, "review_threshold") {
        share("review_threshold", usual.review_threshold)?
    } else {
        usual.review_threshold.min(threshold)
    };
    if review_threshold > threshold {
        return Err(Error::new(
            Kind::InvalidParameter,
            format!(
                "argument \"review_threshold\" of {} is {review_threshold}, above \"threshold\", which is {threshold}",
                call.signature.qualified_name()
            ),
        )
        .hint("Pairs to review are those that are too doubtful to link."));
    }
    let (one_to_one, across_sources) = (flag("one_to_one")?, flag("across_sources")?);
    let sources = call.signature.parameter("source").is_some();
    if (one_to_one || across_sources) && sources && !has(call, "source") {
        let argument = if one_to_one {
            "one_to_one"
        } else {
            "across_sources"
        };
        return Err(Error::new(
            Kind::UndefinedParameter,
            format!("argument \"{argument}\" needs argument \"source\""),
        )
        .hint("Name the column that says where a record is from with source => '...'."));
    }
    Ok(Resolve {
        rules: Vec::new(),
        threshold,
        review_threshold,
        max_records_per_value: limit("max_records_per_value", usual.max_records_per_value)?,
        max_records_per_block: limit("max_records_per_block", Some(usual.max_records_per_block))?
            .ok_or_else(|| call.missing("max_records_per_block"))?,
        max_records_per_entity: limit("max_records_per_entity", usual.max_records_per_entity)?,
        one_to_one,
        across_sources,
        seed: if call.signature.parameter("seed").is_some() {
            call.seed()?
        } else {
            usual.seed
        },
    })
}

/// Whether the function has the argument and it is given.
pub fn has(call: &Call, name: &str) -> bool {
    call.signature.parameter(name).is_some() && call.has(name).unwrap_or(false)
}

fn optional_text(call: &Call, name: &str) -> Result<Option<String>> {
    if call.signature.parameter(name).is_none() {
        return Ok(None);
    }
    call.text(name)
}

/// The columns named by an argument, each once.
///
/// # Errors
/// For columns that do not exist, or are named twice, or none.
pub fn distinct_names(input: &CallInput, call: &Call, argument: &str) -> Result<Vec<String>> {
    let names = resolved_names(input, &call.columns(argument)?)?;
    for (position, name) in names.iter().enumerate() {
        if names.iter().take(position).any(|before| before == name) {
            return Err(given_twice(name, argument));
        }
    }
    if names.is_empty() {
        if !has(call, argument) {
            return Err(call.missing(argument));
        }
        return Err(Error::new(
            Kind::InvalidParameter,
            format!("argument \"{argument}\" names no columns"),
        ));
    }
    Ok(names)
}

fn given_twice(name: &str, argument: &str) -> Error {
    Error::new(
        Kind::DuplicateColumn,
        format!("column \"{name}\" is given twice in argument \"{argument}\""),
    )
}

fn not_compared(name: &str) -> Error {
    Error::new(
        Kind::InvalidParameter,
        format!("argument \"block_on\" names column \"{name}\", which is not compared"),
    )
    .hint("Name it in \"compare\" too.")
}

/// The columns and counts of `max_values`, such as `loyalty_id:1, phone:5`.
///
/// # Errors
/// For text that is no such list, and columns that do not exist or are named twice.
pub fn caps_of(input: &CallInput, call: &Call) -> Result<Vec<(String, usize)>> {
    let Some(text) = call.text("max_values")? else {
        return Ok(Vec::new());
    };
    let wrong = |part: &str| {
        Error::new(
            Kind::Syntax,
            format!("\"{part}\" in argument \"max_values\" is not a column and a count"),
        )
        .hint("Write the column, a colon and at least 1, such as 'loyalty_id:1'.")
    };
    let mut caps: Vec<(String, usize)> = Vec::new();
    for part in split_names("max_values", &text)? {
        let (name, count) = part.rsplit_once(':').ok_or_else(|| wrong(&part))?;
        let most = match (name.trim(), count.trim().parse::<u32>()) {
            ("", _) | (_, Err(_) | Ok(0)) => return Err(wrong(&part)),
            (_, Ok(most)) => most as usize,
        };
        let name = input
            .schema
            .field(input.column(name.trim())?)
            .name()
            .clone();
        if caps.iter().any(|(before, _)| *before == name) {
            return Err(given_twice(&name, "max_values"));
        }
        caps.push((name, most));
    }
    Ok(caps)
}

/// The columns and kinds of `compare`.
fn compared(input: &CallInput, text: &str) -> Result<Vec<(String, Option<Comparison>)>> {
    let mut columns: Vec<(String, Option<Comparison>)> = Vec::new();
    for part in split_names("compare", text)? {
        // A column may have a colon in its name.
        let (name, kind) = match part.rsplit_once(':') {
            Some((name, kind)) if input.column(&part).is_err() => {
                (name.trim(), Some(Comparison::of_name(kind.trim())?))
            }
            _ => (part.as_str(), None),
        };
        let name = input.schema.field(input.column(name)?).name().clone();
        if columns.iter().any(|(before, _)| *before == name) {
            return Err(given_twice(&name, "compare"));
        }
        columns.push((name, kind));
    }
    Ok(columns)
}

/// The rules of `block_on`.
fn blocking(input: &CallInput, text: &str) -> Result<Vec<Vec<(String, Part)>>> {
    let wrong = |part: &str| {
        Error::new(
            Kind::Syntax,
            format!("\"{part}\" in argument \"block_on\" is not a column with a part"),
        )
        .hint(
            "After the colon comes `sound`, or how many characters from the start agree, such as \
             'last_name:sound, zip:3'.",
        )
    };
    text.split(';')
        .map(|rule| {
            split_names("block_on", rule)?
                .into_iter()
                .map(|named| {
                    let (name, part) = match named.rsplit_once(':') {
                        Some((name, part)) if input.column(&named).is_err() => {
                            let part = match (part.trim(), part.trim().parse::<u16>()) {
                                ("sound", _) => Part::Sound,
                                (_, Ok(length)) if length > 0 => Part::Start(usize::from(length)),
                                _ => return Err(wrong(&named)),
                            };
                            (name.trim(), part)
                        }
                        _ => (named.as_str(), Part::Whole),
                    };
                    let name = input.schema.field(input.column(name)?).name().clone();
                    Ok((name, part))
                })
                .collect()
        })
        .collect()
}

/// A column to compare, read.
#[derive(Debug)]
pub struct Compared {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: Comparison,
    /// Whether it is one's own and not one's family's.
    pub personal: bool,
    /// By record the number of its value, or [`NULL`].
    pub codes: Vec<u32>,
    /// The distinct values.
    pub values: Strings,
}

/// A column of identifiers, read.
#[derive(Debug)]
pub struct Identified {
    /// What it is called, and its rule.
    pub id: IdName,
    /// By record the number of its value, or [`NULL`].
    pub codes: Vec<u32>,
    /// The distinct values.
    pub values: Strings,
}

/// A relation that records are read from, in the order of their keys.
#[derive(Debug)]
pub struct Rows<'a> {
    described: &'a CallInput,
    rows: &'a Input,
    /// The keys, ascending.
    pub keys: Vec<ArrayRef>,
    order: UInt32Array,
}

impl<'a> Rows<'a> {
    /// Reads the keys of `rel` or another relation of records.
    ///
    /// # Errors
    /// For keys that are NULL or occur twice.
    pub fn of(
        call: &'a Call,
        inputs: &'a [Input],
        parameter: &str,
        key: &[String],
        run: &Run,
    ) -> Result<Self> {
        let described = call.input(parameter)?;
        let rows = input_of(call, inputs, parameter)?;
        let names = key
            .iter()
            .map(|name| {
                Ok(described
                    .schema
                    .field(described.column(name)?)
                    .name()
                    .clone())
            })
            .collect::<Result<Vec<_>>>()?;
        let Keys { codes, values } = rows.unique_keys(described, &names, run)?;
        run.reserve(codes.len().saturating_mul(4))?;
        let mut order = vec![0_u32; codes.len()];
        for (row, code) in codes.iter().enumerate() {
            if let Some(slot) = order.get_mut(*code as usize) {
                *slot = row as u32;
            }
        }
        Ok(Self {
            described,
            rows,
            keys: values,
            order: UInt32Array::from(order),
        })
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// A column in the order of the records.
    ///
    /// # Errors
    /// For a column that was not read.
    pub fn column(&self, name: &str) -> Result<ArrayRef> {
        let position = self.described.column(name)?;
        let name = self.described.schema.field(position).name();
        Ok(take(&self.rows.column(name)?, &self.order, None)?)
    }

    /// A column as text in the order of the records.
    ///
    /// # Errors
    /// For a type whose values have no text.
    pub fn text(&self, name: &str) -> Result<StringArray> {
        text_of(self.described, name, &self.column(name)?)
    }
}

/// A column as text.
///
/// # Errors
/// [`Kind::DatatypeMismatch`] for a type whose values have no text.
pub fn text_of(described: &CallInput, name: &str, column: &ArrayRef) -> Result<StringArray> {
    let unfit = || {
        Error::new(
            Kind::DatatypeMismatch,
            format!(
                "column \"{name}\" of {} cannot be compared as text",
                described.describe()
            ),
        )
        .detail(format!("Its type is {}.", sql_type(column.data_type())))
        .hint("Leave the column out, or turn it into text in the subquery.")
    };
    if column.data_type() == &DataType::Null {
        return Ok(StringArray::new_null(column.len()));
    }
    if column.data_type().is_nested() || matches!(column.data_type(), DataType::Binary) {
        return Err(unfit());
    }
    let text = cast(column, &DataType::Utf8).map_err(|_| unfit())?;
    match text.as_any().downcast_ref::<StringArray>() {
        Some(text) => Ok(text.clone()),
        None => Err(unfit()),
    }
}

/// Values numbered in the order of the records.
///
/// # Errors
/// For memory that the limit forbids.
pub fn numbered<'v>(
    texts: impl Iterator<Item = Option<&'v str>>,
    run: &Run,
) -> Result<(Vec<u32>, Strings)> {
    let mut values = Strings::new();
    let codes = texts
        .map(|text| match text {
            Some(text) => Ok(values.intern(text.as_bytes(), run)?),
            None => Ok(NULL),
        })
        .collect::<Result<Vec<u32>>>()?;
    Ok((codes, values))
}

/// The records of one or two relations, read.
#[derive(Debug)]
pub struct Records {
    /// How many there are.
    pub records: usize,
    /// The columns that are compared.
    pub compared: Vec<Compared>,
    /// The identifiers.
    pub ids: Vec<Identified>,
    /// By record the number of its source.
    pub source: Option<(Vec<u32>, Strings)>,
    /// The rules of blocking; empty for those made from the kinds.
    pub rules: Vec<BlockRule>,
}

impl Records {
    /// Reads what `columns` names of the relations, the records of the first before those of the second.
    ///
    /// # Errors
    /// For types that cannot be compared, rules about columns that are not compared, and memory.
    pub fn read(columns: &RecordColumns, parts: &[Rows<'_>], run: &Run) -> Result<Self> {
        let records: usize = parts.iter().map(Rows::len).sum();
        let wanted: Vec<(String, Option<Comparison>)> = match (&columns.compare, parts.first()) {
            (Some(compare), _) => compare.clone(),
            (None, Some(first)) => guessable(columns, parts, first),
            (None, None) => Vec::new(),
        };
        run.reserve(records.saturating_mul(4 * (wanted.len() + columns.ids.len() + 1)))?;
        let texts = |name: &String| -> Result<Vec<StringArray>> {
            parts.iter().map(|part| part.text(name)).collect()
        };
        let guess = columns.compare.is_none();
        let read = |(name, kind): &(String, Option<Comparison>)| -> Result<Option<Compared>> {
            run.check()?;
            let texts = texts(name)?;
            let (codes, values) = numbered(texts.iter().flat_map(StringArray::iter), run)?;
            let role = profile(name, &codes, &values, run)?.role;
            let comparison = role.comparison();
            if guess && comparison.is_none() {
                return Ok(None);
            }
            let kind = kind
                .or(comparison.map(|(kind, _)| kind))
                .unwrap_or(Comparison::Text);
            let personal = match comparison {
                Some((_, personal)) => personal,
                None => kind == Comparison::Date,
            };
            Ok(Some(Compared {
                name: name.clone(),
                kind,
                personal,
                codes,
                values,
            }))
        };
        let compared: Vec<Option<Compared>> =
            run.compute(|| wanted.par_iter().map(read).collect::<Result<_>>())?;
        let mut compared: Vec<Compared> = compared.into_iter().flatten().collect();
        tell_names_apart(&mut compared);
        let kind_of = |name: &String| {
            let found = compared.iter().find(|column| column.name == *name);
            found.map(|column| column.kind)
        };
        let mut ids = Vec::with_capacity(columns.ids.len());
        for id in &columns.ids {
            run.check()?;
            let texts = texts(&id.name)?;
            let texts = texts.iter().flat_map(StringArray::iter);
            // What is compared too has one spelling there, and so here.
            let (codes, values) = match kind_of(&id.name) {
                Some(kind) => {
                    let (raw, values) = numbered(texts, run)?;
                    respelt(kind, &raw, &values, run)?
                }
                None => numbered(texts.map(plain_id), run)?,
            };
            ids.push(Identified {
                id: id.clone(),
                codes,
                values,
            });
        }
        let source = match &columns.source {
            None => None,
            Some(name) => {
                let texts = texts(name)?;
                // A record of an unknown source has a source of its own kind.
                let named = texts.iter().flat_map(StringArray::iter);
                Some(numbered(
                    named.map(|text| Some(text.unwrap_or_default())),
                    run,
                )?)
            }
        };
        let rules = match &columns.block_on {
            None => Vec::new(),
            Some(rules) => rules
                .iter()
                .map(|rule| {
                    let parts = rule.iter().map(|(name, part)| {
                        let at = compared.iter().position(|column| column.name == *name);
                        Ok((at.ok_or_else(|| not_compared(name))?, *part))
                    });
                    Ok(BlockRule {
                        parts: parts.collect::<Result<_>>()?,
                    })
                })
                .collect::<Result<_>>()?,
        };
        Ok(Self {
            records,
            compared,
            ids,
            source,
            rules,
        })
    }

    /// The columns to compare as the algorithms take them.
    pub fn fields(&self) -> Vec<Field<'_>> {
        self.compared
            .iter()
            .map(|column| Field {
                kind: column.kind,
                codes: &column.codes,
                values: &column.values,
                personal: column.personal,
            })
            .collect()
    }

    /// Whether there is nothing to do: no rows, of whose columns nothing can be guessed.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Calls `work` with the records as the algorithms take them, on the shared threads.
    pub fn with<T: Send>(
        &self,
        decisions: &Decisions,
        run: &Run,
        work: impl FnOnce(&Data<'_>) -> T + Send,
    ) -> T {
        let fields = self.fields();
        let ids: Vec<IdColumn<'_>> = self
            .ids
            .iter()
            .map(|column| IdColumn {
                codes: &column.codes,
                values: column.values.len(),
                max_values: column.id.cap,
                links: column.id.links,
            })
            .collect();
        let data = Data {
            records: self.records,
            fields: &fields,
            ids: &ids,
            source: self.source.as_ref().map(|(codes, _)| codes.as_slice()),
            force: &decisions.force,
            forbid: &decisions.forbid,
        };
        run.compute(|| work(&data))
    }

    /// What a link rests on, as `match_key` and `reason`.
    pub fn basis(&self, rules: &[String], basis: Basis) -> (String, &'static str) {
        match basis {
            Basis::Forced => ("force".to_owned(), "decision"),
            Basis::Id(id) => (
                self.ids
                    .get(id as usize)
                    .map_or_else(String::new, |column| column.id.name.clone()),
                "identifier",
            ),
            Basis::Compared(rule) => (
                rules.get(rule as usize).cloned().unwrap_or_default(),
                "comparison",
            ),
        }
    }

    /// The rules of blocking as `block_on` writes them.
    pub fn rule_texts(&self, rules: &[BlockRule]) -> Vec<String> {
        let names: Vec<&str> = self
            .compared
            .iter()
            .map(|column| column.name.as_str())
            .collect();
        rule_texts(&names, rules)
    }
}

/// Rules of blocking as `block_on` writes them.
pub fn rule_texts(names: &[&str], rules: &[BlockRule]) -> Vec<String> {
    let part = |&(at, part): &(usize, Part)| {
        let name = names.get(at).copied().unwrap_or_default();
        match part {
            Part::Whole => name.to_owned(),
            Part::Sound => format!("{name}:sound"),
            Part::Start(length) => format!("{name}:{length}"),
        }
    };
    rules
        .iter()
        .map(|rule| rule.parts.iter().map(part).collect::<Vec<_>>().join(", "))
        .collect()
}

/// An identifier as it is where nothing is known of its kind.
fn plain_id(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !is_null_like(text))
}

/// Codes by the normal form of their values.
fn respelt(
    kind: Comparison,
    raw: &[u32],
    values: &Strings,
    run: &Run,
) -> Result<(Vec<u32>, Strings)> {
    let mut normals = Strings::new();
    let mut numbers = Vec::with_capacity(values.len());
    for code in 0..values.len() as u32 {
        let text = std::str::from_utf8(values.get(code).unwrap_or_default()).unwrap_or_default();
        numbers.push(match kind.normal(text) {
            Some(text) => normals.intern(text.as_bytes(), run)?,
            None => NULL,
        });
    }
    let number = |code: &u32| numbers.get(*code as usize).copied().unwrap_or(NULL);
    Ok((raw.iter().map(number).collect(), normals))
}

/// The columns whose roles may say what they hold: those of plain types in all relations.
fn guessable(
    columns: &RecordColumns,
    parts: &[Rows<'_>],
    first: &Rows<'_>,
) -> Vec<(String, Option<Comparison>)> {
    let plain = |data_type: &DataType| {
        !data_type.is_nested()
            && !matches!(
                data_type,
                DataType::Binary | DataType::BinaryView | DataType::Boolean | DataType::Float64
            )
    };
    let everywhere = |name: &String| {
        parts.iter().all(|part| {
            let field = part.described.column(name).ok();
            field.is_some_and(|at| plain(part.described.schema.field(at).data_type()))
        })
    };
    first
        .described
        .schema
        .fields()
        .iter()
        .map(|field| field.name())
        .filter(|name| !columns.key.contains(name) && columns.source.as_ref() != Some(name))
        .filter(|name| everywhere(name))
        .map(|name| (name.clone(), None))
        .collect()
}

/// Of two columns of names about which nothing else is known, the first is the given name.
fn tell_names_apart(compared: &mut [Compared]) {
    let mut names = compared
        .iter_mut()
        .filter(|column| column.kind == Comparison::Name);
    if let (Some(first), Some(second)) = (names.next(), names.next())
        && !first.personal
        && !second.personal
    {
        first.personal = true;
    }
}

/// Keys as text, by which records of several relations are found and named.
#[derive(Debug)]
pub struct KeyTexts {
    columns: Vec<StringArray>,
}

impl KeyTexts {
    /// The texts of key columns.
    ///
    /// # Errors
    /// [`Kind::DatatypeMismatch`] for a type whose values cannot be written as text.
    pub fn of(described: &CallInput, names: &[String], columns: &[ArrayRef]) -> Result<Self> {
        let columns = names
            .iter()
            .zip(columns)
            .map(|(name, column)| key_text(described, name, column))
            .collect::<Result<_>>()?;
        Ok(Self { columns })
    }

    /// Key columns that are text already.
    pub fn from_texts(columns: Vec<StringArray>) -> Self {
        Self { columns }
    }

    /// The texts, a column each.
    pub fn columns(&self) -> &[StringArray] {
        &self.columns
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.columns.first().map_or(0, Array::len)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes the key of a record so that no two keys are the same bytes.
    pub fn write(&self, record: u32, bytes: &mut Vec<u8>) {
        bytes.clear();
        for column in &self.columns {
            let value = column.value(record as usize);
            // The length keeps ('ab', 'c') and ('a', 'bc') apart.
            bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
            bytes.extend_from_slice(value.as_bytes());
        }
    }

    /// The keys numbered as they come, which finds them.
    ///
    /// # Errors
    /// For memory that the limit forbids.
    pub fn index(&self, run: &Run) -> Result<Strings> {
        let mut index = Strings::new();
        let mut bytes = Vec::new();
        for record in 0..self.len() as u32 {
            self.write(record, &mut bytes);
            index.intern(&bytes, run)?;
        }
        Ok(index)
    }

    /// The number in `index` of each key.
    pub fn find_in(&self, index: &Strings) -> Vec<Option<u32>> {
        let mut bytes = Vec::new();
        (0..self.len() as u32)
            .map(|record| {
                self.write(record, &mut bytes);
                index.find(&bytes)
            })
            .collect()
    }

    /// The name of the entity whose first record this is: a hash of its key, in hexadecimal. Attempts
    /// after the first give further names.
    pub fn unified_id(&self, record: u32, attempt: u64, bytes: &mut Vec<u8>) -> String {
        self.write(record, bytes);
        format!("{:032x}", xxh3_128_with_seed(bytes, attempt))
    }
}

/// What stewards have decided.
#[derive(Debug, std::default::Default)]
pub struct Decisions {
    /// Pairs of records that are one.
    pub force: Vec<(u32, u32)>,
    /// Pairs of records that are two.
    pub forbid: Vec<(u32, u32)>,
}

impl Decisions {
    /// Reads `force` and `forbid`.
    ///
    /// # Errors
    /// For keys that are NULL, and pairs that are decided both ways.
    pub fn read(
        call: &Call,
        inputs: &[Input],
        columns: &RecordColumns,
        keys: &KeyTexts,
        run: &Run,
    ) -> Result<Self> {
        let mut decisions = Self::default();
        if !has(call, "force") && !has(call, "forbid") {
            return Ok(decisions);
        }
        let index = keys.index(run)?;
        for (parameter, pairs) in [
            ("force", &mut decisions.force),
            ("forbid", &mut decisions.forbid),
        ] {
            let (Some(described), Some(rows)) = (
                call.optional_input(parameter)?,
                optional_input_of(call, inputs, parameter)?,
            ) else {
                continue;
            };
            run.reserve(rows.rows().saturating_mul(24))?;
            let side = |side: &str| -> Result<Vec<Option<u32>>> {
                let names = columns
                    .key
                    .iter()
                    .map(|name| {
                        let at = described.column(&format!("{side}{name}"))?;
                        Ok(described.schema.field(at).name().clone())
                    })
                    .collect::<Result<Vec<_>>>()?;
                let columns = rows.key_columns(described, &names)?;
                Ok(KeyTexts::of(described, &names, &columns)?.find_in(&index))
            };
            let (left, right) = (side("left_")?, side("right_")?);
            pairs.extend(
                left.iter()
                    .zip(&right)
                    .filter_map(|(left, right)| Some(((*left)?, (*right)?))),
            );
            pairs.sort_unstable();
            pairs.dedup();
        }
        decisions.check(keys)?;
        Ok(decisions)
    }

    fn check(&self, keys: &KeyTexts) -> Result<()> {
        let ordered = |&(a, b): &(u32, u32)| (a.min(b), a.max(b));
        let forbidden: std::collections::HashSet<(u32, u32)> =
            self.forbid.iter().map(ordered).collect();
        let display = |record: u32| {
            let values = keys
                .columns
                .iter()
                .map(|column| column.value(record as usize))
                .collect::<Vec<_>>();
            values.join(", ")
        };
        if let Some((a, b)) = self
            .force
            .iter()
            .map(ordered)
            .find(|pair| forbidden.contains(pair))
        {
            return Err(Error::new(
                Kind::InvalidData,
                format!(
                    "records ({}) and ({}) are both in argument \"force\" and in \"forbid\"",
                    display(a),
                    display(b)
                ),
            )
            .hint("Take one of the two decisions back."));
        }
        if let Some((a, _)) = self.forbid.iter().find(|(a, b)| a == b) {
            return Err(Error::new(
                Kind::InvalidData,
                format!(
                    "argument \"forbid\" keeps record ({}) from itself",
                    display(*a)
                ),
            )
            .hint("Give two different records."));
        }
        Ok(())
    }
}

/// Key columns of both sides of pairs.
///
/// # Errors
/// For records that are not there, which is a defect.
pub fn pair_columns(
    keys: &[ArrayRef],
    left: &UInt32Array,
    right: &UInt32Array,
) -> Result<Vec<ArrayRef>> {
    [left, right]
        .into_iter()
        .flat_map(|side| keys.iter().map(move |column| Ok(take(column, side, None)?)))
        .collect()
}

/// Two arrays one behind the other, the second in the type of the first.
///
/// # Errors
/// For types that do not meet.
pub fn chained(first: &ArrayRef, second: &ArrayRef) -> Result<ArrayRef> {
    let second = cast(second, first.data_type())?;
    Ok(concat(&[first.as_ref(), second.as_ref()])?)
}

/// All that a function of the family needs to run.
#[derive(Debug)]
pub struct Prepared {
    /// What the call names.
    pub columns: RecordColumns,
    /// The columns of the key, ascending.
    pub key_columns: Vec<ArrayRef>,
    /// The keys as text.
    pub keys: KeyTexts,
    /// The records.
    pub records: Records,
    /// What stewards decided.
    pub decisions: Decisions,
    /// How to resolve.
    pub resolve: Resolve,
}

impl Prepared {
    /// Reads the relations of a call.
    ///
    /// # Errors
    /// For arguments, columns, keys and decisions that are wrong.
    pub fn of(call: &Call, inputs: &[Input], run: &Run) -> Result<Self> {
        let described = call.input("rel")?;
        let columns = RecordColumns::of(call)?;
        let rows = Rows::of(call, inputs, "rel", &columns.key, run)?;
        let keys = KeyTexts::of(described, &columns.key, &rows.keys)?;
        let decisions = Decisions::read(call, inputs, &columns, &keys, run)?;
        let key_columns = rows.keys.clone();
        let records = Records::read(&columns, &[rows], run)?;
        let resolve = Resolve {
            rules: records.rules.clone(),
            ..options(call)?
        };
        Ok(Self {
            columns,
            key_columns,
            keys,
            records,
            decisions,
            resolve,
        })
    }
}
