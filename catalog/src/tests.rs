//! Tests of the crate through its public face, on real directories.

mod alter;
mod columns;
mod conflicts;
mod crash;
mod damage;
mod deletes;
mod golden;
mod history;
mod ingest;
mod inline;
mod model;
mod names;
mod open;
mod outside;
mod scans;
mod support;
mod transactions;
mod two_processes;
mod types;
mod upkeep;
