//! Running the command.

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use millrace_tests::servers::binary;

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Insists on an exit status.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "stdout:\n{}stderr:\n{}",
            self.stdout, self.stderr
        );
        self
    }

    /// The lines of standard output as JSON values.
    pub(crate) fn json_lines(&self) -> Vec<serde_json::Value> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).expect("a line of JSON"))
            .collect()
    }

    /// Standard output as one JSON value.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).expect("JSON")
    }
}

/// Runs `millrace` without input.
pub(crate) fn millrace<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> Ran {
    millrace_reading(b"", words)
}

/// Runs `millrace` with this on standard input.
pub(crate) fn millrace_reading<S: AsRef<OsStr>>(
    input: &[u8],
    words: impl IntoIterator<Item = S>,
) -> Ran {
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
pub(crate) fn command<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(binary("millrace"));
    command
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}
