//! Default values of columns: SQL text with us, a literal or an expression in the catalog.

use super::types::ColumnType;

/// A default as the catalog has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDefault {
    /// The text of a literal without quotes, or an expression; `NULL` if there is no default.
    pub value: String,
    /// `literal` or `expression`.
    pub kind: &'static str,
    /// Whose SQL an expression is.
    pub dialect: &'static str,
}

/// The form in which the default `sql` of a column is stored.
pub fn store(sql: Option<&str>) -> StoredDefault {
    let literal = |value: String| StoredDefault {
        value,
        kind: "literal",
        dialect: "duckdb",
    };
    let Some(sql) = sql.map(str::trim) else {
        return literal("NULL".to_owned());
    };
    if is_number(sql) {
        return literal(sql.to_owned());
    }
    match unquote(sql) {
        // The text NULL as a literal would be no default.
        Some(text) if text != "NULL" => literal(text),
        _ => StoredDefault {
            value: sql.to_owned(),
            kind: "expression",
            dialect: "postgres",
        },
    }
}

/// The SQL text of a stored default; none if there is no default.
pub fn load(value: Option<&str>, kind: Option<&str>, column_type: &ColumnType) -> Option<String> {
    use ColumnType as T;
    let value = value?;
    if kind == Some("expression") {
        return (!value.eq_ignore_ascii_case("NULL")).then(|| value.to_owned());
    }
    if value == "NULL" || kind == Some("") {
        return None;
    }
    let numeric = matches!(
        column_type,
        T::Int8
            | T::Int16
            | T::Int32
            | T::Int64
            | T::UInt8
            | T::UInt16
            | T::UInt32
            | T::UInt64
            | T::Float32
            | T::Float64
            | T::Decimal(..)
    );
    Some(if numeric && is_number(value) {
        value.to_owned()
    } else {
        format!("'{}'", value.replace('\'', "''"))
    })
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    all_digits(whole) && all_digits(fraction)
}

fn unquote(sql: &str) -> Option<String> {
    let inner = sql.strip_prefix('\'')?.strip_suffix('\'')?;
    (!inner.replace("''", "").contains('\'')).then(|| inner.replace("''", "'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_expressions_come_back() {
        for (sql, column_type, value, kind) in [
            (Some("5"), ColumnType::Int32, "5", "literal"),
            (
                Some("-1.50"),
                ColumnType::Decimal(10, 2),
                "-1.50",
                "literal",
            ),
            (Some("'it''s'"), ColumnType::Varchar, "it's", "literal"),
            (Some("'5'"), ColumnType::Varchar, "5", "literal"),
            (
                Some("'2020-01-01'"),
                ColumnType::Date,
                "2020-01-01",
                "literal",
            ),
            (Some("now()"), ColumnType::Timestamp, "now()", "expression"),
            (
                Some("'a' || 'b'"),
                ColumnType::Varchar,
                "'a' || 'b'",
                "expression",
            ),
            (Some("'NULL'"), ColumnType::Varchar, "'NULL'", "expression"),
            (Some("true"), ColumnType::Boolean, "true", "expression"),
            (Some("''"), ColumnType::Varchar, "", "literal"),
            (None, ColumnType::Varchar, "NULL", "literal"),
        ] {
            let stored = store(sql);
            assert_eq!(
                (stored.value.as_str(), stored.kind),
                (value, kind),
                "{sql:?}"
            );
            assert_eq!(
                load(Some(&stored.value), Some(stored.kind), &column_type).as_deref(),
                sql,
                "{sql:?}"
            );
        }
        assert_eq!(load(Some("NULL"), Some(""), &ColumnType::List), None);
    }
}
