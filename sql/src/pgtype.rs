//! PostgreSQL types and the Arrow types that carry them.
//!
//! The engine computes with Arrow types; clients see PostgreSQL types. An Arrow type alone names a PostgreSQL type
//! ([`of_data_type`]); where several PostgreSQL types share one Arrow type (`name`, `varchar` and `json` are all
//! strings, `oid` and `regclass` are both unsigned integers) the field says which by its metadata ([`PG_TYPE`],
//! [`PG_TYPMOD`]), and [`of_field`] and [`type_modifier`] read it.
//!
//! The numbers, lengths, categories and function names are those of `pg_type` in PostgreSQL 15. Nothing here knows the
//! wire format or the catalog: encoders and `pg_type` are derived from this table.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DataType, Field, FieldRef, IntervalUnit, TimeUnit,
};

/// Field metadata key: the `typname` of the PostgreSQL type, where the Arrow type does not tell it.
pub const PG_TYPE: &str = "pg_type";

/// Field metadata key: the type modifier (`atttypmod`), as decimal text.
pub const PG_TYPMOD: &str = "pg_typmod";

/// The time zone that marks an Arrow timestamp as `timestamp with time zone`; values are UTC microseconds.
pub const TIMESTAMPTZ_ZONE: &str = "UTC";

/// Precision and scale of `numeric` declared without any.
pub const NUMERIC_DEFAULT: (u8, i8) = (DECIMAL128_MAX_PRECISION, 9);

/// Whether a type is `numeric` without a declared precision. Its scale is no wish of anybody's, so that its values are
/// shown without the zeros at their end.
pub fn is_plain_numeric(data_type: &DataType) -> bool {
    let (precision, scale) = NUMERIC_DEFAULT;
    *data_type == DataType::Decimal128(precision, scale)
}

/// The same number without zeros at the end of its fraction: its digits and its scale.
pub fn without_trailing_zeros(mut digits: i128, mut scale: i8) -> (i128, i8) {
    while scale > 0 && digits % 10 == 0 {
        digits /= 10;
        scale -= 1;
    }
    (digits, scale)
}

/// What PostgreSQL adds to the length in the type modifier of `varchar(n)`, `char(n)` and `numeric(p,s)`.
const TYPMOD_HEADER: i32 = 4;

/// One PostgreSQL type: a row of `pg_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PgType {
    /// `pg_type.oid`.
    pub oid: u32,
    /// `pg_type.typname`.
    pub name: &'static str,
    /// `pg_type.typlen`: bytes of a fixed-size type, -1 for variable length, -2 for a C string.
    pub len: i16,
    /// `pg_type.typtype`: `b` for a base type, `p` for a pseudo-type.
    pub kind: char,
    /// `pg_type.typcategory`.
    pub category: char,
    /// `pg_type.typispreferred`.
    pub preferred: bool,
    /// `pg_type.typbyval`.
    pub by_value: bool,
    /// `pg_type.typelem`: the type of the elements, 0 where it cannot be subscripted.
    pub element_oid: u32,
    /// `pg_type.typarray`: the array type over this one, 0 where there is none.
    pub array_oid: u32,
    /// `pg_type.typalign`.
    pub align: char,
    /// `pg_type.typstorage`.
    pub storage: char,
    /// `pg_type.typcollation`: 0 where values have no collation.
    pub collation: u32,
    /// Name of the text input function.
    pub input: &'static str,
    /// Name of the text output function.
    pub output: &'static str,
}

impl PgType {
    /// True for a real array type (`int4[]`), false for the fixed vectors `int2vector` and `oidvector`.
    pub fn is_array(&self) -> bool {
        self.category == 'A' && self.len == -1 && self.input == "array_in"
    }

    /// The element type of an array or vector.
    pub fn element(&self) -> Option<&'static PgType> {
        if self.category == 'A' {
            by_oid(self.element_oid)
        } else {
            None
        }
    }

    /// The array type over this one; arrays of arrays are the same type, as in PostgreSQL.
    pub fn array(&'static self) -> Option<&'static PgType> {
        if self.is_array() {
            Some(self)
        } else {
            by_oid(self.array_oid)
        }
    }

    /// True for the OID aliases (`regclass`, `regtype`, ...): numbers that print as names.
    pub fn is_oid_alias(&self) -> bool {
        self.category == 'N' && self.name.starts_with("reg")
    }
}

macro_rules! pg_types {
    ($(($oid:literal, $name:literal, $array:literal, $len:literal, $kind:literal, $category:literal, $preferred:literal,
        $by_value:literal, $element:literal, $align:literal, $storage:literal, $collation:literal, $input:literal,
        $output:literal)),+ $(,)?) => {
        /// Each type beside the array type over it (oid 0 where there is none).
        static TYPES: &[[PgType; 2]] = &[$([
            PgType {
                oid: $oid, name: $name, len: $len, kind: $kind, category: $category, preferred: $preferred,
                by_value: $by_value, element_oid: $element, array_oid: $array, align: $align, storage: $storage,
                collation: $collation, input: $input, output: $output,
            },
            PgType {
                oid: $array, name: concat!("_", $name), len: -1, kind: if $kind == 'p' { 'p' } else { 'b' },
                category: if $kind == 'p' { 'P' } else { 'A' }, preferred: false, by_value: false, element_oid: $oid,
                array_oid: 0, align: if $align == 'd' { 'd' } else { 'i' }, storage: 'x', collation: $collation,
                input: "array_in", output: "array_out",
            },
        ]),+];
    };
}

#[rustfmt::skip]
pg_types![
    // oid, name, array, length, kind, category, preferred, by value, element, alignment, storage, collation, in, out
    (16, "bool", 1000, 1, 'b', 'B', true, true, 0, 'c', 'p', 0, "boolin", "boolout"),
    (17, "bytea", 1001, -1, 'b', 'U', false, false, 0, 'i', 'x', 0, "byteain", "byteaout"),
    (18, "char", 1002, 1, 'b', 'Z', false, true, 0, 'c', 'p', 0, "charin", "charout"),
    (19, "name", 1003, 64, 'b', 'S', false, false, 18, 'c', 'p', 950, "namein", "nameout"),
    (20, "int8", 1016, 8, 'b', 'N', false, true, 0, 'd', 'p', 0, "int8in", "int8out"),
    (21, "int2", 1005, 2, 'b', 'N', false, true, 0, 's', 'p', 0, "int2in", "int2out"),
    (22, "int2vector", 1006, -1, 'b', 'A', false, false, 21, 'i', 'p', 0, "int2vectorin", "int2vectorout"),
    (23, "int4", 1007, 4, 'b', 'N', false, true, 0, 'i', 'p', 0, "int4in", "int4out"),
    (24, "regproc", 1008, 4, 'b', 'N', false, true, 0, 'i', 'p', 0, "regprocin", "regprocout"),
    (25, "text", 1009, -1, 'b', 'S', true, false, 0, 'i', 'x', 100, "textin", "textout"),
    (26, "oid", 1028, 4, 'b', 'N', true, true, 0, 'i', 'p', 0, "oidin", "oidout"),
    (27, "tid", 1010, 6, 'b', 'U', false, false, 0, 's', 'p', 0, "tidin", "tidout"),
    (28, "xid", 1011, 4, 'b', 'U', false, true, 0, 'i', 'p', 0, "xidin", "xidout"),
    (29, "cid", 1012, 4, 'b', 'U', false, true, 0, 'i', 'p', 0, "cidin", "cidout"),
    (30, "oidvector", 1013, -1, 'b', 'A', false, false, 26, 'i', 'p', 0, "oidvectorin", "oidvectorout"),
    (114, "json", 199, -1, 'b', 'U', false, false, 0, 'i', 'x', 0, "json_in", "json_out"),
    (142, "xml", 143, -1, 'b', 'U', false, false, 0, 'i', 'x', 0, "xml_in", "xml_out"),
    (194, "pg_node_tree", 0, -1, 'b', 'Z', false, false, 0, 'i', 'x', 100, "pg_node_tree_in", "pg_node_tree_out"),
    (269, "table_am_handler", 0, 4, 'p', 'P', false, true, 0, 'i', 'p', 0, "table_am_handler_in", "table_am_handler_out"),
    (325, "index_am_handler", 0, 4, 'p', 'P', false, true, 0, 'i', 'p', 0, "index_am_handler_in", "index_am_handler_out"),
    (700, "float4", 1021, 4, 'b', 'N', false, true, 0, 'i', 'p', 0, "float4in", "float4out"),
    (701, "float8", 1022, 8, 'b', 'N', true, true, 0, 'd', 'p', 0, "float8in", "float8out"),
    (705, "unknown", 0, -2, 'p', 'X', false, false, 0, 'c', 'p', 0, "unknownin", "unknownout"),
    (790, "money", 791, 8, 'b', 'N', false, true, 0, 'd', 'p', 0, "cash_in", "cash_out"),
    (869, "inet", 1041, -1, 'b', 'I', true, false, 0, 'i', 'm', 0, "inet_in", "inet_out"),
    (1033, "aclitem", 1034, 12, 'b', 'U', false, false, 0, 'i', 'p', 0, "aclitemin", "aclitemout"),
    (1042, "bpchar", 1014, -1, 'b', 'S', false, false, 0, 'i', 'x', 100, "bpcharin", "bpcharout"),
    (1043, "varchar", 1015, -1, 'b', 'S', false, false, 0, 'i', 'x', 100, "varcharin", "varcharout"),
    (1082, "date", 1182, 4, 'b', 'D', false, true, 0, 'i', 'p', 0, "date_in", "date_out"),
    (1083, "time", 1183, 8, 'b', 'D', false, true, 0, 'd', 'p', 0, "time_in", "time_out"),
    (1114, "timestamp", 1115, 8, 'b', 'D', false, true, 0, 'd', 'p', 0, "timestamp_in", "timestamp_out"),
    (1184, "timestamptz", 1185, 8, 'b', 'D', true, true, 0, 'd', 'p', 0, "timestamptz_in", "timestamptz_out"),
    (1186, "interval", 1187, 16, 'b', 'T', true, false, 0, 'd', 'p', 0, "interval_in", "interval_out"),
    (1266, "timetz", 1270, 12, 'b', 'D', false, false, 0, 'd', 'p', 0, "timetz_in", "timetz_out"),
    (1560, "bit", 1561, -1, 'b', 'V', false, false, 0, 'i', 'x', 0, "bit_in", "bit_out"),
    (1562, "varbit", 1563, -1, 'b', 'V', true, false, 0, 'i', 'x', 0, "varbit_in", "varbit_out"),
    (1700, "numeric", 1231, -1, 'b', 'N', false, false, 0, 'i', 'm', 0, "numeric_in", "numeric_out"),
    (1790, "refcursor", 2201, -1, 'b', 'U', false, false, 0, 'i', 'x', 0, "textin", "textout"),
    (2202, "regprocedure", 2207, 4, 'b', 'N', false, true, 0, 'i', 'p', 0, "regprocedurein", "regprocedureout"),
    (2203, "regoper", 2208, 4, 'b', 'N', false, true, 0, 'i', 'p', 0, "regoperin", "regoperout"),
    (2204, "regoperator", 2209, 4, 'b', 'N', false, true, 0, 'i', 'p', 0, "regoperatorin", "regoperatorout"),
    (2205, "regclass", 2210, 4, 'b', 'N', false, true, 0, 'i', 'p', 0, "regclassin", "regclassout"),
    (2206, "regtype", 2211, 4, 'b', 'N', false, true, 0, 'i', 'p', 0, "regtypein", "regtypeout"),
    (2249, "record", 2287, -1, 'p', 'P', false, false, 0, 'd', 'x', 0, "record_in", "record_out"),
    (2275, "cstring", 1263, -2, 'p', 'P', false, false, 0, 'c', 'p', 0, "cstring_in", "cstring_out"),
    (2276, "any", 0, 4, 'p', 'P', false, true, 0, 'i', 'p', 0, "any_in", "any_out"),
    (2277, "anyarray", 0, -1, 'p', 'P', false, false, 0, 'd', 'x', 0, "anyarray_in", "anyarray_out"),
    (2278, "void", 0, 4, 'p', 'P', false, true, 0, 'i', 'p', 0, "void_in", "void_out"),
    (2279, "trigger", 0, 4, 'p', 'P', false, true, 0, 'i', 'p', 0, "trigger_in", "trigger_out"),
    (2280, "language_handler", 0, 4, 'p', 'P', false, true, 0, 'i', 'p', 0, "language_handler_in", "language_handler_out"),
    (2281, "internal", 0, 8, 'p', 'P', false, true, 0, 'd', 'p', 0, "internal_in", "internal_out"),
    (2283, "anyelement", 0, 4, 'p', 'P', false, true, 0, 'i', 'p', 0, "anyelement_in", "anyelement_out"),
    (2776, "anynonarray", 0, 4, 'p', 'P', false, true, 0, 'i', 'p', 0, "anynonarray_in", "anynonarray_out"),
    (2950, "uuid", 2951, 16, 'b', 'U', false, false, 0, 'c', 'p', 0, "uuid_in", "uuid_out"),
    (3115, "fdw_handler", 0, 4, 'p', 'P', false, true, 0, 'i', 'p', 0, "fdw_handler_in", "fdw_handler_out"),
    (3220, "pg_lsn", 3221, 8, 'b', 'U', false, true, 0, 'd', 'p', 0, "pg_lsn_in", "pg_lsn_out"),
    (3734, "regconfig", 3735, 4, 'b', 'N', false, true, 0, 'i', 'p', 0, "regconfigin", "regconfigout"),
    (3769, "regdictionary", 3770, 4, 'b', 'N', false, true, 0, 'i', 'p', 0, "regdictionaryin", "regdictionaryout"),
    (3802, "jsonb", 3807, -1, 'b', 'U', false, false, 0, 'i', 'x', 0, "jsonb_in", "jsonb_out"),
    (3838, "event_trigger", 0, 4, 'p', 'P', false, true, 0, 'i', 'p', 0, "event_trigger_in", "event_trigger_out"),
    (4089, "regnamespace", 4090, 4, 'b', 'N', false, true, 0, 'i', 'p', 0, "regnamespacein", "regnamespaceout"),
    (4096, "regrole", 4097, 4, 'b', 'N', false, true, 0, 'i', 'p', 0, "regrolein", "regroleout"),
    (4191, "regcollation", 4192, 4, 'b', 'N', false, true, 0, 'i', 'p', 0, "regcollationin", "regcollationout"),
    (5069, "xid8", 271, 8, 'b', 'U', false, true, 0, 'd', 'p', 0, "xid8in", "xid8out"),
];

/// All types, arrays included, by ascending oid.
pub fn all() -> &'static [&'static PgType] {
    static ALL: LazyLock<Vec<&'static PgType>> = LazyLock::new(|| {
        let mut all: Vec<_> = TYPES.iter().flatten().filter(|t| t.oid != 0).collect();
        all.sort_by_key(|t| t.oid);
        all
    });
    &ALL
}

/// The type with this oid.
pub fn by_oid(oid: u32) -> Option<&'static PgType> {
    let all = all();
    all.binary_search_by_key(&oid, |t| t.oid)
        .ok()
        .and_then(|at| all.get(at).copied())
}

/// The type with this `typname` (`int4`, `_text`).
pub fn by_name(name: &str) -> Option<&'static PgType> {
    static BY_NAME: LazyLock<HashMap<&'static str, &'static PgType>> =
        LazyLock::new(|| all().iter().map(|t| (t.name, *t)).collect());
    BY_NAME.get(name).copied()
}

/// The type that a user writes as `text`: a `typname`, an SQL spelling (`double precision`, `character varying`), any of
/// them with `[]` behind. The text is taken in lower case and without a type modifier; quotes round the name are allowed.
pub fn by_sql_name(text: &str) -> Option<&'static PgType> {
    let text = text.trim();
    if let Some(element) = text.strip_suffix("[]") {
        return by_sql_name(element)?.array();
    }
    let text = text.strip_prefix("pg_catalog.").unwrap_or(text);
    if let Some(quoted) = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
        return by_name(quoted);
    }
    let name = match text {
        "bigint" => "int8",
        "smallint" => "int2",
        "int" | "integer" => "int4",
        "real" => "float4",
        "float" | "double precision" => "float8",
        "decimal" | "dec" => "numeric",
        "boolean" => "bool",
        "char" | "character" => "bpchar",
        "character varying" | "char varying" => "varchar",
        "bit varying" => "varbit",
        "time without time zone" => "time",
        "time with time zone" => "timetz",
        "timestamp without time zone" => "timestamp",
        "timestamp with time zone" => "timestamptz",
        other => other,
    };
    by_name(name)
}

/// The PostgreSQL type of a column: what its metadata says, else what its Arrow type means.
pub fn of_field(field: &Field) -> &'static PgType {
    if let Some(named) = field.metadata().get(PG_TYPE).and_then(|n| by_name(n)) {
        return named;
    }
    match field.extension_type_name() {
        Some("arrow.uuid") => return named("uuid"),
        Some("arrow.json") => return named("json"),
        _ => {}
    }
    match field.data_type() {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::ListView(item)
        | DataType::LargeListView(item) => {
            of_field(item).array().unwrap_or_else(|| named("anyarray"))
        }
        other => of_data_type(other),
    }
}

/// The PostgreSQL type that an Arrow type means on its own.
///
/// A map is `jsonb`: PostgreSQL has no map type, and an object keeps keys and values readable for every client.
pub fn of_data_type(data_type: &DataType) -> &'static PgType {
    named(match data_type {
        DataType::Boolean => "bool",
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => "int2",
        DataType::Int32 | DataType::UInt16 => "int4",
        DataType::Int64 | DataType::UInt32 => "int8",
        DataType::UInt64
        | DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => "numeric",
        DataType::Float16 | DataType::Float32 => "float4",
        DataType::Float64 => "float8",
        DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text",
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => "bytea",
        DataType::Date32 | DataType::Date64 => "date",
        DataType::Time32(_) | DataType::Time64(_) => "time",
        DataType::Timestamp(_, None) => "timestamp",
        DataType::Timestamp(_, Some(_)) => "timestamptz",
        DataType::Interval(_) | DataType::Duration(_) => "interval",
        DataType::Struct(_) | DataType::Union(..) => "record",
        DataType::Map(..) => "jsonb",
        DataType::Dictionary(_, value) => return of_data_type(value),
        DataType::RunEndEncoded(_, value) => return of_field(value),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::ListView(item)
        | DataType::LargeListView(item) => {
            return of_field(item).array().unwrap_or_else(|| named("anyarray"));
        }
    })
}

/// The type modifier of a column, -1 for none: the length of `varchar(n)`, precision and scale of `numeric(p,s)`.
///
/// A decimal of the largest precision is plain `numeric`: such are `numeric` without precision and most computed decimals.
pub fn type_modifier(field: &Field) -> i32 {
    if let Some(given) = field.metadata().get(PG_TYPMOD) {
        return given.parse().unwrap_or(-1);
    }
    match field.data_type() {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale)
            if *precision < DECIMAL128_MAX_PRECISION =>
        {
            numeric_modifier(*precision, *scale)
        }
        _ => -1,
    }
}

/// The type modifier of `numeric(precision, scale)`.
pub fn numeric_modifier(precision: u8, scale: i8) -> i32 {
    // A negative scale is kept in eleven bits, as PostgreSQL 15 does.
    ((i32::from(precision) << 16) | (i32::from(scale) & 0x7ff)) + TYPMOD_HEADER
}

/// The type modifier of `varchar(length)` and `char(length)`.
pub fn length_modifier(length: u32) -> i32 {
    i32::try_from(length)
        .unwrap_or(i32::MAX - TYPMOD_HEADER)
        .saturating_add(TYPMOD_HEADER)
}

/// The SQL spelling of a type, as PostgreSQL's `format_type`. `modifier` is `None` where SQL gives NULL: the type
/// without regard to a modifier. Oid 0 is `-`, an unknown oid is `???`.
pub fn format_type(oid: u32, modifier: Option<i32>) -> String {
    if oid == 0 {
        return "-".to_owned();
    }
    let Some(pg_type) = by_oid(oid) else {
        return "???".to_owned();
    };
    if pg_type.is_array() {
        return format!("{}[]", format_type(pg_type.element_oid, modifier));
    }
    let length = modifier
        .filter(|m| *m >= TYPMOD_HEADER)
        .map(|m| m - TYPMOD_HEADER);
    let sized = |base: &str| match length {
        Some(n) => format!("{base}({n})"),
        None => base.to_owned(),
    };
    // The precision of times stands before "with(out) time zone" and has no header.
    let timed = |base: &str, zone: &str| match modifier {
        Some(n) if n >= 0 => format!("{base}({n}) {zone} time zone"),
        _ => format!("{base} {zone} time zone"),
    };
    match pg_type.name {
        "bool" => "boolean".to_owned(),
        "char" | "any" => format!("\"{}\"", pg_type.name),
        "float4" => "real".to_owned(),
        "float8" => "double precision".to_owned(),
        "int2" => "smallint".to_owned(),
        "int4" => "integer".to_owned(),
        "int8" => "bigint".to_owned(),
        "varchar" => sized("character varying"),
        // With a modifier of -1 PostgreSQL tells unbounded `bpchar` from `character`, which means `character(1)`.
        "bpchar" if modifier.is_some() && length.is_none() => "bpchar".to_owned(),
        "bpchar" => sized("character"),
        "numeric" => match length {
            Some(n) => {
                let scale = ((n & 0x7ff) ^ 1024) - 1024;
                format!("numeric({},{scale})", (n >> 16) & 0xffff)
            }
            None => "numeric".to_owned(),
        },
        "bit" => match modifier {
            Some(n) if n >= 0 => format!("bit({n})"),
            Some(_) => "\"bit\"".to_owned(),
            None => "bit".to_owned(),
        },
        "varbit" => match modifier {
            Some(n) if n >= 0 => format!("bit varying({n})"),
            _ => "bit varying".to_owned(),
        },
        "time" => timed("time", "without"),
        "timetz" => timed("time", "with"),
        "timestamp" => timed("timestamp", "without"),
        "timestamptz" => timed("timestamp", "with"),
        other => other.to_owned(),
    }
}

/// The Arrow type that carries values of a PostgreSQL type, for declared parameters and casts; `None` for types that the
/// engine has no values of.
pub fn data_type_of(oid: u32) -> Option<DataType> {
    let pg_type = by_oid(oid)?;
    if let Some(element) = pg_type.element() {
        return Some(DataType::List(Arc::new(list_item(element)?)));
    }
    Some(match pg_type.name {
        "bool" => DataType::Boolean,
        "int2" => DataType::Int16,
        "int4" => DataType::Int32,
        "int8" => DataType::Int64,
        "oid" | "xid" | "cid" => DataType::UInt32,
        _ if pg_type.is_oid_alias() => DataType::UInt32,
        "float4" => DataType::Float32,
        "float8" => DataType::Float64,
        "numeric" => DataType::Decimal128(NUMERIC_DEFAULT.0, NUMERIC_DEFAULT.1),
        "bytea" => DataType::Binary,
        "date" => DataType::Date32,
        "time" => DataType::Time64(TimeUnit::Microsecond),
        "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, None),
        "timestamptz" => DataType::Timestamp(TimeUnit::Microsecond, Some(TIMESTAMPTZ_ZONE.into())),
        "interval" => DataType::Interval(IntervalUnit::MonthDayNano),
        "text" | "varchar" | "bpchar" | "name" | "char" | "unknown" | "json" | "jsonb" | "uuid"
        | "cstring" | "pg_node_tree" | "aclitem" | "inet" | "xml" | "refcursor" | "pg_lsn"
        | "tid" | "xid8" | "anyarray" => DataType::Utf8,
        _ => return None,
    })
}

/// A nullable column of this PostgreSQL type: the Arrow type that carries it, with metadata where the Arrow type alone
/// would read as another one. `None` as in [`data_type_of`].
pub fn field(name: &str, pg_type: &'static PgType) -> Option<Field> {
    let field = Field::new(name, data_type_of(pg_type.oid)?, true);
    Some(if of_field(&field) == pg_type {
        field
    } else {
        field.with_metadata(HashMap::from([(
            PG_TYPE.to_owned(),
            pg_type.name.to_owned(),
        )]))
    })
}

/// `field` marked as being of the PostgreSQL type `pg_type`, whatever its Arrow type means on its own.
pub fn marked(field: FieldRef, pg_type: &'static PgType) -> FieldRef {
    if of_field(&field) == pg_type {
        return field;
    }
    let mut metadata = field.metadata().clone();
    metadata.insert(PG_TYPE.to_owned(), pg_type.name.to_owned());
    Arc::new(Arc::unwrap_or_clone(field).with_metadata(metadata))
}

fn list_item(element: &'static PgType) -> Option<Field> {
    field(Field::LIST_FIELD_DEFAULT_NAME, element)
}

/// A type that this module itself names. A name outside the table would be a mistake in this file; it reads as the
/// pseudo-type `unknown` then.
fn named(name: &str) -> &'static PgType {
    static UNKNOWN: PgType = PgType {
        oid: 705,
        name: "unknown",
        len: -2,
        kind: 'p',
        category: 'X',
        preferred: false,
        by_value: false,
        element_oid: 0,
        array_oid: 0,
        align: 'c',
        storage: 'p',
        collation: 0,
        input: "unknownin",
        output: "unknownout",
    };
    by_name(name).unwrap_or(&UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(name: &str, modifier: Option<i32>) -> String {
        format_type(by_name(name).unwrap().oid, modifier)
    }

    #[test]
    fn spells_types_as_postgres_does() {
        assert_eq!(
            spelled("varchar", Some(length_modifier(20))),
            "character varying(20)"
        );
        assert_eq!(spelled("varchar", Some(-1)), "character varying");
        assert_eq!(spelled("bpchar", Some(length_modifier(3))), "character(3)");
        assert_eq!(spelled("bpchar", Some(-1)), "bpchar");
        assert_eq!(spelled("bpchar", None), "character");
        assert_eq!(
            spelled("numeric", Some(numeric_modifier(10, 2))),
            "numeric(10,2)"
        );
        assert_eq!(
            spelled("numeric", Some(numeric_modifier(3, -2))),
            "numeric(3,-2)"
        );
        assert_eq!(
            spelled("_numeric", Some(numeric_modifier(10, 2))),
            "numeric(10,2)[]"
        );
        assert_eq!(
            spelled("timestamp", Some(-1)),
            "timestamp without time zone"
        );
        assert_eq!(
            spelled("timestamptz", Some(3)),
            "timestamp(3) with time zone"
        );
        assert_eq!(spelled("_int4", None), "integer[]");
        assert_eq!(spelled("char", None), "\"char\"");
        assert_eq!(spelled("int2vector", None), "int2vector");
        assert_eq!(format_type(0, None), "-");
        assert_eq!(format_type(4_000_000_000, None), "???");
    }

    #[test]
    fn names_and_oids_are_unique() {
        for pair in all().windows(2) {
            assert!(
                pair[0].oid < pair[1].oid,
                "{} and {}",
                pair[0].name,
                pair[1].name
            );
        }
        for pg_type in all() {
            assert_eq!(by_name(pg_type.name), Some(*pg_type));
            if pg_type.array_oid != 0 {
                assert_eq!(by_oid(pg_type.array_oid).unwrap().element_oid, pg_type.oid);
            }
        }
    }

    #[test]
    fn every_carried_type_comes_back_from_its_field() {
        for pg_type in all() {
            if let Some(field) = field("x", pg_type) {
                assert_eq!(of_field(&field), *pg_type);
            }
        }
        assert_eq!(of_data_type(&data_type_of(1231).unwrap()).name, "_numeric");
    }

    #[test]
    fn arrow_types_map_to_the_nearest_type() {
        for (data_type, name) in [
            (DataType::Int8, "int2"),
            (DataType::UInt16, "int4"),
            (DataType::UInt32, "int8"),
            (DataType::UInt64, "numeric"),
            (DataType::Utf8View, "text"),
            (DataType::Null, "text"),
            (DataType::Float16, "float4"),
            (DataType::Date64, "date"),
            (DataType::Binary, "bytea"),
            (DataType::Time32(TimeUnit::Second), "time"),
            (DataType::Duration(TimeUnit::Second), "interval"),
            (DataType::new_list(DataType::Float32, true), "_float4"),
            (
                DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
                "text",
            ),
            (
                DataType::new_list(DataType::new_list(DataType::Int64, true), true),
                "_int8",
            ),
        ] {
            assert_eq!(of_data_type(&data_type).name, name, "{data_type}");
        }
    }

    #[test]
    fn reads_modifiers() {
        let money = Field::new("x", DataType::Decimal128(10, 2), true);
        assert_eq!(type_modifier(&money), numeric_modifier(10, 2));
        assert_eq!(
            type_modifier(&Field::new("x", DataType::Decimal128(38, 9), true)),
            -1
        );
        let code = Field::new("x", DataType::Utf8, true).with_metadata(HashMap::from([
            (PG_TYPE.to_owned(), "varchar".to_owned()),
            (PG_TYPMOD.to_owned(), "24".to_owned()),
        ]));
        assert_eq!(of_field(&code).name, "varchar");
        assert_eq!(
            format_type(of_field(&code).oid, Some(type_modifier(&code))),
            "character varying(20)"
        );
    }

    #[test]
    fn finds_types_by_their_sql_names() {
        for (text, name) in [
            ("double precision", "float8"),
            ("character varying[]", "_varchar"),
            ("pg_catalog.int4", "int4"),
            ("\"char\"", "char"),
            ("char", "bpchar"),
            ("int2vector", "int2vector"),
        ] {
            assert_eq!(by_sql_name(text).unwrap().name, name);
        }
        assert!(by_sql_name("no_such_type").is_none());
    }
}
