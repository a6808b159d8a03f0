//! Statements that concern the session alone: transactions, settings, prepared statements.

use sqlparser::ast::{
    DiscardObject, Expr, Ident, Reset, ResetStatement, Set, Statement, TransactionMode, Value,
};

use crate::error::{Condition, Report, Result};
use crate::relation::normalise;

/// A command to the session.
#[derive(Debug, Clone)]
pub enum SessionCommand {
    /// BEGIN or START TRANSACTION.
    Begin {
        /// The command tag: `BEGIN` or `START TRANSACTION`.
        tag: &'static str,
        /// READ ONLY.
        read_only: bool,
    },
    /// COMMIT or END.
    Commit,
    /// ROLLBACK or ABORT.
    Rollback,
    /// SET name = value; `None` is DEFAULT.
    Set {
        /// The setting.
        name: String,
        /// Its value as text.
        value: Option<String>,
        /// SET LOCAL: until the transaction ends.
        local: bool,
    },
    /// RESET name.
    Reset {
        /// The setting; `None` is ALL.
        name: Option<String>,
    },
    /// SHOW name.
    Show {
        /// The setting, or `all`.
        name: String,
    },
    /// PREPARE name (types) AS statement.
    Prepare {
        /// Its name.
        name: String,
        /// Declared parameter types.
        types: Vec<sqlparser::ast::DataType>,
        /// The statement.
        statement: Box<Statement>,
    },
    /// EXECUTE name (values).
    Execute {
        /// Its name.
        name: String,
        /// The values of its parameters.
        values: Vec<Expr>,
    },
    /// DEALLOCATE name.
    Deallocate {
        /// Its name; `None` is ALL.
        name: Option<String>,
    },
    /// DISCARD ALL and the like.
    Discard {
        /// Whether everything is discarded, not only plans or temporary objects.
        all: bool,
    },
}

/// The session command that a statement is, if it is one.
pub fn command(statement: &Statement) -> Result<Option<SessionCommand>> {
    let command = match statement {
        Statement::StartTransaction {
            modes,
            begin,
            modifier: None,
            statements,
            ..
        } if statements.is_empty() => begin_command(modes, *begin)?,
        Statement::Commit { chain: false, .. } => SessionCommand::Commit,
        Statement::Rollback {
            chain: false,
            savepoint: None,
        } => SessionCommand::Rollback,
        Statement::Set(set) => set_command(set)?,
        Statement::Reset(ResetStatement { reset }) => SessionCommand::Reset {
            name: match reset {
                Reset::ALL => None,
                Reset::ConfigurationParameter(name) => Some(name.to_string().to_lowercase()),
            },
        },
        Statement::ShowVariable { variable } => SessionCommand::Show {
            name: show_name(variable),
        },
        Statement::Prepare {
            name,
            data_types,
            statement,
        } => SessionCommand::Prepare {
            name: normalise(name),
            types: data_types.clone(),
            statement: statement.clone(),
        },
        Statement::Execute {
            name: Some(name),
            parameters,
            immediate: false,
            into,
            using,
            ..
        } if into.is_empty() && using.is_empty() => SessionCommand::Execute {
            name: name
                .0
                .last()
                .and_then(|part| part.as_ident().map(normalise))
                .unwrap_or_default(),
            values: parameters.clone(),
        },
        Statement::Deallocate { name, .. } => {
            let name = normalise(name);
            SessionCommand::Deallocate {
                name: (name != "all").then_some(name),
            }
        }
        Statement::Discard { object_type } => SessionCommand::Discard {
            all: matches!(object_type, DiscardObject::ALL),
        },
        _ => return Ok(None),
    };
    Ok(Some(command))
}

fn begin_command(modes: &[TransactionMode], begin: bool) -> Result<SessionCommand> {
    use sqlparser::ast::{TransactionAccessMode as Access, TransactionIsolationLevel as Level};
    let mut read_only = false;
    for mode in modes {
        match mode {
            TransactionMode::AccessMode(Access::ReadOnly) => read_only = true,
            TransactionMode::AccessMode(Access::ReadWrite) => read_only = false,
            // Every transaction sees one snapshot, which is at least what these levels promise.
            TransactionMode::IsolationLevel(
                Level::ReadUncommitted
                | Level::ReadCommitted
                | Level::RepeatableRead
                | Level::Snapshot,
            ) => {}
            TransactionMode::IsolationLevel(Level::Serializable) => {
                return Err(Report::unsupported("isolation level SERIALIZABLE")
                    .hint("REPEATABLE READ gives snapshot isolation.")
                    .into());
            }
        }
    }
    Ok(SessionCommand::Begin {
        tag: if begin { "BEGIN" } else { "START TRANSACTION" },
        read_only,
    })
}

fn set_command(set: &Set) -> Result<SessionCommand> {
    use sqlparser::ast::ContextModifier;
    match set {
        Set::SingleAssignment {
            scope,
            hivevar: false,
            variable,
            values,
        } => Ok(SessionCommand::Set {
            name: variable.to_string().to_lowercase(),
            value: value_text(values)?,
            local: matches!(scope, Some(ContextModifier::Local)),
        }),
        Set::SetTimeZone { local, value } => Ok(SessionCommand::Set {
            name: "timezone".to_owned(),
            value: value_text(std::slice::from_ref(value))?,
            local: *local,
        }),
        Set::SetNames {
            charset_name,
            collation_name: None,
        } => Ok(SessionCommand::Set {
            name: "client_encoding".to_owned(),
            value: Some(charset_name.value.clone()),
            local: false,
        }),
        other => Err(Report::unsupported(other.to_string()).into()),
    }
}

/// A setting's value as text; `None` for DEFAULT.
fn value_text(values: &[Expr]) -> Result<Option<String>> {
    if let [Expr::Identifier(ident)] = values
        && ident.quote_style.is_none()
        && ident.value.eq_ignore_ascii_case("default")
    {
        return Ok(None);
    }
    let texts = values
        .iter()
        .map(|value| match value {
            Expr::Identifier(ident) => Ok(normalise(ident)),
            Expr::Value(value) => match &value.value {
                Value::SingleQuotedString(text)
                | Value::DoubleQuotedString(text)
                | Value::EscapedStringLiteral(text) => Ok(text.clone()),
                Value::Number(text, _) => Ok(text.clone()),
                Value::Boolean(value) => Ok(if *value { "on" } else { "off" }.to_owned()),
                other => Err(syntax(other)),
            },
            Expr::UnaryOp { .. } => Ok(value.to_string()),
            other => Err(syntax(other)),
        })
        .collect::<Result<Vec<_>, Report>>()?;
    Ok(Some(texts.join(", ")))
}

fn syntax(what: &dyn std::fmt::Display) -> Report {
    Report::new(
        Condition::Syntax,
        format!("\"{what}\" is not the value of a setting"),
    )
}

fn show_name(variable: &[Ident]) -> String {
    let words: Vec<String> = variable
        .iter()
        .map(|ident| ident.value.to_lowercase())
        .collect();
    match words.join(" ").as_str() {
        "time zone" => "timezone".to_owned(),
        "transaction isolation level" => "transaction_isolation".to_owned(),
        "session authorization" => "session_authorization".to_owned(),
        _ => words.join("."),
    }
}
