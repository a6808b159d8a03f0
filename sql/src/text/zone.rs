//! Time zones as text names them: offsets, abbreviations and names of the IANA database.

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, TimeZone};

use super::calendar::SECOND_US;
use super::leading_integer;

/// A time zone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Zone {
    /// UTC.
    #[default]
    Utc,
    /// Seconds east of UTC.
    Offset(i32),
    /// A zone of the IANA database.
    Named(chrono_tz::Tz),
}

impl Zone {
    /// The zone of a full name, in any case: of the IANA database, or in the POSIX form `name±hours[:minutes[:seconds]]`,
    /// whose offsets count west of UTC.
    pub fn named(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("utc") || name.eq_ignore_ascii_case("gmt") {
            return Some(Self::Utc);
        }
        let iana = name.parse().ok().or_else(|| {
            chrono_tz::TZ_VARIANTS
                .iter()
                .find(|zone| zone.name().eq_ignore_ascii_case(name))
                .copied()
        });
        match iana {
            Some(zone) => Some(Self::Named(zone)),
            None => posix(name),
        }
    }

    /// Seconds east of UTC at an instant in microseconds since 1970.
    pub fn offset_at(self, instant: i64) -> i32 {
        match self {
            Self::Utc => 0,
            Self::Offset(seconds) => seconds,
            Self::Named(zone) => zone
                .offset_from_utc_datetime(&clock(instant))
                .fix()
                .local_minus_utc(),
        }
    }

    /// Seconds east of UTC when clocks in the zone show `wall`, in microseconds since 1970. In an hour that comes twice the
    /// second one counts, in an hour that is left out the offset before it.
    pub fn offset_of_wall(self, wall: i64) -> i32 {
        let zone = match self {
            Self::Utc => return 0,
            Self::Offset(seconds) => return seconds,
            Self::Named(zone) => zone,
        };
        match zone.offset_from_local_datetime(&clock(wall)) {
            MappedLocalTime::Single(offset) | MappedLocalTime::Ambiguous(_, offset) => {
                offset.fix().local_minus_utc()
            }
            MappedLocalTime::None => {
                // Longer than any gap: the two that left out a whole day included.
                let before = wall.saturating_sub(25 * 3_600 * SECOND_US);
                zone.offset_from_local_datetime(&clock(before))
                    .earliest()
                    .map_or(0, |offset| offset.fix().local_minus_utc())
            }
        }
    }

    /// The abbreviation in use at an instant: `UTC`, `CEST`, `+03`.
    pub fn abbreviation_at(self, instant: i64) -> String {
        match self {
            Self::Utc => "UTC".to_owned(),
            Self::Offset(seconds) => {
                let sign = if seconds < 0 { '-' } else { '+' };
                let seconds = seconds.unsigned_abs();
                let (hours, minutes, seconds) =
                    (seconds / 3_600, seconds % 3_600 / 60, seconds % 60);
                match (minutes, seconds) {
                    (0, 0) => format!("{sign}{hours:02}"),
                    (_, 0) => format!("{sign}{hours:02}:{minutes:02}"),
                    _ => format!("{sign}{hours:02}:{minutes:02}:{seconds:02}"),
                }
            }
            Self::Named(zone) => {
                let offset = zone.offset_from_utc_datetime(&clock(instant));
                offset.to_string()
            }
        }
    }
}

/// A wall clock, or the nearest one that the zone database can be asked for.
fn clock(micros: i64) -> NaiveDateTime {
    // About 60000 years to both sides of 1970, beyond every rule of the database.
    let limit = 2_000_000_000_000_000_000;
    DateTime::from_timestamp_micros(micros.clamp(-limit, limit))
        .map(|instant| instant.naive_utc())
        .unwrap_or_default()
}

/// `UTC+3`, which lies three hours west of UTC.
fn posix(name: &str) -> Option<Zone> {
    let at = name.find(['+', '-']).or_else(|| {
        let digit = |byte: u8| byte.is_ascii_digit();
        name.bytes().position(digit)
    })?;
    let (letters, offset) = name.split_at_checked(at)?;
    if letters.is_empty() || !letters.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return None;
    }
    let (west, digits) = match offset.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, offset.strip_prefix('+').unwrap_or(offset)),
    };
    let mut seconds = 0;
    let mut unit = 3_600;
    for (part, limit) in digits.splitn(3, ':').zip([167, 59, 59]) {
        let (value, "") = leading_integer(part)? else {
            return None;
        };
        if part.is_empty() || !(0..=limit).contains(&value) {
            return None;
        }
        seconds += value * unit;
        unit /= 60;
    }
    Some(Zone::Offset(i32::try_from(-west * seconds).ok()?))
}

/// Seconds east of UTC of an abbreviation in lower case.
pub fn abbreviation(name: &str) -> Option<i32> {
    ABBREVIATIONS
        .iter()
        .find(|(_, names)| names.split(' ').any(|known| known == name))
        .map(|(seconds, _)| *seconds)
}

/// PostgreSQL's default abbreviations by their seconds east of UTC.
const ABBREVIATIONS: &[(i32, &str)] = &[
    (-39600, "nut"),
    (-36000, "ckt hst taht"),
    (-34200, "mart"),
    (-32400, "akst gamt"),
    (-28800, "akdt pst"),
    (-25200, "mst pdt"),
    (-21600, "cst galt mdt"),
    (-18000, "act cdt cot easst east est pet"),
    (-14400, "amt ast bot edt gyt vet"),
    (-12600, "nft nst"),
    (
        -10800,
        "adt arst art bra brt clst clt fkst fkt gft pmst pyst pyt uyt wgt",
    ),
    (-9000, "ndt"),
    (-7200, "brst fnt pmdt uyst wgst"),
    (-3600, "azot egt fnst"),
    (0, "azost egst gmt uct ut utc wet z zulu"),
    (3600, "bst cet met mez wat wetdst"),
    (7200, "bdst cest cetdst eet ist mest mesz metdst sast"),
    (10800, "eat eest eetdst fet idt msk volt"),
    (12600, "irt"),
    (14400, "amst azst azt gest get msd mut ret sct"),
    (16200, "aft"),
    (18000, "mawt must mvt pkt tft tjt tmt uzt yekt"),
    (19800, "lkt"),
    (20700, "npt"),
    (
        21600,
        "almt bdt btt iot kgst kgt omsst omst pkst uzst xjt yekst",
    ),
    (23400, "mmt"),
    (25200, "almst cxt davt ict krast krat novst novt wast"),
    (
        28800,
        "awst bnt bort cct hkt irkst irkt myt pht sgt ulat wadt",
    ),
    (31500, "acwst"),
    (32400, "awsst jayt jst kst pwt ulast wdt yakst yakt"),
    (34200, "acst cast"),
    (
        36000,
        "aest chut ddut kdt ligt mpt pgt trut vlast vlat yapt",
    ),
    (37800, "acdt acsst cadt lhst sadt"),
    (39600, "aedt aesst kost lhdt magst magt pont vut"),
    (
        43200,
        "anast anat fjt gilt mht nzst nzt petst pett tvt wakt wft",
    ),
    (45900, "chast"),
    (46800, "fjst nzdt tkt tot"),
    (49500, "chadt"),
    (50400, "lint"),
];
