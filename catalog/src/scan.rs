//! Tables as the engine reads them.

mod adapter;
mod provider;
mod prune;
mod reader;
mod statistics;

pub use provider::TableScan;
