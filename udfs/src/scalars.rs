//! Scalar functions beside the relation functions: normalisers of identifiers, and in [`similarities`]
//! how alike two texts are.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::{Result as DataFusionResult, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, DocSection, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, TypeSignature, Volatility,
};
use tributary_algo::fusion::normalise;
use tributary_algo::text::{self, Phonetic};

use crate::error::{Error, Kind};

mod similarities;

/// The section of the documents that these functions are in.
const SECTION: DocSection = DocSection {
    include: true,
    label: "Identifiers",
    description: None,
};

/// Every scalar function.
pub fn all() -> Vec<Arc<ScalarUDF>> {
    let mut functions: Vec<Arc<ScalarUDF>> = [
        email_norm(),
        phone_e164(),
        name_norm(),
        name_key(),
        unaccent(),
        address_key(),
        gtin_norm(),
    ]
    .into_iter()
    .map(|function| Arc::new(ScalarUDF::from(function)))
    .collect();
    functions.extend(similarities::all());
    functions
}

fn email_norm() -> Normaliser {
    Normaliser {
        name: "email_norm",
        apply: |value, _| Ok(normalise::email_norm(value)),
        signature: signature(1),
        documentation: Documentation::builder(
            SECTION,
            "The one form of an e-mail address: blanks around it go, letters become small, and where a \
             mail provider delivers several spellings to one mailbox (dots and +tags at Gmail, +tags at \
             Outlook, Fastmail, iCloud and Proton), the mailbox's own. NULL for what is not an address, \
             and for what stands for none, such as 'n/a'.",
            "email_norm(address text) -> text",
        )
        .with_argument("address", "The address as it was typed.")
        .with_sql_example("SELECT email_norm(' Ann.Lee+news@GoogleMail.com ') -- annlee@gmail.com")
        .build(),
    }
}

fn phone_e164() -> Normaliser {
    Normaliser {
        name: "phone_e164",
        apply: phone,
        signature: signature(2),
        documentation: Documentation::builder(
            SECTION,
            "A telephone number as + and digits, after ITU-T E.164: punctuation, brackets, the trunk \
             prefix and an extension go, and a number without country code gets the region's. It is a \
             rule of digits and lengths, not a numbering plan. NULL for what is not a number, and for \
             what stands for none.",
            "phone_e164(number text, region text DEFAULT 'US') -> text",
        )
        .with_argument("number", "The number as it was typed.")
        .with_argument(
            "region",
            "Where a number without country code is from, as two letters of ISO 3166.",
        )
        .with_sql_example("SELECT phone_e164('(030) 901820', 'DE') -- +4930901820")
        .build(),
    }
}

fn name_norm() -> Normaliser {
    Normaliser {
        name: "name_norm",
        apply: |value, _| Ok(text::name_norm(value)),
        signature: signature(1),
        documentation: Documentation::builder(
            SECTION,
            "One spelling of a person's name: small letters without accents, one blank between words, no \
             titles, no generational suffixes, no punctuation. Names in other scripts keep their letters; \
             Chinese, Japanese and Korean ones lose the blanks between their characters. NULL for what \
             has no letter, and for what stands for no name.",
            "name_norm(name text) -> text",
        )
        .with_argument("name", "The name as it was typed.")
        .with_sql_example("SELECT name_norm('Dr. José O''Neill, Jr.') -- jose oneill")
        .build(),
    }
}

fn name_key() -> Normaliser {
    Normaliser {
        name: "name_key",
        apply: |value, method| {
            let phonetic = match method.map(|method| method.trim().to_ascii_lowercase()) {
                None => Phonetic::DoubleMetaphone,
                Some(method) => match method.as_str() {
                    "double_metaphone" => Phonetic::DoubleMetaphone,
                    "soundex" => Phonetic::Soundex,
                    "nysiis" => Phonetic::Nysiis,
                    _ => {
                        return Err(Error::new(
                            Kind::InvalidParameter,
                            format!("\"{method}\" is not a method that name_key knows"),
                        )
                        .hint("It knows: double_metaphone, soundex, nysiis."));
                    }
                },
            };
            Ok(text::name_key(value, phonetic))
        },
        signature: signature(2),
        documentation: Documentation::builder(
            SECTION,
            "How a name sounds, word by word, after name_norm(): names that sound alike have the same \
             key. Words that are not in Latin letters stand for themselves. NULL where name_norm() is.",
            "name_key(name text, method text DEFAULT 'double_metaphone') -> text",
        )
        .with_argument("name", "The name as it was typed.")
        .with_argument("method", "'double_metaphone', 'soundex' or 'nysiis'.")
        .with_sql_example("SELECT name_key('Ann Smith') -- AN SM0")
        .build(),
    }
}

fn unaccent() -> Normaliser {
    Normaliser {
        name: "unaccent",
        apply: |value, _| Ok(Some(text::unaccent(value))),
        signature: signature(1),
        documentation: Documentation::builder(
            SECTION,
            "The text with Latin letters without their accents, and ligatures written out; letters of \
             other scripts stay, as do the vowel signs of those that are written with them.",
            "unaccent(value text) -> text",
        )
        .with_argument("value", "The text.")
        .with_sql_example("SELECT unaccent('Crème Brûlée') -- Creme Brulee")
        .build(),
    }
}

fn address_key() -> Normaliser {
    Normaliser {
        name: "address_key",
        apply: |value, _| Ok(text::address_key(value)),
        signature: signature(1),
        documentation: Documentation::builder(
            SECTION,
            "One spelling of a street address: small letters without accents, the numbers first, common \
             abbreviations written out, words for the kind of dwelling left out. Chinese, Japanese and \
             Korean addresses keep their order. NULL for what stands for no address.",
            "address_key(address text) -> text",
        )
        .with_argument("address", "The address as it was typed.")
        .with_sql_example("SELECT address_key('5 Main St. Apt 2') -- 5 2 main street")
        .build(),
    }
}

fn gtin_norm() -> Normaliser {
    Normaliser {
        name: "gtin_norm",
        apply: |value, _| Ok(text::gtin_norm(value)),
        signature: signature(1),
        documentation: Documentation::builder(
            SECTION,
            "The 14 digits of a global trade item number, the same whether it was written as UPC-A, EAN, \
             ISBN-13, GTIN-14 or a number without its leading zeros. NULL for a wrong check digit, and \
             for numbers that only mean something inside one shop.",
            "gtin_norm(number text) -> text",
        )
        .with_argument("number", "The number as it was written.")
        .with_sql_example("SELECT gtin_norm('4006381333931') -- 04006381333931")
        .build(),
    }
}

/// One to `arguments` arguments of text.
fn signature(arguments: usize) -> Signature {
    Signature::one_of(
        (1..=arguments).map(TypeSignature::String).collect(),
        Volatility::Immutable,
    )
}

/// Regions, by their two letters of ISO 3166, with their calling codes.
const CALLING_CODES: [(&str, &str); 40] = [
    ("AR", "54"),
    ("AT", "43"),
    ("AU", "61"),
    ("BE", "32"),
    ("BR", "55"),
    ("CA", "1"),
    ("CH", "41"),
    ("CL", "56"),
    ("CN", "86"),
    ("CO", "57"),
    ("DE", "49"),
    ("DK", "45"),
    ("EG", "20"),
    ("ES", "34"),
    ("FR", "33"),
    ("GB", "44"),
    ("GR", "30"),
    ("HU", "36"),
    ("ID", "62"),
    ("IN", "91"),
    ("IT", "39"),
    ("JP", "81"),
    ("KR", "82"),
    ("MX", "52"),
    ("MY", "60"),
    ("NL", "31"),
    ("NO", "47"),
    ("NZ", "64"),
    ("PE", "51"),
    ("PH", "63"),
    ("PL", "48"),
    ("RO", "40"),
    ("RU", "7"),
    ("SE", "46"),
    ("SG", "65"),
    ("TH", "66"),
    ("TR", "90"),
    ("US", "1"),
    ("VN", "84"),
    ("ZA", "27"),
];

fn phone(number: &str, region: Option<&str>) -> Result<Option<String>, Error> {
    let region = region.unwrap_or("US");
    let letters = region.trim().to_ascii_uppercase();
    let (_, code) = CALLING_CODES
        .iter()
        .find(|(known, _)| *known == letters)
        .ok_or_else(|| {
            let known: Vec<&str> = CALLING_CODES.iter().map(|(letters, _)| *letters).collect();
            Error::new(
                Kind::InvalidParameter,
                format!("\"{region}\" is not a region that phone_e164 knows"),
            )
            .hint(format!("It knows: {}.", known.join(", ")))
        })?;
    Ok(normalise::phone_norm(number, Some(code)))
}

/// A function from text, and perhaps an option as text, to text or NULL.
struct Normaliser {
    name: &'static str,
    apply: fn(&str, Option<&str>) -> Result<Option<String>, Error>,
    signature: Signature,
    documentation: Documentation,
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

impl Hash for Normaliser {
    fn hash<H: Hasher>(&self, state: &mut H) {
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
            .map(|value| Ok(cast(&value.into_array(rows)?, &DataType::Utf8)?))
            .collect::<DataFusionResult<Vec<ArrayRef>>>()?;
        let texts = columns
            .first()
            .ok_or_else(|| Error::internal("a normaliser has an argument"))?;
        let options = columns.get(1).map(|options| options.as_string::<i32>());
        let mut output = StringBuilder::new();
        for (row, text) in texts.as_string::<i32>().iter().enumerate() {
            let option = options.map(|options| options.is_valid(row).then(|| options.value(row)));
            match (text, option) {
                (None, _) | (_, Some(None)) => output.append_null(),
                (Some(text), None) => output.append_option((self.apply)(text, None)?),
                (Some(text), Some(option)) => output.append_option((self.apply)(text, option)?),
            }
        }
        let output: ArrayRef = Arc::new(output.finish());
        Ok(if is_scalar {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&output, 0)?)
        } else {
            ColumnarValue::Array(output)
        })
    }
}
