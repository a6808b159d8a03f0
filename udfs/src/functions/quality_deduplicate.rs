//! `quality.deduplicate`: one row of those with the same key.

use std::sync::Arc;

use arrow::array::{Int64Array, UInt32Array};
use arrow::compute::{SortOptions, take};
use arrow::datatypes::{DataType, Field};
use arrow::row::{RowConverter, SortField};

use crate::call::{Call, CallInput, split_names};
use crate::error::{Error, Kind, Result};
use crate::function::{
    Binding, Default, Example, Parameter, ParameterType, RelationFunction, ResultColumn, Signature,
};
use crate::input::{Input, distinct_keys, input_of};
use crate::output::{all_positions, appended, required};
use crate::records::distinct_names;
use crate::run::Run;

/// See [`SIGNATURE`].
#[derive(Debug)]
pub struct Deduplicate;

static SIGNATURE: Signature = Signature {
    schema: "quality",
    name: "deduplicate",
    summary: "keeps one row of those with the same key",
    prose: "The first row in the order of `order_by` is kept; rows equal in it, and all rows without it, \
            are ordered by a hash of all their columns and then by the columns, so that the answer does \
            not depend on how the rows came in. NULL equals NULL in a key, as in DISTINCT ON. Rows come \
            in the order of the key. Time is O(n log n).",
    parameters: &[
        Parameter::relation("rel", "The rows."),
        Parameter::constant(
            "key",
            ParameterType::Columns,
            Default::Required,
            "The columns whose values are to occur once.",
        ),
        Parameter::constant(
            "order_by",
            ParameterType::Text,
            Default::Null,
            "Which row is kept, such as 'updated_at DESC, id': the first. As in ORDER BY, ASC and DESC \
             with NULLS FIRST and NULLS LAST; NULL is the largest value unless they say otherwise.",
        ),
    ],
    positional: 1,
    columns: &[
        ResultColumn {
            name: "<input columns>",
            data_type: "as in the input",
            meaning: "The row that was kept.",
        },
        ResultColumn {
            name: "duplicates",
            data_type: "bigint",
            meaning: "How many rows with its key were left out.",
        },
    ],
    example: Example {
        setup: &[],
        sql: "SELECT * FROM quality.deduplicate(\
              (SELECT * FROM (VALUES ('ann', 2024, 'old'), ('ann', 2025, 'new'), ('bob', 2023, 'only')) \
              AS visits (name, year, note)), key => 'name', order_by => 'year DESC') ORDER BY name",
        output: "ann|2025|new|1\nbob|2023|only|0",
    },
    source: "DISTINCT ON of PostgreSQL, without its dependence on the order of rows.",
};

/// The columns of `order_by`, each with its direction.
fn order_of(input: &CallInput, call: &Call) -> Result<Vec<(String, SortOptions)>> {
    let Some(text) = call.text("order_by")? else {
        return Ok(Vec::new());
    };
    split_names("order_by", &text)?
        .into_iter()
        .map(|part| {
            // A column may be called as a part of the syntax.
            if let Ok(position) = input.column(&part) {
                let name = input.schema.field(position).name().clone();
                return Ok((name, ascending()));
            }
            let mut words: Vec<&str> = part.split_whitespace().collect();
            let mut options = ascending();
            let mut ends = |wanted: &[&str]| -> bool {
                let start = words.len().saturating_sub(wanted.len());
                let tail = words.get(start..).unwrap_or_default();
                let found = start > 0
                    && tail
                        .iter()
                        .zip(wanted)
                        .all(|(word, wanted)| word.eq_ignore_ascii_case(wanted));
                if found {
                    words.truncate(start);
                }
                found
            };
            let nulls = if ends(&["nulls", "first"]) {
                Some(true)
            } else if ends(&["nulls", "last"]) {
                Some(false)
            } else {
                None
            };
            options.descending = ends(&["desc"]) || {
                ends(&["asc"]);
                false
            };
            options.nulls_first = nulls.unwrap_or(options.descending);
            let name = words.join(" ");
            let position = input.column(&name).map_err(|error| {
                error.detail(format!("It is part of argument \"order_by\": \"{part}\"."))
            })?;
            Ok((input.schema.field(position).name().clone(), options))
        })
        .collect()
}

fn ascending() -> SortOptions {
    SortOptions {
        descending: false,
        nulls_first: false,
    }
}

impl RelationFunction for Deduplicate {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        let input = call.input("rel")?;
        distinct_names(input, call, "key")?;
        order_of(input, call)?;
        Ok(Binding {
            schema: appended(
                input,
                vec![Field::new("duplicates", DataType::Int64, false)],
                "Rename the column in the subquery.",
            )?,
            required: required(call, |input| Ok(all_positions(input)))?,
            tags: vec![],
        })
    }

    fn run(&self, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
        let described = call.input("rel")?;
        let rows = input_of(call, inputs, "rel")?;
        let key = distinct_names(described, call, "key")?;
        let columns = key
            .iter()
            .map(|name| rows.column(name))
            .collect::<Result<Vec<_>>>()?;
        let keys = distinct_keys(&columns, rows.rows(), run)?;
        drop(columns);
        // The place of each row where `order_by` says nothing.
        let names: Vec<String> = described
            .schema
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect();
        let canonical = rows.canonical_order(&names, run)?;
        run.reserve(rows.rows().saturating_mul(16))?;
        let order = order_of(described, call)?;
        let best: Vec<u32> = if order.is_empty() {
            first_of(&keys.codes, keys.len(), canonical.into_iter())?
        } else {
            let sorted = order
                .iter()
                .map(|(name, _)| rows.column(name))
                .collect::<Result<Vec<_>>>()?;
            let fields = sorted
                .iter()
                .zip(&order)
                .map(|(column, (_, options))| {
                    SortField::new_with_options(column.data_type().clone(), *options)
                })
                .collect();
            let bytes: usize = sorted
                .iter()
                .map(|column| column.get_array_memory_size())
                .sum();
            let _held = run.hold(bytes.saturating_mul(2))?;
            let encoded = RowConverter::new(fields)
                .and_then(|converter| converter.convert_columns(&sorted))
                .map_err(|_| {
                    Error::new(
                        Kind::DatatypeMismatch,
                        "a column of argument \"order_by\" cannot be sorted by",
                    )
                })?;
            let mut placed = canonical;
            run.compute(|| {
                use rayon::prelude::*;
                placed.par_sort_by(|a, b| encoded.row(*a as usize).cmp(&encoded.row(*b as usize)));
            });
            first_of(&keys.codes, keys.len(), placed.into_iter())?
        };
        let mut counts = vec![-1_i64; keys.len()];
        for code in &keys.codes {
            if let Some(count) = counts.get_mut(*code as usize) {
                *count += 1;
            }
        }
        let best = UInt32Array::from(best);
        let mut result = Vec::with_capacity(names.len() + 1);
        for name in &names {
            let column = rows.column(name)?;
            let _held = run.hold(column.get_array_memory_size())?;
            result.push(take(&column, &best, None)?);
        }
        result.push(Arc::new(Int64Array::from(counts)));
        run.emit_columns(result)
    }
}

/// By key the row that comes first.
fn first_of(codes: &[u32], keys: usize, order: impl Iterator<Item = u32>) -> Result<Vec<u32>> {
    let mut best: Vec<Option<u32>> = vec![None; keys];
    for row in order {
        let code = codes.get(row as usize).copied().unwrap_or(u32::MAX);
        if let Some(best) = best.get_mut(code as usize) {
            best.get_or_insert(row);
        }
    }
    best.into_iter()
        .map(|row| row.ok_or_else(|| Error::internal("a row of each key")))
        .collect()
}
