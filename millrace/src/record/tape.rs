//! One connection's transcript, as it is written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use millrace_milter::FrameDecoder;
use millrace_milter::transcript::{Direction, Entry, FIRST_LINE};

use super::scrub::Scrubber;

/// Takes the bytes of both directions, and writes them down frame by frame.
#[derive(Debug)]
pub(super) struct Tape {
    file: BufWriter<File>,
    temporary: PathBuf,
    whole: PathBuf,
    begun: Instant,
    scrubber: Option<Scrubber>,
    from_mta: Track,
    from_filter: Track,
    failed: Option<io::Error>,
    line: Vec<u8>,
}

/// One direction.
#[derive(Debug)]
struct Track {
    decoder: FrameDecoder,
    /// The bytes are no frames any more; they pass, but cannot be written down.
    lost: bool,
}

/// More than any mail server sends in one frame.
const MAX_FRAME: usize = 4 << 20;

impl Tape {
    /// Begins a file under a temporary name; nobody but its owner may read it.
    pub(super) fn begin(folder: &Path, number: u64, raw: bool) -> io::Result<Self> {
        let seconds = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let name = format!("{seconds}-{}-{number:06}.transcript", std::process::id());
        let temporary = folder.join(format!(".{name}.part"));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        let mut file = BufWriter::with_capacity(64 << 10, file);
        let kind = if raw { "as it was" } else { "scrubbed" };
        writeln!(file, "{FIRST_LINE}\n# {kind}")?;
        Ok(Self {
            file,
            temporary,
            whole: folder.join(name),
            begun: Instant::now(),
            scrubber: (!raw).then(Scrubber::default),
            from_mta: Track::new(),
            from_filter: Track::new(),
            failed: None,
            line: Vec::new(),
        })
    }

    /// Takes bytes. A failure shows at the end: mail goes on meanwhile.
    pub(super) fn take(&mut self, direction: Direction, bytes: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        if let Err(error) = self.write(direction, bytes) {
            self.failed = Some(error);
        }
    }

    /// Notes why the connection ended early.
    pub(super) fn note(&mut self, text: &str) {
        if let Err(error) = writeln!(self.file, "# {text}") {
            self.failed.get_or_insert(error);
        }
    }

    /// Gives the file its name.
    pub(super) fn finish(mut self) -> io::Result<()> {
        let done = match self.failed.take() {
            Some(error) => Err(error),
            None => self.file.flush(),
        };
        if let Err(error) = done {
            let _ = fs::remove_file(&self.temporary);
            return Err(error);
        }
        fs::rename(&self.temporary, &self.whole)
    }

    fn write(&mut self, direction: Direction, bytes: &[u8]) -> io::Result<()> {
        let track = match direction {
            Direction::FromMta => &mut self.from_mta,
            Direction::FromFilter => &mut self.from_filter,
        };
        if track.lost {
            return Ok(());
        }
        track.decoder.space().extend_from_slice(bytes);
        loop {
            let frame = match track.decoder.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(()),
                Err(_) => {
                    // The error would quote what came.
                    track.lost = true;
                    return writeln!(self.file, "# {direction:?}: no milter frames from here on");
                }
            };
            let frame = match &self.scrubber {
                Some(scrubber) => scrubber.frame(direction, &frame),
                None => frame,
            };
            self.line.clear();
            Entry {
                at: self.begun.elapsed(),
                direction,
                frame,
            }
            .write(&mut self.line);
            self.file.write_all(&self.line)?;
        }
    }
}

impl Track {
    fn new() -> Self {
        Self {
            decoder: FrameDecoder::new(MAX_FRAME),
            lost: false,
        }
    }
}
