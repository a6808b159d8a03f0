//! The algorithms of Tributary, free of the warehouse: text, quality of data, fusion of records, clustering, factorization,
//! recommendation and their evaluation.
//!
//! The one idea: an algorithm is a plain struct of parameters with a `fit` (or a verb named for its result) that takes
//! numbers and gives numbers. There is no Arrow, SQL, input or output, clock, async or global randomness here. What a run
//! needs from the program around it (leave to go on, memory, an ear for progress) it asks of a [`Host`]; rows beyond
//! memory it reads through [`Blocks`]; ids of any type have become dense `u32` numbers before they arrive.
//!
//! Laws that hold for all of them:
//! - Same data in the same order, same parameters, same seed: the same bits, for any number of threads of the rayon pool
//!   that the call is made in. Rows come in a canonical order chosen by the caller.
//! - Bad parameters and bad data are an [`Error`] with a hint; a sum that overflows, a NaN or an endless loop is a defect.
//! - A run can be cancelled at least every 10 ms of compute, and asks for memory before it allocates what grows with the
//!   data.
//!
//! Start reading with [`clustering::kmeans`], which uses every seam once.

pub mod blocks;
pub mod clustering;
mod error;
pub mod evaluate;
pub mod factorization;
pub mod fusion;
pub mod host;
mod parallel;
pub mod quality;
mod random;
pub mod recommend;
mod simd;
pub mod sparse;
pub mod text;

pub use blocks::{BLOCK_ROWS, Blocks, DenseBlocks};
pub use error::{Error, Result};
pub use host::{Host, Reservation, Unlimited};
pub use sparse::{Csr, Duplicates, Pattern};
