//! Scalar functions that compare: how alike two texts are, and whether a number is one.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanBuilder, Float64Builder, Int32Builder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::types::{logical_int64, logical_string};
use datafusion::common::{Result as DataFusionResult, ScalarValue};
use datafusion::logical_expr::{
    Coercion, ColumnarValue, DocSection, Documentation, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, TypeSignature, TypeSignatureClass, Volatility,
};
use tributary_algo::text;

use crate::error::{Error, Kind};

const SECTION: DocSection = DocSection {
    include: true,
    label: "Similarities",
    description: None,
};

/// Characters of a gram where none are given.
const GRAM: i64 = 3;

/// Every function of this kind.
pub fn all() -> Vec<Arc<ScalarUDF>> {
    [
        Comparison {
            name: "gtin_valid",
            apply: Apply::Check(text::gtin_valid),
            documentation: Documentation::builder(
                SECTION,
                "Whether a text is a global trade item number of 8, 12, 13 or 14 digits with the right \
                 check digit; blanks and hyphens do not matter.",
                "gtin_valid(number text) -> boolean",
            )
            .with_argument("number", "The number as it was written.")
            .with_sql_example("SELECT gtin_valid('4006381333931') -- true")
            .build(),
        },
        Comparison {
            name: "jaro",
            apply: Apply::Share(text::jaro),
            documentation: two(
                "Jaro similarity, from 0 to 1 for equal: how many characters are there in both, and in \
                 the same order.",
                "jaro(a text, b text) -> double precision",
                "SELECT round(jaro('MARTHA', 'MARHTA')::numeric, 3) -- 0.944",
            ),
        },
        Comparison {
            name: "jaro_winkler",
            apply: Apply::Share(text::jaro_winkler),
            documentation: two(
                "Jaro-Winkler similarity, from 0 to 1 for equal: jaro(), and where that is over 0.7, a \
                 tenth of the way to 1 for each of up to four characters of common beginning.",
                "jaro_winkler(a text, b text) -> double precision",
                "SELECT round(jaro_winkler('MARTHA', 'MARHTA')::numeric, 3) -- 0.961",
            ),
        },
        Comparison {
            name: "damerau_levenshtein",
            apply: Apply::Distance(text::damerau_levenshtein),
            documentation: two(
                "The least number of insertions, deletions and substitutions of characters, and of \
                 exchanges of neighbours, that make one text of the other. levenshtein() is without \
                 exchanges.",
                "damerau_levenshtein(a text, b text) -> integer",
                "SELECT damerau_levenshtein('smith', 'smiht') -- 1",
            ),
        },
        Comparison {
            name: "jaccard",
            apply: Apply::Grams(text::jaccard),
            documentation: grams(
                "Jaccard index of the pieces of `q` characters of two texts, from 0 to 1: pieces in both \
                 by pieces in either. Each word counts with a blank before and behind it, without regard \
                 to case.",
                "jaccard(a text, b text, q bigint DEFAULT 3) -> double precision",
                "SELECT jaccard('smith', 'smyth', 2) -- 0.5",
            ),
        },
        Comparison {
            name: "cosine",
            apply: Apply::Grams(text::cosine),
            documentation: grams(
                "Cosine of the counts of the pieces of `q` characters of two texts, from 0 to 1. Each \
                 word counts with a blank before and behind it, without regard to case.",
                "cosine(a text, b text, q bigint DEFAULT 3) -> double precision",
                "SELECT round(cosine('smith', 'smyth', 2)::numeric, 3) -- 0.667",
            ),
        },
    ]
    .into_iter()
    .map(|comparison| Arc::new(ScalarUDF::from(Scored::of(comparison))))
    .collect()
}

fn two(description: &str, syntax: &str, example: &str) -> Documentation {
    Documentation::builder(SECTION, description, syntax)
        .with_argument("a", "One text.")
        .with_argument("b", "The other.")
        .with_sql_example(example)
        .build()
}

fn grams(description: &str, syntax: &str, example: &str) -> Documentation {
    Documentation::builder(SECTION, description, syntax)
        .with_argument("a", "One text.")
        .with_argument("b", "The other.")
        .with_argument("q", "Characters of a piece, from 1 to 100.")
        .with_sql_example(example)
        .build()
}

/// What a function computes.
#[derive(Clone, Copy)]
enum Apply {
    Check(fn(&str) -> bool),
    Share(fn(&str, &str) -> f64),
    Distance(fn(&str, &str) -> usize),
    Grams(fn(&str, &str, usize) -> f64),
}

/// A function's definition.
struct Comparison {
    name: &'static str,
    apply: Apply,
    documentation: Documentation,
}

/// The function.
struct Scored {
    name: &'static str,
    apply: Apply,
    signature: Signature,
    documentation: Documentation,
}

impl Scored {
    fn of(comparison: Comparison) -> Self {
        let text = || Coercion::new_exact(TypeSignatureClass::Native(logical_string()));
        let whole = || {
            Coercion::new_implicit(
                TypeSignatureClass::Native(logical_int64()),
                vec![TypeSignatureClass::Integer],
                datafusion::common::types::NativeType::Int64,
            )
        };
        let arguments = match comparison.apply {
            Apply::Check(_) => vec![TypeSignature::Coercible(vec![text()])],
            Apply::Share(_) | Apply::Distance(_) => {
                vec![TypeSignature::Coercible(vec![text(), text()])]
            }
            Apply::Grams(_) => vec![
                TypeSignature::Coercible(vec![text(), text()]),
                TypeSignature::Coercible(vec![text(), text(), whole()]),
            ],
        };
        Self {
            name: comparison.name,
            apply: comparison.apply,
            signature: Signature::one_of(arguments, Volatility::Immutable),
            documentation: comparison.documentation,
        }
    }
}

impl std::fmt::Debug for Scored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Scored {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Scored {}

impl Hash for Scored {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Scored {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> DataFusionResult<DataType> {
        Ok(match self.apply {
            Apply::Check(_) => DataType::Boolean,
            Apply::Distance(_) => DataType::Int32,
            Apply::Share(_) | Apply::Grams(_) => DataType::Float64,
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let is_scalar = args
            .args
            .iter()
            .all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let rows = if is_scalar { 1 } else { args.number_rows };
        let columns = args
            .args
            .into_iter()
            .map(|value| value.into_array(rows))
            .collect::<DataFusionResult<Vec<ArrayRef>>>()?;
        let texts = columns
            .iter()
            .take(2)
            .map(|column| Ok(cast(column, &DataType::Utf8)?))
            .collect::<DataFusionResult<Vec<ArrayRef>>>()?;
        let text = |column: usize, row: usize| -> Option<&str> {
            let texts = texts.get(column)?.as_string::<i32>();
            texts.is_valid(row).then(|| texts.value(row))
        };
        let pair = |row: usize| text(0, row).zip(text(1, row));
        let output: ArrayRef = match self.apply {
            Apply::Check(check) => {
                let mut found = BooleanBuilder::with_capacity(rows);
                (0..rows).for_each(|row| found.append_option(text(0, row).map(check)));
                Arc::new(found.finish())
            }
            Apply::Distance(distance) => {
                let mut found = Int32Builder::with_capacity(rows);
                for row in 0..rows {
                    let steps = pair(row).map(|(a, b)| distance(a, b));
                    found
                        .append_option(steps.map(|steps| i32::try_from(steps).unwrap_or(i32::MAX)));
                }
                Arc::new(found.finish())
            }
            Apply::Share(share) => {
                let mut found = Float64Builder::with_capacity(rows);
                (0..rows).for_each(|row| found.append_option(pair(row).map(|(a, b)| share(a, b))));
                Arc::new(found.finish())
            }
            Apply::Grams(share) => {
                let lengths = columns
                    .get(2)
                    .map(|column| cast(column, &DataType::Int64))
                    .transpose()?;
                let mut found = Float64Builder::with_capacity(rows);
                for row in 0..rows {
                    let length = match &lengths {
                        None => Some(GRAM),
                        Some(lengths) if lengths.is_null(row) => None,
                        Some(lengths) => Some(lengths.as_primitive::<Int64Type>().value(row)),
                    };
                    let length = length.map(|length| self.length(length)).transpose()?;
                    let share = pair(row)
                        .zip(length)
                        .map(|((a, b), length)| share(a, b, length));
                    found.append_option(share);
                }
                Arc::new(found.finish())
            }
        };
        Ok(if is_scalar {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&output, 0)?)
        } else {
            ColumnarValue::Array(output)
        })
    }
}

impl Scored {
    fn length(&self, length: i64) -> Result<usize, Error> {
        match usize::try_from(length) {
            Ok(length @ 1..=100) => Ok(length),
            _ => Err(Error::new(
                Kind::InvalidParameter,
                format!("argument \"q\" of {} is out of range: {length}", self.name),
            )
            .hint("It must be from 1 to 100.")),
        }
    }
}
