//! Checks: what is looked for in a transaction and its message. One module a check; a check reads [`Facts`] and adds
//! to [`Findings`], and never touches the message.

mod attachments;
mod facts;
mod findings;
mod lists;
mod mime;
mod patterns;
mod received;
mod run;

use millrace_proto::Stage;

pub(crate) use facts::{Facts, TrueClient};
pub(crate) use findings::{Applies, Findings, Hit};
pub(crate) use run::run;

use crate::policy::Policy;

/// One check.
pub(crate) trait Check: Send + Sync {
    /// Its name in policies (`UNSCANNED_NAME`), logs and metrics: lower-case letters and `_`.
    fn name(&self) -> &'static str;

    /// Whether it has anything to say at this stage under this policy. What says no is not run and costs nothing.
    fn speaks_at(&self, stage: Stage, policy: &Policy) -> bool;

    /// Looks, and adds what it finds. What it could not look at it says with [`Findings::unscanned`].
    fn run(&self, facts: &Facts<'_>, findings: &mut Findings<'_>);
}

/// All checks, in the order in which they run. Those that report what others came upon while they decoded
/// (defects, limits) come last.
pub(crate) const ALL: &[&dyn Check] = &[
    &lists::Lists,
    &attachments::Attachments,
    &patterns::Patterns,
    &mime::Mime,
];

/// The names of all checks.
pub(crate) fn names() -> Vec<&'static str> {
    ALL.iter().map(|check| check.name()).collect()
}
