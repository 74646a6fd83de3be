//! Copies of our own headers that come in from outside: nobody but us may say what we say.

use millrace_proto::Edit;

use crate::checks::Facts;

/// Removes every header that only we may have written, but for what comes from our own hosts where the policy trusts
/// that.
pub(crate) fn remove_copies(facts: &Facts<'_>) -> Vec<Edit> {
    let own = facts.policy.own_headers();
    let Some(message) = facts.message.filter(|_| !own.is_empty()) else {
        return Vec::new();
    };
    let is_own = |name: &[u8]| own.iter().any(|own| own.matches(name));
    let mut copies = message
        .headers()
        .iter()
        .filter(|header| is_own(&header.name))
        .peekable();
    if copies.peek().is_none() || (facts.policy.trusts_own_headers() && facts.is_from_ours()) {
        return Vec::new();
    }
    copies
        .map(|header| Edit::DeleteHeader {
            name: header.name.clone(),
            occurrence: header.occurrence,
        })
        .collect()
}
