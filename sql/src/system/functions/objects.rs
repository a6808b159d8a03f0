//! Functions about objects: visibility, comments, definitions, sizes.
//!
//! Of what Tributary has no objects of (indexes, triggers, rules, ...) PostgreSQL answers NULL for an oid that is none,
//! and so do these.

use std::sync::Arc;

use datafusion::common::Result;

use super::super::SystemEnv;
use super::super::names::quote_ident;
use super::super::objects::{Objects, RelationObject};
use super::super::rows::Value;
use super::super::tables::{DATABASE_OID, class, is_system_namespace};
use super::references::{ReferenceKind, relation_argument};
use super::{Declaration, int, oid, text};
use crate::error::{Condition, Report};
use crate::pgtype;

macro_rules! always_null {
    ($name:literal, $overloads:expr, $result:literal) => {
        Declaration::new($name, $overloads, $result, |_, _| Ok(Value::Null))
    };
}

pub(super) const DECLARATIONS: &[Declaration] = &[
    // Visibility.
    Declaration::new(
        "pg_table_is_visible",
        &[&["oid"]],
        "bool",
        |env, arguments| {
            let objects = env.objects();
            let relation = objects.relations.get(&oid(arguments, 0)?);
            Ok(relation
                .map(|relation| objects.is_relation_visible(relation))
                .into())
        },
    ),
    Declaration::new(
        "pg_function_is_visible",
        &[&["oid"]],
        "bool",
        |env, arguments| {
            let objects = env.objects();
            let function = objects.functions.get(&oid(arguments, 0)?);
            Ok(function
                .map(|function| objects.is_function_visible(function))
                .into())
        },
    ),
    Declaration::new("pg_type_is_visible", &[&["oid"]], "bool", |_, arguments| {
        Ok(pgtype::by_oid(oid(arguments, 0)?).map(|_| true).into())
    }),
    Declaration::new(
        "pg_collation_is_visible",
        &[&["oid"]],
        "bool",
        |_, arguments| {
            let known = matches!(oid(arguments, 0)?, 100 | 950 | 951);
            Ok(known.then_some(true).into())
        },
    ),
    always_null!("pg_conversion_is_visible", &[&["oid"]], "bool"),
    always_null!("pg_opclass_is_visible", &[&["oid"]], "bool"),
    always_null!("pg_operator_is_visible", &[&["oid"]], "bool"),
    always_null!("pg_opfamily_is_visible", &[&["oid"]], "bool"),
    always_null!("pg_statistics_obj_is_visible", &[&["oid"]], "bool"),
    always_null!("pg_ts_config_is_visible", &[&["oid"]], "bool"),
    always_null!("pg_ts_dict_is_visible", &[&["oid"]], "bool"),
    always_null!("pg_ts_parser_is_visible", &[&["oid"]], "bool"),
    always_null!("pg_ts_template_is_visible", &[&["oid"]], "bool"),
    // Comments.
    Declaration::new(
        "obj_description",
        &[&["oid", "name"], &["oid"]],
        "text",
        obj_description,
    ),
    Declaration::new(
        "col_description",
        &[&["oid", "int4"]],
        "text",
        col_description,
    ),
    always_null!("shobj_description", &[&["oid", "name"]], "text"),
    // Definitions.
    Declaration::new(
        "pg_get_expr",
        &[&["pg_node_tree", "oid"], &["pg_node_tree", "oid", "bool"]],
        "text",
        // Expressions are stored as SQL.
        |_, arguments| Ok(text(arguments, 0)?.into()),
    ),
    Declaration::new(
        "pg_get_viewdef",
        &[
            &["oid"],
            &["oid", "bool"],
            &["oid", "int4"],
            &["text"],
            &["text", "bool"],
        ],
        "text",
        |env, arguments| {
            let relation = relation_argument(env, arguments, 0)?;
            let query = env
                .objects()
                .relations
                .get(&relation)
                .and_then(RelationObject::query);
            Ok(query.map(|query| format!("{};", query.trim_end())).into())
        },
    ),
    Declaration::new(
        "pg_get_function_result",
        &[&["oid"]],
        "text",
        |env, arguments| {
            let function = env.objects().functions.get(&oid(arguments, 0)?);
            Ok(function.map(|function| function.result_text.clone()).into())
        },
    ),
    Declaration::new(
        "pg_get_function_arguments",
        &[&["oid"]],
        "text",
        |env, arguments| {
            let function = env.objects().functions.get(&oid(arguments, 0)?);
            Ok(function
                .map(|function| function.arguments_text(true))
                .into())
        },
    ),
    Declaration::new(
        "pg_get_function_identity_arguments",
        &[&["oid"]],
        "text",
        |env, arguments| {
            let function = env.objects().functions.get(&oid(arguments, 0)?);
            Ok(function
                .map(|function| function.arguments_text(false))
                .into())
        },
    ),
    Declaration::new(
        "pg_get_functiondef",
        &[&["oid"]],
        "text",
        function_definition,
    ),
    Declaration::new(
        "pg_describe_object",
        &[&["oid", "oid", "int4"]],
        "text",
        describe_object,
    ),
    always_null!("pg_get_function_sqlbody", &[&["oid"]], "text"),
    always_null!(
        "pg_get_constraintdef",
        &[&["oid"], &["oid", "bool"]],
        "text"
    ),
    always_null!(
        "pg_get_indexdef",
        &[&["oid"], &["oid", "int4", "bool"]],
        "text"
    ),
    always_null!("pg_get_partkeydef", &[&["oid"]], "text"),
    always_null!("pg_get_partition_constraintdef", &[&["oid"]], "text"),
    always_null!("pg_get_ruledef", &[&["oid"], &["oid", "bool"]], "text"),
    always_null!("pg_get_statisticsobjdef", &[&["oid"]], "text"),
    always_null!("pg_get_statisticsobjdef_columns", &[&["oid"]], "text"),
    always_null!("pg_get_statisticsobjdef_expressions", &[&["oid"]], "_text"),
    always_null!("pg_get_triggerdef", &[&["oid"], &["oid", "bool"]], "text"),
    Declaration::new(
        "pg_get_serial_sequence",
        &[&["text", "text"]],
        "text",
        |env, arguments| {
            // No column has a sequence, but a table that does not exist is an error.
            relation_argument(env, arguments, 0)?;
            Ok(Value::Null)
        },
    ),
    Declaration::new("pg_get_userbyid", &[&["oid"]], "name", |env, arguments| {
        let oid = oid(arguments, 0)?;
        let role = env.roles.iter().find(|role| role.oid() == oid);
        Ok(role
            .map_or_else(|| format!("unknown (OID={oid})"), |role| role.name.clone())
            .into())
    }),
    // Partitions, publications, updatability.
    Declaration::new("pg_partition_root", &[&["regclass"]], "regclass", |_, _| {
        Ok(Value::Null)
    }),
    Declaration::new(
        "pg_partition_ancestors",
        &[&["regclass"]],
        "_regclass",
        |_, _| Ok(Value::Ints(Vec::new())),
    ),
    Declaration::new(
        "pg_relation_is_publishable",
        &[&["regclass"]],
        "bool",
        |env, arguments| {
            let relation = relation_argument(env, arguments, 0)?;
            let relation = env.objects().relations.get(&relation);
            Ok(relation
                .map(|relation| relation.kind() == 'r' && !relation.is_system())
                .into())
        },
    ),
    Declaration::new(
        "pg_relation_is_updatable",
        &[&["regclass", "bool"]],
        "int4",
        |env, arguments| {
            // INSERT, UPDATE and DELETE are the bits 8, 4 and 16.
            let relation = relation_argument(env, arguments, 0)?;
            let relation = env.objects().relations.get(&relation);
            Ok(relation
                .map_or(0, |relation| if is_user_table(relation) { 28 } else { 0 })
                .into())
        },
    ),
    Declaration::new(
        "pg_column_is_updatable",
        &[&["regclass", "int2", "bool"]],
        "bool",
        |env, arguments| {
            let relation = relation_argument(env, arguments, 0)?;
            let relation = env.objects().relations.get(&relation);
            Ok((relation.is_some_and(is_user_table) && int(arguments, 1)? > 0).into())
        },
    ),
    // Sizes.
    Declaration::new("pg_table_size", &[&["regclass"]], "int8", relation_size),
    Declaration::new(
        "pg_relation_size",
        &[&["regclass"], &["regclass", "text"]],
        "int8",
        relation_size,
    ),
    Declaration::new(
        "pg_total_relation_size",
        &[&["regclass"]],
        "int8",
        relation_size,
    ),
    Declaration::new(
        "pg_indexes_size",
        &[&["regclass"]],
        "int8",
        |env, arguments| {
            let relation = relation_argument(env, arguments, 0)?;
            Ok(env.objects().relations.get(&relation).map(|_| 0_i64).into())
        },
    ),
    Declaration::new(
        "pg_database_size",
        &[&["name"], &["oid"]],
        "int8",
        database_size,
    ),
    Declaration::new(
        "pg_tablespace_size",
        &[&["name"], &["oid"]],
        "int8",
        tablespace_size,
    ),
    Declaration::new(
        "pg_tablespace_location",
        &[&["oid"]],
        "text",
        |_, arguments| {
            Ok(match oid(arguments, 0)? {
                0 | 1663 | 1664 => "".into(),
                _ => Value::Null,
            })
        },
    ),
    // Temporary schemas.
    Declaration::new("pg_my_temp_schema", &[&[]], "oid", |_, _| Ok(0_u32.into())),
    Declaration::new("pg_is_other_temp_schema", &[&["oid"]], "bool", |_, _| {
        Ok(false.into())
    }),
];

fn is_user_table(relation: &RelationObject) -> bool {
    relation.kind() == 'r' && !is_system_namespace(relation.namespace)
}

fn obj_description(env: &Arc<SystemEnv>, arguments: &[Value]) -> Result<Value> {
    let object = oid(arguments, 0)?;
    let class = match arguments.get(1) {
        None => None,
        Some(_) => match text(arguments, 1)? {
            "pg_class" => Some(class::RELATION),
            "pg_namespace" => Some(class::NAMESPACE),
            "pg_proc" => Some(class::FUNCTION),
            // No other kind of object has comments here.
            _ => return Ok(Value::Null),
        },
    };
    let objects = env.objects();
    let is = |wanted| class.is_none_or(|class| class == wanted);
    let relation = objects
        .relations
        .get(&object)
        .filter(|_| is(class::RELATION));
    let namespace = objects
        .namespaces
        .get(&object)
        .filter(|_| is(class::NAMESPACE));
    let function = objects
        .functions
        .get(&object)
        .filter(|_| is(class::FUNCTION));
    Ok(relation
        .and_then(RelationObject::comment)
        .or_else(|| namespace.and_then(|namespace| namespace.comment.as_deref()))
        .or_else(|| function.and_then(|function| function.comment.as_deref()))
        .into())
}

fn col_description(env: &Arc<SystemEnv>, arguments: &[Value]) -> Result<Value> {
    let relation = env.objects().relations.get(&oid(arguments, 0)?);
    let at = int(arguments, 1)?
        .checked_sub(1)
        .and_then(|at| usize::try_from(at).ok());
    let comment = relation
        .filter(|relation| relation.kind() == 'r')
        .zip(at)
        .and_then(|(relation, at)| relation.columns(env).get(at)?.comment.as_deref());
    Ok(comment.into())
}

/// A function as the statement that would make it, if it could be made by one.
fn function_definition(env: &Arc<SystemEnv>, arguments: &[Value]) -> Result<Value> {
    let objects = env.objects();
    let function = objects.functions.get(&oid(arguments, 0)?);
    Ok(function
        .map(|function| {
            let volatility = match function.volatility {
                'i' => " IMMUTABLE",
                's' => " STABLE",
                _ => "",
            };
            let strict = if function.strict { " STRICT" } else { "" };
            format!(
                "CREATE OR REPLACE FUNCTION {}({})\n RETURNS {}\n LANGUAGE internal\n{volatility}{strict}\nAS $function${}$function$\n",
                objects.qualified(function.namespace, &function.name, false),
                function.arguments_text(true),
                function.result_text,
                function.name,
            )
        })
        .into())
}

fn describe_object(env: &Arc<SystemEnv>, arguments: &[Value]) -> Result<Value> {
    let (class, object, part) = (oid(arguments, 0)?, oid(arguments, 1)?, int(arguments, 2)?);
    let objects = env.objects();
    let text = match class {
        class::RELATION => objects.relations.get(&object).map(|relation| {
            let kind = if relation.kind() == 'v' {
                "view"
            } else {
                "table"
            };
            let visible = objects.is_relation_visible(relation);
            let name = objects.qualified(relation.namespace, &relation.name, visible);
            let column = part
                .checked_sub(1)
                .and_then(|at| relation.columns(env).get(usize::try_from(at).ok()?));
            match column {
                Some(column) => format!("column {} of {kind} {name}", quote_ident(&column.name)),
                None => format!("{kind} {name}"),
            }
        }),
        class::NAMESPACE => objects
            .namespace_name(object)
            .map(|name| format!("schema {}", quote_ident(name))),
        class::FUNCTION => objects.functions.get(&object).map(|_| {
            format!(
                "function {}",
                ReferenceKind::FunctionWithArguments.write(env, object)
            )
        }),
        _ => None,
    };
    Ok(text.into())
}

fn relation_size(env: &Arc<SystemEnv>, arguments: &[Value]) -> Result<Value> {
    if let Some(Value::Text(fork)) = arguments.get(1)
        && fork != "main"
    {
        return Ok(0_i64.into());
    }
    let relation = relation_argument(env, arguments, 0)?;
    let relation = env.objects().relations.get(&relation);
    Ok(relation.map(|relation| bytes(relation.size().1)).into())
}

fn database_size(env: &Arc<SystemEnv>, arguments: &[Value]) -> Result<Value> {
    match arguments.first() {
        Some(Value::Text(name)) if *name != env.database => Err(Report::new(
            Condition::UndefinedObject,
            format!("database \"{name}\" does not exist"),
        )
        .into()),
        Some(Value::Int(number)) if *number != i64::from(DATABASE_OID) => Ok(Value::Null),
        _ => Ok(all_bytes(env.objects()).into()),
    }
}

fn tablespace_size(env: &Arc<SystemEnv>, arguments: &[Value]) -> Result<Value> {
    match arguments.first() {
        Some(Value::Text(name)) => match name.as_str() {
            "pg_default" => Ok(all_bytes(env.objects()).into()),
            "pg_global" => Ok(0_i64.into()),
            _ => Err(Report::new(
                Condition::UndefinedObject,
                format!("tablespace \"{name}\" does not exist"),
            )
            .into()),
        },
        Some(Value::Int(1663)) => Ok(all_bytes(env.objects()).into()),
        Some(Value::Int(1664)) => Ok(0_i64.into()),
        _ => Ok(Value::Null),
    }
}

fn all_bytes(objects: &Objects) -> i64 {
    let sizes = objects.relations.values().map(|relation| relation.size().1);
    bytes(sizes.fold(0, u64::saturating_add))
}

fn bytes(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
