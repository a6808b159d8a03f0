//! SQL type names to Arrow fields, with PostgreSQL's meaning of each.
//!
//! A field's metadata says which PostgreSQL type it is where the Arrow type alone does not
//! ([`crate::pgtype`]).

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, IntervalUnit, TimeUnit};
use datafusion::common::Result as DataFusionResult;
use datafusion::logical_expr::planner::TypePlanner;
use sqlparser::ast::{
    ArrayElemTypeDef, CharacterLength, DataType as SqlType, ExactNumberInfo, TimezoneInfo,
};

use crate::error::{Condition, Report, Result};
use crate::pgtype::{self, PG_TYPE, PG_TYPMOD, TIMESTAMPTZ_ZONE};

/// Plans the types of casts and declared parameters as [`field_of`] does.
#[derive(Debug)]
pub struct PgTypePlanner;

impl TypePlanner for PgTypePlanner {
    fn plan_type_field(&self, sql_type: &SqlType) -> DataFusionResult<Option<FieldRef>> {
        Ok(Some(Arc::new(field_of("", sql_type)?)))
    }
}

/// The nullable field called `name` for a declared type.
///
/// # Errors
/// [`Condition::UndefinedObject`] for a type that PostgreSQL does not have either,
/// [`Condition::InvalidParameter`] for a length or precision out of range.
pub fn field_of(name: &str, sql_type: &SqlType) -> Result<Field> {
    let plain = |data_type| Ok(Field::new(name, data_type, true));
    let named = |data_type, type_name: &str| {
        Ok(Field::new(name, data_type, true)
            .with_metadata([(PG_TYPE.to_owned(), type_name.to_owned())].into()))
    };
    match sql_type {
        SqlType::Boolean | SqlType::Bool => plain(DataType::Boolean),
        SqlType::SmallInt(None) | SqlType::Int2(None) => plain(DataType::Int16),
        SqlType::Int(None) | SqlType::Integer(None) | SqlType::Int4(None) => plain(DataType::Int32),
        SqlType::BigInt(None) | SqlType::Int8(None) => plain(DataType::Int64),
        SqlType::Real | SqlType::Float4 => plain(DataType::Float32),
        SqlType::DoublePrecision | SqlType::Float8 => plain(DataType::Float64),
        SqlType::Double(ExactNumberInfo::None) => plain(DataType::Float64),
        SqlType::Float(ExactNumberInfo::None) => plain(DataType::Float64),
        SqlType::Float(ExactNumberInfo::Precision(bits)) => match bits {
            1..=24 => plain(DataType::Float32),
            25..=53 => plain(DataType::Float64),
            _ => Err(out_of_range("float", "precision", *bits, 53)),
        },
        SqlType::Numeric(info) | SqlType::Decimal(info) | SqlType::Dec(info) => numeric(name, info),
        SqlType::Text | SqlType::String(None) => plain(DataType::Utf8),
        SqlType::Varchar(length)
        | SqlType::CharacterVarying(length)
        | SqlType::CharVarying(length) => text(name, "varchar", length.as_ref(), None),
        SqlType::Char(length) | SqlType::Character(length) => {
            text(name, "bpchar", length.as_ref(), Some(1))
        }
        SqlType::Bytea | SqlType::Blob(None) => plain(DataType::Binary),
        SqlType::Date => plain(DataType::Date32),
        SqlType::Time(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            plain(DataType::Time64(TimeUnit::Microsecond))
        }
        SqlType::Timestamp(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone)
        | SqlType::Datetime(_) => plain(DataType::Timestamp(TimeUnit::Microsecond, None)),
        SqlType::Timestamp(_, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) => plain(
            DataType::Timestamp(TimeUnit::Microsecond, Some(TIMESTAMPTZ_ZONE.into())),
        ),
        SqlType::Interval { .. } => plain(DataType::Interval(IntervalUnit::MonthDayNano)),
        SqlType::Uuid => named(DataType::Utf8, "uuid"),
        SqlType::JSON => named(DataType::Utf8, "json"),
        SqlType::JSONB => named(DataType::Utf8, "jsonb"),
        SqlType::Regclass => named(DataType::UInt32, "regclass"),
        SqlType::Array(
            ArrayElemTypeDef::SquareBracket(inner, _)
            | ArrayElemTypeDef::AngleBracket(inner)
            | ArrayElemTypeDef::Parenthesis(inner),
        ) => {
            let item = field_of("item", inner)?;
            plain(DataType::List(Arc::new(item)))
        }
        SqlType::Custom(type_name, modifiers) if modifiers.is_empty() => {
            let parts: Vec<String> = type_name
                .0
                .iter()
                .filter_map(|part| part.as_ident().map(crate::relation::normalise))
                .collect();
            let known = match parts.as_slice() {
                [only] => pgtype::by_sql_name(only),
                [schema, only] if schema == "pg_catalog" => pgtype::by_name(only),
                _ => None,
            };
            known
                .and_then(|known| pgtype::field(name, known))
                .ok_or_else(|| undefined(sql_type))
        }
        other => pgtype::by_sql_name(&other.to_string().to_lowercase())
            .and_then(|known| pgtype::field(name, known))
            .ok_or_else(|| undefined(other)),
    }
}

fn undefined(sql_type: &SqlType) -> crate::error::Error {
    Report::new(
        Condition::UndefinedObject,
        format!(
            "type \"{}\" does not exist",
            sql_type.to_string().to_lowercase()
        ),
    )
    .into()
}

fn numeric(name: &str, info: &ExactNumberInfo) -> Result<Field> {
    let (precision, scale) = match info {
        ExactNumberInfo::None => {
            let (precision, scale) = pgtype::NUMERIC_DEFAULT;
            return Ok(Field::new(
                name,
                DataType::Decimal128(precision, scale),
                true,
            ));
        }
        ExactNumberInfo::Precision(precision) => (*precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (*precision, *scale),
    };
    let max = arrow::datatypes::DECIMAL128_MAX_PRECISION;
    let precision = u8::try_from(precision)
        .ok()
        .filter(|precision| (1..=max).contains(precision))
        .ok_or_else(|| out_of_range("numeric", "precision", precision, u64::from(max)))?;
    let scale = i8::try_from(scale)
        .ok()
        .filter(|scale| (0..=i16::from(precision)).contains(&i16::from(*scale)))
        .ok_or_else(|| {
            Report::new(
                Condition::InvalidParameter,
                format!("numeric scale {scale} must be between 0 and precision {precision}"),
            )
        })?;
    Ok(
        Field::new(name, DataType::Decimal128(precision, scale), true).with_metadata(
            [(
                PG_TYPMOD.to_owned(),
                pgtype::numeric_modifier(precision, scale).to_string(),
            )]
            .into(),
        ),
    )
}

fn text(
    name: &str,
    type_name: &str,
    length: Option<&CharacterLength>,
    default: Option<u64>,
) -> Result<Field> {
    let mut metadata =
        std::collections::HashMap::from([(PG_TYPE.to_owned(), type_name.to_owned())]);
    let length = match length {
        Some(CharacterLength::IntegerLength { length, .. }) => Some(*length),
        Some(CharacterLength::Max) => None,
        None => default,
    };
    if let Some(length) = length {
        let length = u32::try_from(length)
            .ok()
            .filter(|length| (1..=10_485_760).contains(length))
            .ok_or_else(|| out_of_range(type_name, "length", length, 10_485_760))?;
        metadata.insert(
            PG_TYPMOD.to_owned(),
            pgtype::length_modifier(length).to_string(),
        );
    }
    Ok(Field::new(name, DataType::Utf8, true).with_metadata(metadata))
}

fn out_of_range(type_name: &str, what: &str, given: u64, most: u64) -> crate::error::Error {
    Report::new(
        Condition::InvalidParameter,
        format!("{what} {given} of type {type_name} must be between 1 and {most}"),
    )
    .into()
}
