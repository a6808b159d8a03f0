//! The SQL of Tributary: from text to plans over one snapshot of the warehouse.
//!
//! One idea: everything a user can say becomes a plan of the engine or a change of a transaction,
//! planned against an immutable snapshot without I/O. Start at [`statement::plan`], then
//! [`planner::Planner`]; [`relation`] is where relation functions enter FROM. This crate knows no
//! sessions, no sockets and no wire types.

pub mod apply;
pub mod contracts;
pub mod copy_format;
pub mod engine;
pub mod error;
pub mod exact;
pub mod files;
pub mod interrupt;
mod joins;
pub mod names;
pub mod output;
pub mod parse;
pub mod pgtype;
pub mod planner;
pub mod provider;
pub mod relation;
pub mod rewrite;
pub mod settings;
mod shared;
pub mod statement;
pub mod system;
pub mod text;
pub mod types;
pub mod write;

pub use error::{Condition, Error, Report, Result};
