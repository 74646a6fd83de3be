//! Running `millrace`, the command that people type.

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::servers::binary;

/// A command that has ended.
#[derive(Debug)]
pub struct Ran {
    /// Its exit status.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

impl Ran {
    /// Insists on an exit status.
    ///
    /// # Panics
    /// When it is another.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "stdout:\n{}stderr:\n{}",
            self.stdout, self.stderr
        );
        self
    }

    /// The lines of standard output as JSON values.
    ///
    /// # Panics
    /// When one is none.
    pub fn json_lines(&self) -> Vec<serde_json::Value> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).expect("a line of JSON"))
            .collect()
    }

    /// Standard output as one JSON value.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).expect("JSON")
    }
}

/// Runs `millrace` without input.
///
/// # Panics
/// When it cannot be run, or a signal ends it.
pub fn millrace<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> Ran {
    millrace_reading(b"", words)
}

/// Runs `millrace` with this on standard input.
///
/// # Panics
/// When it cannot be run, or a signal ends it.
pub fn millrace_reading<S: AsRef<OsStr>>(input: &[u8], words: impl IntoIterator<Item = S>) -> Ran {
    let mut child = command(words).spawn().expect("millrace starts");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let input = input.to_vec();
    // In a thread: it may write before it has read all.
    let feeding = std::thread::spawn(move || {
        // A command that does not want its input may be gone already.
        let _ = stdin.write_all(&input);
    });
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().expect("millrace ends");
    feeding.join().expect("the feeder ends");
    Ran {
        code: status.code().expect("it ended by itself, not by a signal"),
        stdout: String::from_utf8(stdout).expect("the output is UTF-8"),
        stderr: String::from_utf8(stderr).expect("the messages are UTF-8"),
    }
}

/// `millrace` with all of its streams piped.
pub fn command<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(binary("millrace"));
    command
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}
