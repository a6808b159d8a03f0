//! `SIMILAR TO`: a pattern of SQL as a regular expression.

use sqlparser::ast::{BinaryOperator, Expr, Value, ValueWithSpan};

use super::tree;
use crate::error::{Condition, Report, Result};

/// `value SIMILAR TO pattern` as a match with the regular expression that means the same.
///
/// # Errors
/// For patterns that are not literals, and escapes that are not one character.
pub(super) fn similar_to(
    value: &mut Expr,
    pattern: &Expr,
    escape: Option<&ValueWithSpan>,
    negated: bool,
) -> Result<Expr> {
    let Expr::Value(ValueWithSpan {
        value: Value::SingleQuotedString(pattern),
        ..
    }) = pattern
    else {
        return Err(Report::unsupported("SIMILAR TO with a pattern that is not a literal").into());
    };
    let escape = match escape.map(|escape| &escape.value) {
        None => Some('\\'),
        Some(Value::SingleQuotedString(text)) => {
            let mut characters = text.chars();
            match (characters.next(), characters.next()) {
                (escape, None) => escape,
                _ => {
                    return Err(
                        Report::new(Condition::InvalidParameter, "invalid escape string")
                            .hint("Escape string must be empty or one character.")
                            .into(),
                    );
                }
            }
        }
        Some(_) => return Err(Report::unsupported("this ESCAPE of SIMILAR TO").into()),
    };
    Ok(Expr::BinaryOp {
        left: Box::new(tree::take(value)),
        op: if negated {
            BinaryOperator::PGRegexNotMatch
        } else {
            BinaryOperator::PGRegexMatch
        },
        right: Box::new(tree::text(&regular_expression(pattern, escape))),
    })
}

fn regular_expression(pattern: &str, escape: Option<char>) -> String {
    let mut expression = String::from("^(?:");
    let mut in_class = false;
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        if Some(character) == escape {
            if let Some(literal) = characters.next() {
                expression.push('\\');
                expression.push(literal);
            }
            continue;
        }
        match character {
            ']' if in_class => in_class = false,
            '[' if !in_class => in_class = true,
            '\\' => {
                expression.push_str("\\\\");
                continue;
            }
            _ if in_class => {}
            '%' => {
                expression.push_str("(?s:.*)");
                continue;
            }
            '_' => {
                expression.push_str("(?s:.)");
                continue;
            }
            '.' | '^' | '$' => expression.push('\\'),
            _ => {}
        }
        expression.push(character);
    }
    expression.push_str(")$");
    expression
}

#[cfg(test)]
mod tests {
    use super::regular_expression;

    #[test]
    fn patterns_become_regular_expressions() {
        for (pattern, expected) in [
            ("abc", "^(?:abc)$"),
            ("a%", "^(?:a(?s:.*))$"),
            ("a_c", "^(?:a(?s:.)c)$"),
            ("(b|c)+", "^(?:(b|c)+)$"),
            ("a.c", "^(?:a\\.c)$"),
            ("[a-c%]", "^(?:[a-c%])$"),
            ("100\\%", "^(?:100\\%)$"),
        ] {
            assert_eq!(
                regular_expression(pattern, Some('\\')),
                expected,
                "{pattern}"
            );
        }
    }
}
