//! Tributary: an embedded data warehouse with SQL extensions for omni-channel commerce.
//!
//! This crate is the top of the house: [`session`] plans and runs statements, [`server`] speaks
//! the PostgreSQL protocol, [`cli`] is the command line, [`demo`] the guided tour on real input.
//! SQL itself is in `tributary-sql`, storage in `tributary-catalog`, algorithms in
//! `tributary-algo`.

pub mod cli;
pub mod demo;
pub mod server;
pub mod session;
