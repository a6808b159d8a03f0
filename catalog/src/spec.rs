//! The DuckLake 1.0 specification: its tables, type names, statistics text, change list and paths, exactly as the official extension writes them.
//!
//! Nothing here does I/O or knows a transaction; each part prints and parses one notation, and parsing what was printed gives the same value.

pub mod calendar;
pub mod changes;
pub mod ddl;
pub mod defaults;
pub mod internal;
pub mod paths;
pub mod stats;
pub mod types;
pub mod values;
