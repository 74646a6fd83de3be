//! How a call of the processing service fails, and its gRPC status: the one
//! mapping, both ways.

use tonic::{Code, Status};

/// Why a call gave no verdict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The request breaks the contract. The same request will fail anywhere.
    #[error("malformed request: {0}")]
    Malformed(String),
    /// The server does not have the policy revision that the transaction is
    /// pinned to; another may.
    #[error("the policy revision {0} is not known here")]
    UnknownRevision(String),
    /// The message is larger than the server takes. Bytes.
    #[error("the message is larger than {limit} bytes")]
    TooLarge {
        /// The limit that it is over.
        limit: u64,
    },
    /// The server sheds load; another may have room.
    #[error("overloaded: {0}")]
    Overloaded(String),
    /// The server has no policy to judge by.
    #[error("no policy: {0}")]
    NoPolicy(String),
    /// The server does not let the caller do this: its certificate has no right to.
    #[error("not allowed: {0}")]
    Denied(String),
    /// The copy that the verdict would promise cannot be kept, so there is no
    /// verdict: the store is full, slow or away. Another server may reach it.
    #[error("no copy can be kept: {0}")]
    Store(String),
    /// The server is going, or was not reached.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// The connection broke while the server had the call in hand: it may have
    /// died of it.
    #[error("lost in mid-call: {0}")]
    Lost(String),
    /// Several servers were lost with this message in hand: it is not to be
    /// shown to another.
    #[error("suspect: {0}")]
    Suspect(String),
    /// The time for the call is over.
    #[error("the deadline has passed")]
    Deadline,
    /// The server failed over this request.
    #[error("internal error: {0}")]
    Internal(String),
    /// The caller gave the call up.
    #[error("cancelled")]
    Cancelled,
}

/// The metadata key that tells errors of one gRPC code apart.
const KIND: &str = "millrace-error";
/// The metadata key of a size limit, in bytes.
const LIMIT: &str = "millrace-limit";
/// The metadata key of a revision.
const REVISION: &str = "millrace-revision";

impl CallError {
    /// The name used in logs and metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::UnknownRevision(_) => "unknown-revision",
            Self::TooLarge { .. } => "too-large",
            Self::Overloaded(_) => "overloaded",
            Self::NoPolicy(_) => "no-policy",
            Self::Denied(_) => "denied",
            Self::Store(_) => "store",
            Self::Unavailable(_) => "unavailable",
            Self::Lost(_) => "lost",
            Self::Suspect(_) => "suspect",
            Self::Deadline => "deadline",
            Self::Internal(_) => "internal",
            Self::Cancelled => "cancelled",
        }
    }
}

impl From<CallError> for Status {
    fn from(error: CallError) -> Self {
        let code = match &error {
            CallError::Malformed(_) => Code::InvalidArgument,
            CallError::UnknownRevision(_) | CallError::NoPolicy(_) => Code::FailedPrecondition,
            CallError::TooLarge { .. } => Code::OutOfRange,
            CallError::Overloaded(_) => Code::ResourceExhausted,
            CallError::Denied(_) => Code::PermissionDenied,
            CallError::Unavailable(_) | CallError::Lost(_) | CallError::Store(_) => {
                Code::Unavailable
            }
            CallError::Suspect(_) => Code::Aborted,
            CallError::Deadline => Code::DeadlineExceeded,
            CallError::Internal(_) => Code::Internal,
            CallError::Cancelled => Code::Cancelled,
        };
        let message = match &error {
            CallError::Malformed(text)
            | CallError::Overloaded(text)
            | CallError::NoPolicy(text)
            | CallError::Denied(text)
            | CallError::Store(text)
            | CallError::Unavailable(text)
            | CallError::Lost(text)
            | CallError::Suspect(text)
            | CallError::Internal(text) => text.clone(),
            CallError::UnknownRevision(_)
            | CallError::TooLarge { .. }
            | CallError::Deadline
            | CallError::Cancelled => error.to_string(),
        };
        let mut status = Self::new(code, message);
        let metadata = status.metadata_mut();
        if let Ok(kind) = error.kind().parse() {
            metadata.insert(KIND, kind);
        }
        match &error {
            CallError::TooLarge { limit } => {
                if let Ok(limit) = limit.to_string().parse() {
                    metadata.insert(LIMIT, limit);
                }
            }
            CallError::UnknownRevision(revision) => {
                if let Ok(revision) = revision.parse() {
                    metadata.insert(REVISION, revision);
                }
            }
            _ => {}
        }
        status
    }
}

impl From<Status> for CallError {
    fn from(status: Status) -> Self {
        let text = status.message().to_owned();
        let entry = |key| {
            status
                .metadata()
                .get(key)
                .and_then(|value| value.to_str().ok())
        };
        match (status.code(), entry(KIND)) {
            (Code::InvalidArgument, _) => Self::Malformed(text),
            (Code::FailedPrecondition, Some("unknown-revision")) => {
                Self::UnknownRevision(entry(REVISION).unwrap_or_default().to_owned())
            }
            (Code::FailedPrecondition, _) => Self::NoPolicy(text),
            (Code::OutOfRange, _) => Self::TooLarge {
                limit: entry(LIMIT)
                    .and_then(|limit| limit.parse().ok())
                    .unwrap_or(0),
            },
            (Code::ResourceExhausted, _) => Self::Overloaded(text),
            (Code::DeadlineExceeded, _) => Self::Deadline,
            // tonic answers its own time-out with this code and text.
            (Code::Cancelled, _) if text.contains("Timeout expired") => Self::Deadline,
            (Code::Cancelled, _) => Self::Cancelled,
            (Code::PermissionDenied, _) => Self::Denied(text),
            (Code::Aborted, Some("suspect")) => Self::Suspect(text),
            (Code::Unavailable, Some("store")) => Self::Store(text),
            (Code::Unavailable, Some("lost")) => Self::Lost(text),
            (Code::Unavailable | Code::Unknown, _) => Self::Unavailable(with_causes(text, &status)),
            (_, _) => Self::Internal(text),
        }
    }
}

/// Why a server was not reached stands in the causes: that its certificate is not believed, say.
fn with_causes(mut text: String, status: &Status) -> String {
    let mut cause = std::error::Error::source(status);
    while let Some(next) = cause {
        let words = next.to_string();
        if !text.contains(&words) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&words);
        }
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_survives_the_wire() {
        for error in [
            CallError::Malformed("envelope is missing".into()),
            CallError::UnknownRevision("abc123".into()),
            CallError::TooLarge { limit: 1000 },
            CallError::Overloaded("too many".into()),
            CallError::NoPolicy("none loaded".into()),
            CallError::Denied("not this client".into()),
            CallError::Store("the disk is full".into()),
            CallError::Unavailable("draining".into()),
            CallError::Lost("connection reset".into()),
            CallError::Suspect("two servers were lost".into()),
            CallError::Deadline,
            CallError::Internal("a check panicked".into()),
            CallError::Cancelled,
        ] {
            assert_eq!(CallError::from(Status::from(error.clone())), error);
        }
    }
}
