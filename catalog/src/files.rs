//! Data files: written by streams, made durable before the commit that names them, checked when they are first read.

pub mod durable;
mod rows;
mod stats;
pub mod verify;
pub mod write;
