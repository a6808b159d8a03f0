//! Upkeep: moving inlined rows to files, joining small files, forgetting old snapshots, finding what is damaged or left over.
//!
//! Flush and compaction are transactions like any other: they change where rows lie, never which there are, and rows keep their ids. They yield:
//! where a user's change has met them, they are the ones to try again. Expiry is the only thing here that takes something away, and only what
//! no snapshot names any more.

mod check;
mod compact;
mod expire;
mod flush;

pub use check::{CheckReport, Finding};
pub use compact::Compaction;
pub use expire::Expired;

use crate::error::{Error, Result};

/// How often upkeep tries again when changes of users come in between.
const ATTEMPTS: usize = 5;

/// Whether to try again after `outcome`.
fn yields<R>(outcome: &Result<R>, attempt: usize) -> bool {
    matches!(outcome, Err(Error::Conflict { .. })) && attempt + 1 < ATTEMPTS
}
