//! Whose fault a failed call is: what the server said, or what became of the connection.

use std::error::Error;

use millrace_proto::CallError;
use tonic::{ConnectError, Status, TimeoutExpired};

/// What a status says. One that the server has sent means what it says; one that was made here tells whether the
/// server can have begun with the call, and so may be lost because of it: it cannot where it was not `heard`.
pub(crate) fn error(status: Status, heard: bool) -> CallError {
    match status.source().and_then(cause) {
        Some(Cause::Broken) if !heard => CallError::Unavailable(text(&status)),
        None => status.into(),
        Some(Cause::NotReached) => CallError::Unavailable(text(&status)),
        Some(Cause::Late) => CallError::Deadline,
        Some(Cause::Broken) => CallError::Lost(text(&status)),
    }
}

enum Cause {
    /// There was no connection, the call was not sent, or the server said that it did not take it.
    NotReached,
    Late,
    /// The connection broke, or the server reset the call.
    Broken,
}

fn cause(error: &(dyn Error + 'static)) -> Option<Cause> {
    let mut next = Some(error);
    let mut broken = None;
    while let Some(error) = next {
        if error.is::<ConnectError>() {
            return Some(Cause::NotReached);
        }
        if error.is::<TimeoutExpired>() {
            return Some(Cause::Late);
        }
        if let Some(hyper) = error.downcast_ref::<hyper::Error>()
            && hyper.is_canceled()
        {
            return Some(Cause::NotReached);
        }
        if let Some(h2) = error.downcast_ref::<h2::Error>() {
            // RFC 9113 §8.7: neither was processed.
            let refused = h2.reason() == Some(h2::Reason::REFUSED_STREAM)
                || h2.is_go_away() && h2.is_remote() && h2.reason() == Some(h2::Reason::NO_ERROR);
            return Some(if refused {
                Cause::NotReached
            } else {
                Cause::Broken
            });
        }
        broken = Some(Cause::Broken);
        next = error.source();
    }
    broken
}

/// The status' own text says little: the reason is at the end of the chain.
fn text(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut next = status.source();
    while let Some(error) = next {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = error.source();
    }
    text
}
