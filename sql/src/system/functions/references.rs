//! The OID alias types: `regclass`, `regtype`, ...: from a name to an oid and back.
//!
//! A cast to such a type is a call of the function named like it. `...in` reads a name and fails when there is no such
//! object; `to_reg...` gives NULL then; `...out` writes the name as a cast to text does.

use std::sync::Arc;

use datafusion::common::Result;

use super::super::SystemEnv;
use super::super::names::{quote_ident, split_name};
use super::super::objects::role_oid;
use super::super::rows::Value;
use super::{Declaration, oid, text};
use crate::error::{Condition, Report};
use crate::pgtype;

/// An OID alias type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReferenceKind {
    /// `regclass`: tables and views.
    Relation,
    /// `regtype`.
    Type,
    /// `regproc`: a function by its name alone.
    Function,
    /// `regprocedure`: a function with its argument types.
    FunctionWithArguments,
    /// `regnamespace`.
    Schema,
    /// `regrole`.
    Role,
    /// `regcollation`.
    Collation,
}

impl ReferenceKind {
    /// The kind of an alias type, by its `typname`.
    pub fn of_type(type_name: &str) -> Option<Self> {
        Some(match type_name {
            "regclass" => Self::Relation,
            "regtype" => Self::Type,
            "regproc" => Self::Function,
            "regprocedure" => Self::FunctionWithArguments,
            "regnamespace" => Self::Schema,
            "regrole" => Self::Role,
            "regcollation" => Self::Collation,
            _ => return None,
        })
    }

    /// The function that a cast to the type is: of text as `input`, of a number the number itself.
    pub fn cast(self) -> &'static str {
        match self {
            Self::Relation => "regclass",
            Self::Type => "regtype",
            Self::Function => "regproc",
            Self::FunctionWithArguments => "regprocedure",
            Self::Schema => "regnamespace",
            Self::Role => "regrole",
            Self::Collation => "regcollation",
        }
    }

    /// The function that writes a name.
    pub fn output(self) -> &'static str {
        match self {
            Self::Relation => "regclassout",
            Self::Type => "regtypeout",
            Self::Function => "regprocout",
            Self::FunctionWithArguments => "regprocedureout",
            Self::Schema => "regnamespaceout",
            Self::Role => "regroleout",
            Self::Collation => "regcollationout",
        }
    }

    /// The oid of the object called `name`, a number or `-` standing for itself.
    ///
    /// # Errors
    /// What PostgreSQL says of an object that does not exist, or of a function name that is not unique.
    pub fn read(self, env: &Arc<SystemEnv>, name: &str) -> Result<u32> {
        if name == "-" {
            return Ok(0);
        }
        if let Ok(number) = name.parse::<u32>() {
            return Ok(number);
        }
        match self.find(env, name)? {
            Some(oid) => Ok(oid),
            None => Err(self.undefined(name).into()),
        }
    }

    fn find(self, env: &Arc<SystemEnv>, name: &str) -> Result<Option<u32>> {
        let objects = env.objects();
        let single = || split_name(name).and_then(|mut parts| parts.pop());
        Ok(match self {
            Self::Relation => objects.find_relation(name).map(|relation| relation.oid),
            Self::Type => pgtype::by_sql_name(&fold(name)).map(|pg_type| pg_type.oid),
            Self::Function => match objects.find_functions(name).as_slice() {
                [] => None,
                [only] => Some(only.oid),
                _ => {
                    return Err(Report::new(
                        Condition::UndefinedFunction,
                        format!("more than one function named \"{name}\""),
                    )
                    .into());
                }
            },
            Self::FunctionWithArguments => {
                let Some((function, arguments)) =
                    name.strip_suffix(')').and_then(|name| name.split_once('('))
                else {
                    return Ok(None);
                };
                let wanted: Option<Vec<u32>> = arguments
                    .split(',')
                    .filter(|argument| !argument.trim().is_empty())
                    .map(|argument| pgtype::by_sql_name(&fold(argument)).map(|t| t.oid))
                    .collect();
                objects
                    .find_functions(function)
                    .into_iter()
                    .find(|found| {
                        let types = found.arguments.iter().map(|argument| argument.type_oid);
                        wanted
                            .as_ref()
                            .is_some_and(|wanted| types.eq(wanted.iter().copied()))
                    })
                    .map(|found| found.oid)
            }
            Self::Schema => single().and_then(|name| objects.namespace_oid(&name)),
            Self::Role => single()
                .filter(|name| env.roles.iter().any(|role| role.name == *name))
                .map(|name| role_oid(&name)),
            Self::Collation => match single().as_deref() {
                Some("default") => Some(100),
                // An unquoted C is folded, as PostgreSQL does.
                Some("C") => Some(950),
                Some("POSIX") => Some(951),
                _ => None,
            },
        })
    }

    fn undefined(self, name: &str) -> Report {
        let (condition, message) = match self {
            Self::Relation => (
                Condition::UndefinedTable,
                format!("relation \"{name}\" does not exist"),
            ),
            Self::Type => (
                Condition::UndefinedObject,
                format!("type \"{name}\" does not exist"),
            ),
            Self::Function | Self::FunctionWithArguments => (
                Condition::UndefinedFunction,
                format!("function \"{name}\" does not exist"),
            ),
            Self::Schema => (
                Condition::UndefinedSchema,
                format!("schema \"{name}\" does not exist"),
            ),
            Self::Role => (
                Condition::UndefinedObject,
                format!("role \"{name}\" does not exist"),
            ),
            Self::Collation => (
                Condition::UndefinedObject,
                format!("collation \"{name}\" for encoding \"UTF8\" does not exist"),
            ),
        };
        Report::new(condition, message)
    }

    /// The name of the object with this oid; the number itself if there is none, `-` for 0.
    pub fn write(self, env: &Arc<SystemEnv>, oid: u32) -> String {
        if oid == 0 {
            return "-".to_owned();
        }
        self.name_of(env, oid).unwrap_or_else(|| oid.to_string())
    }

    fn name_of(self, env: &Arc<SystemEnv>, oid: u32) -> Option<String> {
        let objects = env.objects();
        match self {
            Self::Relation => objects.relations.get(&oid).map(|relation| {
                let visible = objects.is_relation_visible(relation);
                objects.qualified(relation.namespace, &relation.name, visible)
            }),
            Self::Type => pgtype::by_oid(oid).map(|pg_type| pgtype::format_type(pg_type.oid, None)),
            Self::Function => objects.functions.get(&oid).map(|function| {
                let alone = matches!(
                    objects.find_functions(&quote_ident(&function.name)).as_slice(),
                    [only] if only.oid == oid
                );
                objects.qualified(function.namespace, &function.name, alone)
            }),
            Self::FunctionWithArguments => objects.functions.get(&oid).map(|function| {
                let visible = objects.is_function_visible(function);
                let name = objects.qualified(function.namespace, &function.name, visible);
                let types: Vec<String> = function
                    .arguments
                    .iter()
                    .map(|argument| pgtype::format_type(argument.type_oid, None))
                    .collect();
                format!("{name}({})", types.join(","))
            }),
            Self::Schema => objects.namespace_name(oid).map(quote_ident),
            Self::Role => env
                .roles
                .iter()
                .find(|role| role.oid() == oid)
                .map(|role| quote_ident(&role.name)),
            Self::Collation => match oid {
                100 => Some("\"default\"".to_owned()),
                950 => Some("\"C\"".to_owned()),
                951 => Some("\"POSIX\"".to_owned()),
                _ => None,
            },
        }
    }
}

/// The oid of a `regclass` argument that may have been given as a name.
pub(super) fn relation_argument(
    env: &Arc<SystemEnv>,
    arguments: &[Value],
    at: usize,
) -> Result<u32> {
    match arguments.get(at) {
        Some(Value::Text(name)) => ReferenceKind::Relation.read(env, name),
        _ => oid(arguments, at),
    }
}

fn fold(name: &str) -> String {
    if name.contains('"') {
        name.to_owned()
    } else {
        name.to_lowercase()
    }
}

macro_rules! references {
    ($(($kind:ident, $type:literal, $input:literal, $output:literal $(, $to:literal)?)),+ $(,)?) => {
        pub(super) const DECLARATIONS: &[Declaration] = &[$(
            Declaration::new($type, &[&["text"], &["oid"]], $type, |env, arguments| {
                Ok(match arguments.first() {
                    Some(Value::Text(name)) => ReferenceKind::$kind.read(env, name)?.into(),
                    _ => oid(arguments, 0)?.into(),
                })
            }),
            Declaration::new($input, &[&["text"]], $type, |env, arguments| {
                Ok(ReferenceKind::$kind.read(env, text(arguments, 0)?)?.into())
            }),
            Declaration::new($output, &[&[$type]], "text", |env, arguments| {
                Ok(ReferenceKind::$kind.write(env, oid(arguments, 0)?).into())
            }),
            $(Declaration::new($to, &[&["text"]], $type, |env, arguments| {
                let name = text(arguments, 0)?;
                Ok(ReferenceKind::$kind.find(env, name).unwrap_or_default().into())
            }),)?
        )+];
    };
}

references![
    (
        Relation,
        "regclass",
        "regclassin",
        "regclassout",
        "to_regclass"
    ),
    (Type, "regtype", "regtypein", "regtypeout", "to_regtype"),
    (Function, "regproc", "regprocin", "regprocout", "to_regproc"),
    (
        FunctionWithArguments,
        "regprocedure",
        "regprocedurein",
        "regprocedureout",
        "to_regprocedure"
    ),
    (
        Schema,
        "regnamespace",
        "regnamespacein",
        "regnamespaceout",
        "to_regnamespace"
    ),
    (Role, "regrole", "regrolein", "regroleout", "to_regrole"),
    (
        Collation,
        "regcollation",
        "regcollationin",
        "regcollationout",
        "to_regcollation"
    ),
];
