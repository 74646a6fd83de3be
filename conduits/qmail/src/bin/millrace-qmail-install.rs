//! Puts `millrace-qmail-queue` in front of qmail-queue, and takes it away again.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    millrace_qmail::install::run().into()
}
