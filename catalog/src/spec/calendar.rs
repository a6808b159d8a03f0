//! Dates and times as the text of the specification, over the whole range of their integers, infinities and years before Christ included.

const DAY_SECONDS: i64 = 86_400;
const INFINITY: &str = "infinity";
const MINUS_INFINITY: &str = "-infinity";
const BEFORE_CHRIST: &str = " (BC)";

/// A day, counted from 1970-01-01 in the proleptic Gregorian calendar; the whole range of i32.
pub fn print_date(days: i64) -> String {
    if days == i64::from(i32::MAX) {
        return INFINITY.to_owned();
    }
    if days == -i64::from(i32::MAX) {
        return MINUS_INFINITY.to_owned();
    }
    let (year, month, day) = civil(days);
    if year > 0 {
        format!("{year:04}-{month:02}-{day:02}")
    } else {
        format!("{:04}-{month:02}-{day:02}{BEFORE_CHRIST}", 1 - year)
    }
}

/// The day that text says, if it is one.
pub fn parse_date(text: &str) -> Option<i64> {
    match text {
        INFINITY => return Some(i64::from(i32::MAX)),
        MINUS_INFINITY => return Some(-i64::from(i32::MAX)),
        _ => {}
    }
    let (date, before_christ) = match text.strip_suffix(BEFORE_CHRIST) {
        Some(date) => (date, true),
        None => (text, false),
    };
    let mut parts = date.splitn(3, '-');
    let year: i64 = digits(parts.next()?)?;
    let month: i64 = digits(parts.next()?)?;
    let day: i64 = digits(parts.next()?)?;
    let year = if before_christ { 1 - year } else { year };
    if year.abs() > 10_000_000 {
        return None;
    }
    let days = days_from_civil(year, month, day);
    (civil(days) == (year, month, day)).then_some(days)
}

fn digits(text: &str) -> Option<i64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

/// Year, month and day of a day number (H. Hinnant, chrono-compatible low-level date algorithms).
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// A time of day in units of which a second has `per_second`.
pub fn print_time(units: i64, per_second: i64) -> String {
    let seconds = units.div_euclid(per_second);
    let fraction = units.rem_euclid(per_second);
    let clock = format!(
        "{:02}:{:02}:{:02}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    );
    if fraction == 0 {
        return clock;
    }
    let width = per_second.ilog10() as usize;
    let digits = format!("{fraction:0width$}");
    format!("{clock}.{}", digits.trim_end_matches('0'))
}

/// The time of day that text says, up to 24:00.
pub fn parse_time(text: &str, per_second: i64) -> Option<i64> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = clock.splitn(3, ':').map(digits);
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    let width = per_second.ilog10() as usize;
    if hours > 24 || minutes > 59 || seconds > 59 || fraction.len() > width {
        return None;
    }
    let fraction = digits(&format!(
        "0{fraction}{}",
        "0".repeat(width - fraction.len())
    ))?;
    Some((hours * 3600 + minutes * 60 + seconds) * per_second + fraction)
}

/// Units since 1970-01-01 00:00:00; `zone` is put behind.
pub fn print_timestamp(units: i64, per_second: i64, zone: &str) -> String {
    if units == i64::MAX {
        return INFINITY.to_owned();
    }
    if units == -i64::MAX {
        return MINUS_INFINITY.to_owned();
    }
    let day_units = DAY_SECONDS * per_second;
    let date = print_date_of_timestamp(units.div_euclid(day_units));
    format!(
        "{date} {}{zone}",
        print_time(units.rem_euclid(day_units), per_second)
    )
}

/// A day number inside a timestamp is never an infinity.
fn print_date_of_timestamp(days: i64) -> String {
    let (year, month, day) = civil(days);
    if year > 0 {
        format!("{year:04}-{month:02}-{day:02}")
    } else {
        format!("{:04}-{month:02}-{day:02}{BEFORE_CHRIST}", 1 - year)
    }
}

/// The timestamp that text says, with or without the zone `+00`.
pub fn parse_timestamp(text: &str, per_second: i64) -> Option<i64> {
    match text {
        INFINITY => return Some(i64::MAX),
        MINUS_INFINITY => return Some(-i64::MAX),
        _ => {}
    }
    let text = text.strip_suffix("+00").unwrap_or(text);
    let (date, time) = text.rsplit_once(' ')?;
    let days = parse_date(date).filter(|_| !date.contains(INFINITY))?;
    days.checked_mul(DAY_SECONDS)?
        .checked_mul(per_second)?
        .checked_add(parse_time(time, per_second)?)
}
