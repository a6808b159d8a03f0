//! `fusion.stitch`: the deterministic identity graph.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray, StringBuilder, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field};
use tributary_algo::fusion::intern::Strings;
use tributary_algo::fusion::stitch::{Link, NULL};
use tributary_algo::fusion::{IdColumn, Stitch as Algorithm, is_null_like};
use xxhash_rust::xxh3::xxh3_128;

use crate::call::{Call, CallInput, split_names};
use crate::error::{Error, Kind, Result};
use crate::function::{
    Binding, Default, Example, Parameter, ParameterType, RelationFunction, ResultColumn, Signature,
};
use crate::input::{Input, input_of};
use crate::keys::key_text;
use crate::output::{distinct_fields, fields_at, positions, required, resolved_names};
use crate::run::Run;

/// See [`SIGNATURE`].
#[derive(Debug)]
pub struct Stitch;

static SIGNATURE: Signature = Signature {
    schema: "fusion",
    name: "stitch",
    summary: "joins records that share an identifier into entities",
    prose: "Records that hold the same value of an id column are linked, directly or through others, \
            and what hangs together is one entity. Values are compared as text without the blanks \
            around them: bring them to one form first, with email_norm() and phone_e164(). NULL and \
            values that stand for it, such as '', 'n/a', 'unknown', '-' or '000', never link. Guards \
            keep a kiosk's device id or a call centre's number from chaining a whole shop together: \
            links are tried best first (id columns in the order given, then rarer values, then the \
            order of keys), and one that would break a guard is left out. A guard of NULL is off. The \
            answer depends on the records alone, not on their order: unified_id is a hash of the \
            entity's smallest key, the same wherever the same records are stitched. Every record \
            comes back once, in the order of its key. Time grows with records x id columns, memory \
            with about 150 bytes a record.",
    parameters: &[
        Parameter::relation("rel", "The records, one a row."),
        Parameter::constant(
            "key",
            ParameterType::Columns,
            Default::Required,
            "The columns that together identify a record; a key that occurs twice is an error.",
        ),
        Parameter::constant(
            "ids",
            ParameterType::Columns,
            Default::Text("email, phone"),
            "The columns that hold identifiers, the most trusted first.",
        ),
        Parameter::new(
            "max_records_per_value",
            ParameterType::Integer,
            Default::Integer(20),
            "A value held by more records than this is taken as missing; at least 2, or NULL for no \
             limit.",
        ),
        Parameter::new(
            "max_records_per_entity",
            ParameterType::Integer,
            Default::Integer(200),
            "No entity becomes larger than this; at least 2, or NULL for no limit.",
        ),
        Parameter::constant(
            "max_values",
            ParameterType::Text,
            Default::Null,
            "How many distinct values of a column one entity may hold, such as 'loyalty_id:1' or \
             'loyalty_id:1, phone:5'. The column need not be one of the id columns: it then keeps \
             apart without linking. Absent, there is no such limit.",
        ),
    ],
    positional: 1,
    columns: &[
        ResultColumn {
            name: "<key columns>",
            data_type: "as in the input",
            meaning: "The record.",
        },
        ResultColumn {
            name: "unified_id",
            data_type: "text",
            meaning: "The entity, the same text for all its records.",
        },
        ResultColumn {
            name: "cluster_size",
            data_type: "bigint",
            meaning: "How many records the entity has.",
        },
        ResultColumn {
            name: "linked_to_<key columns>",
            data_type: "as in the input",
            meaning: "The record it shares a value with, one step nearer to the entity's smallest \
                      key; NULL for that one.",
        },
        ResultColumn {
            name: "match_key",
            data_type: "text",
            meaning: "The id column whose value they share.",
        },
    ],
    example: Example {
        setup: &[],
        sql: "SELECT id, cluster_size, linked_to_id, match_key FROM fusion.stitch(\
              (SELECT * FROM (VALUES (1, 'ann@x.org', '555 1'), (2, 'ANN', '555 1'), \
              (3, 'ann@x.org', NULL), (4, 'n/a', 'n/a'), (5, 'n/a', '555 9')) \
              AS accounts (id, email, phone)), key => 'id') ORDER BY id",
        output: "1|3||\n2|3|1|phone\n3|3|1|email\n4|1||\n5|1||",
    },
    source: "The union-find of R. E. Tarjan, J. van Leeuwen: Worst-case analysis of set union \
             algorithms, JACM 31 (1984), with guards.",
};

/// The columns a call names.
struct Columns {
    key: Vec<String>,
    ids: Vec<String>,
    /// Columns with a cap on their distinct values.
    caps: Vec<(String, usize)>,
}

impl Columns {
    fn of(call: &Call) -> Result<Self> {
        let input = call.input("rel")?;
        let key = distinct_names(input, call, "key")?;
        let ids = distinct_names(input, call, "ids").map_err(|error| {
            if call.has("ids").unwrap_or(true) {
                error
            } else {
                error.hint("Name the columns that hold identifiers with ids => '...'.")
            }
        })?;
        let mut caps: Vec<(String, usize)> = Vec::new();
        for (name, most) in caps_of(call)? {
            let name = input.schema.field(input.column(&name)?).name().clone();
            if caps.iter().any(|(before, _)| *before == name) {
                return Err(given_twice(&name, "max_values"));
            }
            caps.push((name, most));
        }
        Ok(Self { key, ids, caps })
    }

    fn cap(&self, name: &str) -> Option<usize> {
        self.caps
            .iter()
            .find(|(capped, _)| capped == name)
            .map(|(_, most)| *most)
    }

    /// Id columns first, then the columns that only keep apart.
    fn identifiers(&self) -> impl Iterator<Item = (&String, bool)> {
        let further = self
            .caps
            .iter()
            .map(|(name, _)| name)
            .filter(|name| !self.ids.contains(name));
        self.ids
            .iter()
            .map(|name| (name, true))
            .chain(further.map(|name| (name, false)))
    }
}

fn distinct_names(input: &CallInput, call: &Call, argument: &str) -> Result<Vec<String>> {
    let names = resolved_names(input, &call.columns(argument)?)?;
    for (position, name) in names.iter().enumerate() {
        if names.iter().take(position).any(|before| before == name) {
            return Err(given_twice(name, argument));
        }
    }
    if names.is_empty() {
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

/// The columns and counts of `max_values`, such as `loyalty_id:1, phone:5`.
fn caps_of(call: &Call) -> Result<Vec<(String, usize)>> {
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
    split_names("max_values", &text)?
        .into_iter()
        .map(|part| {
            let (name, count) = part.rsplit_once(':').ok_or_else(|| wrong(&part))?;
            match (name.trim(), count.trim().parse::<u32>()) {
                ("", _) | (_, Err(_) | Ok(0)) => Err(wrong(&part)),
                (name, Ok(count)) => Ok((name.to_owned(), count as usize)),
            }
        })
        .collect()
}

fn algorithm(call: &Call) -> Result<Algorithm> {
    let limit = |name: &str| -> Result<Option<usize>> {
        match call.nullable_integer(name)? {
            None => Ok(None),
            Some(_) => Ok(Some(call.count(name, 2)?)),
        }
    };
    Ok(Algorithm {
        max_records_per_value: limit("max_records_per_value")?,
        max_records_per_entity: limit("max_records_per_entity")?,
    })
}

impl RelationFunction for Stitch {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        let input = call.input("rel")?;
        let columns = Columns::of(call)?;
        if call.is_complete() {
            algorithm(call)?;
        }
        let mut key = Vec::with_capacity(columns.key.len());
        for name in &columns.key {
            key.extend(fields_at(input, &[input.column(name)?])?);
        }
        let linked = key
            .iter()
            .map(|field| {
                Field::new(
                    format!("linked_to_{}", field.name()),
                    field.data_type().clone(),
                    true,
                )
            })
            .collect::<Vec<_>>();
        let mut fields = key;
        fields.push(Field::new("unified_id", DataType::Utf8, false));
        fields.push(Field::new("cluster_size", DataType::Int64, false));
        fields.extend(linked);
        fields.push(Field::new("match_key", DataType::Utf8, true));
        Ok(Binding {
            schema: distinct_fields(fields)?,
            required: required(call, |input| {
                let identifiers = columns.identifiers().map(|(name, _)| name);
                positions(input, columns.key.iter().chain(identifiers))
            })?,
            tags: vec![],
        })
    }

    fn run(&self, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
        let described = call.input("rel")?;
        let rows = input_of(call, inputs, "rel")?;
        let columns = Columns::of(call)?;
        let guards = algorithm(call)?;
        let keys = rows.unique_keys(described, &columns.key, run)?;
        // Records are numbered in the order of their keys; `order` says which row each one is.
        run.reserve(rows.rows().saturating_mul(4 * (columns.ids.len() + 8)))?;
        let mut order = vec![0_u32; keys.len()];
        for (row, code) in keys.codes.iter().enumerate() {
            if let Some(slot) = order.get_mut(*code as usize) {
                *slot = row as u32;
            }
        }
        let order = UInt32Array::from(order);
        let mut coded = Vec::new();
        for (name, links) in columns.identifiers() {
            run.check()?;
            let values = take(&rows.column(name)?, &order, None)?;
            coded.push((
                codes(described, name, &values, run)?,
                columns.cap(name),
                links,
            ));
        }
        let stitched = run.compute(|| {
            let ids: Vec<IdColumn<'_>> = coded
                .iter()
                .map(|((codes, values), max_values, links)| IdColumn {
                    codes,
                    values: *values,
                    max_values: *max_values,
                    links: *links,
                })
                .collect();
            guards.fit(keys.len(), &ids, run)
        })?;

        let unified = unified_ids(described, &columns.key, &keys.values, &stitched.entity, run)?;
        let sizes: Int64Array = stitched
            .entity_size
            .iter()
            .map(|size| i64::from(*size))
            .collect();
        let linked: UInt32Array = stitched
            .links
            .iter()
            .map(|link| link.map(|link: Link| link.to))
            .collect();
        let match_key: StringArray = stitched
            .links
            .iter()
            .map(|link| link.and_then(|link| columns.ids.get(link.id as usize)))
            .collect();
        let mut result: Vec<ArrayRef> = keys.values.clone();
        result.push(Arc::new(unified));
        result.push(Arc::new(sizes));
        for column in &keys.values {
            result.push(take(column, &linked, None)?);
        }
        result.push(Arc::new(match_key));
        run.emit_columns(result)
    }
}

/// The values of an id column as numbers in the order of the records, and how many there are.
fn codes(
    described: &CallInput,
    name: &str,
    values: &ArrayRef,
    run: &Run,
) -> Result<(Vec<u32>, usize)> {
    let text = key_text(described, name, values)?;
    let mut strings = Strings::new();
    let codes = text
        .iter()
        .map(|value| match value.map(str::trim) {
            Some(value) if !is_null_like(value) => Ok(strings.intern(value.as_bytes(), run)?),
            _ => Ok(NULL),
        })
        .collect::<Result<Vec<u32>>>()?;
    Ok((codes, strings.len()))
}

/// The name of each record's entity: the hash of its smallest key, written as text, in hexadecimal.
fn unified_ids(
    described: &CallInput,
    names: &[String],
    key: &[ArrayRef],
    entity: &[u32],
    run: &Run,
) -> Result<StringArray> {
    let texts = names
        .iter()
        .zip(key)
        .map(|(name, column)| key_text(described, name, column))
        .collect::<Result<Vec<_>>>()?;
    run.reserve(entity.len().saturating_mul(36))?;
    let mut unified = StringBuilder::with_capacity(entity.len(), entity.len().saturating_mul(32));
    let mut bytes = Vec::new();
    for record in entity {
        bytes.clear();
        for text in &texts {
            let value = text.value(*record as usize);
            // The length keeps ('ab', 'c') and ('a', 'bc') apart.
            bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
            bytes.extend_from_slice(value.as_bytes());
        }
        unified.append_value(format!("{:032x}", xxh3_128(&bytes)));
    }
    Ok(unified.finish())
}
