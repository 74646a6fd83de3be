//! What was measured, for people and for programs.

use std::collections::BTreeMap;
use std::fmt;

use millrace_milter::Agreement;
use millrace_runtime::printable;
use serde::Serialize;

use super::LoadArgs;
use super::process::ProcessUse;
use super::tally::Tally;

/// The report of a run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    target: String,
    protocol: Protocol,
    concurrency: u32,
    messages_per_connection: u32,
    messages: u64,
    seconds: f64,
    messages_per_second: f64,
    mean_bytes: u64,
    latency_ms: Latency,
    dispositions: BTreeMap<&'static str, u64>,
    edits: BTreeMap<&'static str, u64>,
    refused_recipients: u64,
    errors: BTreeMap<String, u64>,
    idle_connections: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<FilterUse>,
}

/// What was agreed on with the filter.
#[derive(Debug, Serialize)]
struct Protocol {
    version: u32,
    actions: String,
    steps: String,
}

/// Milliseconds.
#[derive(Debug, Serialize)]
struct Latency {
    mean: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
}

/// What the filter's processes used.
#[derive(Debug, Serialize)]
struct FilterUse {
    cpu_seconds: f64,
    cpu_ms_per_message: f64,
    rss_kib: u64,
    /// How much the idle connections added.
    idle_rss_growth_kib: u64,
    processes: Vec<ProcessUse>,
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts and times far below 2^52"
)]
impl Report {
    /// `processes` were read before the idle connections, before the messages, and after them.
    pub(super) fn new(
        args: &LoadArgs,
        agreement: &Agreement,
        tally: &Tally,
        seconds: f64,
        processes: &[Vec<ProcessUse>; 3],
        idle_connections: usize,
    ) -> Self {
        let ms = |micros: u64| micros as f64 / 1000.0;
        let latency = &tally.latency;
        Self {
            target: args.milter.to_string(),
            protocol: Protocol {
                version: agreement.version,
                actions: format!("{:#x}", agreement.actions.0),
                steps: format!("{:#x}", agreement.steps.0),
            },
            concurrency: args.concurrency,
            messages_per_connection: args.messages_per_connection,
            messages: tally.answered,
            seconds,
            messages_per_second: tally.answered as f64 / seconds.max(1e-9),
            mean_bytes: tally.bytes.checked_div(tally.answered).unwrap_or(0),
            latency_ms: Latency {
                mean: ms(latency.mean()),
                p50: ms(latency.quantile(0.50)),
                p90: ms(latency.quantile(0.90)),
                p99: ms(latency.quantile(0.99)),
                max: ms(latency.max()),
            },
            dispositions: tally.dispositions.clone(),
            edits: tally.edits.clone(),
            refused_recipients: tally.refused_recipients,
            errors: tally.errors.clone(),
            idle_connections,
            filter: FilterUse::new(processes, tally.answered),
        }
    }
}

impl FilterUse {
    fn new([idle_before, before, after]: &[Vec<ProcessUse>; 3], messages: u64) -> Option<Self> {
        if after.is_empty() {
            return None;
        }
        let cpu =
            |processes: &[ProcessUse]| processes.iter().map(|one| one.cpu_seconds).sum::<f64>();
        let rss = |processes: &[ProcessUse]| processes.iter().map(|one| one.rss_kib).sum::<u64>();
        let cpu_seconds = cpu(after) - cpu(before);
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52 messages")]
        let cpu_ms_per_message = if messages == 0 {
            0.0
        } else {
            cpu_seconds * 1000.0 / messages as f64
        };
        Some(Self {
            cpu_seconds,
            cpu_ms_per_message,
            rss_kib: rss(after),
            idle_rss_growth_kib: rss(before).saturating_sub(rss(idle_before)),
            processes: after.clone(),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} messages of {} bytes in {:.2} s over {} sessions at a time: {:.0} messages/s",
            self.messages,
            self.mean_bytes,
            self.seconds,
            self.concurrency,
            self.messages_per_second
        )?;
        let latency = &self.latency_ms;
        writeln!(
            f,
            "latency     p50 {:.2} ms, p90 {:.2} ms, p99 {:.2} ms, longest {:.2} ms",
            latency.p50, latency.p90, latency.p99, latency.max
        )?;
        writeln!(f, "outcomes    {}", counts(self.dispositions.iter()))?;
        if !self.edits.is_empty() {
            writeln!(f, "edits       {}", counts(self.edits.iter()))?;
        }
        if self.refused_recipients > 0 {
            writeln!(f, "recipients  {} refused", self.refused_recipients)?;
        }
        writeln!(
            f,
            "protocol    version {}, actions {}, steps {}",
            self.protocol.version, self.protocol.actions, self.protocol.steps
        )?;
        if let Some(filter) = &self.filter {
            writeln!(
                f,
                "filter      {:.3} ms CPU a message, {:.1} MiB resident",
                filter.cpu_ms_per_message,
                mib(filter.rss_kib)
            )?;
            if self.idle_connections > 0 {
                writeln!(
                    f,
                    "idle        {} connections added {:.1} MiB",
                    self.idle_connections,
                    mib(filter.idle_rss_growth_kib)
                )?;
            }
        }
        for (what, count) in &self.errors {
            writeln!(f, "error       {count} × {}", printable(what.as_bytes()))?;
        }
        Ok(())
    }
}

fn counts<'a, T: fmt::Display + 'a>(counts: impl Iterator<Item = (&'a T, &'a u64)>) -> String {
    let list: Vec<_> = counts
        .map(|(what, count)| format!("{count} {what}"))
        .collect();
    if list.is_empty() {
        "none".to_owned()
    } else {
        list.join(", ")
    }
}

#[expect(clippy::cast_precision_loss, reason = "memory is far below 2^52 KiB")]
fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
