//! A peer that runs beside: a Python process that takes one request a line and answers with one.

use std::io::{BufRead, BufReader, Error, Result, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

/// A running script of `bench/peers`. Ends when dropped.
pub struct Peer {
    process: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts `script` with the interpreter `python`.
    pub fn start(python: &Path, script: &Path) -> Result<Self> {
        let mut process = Command::new(python)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let requests = process.stdin.take();
        let answers = process
            .stdout
            .take()
            .ok_or_else(|| Error::other("no output of the peer"))?;
        Ok(Self {
            process,
            requests,
            answers: BufReader::new(answers),
        })
    }

    /// Sends a request and waits for its answer.
    pub fn ask(&mut self, request: &Value) -> Result<Value> {
        let pipe = self
            .requests
            .as_mut()
            .ok_or_else(|| Error::other("no input of the peer"))?;
        writeln!(pipe, "{request}")?;
        pipe.flush()?;
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err(Error::other(format!("the peer ended at {request}")));
        }
        serde_json::from_str(&line).map_err(Error::other)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // The end of its input ends the script.
        self.requests = None;
        let _ = self.process.wait();
    }
}
