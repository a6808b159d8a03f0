//! The proleptic Gregorian calendar: days to fields and back, and ISO weeks.
//!
//! Years count with a year zero, which is 1 BC. Days count from 1970-01-01.

/// Microseconds in a second.
pub const SECOND_US: i64 = 1_000_000;
/// Microseconds in a minute.
pub const MINUTE_US: i64 = 60 * SECOND_US;
/// Microseconds in an hour.
pub const HOUR_US: i64 = 60 * MINUTE_US;
/// Microseconds in a day.
pub const DAY_US: i64 = 24 * HOUR_US;
/// Day zero of the Julian day numbers, 4714-11-24 BC, in days since 1970.
pub const JULIAN_DAY_ZERO: i64 = -2_440_588;

/// The fields of a wall clock, or of the difference of two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fields {
    /// Year; 0 is 1 BC.
    pub year: i64,
    /// Month from 1.
    pub month: i64,
    /// Day of the month from 1.
    pub day: i64,
    /// Hour.
    pub hour: i64,
    /// Minute.
    pub minute: i64,
    /// Second.
    pub second: i64,
    /// Microsecond of the second.
    pub micros: i64,
}

impl Fields {
    /// The fields of an instant in microseconds since 1970.
    pub fn of_instant(micros: i64) -> Self {
        let mut fields = Self::of_day(micros.div_euclid(DAY_US));
        fields.set_time(micros.rem_euclid(DAY_US));
        fields
    }

    /// Midnight of a day.
    pub fn of_day(day: i64) -> Self {
        let (year, month, day) = civil(day);
        Self {
            year,
            month,
            day,
            ..Self::default()
        }
    }

    /// Sets the date to that of a day.
    pub fn set_day(&mut self, day: i64) {
        (self.year, self.month, self.day) = civil(day);
    }

    /// Splits a time into hours, minutes, seconds and microseconds, all of its sign.
    pub fn set_time(&mut self, micros: i64) {
        self.hour = micros / HOUR_US;
        self.minute = micros % HOUR_US / MINUTE_US;
        self.second = micros % MINUTE_US / SECOND_US;
        self.micros = micros % SECOND_US;
    }

    /// Days since 1970 of the date.
    pub fn days(&self) -> i64 {
        days(self.year, self.month, self.day)
    }

    /// Microseconds since midnight; `None` on overflow.
    pub fn time(&self) -> Option<i64> {
        self.hour
            .checked_mul(HOUR_US)?
            .checked_add(self.minute.checked_mul(MINUTE_US)?)?
            .checked_add(self.second.checked_mul(SECOND_US)?)?
            .checked_add(self.micros)
    }

    /// Microseconds since 1970; `None` on overflow.
    pub fn instant(&self) -> Option<i64> {
        self.days().checked_mul(DAY_US)?.checked_add(self.time()?)
    }

    /// Day of the year from 1.
    pub fn day_of_year(&self) -> i64 {
        self.days() - days(self.year, 1, 1) + 1
    }
}

/// Whether a year has a February 29.
pub fn is_leap(year: i64) -> bool {
    year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0)
}

/// Days of a month, which is 1 to 12.
pub fn month_length(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970 of a date; months and days beyond their ranges carry into the next.
pub fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year + (month - 1).div_euclid(12);
    let month = (month - 1).rem_euclid(12) + 1;
    // The year begins in March, so that the leap day is its last.
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let days_before_month = (153 * month + 2) / 5;
    let days_before_year =
        365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    days_before_year + days_before_month + day - 1 - 719_468
}

/// Year, month and day of a day since 1970.
pub fn civil(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let of_era = day.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

/// Day of the week from 0, Sunday.
pub fn day_of_week(day: i64) -> i64 {
    (day + 4).rem_euclid(7)
}

/// Monday of the first ISO week of an ISO year: the week of January 4.
pub fn iso_year_start(year: i64) -> i64 {
    let fourth = days(year, 1, 4);
    fourth - (day_of_week(fourth) + 6) % 7
}

/// ISO year and week of a day.
pub fn iso_week(day: i64) -> (i64, i64) {
    // The Thursday of a week lies in the year that the week belongs to.
    let thursday = day - (day_of_week(day) + 6) % 7 + 3;
    let (year, ..) = civil(thursday);
    (year, (thursday - days(year, 1, 1)) / 7 + 1)
}

/// Years as people count them: 0 is 1 (BC), -1 is 2 (BC).
pub fn displayed_year(year: i64) -> i64 {
    if year <= 0 { 1 - year } else { year }
}
