//! `fusion.match_products`: the products that two catalogs have in common.

use std::sync::Arc;

use arrow::array::{Array, Float64Array, StringArray, UInt32Array};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, Float64Type};
use tributary_algo::fusion::products::{Catalog, MatchProducts as Algorithm, ProductKey};

use crate::call::{Call, CallInput};
use crate::error::{Error, Kind, Result};
use crate::function::{
    Binding, Default, Example, Parameter, ParameterType, RelationFunction, ResultColumn, Signature,
};
use crate::input::{Input, check_numeric};
use crate::keys::counterpart;
use crate::output::{distinct_fields, required};
use crate::records::{KEY, Rows, distinct_names, key_fields};
use crate::run::Run;

/// See [`SIGNATURE`].
#[derive(Debug)]
pub struct MatchProducts;

static SIGNATURE: Signature = Signature {
    schema: "fusion",
    name: "match_products",
    summary: "finds the products that two catalogs have in common",
    prose: "Titles that share rare words find the candidates; how alike the titles are, model codes within \
            them, brands, bar codes and prices decide, and how much each says is learnt from the two \
            catalogs themselves, without labels. The candidates of a product compete, since it has one \
            partner at most. Columns of `other` are found by the names given for `rel`; those that are not \
            named are not compared. Rows are in the order of the keys of `rel`.",
    parameters: &[
        Parameter::relation("rel", "The one catalog, a row a product."),
        Parameter::relation("other", "The other catalog."),
        KEY,
        Parameter::constant(
            "title",
            ParameterType::Column,
            Default::Text("title"),
            "The column with what the product is called.",
        ),
        Parameter::constant(
            "brand",
            ParameterType::Column,
            Default::Null,
            "The column with who makes it.",
        ),
        Parameter::constant(
            "gtin",
            ParameterType::Column,
            Default::Null,
            "The column with its bar code: GTIN, EAN, UPC or ISBN.",
        ),
        Parameter::constant(
            "price",
            ParameterType::Column,
            Default::Null,
            "The column with what it costs, a number.",
        ),
        Parameter::new(
            "one_to_one",
            ParameterType::Boolean,
            Default::Boolean(true),
            "Whether a product matches at most one of the other catalog.",
        ),
        Parameter::new(
            "threshold",
            ParameterType::Float,
            Default::Float(0.5),
            "Least probability of a match, above 0 and below 1.",
        ),
        Parameter::new(
            "max_candidates",
            ParameterType::Integer,
            Default::Integer(10),
            "How many products of the other catalog are looked at for each.",
        ),
    ],
    positional: 1,
    columns: &[
        ResultColumn {
            name: "left_<key columns>",
            data_type: "as in rel",
            meaning: "The product of `rel`.",
        },
        ResultColumn {
            name: "right_<key columns>",
            data_type: "as in other",
            meaning: "The product of `other`.",
        },
        ResultColumn {
            name: "score",
            data_type: "double precision",
            meaning: "The probability that they are one.",
        },
        ResultColumn {
            name: "match_key",
            data_type: "text",
            meaning: "What spoke for it the most: 'title', 'model_code', 'brand', 'price' or 'gtin'.",
        },
    ],
    example: Example {
        setup: &[],
        sql: "SELECT left_id, right_id FROM fusion.match_products(\
              (SELECT * FROM (VALUES (1, 'Sony Cyber-shot DSC-W120 camera black'), \
              (2, 'Canon PowerShot SD1100 digital camera'), (3, 'Bosch kettle TWK3A011')) AS a (id, title)), \
              other => (SELECT * FROM (VALUES ('x', 'Sony DSCW120 digital camera'), \
              ('y', 'PowerShot SD1100 by Canon'), ('z', 'Philips iron GC1905')) AS b (id, title)), \
              key => 'id')",
        output: "1|x\n2|y",
    },
    source: "I. P. Fellegi, A. B. Sunter: A theory for record linkage, JASA 64 (1969), by expectation \
             maximisation with competing candidates.",
};

/// The columns that are compared, by argument.
const COLUMNS: [&str; 4] = ["title", "brand", "gtin", "price"];

/// The names of the columns in `rel`, in the order of [`COLUMNS`].
fn columns(call: &Call) -> Result<[Option<String>; 4]> {
    let (rel, other) = (call.input("rel")?, call.input("other")?);
    let mut names = [const { None }; 4];
    for (slot, argument) in names.iter_mut().zip(COLUMNS) {
        let Some(name) = call.text(argument)? else {
            continue;
        };
        let position = rel.column(&name).map_err(|error| {
            error.detail(format!(
                "It is given, or meant, by argument \"{argument}\"."
            ))
        })?;
        let name = rel.schema.field(position).name().clone();
        let at = counterpart(rel, &name, other, &name)?;
        if argument == "price" {
            check_numeric(rel, &name, rel.schema.field(position).data_type())?;
            check_numeric(other, &name, other.schema.field(at).data_type())?;
        }
        *slot = Some(name);
    }
    Ok(names)
}

fn algorithm(call: &Call) -> Result<Algorithm> {
    let threshold = call
        .float("threshold")?
        .ok_or_else(|| call.missing("threshold"))?;
    if !(threshold > 0.0 && threshold < 1.0) {
        return Err(Error::new(
            Kind::InvalidParameter,
            format!("argument \"threshold\" of fusion.match_products is out of range: {threshold}"),
        )
        .hint("It is a probability: greater than 0 and less than 1."));
    }
    Ok(Algorithm {
        one_to_one: call.boolean("one_to_one")?,
        threshold,
        candidates: call.count_within("max_candidates", 1, 1000)?,
    })
}

impl RelationFunction for MatchProducts {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        let (rel, other) = (call.input("rel")?, call.input("other")?);
        let key = distinct_names(rel, call, "key")?;
        let columns = columns(call)?;
        if call.is_complete() {
            algorithm(call)?;
        }
        let mut fields = key_fields(rel, &key, "left_")?;
        for name in &key {
            let position = counterpart(rel, name, other, name)?;
            let data_type = other.schema.field(position).data_type().clone();
            fields.push(Field::new(format!("right_{name}"), data_type, true));
        }
        fields.extend([
            Field::new("score", DataType::Float64, false),
            Field::new("match_key", DataType::Utf8, false),
        ]);
        Ok(Binding {
            schema: distinct_fields(fields)?,
            required: required(call, |input| {
                let mut found = key
                    .iter()
                    .chain(columns.iter().flatten())
                    .map(|name| input.column(name))
                    .collect::<Result<Vec<_>>>()?;
                found.sort_unstable();
                found.dedup();
                Ok(found)
            })?,
            tags: vec![],
        })
    }

    fn run(&self, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
        let algorithm = algorithm(call)?;
        let key = distinct_names(call.input("rel")?, call, "key")?;
        let columns = columns(call)?;
        let left = Rows::of(call, inputs, "rel", &key, run)?;
        let right = Rows::of(call, inputs, "other", &key, run)?;
        let sides = [
            Side::read(call.input("rel")?, &left, &columns, run)?,
            Side::read(call.input("other")?, &right, &columns, run)?,
        ];
        let [a, b] = [sides[0].texts(), sides[1].texts()];
        let found =
            run.compute(|| algorithm.fit(&sides[0].catalog(&a), &sides[1].catalog(&b), run))?;
        let at = [
            UInt32Array::from_iter_values(found.iter().map(|found| found.left)),
            UInt32Array::from_iter_values(found.iter().map(|found| found.right)),
        ];
        let mut result = Vec::new();
        for (rows, at) in [&left, &right].into_iter().zip(&at) {
            for column in &rows.keys {
                result.push(take(column, at, None)?);
            }
        }
        result.push(Arc::new(Float64Array::from_iter_values(
            found.iter().map(|found| found.score),
        )));
        result.push(Arc::new(StringArray::from_iter_values(found.iter().map(
            |found| match found.key {
                ProductKey::Title => "title",
                ProductKey::Code => "model_code",
                ProductKey::Brand => "brand",
                ProductKey::Price => "price",
                ProductKey::Gtin => "gtin",
            },
        ))));
        run.emit_columns(result)
    }
}

/// A catalog, read; what is not compared is absent.
struct Side {
    columns: [Option<StringArray>; 3],
    prices: Vec<f64>,
}

impl Side {
    fn read(
        described: &CallInput,
        rows: &Rows<'_>,
        [title, brand, gtin, price]: &[Option<String>; 4],
        run: &Run,
    ) -> Result<Self> {
        let text = |name: &Option<String>| name.as_ref().map(|name| rows.text(name)).transpose();
        let columns = [text(title)?, text(brand)?, text(gtin)?];
        let bytes = columns.iter().flatten().map(Array::get_array_memory_size);
        run.reserve(bytes.sum::<usize>() + rows.len().saturating_mul(56))?;
        let prices = match price {
            None => Vec::new(),
            Some(name) => {
                let column = rows.column(name)?;
                check_numeric(described, name, column.data_type())?;
                let column = cast(&column, &DataType::Float64)?;
                let numbers = arrow::array::AsArray::as_primitive::<Float64Type>(&column);
                numbers
                    .iter()
                    .map(|price| price.unwrap_or(f64::NAN))
                    .collect()
            }
        };
        Ok(Self { columns, prices })
    }

    fn texts(&self) -> [Vec<&str>; 3] {
        self.columns.each_ref().map(|column| match column {
            None => Vec::new(),
            Some(texts) => texts.iter().map(Option::unwrap_or_default).collect(),
        })
    }

    fn catalog<'a>(&'a self, [titles, brands, gtins]: &'a [Vec<&'a str>; 3]) -> Catalog<'a> {
        Catalog {
            titles,
            brands,
            gtins,
            prices: &self.prices,
        }
    }
}
