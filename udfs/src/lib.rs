//! Relation functions: `schema.verb(relation, name => value, ...)` in FROM, as nodes of the plan.
//!
//! One idea: a function is data (a [`function::Signature`]) plus two methods, `bind` and `run`;
//! one logical node and one operator ([`plan`]) serve them all. Start reading at [`function`],
//! then [`plan`]. The list of functions is [`functions::ALL`]. This crate never touches the
//! catalog, the file system or the wire.

pub mod als;
pub mod call;
pub mod docs;
pub mod entities;
pub mod error;
pub mod features;
pub mod function;
pub mod functions;
pub mod input;
pub mod interaction_model;
pub mod interactions;
pub mod keys;
pub mod model;
pub mod output;
pub mod plan;
pub mod records;
pub mod resolve_model;
pub mod run;
pub mod scalars;
pub mod types;

pub use error::{Error, Kind, Result};

#[cfg(test)]
mod tests;
