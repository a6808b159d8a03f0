//! The demo: the whole way from four channels' files to fused customers, segments and
//! recommendations, in SQL.
//!
//! The input is real in shape and made up in identity. Purchases, products, promotions, coupons and
//! campaigns are those of The Complete Journey of 84.51°, which its package calls simulated after
//! real shopping patterns: a slice of 400 households is part of the binary, the whole is downloaded
//! on request. The data knows a household by a number only, so names, accounts and contact details
//! are generated (`people`), the baskets are dealt out to four channels (`generate`), and each
//! channel writes them in its own manner (`channels`). Which account belongs to which household
//! goes to `truth/`, to score the fusion with, and is used for nothing else.
//!
//! What is then done with it is SQL that anyone can read and run: `demo.sql`, split by [`script`].
//! This module makes files and text; it opens no warehouse and prints nothing.

mod channels;
mod draw;
mod error;
mod fetch;
mod generate;
mod names;
mod people;
mod rows;
mod script;
mod source;

use std::path::{Path, PathBuf};

pub use error::{Error, Result};
pub use fetch::fetch_package;
pub use script::{Step, script};

use source::Source;

/// The mapping files of the four channels: the channel's name and the file's text.
///
/// They say which table and which expressions of a channel give the columns of each contract.
pub const CONTRACTS: [(&str, &str); 4] = [
    ("web", include_str!("demo/contracts/web.toml")),
    ("app", include_str!("demo/contracts/app.toml")),
    ("social", include_str!("demo/contracts/social.toml")),
    ("store", include_str!("demo/contracts/store.toml")),
];

/// The demo's input as written: a folder for each channel, `shop` for what they share, `truth` for
/// scoring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoInput {
    /// Where the folders are.
    pub directory: PathBuf,
    /// Households in it.
    pub households: usize,
    /// Channel accounts made up for them.
    pub accounts: usize,
    /// Basket lines, over all channels.
    pub lines: u64,
}

/// Writes the channels' Parquet files below `directory`, from the built-in slice, or from the
/// package's eight Parquet files in the directory `full`.
///
/// The same source gives the same rows on every machine. Existing files of the same names are
/// replaced.
///
/// # Errors
/// When a raw table cannot be read or lacks a column, or a file cannot be written.
pub fn write_input(directory: &Path, full: Option<&Path>) -> Result<DemoInput> {
    let source = full.map_or(Source::Slice, |package| {
        Source::Package(package.to_path_buf())
    });
    let directory = std::fs::create_dir_all(directory)
        .and_then(|()| directory.canonicalize())
        .map_err(|source| Error::File {
            path: directory.to_path_buf(),
            source,
        })?;
    let written = generate::generate(&source, &directory)?;
    Ok(DemoInput {
        directory,
        households: written.households,
        accounts: written.accounts,
        lines: written.lines,
    })
}

#[cfg(test)]
mod tests;
