//! Where log lines go: a bounded queue, and one thread that writes.
//!
//! A blocked standard error (a stopped journal, a full pipe) must not block the threads that serve mail, so a
//! line that finds the queue full is dropped and counted, and the log says so as soon as it can.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait for the writing thread.
const QUEUE: usize = 4096;
/// Lines are written together up to this many bytes: one system call under load, not thousands.
const BATCH: usize = 64 * 1024;
/// How long the writing thread lets lines gather after the first: while it sleeps, who logs need not
/// wake it, which costs more than the line.
const GATHER: Duration = Duration::from_millis(5);
/// How long the end of the process waits for a log that nobody reads.
const LAST_WRITE: Duration = Duration::from_secs(2);

/// Counts log lines that were given up because the log could not be written as fast as they came.
pub(super) type DroppedLines = Counter;

/// The log's destination, and the thread that writes to it.
#[derive(Debug)]
pub(super) struct Sink {
    queue: SyncSender<Work>,
    dropped: DroppedLines,
}

impl Sink {
    pub(super) fn stderr() -> Self {
        Self::start(Destination::Stderr)
    }

    pub(super) fn file(path: &Path) -> io::Result<Self> {
        let file = open(path)?;
        Ok(Self::start(Destination::File {
            path: path.to_owned(),
            file,
        }))
    }

    fn start(destination: Destination) -> Self {
        let (queue, work) = sync_channel(QUEUE);
        let dropped = DroppedLines::default();
        let counted = dropped.clone();
        std::thread::Builder::new()
            .name("log".into())
            .spawn(move || write_all(destination, &work, &counted))
            // Without its log a server must not start; this happens at start or not at all.
            .expect("a thread for the log");
        Self { queue, dropped }
    }

    pub(super) fn writer(&self) -> LineWriter {
        LineWriter {
            queue: self.queue.clone(),
            dropped: self.dropped.clone(),
        }
    }

    pub(super) fn reopener(&self) -> Reopener {
        Reopener {
            queue: self.queue.clone(),
        }
    }

    pub(super) fn dropped_lines(&self) -> DroppedLines {
        self.dropped.clone()
    }

    /// Waits until what is queued is written, but not for ever.
    pub(super) fn shutdown(&self) {
        let (written, done) = sync_channel(1);
        if self.queue.try_send(Work::Flush(written)).is_ok() {
            let _ = done.recv_timeout(LAST_WRITE);
        }
    }
}

/// Asks the writing thread to open its file anew.
#[derive(Debug, Clone)]
pub(super) struct Reopener {
    queue: SyncSender<Work>,
}

impl Reopener {
    pub(super) fn reopen(&self) {
        let _ = self.queue.try_send(Work::Reopen);
    }
}

/// Hands one formatted event to the writing thread.
#[derive(Debug, Clone)]
pub(super) struct LineWriter {
    queue: SyncSender<Work>,
    dropped: DroppedLines,
}

impl Write for LineWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.queue.try_send(Work::Line(line.into()))
        {
            self.dropped.inc();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LineWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[derive(Debug)]
enum Work {
    Line(Box<[u8]>),
    Reopen,
    Flush(SyncSender<()>),
}

enum Destination {
    Stderr,
    File { path: PathBuf, file: File },
}

impl Destination {
    fn write(&mut self, bytes: &[u8]) {
        // There is nowhere left to complain when the log itself cannot be written.
        let _ = match self {
            Self::Stderr => io::stderr().lock().write_all(bytes),
            Self::File { file, .. } => file.write_all(bytes),
        };
    }

    fn reopen(&mut self) {
        if let Self::File { path, file } = self
            && let Ok(fresh) = open(path)
        {
            *file = fresh;
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn write_all(mut destination: Destination, work: &Receiver<Work>, dropped: &DroppedLines) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut reported = 0;
    while let Ok(first) = work.recv() {
        if matches!(first, Work::Line(_)) {
            // This thread is the log's own.
            #[allow(clippy::disallowed_methods)]
            std::thread::sleep(GATHER);
        }
        let mut next = Some(first);
        while let Some(item) = next {
            match item {
                Work::Line(line) => batch.extend_from_slice(&line),
                Work::Reopen => {
                    destination.write(&batch);
                    batch.clear();
                    destination.reopen();
                }
                Work::Flush(written) => {
                    destination.write(&batch);
                    batch.clear();
                    let _ = written.try_send(());
                }
            }
            next = if batch.len() < BATCH {
                work.try_recv().ok()
            } else {
                None
            };
        }
        destination.write(&batch);
        batch.clear();

        let lost = dropped.get();
        if lost > reported {
            // Through the ordinary way: there is room in the queue now, and it gets the configured form.
            tracing::warn!(
                lines = lost - reported,
                "the log could not be written fast enough: lines were dropped"
            );
            reported = lost;
        }
    }
}
