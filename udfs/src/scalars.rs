//! Scalar functions beside the relation functions: normalisers of identifiers.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::Result as DataFusionResult;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility,
};
use tributary_algo::fusion::normalise;

use crate::error::{Error, Kind};

/// Every scalar function.
pub fn all() -> Vec<Arc<ScalarUDF>> {
    let normalisers = [
        Normaliser {
            name: "email_norm",
            option: false,
            apply: |text, _| Ok(normalise::email_norm(text)),
            signature: signature(1),
        },
        Normaliser {
            name: "phone_e164",
            option: true,
            apply: phone,
            signature: signature(2),
        },
    ];
    normalisers
        .into_iter()
        .map(|function| Arc::new(ScalarUDF::from(function)))
        .collect()
}

fn signature(arguments: usize) -> Signature {
    Signature::one_of(
        (1..=arguments).map(TypeSignature::String).collect(),
        Volatility::Immutable,
    )
}

/// The calling code of a country by its two letters of ISO 3166.
fn calling_code(region: &str) -> Option<&'static str> {
    const CODES: [(&str, &str); 40] = [
        ("US", "1"),
        ("CA", "1"),
        ("RU", "7"),
        ("EG", "20"),
        ("ZA", "27"),
        ("GR", "30"),
        ("NL", "31"),
        ("BE", "32"),
        ("FR", "33"),
        ("ES", "34"),
        ("HU", "36"),
        ("IT", "39"),
        ("RO", "40"),
        ("CH", "41"),
        ("AT", "43"),
        ("GB", "44"),
        ("DK", "45"),
        ("SE", "46"),
        ("NO", "47"),
        ("PL", "48"),
        ("DE", "49"),
        ("PE", "51"),
        ("MX", "52"),
        ("AR", "54"),
        ("BR", "55"),
        ("CL", "56"),
        ("CO", "57"),
        ("MY", "60"),
        ("AU", "61"),
        ("ID", "62"),
        ("PH", "63"),
        ("NZ", "64"),
        ("SG", "65"),
        ("TH", "66"),
        ("JP", "81"),
        ("KR", "82"),
        ("VN", "84"),
        ("CN", "86"),
        ("TR", "90"),
        ("IN", "91"),
    ];
    let region = region.trim().to_ascii_uppercase();
    CODES
        .iter()
        .find(|(letters, _)| *letters == region)
        .map(|(_, code)| *code)
}

fn phone(text: &str, region: Option<&str>) -> Result<Option<String>, Error> {
    let region = region.unwrap_or("US");
    let code = calling_code(region).ok_or_else(|| {
        Error::new(
            Kind::InvalidParameter,
            format!("\"{region}\" is not a region that phone_e164 knows"),
        )
        .hint("Give the two letters of ISO 3166, such as 'US', 'DE' or 'CN'.")
    })?;
    Ok(normalise::phone_norm(text, Some(code)))
}

type Apply = fn(&str, Option<&str>) -> Result<Option<String>, Error>;

/// A function from text, and perhaps an option as text, to text or NULL.
struct Normaliser {
    name: &'static str,
    option: bool,
    apply: Apply,
    signature: Signature,
}

impl std::fmt::Debug for Normaliser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Normaliser {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Normaliser {}

impl std::hash::Hash for Normaliser {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Normaliser {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> DataFusionResult<DataType> {
        Ok(DataType::Utf8)
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
            .map(|value| Ok(cast(&value.into_array(rows)?, &DataType::Utf8)?))
            .collect::<DataFusionResult<Vec<ArrayRef>>>()?;
        let (Some(texts), options) = (columns.first(), columns.get(1)) else {
            return Err(Error::internal("a normaliser has an argument").into());
        };
        let options = options
            .filter(|_| self.option)
            .map(|options| options.as_string::<i32>());
        let mut output = StringBuilder::new();
        for (row, text) in texts.as_string::<i32>().iter().enumerate() {
            let option = match options {
                Some(options) if arrow::array::Array::is_null(options, row) => {
                    output.append_null();
                    continue;
                }
                Some(options) => Some(options.value(row)),
                None => None,
            };
            match text {
                Some(text) => output.append_option((self.apply)(text, option)?),
                None => output.append_null(),
            }
        }
        let output: ArrayRef = Arc::new(output.finish());
        Ok(if is_scalar {
            ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(&output, 0)?)
        } else {
            ColumnarValue::Array(output)
        })
    }
}
