//! Values and messages that PostgreSQL 15 gives.

use super::*;

/// A value, or SQLSTATE, message, detail and hint.
fn shown(result: Result<String, TextError>) -> String {
    result.unwrap_or_else(|error| {
        let state = error.sqlstate();
        let detail = error.detail.unwrap_or_default();
        let hint = error.hint.unwrap_or_default();
        format!("{state} {}|{detail}|{hint}", error.message)
    })
}

#[test]
fn inputs_are_read_as_in_postgresql() {
    let clock = Clock::default();
    for (kind, text, expected) in INPUTS {
        let result = match *kind {
            "date" => date(text, &clock).map(i64::from),
            "timestamp" => timestamp(text, &clock),
            "timestamptz" => timestamptz(text, &clock),
            _ => time(text, &clock),
        };
        assert_eq!(
            shown(result.map(|value| value.to_string())),
            *expected,
            "{kind} {text:?}"
        );
    }
}

#[test]
fn words_follow_the_clock_of_the_session() {
    // 2026-09-21 14:13:20.123456 UTC is already the next day 15 hours to the east.
    let clock = Clock {
        now: 1_790_000_000_123_456,
        zone: Zone::Offset(15 * 3_600),
    };
    assert_eq!(date("today", &clock), Ok(20_718));
    assert_eq!(date("tomorrow", &clock), Ok(20_719));
    assert_eq!(date("yesterday", &clock), Ok(20_717));
    assert_eq!(timestamptz("now", &clock), Ok(clock.now));
    assert_eq!(timestamp("now", &clock), Ok(clock.now + 54_000_000_000));
    assert_eq!(
        timestamptz("today", &clock),
        Ok(20_718 * DAY_US - 54_000_000_000)
    );
}

#[test]
fn infinities_are_the_ends_of_the_integers() {
    let clock = Clock::default();
    assert_eq!(timestamp("infinity", &clock), Ok(INFINITY));
    assert_eq!(timestamptz("-infinity", &clock), Ok(i64::MIN));
    assert_eq!(date("infinity", &clock), Ok(INFINITE_DATE));
    assert_eq!(date("-infinity", &clock), Ok(i32::MIN));
}

#[test]
fn hours_that_come_twice_or_never_resolve_as_in_postgresql() {
    let zone = Zone::named("america/new_york").expect("a zone");
    let clock = Clock { now: 0, zone };
    let utc = |text: &str| timestamptz(text, &Clock::default());
    assert_eq!(
        timestamptz("2021-11-07 01:30", &clock),
        utc("2021-11-07 06:30")
    );
    assert_eq!(
        timestamptz("2021-03-14 02:30", &clock),
        utc("2021-03-14 07:30")
    );
}

const INPUTS: &[(&str, &str, &str)] = &[
    ("date", "2020-06-15 T10:00 PST", "18428"),
    ("date", "19990108 AD", "10599"),
    ("date", "2020-06-15 101112+15:59:59", "18428"),
    ("date", "2020-06-15 10:00 PM -08:00", "18428"),
    ("date", "2020-06-15 10:00:00.5+0230", "18428"),
    ("date", "2020-06-15 10:00:00.1234565 EST5EDT", "18428"),
    ("date", "Jan 31, 2020", "18292"),
    ("date", "2020-06-15 0:00 pm+0230", "18428"),
    ("date", "2020-06-15 10:00: MET DST", "18428"),
    ("date", "5874897-12-31  10:00:00.1234565 AD", "2145042905"),
    ("date", "2020/01/31", "18292"),
    ("date", "2020-06-15 0:00 pm", "18428"),
    ("date", "1-31-20 10:00:00.1234567 EST", "18292"),
    ("date", "1 2 2003  10:00+0230", "12054"),
    ("date", "990108", "10599"),
    ("date", "2020-06-15 101112Europe/Berlin", "18428"),
    ("date", "2020-06-15 10:00:00.1234567PDT", "18428"),
    ("date", "2020-06-15 10:00.5 BC", "-1456787"),
    ("date", "2020-06-15 101112.5 America/New_York", "18428"),
    ("date", "2020-06-15 10:00:00.5 Etc/GMT+5", "18428"),
    ("date", "2020-06-15 23:59:59.9999999 GMT", "18428"),
    ("date", "y1999 m1 d8", "10599"),
    (
        "date",
        "2020-06-15 24:00:01PDT",
        "22008 date/time field value out of range: \"2020-06-15 24:00:01PDT\"||",
    ),
    (
        "date",
        "2020-06-15 25:00-02:30:15",
        "22008 date/time field value out of range: \"2020-06-15 25:00-02:30:15\"||",
    ),
    (
        "date",
        "5874897-12-31  10hUTC+3",
        "22007 invalid input syntax for type date: \"5874897-12-31  10hUTC+3\"||",
    ),
    (
        "date",
        "1/2 101112.5 Europe/Nowhere",
        "22007 invalid input syntax for type date: \"1/2 101112.5 Europe/Nowhere\"||",
    ),
    (
        "date",
        "2020-06-15  foo",
        "22007 invalid input syntax for type date: \"2020-06-15  foo\"||",
    ),
    (
        "timestamp",
        "2020-06-15 10:00PM EST5EDT",
        "1592258400000000",
    ),
    ("timestamp", "2020-06-15 Europe/Berlin", "1592179200000000"),
    (
        "timestamp",
        "2020-06-15 10:00 PM EST5EDT",
        "1592258400000000",
    ),
    (
        "timestamp",
        "2020-06-15 10:00:00.9999999-08",
        "1592215201000000",
    ),
    ("timestamp", "2020-06-15 23:59:60+02:30", "1592265600000000"),
    ("timestamp", "2020-06-15 101112.5-8", "1592215872500000"),
    ("timestamp", "2020-06-15 Z", "1592179200000000"),
    ("timestamp", "2020-06-15 24:00:00-8", "1592265600000000"),
    (
        "timestamp",
        "2020-06-15 10:00:00.9999999 UTC",
        "1592215201000000",
    ),
    ("timestamp", "2020-06-15 101112-8", "1592215872000000"),
    ("timestamp", "2020-06-15 10:00 PM+0230", "1592258400000000"),
    ("timestamp", "2020-06-15 12:30 pm PST", "1592224200000000"),
    ("timestamp", "epoch", "0"),
    (
        "timestamp",
        "2020-06-15 10:00:00.9999999",
        "1592215201000000",
    ),
    ("timestamp", "2020-1-5", "1578182400000000"),
    ("timestamp", "2020-06-15 101112 AD", "1592215872000000"),
    ("timestamp", "10000-01-01", "253402300800000000"),
    (
        "timestamp",
        "2020-06-15 10:00PM America/New_York",
        "1592258400000000",
    ),
    ("timestamp", "2020-06-15 10:00:+02:30", "1592215200000000"),
    (
        "timestamp",
        "2020-06-15 10:00:00.5+02:30",
        "1592215200500000",
    ),
    ("timestamp", "Jan-08-99", "915753600000000"),
    (
        "timestamp",
        "2020-06-15 23:59:60 +02:30:15",
        "1592265600000000",
    ),
    (
        "timestamp",
        "99-Jan-0823:59:59.9999999 DST",
        "22008 date/time field value out of range: \"99-Jan-0823:59:59.9999999 DST\"||Perhaps you need a different \"datestyle\" setting.",
    ),
    (
        "timestamp",
        "101112 AD 1 2 2003",
        "22007 invalid input syntax for type timestamp: \"101112 AD 1 2 2003\"||",
    ),
    (
        "timestamp",
        "24:00:01-02:30:15 Febr 3 2020",
        "22008 date/time field value out of range: \"24:00:01-02:30:15 Febr 3 2020\"||",
    ),
    (
        "timestamp",
        "2020-06-15 25:00",
        "22008 date/time field value out of range: \"2020-06-15 25:00\"||",
    ),
    (
        "timestamp",
        "2020-01-32  10:60+15:59:59",
        "22008 date/time field value out of range: \"2020-01-32  10:60+15:59:59\"||",
    ),
    ("timestamptz", "20200131", "1580428800000000"),
    ("timestamptz", "2020-06-15 10:00 GMT", "1592215200000000"),
    ("timestamptz", "1-31-20T1011 Etc/GMT+5", "1580483460000000"),
    (
        "timestamptz",
        "2020-06-15 10:00:00.9999999 -08:00",
        "1592244001000000",
    ),
    (
        "timestamptz",
        "2020-06-15 10:00:00.9999999UTC+3",
        "1592226001000000",
    ),
    (
        "timestamptz",
        "2020-06-15 0:00 pm -08:00",
        "1592251200000000",
    ),
    ("timestamptz", "31 Jan 2020", "1580428800000000"),
    ("timestamptz", "2020-06-15 ", "1592179200000000"),
    ("timestamptz", "2020-06-15 10:00:00 UTC", "1592215200000000"),
    ("timestamptz", "2020-06-15 noon+16", "1592236800000000"),
    ("timestamptz", "31-Jan-2020", "1580428800000000"),
    ("timestamptz", "2020-06-15 at 10:00+02", "1592208000000000"),
    ("timestamptz", "2020-06-15 +0230", "1592170200000000"),
    ("timestamptz", "1 2 3T1011+15:59:59", "1041444661000000"),
    (
        "timestamptz",
        "2020-06-15 h10 mm30 s5 Etc/GMT+5",
        "1592235005000000",
    ),
    ("timestamptz", "2020-06-15 noon-8", "1592150400000000"),
    ("timestamptz", "2020-06-15 10:00.5 PST", "1592208600500000"),
    ("timestamptz", "1/1/69", "3124224000000000"),
    ("timestamptz", "2020-06-15 101112.5Z", "1592215872500000"),
    (
        "timestamptz",
        "2020-06-15 10:00:00.1234565 BC",
        "-125866360799876544",
    ),
    ("timestamptz", "101112Europe/Berlin epoch 10:00", "0"),
    ("timestamptz", "2020-06-15  zulu", "1592179200000000"),
    (
        "timestamptz",
        "10:00 PM Etc/GMT+5 19990108",
        "22007 invalid input syntax for type timestamp with time zone: \"10:00 PM Etc/GMT+5 19990108\"||",
    ),
    (
        "timestamptz",
        "é101112",
        "22007 invalid input syntax for type timestamp with time zone: \"é101112\"||",
    ),
    (
        "timestamptz",
        "2020-06-15 10:60 -08:00",
        "22008 date/time field value out of range: \"2020-06-15 10:60 -08:00\"||",
    ),
    (
        "timestamptz",
        "2020-06-15 12:00 amPDT",
        "22007 invalid input syntax for type timestamp with time zone: \"2020-06-15 12:00 amPDT\"||",
    ),
    (
        "timestamptz",
        "4714-11-23 BC 13:00 pm-8",
        "22008 timestamp out of range: \"4714-11-23 BC 13:00 pm-8\"||",
    ),
    ("time", "10:00:00UTC+3", "36000000000"),
    ("time", "10:00:00.5-8", "36000500000"),
    ("time", "12:30 pm+0230", "45000000000"),
    ("time", "23:59:60 EST", "86400000000"),
    ("time", "12:30 pm", "45000000000"),
    ("time", "10:00:00 UTC", "36000000000"),
    ("time", "10:00:00.9999999-8", "36001000000"),
    ("time", "10:00.5Z", "600500000"),
    ("time", "10:00 AM PST", "36000000000"),
    ("time", "23:59:59.9999999", "86400000000"),
    ("time", "at 10:00 BC", "36000000000"),
    ("time", "10:00:00-02:30:15", "36000000000"),
    ("time", "1011 PST", "36660000000"),
    ("time", "1999-008  T10:00 Etc/GMT+5", "36000000000"),
    ("time", "10:00:00.1234567UTC+3", "36000123457"),
    ("time", "101112 UTC+3", "36672000000"),
    ("time", "10:00:00.1234565 +02:30:15", "36000123456"),
    ("time", "T101112 PST", "36672000000"),
    ("time", "10:00 PM-08", "36000000000"),
    ("time", "10:00.5 -08:00", "600500000"),
    ("time", "24:00:00UTC+3", "86400000000"),
    ("time", "10:00 UTC+3", "36000000000"),
    (
        "time",
        "1011 DST",
        "22007 invalid input syntax for type time: \"1011 DST\"||",
    ),
    (
        "time",
        "4714-10-24 BC  23:59:59.9999999 Europe/Nowhere",
        "22023 time zone \"europe/nowhere\" not recognized||",
    ),
    (
        "time",
        "noon+15:59:59",
        "22007 invalid input syntax for type time: \"noon+15:59:59\"||",
    ),
    (
        "time",
        "13:00 pm+15:59:59",
        "22008 date/time field value out of range: \"13:00 pm+15:59:59\"||",
    ),
    (
        "time",
        "2020-01-31",
        "22007 invalid input syntax for type time: \"2020-01-31\"||",
    ),
];
