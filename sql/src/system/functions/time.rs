//! The time, as the session sees it: that of the transaction, of the statement, and now.

use super::super::rows::Value;
use super::Declaration;

pub(super) const DECLARATIONS: &[Declaration] = &[
    Declaration::new("now", &[&[]], "timestamptz", |env, _| {
        Ok(Value::Time(env.transaction_started_at))
    }),
    Declaration::new("transaction_timestamp", &[&[]], "timestamptz", |env, _| {
        Ok(Value::Time(env.transaction_started_at))
    }),
    Declaration::new("current_timestamp", &[&[]], "timestamptz", |env, _| {
        Ok(Value::Time(env.transaction_started_at))
    }),
    Declaration::new("statement_timestamp", &[&[]], "timestamptz", |env, _| {
        Ok(Value::Time(env.statement_started_at))
    }),
    Declaration::new("clock_timestamp", &[&[]], "timestamptz", |env, _| {
        Ok(Value::Time((env.clock)()))
    })
    .volatile(),
];
