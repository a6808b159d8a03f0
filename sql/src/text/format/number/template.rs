//! Templates of numbers: their patterns, and what they say of the number as a whole.

use crate::text::format::template::{Node as Literal, literal};
use crate::text::{TextError, TextErrorKind};

/// A piece of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    /// A pattern in its spelling.
    Pattern(&'static str),
    /// Any other character.
    Character(char),
}

/// Where `S` anchors the sign.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Anchor {
    /// There is no `S`.
    #[default]
    None,
    /// Before the number.
    Before,
    /// Behind it.
    After,
}

/// What the patterns say of the number.
#[derive(Debug, Clone, Default)]
pub struct Shape {
    /// Digits before the point.
    pub whole: usize,
    /// Digits behind it.
    pub fraction: usize,
    /// Digits behind `V`.
    pub shift: usize,
    /// The place of the first `0` before the point, from 0.
    pub zero_start: usize,
    /// The place behind the last `0`.
    pub zero_end: usize,
    /// Digits before `S`.
    pub before_sign: usize,
    /// Where `S` is.
    pub anchor: Anchor,
    /// A point.
    pub point: bool,
    /// A `0` before the point.
    pub zero: bool,
    /// `B`.
    pub blank: bool,
    /// `FM`.
    pub fill: bool,
    /// `S`.
    pub sign: bool,
    /// `PR`.
    pub bracket: bool,
    /// `MI` or `SG`.
    pub minus: bool,
    /// `PL` or `SG`.
    pub plus: bool,
    /// `RN`.
    pub roman: bool,
    /// `V`.
    pub multiplied: bool,
    /// `EEEE`.
    pub scientific: bool,
}

const PATTERNS: &[&str] = &[
    ",", ".", "0", "9", "B", "C", "D", "EEEE", "FM", "G", "L", "MI", "PL", "PR", "RN", "SG", "SP",
    "S", "TH", "V", "b", "c", "d", "eeee", "fm", "g", "l", "mi", "pl", "pr", "rn", "sg", "sp", "s",
    "th", "v",
];

/// The pieces of a template and its shape.
///
/// # Errors
/// 42601 for patterns that exclude each other.
pub fn parse(template: &str) -> Result<(Vec<Node>, Shape), TextError> {
    let mut nodes = Vec::new();
    let mut shape = Shape::default();
    let mut rest = template;
    while !rest.is_empty() {
        if let Some(&name) = PATTERNS.iter().find(|name| rest.starts_with(**name)) {
            shape.add(&name.to_ascii_uppercase())?;
            nodes.push(Node::Pattern(name));
            rest = rest.get(name.len()..).unwrap_or_default();
            continue;
        }
        let mut literals = Vec::new();
        rest = literal(rest, &mut literals, false);
        nodes.extend(literals.into_iter().filter_map(|node| match node {
            Literal::Character(c) | Literal::Space(c) | Literal::Separator(c) => {
                Some(Node::Character(c))
            }
            Literal::Pattern(_) => None,
        }));
    }
    Ok((nodes, shape))
}

impl Shape {
    fn add(&mut self, name: &str) -> Result<(), TextError> {
        let error = |message: &str| Err(TextError::new(TextErrorKind::Template, message));
        if self.scientific && name != "EEEE" {
            return error("\"EEEE\" must be the last pattern used");
        }
        match name {
            "9" | "0" if self.bracket => {
                return error(&format!("\"{name}\" must be ahead of \"PR\""));
            }
            "9" if self.multiplied => self.shift += 1,
            "9" if self.point => self.fraction += 1,
            "9" => self.whole += 1,
            "0" => {
                if !self.zero && !self.point {
                    self.zero = true;
                    self.zero_start = self.whole;
                }
                if self.point {
                    self.fraction += 1;
                } else {
                    self.whole += 1;
                }
                self.zero_end = self.whole + self.fraction;
            }
            "B" if self.whole == 0 && self.fraction == 0 && !self.zero => self.blank = true,
            "D" | "." => {
                if self.point {
                    return error("multiple decimal points");
                }
                if self.multiplied {
                    return error("cannot use \"V\" and decimal point together");
                }
                self.point = true;
            }
            "FM" => self.fill = true,
            "S" => {
                if self.sign {
                    return error("cannot use \"S\" twice");
                }
                if self.plus || self.minus || self.bracket {
                    return error("cannot use \"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\" together");
                }
                self.sign = true;
                if self.point {
                    self.anchor = Anchor::After;
                } else {
                    self.anchor = Anchor::Before;
                    self.before_sign = self.whole;
                }
            }
            "MI" | "PL" | "SG" => {
                if self.sign {
                    return error(&format!("cannot use \"S\" and \"{name}\" together"));
                }
                self.minus |= name != "PL";
                self.plus |= name != "MI";
            }
            "PR" => {
                if self.sign || self.plus || self.minus {
                    return error("cannot use \"PR\" and \"S\"/\"PL\"/\"MI\"/\"SG\" together");
                }
                self.bracket = true;
            }
            "RN" => self.roman = true,
            "V" => {
                if self.point {
                    return error("cannot use \"V\" and decimal point together");
                }
                self.multiplied = true;
            }
            "EEEE" => {
                if self.scientific {
                    return error("cannot use \"EEEE\" twice");
                }
                let others = self.blank
                    || self.fill
                    || self.sign
                    || self.bracket
                    || self.minus
                    || self.plus
                    || self.roman
                    || self.multiplied;
                if others {
                    return Err(TextError::new(
                        TextErrorKind::Template,
                        "\"EEEE\" is incompatible with other formats",
                    )
                    .detail(
                        "\"EEEE\" may only be used together with digit and decimal point patterns.",
                    ));
                }
                self.scientific = true;
            }
            _ => {}
        }
        Ok(())
    }
}
