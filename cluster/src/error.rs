//! Why etcd could not be asked.

use std::error::Error as _;

use etcd_client::Error;
use tonic::{Code, Status};

/// Why there is no answer from etcd.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EtcdError {
    /// No member answered.
    #[error("etcd cannot be reached at {endpoints}: {problem}")]
    Unreachable {
        /// The members that were tried.
        endpoints: String,
        /// What the last one failed with.
        problem: String,
    },
    /// A member answered that it will not.
    #[error("etcd refuses: {problem}{}", remedy(problem))]
    Refused {
        /// What it said.
        problem: String,
    },
    /// A file that the connection needs cannot be read.
    #[error("{file} cannot be read: {problem}")]
    File {
        /// Which.
        file: String,
        /// Why not.
        problem: String,
    },
}

/// What to do about an answer of etcd's, where that is known.
fn remedy(problem: &str) -> &'static str {
    const KNOWN: &[(&str, &str)] = &[
        (
            "user name is empty",
            "; it wants a user: set `user` and `password_file` in [etcd]",
        ),
        (
            "authentication failed",
            "; correct `user` or `password_file` in [etcd]",
        ),
        (
            "authentication is not enabled",
            "; remove `user` from [etcd], or enable authentication in etcd",
        ),
        (
            "permission denied",
            "; set `user` and `password_file` in [etcd], or grant that user's role readwrite on the prefix",
        ),
        (
            "database space exceeded",
            "; compact and defragment it, then disarm the alarm, or raise --quota-backend-bytes",
        ),
    ];
    KNOWN
        .iter()
        .find(|(part, _)| problem.contains(part))
        .map_or("", |(_, remedy)| remedy)
}

/// What became of a question to one member.
#[derive(Debug)]
pub(crate) enum Failed {
    /// Another member may answer.
    Elsewhere {
        problem: String,
        /// Somebody answered: there may be an election, and an answer soon.
        alive: bool,
    },
    /// All would say the same.
    Refused(String),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        match &error {
            Error::GRpcStatus(status) => {
                let told = told(status);
                match status.code() {
                    // What a member says of its tokens is good for a new connection, not for an end.
                    Code::InvalidArgument if told.contains("auth store is old") => {
                        Self::Elsewhere {
                            problem: told,
                            alive: true,
                        }
                    }
                    Code::InvalidArgument
                    | Code::PermissionDenied
                    | Code::FailedPrecondition
                    | Code::OutOfRange
                    | Code::NotFound
                    | Code::AlreadyExists
                    | Code::Unimplemented => Self::Refused(told),
                    Code::ResourceExhausted if told.contains("space") => Self::Refused(told),
                    _ => Self::Elsewhere {
                        problem: told,
                        // What the transport failed with has a cause, what a member says has none.
                        alive: status.source().is_none(),
                    },
                }
            }
            Error::InvalidArgs(_)
            | Error::InvalidUri(_)
            | Error::LeaseKeepAliveError(_)
            | Error::InvalidMetadataValue(_) => Self::Refused(error.to_string()),
            Error::TransportError(transport) => Self::Elsewhere {
                problem: chain(transport.to_string(), transport.source()),
                alive: false,
            },
            _ => Self::Elsewhere {
                problem: error.to_string(),
                alive: false,
            },
        }
    }
}

fn told(status: &Status) -> String {
    let message = status
        .message()
        .trim_start_matches("etcdserver: ")
        .to_owned();
    chain(message, status.source())
}

/// A message and its causes: what is wrong with a certificate is said at the end of a long chain.
fn chain(mut text: String, mut cause: Option<&(dyn std::error::Error + 'static)>) -> String {
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}
