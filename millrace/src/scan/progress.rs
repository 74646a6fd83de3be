//! A progress bar on standard error, when somebody looks and it takes long enough to be worth one.

use std::cell::Cell;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::mail;

/// The bar, drawn once a run lasts.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    begun: Instant,
    shown: Cell<bool>,
}

/// A run that ends before this needs no bar.
const PATIENCE: Duration = Duration::from_millis(400);

impl Progress {
    pub(crate) fn new(paths: &[PathBuf]) -> Self {
        Self {
            bar: io::stderr().is_terminal().then(|| new_bar(paths)),
            begun: Instant::now(),
            shown: Cell::new(false),
        }
    }

    /// A message of so many bytes is judged.
    pub(crate) fn advance(&self, bytes: usize) {
        let Some(bar) = &self.bar else { return };
        bar.inc(bytes as u64);
        if !self.shown.get() && self.begun.elapsed() > PATIENCE {
            self.shown.set(true);
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }

    /// Writes to the terminal's other lines while the bar is away.
    pub(crate) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) if self.shown.get() && io::stdout().is_terminal() => bar.suspend(write),
            _ => write(),
        }
    }

    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn new_bar(paths: &[PathBuf]) -> ProgressBar {
    let (bar, template) = match mail::total_bytes(paths) {
        Some(total) => (
            ProgressBar::new(total),
            "{elapsed} [{bar:40}] {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
        ),
        None => (
            ProgressBar::no_length(),
            "{elapsed} {bytes}, {bytes_per_sec}",
        ),
    };
    bar.set_draw_target(ProgressDrawTarget::hidden());
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
