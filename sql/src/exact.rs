//! Whole numbers that never wrap around, and counts that are PostgreSQL's `bigint`.
//!
//! The engine adds, subtracts and multiplies integers modulo 2^64, and sums them so. [`analyzer_rule`] puts functions that
//! fail with "out of range" (22003) in place of those operators; [`sum`] gives `numeric` for `bigint`, as PostgreSQL does;
//! Casts and divisions round as PostgreSQL does ([`casts`], [`division`]);
//! [`window`] gives the engine's unsigned row numbers and ranks as `bigint`.

mod arithmetic;
mod casts;
mod division;
mod sum;
mod window;

pub use arithmetic::analyzer_rule;
pub(crate) use casts::rounded_double;
pub(crate) use division::{quotient, quotient_of_decimals};
pub use sum::sum;
pub use window::window;
