//! The settings of a session: which there are, their bounds, and their values.
//!
//! A value is kept as the text PostgreSQL would show. What a setting does is done where it is
//! read; one that would have no effect may only have its one true value.

use std::collections::BTreeMap;

use crate::error::{Condition, Report, Result};
use crate::system::Setting;

/// What values a setting takes.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Any text.
    Text,
    /// `on` or `off`.
    Boolean,
    /// A whole number within bounds.
    Integer(i64, i64),
    /// Milliseconds from 0 to the bound, with units.
    Milliseconds(i64),
    /// One of these words.
    Word(&'static [&'static str]),
    /// Cannot be changed.
    Fixed,
}

/// A setting's definition.
#[derive(Debug)]
struct Definition {
    name: &'static str,
    default: &'static str,
    kind: Kind,
    category: &'static str,
    description: &'static str,
    /// Whether the server tells the client of every change.
    reported: bool,
}

const fn setting(
    name: &'static str,
    default: &'static str,
    kind: Kind,
    category: &'static str,
    description: &'static str,
    reported: bool,
) -> Definition {
    Definition {
        name,
        default,
        kind,
        category,
        description,
        reported,
    }
}

const CLIENT: &str = "Client Connection Defaults";
const PRESET: &str = "Preset Options";
const LOCALE: &str = "Client Connection Defaults / Locale and Formatting";
const STATEMENT: &str = "Client Connection Defaults / Statement Behavior";

/// The version of PostgreSQL whose behaviour clients may expect.
pub const SERVER_VERSION: &str = "15.0";

static DEFINITIONS: &[Definition] = &[
    setting(
        "application_name",
        "",
        Kind::Text,
        CLIENT,
        "Sets the application name to be reported in statistics and logs.",
        true,
    ),
    setting(
        "bytea_output",
        "hex",
        Kind::Word(&["hex"]),
        STATEMENT,
        "Sets the output format for bytea.",
        false,
    ),
    setting(
        "client_encoding",
        "UTF8",
        Kind::Word(&["UTF8"]),
        LOCALE,
        "Sets the client's character set encoding.",
        true,
    ),
    setting(
        "client_min_messages",
        "notice",
        Kind::Word(&[
            "debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error",
        ]),
        STATEMENT,
        "Sets the message levels that are sent to the client.",
        false,
    ),
    setting(
        "datestyle",
        "ISO, MDY",
        Kind::Word(&["ISO, MDY", "ISO"]),
        LOCALE,
        "Sets the display format for date and time values.",
        true,
    ),
    setting(
        "default_transaction_isolation",
        "repeatable read",
        Kind::Word(&["read uncommitted", "read committed", "repeatable read"]),
        STATEMENT,
        "Sets the transaction isolation level of each new transaction.",
        false,
    ),
    setting(
        "default_transaction_read_only",
        "off",
        Kind::Boolean,
        STATEMENT,
        "Sets the default read-only status of new transactions.",
        true,
    ),
    setting(
        "extra_float_digits",
        "1",
        Kind::Integer(-15, 3),
        LOCALE,
        "Sets the number of digits displayed for floating-point values; all that are needed are shown at any value.",
        false,
    ),
    setting(
        "in_hot_standby",
        "off",
        Kind::Fixed,
        PRESET,
        "Shows whether hot standby is currently active.",
        true,
    ),
    setting(
        "integer_datetimes",
        "on",
        Kind::Fixed,
        PRESET,
        "Shows whether datetimes are integer based.",
        true,
    ),
    setting(
        "intervalstyle",
        "postgres",
        Kind::Word(&["postgres"]),
        LOCALE,
        "Sets the display format for interval values.",
        true,
    ),
    setting(
        "is_superuser",
        "off",
        Kind::Fixed,
        PRESET,
        "Shows whether the current user is a superuser.",
        true,
    ),
    setting(
        "max_identifier_length",
        "63",
        Kind::Fixed,
        PRESET,
        "Shows the maximum identifier length that clients may rely on.",
        false,
    ),
    setting(
        "search_path",
        "\"$user\", public",
        Kind::Text,
        STATEMENT,
        "Sets the schema search order for names that are not schema-qualified.",
        false,
    ),
    setting(
        "server_encoding",
        "UTF8",
        Kind::Fixed,
        PRESET,
        "Shows the server (database) character set encoding.",
        true,
    ),
    setting(
        "server_version",
        SERVER_VERSION,
        Kind::Fixed,
        PRESET,
        "Shows the server version.",
        true,
    ),
    setting(
        "server_version_num",
        "150000",
        Kind::Fixed,
        PRESET,
        "Shows the server version as an integer.",
        false,
    ),
    setting(
        "session_authorization",
        "",
        Kind::Fixed,
        PRESET,
        "Shows the session user.",
        true,
    ),
    setting(
        "standard_conforming_strings",
        "on",
        Kind::Word(&["on"]),
        STATEMENT,
        "Causes '...' strings to treat backslashes literally.",
        true,
    ),
    setting(
        "statement_timeout",
        "0",
        Kind::Milliseconds(i32::MAX as i64),
        STATEMENT,
        "Sets the maximum allowed duration of any statement; 0 is no limit.",
        false,
    ),
    setting(
        "timezone",
        "UTC",
        Kind::Word(&["UTC", "GMT", "Etc/UTC"]),
        LOCALE,
        "Sets the time zone for displaying and interpreting time stamps.",
        true,
    ),
    setting(
        "transaction_isolation",
        "repeatable read",
        Kind::Word(&["read uncommitted", "read committed", "repeatable read"]),
        STATEMENT,
        "Sets the current transaction's isolation level.",
        false,
    ),
    setting(
        "transaction_read_only",
        "off",
        Kind::Boolean,
        STATEMENT,
        "Sets the current transaction's read-only status.",
        false,
    ),
];

/// The settings of one session.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Values that hold until RESET.
    session: BTreeMap<String, String>,
    /// Values that hold until the transaction ends.
    local: BTreeMap<String, String>,
    /// Values given when connecting, to which RESET goes back.
    startup: BTreeMap<String, String>,
    /// Counts the changes.
    version: u64,
}

/// The spelling in which a setting is told to clients.
pub fn display_name(name: &str) -> &str {
    match name {
        "datestyle" => "DateStyle",
        "intervalstyle" => "IntervalStyle",
        "timezone" => "TimeZone",
        other => other,
    }
}

fn definition(name: &str) -> Option<&'static Definition> {
    DEFINITIONS.iter().find(|known| known.name == name)
}

/// Settings of the user's own have a dot in their names, as in PostgreSQL.
fn is_custom(name: &str) -> bool {
    name.split_once('.').is_some_and(|(prefix, rest)| {
        !prefix.is_empty() && !rest.is_empty() && prefix != "tributary"
    })
}

fn unknown(name: &str) -> Report {
    Report::new(
        Condition::UndefinedObject,
        format!("unrecognized configuration parameter \"{name}\""),
    )
}

impl Settings {
    /// A value that RESET goes back to: what the client said when connecting, or a fact.
    ///
    /// # Errors
    /// For unknown settings and values out of bounds.
    pub fn start(&mut self, name: &str, value: &str) -> Result<()> {
        let name = name.to_lowercase();
        let value = checked(&name, value)?;
        self.startup.insert(name, value);
        Ok(())
    }

    /// A fact of the session that no statement changes.
    pub fn fix(&mut self, name: &str, value: &str) {
        self.startup.insert(name.to_owned(), value.to_owned());
    }

    /// SET; `None` is DEFAULT.
    ///
    /// # Errors
    /// For unknown settings and values out of bounds.
    pub fn set(&mut self, name: &str, value: Option<&str>, local: bool) -> Result<()> {
        let name = name.to_lowercase();
        self.version += 1;
        let values = if local {
            &mut self.local
        } else {
            &mut self.session
        };
        match value {
            Some(value) => {
                let value = checked(&name, value)?;
                values.insert(name.clone(), value);
            }
            None => {
                if definition(&name).is_none() && !is_custom(&name) {
                    return Err(unknown(&name).into());
                }
                values.remove(&name);
            }
        }
        if !local {
            self.local.remove(&name);
        }
        Ok(())
    }

    /// RESET; `None` is ALL.
    ///
    /// # Errors
    /// For unknown settings.
    pub fn reset(&mut self, name: Option<&str>) -> Result<()> {
        match name {
            None => {
                self.version += 1;
                self.session.clear();
                self.local.clear();
                Ok(())
            }
            Some(name) => self.set(name, None, false),
        }
    }

    /// Ends what SET LOCAL began.
    pub fn end_transaction(&mut self) {
        if !self.local.is_empty() {
            self.version += 1;
            self.local.clear();
        }
    }

    /// A number that is another one after every change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// A setting's value.
    pub fn value(&self, name: &str) -> Option<&str> {
        let name = name.to_lowercase();
        [&self.local, &self.session, &self.startup]
            .into_iter()
            .find_map(|values| values.get(&name))
            .map(String::as_str)
            .or_else(|| definition(&name).map(|known| known.default))
    }

    /// A setting's value as SHOW gives it, with its unit.
    ///
    /// # Errors
    /// [`Condition::UndefinedObject`] for an unknown setting.
    pub fn shown(&self, name: &str) -> Result<String> {
        let value = self.value(name).ok_or_else(|| unknown(name))?;
        let has_unit = definition(&name.to_lowercase())
            .is_some_and(|known| matches!(known.kind, Kind::Milliseconds(_)));
        Ok(if has_unit {
            duration_text(value)
        } else {
            value.to_owned()
        })
    }

    /// The settings whose changes clients are told of, with their values.
    pub fn reported(&self) -> Vec<(&'static str, String)> {
        DEFINITIONS
            .iter()
            .filter(|known| known.reported)
            .map(|known| {
                (
                    known.name,
                    self.value(known.name).unwrap_or_default().to_owned(),
                )
            })
            .collect()
    }

    /// The schemas of `search_path` in order, `$user` replaced.
    pub fn search_path(&self, user: &str) -> Vec<String> {
        let path = self.value("search_path").unwrap_or_default();
        path.split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(|part| {
                let name = match part.strip_prefix('"').and_then(|p| p.strip_suffix('"')) {
                    Some(quoted) => quoted.replace("\"\"", "\""),
                    None => part.to_lowercase(),
                };
                if name == "$user" {
                    user.to_owned()
                } else {
                    name
                }
            })
            .filter(|name| name != "pg_catalog")
            .collect()
    }

    /// All settings as rows of `pg_settings`.
    pub fn rows(&self) -> Vec<Setting> {
        DEFINITIONS
            .iter()
            .map(|known| {
                let changed =
                    self.session.contains_key(known.name) || self.local.contains_key(known.name);
                let reset = self
                    .startup
                    .get(known.name)
                    .map_or(known.default, String::as_str);
                let (kind, min, max, words) = match known.kind {
                    Kind::Text => ("string", None, None, None),
                    Kind::Boolean => ("bool", None, None, None),
                    Kind::Integer(min, max) => ("integer", Some(min), Some(max), None),
                    Kind::Milliseconds(max) => ("integer", Some(0), Some(max), None),
                    Kind::Word(words) => ("enum", None, None, Some(words)),
                    Kind::Fixed => ("string", None, None, None),
                };
                Setting {
                    name: display_name(known.name).to_owned(),
                    value: self.value(known.name).unwrap_or_default().to_owned(),
                    unit: matches!(known.kind, Kind::Milliseconds(_)).then(|| "ms".to_owned()),
                    category: known.category.to_owned(),
                    description: known.description.to_owned(),
                    context: if matches!(known.kind, Kind::Fixed) {
                        "internal"
                    } else {
                        "user"
                    }
                    .to_owned(),
                    kind: kind.to_owned(),
                    source: if changed { "session" } else { "default" }.to_owned(),
                    min_value: min.map(|number| number.to_string()),
                    max_value: max.map(|number| number.to_string()),
                    enum_values: words.map(|words| words.iter().map(ToString::to_string).collect()),
                    boot_value: Some(known.default.to_owned()),
                    reset_value: Some(reset.to_owned()),
                }
            })
            .collect()
    }
}

/// Milliseconds in the largest unit that holds them whole, as PostgreSQL writes them.
fn duration_text(milliseconds: &str) -> String {
    let Ok(number) = milliseconds.parse::<i64>() else {
        return milliseconds.to_owned();
    };
    if number == 0 {
        return "0".to_owned();
    }
    [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "min"),
        (1_000, "s"),
    ]
    .into_iter()
    .find(|(unit, _)| number % unit == 0)
    .map_or_else(
        || format!("{number}ms"),
        |(unit, name)| format!("{}{name}", number / unit),
    )
}

/// A value in the spelling in which it is kept.
fn checked(name: &str, value: &str) -> Result<String> {
    let Some(known) = definition(name) else {
        return if is_custom(name) {
            Ok(value.to_owned())
        } else {
            Err(unknown(name).into())
        };
    };
    let invalid = || {
        Report::new(
            Condition::InvalidParameter,
            format!(
                "invalid value for parameter \"{}\": \"{value}\"",
                display_name(name)
            ),
        )
    };
    match known.kind {
        Kind::Text => Ok(value.to_owned()),
        Kind::Fixed => Err(Report::new(
            Condition::InvalidParameter,
            format!("parameter \"{}\" cannot be changed", display_name(name)),
        )
        .into()),
        Kind::Boolean => match value.to_lowercase().as_str() {
            "on" | "true" | "yes" | "1" => Ok("on".to_owned()),
            "off" | "false" | "no" | "0" => Ok("off".to_owned()),
            _ => Err(invalid().hint("It must be on or off.").into()),
        },
        Kind::Integer(min, max) => {
            let number: i64 = value.trim().parse().map_err(|_| invalid())?;
            in_bounds(name, number, min, max)
        }
        Kind::Milliseconds(max) => {
            let text = value.trim();
            let digits = text
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(text.len());
            let (number, unit) = text.split_at(digits);
            let number: i64 = number.parse().map_err(|_| invalid())?;
            let factor = match unit.trim() {
                "" | "ms" => 1,
                "s" => 1_000,
                "min" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                _ => {
                    return Err(invalid()
                        .hint("Valid units for this parameter are \"ms\", \"s\", \"min\", \"h\", and \"d\".")
                        .into());
                }
            };
            let number = number.checked_mul(factor).ok_or_else(invalid)?;
            in_bounds(name, number, 0, max)
        }
        Kind::Word(words) => {
            let plain = |text: &str| text.to_lowercase().replace(['-', ' ', '_'], "");
            words
                .iter()
                .find(|word| plain(word) == plain(value))
                .map(|word| (*word).to_owned())
                .ok_or_else(|| {
                    invalid()
                        .hint(format!("Available values: {}.", words.join(", ")))
                        .into()
                })
        }
    }
}

fn in_bounds(name: &str, number: i64, min: i64, max: i64) -> Result<String> {
    if (min..=max).contains(&number) {
        return Ok(number.to_string());
    }
    Err(Report::new(
        Condition::InvalidParameter,
        format!(
            "{number} is outside the valid range for parameter \"{}\" ({min} .. {max})",
            display_name(name)
        ),
    )
    .into())
}
