//! `fusion.aliases`: what became of the ids of an earlier run.

use std::sync::Arc;

use arrow::array::StringArray;
use arrow::datatypes::{DataType, Field, Schema};
use tributary_algo::fusion::stable::{Event, aliases};

use crate::call::{Call, CallInput};
use crate::entities::{Links, UNIFIED_ID, link_positions};
use crate::error::{Error, Kind, Result};
use crate::function::{
    Binding, Default, Example, Parameter, ParameterType, RelationFunction, ResultColumn, Signature,
};
use crate::input::{Input, input_of};
use crate::output::required;
use crate::records::distinct_names;
use crate::run::Run;

/// See [`SIGNATURE`].
#[derive(Debug)]
pub struct Aliases;

static SIGNATURE: Signature = Signature {
    schema: "fusion",
    name: "aliases",
    summary: "tells what became of the ids of an earlier run",
    prose: "Both relations are links as fusion.resolve() and fusion.stitch() give them; they meet by key. \
            An id has a row for each other id that its records have now; an id that still names all its \
            records has none. Rows are in the order of the old id and then of the new one.",
    parameters: &[
        Parameter::relation(
            "previous",
            "The links of the earlier run, with the columns of the key and unified_id.",
        ),
        Parameter::relation("links", "The links of now, with the same columns."),
        Parameter::constant(
            "key",
            ParameterType::Columns,
            Default::Null,
            "The columns that together identify a record; absent, those before unified_id in `links`.",
        ),
    ],
    positional: 2,
    columns: &[
        ResultColumn {
            name: "old_unified_id",
            data_type: "text",
            meaning: "The id of the earlier run.",
        },
        ResultColumn {
            name: "unified_id",
            data_type: "text",
            meaning: "The id that records of it have now; NULL when none of them is left.",
        },
        ResultColumn {
            name: "event",
            data_type: "text",
            meaning: "'merged' when all its records have that one id, 'split' when they have several, \
                      'retired' when none is left.",
        },
    ],
    example: Example {
        setup: &[],
        sql: "SELECT * FROM fusion.aliases(\
              previous => (SELECT * FROM (VALUES (1, 'a'), (2, 'a'), (3, 'b'), (4, 'c'), (5, 'c'), \
              (6, 'd')) AS old (id, unified_id)), \
              links => (SELECT * FROM (VALUES (1, 'a'), (2, 'a'), (3, 'a'), (4, 'c'), (5, 'e')) \
              AS now (id, unified_id)))",
        output: "b|a|merged\nc|e|split\nd||retired",
    },
    source: "The identifiers of entities over time in master data management; the rule is that of \
             fusion.resolve().",
};

/// The key: as given, or the columns before `unified_id`.
fn key_of(call: &Call) -> Result<Vec<String>> {
    let links = call.input("links")?;
    if call.has("key")? {
        return distinct_names(links, call, "key");
    }
    let end = links.column(UNIFIED_ID)?;
    let names: Vec<String> = links
        .schema
        .fields()
        .iter()
        .take(end)
        .map(|field| field.name().clone())
        .collect();
    if names.is_empty() {
        return Err(Error::new(
            Kind::UndefinedParameter,
            format!(
                "{} has no columns before \"{UNIFIED_ID}\", which would be its key",
                links.describe()
            ),
        )
        .hint("Name the columns that identify a record with key => '...'."));
    }
    Ok(names)
}

impl RelationFunction for Aliases {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        let key = key_of(call)?;
        let links = call.input("links")?;
        Ok(Binding {
            schema: Arc::new(Schema::new(vec![
                Field::new("old_unified_id", DataType::Utf8, false),
                Field::new(UNIFIED_ID, DataType::Utf8, true),
                Field::new("event", DataType::Utf8, false),
            ])),
            required: required(call, |input| link_positions(links, &key, input))?,
            tags: vec![],
        })
    }

    fn run(&self, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
        let key = key_of(call)?;
        let read = |parameter: &str| -> Result<Links> {
            let described: &CallInput = call.input(parameter)?;
            Links::read(described, input_of(call, inputs, parameter)?, &key, run)
        };
        let (old, now) = (read("previous")?, read("links")?);
        let index = now.keys.index(run)?;
        run.reserve(old.codes.len().saturating_mul(16))?;
        let pairs: Vec<(u32, Option<u32>)> = old
            .keys
            .find_in(&index)
            .into_iter()
            .zip(&old.codes)
            .map(|(place, id)| {
                let now = place.and_then(|place| now.codes.get(place as usize).copied());
                (*id, now)
            })
            .collect();
        let text = |bytes: Option<&[u8]>| -> String {
            String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
        };
        let found = run.compute(|| aliases(pairs, |a, b| old.ids.get(a) == now.ids.get(b)));
        let mut rows: Vec<(String, Option<String>, &str)> = found
            .into_iter()
            .map(|(before, after, event)| {
                let event = match event {
                    Event::Merged => "merged",
                    Event::Split => "split",
                    Event::Retired => "retired",
                };
                let after = after.map(|after| text(now.ids.get(after)));
                (text(old.ids.get(before)), after, event)
            })
            .collect();
        rows.sort_unstable();
        run.emit_columns(vec![
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.0))),
            Arc::new(StringArray::from_iter(
                rows.iter().map(|row| row.1.as_deref()),
            )),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.2))),
        ])
    }
}
