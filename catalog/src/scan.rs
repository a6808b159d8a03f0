//! Tables as the engine reads them.

mod adapter;
mod identity;
mod provider;
mod prune;
mod reader;
mod statistics;

pub use identity::{FILE_COLUMN, POSITION_COLUMN, ROW_ID_COLUMN};
pub use provider::TableScan;
