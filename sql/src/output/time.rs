//! Dates, times and intervals as PostgreSQL writes them in the ISO style.

use bytes::{BufMut, BytesMut};
use chrono::{DateTime, Offset, TimeZone};

use super::number::integer;
use crate::error::{Condition, Report};

/// Microseconds in a day.
pub const DAY_US: i64 = 86_400_000_000;
/// Days from 1970-01-01 to 2000-01-01, where PostgreSQL's binary dates begin.
pub const POSTGRES_EPOCH_DAYS: i64 = 10_957;
/// The same in microseconds.
pub const POSTGRES_EPOCH_US: i64 = POSTGRES_EPOCH_DAYS * DAY_US;

/// The time zone that `timestamptz` values are shown in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Zone {
    /// UTC.
    #[default]
    Utc,
    /// A fixed number of seconds east of UTC.
    Fixed(i32),
    /// A zone of the IANA database.
    Named(chrono_tz::Tz),
}

impl Zone {
    /// The zone of a `TimeZone` setting: `UTC`, `GMT`, an IANA name in any case, or an offset such as `+02:00`, which is
    /// east of UTC as ISO 8601 has it. `None` for anything else.
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.trim();
        if ["utc", "gmt", "z"]
            .iter()
            .any(|utc| name.eq_ignore_ascii_case(utc))
        {
            return Some(Self::Utc);
        }
        let named = chrono_tz::TZ_VARIANTS.iter();
        if let Some(zone) = named
            .copied()
            .find(|zone| zone.name().eq_ignore_ascii_case(name))
        {
            return Some(Self::Named(zone));
        }
        let (sign, digits) = match name.split_at_checked(1)? {
            ("+", digits) => (1, digits),
            ("-", digits) => (-1, digits),
            _ => return None,
        };
        let mut parts = digits
            .split(':')
            .map(|part| part.parse::<u16>().ok().map(i32::from));
        let hours = parts.next()??;
        let minutes = parts.next().unwrap_or(Some(0))?;
        (hours < 16 && minutes < 60 && parts.next().is_none())
            .then_some(Self::Fixed(sign * (hours * 3600 + minutes * 60)))
    }

    /// Seconds east of UTC at an instant, given in microseconds since 1970.
    fn offset_s(self, instant_us: i64) -> i32 {
        match self {
            Self::Utc => 0,
            Self::Fixed(seconds) => seconds,
            Self::Named(zone) => DateTime::from_timestamp_micros(instant_us).map_or(0, |instant| {
                zone.offset_from_utc_datetime(&instant.naive_utc())
                    .fix()
                    .local_minus_utc()
            }),
        }
    }
}

/// Writes a day, counted from 1970-01-01.
pub fn date(days: i64, out: &mut BytesMut) {
    let (year, month, day) = civil(days);
    let (shown, before_christ) = if year > 0 {
        (year, false)
    } else {
        (1 - year, true)
    };
    if shown < 10_000 {
        let century = shown / 100;
        two_digits(century, out);
        two_digits(shown % 100, out);
    } else {
        integer(shown, out);
    }
    out.put_u8(b'-');
    two_digits(month, out);
    out.put_u8(b'-');
    two_digits(day, out);
    if before_christ {
        out.put_slice(b" BC");
    }
}

/// Writes a time of day.
pub fn time(microseconds: i64, out: &mut BytesMut) {
    let seconds = microseconds.div_euclid(1_000_000);
    two_digits(seconds / 3600, out);
    out.put_u8(b':');
    two_digits(seconds / 60 % 60, out);
    out.put_u8(b':');
    two_digits(seconds % 60, out);
    fraction(microseconds.rem_euclid(1_000_000), out);
}

/// Writes a timestamp without time zone, counted in microseconds from 1970-01-01.
pub fn timestamp(microseconds: i64, out: &mut BytesMut) {
    local(microseconds, &[], out);
}

/// Writes an instant in `zone` with its offset from UTC.
///
/// # Errors
/// 22008 where the local time is out of range.
pub fn timestamptz(microseconds: i64, zone: Zone, out: &mut BytesMut) -> Result<(), Report> {
    let offset = zone.offset_s(microseconds);
    let shown = microseconds
        .checked_add(i64::from(offset) * 1_000_000)
        .ok_or_else(out_of_range)?;
    let mut suffix = BytesMut::with_capacity(9);
    suffix.put_u8(if offset < 0 { b'-' } else { b'+' });
    let offset = i64::from(offset.abs());
    two_digits(offset / 3600, &mut suffix);
    if offset % 3600 != 0 {
        suffix.put_u8(b':');
        two_digits(offset / 60 % 60, &mut suffix);
    }
    if offset % 60 != 0 {
        suffix.put_u8(b':');
        two_digits(offset % 60, &mut suffix);
    }
    local(shown, &suffix, out);
    Ok(())
}

/// Date and time with `zone` behind, and the era behind all, as in `0044-03-15 12:00:00+00 BC`.
fn local(microseconds: i64, zone: &[u8], out: &mut BytesMut) {
    let days = microseconds.div_euclid(DAY_US);
    date(days, out);
    let before_christ = out.ends_with(b" BC");
    if before_christ {
        out.truncate(out.len() - 3);
    }
    out.put_u8(b' ');
    time(microseconds.rem_euclid(DAY_US), out);
    out.put_slice(zone);
    if before_christ {
        out.put_slice(b" BC");
    }
}

/// Writes an interval in the style `postgres`: `1 year 2 mons -3 days +04:05:06.7`.
pub fn interval(months: i32, days: i32, microseconds: i64, out: &mut BytesMut) {
    let start = out.len();
    let mut negative_before = false;
    let parts = [(months / 12, "year"), (months % 12, "mon"), (days, "day")];
    for (value, unit) in parts {
        if value == 0 {
            continue;
        }
        if out.len() > start {
            out.put_u8(b' ');
        }
        if negative_before && value > 0 {
            out.put_u8(b'+');
        }
        integer(value, out);
        out.put_u8(b' ');
        out.put_slice(unit.as_bytes());
        if value != 1 {
            out.put_u8(b's');
        }
        negative_before = value < 0;
    }
    if microseconds == 0 && out.len() > start {
        return;
    }
    if out.len() > start {
        out.put_u8(b' ');
    }
    if microseconds < 0 {
        out.put_u8(b'-');
    } else if negative_before {
        out.put_u8(b'+');
    }
    let magnitude = microseconds.unsigned_abs();
    let seconds = magnitude / 1_000_000;
    let hours = seconds / 3600;
    if hours < 10 {
        out.put_u8(b'0');
    }
    integer(hours, out);
    out.put_u8(b':');
    two_digits((seconds / 60 % 60) as i64, out);
    out.put_u8(b':');
    two_digits((seconds % 60) as i64, out);
    fraction((magnitude % 1_000_000) as i64, out);
}

/// `value` in a unit of which a microsecond has `per_microsecond`, rounded to the nearest microsecond, halves up.
pub fn round_to_us(value: i64, per_microsecond: i64) -> i64 {
    let whole = value.div_euclid(per_microsecond);
    whole + i64::from(2 * value.rem_euclid(per_microsecond) >= per_microsecond)
}

/// `value` in a unit of `microseconds`.
///
/// # Errors
/// 22008 where it is out of range.
pub fn scale_to_us(value: i64, microseconds: i64) -> Result<i64, Report> {
    value.checked_mul(microseconds).ok_or_else(out_of_range)
}

fn out_of_range() -> Report {
    Report::new(Condition::DatetimeOutOfRange, "timestamp out of range")
}

/// Writes the digits after the second, without zeros at the end.
fn fraction(mut microseconds: i64, out: &mut BytesMut) {
    if microseconds == 0 {
        return;
    }
    let mut digits = [b'0'; 7];
    digits[0] = b'.';
    let mut end = 1;
    for (index, digit) in digits.iter_mut().enumerate().skip(1).rev() {
        let value = (microseconds % 10) as u8;
        *digit += value;
        microseconds /= 10;
        if value != 0 {
            end = end.max(index + 1);
        }
    }
    out.put_slice(digits.get(..end).unwrap_or_default());
}

fn two_digits(value: i64, out: &mut BytesMut) {
    let value = (value % 100) as u8;
    out.put_slice(&[b'0' + value / 10, b'0' + value % 10]);
}

/// Year (0 is 1 BC), month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar: years begin in
/// March, so that the leap day is the last, and repeat in eras of 400.
fn civil(days: i64) -> (i64, i64, i64) {
    const ERA_DAYS: i64 = 146_097;
    let shifted = days + 719_468;
    let era = shifted.div_euclid(ERA_DAYS);
    let day_of_era = shifted.rem_euclid(ERA_DAYS);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl Fn(&mut BytesMut)) -> String {
        let mut out = BytesMut::new();
        write(&mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn dates_agree_with_the_calendar() {
        let epoch = chrono::NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
        for days in (-719_000..2_900_000).step_by(377) {
            let expected = epoch
                .checked_add_signed(chrono::Duration::days(days))
                .unwrap();
            assert_eq!(
                text(|out| date(days, out)),
                expected.format("%Y-%m-%d").to_string()
            );
        }
        assert_eq!(text(|out| date(-719_163, out)), "0001-12-31 BC");
        assert_eq!(text(|out| date(2_932_897, out)), "10000-01-01");
        assert_eq!(text(|out| date(i64::from(i32::MAX), out)), "5881580-07-11");
        assert_eq!(
            text(|out| date(i64::from(i32::MIN), out)),
            "5877642-06-23 BC"
        );
    }

    #[test]
    fn timestamps_have_the_fraction_that_they_need() {
        assert_eq!(text(|out| timestamp(0, out)), "1970-01-01 00:00:00");
        assert_eq!(text(|out| timestamp(-1, out)), "1969-12-31 23:59:59.999999");
        assert_eq!(
            text(|out| timestamp(1_500_000, out)),
            "1970-01-01 00:00:01.5"
        );
        assert_eq!(
            text(|out| timestamp(1_000_010, out)),
            "1970-01-01 00:00:01.00001"
        );
        assert_eq!(
            text(|out| timestamp(-719_163 * DAY_US, out)),
            "0001-12-31 00:00:00 BC"
        );
        assert_eq!(text(|out| time(DAY_US - 1, out)), "23:59:59.999999");
        assert_eq!(text(|out| time(DAY_US, out)), "24:00:00");
    }

    #[test]
    fn instants_are_shown_in_their_zone() {
        let shown = |us, zone: &str| {
            let zone = Zone::parse(zone).unwrap();
            text(|out| timestamptz(us, zone, out).unwrap())
        };
        let summer = 1_720_000_000_000_000;
        assert_eq!(shown(summer, "UTC"), "2024-07-03 09:46:40+00");
        assert_eq!(shown(summer, "europe/berlin"), "2024-07-03 11:46:40+02");
        assert_eq!(
            shown(1_704_067_200_000_000, "Europe/Berlin"),
            "2024-01-01 01:00:00+01"
        );
        assert_eq!(shown(summer, "Asia/Kolkata"), "2024-07-03 15:16:40+05:30");
        assert_eq!(shown(summer, "-03:30"), "2024-07-03 06:16:40-03:30");
        assert_eq!(
            shown(-3_000_000_000_000_000, "Europe/Brussels").get(19..),
            Some("+00:17:30")
        );
        for bad in ["", "Mars/Olympus", "+99", "+1:2:3", "+x"] {
            assert_eq!(Zone::parse(bad), None, "{bad}");
        }
        assert!(timestamptz(i64::MAX, Zone::Fixed(3600), &mut BytesMut::new()).is_err());
    }

    #[test]
    fn intervals_are_written_as_postgresql_writes_them() {
        for (months, days, us, expected) in [
            (0, 0, 0, "00:00:00"),
            (14, 3, 14_706_789_000, "1 year 2 mons 3 days 04:05:06.789"),
            (12, 0, 0, "1 year"),
            (0, 1, 0, "1 day"),
            (0, -1, 7_200_000_000, "-1 days +02:00:00"),
            (-1, 2, -1, "-1 mons +2 days -00:00:00.000001"),
            (-14, 0, 0, "-1 years -2 mons"),
            (0, 0, 360_000_000_000, "100:00:00"),
            (0, 0, i64::MIN, "-2562047788:00:54.775808"),
        ] {
            assert_eq!(text(|out| interval(months, days, us, out)), expected);
        }
    }

    #[test]
    fn finer_units_are_rounded() {
        assert_eq!(round_to_us(1_499, 1_000), 1);
        assert_eq!(round_to_us(1_500, 1_000), 2);
        assert_eq!(round_to_us(-1_500, 1_000), -1);
        assert_eq!(round_to_us(-1_501, 1_000), -2);
        assert!(scale_to_us(i64::MAX, 1_000).is_err());
    }
}
