//! What was measured, as tables.

use std::fmt;
use std::time::Duration;

use super::node::{BEYOND, LEAST, WORKERS};
use super::{MAIL_SERVERS, RATE};

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Judged,
    PutOff,
    Lost,
}

/// One message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) begun: Duration,
    pub(super) took: Duration,
    pub(super) fate: Fate,
}

/// Many messages.
#[derive(Debug, Clone)]
pub(super) struct Sampled {
    pub(super) messages: usize,
    pub(super) p50: Duration,
    pub(super) p99: Duration,
    /// Share of those that were put off, from 0 to 1.
    pub(super) shed: f64,
    pub(super) lost: usize,
}

/// The same load on clusters of different sizes.
#[derive(Debug)]
pub struct Sizes {
    pub(super) rows: Vec<(usize, Sampled)>,
}

/// One cluster to which things happen.
#[derive(Debug)]
pub struct Story {
    pub(super) parts: Vec<(&'static str, usize, usize, Sampled)>,
    pub(super) part: Duration,
    pub(super) samples: Vec<Sample>,
}

impl Sampled {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 messages")]
    pub(super) fn of(samples: &[Sample]) -> Self {
        let mut took: Vec<Duration> = samples
            .iter()
            .filter(|sample| sample.fate == Fate::Judged)
            .map(|sample| sample.took)
            .collect();
        took.sort();
        let quantile = |percent: usize| {
            let place = (took.len() * percent / 100).min(took.len().saturating_sub(1));
            took.get(place).copied().unwrap_or_default()
        };
        let of = |fate: Fate| samples.iter().filter(|sample| sample.fate == fate).count();
        Self {
            messages: samples.len(),
            p50: quantile(50),
            p99: quantile(99),
            shed: of(Fate::PutOff) as f64 / samples.len().max(1) as f64,
            lost: of(Fate::Lost),
        }
    }
}

/// What the load asks of so many nodes, as a share of what they can do.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn utilisation(nodes: usize) -> f64 {
    let work = (LEAST + BEYOND).as_secs_f64() * MAIL_SERVERS as f64 * RATE;
    work / (nodes * WORKERS) as f64
}

impl fmt::Display for Sampled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} | {} ms | {} ms | {:.2} % | {}",
            self.messages,
            self.p50.as_millis(),
            self.p99.as_millis(),
            self.shed * 100.0,
            self.lost
        )
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| nodes | load | messages | p50 | p99 | put off | lost |\n|---|---|---|---|---|---|---|"
        )?;
        for (nodes, sampled) in &self.rows {
            let load = utilisation(*nodes) * 100.0;
            writeln!(f, "| {nodes} | {load:.0} % | {sampled} |")?;
        }
        Ok(())
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| from | what happens | nodes that work | that hang | load | messages | p50 | p99 | put off | lost |\n\
             |---|---|---|---|---|---|---|---|---|---|"
        )?;
        for ((what, alive, hung, sampled), number) in self.parts.iter().zip(0..) {
            let (from, load) = (self.part * number, utilisation(*alive) * 100.0);
            let from = from.as_secs();
            writeln!(
                f,
                "| {from} s | {what} | {alive} | {hung} | {load:.0} % | {sampled} |"
            )?;
        }
        Ok(())
    }
}
