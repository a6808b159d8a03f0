//! Functions of text and types that need no catalog: quoting, sizes, type and encoding names.

use std::sync::Arc;

use datafusion::common::Result;

use super::super::SystemEnv;
use super::super::names::{quote_ident, quote_literal};
use super::super::rows::Value;
use super::{Declaration, VARIADIC, int, oid, text};
use crate::error::{Condition, Report};
use crate::pgtype;

pub(super) const DECLARATIONS: &[Declaration] = &[
    Declaration::new("format_type", &[&["oid", "int4"]], "text", format_type)
        .not_strict()
        .immutable(),
    Declaration::new("quote_ident", &[&["text"]], "text", |_, arguments| {
        Ok(quote_ident(text(arguments, 0)?).into())
    })
    .immutable(),
    Declaration::new("quote_literal", &[&["text"]], "text", |_, arguments| {
        Ok(quote_literal(text(arguments, 0)?).into())
    })
    .immutable(),
    Declaration::new("quote_nullable", &[&["text"]], "text", |_, arguments| {
        Ok(match arguments.first() {
            Some(Value::Text(text)) => quote_literal(text).into(),
            _ => "NULL".into(),
        })
    })
    .not_strict()
    .immutable(),
    Declaration::new("format", &[&["text", VARIADIC]], "text", format)
        .not_strict()
        .immutable(),
    Declaration::new("pg_size_pretty", &[&["int8"]], "text", |_, arguments| {
        Ok(size_pretty(int(arguments, 0)?).into())
    })
    .immutable(),
    Declaration::new(
        "pg_encoding_to_char",
        &[&["int4"]],
        "name",
        |_, arguments| {
            let number = int(arguments, 0)?;
            let name = ENCODINGS.iter().find(|(known, _)| *known == number);
            Ok(name.map_or("", |(_, name)| name).into())
        },
    ),
    Declaration::new(
        "pg_char_to_encoding",
        &[&["name"]],
        "int4",
        |_, arguments| {
            let name = text(arguments, 0)?;
            let plain = |name: &str| name.replace(['-', '_'], "").to_lowercase();
            let number = ENCODINGS
                .iter()
                .find(|(_, known)| plain(known) == plain(name));
            Ok(Value::Int(number.map_or(-1, |(number, _)| *number)))
        },
    ),
    Declaration::new(
        "oidvectortypes",
        &[&["oidvector"]],
        "text",
        |_, arguments| {
            Ok(match arguments.first() {
                Some(Value::Ints(oids)) => oids
                    .iter()
                    .map(|oid| pgtype::format_type(u32::try_from(*oid).unwrap_or(0), None))
                    .collect::<Vec<_>>()
                    .join(", ")
                    .into(),
                _ => Value::Null,
            })
        },
    ),
];

/// The encodings that clients ask about, with PostgreSQL's numbers.
const ENCODINGS: &[(i64, &str)] = &[
    (0, "SQL_ASCII"),
    (6, "UTF8"),
    (8, "LATIN1"),
    (16, "LATIN9"),
    (24, "WIN1252"),
];

fn format_type(_: &Arc<SystemEnv>, arguments: &[Value]) -> Result<Value> {
    if arguments.first() == Some(&Value::Null) {
        return Ok(Value::Null);
    }
    let modifier = match arguments.get(1) {
        Some(Value::Int(modifier)) => i32::try_from(*modifier).ok(),
        _ => None,
    };
    Ok(pgtype::format_type(oid(arguments, 0)?, modifier).into())
}

/// `format`: `%s` a value, `%I` a quoted name, `%L` a literal, each as `%[position$][-][width]s`.
fn format(_: &Arc<SystemEnv>, arguments: &[Value]) -> Result<Value> {
    let Some((Value::Text(pattern), values)) = arguments.split_first() else {
        return Ok(Value::Null);
    };
    let bad = |message: &str| Report::new(Condition::InvalidParameter, message);
    let mut output = String::new();
    let mut characters = pattern.chars().peekable();
    let mut next = 0;
    while let Some(character) = characters.next() {
        if character != '%' {
            output.push(character);
            continue;
        }
        if characters.next_if_eq(&'%').is_some() {
            output.push('%');
            continue;
        }
        let mut number = None;
        let mut left = false;
        loop {
            match characters.peek().copied() {
                Some('-') => left = true,
                Some('$') => match number.take() {
                    Some(0) | None => {
                        return Err(bad(
                            "format specifies argument 0, but arguments are numbered from 1",
                        )
                        .into());
                    }
                    Some(position) => next = position - 1,
                },
                Some(other) => match other.to_digit(10).and_then(|d| usize::try_from(d).ok()) {
                    Some(digit) => {
                        let before: usize = number.unwrap_or(0);
                        number = Some(before.saturating_mul(10).saturating_add(digit));
                    }
                    None => break,
                },
                None => return Err(bad("unterminated format() type specifier").into()),
            }
            characters.next();
        }
        let width = number.unwrap_or(0);
        if width > FORMAT_WIDTH_MAX {
            return Err(bad("number is out of range").into());
        }
        let Some(value) = values.get(next) else {
            return Err(bad("too few arguments for format()").into());
        };
        next += 1;
        let plain = match value {
            Value::Text(text) => Some(text.clone()),
            Value::Bool(value) => Some(if *value { "t" } else { "f" }.to_owned()),
            _ => None,
        };
        let text = match (characters.next(), plain) {
            (Some('s'), plain) => plain.unwrap_or_default(),
            (Some('I'), Some(plain)) => quote_ident(&plain),
            (Some('I'), None) => {
                return Err(bad("null values cannot be formatted as an SQL identifier").into());
            }
            (Some('L'), Some(plain)) => quote_literal(&plain),
            (Some('L'), None) => "NULL".to_owned(),
            (Some(other), _) => {
                return Err(
                    bad(&format!("unrecognized format() type specifier \"{other}\""))
                        .hint("For a single \"%\" use \"%%\".")
                        .into(),
                );
            }
            (None, _) => return Err(bad("unterminated format() type specifier").into()),
        };
        if left {
            output.push_str(&format!("{text:<width$}"));
        } else {
            output.push_str(&format!("{text:>width$}"));
        }
    }
    Ok(output.into())
}

/// The widest field of `format`, far beyond any table, far below what would fill the memory.
const FORMAT_WIDTH_MAX: usize = 10_000;

/// A number of bytes in the largest unit that leaves at least ten of it, rounded half away from zero.
fn size_pretty(bytes: i64) -> String {
    const UNITS: [&str; 6] = ["bytes", "kB", "MB", "GB", "TB", "PB"];
    const LIMIT: i128 = 10 * 1024;
    let mut size = i128::from(bytes);
    if size.abs() < LIMIT {
        return format!("{size} bytes");
    }
    // From here `size` is in halves of the unit, so that one more bit is left to round by.
    size /= 512;
    let mut unit = 1;
    while size.abs() >= 2 * LIMIT - 1 && unit < UNITS.len() - 1 {
        size /= 1024;
        unit += 1;
    }
    let rounded = (size + size.signum()) / 2;
    format!("{rounded} {}", UNITS.get(unit).copied().unwrap_or("PB"))
}

#[cfg(test)]
mod tests {
    use super::size_pretty;

    #[test]
    fn sizes_are_as_in_postgres() {
        for (bytes, pretty) in [
            (0, "0 bytes"),
            (10_239, "10239 bytes"),
            (10_240, "10 kB"),
            (10_485_247, "10239 kB"),
            (10_485_248, "10 MB"),
            (-10_485_248, "-10 MB"),
            (1_000_000_000_000, "931 GB"),
            (i64::MAX, "8192 PB"),
        ] {
            assert_eq!(size_pretty(bytes), pretty, "{bytes}");
        }
    }
}
