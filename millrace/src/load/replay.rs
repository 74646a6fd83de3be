//! Recorded connections, played again.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::BytesMut;
use millrace_milter::mta::{Mta, Received, Recording};
use tokio::time::timeout;

use super::pace::Pace;
use super::tally::Tally;
use super::wire::{Wire, WireError};
use crate::target::Target;

/// Reads transcripts: files, and those in folders, by name. All must be sound.
pub(super) fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<Recording>> {
    let mut recordings = Vec::new();
    for path in paths {
        if path.is_dir() {
            let mut files = Vec::new();
            for entry in fs::read_dir(path).with_context(|| format!("{}", path.display()))? {
                files.push(entry?.path());
            }
            // One that is being written has another ending.
            files.retain(|file| file.extension().is_some_and(|end| end == "transcript"));
            files.sort();
            for file in files {
                recordings.push(read_file(&file)?);
            }
        } else {
            recordings.push(read_file(path)?);
        }
    }
    if recordings.is_empty() {
        bail!("no transcripts there; 'millrace record' writes some");
    }
    Ok(recordings)
}

fn read_file(path: &Path) -> anyhow::Result<Recording> {
    let text = fs::read(path).with_context(|| format!("{}", path.display()))?;
    // FILE:LINE, as editors and compilers write it.
    Recording::parse(&text).map_err(|error| {
        let text = error.to_string();
        let place = text.strip_prefix("line ").unwrap_or(&text);
        anyhow::anyhow!("{}:{place}", path.display())
    })
}

/// Plays recorded connections one after another, and gives what was counted.
pub(super) async fn work(
    target: Target,
    recordings: Arc<Vec<Recording>>,
    pace: Arc<Pace>,
    patience: Duration,
) -> Tally {
    let mut tally = Tally::default();
    let mut out = BytesMut::new();
    while let Some(number) = pace.next().await {
        let index = number % recordings.len() as u64;
        let recording = &recordings[usize::try_from(index).unwrap_or(0)];
        if let Err(error) = play(&target, recording, patience, &mut tally, &mut out).await {
            tally.error(&error);
        }
    }
    tally
}

async fn play(
    target: &Target,
    recording: &Recording,
    patience: Duration,
    tally: &mut Tally,
    out: &mut BytesMut,
) -> Result<(), WireError> {
    let mut begun = Instant::now();
    let mut before = 0;
    let mut wire = match timeout(patience, Wire::connect(target, Mta::replay(recording))).await {
        Ok(connected) => connected?,
        Err(_) => return Err(WireError::Timeout),
    };
    loop {
        let received = match timeout(patience, wire.next(out)).await {
            Ok(received) => received?,
            Err(_) => return Err(WireError::Timeout),
        };
        match received {
            None => return Ok(()),
            Some(Received::Finished(outcome)) => {
                tally.answered(&outcome, begun.elapsed(), wire.written() - before);
                before = wire.written();
                begun = Instant::now();
            }
            Some(_) => {}
        }
    }
}
