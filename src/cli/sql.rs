//! `tributary sql`: runs SQL on a warehouse, without a server.

use std::io::Read;
use std::path::PathBuf;

use clap::Args;

use super::{Failure, Outcome, embedded, output};
use crate::server::error::PgError;
use crate::session::Session;

/// The exit code of SQL that failed.
const SQL_FAILED: u8 = 3;

/// Run SQL on a warehouse, without a server.
#[derive(Debug, Args)]
pub(super) struct Sql {
    /// The warehouse.
    directory: PathBuf,
    /// The SQL; may be given several times. Standard input if neither this nor a file is given.
    #[arg(short = 'c', long, value_name = "SQL", conflicts_with = "file")]
    command: Vec<String>,
    /// A file with the SQL.
    #[arg(short = 'f', long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Put VALUE where the SQL says :NAME, :'NAME' (as a literal) or :"NAME" (as a name).
    #[arg(short = 'v', value_name = "NAME=VALUE")]
    variables: Vec<String>,
    /// Run everything in one transaction.
    #[arg(long)]
    single_transaction: bool,
    /// How results are written.
    #[arg(long, value_enum, default_value = "table")]
    format: output::Layout,
    /// Write results only, no command tags.
    #[arg(short = 'q', long)]
    quiet: bool,
    /// The role to run as; the superuser if not given.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
}

impl Sql {
    pub(super) async fn run(self) -> Outcome {
        let (label, text) = self.text()?;
        let text = substitute(&text, &variables(&self.variables)?)?;
        let mut session = embedded(&self.directory, self.user.as_deref())?;
        let work = self.statements(&mut session, &label, &text);
        let interrupted = async {
            match tokio::signal::ctrl_c().await {
                Ok(()) => {}
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            outcome = work => outcome,
            () = interrupted => {
                Err(Failure::new("canceling statement due to user request (SQLSTATE 57014)")
                    .with_code(SQL_FAILED))
            }
        }
    }

    fn text(&self) -> Outcome<(String, String)> {
        if !self.command.is_empty() {
            return Ok(("command".to_owned(), self.command.join("\n;\n")));
        }
        if let Some(file) = &self.file {
            let text = std::fs::read_to_string(file).map_err(|error| {
                Failure::new(format!("could not read \"{}\": {error}", file.display()))
            })?;
            return Ok((file.display().to_string(), text));
        }
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|error| Failure::new(format!("could not read standard input: {error}")))?;
        Ok(("standard input".to_owned(), text))
    }

    async fn statements(&self, session: &mut Session, label: &str, text: &str) -> Outcome {
        let failed = |offset: usize, error: &crate::session::Error| {
            let error = PgError::from(error);
            let at = error.position.unwrap_or(offset + 1).saturating_sub(1);
            let line = 1 + text.chars().take(at).filter(|c| *c == '\n').count();
            let failure = Failure::from(&error);
            Failure::new(format!("{label}:{line}: {}", failure.message)).with_code(SQL_FAILED)
        };
        let statements = session.parse(text).map_err(|error| failed(0, &error))?;
        if self.single_transaction {
            session
                .begin_implicit()
                .map_err(|error| failed(0, &error))?;
        }
        for statement in statements {
            let outcome = async {
                let prepared = session.prepare(&statement, &[]).await?;
                session.execute(&prepared, vec![]).await
            }
            .await;
            output::notices(session);
            let outcome = outcome.map_err(|error| failed(statement.offset(), &error))?;
            let shown = output::read(outcome).await.map_err(|failure| {
                Failure::new(format!("{label}: {}", failure.message)).with_code(SQL_FAILED)
            })?;
            output::rows(&shown, self.format);
            if !self.quiet && shown.schema.is_none() {
                output::note(&shown.tag);
            }
        }
        session
            .end_implicit(true)
            .await
            .map_err(|error| failed(text.chars().count(), &error))
    }
}

fn variables(given: &[String]) -> Outcome<Vec<(&str, &str)>> {
    given
        .iter()
        .map(|pair| {
            pair.split_once('=')
                .ok_or_else(|| Failure::new(format!("\"{pair}\" is not NAME=VALUE")).with_code(2))
        })
        .collect()
}

/// Puts variables in place, outside quotes and comments, as psql does.
fn substitute(text: &str, variables: &[(&str, &str)]) -> Outcome<String> {
    use sqlparser::dialect::PostgreSqlDialect;
    use sqlparser::tokenizer::{Token, Tokenizer};
    if variables.is_empty() {
        return Ok(text.to_owned());
    }
    let dialect = PostgreSqlDialect {};
    let Ok(tokens) = Tokenizer::new(&dialect, text)
        .with_unescape(false)
        .tokenize()
    else {
        // What cannot be tokenised is reported with its position when it is parsed.
        return Ok(text.to_owned());
    };
    let mut output = String::new();
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        if token != Token::Colon {
            output.push_str(&token.to_string());
            continue;
        }
        let named = match tokens.peek() {
            Some(Token::Word(word)) => Some((word.value.clone(), word.quote_style)),
            Some(Token::SingleQuotedString(name)) => Some((name.clone(), Some('\''))),
            _ => None,
        };
        let value = named.and_then(|(name, quote)| {
            variables
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value, quote))
        });
        match value {
            None => output.push(':'),
            Some((value, quote)) => {
                tokens.next();
                match quote {
                    None => output.push_str(value),
                    Some('\'') => {
                        output.push_str(&format!("'{}'", value.replace('\'', "''")));
                    }
                    Some(_) => output.push_str(&format!("\"{}\"", value.replace('"', "\"\""))),
                }
            }
        }
    }
    Ok(output)
}
