//! `fusion.golden`: one row an entity, each value chosen among those of its records.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringArray, StringBuilder, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field};
use serde_json::{Map, Value};
use tributary_algo::fusion::golden::{Survivorship, survivors};
use tributary_algo::fusion::is_null_like;
use tributary_algo::fusion::stitch::NULL;

use crate::call::{Call, CallInput, is_text};
use crate::entities::{Links, UNIFIED_ID, link_positions};
use crate::error::{Error, Kind, Result};
use crate::function::{
    Binding, Default, Example, Parameter, ParameterType, RelationFunction, ResultColumn, Signature,
};
use crate::input::{Input, distinct_keys, input_of};
use crate::output::{all_positions, appended, required};
use crate::records::{KEY, KeyTexts, REL, Rows, distinct_names};
use crate::run::Run;

/// See [`SIGNATURE`].
#[derive(Debug)]
pub struct Golden;

static SIGNATURE: Signature = Signature {
    schema: "fusion",
    name: "golden",
    summary: "makes one row of all records of an entity, value by value",
    prose: "Each column by its rule of `rules`, columns without one by 'most_frequent'. What a rule leaves \
            undecided is decided by how many records have the value, then by the smaller key. NULL never \
            survives a value, and text that stands for a missing one, such as 'n/a' or '-', survives only \
            where there is nothing else. Every record of `rel` must be in `links`; links of records that \
            are not in `rel` have no effect. Rows are in the order of each entity's smallest key. Time is \
            O(n log n) for each column.",
    parameters: &[
        REL,
        KEY,
        Parameter::relation(
            "links",
            "The links, with the columns of the key and unified_id, as fusion.resolve() and \
             fusion.stitch() give them.",
        ),
        Parameter::constant(
            "rules",
            ParameterType::Text,
            Default::Null,
            "Which value survives, such as 'email:most_recent(seen_at), name:source(store, web), \
             street:longest': 'most_recent(column)' that of the row with the largest value there, \
             'most_frequent' that of most rows, 'longest' the longest text, 'source(a, b)' that of \
             the source named first.",
        ),
        Parameter::constant(
            "source",
            ParameterType::Column,
            Default::Text("channel"),
            "The column that 'source(...)' looks at; not read without such a rule.",
        ),
    ],
    positional: 1,
    columns: &[
        ResultColumn {
            name: "unified_id",
            data_type: "text",
            meaning: "The entity.",
        },
        ResultColumn {
            name: "<input columns>",
            data_type: "as in the input",
            meaning: "The value that survives.",
        },
        ResultColumn {
            name: "lineage",
            data_type: "text",
            meaning: "JSON: for each column with a value, the key of the record it is from; of a key \
                      of several columns, an array.",
        },
    ],
    example: Example {
        setup: &[],
        sql: "SELECT name, email, lineage FROM fusion.golden(\
              (SELECT * FROM (VALUES (1, 'web', 'Ann', 'ann@x.org', 2024), (2, 'store', 'Anne', 'n/a', 2025), \
              (3, 'web', 'Ann', 'ann@y.org', 2023)) AS r (id, channel, name, email, seen)), key => 'id', \
              links => (SELECT * FROM (VALUES (1, 'e'), (2, 'e'), (3, 'e')) AS l (id, unified_id)), \
              rules => 'name:source(store, web), email:most_recent(seen)')",
        output: "Anne|ann@x.org|{\"channel\":\"1\",\"email\":\"1\",\"id\":\"1\",\"name\":\"2\",\"seen\":\"1\"}",
    },
    source: "J. Bleiholder, F. Naumann: Data fusion, ACM Computing Surveys 41 (2008).",
};

/// How one column survives, as it was asked for.
#[derive(Debug, Clone, PartialEq)]
enum Rule {
    MostRecent(String),
    MostFrequent,
    Longest,
    Source(Vec<String>),
}

/// What a call names.
struct Columns {
    key: Vec<String>,
    rules: Vec<(String, Rule)>,
    source: Option<String>,
}

impl Columns {
    fn of(call: &Call) -> Result<Self> {
        let input = call.input("rel")?;
        let key = distinct_names(input, call, "key")?;
        let rules = match call.text("rules")? {
            None => Vec::new(),
            Some(text) => rules_of(input, &text)?,
        };
        let by_source = rules
            .iter()
            .any(|(_, rule)| matches!(rule, Rule::Source(_)));
        let source = if by_source {
            let name = call.required_text("source")?;
            let position = input.column(&name).map_err(|error| {
                error.detail("A rule 'source(...)' looks at the column of argument \"source\".")
            })?;
            Some(input.schema.field(position).name().clone())
        } else if call.has("source")? {
            return Err(Error::new(
                Kind::InvalidParameter,
                "argument \"source\" is given, but no rule of \"rules\" is 'source(...)'",
            )
            .hint("Leave the argument out, or write a rule such as 'name:source(store, web)'."));
        } else {
            None
        };
        Ok(Self { key, rules, source })
    }
}

/// The rules of a text such as `email:most_recent(seen_at), name:source(store, web)`.
fn rules_of(input: &CallInput, text: &str) -> Result<Vec<(String, Rule)>> {
    let mut rules: Vec<(String, Rule)> = Vec::new();
    for part in outside_brackets(text) {
        let wrong = || {
            Error::new(
                Kind::Syntax,
                format!("\"{part}\" in argument \"rules\" is not a column and a rule"),
            )
            .hint(
                "Write the column, a colon and most_recent(column), most_frequent, longest or \
                 source(name, name).",
            )
        };
        let (name, rule) = part.split_once(':').ok_or_else(wrong)?;
        let (word, arguments) = match rule.trim().split_once('(') {
            None => (rule.trim(), None),
            Some((word, rest)) => (
                word.trim(),
                Some(rest.trim_end().strip_suffix(')').ok_or_else(wrong)?),
            ),
        };
        let resolved = |name: &str| -> Result<String> {
            let position = input.column(name.trim())?;
            Ok(input.schema.field(position).name().clone())
        };
        let rule = match (word, arguments) {
            ("most_recent", Some(column)) => Rule::MostRecent(resolved(column)?),
            ("most_frequent", None) => Rule::MostFrequent,
            ("longest", None) => Rule::Longest,
            ("source", Some(names)) => {
                let names: Vec<String> = names
                    .split(',')
                    .map(|name| name.trim().to_owned())
                    .collect();
                if names.iter().any(String::is_empty) {
                    return Err(wrong());
                }
                Rule::Source(names)
            }
            _ => return Err(wrong()),
        };
        let name = resolved(name)?;
        if rules.iter().any(|(before, _)| *before == name) {
            return Err(Error::new(
                Kind::DuplicateColumn,
                format!("column \"{name}\" is given twice in argument \"rules\""),
            ));
        }
        rules.push((name, rule));
    }
    Ok(rules)
}

/// The parts between commas that are not in brackets.
pub fn outside_brackets(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0_usize;
    for character in text.chars() {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        match parts.last_mut() {
            Some(part) if character != ',' || depth > 0 => part.push(character),
            _ => parts.push(String::new()),
        }
    }
    parts
        .into_iter()
        .map(|part| part.trim().to_owned())
        .collect()
}

impl RelationFunction for Golden {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        let input = call.input("rel")?;
        let columns = Columns::of(call)?;
        let renaming = "Rename the column in the subquery.";
        let lineage = Field::new("lineage", DataType::Utf8, false);
        let schema = appended(
            input,
            vec![Field::new(UNIFIED_ID, DataType::Utf8, false)],
            renaming,
        )?;
        let mut fields: Vec<Arc<Field>> = schema.fields().iter().map(Arc::clone).collect();
        fields.rotate_right(1);
        let fields = fields
            .into_iter()
            .enumerate()
            .map(|(at, field)| {
                // An entity may have no value in a column.
                Field::new(field.name(), field.data_type().clone(), at > 0)
            })
            .chain([lineage])
            .collect();
        Ok(Binding {
            schema: crate::output::distinct_fields(fields)?,
            required: required(call, |other| match other.parameter {
                "links" => link_positions(input, &columns.key, other),
                _ => Ok(all_positions(other)),
            })?,
            tags: vec![],
        })
    }

    fn run(&self, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
        let described = call.input("rel")?;
        let columns = Columns::of(call)?;
        let rows = Rows::of(call, inputs, "rel", &columns.key, run)?;
        let keys = KeyTexts::of(described, &columns.key, &rows.keys)?;
        let links = Links::read(
            call.input("links")?,
            input_of(call, inputs, "links")?,
            &columns.key,
            run,
        )?;
        let places = keys.find_in(&links.keys.index(run)?);
        run.reserve(rows.len().saturating_mul(12))?;
        // By entity its first record, so that entities are in the order of their smallest keys.
        let mut first = vec![None; links.ids.len()];
        let mut entity = Vec::with_capacity(rows.len());
        let mut entities = Vec::new();
        for (record, place) in (0_u32..).zip(&places) {
            let id = place
                .and_then(|place| links.codes.get(place as usize).copied())
                .ok_or_else(|| unlinked(call, described, &keys, record))?;
            let slot = first
                .get_mut(id as usize)
                .ok_or_else(|| Error::internal("an id of each link"))?;
            if slot.is_none() {
                entities.push(id);
            }
            entity.push(*slot.get_or_insert(record));
        }
        let source = match &columns.source {
            None => None,
            Some(name) => Some(rows.text(name)?),
        };
        let mut chosen: Vec<UInt32Array> = Vec::new();
        let mut result: Vec<ArrayRef> = vec![Arc::new(StringArray::from_iter_values(
            entities.iter().map(|id| {
                String::from_utf8_lossy(links.ids.get(*id).unwrap_or_default()).into_owned()
            }),
        ))];
        for field in described.schema.fields() {
            run.check()?;
            let column = rows.column(field.name())?;
            let rule = columns.rules.iter().find(|(name, _)| name == field.name());
            let rule = rule.map_or(&Rule::MostFrequent, |(_, rule)| rule);
            let survivors = chosen_rows(&column, rule, &rows, source.as_ref(), &entity, run)?;
            result.push(take(&column, &survivors, None)?);
            chosen.push(survivors);
        }
        let mut lineage = StringBuilder::new();
        for at in 0..entities.len() {
            let mut from = Map::new();
            for (field, survivors) in described.schema.fields().iter().zip(&chosen) {
                if survivors.is_valid(at) {
                    from.insert(field.name().clone(), key_json(&keys, survivors.value(at)));
                }
            }
            lineage.append_value(Value::Object(from).to_string());
        }
        result.push(Arc::new(lineage.finish()));
        run.emit_columns(result)
    }
}

/// The key of a record as JSON: text, or an array of texts.
fn key_json(keys: &KeyTexts, record: u32) -> Value {
    let mut values: Vec<Value> = keys
        .columns()
        .iter()
        .map(|column| Value::from(column.value(record as usize)))
        .collect();
    if values.len() == 1 {
        values.swap_remove(0)
    } else {
        Value::Array(values)
    }
}

fn unlinked(call: &Call, described: &CallInput, keys: &KeyTexts, record: u32) -> Error {
    let key = keys
        .columns()
        .iter()
        .map(|column| column.value(record as usize))
        .collect::<Vec<_>>()
        .join(", ");
    let links = call
        .input("links")
        .map(CallInput::describe)
        .unwrap_or_default();
    Error::new(
        Kind::InvalidData,
        format!(
            "record ({key}) of {} is not in {links}",
            described.describe()
        ),
    )
    .hint("Resolve it first, or leave it out of the relation.")
}

/// By entity the record whose value in `column` survives, NULL where none has one.
fn chosen_rows(
    column: &ArrayRef,
    rule: &Rule,
    rows: &Rows<'_>,
    source: Option<&StringArray>,
    entity: &[u32],
    run: &Run,
) -> Result<UInt32Array> {
    let nulls = column.logical_nulls();
    let keys = distinct_keys(std::slice::from_ref(column), column.len(), run)?;
    let is_null = |row: usize| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
    let codes: Vec<u32> = (0..)
        .zip(&keys.codes)
        .map(|(row, code)| if is_null(row) { NULL } else { *code })
        .collect();
    let texts = if is_text(column.data_type()) {
        keys.values
            .first()
            .map(|values| arrow::compute::cast(values, &DataType::Utf8))
            .transpose()?
    } else {
        None
    };
    let texts = texts
        .as_ref()
        .and_then(|texts| texts.as_any().downcast_ref::<StringArray>());
    let survivorship = match rule {
        Rule::MostFrequent => Survivorship::MostFrequent,
        Rule::Longest => Survivorship::Longest(match texts {
            Some(texts) => texts
                .iter()
                .map(|text| text.map_or(0, |text| text.trim().chars().count() as u32))
                .collect(),
            None => {
                return Err(Error::new(
                    Kind::DatatypeMismatch,
                    "rule \"longest\" of argument \"rules\" is for columns of text",
                )
                .hint("Use most_recent, most_frequent or source for other types."));
            }
        }),
        Rule::MostRecent(name) => {
            let times = rows.column(name)?;
            let nulls = times.logical_nulls();
            let ranks = distinct_keys(&[times], column.len(), run)?;
            Survivorship::MostRecent(
                (0..)
                    .zip(&ranks.codes)
                    .map(|(row, rank): (usize, &u32)| match &nulls {
                        Some(nulls) if nulls.is_null(row) => f64::NAN,
                        _ => f64::from(*rank),
                    })
                    .collect(),
            )
        }
        Rule::Source(names) => Survivorship::Source(match source {
            Some(source) => source
                .iter()
                .map(|of| {
                    let rank = names.iter().position(|name| Some(name.as_str()) == of);
                    rank.map_or(u32::MAX, |rank| rank as u32)
                })
                .collect(),
            None => return Err(Error::internal("a rule of sources has a source column")),
        }),
    };
    let stands_for_none = |code: u32| {
        texts.is_some_and(|texts| {
            texts.is_valid(code as usize) && is_null_like(texts.value(code as usize))
        })
    };
    let real: Vec<u32> = codes
        .iter()
        .map(|code| {
            if *code != NULL && stands_for_none(*code) {
                NULL
            } else {
                *code
            }
        })
        .collect();
    let found = run.compute(|| {
        survivors(
            entity,
            &[(&real, survivorship.clone()), (&codes, survivorship)],
            run,
        )
    })?;
    let [of_real, of_any] = <[Vec<u32>; 2]>::try_from(found)
        .map_err(|_| Error::internal("survivors of each column"))?;
    Ok(of_real
        .into_iter()
        .zip(of_any)
        .map(|(real, any)| Some(if real == NULL { any } else { real }).filter(|row| *row != NULL))
        .collect())
}
