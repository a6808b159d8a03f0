//! `quality.impute`: what stands for missing values.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, ListBuilder, StringArray, StringBuilder,
    UInt32Array,
};
use arrow::compute::kernels::zip::zip;
use arrow::compute::{CastOptions, cast, cast_with_options, filter, take};
use arrow::datatypes::{DataType, Field, Float64Type};
use tributary_algo::quality::{Average, fill_codes, fill_numbers};

use crate::call::{Call, CallInput, is_text};
use crate::error::{Error, Kind, Result};
use crate::function::{
    Binding, Default, Example, Parameter, ParameterType, RelationFunction, ResultColumn, Signature,
};
use crate::functions::outside_brackets;
use crate::input::{Input, distinct_keys, input_of};
use crate::output::{all_positions, appended, required};
use crate::run::Run;
use crate::types::sql_type;

/// See [`SIGNATURE`].
#[derive(Debug)]
pub struct Impute;

static SIGNATURE: Signature = Signature {
    schema: "quality",
    name: "impute",
    summary: "puts values where there are none, and says where",
    prose: "A rule is a column, a colon and a method. 'mean' and 'median' are for numbers and are rounded \
            where the column has whole ones; 'mode' is the most frequent value, of equally frequent ones \
            the smallest; 'constant(x)' is the value x in the column's type; 'drop' leaves the row out. \
            With 'by column', or 'by (a, b)', values are those of the group of rows that agree there; a \
            group without any value takes that of all rows. Missing is NULL, and NaN in a column of \
            numbers. Columns without a rule stay as they are, and groups are formed before anything is \
            filled in. Rows keep no particular order.",
    parameters: &[
        Parameter::relation("rel", "The rows."),
        Parameter::constant(
            "rules",
            ParameterType::Text,
            Default::Required,
            "What is filled in, such as 'age:median, city:mode by region, visits:constant(0), id:drop'.",
        ),
    ],
    positional: 1,
    columns: &[
        ResultColumn {
            name: "<input columns>",
            data_type: "as in the input",
            meaning: "The row, with the values put in.",
        },
        ResultColumn {
            name: "imputed",
            data_type: "text[]",
            meaning: "The columns that were filled in in this row.",
        },
    ],
    example: Example {
        setup: &[],
        sql: "SELECT * FROM quality.impute(\
              (SELECT * FROM (VALUES (1, 20, 'north', 'Oslo'), (2, NULL, 'north', NULL), (3, 30, 'south', NULL), \
              (4, 40, 'south', 'Rome')) AS people (id, age, region, city)), \
              rules => 'age:median, city:mode by region') ORDER BY id",
        output: "1|20|north|Oslo|{}\n2|30|north|Oslo|{age,city}\n3|30|south|Rome|{city}\n4|40|south|Rome|{}",
    },
    source: "R. J. A. Little, D. B. Rubin: Statistical analysis with missing data, 1987.",
};

/// What fills a column.
#[derive(Debug, Clone, PartialEq)]
enum Method {
    Drop,
    Constant(String),
    Average(Average),
    Mode,
}

/// A rule of the call.
#[derive(Debug)]
struct Rule {
    column: String,
    method: Method,
    by: Vec<String>,
}

fn rules_of(call: &Call) -> Result<Vec<Rule>> {
    let input = call.input("rel")?;
    let mut rules: Vec<Rule> = Vec::new();
    for part in outside_brackets(&call.required_text("rules")?) {
        let rule = rule_of(input, &part)?;
        if rules.iter().any(|before| before.column == rule.column) {
            return Err(Error::new(
                Kind::DuplicateColumn,
                format!(
                    "column \"{}\" is given twice in argument \"rules\"",
                    rule.column
                ),
            ));
        }
        rules.push(rule);
    }
    Ok(rules)
}

fn rule_of(input: &CallInput, part: &str) -> Result<Rule> {
    let wrong = || {
        Error::new(
            Kind::Syntax,
            format!("\"{part}\" in argument \"rules\" is not a column and a method"),
        )
        .hint(
            "The methods are drop, constant(value), mean, median and mode, the last three with `by \
             column` too, such as 'age:median by region'.",
        )
    };
    let (name, rest) = part.split_once(':').ok_or_else(wrong)?;
    let position = input.column(name.trim())?;
    let field = input.schema.field(position);
    let rest = rest.trim();
    let (method, by) = if let Some(value) = rest.strip_prefix("constant(") {
        let value = value.strip_suffix(')').ok_or_else(wrong)?;
        (Method::Constant(value.to_owned()), Vec::new())
    } else {
        let mut words = rest.splitn(2, char::is_whitespace);
        let method = match words.next().unwrap_or_default() {
            "drop" => Method::Drop,
            "mean" => Method::Average(Average::Mean),
            "median" => Method::Average(Average::Median),
            "mode" => Method::Mode,
            _ => return Err(wrong()),
        };
        let by = match words.next().map(str::trim) {
            None => Vec::new(),
            Some(group) => {
                let names = group.strip_prefix("by").ok_or_else(wrong)?.trim();
                let names = match names.strip_prefix('(') {
                    None => names,
                    Some(inner) => inner.strip_suffix(')').ok_or_else(wrong)?,
                };
                names
                    .split(',')
                    .map(|name| {
                        let position = input.column(name.trim())?;
                        Ok(input.schema.field(position).name().clone())
                    })
                    .collect::<Result<Vec<String>>>()?
            }
        };
        if method == Method::Drop && !by.is_empty() {
            return Err(wrong());
        }
        (method, by)
    };
    if matches!(method, Method::Average(_)) && !field.data_type().is_numeric() {
        return Err(Error::new(
            Kind::DatatypeMismatch,
            format!(
                "column \"{}\" of {} is not numeric",
                field.name(),
                input.describe()
            ),
        )
        .detail(format!("Its type is {}.", sql_type(field.data_type())))
        .hint("Use mode or constant(value)."));
    }
    if let Method::Constant(value) = &method {
        constant(value, field)?;
    }
    Ok(Rule {
        column: field.name().clone(),
        method,
        by,
    })
}

/// A constant in the type of its column.
fn constant(value: &str, field: &Field) -> Result<ArrayRef> {
    let strict = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    let value = if is_text(field.data_type()) {
        value
    } else {
        value.trim()
    };
    let text: ArrayRef = Arc::new(StringArray::from(vec![value]));
    let found = cast_with_options(&text, field.data_type(), &strict).ok();
    found.filter(|found| found.is_valid(0)).ok_or_else(|| {
        Error::new(
            Kind::InvalidParameter,
            format!(
                "\"{value}\" in argument \"rules\" is not a value of column \"{}\"",
                field.name()
            ),
        )
        .detail(format!("Its type is {}.", sql_type(field.data_type())))
    })
}

impl RelationFunction for Impute {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        let input = call.input("rel")?;
        rules_of(call)?;
        let names = DataType::new_list(DataType::Utf8, true);
        Ok(Binding {
            schema: appended(
                input,
                vec![Field::new("imputed", names, false)],
                "Rename the column in the subquery.",
            )?,
            required: required(call, |input| Ok(all_positions(input)))?,
            tags: vec![],
        })
    }

    fn run(&self, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
        let described = call.input("rel")?;
        let rows = input_of(call, inputs, "rel")?;
        let rules = rules_of(call)?;
        let mut columns = described
            .schema
            .fields()
            .iter()
            .map(|field| {
                let column = rows.column(field.name())?;
                run.reserve(column.get_array_memory_size())?;
                Ok(column)
            })
            .collect::<Result<Vec<ArrayRef>>>()?;
        let before = columns.clone();
        let of = |name: &String| -> Result<(usize, ArrayRef)> {
            let at = described.column(name)?;
            let column = before.get(at).cloned();
            Ok((
                at,
                column.ok_or_else(|| Error::internal("a column of each name"))?,
            ))
        };
        let mut kept = vec![true; rows.rows()];
        let mut filled: Vec<(&str, Vec<bool>)> = Vec::new();
        for rule in &rules {
            run.check()?;
            let (at, column) = of(&rule.column)?;
            let missing = missing(&column);
            if rule.method == Method::Drop {
                for (kept, missing) in kept.iter_mut().zip(&missing) {
                    *kept &= !missing;
                }
                continue;
            }
            let by = rule
                .by
                .iter()
                .map(|name| Ok(of(name)?.1))
                .collect::<Result<Vec<_>>>()?;
            run.reserve(rows.rows().saturating_mul(16))?;
            let (groups, count) = if by.is_empty() {
                (vec![0; rows.rows()], 1)
            } else {
                let keys = distinct_keys(&by, rows.rows(), run)?;
                let count = keys.len();
                (keys.codes, count)
            };
            let field = described.schema.field(at);
            let fill = filler(rule, field, &column, &missing, &groups, count, run)?;
            // Where nothing is known there is nothing to put in.
            let changed: Vec<bool> = missing
                .iter()
                .enumerate()
                .map(|(row, missing)| *missing && fill.is_valid(row))
                .collect();
            let result = zip(&BooleanArray::from(changed.clone()), &fill, &column)?;
            if let Some(slot) = columns.get_mut(at) {
                *slot = result;
            }
            filled.push((&rule.column, changed));
        }
        let mut imputed = ListBuilder::new(StringBuilder::new());
        for row in 0..rows.rows() {
            for (name, changed) in &filled {
                if changed.get(row) == Some(&true) {
                    imputed.values().append_value(name);
                }
            }
            imputed.append(true);
        }
        columns.push(Arc::new(imputed.finish()));
        if kept.contains(&false) {
            let kept = BooleanArray::from(kept);
            columns = columns
                .iter()
                .map(|column| Ok(filter(column, &kept)?))
                .collect::<Result<_>>()?;
        }
        run.emit_columns(columns)
    }
}

/// Where a column has no value: NULL, or NaN.
fn missing(column: &ArrayRef) -> Vec<bool> {
    let nulls = column.logical_nulls();
    let null = |row: usize| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
    let not_a_number: Vec<bool> = match column.data_type() {
        DataType::Float64 => column
            .as_primitive::<Float64Type>()
            .values()
            .iter()
            .map(|value| value.is_nan())
            .collect(),
        DataType::Float32 => column
            .as_primitive::<arrow::datatypes::Float32Type>()
            .values()
            .iter()
            .map(|value| value.is_nan())
            .collect(),
        _ => vec![false; column.len()],
    };
    not_a_number
        .into_iter()
        .enumerate()
        .map(|(row, nan)| nan || null(row))
        .collect()
}

/// The value that a rule has for each row.
fn filler(
    rule: &Rule,
    field: &Field,
    column: &ArrayRef,
    missing: &[bool],
    groups: &[u32],
    count: usize,
    run: &Run,
) -> Result<ArrayRef> {
    let plain = crate::types::plain_layout(field.data_type());
    let of_group = UInt32Array::from(groups.to_vec());
    match &rule.method {
        Method::Drop => Err(Error::internal("rows that are left out are not filled in")),
        Method::Constant(value) => {
            let value = cast(&constant(value, field)?, plain)?;
            Ok(take(
                &value,
                &UInt32Array::from(vec![0; column.len()]),
                None,
            )?)
        }
        Method::Average(average) => {
            let numbers = cast(column, &DataType::Float64)?;
            let numbers: Vec<f64> = numbers
                .as_primitive::<Float64Type>()
                .iter()
                .zip(missing)
                .map(|(value, missing)| match value {
                    Some(value) if !missing => value,
                    _ => f64::NAN,
                })
                .collect();
            let averages = run.compute(|| fill_numbers(&numbers, groups, count, *average, run))?;
            let whole = field.data_type().is_integer();
            let averages: Float64Array = averages
                .into_iter()
                .map(|value| {
                    if whole {
                        value.round_ties_even()
                    } else {
                        value
                    }
                })
                .map(|value| Some(value).filter(|value| !value.is_nan()))
                .collect();
            let averages: ArrayRef = Arc::new(averages);
            Ok(take(&cast(&averages, plain)?, &of_group, None)?)
        }
        Method::Mode => {
            let keys = distinct_keys(std::slice::from_ref(column), column.len(), run)?;
            let codes: Vec<Option<u32>> = keys
                .codes
                .iter()
                .zip(missing)
                .map(|(code, missing)| Some(*code).filter(|_| !missing))
                .collect();
            let modes = run.compute(|| fill_codes(&codes, groups, count, run))?;
            let values = keys
                .values
                .first()
                .ok_or_else(|| Error::internal("a column of keys"))?;
            let modes = take(values, &UInt32Array::from(modes), None)?;
            Ok(take(&modes, &of_group, None)?)
        }
    }
}
