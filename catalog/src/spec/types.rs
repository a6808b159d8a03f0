//! Column types: the names of the specification and the Arrow types that carry them.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, FieldRef, Fields, TimeUnit};

use crate::error::{Error, Result};
use crate::model::{Column, ColumnDef, ColumnId, TypeModifier};

/// The time zone in the Arrow type of `timestamptz`; values are UTC whatever it says.
pub const UTC: &str = "UTC";

/// A column type of the specification. The parts of nested types are the children of the [`Column`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnType {
    /// `boolean`
    Boolean,
    /// `int8`
    Int8,
    /// `int16`
    Int16,
    /// `int32`
    Int32,
    /// `int64`
    Int64,
    /// `uint8`
    UInt8,
    /// `uint16`
    UInt16,
    /// `uint32`
    UInt32,
    /// `uint64`
    UInt64,
    /// `float32`
    Float32,
    /// `float64`
    Float64,
    /// `decimal(precision,scale)`
    Decimal(u8, i8),
    /// `varchar`
    Varchar,
    /// `json`
    Json,
    /// `blob`
    Blob,
    /// `uuid`
    Uuid,
    /// `date`
    Date,
    /// `time`
    Time,
    /// `timestamp`
    Timestamp,
    /// `timestamptz`
    TimestampTz,
    /// `timestamp_s`
    TimestampS,
    /// `timestamp_ms`
    TimestampMs,
    /// `timestamp_ns`
    TimestampNs,
    /// `list`
    List,
    /// `struct`
    Struct,
    /// `map`
    Map,
    /// A type that only outside writers use and that we cannot read, by its name.
    Other(String),
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Decimal(precision, scale) => return write!(f, "decimal({precision},{scale})"),
            Self::Other(name) => name,
            Self::Boolean => "boolean",
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::UInt8 => "uint8",
            Self::UInt16 => "uint16",
            Self::UInt32 => "uint32",
            Self::UInt64 => "uint64",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
            Self::Varchar => "varchar",
            Self::Json => "json",
            Self::Blob => "blob",
            Self::Uuid => "uuid",
            Self::Date => "date",
            Self::Time => "time",
            Self::Timestamp => "timestamp",
            Self::TimestampTz => "timestamptz",
            Self::TimestampS => "timestamp_s",
            Self::TimestampMs => "timestamp_ms",
            Self::TimestampNs => "timestamp_ns",
            Self::List => "list",
            Self::Struct => "struct",
            Self::Map => "map",
        };
        f.write_str(name)
    }
}

impl ColumnType {
    /// The type of that name; a name we do not know is [`ColumnType::Other`].
    pub fn parse(name: &str) -> Self {
        let simple = [
            Self::Boolean,
            Self::Int8,
            Self::Int16,
            Self::Int32,
            Self::Int64,
            Self::UInt8,
            Self::UInt16,
            Self::UInt32,
            Self::UInt64,
            Self::Float32,
            Self::Float64,
            Self::Varchar,
            Self::Json,
            Self::Blob,
            Self::Uuid,
            Self::Date,
            Self::Time,
            Self::Timestamp,
            Self::TimestampTz,
            Self::TimestampS,
            Self::TimestampMs,
            Self::TimestampNs,
            Self::List,
            Self::Struct,
            Self::Map,
        ];
        if let Some(found) = simple
            .into_iter()
            .find(|candidate| candidate.to_string() == name)
        {
            return found;
        }
        let decimal = name
            .strip_prefix("decimal(")
            .and_then(|rest| rest.strip_suffix(')'))
            .and_then(|rest| rest.split_once(','))
            .and_then(|(precision, scale)| {
                Some((precision.trim().parse().ok()?, scale.trim().parse().ok()?))
            });
        match decimal {
            Some((precision @ 1..=DECIMAL128_MAX_PRECISION, scale))
                if (0..=precision as i8).contains(&scale) =>
            {
                Self::Decimal(precision, scale)
            }
            _ => Self::Other(name.to_owned()),
        }
    }

    /// The type that stores values of `data_type`, which must be a [`storage_type`].
    fn of(data_type: &DataType, modifier: Option<&TypeModifier>) -> Option<Self> {
        Some(match data_type {
            DataType::Boolean => Self::Boolean,
            DataType::Int8 => Self::Int8,
            DataType::Int16 => Self::Int16,
            DataType::Int32 => Self::Int32,
            DataType::Int64 => Self::Int64,
            DataType::Float32 => Self::Float32,
            DataType::Float64 => Self::Float64,
            DataType::Decimal128(precision, scale) => Self::Decimal(*precision, *scale),
            DataType::Utf8 if modifier.is_some_and(TypeModifier::is_json) => Self::Json,
            DataType::Utf8 => Self::Varchar,
            DataType::Binary => Self::Blob,
            DataType::Date32 => Self::Date,
            DataType::Time64(TimeUnit::Microsecond) => Self::Time,
            DataType::Timestamp(TimeUnit::Microsecond, None) => Self::Timestamp,
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => Self::TimestampTz,
            DataType::List(_) => Self::List,
            DataType::Struct(_) => Self::Struct,
            DataType::Map(..) => Self::Map,
            _ => return None,
        })
    }

    /// The Arrow type of a column of this type with these parts; none if we cannot read it.
    pub(crate) fn data_type(&self, children: &[Column]) -> Option<DataType> {
        let part = |at: usize| children.get(at).map(Column::arrow_field);
        Some(match self {
            Self::Boolean => DataType::Boolean,
            Self::Int8 => DataType::Int8,
            Self::Int16 => DataType::Int16,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::UInt8 => DataType::UInt8,
            Self::UInt16 => DataType::UInt16,
            Self::UInt32 => DataType::UInt32,
            Self::UInt64 => DataType::UInt64,
            Self::Float32 => DataType::Float32,
            Self::Float64 => DataType::Float64,
            Self::Decimal(precision, scale) => DataType::Decimal128(*precision, *scale),
            Self::Varchar | Self::Json => DataType::Utf8,
            Self::Blob => DataType::Binary,
            Self::Uuid => DataType::FixedSizeBinary(16),
            Self::Date => DataType::Date32,
            Self::Time => DataType::Time64(TimeUnit::Microsecond),
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::TimestampTz => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
            Self::TimestampS => DataType::Timestamp(TimeUnit::Second, None),
            Self::TimestampMs => DataType::Timestamp(TimeUnit::Millisecond, None),
            Self::TimestampNs => DataType::Timestamp(TimeUnit::Nanosecond, None),
            Self::List => DataType::List(Arc::new(part(0)?.with_name(LIST_ITEM))),
            Self::Struct => DataType::Struct(children.iter().map(Column::arrow_field).collect()),
            Self::Map => {
                let entries = Fields::from(vec![part(0)?.with_nullable(false), part(1)?]);
                DataType::Map(
                    Arc::new(Field::new(MAP_ENTRIES, DataType::Struct(entries), false)),
                    false,
                )
            }
            Self::Other(_) => return None,
        })
    }
}

/// The engine's name for the elements of a list; the catalog says `element`.
const LIST_ITEM: &str = Field::LIST_FIELD_DEFAULT_NAME;

/// Arrow's name for the entries of a map in Parquet.
const MAP_ENTRIES: &str = "entries";

/// The Arrow type in which a value of `data_type` is stored and comes back.
///
/// Views, large offsets, dictionaries and run ends become the plain type, unsigned integers the next wider signed one (`UInt64` becomes
/// `decimal(20,0)`), times and timestamps microseconds, lists of any kind `List`, a column that is only ever NULL text.
///
/// # Errors
/// The type in words, if there is none: intervals, durations, unions, decimals beyond 38 digits.
pub fn storage_type(data_type: &DataType) -> Result<DataType, String> {
    use DataType as T;
    let part = |field: &FieldRef| -> Result<Field, String> {
        let stored = Field::new(
            field.name(),
            storage_type(field.data_type())?,
            field.is_nullable(),
        );
        Ok(match TypeModifier::of_field(field) {
            Some(modifier) => stored.with_metadata(modifier.metadata()),
            None => stored,
        })
    };
    Ok(match data_type {
        T::Boolean
        | T::Int8
        | T::Int16
        | T::Int32
        | T::Int64
        | T::Float32
        | T::Float64
        | T::Date32 => data_type.clone(),
        T::UInt8 => T::Int16,
        T::UInt16 => T::Int32,
        T::UInt32 => T::Int64,
        T::UInt64 => T::Decimal128(20, 0),
        T::Float16 => T::Float32,
        T::Decimal32(precision, scale)
        | T::Decimal64(precision, scale)
        | T::Decimal128(precision, scale)
        | T::Decimal256(precision, scale) => match (*precision, *scale) {
            (1..=DECIMAL128_MAX_PRECISION, scale) if (0..=*precision as i8).contains(&scale) => {
                T::Decimal128(*precision, scale)
            }
            (precision, scale) => return Err(format!("decimal({precision},{scale})")),
        },
        T::Null | T::Utf8 | T::LargeUtf8 | T::Utf8View => T::Utf8,
        T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => T::Binary,
        T::Date64 => T::Date32,
        T::Time32(_) | T::Time64(_) => T::Time64(TimeUnit::Microsecond),
        T::Timestamp(_, None) => T::Timestamp(TimeUnit::Microsecond, None),
        T::Timestamp(_, Some(_)) => T::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
        T::Dictionary(_, values) => storage_type(values)?,
        T::RunEndEncoded(_, values) => storage_type(values.data_type())?,
        T::List(item)
        | T::LargeList(item)
        | T::ListView(item)
        | T::LargeListView(item)
        | T::FixedSizeList(item, _) => T::List(Arc::new(
            part(item)?.with_name(LIST_ITEM).with_nullable(true),
        )),
        T::Struct(fields) => T::Struct(fields.iter().map(part).collect::<Result<_, _>>()?),
        T::Map(entries, _) => match entries.data_type() {
            T::Struct(fields) if fields.len() == 2 => {
                let key = part(&fields[0])?.with_name("key").with_nullable(false);
                let value = part(&fields[1])?.with_name("value").with_nullable(true);
                let entries = T::Struct(Fields::from(vec![key, value]));
                T::Map(Arc::new(Field::new(MAP_ENTRIES, entries, false)), false)
            }
            _ => return Err("map".to_owned()),
        },
        T::Interval(_) => return Err("interval".to_owned()),
        other => return Err(other.to_string().to_lowercase()),
    })
}

/// Whether files with a column of type `from` can be read as `to`, as the specification allows for columns that are altered.
pub(crate) fn is_wider(from: &ColumnType, to: &ColumnType) -> bool {
    use ColumnType as T;
    let signed = [T::Int8, T::Int16, T::Int32, T::Int64];
    let unsigned = [T::UInt8, T::UInt16, T::UInt32, T::UInt64];
    let floating = [T::Float32, T::Float64];
    let rank = |ranks: &[T], of: &T| ranks.iter().position(|candidate| candidate == of);
    [signed.as_slice(), &unsigned, &floating]
        .iter()
        .any(|ranks| matches!((rank(ranks, from), rank(ranks, to)), (Some(a), Some(b)) if a < b))
}

/// Makes a column of a definition, taking ids from `next_id`, outer before inner.
///
/// # Errors
/// [`Error::UnsupportedType`].
pub(crate) fn build_column(def: &ColumnDef, next_id: &mut i64) -> Result<Column> {
    let unsupported = |data_type: String| Error::UnsupportedType {
        column: def.name.clone(),
        data_type,
    };
    let data_type = storage_type(&def.data_type).map_err(unsupported)?;
    let mut column = build_part(
        &def.name,
        &data_type,
        def.nullable,
        def.type_modifier.clone(),
        next_id,
    )
    .ok_or_else(|| unsupported(data_type.to_string()))?;
    column.default.clone_from(&def.default);
    column.comment.clone_from(&def.comment);
    Ok(column)
}

fn build_part(
    name: &str,
    data_type: &DataType,
    nullable: bool,
    type_modifier: Option<TypeModifier>,
    next_id: &mut i64,
) -> Option<Column> {
    let column_type = ColumnType::of(data_type, type_modifier.as_ref())?;
    let id = ColumnId(*next_id);
    *next_id += 1;
    let mut part = |name: &str, field: &Field| {
        build_part(
            name,
            field.data_type(),
            field.is_nullable(),
            TypeModifier::of_field(field),
            next_id,
        )
    };
    let children = match data_type {
        DataType::List(item) => vec![part("element", item)?],
        DataType::Struct(fields) => fields
            .iter()
            .map(|field| part(field.name(), field))
            .collect::<Option<Vec<_>>>()?,
        DataType::Map(entries, _) => match entries.data_type() {
            // The catalog allows NULL in keys, as the official extension has it; the Arrow type does not.
            DataType::Struct(fields) => fields
                .iter()
                .map(|field| part(field.name(), &Field::clone(field).with_nullable(true)))
                .collect::<Option<Vec<_>>>()?,
            _ => return None,
        },
        _ => Vec::new(),
    };
    Some(Column {
        id,
        name: name.to_owned(),
        data_type: column_type.data_type(&children)?,
        column_type,
        nullable,
        default: None,
        initial_default: None,
        type_modifier,
        comment: None,
        widened: false,
        children,
    })
}
