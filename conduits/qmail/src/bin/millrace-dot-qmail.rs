//! A line of a `.qmail` file.

use std::process::ExitCode;

fn main() -> ExitCode {
    millrace_qmail::dot::run().code().into()
}
