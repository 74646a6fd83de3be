//! What is said of each message, and of all of them.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use millrace_proto::{Disposition, Edit, Verdict};
use millrace_runtime::printable;
use serde::{Serialize, Serializer};

use super::Judged;
use crate::exit::Exit;

/// One message's result. Displayed as a block of lines, serialised as one object.
#[derive(Debug, Serialize)]
pub(super) struct Scanned {
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<u64>,
    size: usize,
    duration_us: u64,
    #[serde(flatten)]
    result: Outcome,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Outcome {
    Judged(Box<Explained>),
    Failed { error: String },
}

/// A verdict in words that are safe in a terminal.
#[derive(Debug, Serialize)]
struct Explained {
    disposition: &'static str,
    score: f64,
    threshold: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    hold_reason: String,
    findings: Vec<Finding>,
    edits: Vec<EditLine>,
    recipients: Vec<RecipientLine>,
    unscanned: Vec<Reasoned>,
    degradations: Vec<Degraded>,
    revision: String,
    node: String,
}

#[derive(Debug, Serialize)]
struct Finding {
    symbol: String,
    score: f64,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_line: Option<String>,
}

#[derive(Debug, Serialize)]
struct EditLine {
    edit: &'static str,
    what: String,
}

#[derive(Debug, Serialize)]
struct RecipientLine {
    index: u32,
    disposition: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply: Option<String>,
}

#[derive(Debug, Serialize)]
struct Reasoned {
    check: String,
    reason: String,
}

#[derive(Debug, Serialize)]
struct Degraded {
    wanted: String,
    done: String,
    reason: String,
}

impl Scanned {
    pub(super) fn new(judged: &Judged) -> Self {
        use std::os::unix::ffi::OsStrExt as _;
        Self {
            file: printable(judged.path.as_os_str().as_bytes()),
            message: judged.number,
            size: judged.size,
            duration_us: u64::try_from(judged.took.as_micros()).unwrap_or(u64::MAX),
            result: match &judged.result {
                Ok(verdict) => Outcome::Judged(Box::new(Explained::new(verdict))),
                Err(error) => Outcome::Failed {
                    error: printable(error.as_bytes()),
                },
            },
        }
    }
}

impl Explained {
    fn new(verdict: &Verdict) -> Self {
        let safe = |text: &str| printable(text.as_bytes());
        Self {
            disposition: verdict.disposition.name(),
            score: verdict.score,
            threshold: verdict.threshold,
            reply: verdict.reply.as_ref().map(ToString::to_string),
            hold_reason: safe(&verdict.hold_reason),
            findings: verdict
                .findings
                .iter()
                .map(|finding| Finding {
                    symbol: safe(&finding.symbol),
                    score: finding.score,
                    detail: safe(&finding.detail),
                    policy_line: finding
                        .policy_line
                        .as_ref()
                        .map(|line| safe(&line.to_string())),
                })
                .collect(),
            edits: verdict
                .edits
                .iter()
                .map(|edit| EditLine {
                    edit: edit.name(),
                    what: edited(edit),
                })
                .collect(),
            recipients: verdict
                .recipients
                .iter()
                .map(|outcome| RecipientLine {
                    index: outcome.index,
                    disposition: outcome.disposition.name(),
                    reply: outcome.reply.as_ref().map(ToString::to_string),
                })
                .collect(),
            unscanned: verdict
                .unscanned
                .iter()
                .map(|one| Reasoned {
                    check: safe(&one.check),
                    reason: safe(&one.reason),
                })
                .collect(),
            degradations: verdict
                .degradations
                .iter()
                .map(|one| Degraded {
                    wanted: safe(&one.wanted),
                    done: safe(&one.done),
                    reason: safe(&one.reason),
                })
                .collect(),
            revision: verdict.revision.as_str().to_owned(),
            node: safe(&verdict.node),
        }
    }
}

fn edited(edit: &Edit) -> String {
    match edit {
        Edit::AddHeader { name, value } | Edit::InsertHeader { name, value } => {
            format!("{}: {}", printable(name), printable(value))
        }
        Edit::ChangeHeader {
            name,
            occurrence,
            value,
        } => {
            format!("{} ({occurrence}): {}", printable(name), printable(value))
        }
        Edit::DeleteHeader { name, occurrence } => format!("{} ({occurrence})", printable(name)),
        Edit::ReplaceBody { body } => format!("{} bytes", body.len()),
        Edit::ChangeSender { address } | Edit::AddRecipient { address } => {
            format!("<{}>", printable(address))
        }
        Edit::DeleteRecipient { index } => format!("recipient {}", index + 1),
    }
}

impl fmt::Display for Scanned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(number) = self.message {
            write!(f, " #{number}")?;
        }
        match &self.result {
            Outcome::Failed { error } => writeln!(f, "  NOT JUDGED  {error}"),
            Outcome::Judged(explained) => explained.fmt(f),
        }
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            disposition,
            score,
            threshold,
            ..
        } = self;
        writeln!(
            f,
            "  {}  score {score:.2} of {threshold:.2}",
            disposition.to_uppercase()
        )?;
        if let Some(reply) = &self.reply {
            writeln!(f, "    reply        {reply}")?;
        }
        if !self.hold_reason.is_empty() {
            writeln!(f, "    reason       {}", self.hold_reason)?;
        }
        let width = self
            .findings
            .iter()
            .map(|finding| finding.symbol.len())
            .max()
            .unwrap_or(0);
        for finding in &self.findings {
            let Finding {
                symbol,
                score,
                detail,
                policy_line,
            } = finding;
            write!(f, "    {score:+9.2}    {symbol:<width$}")?;
            if !detail.is_empty() {
                write!(f, "  {detail}")?;
            }
            match policy_line {
                Some(line) => writeln!(f, "  [{line}]")?,
                None => writeln!(f)?,
            }
        }
        for line in &self.edits {
            writeln!(f, "    {:<12} {}", line.edit, line.what)?;
        }
        for recipient in &self.recipients {
            let reply = recipient.reply.as_deref().unwrap_or_default();
            writeln!(
                f,
                "    recipient {}  {} {reply}",
                recipient.index + 1,
                recipient.disposition
            )?;
        }
        for one in &self.unscanned {
            writeln!(f, "    not checked  {}: {}", one.check, one.reason)?;
        }
        for one in &self.degradations {
            writeln!(
                f,
                "    degraded     {} to {}: {}",
                one.wanted, one.done, one.reason
            )?;
        }
        Ok(())
    }
}

/// All messages of a run.
#[derive(Debug, Default)]
pub(super) struct Summary {
    dispositions: BTreeMap<&'static str, u64>,
    errors: u64,
    bytes: u64,
    objections: bool,
    took: Duration,
}

impl Summary {
    pub(super) fn count(&mut self, judged: &Judged) {
        self.bytes += judged.size as u64;
        match &judged.result {
            Ok(verdict) => {
                *self
                    .dispositions
                    .entry(verdict.disposition.name())
                    .or_default() += 1;
                let every_recipient = verdict
                    .recipients
                    .iter()
                    .all(|outcome| outcome.disposition == Disposition::Accept);
                self.objections |= verdict.disposition != Disposition::Accept || !every_recipient;
            }
            Err(_) => self.errors += 1,
        }
    }

    pub(super) fn end(&mut self, took: Duration) {
        self.took = took;
    }

    pub(super) fn messages(&self) -> u64 {
        self.dispositions.values().sum::<u64>() + self.errors
    }

    pub(super) fn exit(&self) -> Exit {
        match (self.errors, self.objections) {
            (0, false) => Exit::Good,
            (0, true) => Exit::Bad,
            _ => Exit::Partial,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 messages")]
    fn per_second(&self) -> f64 {
        self.messages() as f64 / self.took.as_secs_f64().max(1e-9)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<_> = self
            .dispositions
            .iter()
            .map(|(disposition, count)| format!("{count} {disposition}"))
            .collect();
        if self.errors > 0 {
            parts.push(format!("{} not judged", self.errors));
        }
        writeln!(
            f,
            "{} messages in {:.2} s, {:.0} messages/s: {}",
            self.messages(),
            self.took.as_secs_f64(),
            self.per_second(),
            parts.join(", ")
        )
    }
}

impl Serialize for Summary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::json!({ "summary": {
            "messages": self.messages(),
            "dispositions": self.dispositions,
            "errors": self.errors,
            "bytes": self.bytes,
            "seconds": self.took.as_secs_f64(),
            "messages_per_second": self.per_second(),
        }})
        .serialize(serializer)
    }
}
