//! `fusion.stitch`: the deterministic identity graph.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field};
use tributary_algo::fusion::intern::Strings;
use tributary_algo::fusion::stitch::{Link, NULL};
use tributary_algo::fusion::{IdColumn, Stitch as Algorithm, is_null_like};

use crate::call::{Call, CallInput};
use crate::entities::named;
use crate::error::Result;
use crate::function::{
    Binding, Default, Example, Parameter, ParameterType, RelationFunction, ResultColumn, Signature,
};
use crate::input::{Input, input_of};
use crate::keys::key_text;
use crate::output::{distinct_fields, fields_at, positions, required};
use crate::records::{KeyTexts, caps_of, distinct_names};
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
        let caps = caps_of(input, call)?;
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

        let texts = KeyTexts::of(described, &columns.key, &keys.values)?;
        let unified = named(&stitched.entity, &texts, None, run)?;
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
