//! Types and values as error texts show them: in the words of SQL.

use arrow::datatypes::{DataType, IntervalUnit};
use datafusion::common::ScalarValue;

/// A type's name in SQL.
pub fn sql_type(data_type: &DataType) -> String {
    match data_type {
        DataType::Null => "unknown".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => "smallint".to_owned(),
        DataType::Int32 | DataType::UInt16 => "integer".to_owned(),
        DataType::Int64 | DataType::UInt32 => "bigint".to_owned(),
        DataType::UInt64 => "numeric".to_owned(),
        DataType::Float16 | DataType::Float32 => "real".to_owned(),
        DataType::Float64 => "double precision".to_owned(),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => format!("numeric({precision},{scale})"),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text".to_owned(),
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => "bytea".to_owned(),
        DataType::Date32 | DataType::Date64 => "date".to_owned(),
        DataType::Time32(_) | DataType::Time64(_) => "time".to_owned(),
        DataType::Timestamp(_, None) => "timestamp".to_owned(),
        DataType::Timestamp(_, Some(_)) => "timestamp with time zone".to_owned(),
        DataType::Duration(_)
        | DataType::Interval(
            IntervalUnit::YearMonth | IntervalUnit::DayTime | IntervalUnit::MonthDayNano,
        ) => "interval".to_owned(),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => format!("{}[]", sql_type(item.data_type())),
        DataType::Dictionary(_, values) => sql_type(values),
        DataType::RunEndEncoded(_, values) => sql_type(values.data_type()),
        DataType::Struct(_) | DataType::Map(..) | DataType::Union(..) => "record".to_owned(),
    }
}

/// The type with which values of `data_type` lie one behind another: views of text or bytes, whose
/// slices keep all that they were sliced from, become plain text or bytes.
pub fn plain_layout(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Utf8View => &DataType::Utf8,
        DataType::BinaryView => &DataType::Binary,
        other => other,
    }
}

/// A number as SQL writes it.
pub fn sql_number(number: f64) -> String {
    if number.is_nan() {
        "NaN".to_owned()
    } else if number.is_infinite() {
        let sign = if number < 0.0 { "-" } else { "" };
        format!("{sign}Infinity")
    } else {
        number.to_string()
    }
}

/// A value as an error text quotes it.
pub fn quoted(value: &ScalarValue) -> String {
    match value.try_as_str() {
        Some(Some(text)) => format!("\"{text}\""),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_as_sql_writes_them() {
        assert_eq!(
            sql_type(&DataType::new_list(DataType::Float32, true)),
            "real[]"
        );
        assert_eq!(sql_type(&DataType::Decimal128(38, 9)), "numeric(38,9)");
        assert_eq!(sql_type(&DataType::Utf8View), "text");
        assert_eq!(sql_number(f64::NEG_INFINITY), "-Infinity");
        assert_eq!(sql_number(0.5), "0.5");
        assert_eq!(quoted(&ScalarValue::from("x")), "\"x\"");
        assert_eq!(quoted(&ScalarValue::from(1.5)), "1.5");
    }
}
