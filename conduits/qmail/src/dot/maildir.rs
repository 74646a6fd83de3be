//! A copy of one's own in a maildir (`maildir.5`).

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use millrace_proto::{TransactionId, Verdict};
use nix::unistd::alarm;

const PIECE: usize = 64 << 10;

/// What stands between qmail-local's lines and the message: the verdict, in a user's words.
pub(super) fn headers(verdict: &Verdict, id: TransactionId) -> Vec<u8> {
    let mut lines = format!(
        "X-Millrace-Verdict: {}; score {:.1} of {:.1}; transaction {id}; revision {}\n",
        verdict.disposition,
        verdict.score,
        verdict.threshold,
        verdict.revision.short(),
    );
    let symbols: Vec<&str> = verdict
        .findings
        .iter()
        .map(|found| &*found.symbol)
        .collect();
    if !symbols.is_empty() {
        let symbols: String = symbols
            .join(" ")
            .chars()
            .map(|c| if matches!(c, ' '..='~') { c } else { '?' })
            .collect();
        lines.push_str(&format!("X-Millrace-Symbols: {symbols}\n"));
    }
    lines.into_bytes()
}

/// Files `head` and the message; both are on the disk when this returns.
///
/// # Errors
/// Nothing is in the maildir, or perhaps: then a second copy is better than none.
pub(super) fn file(maildir: &Path, head: &[u8], message: &File) -> io::Result<()> {
    let new = maildir.join("new");
    if !new.is_dir() {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "it is no maildir; make it with maildirmake",
        ));
    }
    let name = unique_name()?;
    let temporary = maildir.join("tmp").join(&name);
    let filed = write(&temporary, head, message).and_then(|()| {
        // From here on the copy may be there: to be ended by the clock would only make a second one.
        alarm::cancel();
        fs::hard_link(&temporary, new.join(&name))
    });
    let _ = fs::remove_file(&temporary);
    filed?;
    File::open(&new)?.sync_all()
}

fn write(path: &Path, head: &[u8], message: &File) -> io::Result<()> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    let mut to = BufWriter::new(&file);
    to.write_all(head)?;
    let (mut piece, mut offset) = (vec![0; PIECE], 0);
    loop {
        // In place: the file's offset is qmail-local's as well.
        match message.read_at(&mut piece, offset) {
            Ok(0) => break,
            Ok(length) => {
                to.write_all(&piece[..length])?;
                offset += length as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    to.flush()?;
    drop(to);
    file.sync_all()
}

/// Time, process and host.
fn unique_name() -> io::Result<String> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(io::Error::other)?;
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim().replace('/', "\\057").replace(':', "\\072");
    let host = if host.is_empty() { "localhost" } else { &host };
    Ok(format!(
        "{}.M{:06}P{}.{host}",
        now.as_secs(),
        now.subsec_micros(),
        std::process::id()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maildir() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in ["tmp", "new", "cur"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        folder
    }

    fn message(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn a_copy_is_whole_and_nothing_is_left_in_tmp() {
        let (folder, bytes) = (maildir(), b"no \0 \xff newline".repeat(20_000));
        file(folder.path(), b"Return-Path: <>\n", &message(&bytes)).unwrap();
        let entries: Vec<_> = fs::read_dir(folder.path().join("new")).unwrap().collect();
        assert_eq!(entries.len(), 1);
        let copy = fs::read(entries[0].as_ref().unwrap().path()).unwrap();
        assert!(copy == [b"Return-Path: <>\n", &bytes[..]].concat());
        assert_eq!(fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0);
    }

    #[test]
    fn what_is_no_maildir_is_said_and_nothing_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let error = file(folder.path(), b"", &message(b"x")).unwrap_err();
        assert!(error.to_string().contains("maildirmake"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
