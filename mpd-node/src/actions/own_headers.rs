//! Copies of our own headers that come in from outside: nobody but us may say what we say.

use millrace_proto::Edit;
use millrace_quarantine::{STAMP_HEADER, Stamped};

use crate::checks::Facts;

/// Removes every header that only we may have written, but for what comes from our own hosts where the policy trusts
/// that. A stamp that holds stays: the next filter on the way looks at it too. One that says nothing goes, whoever
/// brings it.
pub(crate) fn remove_copies(facts: &Facts<'_>, stamped: &Stamped) -> Vec<Edit> {
    let own = facts.policy.own_headers();
    let is_stamp = |name: &[u8]| name.eq_ignore_ascii_case(STAMP_HEADER.as_bytes());
    let holds = matches!(stamped, Stamped::Released { .. });
    let refused = matches!(stamped, Stamped::Refused(_));
    let Some(message) = facts.message.filter(|_| refused || !own.is_empty()) else {
        return Vec::new();
    };
    let trusted = facts.policy.trusts_own_headers() && facts.is_from_ours();
    let is_own = |name: &[u8]| {
        if is_stamp(name) && (holds || refused) {
            return refused;
        }
        !trusted && own.iter().any(|own| own.matches(name))
    };
    let mut copies = message
        .headers()
        .iter()
        .filter(|header| is_own(&header.name))
        .peekable();
    if copies.peek().is_none() {
        return Vec::new();
    }
    copies
        .map(|header| Edit::DeleteHeader {
            name: header.name.clone(),
            occurrence: header.occurrence,
        })
        .collect()
}
