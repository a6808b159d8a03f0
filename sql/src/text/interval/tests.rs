//! Values and messages that PostgreSQL 15 gives.

use super::*;
use crate::text::datetime::{Clock, timestamp};

/// A value, or SQLSTATE, message, detail and hint.
fn shown(result: Result<String, TextError>) -> String {
    result.unwrap_or_else(|error| {
        let state = error.sqlstate();
        let detail = error.detail.unwrap_or_default();
        let hint = error.hint.unwrap_or_default();
        format!("{state} {}|{detail}|{hint}", error.message)
    })
}

fn parts(interval: Interval) -> String {
    let Interval {
        months,
        days,
        micros,
    } = interval;
    format!("{months} {days} {micros}")
}

#[test]
fn inputs_are_read_as_in_postgresql() {
    for (_, text, expected) in INPUTS {
        assert_eq!(shown(interval(text).map(parts)), *expected, "{text:?}");
    }
}

#[test]
fn ages_count_the_days_of_the_earlier_month() {
    let at = |text: &str| timestamp(text, &Clock::default()).expect("a timestamp");
    for (_, to, from, expected) in AGES {
        assert_eq!(parts(age(at(to), at(from))), *expected, "{to} {from}");
    }
}

/// Months, days and microseconds.
const INPUTS: &[(&str, &str, &str)] = &[
    ("interval", "0mons -4.9720607us", "0 0 -5"),
    ("interval", "P12345678", "14864 78 0"),
    ("interval", "+3.9659197 hour", "0 0 14277310920"),
    (
        "interval",
        "-0.8020928minutes 20.800 hour +40.042 sec",
        "0 0 74871916432",
    ),
    (
        "interval",
        "-6.674minutes +2.0976318sec 0.0620582 month",
        "0 1 74056512032",
    ),
    ("interval", "42.873ms 67seconds", "0 0 67042873"),
    (
        "interval",
        "-2.6258337 mons 2.1259795 min +16.206 weeks",
        "-2 95 -28644591630",
    ),
    ("interval", "1.5 c", "1800 0 0"),
    (
        "interval",
        "-2.582weeks 2.654 mons ago",
        "-2 -1 -47174400000",
    ),
    ("interval", "27.909 minutes 17.566years", "211 0 1674540000"),
    (
        "interval",
        "3.0391375days +37.953 us 42.194decade",
        "5063 3 3381480038",
    ),
    ("interval", "1 microsecondz", "0 0 1"),
    ("interval", "+30.857min", "0 0 1851420000"),
    ("interval", "P8.974M-80DT-1M4.931S", "8 -51 18952931000"),
    ("interval", "100:20", "0 0 361200000000"),
    ("interval", "P0001-02-03T04:05:06", "14 3 14706000000"),
    ("interval", "-4.3794262min", "0 0 -262765572"),
    ("interval", "P57D-3.049Y", "-37 57 0"),
    ("interval", "46.212year", "555 0 0"),
    ("interval", "-128days 1.8518162 seconds", "0 -128 1851816"),
    (
        "interval",
        "0.1043688 mons -121us -26.734weeks",
        "0 -184 -599270521",
    ),
    (
        "interval",
        "0.8903985 hours +3.3688221years",
        "40 0 3205434600",
    ),
    ("interval", "PT-44M-0.201H", "0 0 -3363600000"),
    ("interval", "P-8.371D-75WT99H-3.406M", "0 -533 324141240000"),
    ("interval", "+44.927us", "0 0 45"),
    ("interval", "+0.2936662 day 5", "0 0 25377759680"),
    ("interval", "P5.691W", "0 39 72316800000"),
    ("interval", "1h30m", "0 0 5400000000"),
    (
        "interval",
        "-97decade -15.613 century -4.3671585sec",
        "-30376 0 -4367158",
    ),
    (
        "interval",
        "P-0.117D-0.632MT-73S-7.609H",
        "0 -18 -120518200000",
    ),
    (
        "interval",
        "124day -45.766 min -50decade",
        "-6000 124 -2745960000",
    ),
    ("interval", "1 msecond", "0 0 1000"),
    ("interval", "P7.758W-51DT-80M52H", "0 3 208838400000"),
    ("interval", "67 min +1.6359181 month", "1 19 10719715200"),
    ("interval", "+36.731 days ago", "0 -36 -63158400000"),
    ("interval", "+3.4943639 year", "42 0 0"),
    ("interval", "39mons 90 sec +33day ago", "-39 -33 -90000000"),
    ("interval", "138minutes 5", "0 0 8285000000"),
    ("interval", "P31YT-4.562M-8.024S", "372 0 -281744000"),
    (
        "interval",
        "1.1074967 min -49.473 day",
        "0 -49 -40800750198",
    ),
    ("interval", "-94weeks", "0 -658 0"),
    ("interval", "P0.218W", "0 1 45446400000"),
    ("interval", "3.0413636seconds", "0 0 3041364"),
    ("interval", "P-1Y", "-12 0 0"),
    ("interval", "1 microseconds", "0 0 1"),
    ("interval", "43.287 century ago", "-51944 0 0"),
    (
        "interval",
        "1.9526570 us 18.192month 11.433hours",
        "18 5 106822800002",
    ),
    ("interval", "7.145 hours 5", "0 0 25727000000"),
    ("interval", "0.8454181hours", "0 0 3043505160"),
    (
        "interval",
        "0.1934069minutes 9.924 days 5",
        "0 9 79850204414",
    ),
    ("interval", "6.438sec", "0 0 6438000"),
    ("interval", "1.5 weeks", "0 10 43200000000"),
    ("interval", "5 us", "0 0 5"),
    (
        "interval",
        "1 year 2 months 3 days 04:05:06.789",
        "14 3 14706789000",
    ),
    (
        "interval",
        "+49.713hours -24.520minutes",
        "0 0 177495600000",
    ),
    (
        "interval",
        "3.7917735 minutes 1.2122643 hour",
        "0 0 4591657890",
    ),
    ("interval", "P6.119YT8.916S-3.533M", "73 0 -203064000"),
    ("interval", "48.050 years 5", "577 0 5000000"),
    ("interval", "181years", "2172 0 0"),
    ("interval", "102 hour", "0 0 367200000000"),
    ("interval", "1 -02:03", "0 1 -7380000000"),
    (
        "interval",
        "+1.2305342hours 106 century",
        "127200 0 4429923120",
    ),
    ("interval", "-30.530 weeks 10:20:30", "0 -213 -24114000000"),
    (
        "interval",
        "3.0611402century 103 year -176 hour",
        "4909 0 -633600000000",
    ),
    (
        "interval",
        "12 mons 31.820 days ago",
        "-12 -31 -70848000000",
    ),
    (
        "interval",
        "21.901 mons -1.518 decade -41.121days",
        "-161 -14 -7862400000",
    ),
    ("interval", "8.325weeks 163 hour", "0 58 610560000000"),
    ("interval", "0.0000025 s", "0 0 2"),
    ("interval", "P59D", "0 59 0"),
    ("interval", "111weeks 10:20:30", "0 777 37230000000"),
    (
        "interval",
        "48.160sec +3.3228484 ms",
        "22007 invalid input syntax for type interval: \"48.160sec +3.3228484 ms\"||",
    ),
    (
        "interval",
        "+18.619 minutes +104seconds 10:20:30",
        "22007 invalid input syntax for type interval: \"+18.619 minutes +104seconds 10:20:30\"||",
    ),
    (
        "interval",
        "1 timezone",
        "22007 invalid input syntax for type interval: \"1 timezone\"||",
    ),
    (
        "interval",
        "2147483648 days",
        "22015 interval field value out of range: \"2147483648 days\"||",
    ),
    (
        "interval",
        "+4.2090773minutes +121 minutes 164day -1:2:3.4",
        "22007 invalid input syntax for type interval: \"+4.2090773minutes +121 minutes 164day -1:2:3.4\"||",
    ),
    (
        "interval",
        "-30 minutes +41 us 31.333sec",
        "22007 invalid input syntax for type interval: \"-30 minutes +41 us 31.333sec\"||",
    ),
    (
        "interval",
        "1 millisecs",
        "22007 invalid input syntax for type interval: \"1 millisecs\"||",
    ),
    (
        "interval",
        "0.2194528 decade -3.1560564 hours 188 ms 10:20:30",
        "22007 invalid input syntax for type interval: \"0.2194528 decade -3.1560564 hours 188 ms 10:20:30\"||",
    ),
    (
        "interval",
        "42mons 1.7628133 seconds 10:20:30",
        "22007 invalid input syntax for type interval: \"42mons 1.7628133 seconds 10:20:30\"||",
    ),
    (
        "interval",
        "0.0450395sec 41.484ms 1.4035686century",
        "22007 invalid input syntax for type interval: \"0.0450395sec 41.484ms 1.4035686century\"||",
    ),
    (
        "interval",
        "+50years 3.0868131 seconds 81day 10:20:30",
        "22007 invalid input syntax for type interval: \"+50years 3.0868131 seconds 81day 10:20:30\"||",
    ),
    (
        "interval",
        "1.2851987years 35.713mons +18.513hour 10:20:30",
        "22007 invalid input syntax for type interval: \"1.2851987years 35.713mons +18.513hour 10:20:30\"||",
    ),
    (
        "interval",
        "+10.074month 46mons +5.762 min",
        "22007 invalid input syntax for type interval: \"+10.074month 46mons +5.762 min\"||",
    ),
    (
        "interval",
        "+0.2671748day 0.0087501 decade -4.0587966decade 10:20:30",
        "22007 invalid input syntax for type interval: \"+0.2671748day 0.0087501 decade -4.0587966decade 10:20:30\"||",
    ),
    (
        "interval",
        "-43.446hours +1.4752595 sec 4.3360553minutes 10:20:30",
        "22007 invalid input syntax for type interval: \"-43.446hours +1.4752595 sec 4.3360553minutes 10:20:30\"||",
    ),
    (
        "interval",
        "9223372036854775807 months",
        "22015 interval field value out of range: \"9223372036854775807 months\"||",
    ),
    (
        "interval",
        "0.205weeks 41.695 weeks -146years 5",
        "22007 invalid input syntax for type interval: \"0.205weeks 41.695 weeks -146years 5\"||",
    ),
];

const AGES: &[(&str, &str, &str, &str)] = &[
    (
        "age",
        "2061-01-18 23:34:40",
        "1970-08-20 01:02:03",
        "1084 29 81157000000",
    ),
    (
        "age",
        "2033-12-10 04:35:48",
        "1970-08-20 01:02:03",
        "759 21 12825000000",
    ),
    (
        "age",
        "1979-08-14 01:14:56",
        "2101-09-11 11:11:11",
        "-1464 -28 -35775000000",
    ),
    (
        "age",
        "1994-01-25 11:49:03",
        "2024-02-29 13:01:02.5",
        "-361 -4 -4319500000",
    ),
    (
        "age",
        "2044-10-21 17:05:06",
        "0044-03-15 12:00:00",
        "24007 6 18306000000",
    ),
    ("age", "2021-01-03 00:00:00", "2021-01-03 00:00:00", "0 0 0"),
    (
        "age",
        "1999-12-31 23:59:59.999",
        "2020-01-31 10:05:09.123456",
        "-240 -30 -36309124456",
    ),
    (
        "age",
        "1948-04-01 13:40:06",
        "2024-02-29 13:01:02.5",
        "-910 -27 -84056500000",
    ),
    (
        "age",
        "1957-12-07 22:38:15",
        "2020-01-31 10:05:09.123456",
        "-745 -23 -41214123456",
    ),
    (
        "age",
        "2053-10-10 07:29:43",
        "2024-02-29 13:01:02.5",
        "355 9 66520500000",
    ),
    (
        "age",
        "2002-06-15 01:15:27",
        "0044-03-15 12:00:00",
        "23498 30 47727000000",
    ),
    (
        "age",
        "2084-04-27 23:23:05",
        "2020-01-31 10:05:09.123456",
        "770 27 47875876544",
    ),
    (
        "age",
        "2013-11-16 08:59:08",
        "2020-01-31 10:05:09.123456",
        "-74 -15 -3961123456",
    ),
    (
        "age",
        "1943-08-05 06:23:29",
        "2101-09-11 11:11:11",
        "-1897 -6 -17262000000",
    ),
    (
        "age",
        "2030-07-21 13:04:18",
        "2020-01-31 10:05:09.123456",
        "125 21 10748876544",
    ),
    (
        "age",
        "1999-12-31 23:59:59.999",
        "2021-01-03 00:00:00",
        "-252 -2 -1000",
    ),
    (
        "age",
        "1984-02-11 16:13:40",
        "1999-12-31 23:59:59.999",
        "-190 -20 -27979999000",
    ),
    (
        "age",
        "1946-01-24 06:59:49",
        "2024-02-29 13:01:02.5",
        "-937 -5 -21673500000",
    ),
    (
        "age",
        "2097-02-17 14:03:41",
        "0044-03-15 12:00:00",
        "24635 2 7421000000",
    ),
    (
        "age",
        "1912-10-17 15:59:46",
        "1970-08-20 01:02:03",
        "-694 -2 -32537000000",
    ),
];
