//! How a command ends, for scripts.

use std::process::ExitCode;

/// How a command ended. What each means to one command stands in that command's help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, and nothing to object to.
    Good,
    /// Done, and the answer is "no": something would be refused, is wrong, was not found.
    Bad,
    /// Not done: wrong arguments, or something that was needed could not be read, reached or written.
    Failed,
    /// Done in part.
    Partial,
    /// Whoever read the output went away, as `head` does.
    OutputGone,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Good => 0,
            Exit::Bad => 1,
            Exit::Failed => 2,
            Exit::Partial => 3,
            // What a shell shows for a process that SIGPIPE ended.
            Exit::OutputGone => 141,
        })
    }
}
