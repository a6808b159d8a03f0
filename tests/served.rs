//! A warehouse of its own for a test, served by the real program on a free port of this machine.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::wire::{Failure, Wire};

/// A served warehouse. It ends, and its directory goes, when this is dropped.
pub struct Served {
    server: Child,
    directory: TempDir,
    address: String,
    user: String,
    password: String,
}

impl Served {
    /// Makes a warehouse, serves it and waits until it is ready.
    pub fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let warehouse = directory.path().join("warehouse");
        let made = Command::new(program())
            .arg("init")
            .arg(&warehouse)
            .stdin(Stdio::null())
            .output();
        let made = made.unwrap();
        assert!(
            made.status.success(),
            "init: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let password = fs::read_to_string(warehouse.join("password")).unwrap();

        let log = directory.path().join("log");
        let mut server = Command::new(program())
            .arg("serve")
            .arg(&warehouse)
            .args(["--listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        // The line comes when the server accepts; when it fails instead, the pipe closes.
        let mut line = String::new();
        BufReader::new(server.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let Some(url) = line.trim_end().strip_prefix("ready ") else {
            let status = server.wait().unwrap();
            panic!(
                "serve ended with {status}: {line}{}",
                fs::read_to_string(&log).unwrap()
            );
        };
        let (user, address) = url
            .strip_prefix("postgresql://")
            .and_then(|url| url.strip_suffix("/tributary"))
            .and_then(|url| url.split_once('@'))
            .unwrap();
        Self {
            server,
            directory,
            address: address.to_owned(),
            user: user.to_owned(),
            password: password.trim_end().to_owned(),
        }
    }

    /// A directory for the test's own files.
    pub fn scratch(&self) -> PathBuf {
        let scratch = self.directory.path().join("scratch");
        fs::create_dir_all(&scratch).unwrap();
        scratch
    }

    /// A connection as the superuser.
    pub fn connect(&self) -> Result<Wire, Failure> {
        Wire::connect(&self.address, &self.user, &self.password)
    }

    /// What the server wrote to its log.
    pub fn log(&self) -> String {
        let mut text = String::new();
        File::open(self.directory.path().join("log"))
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        text
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.server.kill().ok();
        self.server.wait().ok();
    }
}

/// The program under test.
pub fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_tributary"))
}

/// The root of the sources.
pub fn root() -> PathBuf {
    PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("tests are run by cargo"))
}
