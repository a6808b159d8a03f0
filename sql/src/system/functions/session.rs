//! Functions about the session and the server.

use std::net::SocketAddr;
use std::sync::Arc;

use datafusion::common::Result;

use super::super::SystemEnv;
use super::super::rows::Value;
use super::{Declaration, text};
use crate::error::{Condition, Report};

pub(super) const DECLARATIONS: &[Declaration] = &[
    Declaration::new("current_database", &[&[]], "name", |env, _| {
        Ok(env.database.as_str().into())
    }),
    Declaration::new("current_catalog", &[&[]], "name", |env, _| {
        Ok(env.database.as_str().into())
    }),
    Declaration::new("current_schema", &[&[]], "name", |env, _| {
        let objects = env.objects();
        let first = env
            .search_path
            .iter()
            .find(|name| objects.namespace_oid(name).is_some());
        Ok(first.cloned().into())
    }),
    Declaration::new(
        "current_schemas",
        &[&["bool"]],
        "_name",
        |env, arguments| {
            let objects = env.objects();
            let implicit = arguments.first() == Some(&Value::Bool(true))
                && !env.search_path.iter().any(|name| name == "pg_catalog");
            let given = env.search_path.iter().map(String::as_str);
            let names = implicit.then_some("pg_catalog").into_iter().chain(given);
            Ok(Value::Texts(
                names
                    .filter(|name| objects.namespace_oid(name).is_some())
                    .map(str::to_owned)
                    .collect(),
            ))
        },
    ),
    Declaration::new("current_user", &[&[]], "name", |env, _| {
        Ok(env.user.as_str().into())
    }),
    Declaration::new("current_role", &[&[]], "name", |env, _| {
        Ok(env.user.as_str().into())
    }),
    Declaration::new("user", &[&[]], "name", |env, _| {
        Ok(env.user.as_str().into())
    }),
    Declaration::new("session_user", &[&[]], "name", |env, _| {
        Ok(env.session_user.as_str().into())
    }),
    Declaration::new(
        "current_setting",
        &[&["text"], &["text", "bool"]],
        "text",
        current_setting,
    ),
    Declaration::new("version", &[&[]], "text", |env, _| {
        Ok(env.version.as_str().into())
    }),
    Declaration::new("getdatabaseencoding", &[&[]], "name", |_, _| {
        Ok("UTF8".into())
    }),
    Declaration::new("pg_client_encoding", &[&[]], "name", |env, _| {
        Ok(env.setting("client_encoding").unwrap_or("UTF8").into())
    }),
    Declaration::new("pg_backend_pid", &[&[]], "int4", |env, _| {
        Ok(env.backend_pid.into())
    }),
    Declaration::new("pg_is_in_recovery", &[&[]], "bool", |_, _| Ok(false.into())),
    Declaration::new(
        "pg_postmaster_start_time",
        &[&[]],
        "timestamptz",
        |env, _| Ok(Value::Time(env.started_at)),
    ),
    Declaration::new("pg_conf_load_time", &[&[]], "timestamptz", |env, _| {
        Ok(Value::Time(env.started_at))
    }),
    Declaration::new("inet_server_addr", &[&[]], "inet", |env, _| {
        Ok(host(env.server_address))
    }),
    Declaration::new("inet_server_port", &[&[]], "int4", |env, _| {
        Ok(port(env.server_address))
    }),
    Declaration::new("inet_client_addr", &[&[]], "inet", |env, _| {
        Ok(host(env.client_address))
    }),
    Declaration::new("inet_client_port", &[&[]], "int4", |env, _| {
        Ok(port(env.client_address))
    }),
    // The number of the version of the catalog that the statement sees.
    Declaration::new("txid_current", &[&[]], "int8", |env, _| {
        Ok(env.snapshot.id.0.into())
    }),
    Declaration::new("txid_current_if_assigned", &[&[]], "int8", |env, _| {
        Ok(env.snapshot.id.0.into())
    }),
    Declaration::new("pg_advisory_unlock_all", &[&[]], "text", |_, _| {
        Ok("".into())
    }),
];

fn current_setting(env: &Arc<SystemEnv>, arguments: &[Value]) -> Result<Value> {
    let name = text(arguments, 0)?;
    match env.setting(name) {
        Some(value) => Ok(value.into()),
        None if arguments.get(1) == Some(&Value::Bool(true)) => Ok(Value::Null),
        None => Err(Report::new(
            Condition::UndefinedObject,
            format!("unrecognized configuration parameter \"{name}\""),
        )
        .into()),
    }
}

fn host(address: Option<SocketAddr>) -> Value {
    address.map(|address| address.ip().to_string()).into()
}

fn port(address: Option<SocketAddr>) -> Value {
    address.map(|address| i32::from(address.port())).into()
}
