use bytes::{BufMut, BytesMut};

use super::*;

fn kind(name: &str) -> &'static PgType {
    pgtype::by_name(name).unwrap()
}

fn natural(name: &str) -> DataType {
    pgtype::data_type_of(kind(name).oid).unwrap()
}

fn text(name: &str, value: &str) -> Result<ScalarValue, PgError> {
    parameter(
        Some(value.as_bytes()),
        Format::Text,
        kind(name),
        &natural(name),
        Style::default(),
    )
}

fn binary(name: &str, value: &[u8]) -> Result<ScalarValue, PgError> {
    parameter(
        Some(value),
        Format::Binary,
        kind(name),
        &natural(name),
        Style::default(),
    )
}

fn refused(result: Result<ScalarValue, PgError>, code: &str, message: &str) {
    let error = result.unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (code, message));
}

#[test]
fn null_has_the_type_of_the_parameter() {
    let null = parameter(
        None,
        Format::Binary,
        kind("int4"),
        &DataType::Int32,
        Style::default(),
    );
    assert_eq!(null.unwrap(), ScalarValue::Int32(None));
}

#[test]
fn text_values_are_read_as_postgresql_reads_them() {
    for (name, value, expected) in [
        ("int4", " 42 ", ScalarValue::from(42_i32)),
        ("int2", "-32768", ScalarValue::from(i16::MIN)),
        ("int8", "+7", ScalarValue::from(7_i64)),
        ("oid", "4294967295", ScalarValue::from(u32::MAX)),
        ("bool", "T", ScalarValue::from(true)),
        ("bool", "of", ScalarValue::from(false)),
        ("float8", "1e-3", ScalarValue::from(0.001)),
        ("float8", "-Infinity", ScalarValue::from(f64::NEG_INFINITY)),
        ("text", " x ", ScalarValue::from(" x ")),
        (
            "numeric",
            "-1.50",
            ScalarValue::Decimal128(Some(-1_500_000_000), 38, 9),
        ),
        (
            "numeric",
            "1.5e3",
            ScalarValue::Decimal128(Some(1_500_000_000_000), 38, 9),
        ),
        (
            "numeric",
            "0.0000000005",
            ScalarValue::Decimal128(Some(1), 38, 9),
        ),
        (
            "numeric",
            "0.0000000004",
            ScalarValue::Decimal128(Some(0), 38, 9),
        ),
        ("numeric", "0e9", ScalarValue::Decimal128(Some(0), 38, 9)),
        ("bytea", "\\x00fF", ScalarValue::Binary(Some(vec![0, 255]))),
        (
            "bytea",
            "a\\\\\\001",
            ScalarValue::Binary(Some(vec![b'a', b'\\', 1])),
        ),
        (
            "uuid",
            "{A0EEBC99-9C0B4EF8-BB6D6BB9BD380A11}",
            ScalarValue::from("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ),
        ("date", "2024-02-29", ScalarValue::Date32(Some(19_782))),
        ("date", "1969-12-31 23:00:00", ScalarValue::Date32(Some(-1))),
        (
            "time",
            "10:20:30.5",
            ScalarValue::Time64Microsecond(Some(37_230_500_000)),
        ),
        (
            "timestamp",
            "1970-01-01T01:00:00+05",
            ScalarValue::TimestampMicrosecond(Some(3_600_000_000), None),
        ),
        (
            "timestamptz",
            "1970-01-01 01:00:00+02:00",
            ScalarValue::TimestampMicrosecond(Some(-3_600_000_000), Some("UTC".into())),
        ),
        (
            "interval",
            "1 day 02:00:00",
            ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(
                0,
                1,
                7_200_000_000_000,
            ))),
        ),
    ] {
        assert_eq!(text(name, value).unwrap(), expected, "{name} {value}");
    }
    assert!(
        matches!(text("float8", "NaN").unwrap(), ScalarValue::Float64(Some(value)) if value.is_nan())
    );
}

#[test]
fn text_that_is_no_value_is_refused_by_name() {
    refused(
        text("int4", "abc"),
        "22P02",
        "invalid input syntax for type integer: \"abc\"",
    );
    refused(
        text("int4", ""),
        "22P02",
        "invalid input syntax for type integer: \"\"",
    );
    refused(
        text("int4", "2147483648"),
        "22003",
        "value \"2147483648\" is out of range for type integer",
    );
    refused(
        text("int4", "1.0"),
        "22P02",
        "invalid input syntax for type integer: \"1.0\"",
    );
    refused(
        text("bool", "o"),
        "22P02",
        "invalid input syntax for type boolean: \"o\"",
    );
    refused(
        text("float8", "1e999"),
        "22003",
        "\"1e999\" is out of range for type double precision",
    );
    refused(text("numeric", "1e40"), "22003", "numeric field overflow");
    refused(
        text("numeric", "1e-30000x"),
        "22P02",
        "invalid input syntax for type numeric: \"1e-30000x\"",
    );
    refused(
        text("date", "2024-02-30"),
        "22007",
        "invalid input syntax for type date: \"2024-02-30\"",
    );
    refused(
        text("timestamp", "yesterday"),
        "22007",
        "invalid input syntax for type timestamp: \"yesterday\"",
    );
    refused(
        text("uuid", "a0eebc99"),
        "22P02",
        "invalid input syntax for type uuid: \"a0eebc99\"",
    );
    refused(
        text("json", "{"),
        "22P02",
        "invalid input syntax for type json",
    );
    refused(
        text("bytea", "\\x0"),
        "22023",
        "invalid hexadecimal data: odd number of digits",
    );
    refused(
        text("bytea", "\\9"),
        "22P02",
        "invalid input syntax for type bytea",
    );
    let not_utf8 = parameter(
        Some(b"\xff"),
        Format::Text,
        kind("text"),
        &DataType::Utf8,
        Style::default(),
    );
    refused(
        not_utf8,
        "22021",
        "invalid byte sequence for encoding \"UTF8\": 0xff",
    );
}

#[test]
fn a_zone_is_that_of_the_text_or_of_the_session() {
    let berlin = Style {
        zone: Zone::parse("Europe/Berlin").unwrap(),
    };
    let read = |value: &str| {
        let value = parameter(
            Some(value.as_bytes()),
            Format::Text,
            kind("timestamptz"),
            &natural("timestamptz"),
            berlin,
        );
        match value.unwrap() {
            ScalarValue::TimestampMicrosecond(Some(us), _) => us / 1_000_000,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(read("2024-07-01 12:00:00"), read("2024-07-01 10:00:00Z"));
    assert_eq!(read("2024-01-01"), read("2023-12-31 23:00:00+00"));
    // The hour that comes twice, and the hour that is left out.
    assert_eq!(read("2024-10-27 02:30:00"), read("2024-10-27 02:30:00+01"));
    assert_eq!(read("2024-03-31 02:30:00"), read("2024-03-31 02:30:00+01"));
}

#[test]
fn binary_values_are_those_of_the_send_functions() {
    for (name, bytes, expected) in [
        ("bool", &[1_u8][..], ScalarValue::from(true)),
        ("int4", &[0xff; 4], ScalarValue::from(-1_i32)),
        ("float8", &1.5_f64.to_be_bytes(), ScalarValue::from(1.5)),
        ("date", &[0; 4], ScalarValue::Date32(Some(10_957))),
        (
            "timestamptz",
            &[0; 8],
            ScalarValue::TimestampMicrosecond(Some(946_684_800_000_000), Some("UTC".into())),
        ),
        (
            "interval",
            &[0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 2, 0, 0, 0, 3],
            ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(3, 2, 5_000))),
        ),
        // 12345.678: groups 1 2345 6780
        (
            "numeric",
            &[0, 3, 0, 1, 0, 0, 0, 3, 0, 1, 0x09, 0x29, 0x1a, 0x7c],
            ScalarValue::Decimal128(Some(12_345_678_000_000), 38, 9),
        ),
        ("jsonb", b"\x01{}", ScalarValue::from("{}")),
    ] {
        assert_eq!(binary(name, bytes).unwrap(), expected, "{name}");
    }
    for (name, bytes) in [
        ("int4", &[0_u8; 3][..]),
        ("int8", &[0; 4]),
        ("date", &[]),
        ("numeric", &[0, 1, 0, 0, 0, 0, 0, 0]),
        ("numeric", &[0, 1, 0, 0, 0, 0, 0, 0, 0x27, 0x10]),
        ("jsonb", b"{}"),
        ("uuid", &[0; 15]),
    ] {
        refused(binary(name, bytes), "22P03", "incorrect binary data format");
    }
    refused(
        binary("numeric", &[0, 0, 0, 0, 0xc0, 0, 0, 0]),
        "0A000",
        "numeric NaN and infinity are not supported",
    );
    refused(
        binary(
            "timestamp",
            &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe],
        ),
        "22008",
        "timestamp out of range",
    );
}

fn ints(value: ScalarValue) -> Vec<Option<i32>> {
    match value {
        ScalarValue::List(list) => {
            let values = list.value(0);
            arrow::array::AsArray::as_primitive::<arrow::datatypes::Int32Type>(&values)
                .iter()
                .collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn arrays_are_lists() {
    assert_eq!(
        ints(text("_int4", "{1, NULL ,3}").unwrap()),
        [Some(1), None, Some(3)]
    );
    assert_eq!(
        ints(text("_int4", "[2:3]={4,5}").unwrap()),
        [Some(4), Some(5)]
    );
    assert!(ints(text("_int4", " { } ").unwrap()).is_empty());
    let mut bytes = BytesMut::new();
    for word in [1, 1, 23, 2, 1, 4, 7, -1] {
        bytes.put_i32(word);
    }
    assert_eq!(ints(binary("_int4", &bytes).unwrap()), [Some(7), None]);
    let strings = text_elements(r#"{a b , "c,\"d" ,"NULL","", \e}"#).unwrap();
    assert_eq!(
        strings,
        [
            Some("a b"),
            Some("c,\"d"),
            Some("NULL"),
            Some(""),
            Some("e")
        ]
        .map(|s| s.map(str::to_owned))
    );
    for literal in ["1,2", "{1", "{1,}", "{\"a}", "{a\"b\"}", "{\"a\"b}", "{}}"] {
        assert_eq!(
            text("_text", literal).unwrap_err().code,
            "22P02",
            "{literal}"
        );
    }
    assert_eq!(text("_int4", "{{1},{2}}").unwrap_err().code, "0A000");
    assert_eq!(
        text("_int4", "{x}").unwrap_err().message,
        "invalid input syntax for type integer: \"x\""
    );
    for end in 0..bytes.len() {
        assert!(binary("_int4", &bytes[..end]).is_err());
    }
    bytes[11] = 25;
    refused(binary("_int4", &bytes), "42804", "wrong element type");
}

#[test]
fn values_are_converted_where_the_plan_wants_another_carrier() {
    let as_int64 = parameter(
        Some(b"7"),
        Format::Text,
        kind("int4"),
        &DataType::Int64,
        Style::default(),
    );
    assert_eq!(as_int64.unwrap(), ScalarValue::Int64(Some(7)));
    let as_view = parameter(
        Some(b"x"),
        Format::Text,
        kind("text"),
        &DataType::Utf8View,
        Style::default(),
    );
    assert_eq!(as_view.unwrap(), ScalarValue::Utf8View(Some("x".into())));
}
