//! The one log line per verdict: its stable field names, and reading it back.
//!
//! A program writes a [`VerdictLine`] with [`VerdictLine::emit`]; `millrace explain` reads it from either log
//! format with [`parse_line`]. The fields, in the order of the line:
//!
//! | field | meaning |
//! |---|---|
//! | `queue_id` | the MTA's queue ID, empty while there is none |
//! | `transaction_id` | our own identity of the message, the same in traces |
//! | `client` | configured name of the MTA or listener that the message came in by |
//! | `direction` | `inbound`, `outbound`, `local` |
//! | `conduit` | what carried it: `milter`, `qmail-queue`, … |
//! | `stage` | when the verdict was given: `connect`, `helo`, `mail`, `rcpt`, `data`, `end-of-message` |
//! | `peer` | address of the SMTP client |
//! | `helo` | what it called itself |
//! | `sender` | envelope sender, empty for a bounce |
//! | `recipients` | envelope recipients, at most [`MAX_RECIPIENTS`] of them |
//! | `recipients_total` | how many there were |
//! | `size` | bytes of content, 0 where there was none yet |
//! | `revision` | policy revision that decided |
//! | `disposition` | `accept`, `reject`, `tempfail`, `discard`, `hold` |
//! | `kept` | `yes` where a copy is in the store of kept copies, else `no` |
//! | `reply` | SMTP reply that policy asked for, if any |
//! | `score`, `threshold` | points, and the mark from which the policy acts |
//! | `symbols` | findings: name, score, detail, policy line |
//! | `degradations` | what the conduit could not carry out as asked |
//! | `unscanned` | checks that could not be done, and why |
//! | `node` | the node that decided |
//! | `duration_us` | microseconds from the message's end (or the stage's command) to the verdict |
//! | `outcome` | what was really done: `carried-out`, or why not (`failed: …`) |
//!
//! Byte values are [`printable`](crate::printable): what is no printable UTF-8 is `\xNN`, a backslash is doubled.
//! In the human format a list is separated by commas, a finding is `NAME(2.50){detail}[file:line]`, an unscanned
//! check is `name{reason}`; separators inside a value have a backslash. In JSON they are arrays and objects.

mod parse;
mod record;
mod render;
#[cfg(test)]
mod tests;

pub use parse::parse_line;
pub use record::{Finding, Unscanned, VerdictRecord};

/// The `tracing` target of verdict lines, written at level `info` whatever the log level is.
pub const TARGET: &str = "millrace::verdict";
/// Recipients that a line names; a mailing's thousand recipients must not make a log line of 100 KiB.
pub const MAX_RECIPIENTS: usize = 32;
/// Bytes of one value that a line shows; what is cut ends in `…`.
pub const MAX_VALUE: usize = 512;

/// The field of the `tracing` event that holds the rendered line.
pub(crate) const FIELD: &str = "verdict";

/// What is logged about one verdict. See the [module](self) for what each field means.
#[derive(Debug, Clone, Copy, Default)]
pub struct VerdictLine<'a> {
    /// The MTA's queue ID.
    pub queue_id: &'a [u8],
    /// Our identity of the transaction.
    pub transaction_id: &'a str,
    /// Configured name of the client.
    pub client: &'a str,
    /// Direction of the mail.
    pub direction: &'a str,
    /// Kind of conduit.
    pub conduit: &'a str,
    /// Stage at which the verdict was given.
    pub stage: &'a str,
    /// SMTP client's address.
    pub peer: &'a [u8],
    /// HELO name.
    pub helo: &'a [u8],
    /// Envelope sender.
    pub sender: &'a [u8],
    /// Envelope recipients: all of them, the line is cut when it is written.
    pub recipients: &'a [&'a [u8]],
    /// Bytes of content.
    pub size: u64,
    /// Policy revision.
    pub revision: &'a str,
    /// Disposition.
    pub disposition: &'a str,
    /// Whether a copy is kept.
    pub kept: bool,
    /// SMTP reply.
    pub reply: &'a [u8],
    /// Score.
    pub score: f64,
    /// Threshold.
    pub threshold: f64,
    /// Findings.
    pub symbols: &'a [SymbolField<'a>],
    /// Degradations.
    pub degradations: &'a [&'a str],
    /// Checks that were not done.
    pub unscanned: &'a [UnscannedField<'a>],
    /// Node that decided.
    pub node: &'a str,
    /// Microseconds to the verdict.
    pub duration_us: u64,
    /// What was really done.
    pub outcome: &'a str,
}

/// One finding in a [`VerdictLine`].
#[derive(Debug, Clone, Copy, Default)]
pub struct SymbolField<'a> {
    /// The symbol's name.
    pub name: &'a str,
    /// Points that it gave.
    pub score: f64,
    /// What was found, in words; bytes of the message may be in it.
    pub detail: &'a [u8],
    /// The policy's `file:line` that gives the symbol its score; empty if there is none.
    pub source: &'a str,
}

/// One check that was not done, in a [`VerdictLine`].
#[derive(Debug, Clone, Copy, Default)]
pub struct UnscannedField<'a> {
    /// The check.
    pub check: &'a str,
    /// Why it was not done.
    pub reason: &'a str,
}

impl VerdictLine<'_> {
    /// Writes the line to the process's log.
    pub fn emit(&self) {
        // `millrace_runtime::telemetry` renders the field with `{:?}` for people and with `{:#?}` as JSON.
        tracing::info!(target: TARGET, verdict = ?render::Rendered(self));
    }
}
