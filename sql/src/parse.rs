//! From text to statements: tokenised once, one [`Parsed`] for each statement.

use std::sync::Arc;

use sqlparser::ast::Statement;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use crate::error::{Condition, Report, Result, character_position, syntax_error, token_error};

/// The most bytes one query string may have.
pub const SQL_BYTES_MAX: usize = 16 << 20;

/// How deeply expressions and queries may be nested.
const DEPTH_MAX: usize = 128;

/// One statement of a query string.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// The syntax tree.
    pub statement: Statement,
    /// The statement's own text, without the semicolon.
    pub text: String,
    /// Characters of the query string before the statement, for error positions.
    pub offset: usize,
    /// The whole query string, which the positions within the tree refer to.
    pub source: Arc<str>,
}

/// Splits a query string into its statements; comments and empty statements vanish.
///
/// # Errors
/// [`Condition::Syntax`] with the position in `sql`, in characters.
pub fn parse(sql: &str) -> Result<Vec<Parsed>> {
    if sql.len() > SQL_BYTES_MAX {
        return Err(Report::new(
            Condition::StatementTooComplex,
            format!("the query string has {} bytes", sql.len()),
        )
        .detail(format!("At most {SQL_BYTES_MAX} bytes are accepted."))
        .into());
    }
    let dialect = PostgreSqlDialect {};
    let tokens = Tokenizer::new(&dialect, sql)
        .tokenize_with_location()
        .map_err(|error| token_error(sql, &error))?;
    let source: Arc<str> = Arc::from(sql);
    let mut statements = Vec::new();
    for tokens in tokens.split(|token| token.token == Token::SemiColon) {
        let Some(first) = tokens.iter().find(|token| is_content(token)) else {
            continue;
        };
        let last = tokens.iter().rfind(|token| is_content(token));
        let mut parser = Parser::new(&dialect)
            .with_recursion_limit(DEPTH_MAX)
            .with_tokens_with_locations(tokens.to_vec());
        let statement = parser
            .parse_statement()
            .map_err(|error| syntax_error(sql, &error))?;
        let next = parser.peek_token();
        if next.token != Token::EOF {
            return Err(Report::new(
                Condition::Syntax,
                format!("syntax error at or near \"{}\"", next.token),
            )
            .at(character_position(sql, next.span.start))
            .into());
        }
        let start = character_position(sql, first.span.start).map_or(0, |position| position - 1);
        let end = last
            .and_then(|token| character_position(sql, token.span.end))
            .map_or(start, |position| position - 1);
        statements.push(Parsed {
            statement,
            text: sql.chars().skip(start).take(end - start).collect(),
            offset: start,
            source: Arc::clone(&source),
        });
    }
    Ok(statements)
}

fn is_content(token: &TokenWithSpan) -> bool {
    !matches!(token.token, Token::Whitespace(_) | Token::EOF)
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::error::Error;

    #[test]
    fn a_string_is_split_into_statements_with_their_texts() {
        let parsed = parse("-- one\nSELECT 1; ;\n  SELECT 'a;b' /* x */ ; ").unwrap();
        let texts: Vec<_> = parsed.iter().map(|p| (p.text.as_str(), p.offset)).collect();
        assert_eq!(texts, [("SELECT 1", 7), ("SELECT 'a;b'", 21)]);
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn a_syntax_error_has_its_position() {
        let Err(Error::Report(report)) = parse("SELECT 1;\nSELECT 1 2 3") else {
            unreachable!("it is not SQL");
        };
        assert!(report.position.is_some_and(|position| position > 10));
    }
}
