//! Stands where qmail-queue stood.

use std::process::ExitCode;

fn main() -> ExitCode {
    millrace_qmail::queue::run().code().into()
}
