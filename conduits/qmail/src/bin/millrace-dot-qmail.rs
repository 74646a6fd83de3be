//! A line of a `.qmail` file.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    millrace_qmail::dot::run().code().into()
}
