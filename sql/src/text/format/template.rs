//! Templates of dates and times: patterns with their modifiers, and the text between them.

/// A piece of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    /// A pattern.
    Pattern(Pattern),
    /// A character that is neither letter nor digit.
    Separator(char),
    /// White space.
    Space(char),
    /// Any other character, and every character between double quotes.
    Character(char),
}

/// A pattern in the spelling that decides its case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pattern {
    /// The spelling.
    pub name: &'static str,
    /// `FM`: no padding.
    pub fill: bool,
    /// `TH` or `th`: `Some(true)` for the capitals.
    pub ordinal: Option<bool>,
}

/// Patterns, the longer before those that they begin with.
const PATTERNS: &[&str] = &[
    "A.D.", "A.M.", "AD", "AM", "B.C.", "BC", "CC", "DAY", "DDD", "DD", "DY", "Day", "Dy", "D",
    "FF1", "FF2", "FF3", "FF4", "FF5", "FF6", "FX", "HH24", "HH12", "HH", "IDDD", "ID", "IW",
    "IYYY", "IYY", "IY", "I", "J", "MI", "MM", "MONTH", "MON", "MS", "Month", "Mon", "OF", "P.M.",
    "PM", "Q", "RM", "SSSSS", "SSSS", "SS", "TZH", "TZM", "TZ", "US", "WW", "W", "Y,YYY", "YYYY",
    "YYY", "YY", "Y", "a.d.", "a.m.", "ad", "am", "b.c.", "bc", "cc", "day", "ddd", "dd", "dy",
    "d", "ff1", "ff2", "ff3", "ff4", "ff5", "ff6", "fx", "hh24", "hh12", "hh", "iddd", "id", "iw",
    "iyyy", "iyy", "iy", "i", "j", "mi", "mm", "month", "mon", "ms", "of", "p.m.", "pm", "q", "rm",
    "sssss", "ssss", "ss", "tzh", "tzm", "tz", "us", "ww", "w", "y,yyy", "yyyy", "yyy", "yy", "y",
];

/// The pieces of a template.
pub fn parse(template: &str) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut rest = template;
    while !rest.is_empty() {
        let (mut fill, mut translated) = (false, false);
        if let Some(after) = strip_any(rest, &["FM", "fm"]) {
            (fill, rest) = (true, after);
        } else if let Some(after) = strip_any(rest, &["TM", "tm"]) {
            (translated, rest) = (true, after);
        }
        let known = PATTERNS.iter().find(|name| rest.starts_with(**name));
        if let Some(&name) = known {
            rest = rest.get(name.len()..).unwrap_or_default();
            // Names that could be translated (TM) have no padding; the C locale has no translations.
            fill |= translated && matches!(name.to_ascii_lowercase().as_str(), "month" | "day");
            let mut ordinal = None;
            if let Some(after) = rest.strip_prefix("TH") {
                (ordinal, rest) = (Some(true), after);
            } else if let Some(after) = rest.strip_prefix("th") {
                (ordinal, rest) = (Some(false), after);
            } else if let Some(after) = rest.strip_prefix("SP") {
                // Spelled numbers do not exist: the modifier has no effect.
                rest = after;
            }
            nodes.push(Node::Pattern(Pattern {
                name,
                fill,
                ordinal,
            }));
            continue;
        }
        rest = literal(rest, &mut nodes, true);
    }
    nodes
}

fn strip_any<'a>(text: &'a str, prefixes: &[&str]) -> Option<&'a str> {
    prefixes.iter().find_map(|prefix| text.strip_prefix(prefix))
}

/// Adds the text up to the closing quote, or one character, and returns the rest.
pub fn literal<'a>(template: &'a str, nodes: &mut Vec<Node>, dates: bool) -> &'a str {
    if let Some(quoted) = template.strip_prefix('"') {
        let mut characters = quoted.chars();
        while let Some(c) = characters.next() {
            let c = match c {
                '"' => break,
                '\\' => characters.next().unwrap_or('\\'),
                c => c,
            };
            nodes.push(Node::Character(c));
        }
        return characters.as_str();
    }
    let escaped = template
        .strip_prefix('\\')
        .filter(|after| after.starts_with('"'));
    let mut characters = escaped.unwrap_or(template).chars();
    if let Some(c) = characters.next() {
        nodes.push(if dates && c.is_ascii_punctuation() {
            Node::Separator(c)
        } else if c.is_ascii_whitespace() || c == '\x0b' {
            Node::Space(c)
        } else {
            Node::Character(c)
        });
    }
    characters.as_str()
}
