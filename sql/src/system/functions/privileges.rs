//! `has_..._privilege`: whether a role may do something to an object.
//!
//! Every role may do everything to every object so far, so that the answer is about existence alone: a role or object
//! named that does not exist is an error, an oid that is none gives NULL, and an unknown privilege is an error.

use std::sync::Arc;

use datafusion::common::Result;

use super::super::SystemEnv;
use super::super::rows::Value;
use super::super::tables::DATABASE_OID;
use super::Declaration;
use super::references::ReferenceKind;
use crate::error::{Condition, Report};
use crate::pgtype;

/// What a privilege is asked on.
#[derive(Clone, Copy)]
enum Object {
    Relation,
    Schema,
    Database,
    Function,
    Type,
    Role,
    /// Of a kind that there is none of, or that is known by oid only.
    Other,
}

macro_rules! privilege {
    ($name:literal, $object:ident, $oid:literal, $privileges:expr) => {
        Declaration::new(
            $name,
            &[
                &[$oid, "text"],
                &["name", $oid, "text"],
                &["oid", $oid, "text"],
                &["text", "text"],
                &["name", "text", "text"],
                &["oid", "text", "text"],
            ],
            "bool",
            |env, arguments| has_privilege(env, arguments, Object::$object, $privileges),
        )
    };
}

const RELATION_PRIVILEGES: &[&str] = &[
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "TRUNCATE",
    "REFERENCES",
    "TRIGGER",
    "RULE",
];
const COLUMN_PRIVILEGES: &[&str] = &["SELECT", "INSERT", "UPDATE", "REFERENCES"];

pub(super) const DECLARATIONS: &[Declaration] = &[
    privilege!("has_table_privilege", Relation, "oid", RELATION_PRIVILEGES),
    privilege!(
        "has_any_column_privilege",
        Relation,
        "oid",
        COLUMN_PRIVILEGES
    ),
    privilege!(
        "has_sequence_privilege",
        Relation,
        "oid",
        &["USAGE", "SELECT", "UPDATE"]
    ),
    privilege!("has_schema_privilege", Schema, "oid", &["CREATE", "USAGE"]),
    privilege!(
        "has_database_privilege",
        Database,
        "oid",
        &["CREATE", "CONNECT", "TEMPORARY", "TEMP"]
    ),
    privilege!("has_function_privilege", Function, "oid", &["EXECUTE"]),
    privilege!("has_type_privilege", Type, "oid", &["USAGE"]),
    privilege!("has_language_privilege", Other, "oid", &["USAGE"]),
    privilege!("has_tablespace_privilege", Other, "oid", &["CREATE"]),
    privilege!(
        "has_foreign_data_wrapper_privilege",
        Other,
        "oid",
        &["USAGE"]
    ),
    privilege!("has_server_privilege", Other, "oid", &["USAGE"]),
    privilege!("pg_has_role", Role, "oid", &["MEMBER", "USAGE"]),
    Declaration::new(
        "has_column_privilege",
        &[
            &["oid", "int2", "text"],
            &["oid", "text", "text"],
            &["text", "text", "text"],
            &["text", "int2", "text"],
            &["name", "oid", "int2", "text"],
            &["name", "oid", "text", "text"],
            &["name", "text", "text", "text"],
            &["name", "text", "int2", "text"],
        ],
        "bool",
        has_column_privilege,
    ),
    Declaration::new(
        "row_security_active",
        &[&["oid"], &["text"]],
        "bool",
        |env, arguments| {
            Ok(exists(env, Object::Relation, arguments.first())?
                .map(|()| false)
                .into())
        },
    ),
];

fn has_privilege(
    env: &Arc<SystemEnv>,
    arguments: &[Value],
    object: Object,
    privileges: &[&str],
) -> Result<Value> {
    let (role, target, privilege) = match arguments {
        [target, privilege] => (None, target, privilege),
        [role, target, privilege] => (Some(role), target, privilege),
        _ => return Ok(Value::Null),
    };
    if let Some(role) = role
        && exists(env, Object::Role, Some(role))?.is_none()
    {
        return Ok(Value::Null);
    }
    check_privilege(privilege, privileges)?;
    Ok(exists(env, object, Some(target))?.map(|()| true).into())
}

fn has_column_privilege(env: &Arc<SystemEnv>, arguments: &[Value]) -> Result<Value> {
    let (role, table, column, privilege) = match arguments {
        [table, column, privilege] => (None, table, column, privilege),
        [role, table, column, privilege] => (Some(role), table, column, privilege),
        _ => return Ok(Value::Null),
    };
    if let Some(role) = role
        && exists(env, Object::Role, Some(role))?.is_none()
    {
        return Ok(Value::Null);
    }
    check_privilege(privilege, COLUMN_PRIVILEGES)?;
    let oid = match table {
        Value::Text(name) => ReferenceKind::Relation.read(env, name)?,
        Value::Int(number) => u32::try_from(*number).unwrap_or(0),
        _ => 0,
    };
    let Some(relation) = env.objects().relations.get(&oid) else {
        return Ok(Value::Null);
    };
    let columns = relation.columns(env);
    match column {
        Value::Text(name) if !columns.iter().any(|column| column.name == *name) => {
            Err(Report::new(
                Condition::UndefinedColumn,
                format!(
                    "column \"{name}\" of relation \"{}\" does not exist",
                    relation.name
                ),
            )
            .into())
        }
        Value::Int(number)
            if !usize::try_from(*number).is_ok_and(|n| (1..=columns.len()).contains(&n)) =>
        {
            Ok(Value::Null)
        }
        _ => Ok(true.into()),
    }
}

/// `Some` if the object is there, `None` for an oid that is none.
///
/// # Errors
/// For a name that is none.
fn exists(env: &Arc<SystemEnv>, object: Object, target: Option<&Value>) -> Result<Option<()>> {
    match target {
        Some(Value::Text(name)) => {
            let kind = match object {
                Object::Relation => ReferenceKind::Relation,
                Object::Schema => ReferenceKind::Schema,
                Object::Function => ReferenceKind::FunctionWithArguments,
                Object::Type => ReferenceKind::Type,
                // Role names are given as they are, not as SQL text.
                Object::Role => {
                    return if name == "public" || env.roles.iter().any(|role| role.name == *name) {
                        Ok(Some(()))
                    } else {
                        Err(undefined("role", name))
                    };
                }
                Object::Database => {
                    return if *name == env.database {
                        Ok(Some(()))
                    } else {
                        Err(undefined("database", name))
                    };
                }
                Object::Other => return Ok(Some(())),
            };
            kind.read(env, name).map(|_| Some(()))
        }
        Some(Value::Int(number)) => {
            let oid = u32::try_from(*number).unwrap_or(0);
            let objects = env.objects();
            let found = match object {
                Object::Relation => objects.relations.contains_key(&oid),
                Object::Schema => objects.namespaces.contains_key(&oid),
                Object::Function => objects.functions.contains_key(&oid),
                Object::Type => pgtype::by_oid(oid).is_some(),
                Object::Role => env.roles.iter().any(|role| role.oid() == oid),
                Object::Database => oid == DATABASE_OID,
                Object::Other => true,
            };
            Ok(found.then_some(()))
        }
        _ => Ok(None),
    }
}

fn undefined(kind: &str, name: &str) -> datafusion::error::DataFusionError {
    Report::new(
        Condition::UndefinedObject,
        format!("{kind} \"{name}\" does not exist"),
    )
    .into()
}

/// Checks a list of privileges such as `SELECT, INSERT WITH GRANT OPTION`.
fn check_privilege(given: &Value, known: &[&str]) -> Result<()> {
    let Value::Text(given) = given else {
        return Ok(());
    };
    for one in given.split(',') {
        let upper = one.trim().to_uppercase();
        let name = upper
            .strip_suffix(" WITH GRANT OPTION")
            .or_else(|| upper.strip_suffix(" WITH ADMIN OPTION"))
            .unwrap_or(&upper);
        if !known.contains(&name) {
            return Err(Report::new(
                Condition::InvalidParameter,
                format!("unrecognized privilege type: \"{}\"", one.trim()),
            )
            .into());
        }
    }
    Ok(())
}
