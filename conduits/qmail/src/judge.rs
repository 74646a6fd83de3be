//! Asking gateways in turn, within one deadline.

use std::fs::File;
use std::time::{Duration, Instant};

use millrace_client::once::{self, Endpoint, Question, Tls};
use millrace_proto::{CallError, Transaction, Verdict};

/// What is left of a deadline that is too little for another try.
const TOO_LATE: Duration = Duration::from_millis(5);

/// Gateways, and what is needed to speak with them.
#[derive(Debug, Clone)]
pub struct Gateways {
    /// Asked in turn; at least one.
    pub endpoints: Vec<Endpoint>,
    /// For those that are asked with TLS.
    pub tls: Option<Tls>,
}

/// Has a message judged by the first gateway that gives a verdict. A gateway gets an equal share of what is left, so
/// that one which hangs does not take the others' time.
///
/// # Errors
/// Why the last that was asked gave none.
pub fn judge(
    gateways: &Gateways,
    transaction: &Transaction,
    content: &File,
    deadline: Duration,
    mut failed: impl FnMut(&Endpoint, &CallError),
) -> Result<Verdict, CallError> {
    let end = Instant::now() + deadline;
    let mut last = CallError::Unavailable("there is no gateway".to_owned());
    let Gateways { endpoints, tls } = gateways;
    for (n, gateway) in endpoints.iter().enumerate() {
        let left = end.saturating_duration_since(Instant::now());
        if left < TOO_LATE {
            return Err(CallError::Deadline);
        }
        let share = left / u32::try_from(endpoints.len() - n).unwrap_or(u32::MAX);
        let question = Question {
            transaction,
            content,
            deadline: share,
        };
        match once::process(gateway, tls.as_ref(), question) {
            Ok(verdict) => return Ok(verdict),
            Err(error) => {
                failed(gateway, &error);
                last = error;
            }
        }
        match last {
            CallError::Unavailable(_)
            | CallError::Store(_)
            | CallError::Lost(_)
            | CallError::Overloaded(_)
            | CallError::NoPolicy(_)
            | CallError::Denied(_)
            | CallError::UnknownRevision(_)
            | CallError::Deadline
            | CallError::Cancelled
            | CallError::Internal(_) => {}
            // It is so everywhere.
            CallError::Malformed(_) | CallError::TooLarge { .. } | CallError::Suspect(_) => break,
        }
    }
    Err(last)
}
