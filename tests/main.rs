//! The tests that need the whole program, in one binary: every further one would link the engine
//! once more.
//!
//! `slt_runner` runs the SQL files below `slt/` against a served warehouse; SQL behaviour is tested
//! there. `tidy` reads the sources. Other clients are tried by the scripts below `clients/`, which
//! `tests/run` starts.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on ends by saying where"
)]
#![expect(
    clippy::result_large_err,
    reason = "a failure of a test is made once and read by a person"
)]

mod served;
mod slt_runner;
mod tidy;
mod wire;
