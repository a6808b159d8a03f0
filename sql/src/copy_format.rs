//! The text and CSV formats of COPY: their options, and reading rows from them.
//!
//! A [`CopyFormat`] is what the options of a statement come to. [`RowReader`] takes the bytes as they come, in pieces of any
//! size, and gives rows of texts, which are then brought to the columns' types as on any assignment. Writing is the
//! server's affair: it knows how values are written.

mod read;

use sqlparser::ast::{CopyLegacyCsvOption, CopyLegacyOption, CopyOption, Ident};

use crate::error::{Condition, Report, Result};
use crate::relation::normalise;

pub use read::RowReader;

/// Which of the formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Values between tabs, with backslashes before what would be misread.
    Text,
    /// Values between commas, in quotes where need be.
    Csv,
}

/// Columns that an option names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Columns {
    /// All of them.
    All,
    /// These.
    Named(Vec<String>),
}

impl Columns {
    /// Whether `name` is one of them.
    pub fn contains(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.iter().any(|named| named == name),
        }
    }
}

/// How rows are spelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyFormat {
    /// The format.
    pub kind: Kind,
    /// What stands between values.
    pub delimiter: u8,
    /// What NULL is written as.
    pub null: String,
    /// Whether the first line holds the names of the columns.
    pub header: bool,
    /// What a value is put between, in CSV.
    pub quote: u8,
    /// What stands before a quote within quotes, in CSV.
    pub escape: u8,
    /// Columns whose values are written in quotes in any case.
    pub force_quote: Columns,
    /// Columns whose values are never NULL.
    pub force_not_null: Columns,
    /// Columns in which the NULL text is NULL even in quotes.
    pub force_null: Columns,
}

/// The options of a COPY as they are written, each at most once.
#[derive(Default)]
struct Given {
    format: Option<String>,
    delimiter: Option<char>,
    null: Option<String>,
    header: Option<bool>,
    quote: Option<char>,
    escape: Option<char>,
    force_quote: Option<Vec<Ident>>,
    force_not_null: Option<Vec<Ident>>,
    force_null: Option<Vec<Ident>>,
    encoding: Option<String>,
}

fn once<T>(slot: &mut Option<T>, value: T) -> Result<()> {
    if slot.replace(value).is_some() {
        return Err(Report::new(Condition::Syntax, "conflicting or redundant options").into());
    }
    Ok(())
}

/// The name of the format that the options ask for: `text` where none does.
///
/// # Errors
/// For options given twice.
pub fn format_name(options: &[CopyOption], legacy: &[CopyLegacyOption]) -> Result<String> {
    Ok(given(options, legacy)?
        .format
        .unwrap_or_else(|| "text".to_owned()))
}

fn given(options: &[CopyOption], legacy: &[CopyLegacyOption]) -> Result<Given> {
    let mut given = Given::default();
    for option in options {
        match option.clone() {
            CopyOption::Format(name) => once(&mut given.format, name.value.to_lowercase())?,
            CopyOption::Delimiter(delimiter) => once(&mut given.delimiter, delimiter)?,
            CopyOption::Null(null) => once(&mut given.null, null)?,
            CopyOption::Header(header) => once(&mut given.header, header)?,
            CopyOption::Quote(quote) => once(&mut given.quote, quote)?,
            CopyOption::Escape(escape) => once(&mut given.escape, escape)?,
            CopyOption::ForceQuote(columns) => once(&mut given.force_quote, columns)?,
            CopyOption::ForceNotNull(columns) => once(&mut given.force_not_null, columns)?,
            CopyOption::ForceNull(columns) => once(&mut given.force_null, columns)?,
            CopyOption::Encoding(encoding) => once(&mut given.encoding, encoding)?,
            // Rows become visible by the commit alone, whatever this asks for.
            CopyOption::Freeze(_) => {}
        }
    }
    for option in legacy {
        match option {
            CopyLegacyOption::Binary => once(&mut given.format, "binary".to_owned())?,
            CopyLegacyOption::Delimiter(delimiter) => once(&mut given.delimiter, *delimiter)?,
            CopyLegacyOption::Null(null) => once(&mut given.null, null.clone())?,
            CopyLegacyOption::Header => once(&mut given.header, true)?,
            CopyLegacyOption::Csv(options) => {
                once(&mut given.format, "csv".to_owned())?;
                for option in options {
                    match option.clone() {
                        CopyLegacyCsvOption::Header => once(&mut given.header, true)?,
                        CopyLegacyCsvOption::Quote(quote) => once(&mut given.quote, quote)?,
                        CopyLegacyCsvOption::Escape(escape) => once(&mut given.escape, escape)?,
                        CopyLegacyCsvOption::ForceQuote(columns) => {
                            once(&mut given.force_quote, columns)?;
                        }
                        CopyLegacyCsvOption::ForceNotNull(columns) => {
                            once(&mut given.force_not_null, columns)?;
                        }
                    }
                }
            }
            other => {
                return Err(Report::unsupported(format!("the COPY option {other}")).into());
            }
        }
    }
    Ok(given)
}

impl CopyFormat {
    /// The format that the options of a statement ask for; `reads` says whether it is COPY FROM.
    ///
    /// # Errors
    /// As PostgreSQL: for options that do not go together, or not with the format.
    pub fn new(options: &[CopyOption], legacy: &[CopyLegacyOption], reads: bool) -> Result<Self> {
        let given = given(options, legacy)?;
        let kind = match given.format.as_deref() {
            None | Some("text") => Kind::Text,
            Some("csv") => Kind::Csv,
            Some("binary") => {
                return Err(Report::unsupported("COPY in binary format")
                    .hint("The formats are text, csv and, for files, parquet.")
                    .into());
            }
            Some(other) => {
                return Err(Report::new(
                    Condition::InvalidParameter,
                    format!("COPY format \"{other}\" not recognized"),
                )
                .hint("The formats are text, csv and, for files, parquet.")
                .into());
            }
        };
        if let Some(encoding) = &given.encoding
            && !matches!(
                encoding.to_lowercase().as_str(),
                "utf8" | "utf-8" | "unicode"
            )
        {
            return Err(
                Report::unsupported(format!("COPY in encoding \"{encoding}\""))
                    .hint("Text is UTF8.")
                    .into(),
            );
        }
        let is_csv = kind == Kind::Csv;
        let delimiter = one_byte(
            given.delimiter.unwrap_or(if is_csv { ',' } else { '\t' }),
            "delimiter",
        )?;
        let null = given
            .null
            .unwrap_or_else(|| if is_csv { "" } else { "\\N" }.to_owned());
        let wrong = |message: &str| -> Result<()> {
            Err(Report::new(Condition::InvalidParameter, message.to_owned()).into())
        };
        if matches!(delimiter, b'\n' | b'\r') {
            wrong("COPY delimiter cannot be newline or carriage return")?;
        }
        if null.contains(['\n', '\r']) {
            wrong("COPY null representation cannot use newline or carriage return")?;
        }
        if !is_csv
            && (delimiter.is_ascii_lowercase()
                || delimiter.is_ascii_digit()
                || matches!(delimiter, b'\\' | b'.'))
        {
            wrong(&format!(
                "COPY delimiter cannot be \"{}\"",
                char::from(delimiter)
            ))?;
        }
        if !is_csv {
            for (name, is_given) in [
                ("quote", given.quote.is_some()),
                ("escape", given.escape.is_some()),
                ("force quote", given.force_quote.is_some()),
                ("force not null", given.force_not_null.is_some()),
                ("force null", given.force_null.is_some()),
            ] {
                if is_given {
                    return Err(Report::unsupported(format!("COPY {name} outside CSV mode")).into());
                }
            }
        }
        for (name, is_given, needs) in [
            ("force quote", given.force_quote.is_some(), false),
            ("force not null", given.force_not_null.is_some(), true),
            ("force null", given.force_null.is_some(), true),
        ] {
            if is_given && needs != reads {
                let only = if needs { "COPY FROM" } else { "COPY TO" };
                return Err(Report::unsupported(format!("COPY {name} but in {only}")).into());
            }
        }
        let quote = one_byte(given.quote.unwrap_or('"'), "quote")?;
        let escape = match given.escape {
            Some(escape) => one_byte(escape, "escape")?,
            None => quote,
        };
        if is_csv && delimiter == quote {
            wrong("COPY delimiter and quote must be different")?;
        }
        let spelled = null.as_bytes();
        if spelled.contains(&delimiter) {
            wrong("COPY delimiter must not appear in the NULL specification")?;
        }
        if is_csv && spelled.contains(&quote) {
            wrong("CSV quote character must not appear in the NULL specification")?;
        }
        let named = |columns: Option<Vec<Ident>>| {
            Columns::Named(columns.unwrap_or_default().iter().map(normalise).collect())
        };
        Ok(Self {
            kind,
            delimiter,
            null,
            header: given.header.unwrap_or(false),
            quote,
            escape,
            force_quote: named(given.force_quote),
            force_not_null: named(given.force_not_null),
            force_null: named(given.force_null),
        })
    }

    /// Refuses columns named in options that the COPY has not.
    ///
    /// # Errors
    /// [`Condition::UndefinedColumn`].
    pub fn check_columns(&self, names: &[String]) -> Result<()> {
        for (option, columns) in [
            ("FORCE_QUOTE", &self.force_quote),
            ("FORCE_NOT_NULL", &self.force_not_null),
            ("FORCE_NULL", &self.force_null),
        ] {
            let Columns::Named(named) = columns else {
                continue;
            };
            if let Some(unknown) = named.iter().find(|named| !names.contains(named)) {
                return Err(Report::new(
                    Condition::UndefinedColumn,
                    format!("{option} column \"{unknown}\" not referenced by COPY"),
                )
                .into());
            }
        }
        Ok(())
    }
}

fn one_byte(given: char, what: &str) -> Result<u8> {
    u8::try_from(given)
        .ok()
        .filter(u8::is_ascii)
        .ok_or_else(|| {
            Report::new(
                Condition::InvalidParameter,
                format!("COPY {what} must be a single one-byte character"),
            )
            .into()
        })
}
