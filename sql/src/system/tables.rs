//! The rows of each system table that has any.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::Result;

use super::definition::Definition;
use super::objects::{INFORMATION_SCHEMA, Objects, PG_CATALOG, RelationObject};
use super::rows::{Rows, Value};
use super::{Role, SystemEnv};
use crate::pgtype;

/// `pg_am.oid` of the one way tables are stored.
const TABLE_ACCESS_METHOD: u32 = 2;
/// `pg_tablespace.oid` of `pg_default`.
const DEFAULT_TABLESPACE: u32 = 1663;
/// `pg_database.oid` of the one database.
pub(super) const DATABASE_OID: u32 = 5;
/// `pg_language.oid` of `internal`.
const INTERNAL_LANGUAGE: u32 = 12;
/// The block that `pg_class.relpages` counts.
const BLOCK_BYTES: u64 = 8192;

/// The rows of a system table; for `pg_attribute`, only of the `wanted` relations if given. Tables of things that
/// Tributary has none of are empty.
pub(super) fn rows(
    definition: &'static Definition,
    env: &Arc<SystemEnv>,
    wanted: Option<&HashSet<u32>>,
) -> Result<RecordBatch> {
    let mut rows = Rows::new(definition);
    let objects = env.objects();
    if definition.schema == "pg_catalog" {
        match definition.name {
            "pg_am" => access_methods(&mut rows)?,
            "pg_attrdef" => defaults(&mut rows, objects, env)?,
            "pg_attribute" => attributes(&mut rows, objects, env, wanted)?,
            "pg_auth_members" => members(&mut rows, env)?,
            "pg_authid" => roles(&mut rows, env)?,
            "pg_class" => relations(&mut rows, objects, env)?,
            "pg_collation" => collations(&mut rows, env)?,
            "pg_database" => databases(&mut rows, env)?,
            "pg_description" => descriptions(&mut rows, objects, env)?,
            "pg_get_keywords" => keywords(&mut rows)?,
            "pg_language" => languages(&mut rows, env)?,
            "pg_namespace" => namespaces(&mut rows, objects, env)?,
            "pg_proc" => functions(&mut rows, objects, env)?,
            "pg_settings" | "pg_show_all_settings" => settings(&mut rows, env)?,
            "pg_stat_activity" => activity(&mut rows, env)?,
            "pg_tablespace" => tablespaces(&mut rows, env)?,
            "pg_timezone_names" => time_zones(&mut rows)?,
            "pg_type" => types(&mut rows, objects, env)?,
            _ => {}
        }
    }
    rows.finish()
}

/// The owner of everything: the first superuser, who made the warehouse.
pub(super) fn owner(env: &SystemEnv) -> u32 {
    env.roles
        .iter()
        .find(|role| role.superuser)
        .map_or(0, Role::oid)
}

fn access_methods(rows: &mut Rows) -> Result<()> {
    rows.push([
        ("oid", TABLE_ACCESS_METHOD.into()),
        ("amname", "parquet".into()),
        ("amtype", 't'.into()),
    ])
}

fn namespaces(rows: &mut Rows, objects: &Objects, env: &SystemEnv) -> Result<()> {
    for namespace in objects.namespaces.values() {
        rows.push([
            ("oid", namespace.oid.into()),
            ("nspname", namespace.name.as_str().into()),
            ("nspowner", owner(env).into()),
        ])?;
    }
    Ok(())
}

fn relations(rows: &mut Rows, objects: &Objects, env: &Arc<SystemEnv>) -> Result<()> {
    for relation in objects.relations.values() {
        let is_table = relation.kind() == 'r';
        let (row_count, bytes) = relation.size();
        let pages = i32::try_from(bytes.div_ceil(BLOCK_BYTES)).unwrap_or(i32::MAX);
        #[expect(clippy::cast_precision_loss, reason = "reltuples is an estimate")]
        let tuples = if is_table && !relation.is_system() {
            row_count as f64
        } else {
            -1.0
        };
        let columns = relation.columns(env).len();
        rows.push([
            ("oid", relation.oid.into()),
            ("relname", relation.name.as_str().into()),
            ("relnamespace", relation.namespace.into()),
            ("relowner", owner(env).into()),
            (
                "relam",
                if is_table { TABLE_ACCESS_METHOD } else { 0 }.into(),
            ),
            (
                "relfilenode",
                if is_table { relation.oid } else { 0 }.into(),
            ),
            ("relpages", pages.into()),
            ("reltuples", tuples.into()),
            ("relallvisible", pages.into()),
            ("relpersistence", 'p'.into()),
            ("relkind", relation.kind().into()),
            (
                "relnatts",
                i64::try_from(columns).unwrap_or(i64::MAX).into(),
            ),
            ("relhasrules", (!is_table).into()),
            ("relispopulated", true.into()),
            (
                "relreplident",
                if is_table && !relation.is_system() {
                    'd'
                } else {
                    'n'
                }
                .into(),
            ),
        ])?;
    }
    Ok(())
}

fn attributes(
    rows: &mut Rows,
    objects: &Objects,
    env: &Arc<SystemEnv>,
    wanted: Option<&HashSet<u32>>,
) -> Result<()> {
    let relations = objects
        .relations
        .values()
        .filter(|relation| wanted.is_none_or(|wanted| wanted.contains(&relation.oid)));
    for relation in relations {
        for (number, column) in (1_i32..).zip(relation.columns(env)) {
            let pg_type = column.pg_type;
            rows.push([
                ("attrelid", relation.oid.into()),
                ("attname", column.name.as_str().into()),
                ("atttypid", pg_type.oid.into()),
                ("attstattarget", Value::Int(-1)),
                ("attlen", i32::from(pg_type.len).into()),
                ("attnum", number.into()),
                ("attndims", i32::from(pg_type.is_array()).into()),
                ("attcacheoff", Value::Int(-1)),
                ("atttypmod", column.modifier.into()),
                ("attbyval", pg_type.by_value.into()),
                ("attalign", pg_type.align.into()),
                ("attstorage", pg_type.storage.into()),
                ("attnotnull", column.not_null.into()),
                ("atthasdef", column.default.is_some().into()),
                ("attislocal", true.into()),
                (
                    "attcollation",
                    collation(relation, pg_type.collation).into(),
                ),
            ])?;
        }
    }
    Ok(())
}

/// Columns of system tables compare by bytes (`C`), as in PostgreSQL.
fn collation(relation: &RelationObject, of_type: u32) -> u32 {
    if relation.is_system() && of_type != 0 {
        950
    } else {
        of_type
    }
}

fn defaults(rows: &mut Rows, objects: &Objects, env: &Arc<SystemEnv>) -> Result<()> {
    for relation in objects.relations.values().filter(|r| r.kind() == 'r') {
        for (number, column) in (1_u32..).zip(relation.columns(env)) {
            if let Some(default) = &column.default {
                rows.push([
                    ("oid", default_oid(relation.oid, number).into()),
                    ("adrelid", relation.oid.into()),
                    ("adnum", number.into()),
                    ("adbin", default.as_str().into()),
                ])?;
            }
        }
    }
    Ok(())
}

/// A number for the default of a column, unique enough to tell defaults of one table apart.
fn default_oid(relation: u32, number: u32) -> u32 {
    relation.wrapping_mul(1600).wrapping_add(number)
}

fn types(rows: &mut Rows, objects: &Objects, env: &SystemEnv) -> Result<()> {
    let function = |name: String| {
        objects
            .find_functions(&name)
            .first()
            .map_or(0, |function| function.oid)
    };
    for pg_type in pgtype::all() {
        let stem = pg_type.input.strip_suffix("in").unwrap_or(pg_type.input);
        rows.push([
            ("oid", pg_type.oid.into()),
            ("typname", pg_type.name.into()),
            ("typnamespace", PG_CATALOG.into()),
            ("typowner", owner(env).into()),
            ("typlen", i32::from(pg_type.len).into()),
            ("typbyval", pg_type.by_value.into()),
            ("typtype", pg_type.kind.into()),
            ("typcategory", pg_type.category.into()),
            ("typispreferred", pg_type.preferred.into()),
            ("typisdefined", true.into()),
            ("typdelim", ','.into()),
            ("typelem", pg_type.element_oid.into()),
            ("typarray", pg_type.array_oid.into()),
            ("typinput", function(pg_type.input.to_owned()).into()),
            ("typoutput", function(pg_type.output.to_owned()).into()),
            ("typreceive", function(format!("{stem}recv")).into()),
            ("typsend", function(format!("{stem}send")).into()),
            ("typalign", pg_type.align.into()),
            ("typstorage", pg_type.storage.into()),
            ("typtypmod", Value::Int(-1)),
            ("typcollation", pg_type.collation.into()),
        ])?;
    }
    Ok(())
}

fn functions(rows: &mut Rows, objects: &Objects, env: &SystemEnv) -> Result<()> {
    for function in objects.functions.values() {
        let types = || {
            function
                .arguments
                .iter()
                .map(|a| i64::from(a.type_oid))
                .collect()
        };
        let count = i64::try_from(function.arguments.len()).unwrap_or(i64::MAX);
        let with_default = function
            .arguments
            .iter()
            .filter(|a| a.default.is_some())
            .count();
        let names: Option<Vec<String>> = function
            .arguments
            .iter()
            .map(|argument| argument.name.map(str::to_owned))
            .collect();
        let defaults: Vec<&str> = function
            .arguments
            .iter()
            .filter_map(|argument| argument.default.as_deref())
            .collect();
        rows.push([
            ("oid", function.oid.into()),
            ("proname", function.name.as_str().into()),
            ("pronamespace", function.namespace.into()),
            ("proowner", owner(env).into()),
            ("prolang", INTERNAL_LANGUAGE.into()),
            ("procost", Value::Float(1.0)),
            (
                "prorows",
                Value::Float(if function.returns_set { 1000.0 } else { 0.0 }),
            ),
            ("prokind", function.kind.into()),
            ("proisstrict", function.strict.into()),
            ("proretset", function.returns_set.into()),
            ("provolatile", function.volatility.into()),
            ("proparallel", 's'.into()),
            ("pronargs", count.into()),
            (
                "pronargdefaults",
                i64::try_from(with_default).unwrap_or(i64::MAX).into(),
            ),
            ("prorettype", function.result.into()),
            ("proargtypes", Value::Ints(types())),
            (
                "proargnames",
                match names {
                    Some(names) if !names.is_empty() => Value::Texts(names),
                    _ => Value::Null,
                },
            ),
            (
                "proargdefaults",
                if defaults.is_empty() {
                    Value::Null
                } else {
                    defaults.join(", ").into()
                },
            ),
            ("prosrc", function.name.as_str().into()),
        ])?;
    }
    Ok(())
}

fn databases(rows: &mut Rows, env: &SystemEnv) -> Result<()> {
    rows.push([
        ("oid", DATABASE_OID.into()),
        ("datname", env.database.as_str().into()),
        ("datdba", owner(env).into()),
        ("encoding", 6.into()),
        ("datlocprovider", 'c'.into()),
        ("datallowconn", true.into()),
        ("datconnlimit", Value::Int(-1)),
        ("dattablespace", DEFAULT_TABLESPACE.into()),
        // Text compares by its bytes, which for UTF-8 is the order of code points.
        ("datcollate", "C.UTF-8".into()),
        ("datctype", "C.UTF-8".into()),
    ])
}

fn tablespaces(rows: &mut Rows, env: &SystemEnv) -> Result<()> {
    for (oid, name) in [(DEFAULT_TABLESPACE, "pg_default"), (1664, "pg_global")] {
        rows.push([
            ("oid", oid.into()),
            ("spcname", name.into()),
            ("spcowner", owner(env).into()),
        ])?;
    }
    Ok(())
}

fn collations(rows: &mut Rows, env: &SystemEnv) -> Result<()> {
    for (oid, name, provider, locale) in [
        (100_u32, "default", 'd', None),
        (950, "C", 'c', Some("C")),
        (951, "POSIX", 'c', Some("POSIX")),
    ] {
        rows.push([
            ("oid", oid.into()),
            ("collname", name.into()),
            ("collnamespace", PG_CATALOG.into()),
            ("collowner", owner(env).into()),
            ("collprovider", provider.into()),
            ("collisdeterministic", true.into()),
            ("collencoding", Value::Int(-1)),
            ("collcollate", locale.into()),
            ("collctype", locale.into()),
        ])?;
    }
    Ok(())
}

fn languages(rows: &mut Rows, env: &SystemEnv) -> Result<()> {
    for (oid, name, trusted) in [(INTERNAL_LANGUAGE, "internal", false), (14, "sql", true)] {
        rows.push([
            ("oid", oid.into()),
            ("lanname", name.into()),
            ("lanowner", owner(env).into()),
            ("lanpltrusted", trusted.into()),
        ])?;
    }
    Ok(())
}

fn roles(rows: &mut Rows, env: &SystemEnv) -> Result<()> {
    for role in env.roles.iter() {
        rows.push([
            ("oid", role.oid().into()),
            ("rolname", role.name.as_str().into()),
            ("rolsuper", role.superuser.into()),
            ("rolinherit", true.into()),
            ("rolcreaterole", role.create_role.into()),
            ("rolcreatedb", role.superuser.into()),
            ("rolcanlogin", role.login.into()),
            ("rolconnlimit", role.connection_limit.into()),
            // The verifier stays in the catalog: nobody needs it in a query.
            ("rolpassword", Value::Null),
        ])?;
    }
    Ok(())
}

fn members(rows: &mut Rows, env: &SystemEnv) -> Result<()> {
    for role in env.roles.iter() {
        for (group, admin) in &role.member_of {
            rows.push([
                ("roleid", super::objects::role_oid(group).into()),
                ("member", role.oid().into()),
                ("grantor", owner(env).into()),
                ("admin_option", (*admin).into()),
            ])?;
        }
    }
    Ok(())
}

fn descriptions(rows: &mut Rows, objects: &Objects, env: &Arc<SystemEnv>) -> Result<()> {
    let mut push = |object: u32, class: u32, number: u32, text: &str| {
        rows.push([
            ("objoid", object.into()),
            ("classoid", class.into()),
            ("objsubid", number.into()),
            ("description", text.into()),
        ])
    };
    for namespace in objects.namespaces.values() {
        if let Some(comment) = &namespace.comment {
            push(namespace.oid, class::NAMESPACE, 0, comment)?;
        }
    }
    for relation in objects.relations.values() {
        if let Some(comment) = relation.comment() {
            push(relation.oid, class::RELATION, 0, comment)?;
        }
        // Only tables have comments on columns, so that no view is planned for this.
        let columns = if relation.kind() == 'r' {
            relation.columns(env)
        } else {
            &[]
        };
        for (number, column) in (1_u32..).zip(columns) {
            if let Some(comment) = &column.comment {
                push(relation.oid, class::RELATION, number, comment)?;
            }
        }
    }
    for function in objects.functions.values() {
        if let Some(comment) = &function.comment {
            push(function.oid, class::FUNCTION, 0, comment)?;
        }
    }
    Ok(())
}

fn settings(rows: &mut Rows, env: &SystemEnv) -> Result<()> {
    for setting in env.settings.iter() {
        rows.push([
            ("name", setting.name.as_str().into()),
            ("setting", setting.value.as_str().into()),
            ("unit", setting.unit.clone().into()),
            ("category", setting.category.as_str().into()),
            ("short_desc", setting.description.as_str().into()),
            ("context", setting.context.as_str().into()),
            ("vartype", setting.kind.as_str().into()),
            ("source", setting.source.as_str().into()),
            ("min_val", setting.min_value.clone().into()),
            ("max_val", setting.max_value.clone().into()),
            (
                "enumvals",
                setting
                    .enum_values
                    .clone()
                    .map_or(Value::Null, Value::Texts),
            ),
            ("boot_val", setting.boot_value.clone().into()),
            ("reset_val", setting.reset_value.clone().into()),
            ("pending_restart", false.into()),
        ])?;
    }
    Ok(())
}

fn activity(rows: &mut Rows, env: &SystemEnv) -> Result<()> {
    let time = |at: Option<i64>| at.map_or(Value::Null, Value::Time);
    for session in env.sessions.list() {
        rows.push([
            ("datid", DATABASE_OID.into()),
            ("datname", env.database.as_str().into()),
            ("pid", session.pid.into()),
            ("usesysid", super::objects::role_oid(&session.user).into()),
            ("usename", session.user.as_str().into()),
            ("application_name", session.application_name.as_str().into()),
            (
                "client_addr",
                session.client.map(|client| client.ip().to_string()).into(),
            ),
            (
                "client_port",
                session
                    .client
                    .map_or(Value::Int(-1), |client| i32::from(client.port()).into()),
            ),
            ("backend_start", Value::Time(session.connected_at)),
            ("xact_start", time(session.transaction_started_at)),
            ("query_start", time(session.statement_started_at)),
            ("state_change", time(session.state_changed_at)),
            ("state", session.state.as_str().into()),
            ("query", session.statement.as_str().into()),
            ("backend_type", "client backend".into()),
        ])?;
    }
    Ok(())
}

fn keywords(rows: &mut Rows) -> Result<()> {
    for keyword in super::names::keywords() {
        rows.push([
            ("word", keyword.word.into()),
            ("catcode", keyword.category.into()),
            ("barelabel", keyword.bare_label.into()),
            ("catdesc", keyword.category_description().into()),
            (
                "baredesc",
                if keyword.bare_label {
                    "can be bare label"
                } else {
                    "requires AS"
                }
                .into(),
            ),
        ])?;
    }
    Ok(())
}

/// The one time zone that timestamps are kept in.
fn time_zones(rows: &mut Rows) -> Result<()> {
    rows.push([
        ("name", "UTC".into()),
        ("abbrev", "UTC".into()),
        ("is_dst", false.into()),
    ])
}

/// Oids of system tables, by which `pg_description` says what it describes.
pub(super) mod class {
    /// `pg_class`.
    pub const RELATION: u32 = 1259;
    /// `pg_namespace`.
    pub const NAMESPACE: u32 = 2615;
    /// `pg_proc`.
    pub const FUNCTION: u32 = 1255;
}

/// Whether the schema with this oid is one of PostgreSQL's own.
pub(super) fn is_system_namespace(oid: u32) -> bool {
    matches!(oid, PG_CATALOG | INFORMATION_SCHEMA)
}
