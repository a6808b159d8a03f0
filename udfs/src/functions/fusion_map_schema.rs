//! `fusion.map_schema`: which column of a channel is which of a contract.

use std::sync::Arc;

use arrow::array::{Float64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use tributary_algo::fusion::profile::{Profile, map_schema};

use crate::call::Call;
use crate::error::Result;
use crate::function::{Binding, Example, Parameter, RelationFunction, ResultColumn, Signature};
use crate::functions::looked_through;
use crate::input::{Input, input_of};
use crate::output::{all_positions, required};
use crate::records::text_of;
use crate::run::Run;

/// See [`SIGNATURE`].
#[derive(Debug)]
pub struct MapSchema;

static SIGNATURE: Signature = Signature {
    schema: "fusion",
    name: "map_schema",
    summary: "guesses which column of a channel is which of a contract",
    prose: "Half of the score is how alike the names are, half whether the values of the channel's column \
            have the role that the contract's name says, as fusion.profile() guesses it. The best pairs \
            are taken first, a column is taken at most once, and below a score of one half nothing is \
            taken: a column of `rel` that fits none has no row. The rows of `target` play no part. Rows are in the \
            order of the columns of `rel`.",
    parameters: &[
        Parameter::relation("rel", "The channel's relation."),
        Parameter::relation(
            "target",
            "The relation whose columns are to be found, such as the view 'customers'.",
        ),
    ],
    positional: 1,
    columns: &[
        ResultColumn {
            name: "source_column",
            data_type: "text",
            meaning: "The column of `rel`.",
        },
        ResultColumn {
            name: "target_column",
            data_type: "text",
            meaning: "The column of `target` that it is taken for.",
        },
        ResultColumn {
            name: "score",
            data_type: "double precision",
            meaning: "How sure that is, from 0.5 to 1.",
        },
        ResultColumn {
            name: "evidence",
            data_type: "text",
            meaning: "What speaks for it: the names, and the role of the values.",
        },
    ],
    example: Example {
        setup: &[],
        sql: "SELECT source_column, target_column, evidence FROM fusion.map_schema(\
              (SELECT * FROM (VALUES ('ann@x.org', 'Ann', 'tea'), ('bob@x.org', 'Bob', 'milk')) \
              AS web (EMAIL_ADDR, fname, favourite)), \
              target => (SELECT '' AS first_name, '' AS last_name, '' AS email))",
        output: "email_addr|email|names 0.75, values are of role email\nfname|first_name|names 0.72, values are of role given_name",
    },
    source: "E. Rahm, P. A. Bernstein: A survey of approaches to automatic schema matching, VLDB \
             Journal 10 (2001).",
};

impl RelationFunction for MapSchema {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        call.input("target")?;
        Ok(Binding {
            schema: Arc::new(Schema::new(vec![
                Field::new("source_column", DataType::Utf8, false),
                Field::new("target_column", DataType::Utf8, false),
                Field::new("score", DataType::Float64, false),
                Field::new("evidence", DataType::Utf8, false),
            ])),
            // Columns that are not asked for are not there when the call runs.
            required: required(call, |input| Ok(all_positions(input)))?,
            tags: vec![],
        })
    }

    fn run(&self, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
        let (described, target) = (call.input("rel")?, call.input("target")?);
        let rows = input_of(call, inputs, "rel")?;
        let mut source: Vec<(&str, Profile)> = Vec::new();
        for field in described.schema.fields() {
            run.check()?;
            let column = rows.column(field.name())?;
            let _held = run.hold(column.get_array_memory_size().saturating_mul(2))?;
            let Ok(text) = text_of(described, field.name(), &column) else {
                continue;
            };
            let (profile, _) = looked_through(field.name(), &column, &text, run)?;
            source.push((field.name(), profile));
        }
        let wanted: Vec<&str> = target
            .schema
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .collect();
        let mut found = map_schema(&source, &wanted);
        found.sort_by_key(|mapping| mapping.source);
        let evidence = found.iter().map(|mapping| match mapping.role {
            Some(role) => format!(
                "names {:.2}, values are of role {}",
                mapping.names,
                role.name()
            ),
            None => format!("names {:.2}", mapping.names),
        });
        let name = |at: usize| source.get(at).map(|(name, _)| *name).unwrap_or_default();
        run.emit_columns(vec![
            Arc::new(StringArray::from_iter_values(
                found.iter().map(|mapping| name(mapping.source)),
            )),
            Arc::new(StringArray::from_iter_values(found.iter().map(|mapping| {
                wanted.get(mapping.target).copied().unwrap_or_default()
            }))),
            Arc::new(Float64Array::from_iter_values(
                found.iter().map(|mapping| mapping.score),
            )),
            Arc::new(StringArray::from_iter_values(evidence)),
        ])
    }
}
