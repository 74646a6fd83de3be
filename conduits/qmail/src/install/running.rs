//! Calls of the conduit that are under way: they still have to become the original's copy.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Between two looks. A caller that had found the conduit before it was replaced has executed it by the next.
const PAUSE: Duration = Duration::from_millis(100);

/// Waits until no process is the conduit any more: none in two looks, one after the other.
pub(super) fn wait_for_conduits(
    live: &Path,
    original: (u64, u64),
    patience: Duration,
) -> io::Result<()> {
    let end = Instant::now() + patience;
    let mut clear = 0;
    loop {
        clear = match under_way(live, original)? {
            0 => clear + 1,
            count if Instant::now() >= end => {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!(
                        "{count} calls of the conduit are still under way; qmail's own is back in place, \
                         run uninstall again to remove the rest"
                    ),
                ));
            }
            _ => 0,
        };
        if clear == 2 {
            return Ok(());
        }
        // The installer has one thread, and nothing else to do.
        #[allow(clippy::disallowed_methods)]
        std::thread::sleep(PAUSE);
    }
}

/// How many processes were started by that name from another file than the original.
fn under_way(live: &Path, original: (u64, u64)) -> io::Result<usize> {
    let live = live.as_os_str().as_encoded_bytes();
    let mut count = 0;
    for entry in fs::read_dir("/proc")? {
        let program = entry?.path().join("exe");
        let Ok(name) = fs::read_link(&program) else {
            continue;
        };
        let name = name.as_os_str().as_encoded_bytes();
        let name = name.strip_suffix(b" (deleted)").unwrap_or(name);
        let other =
            || fs::metadata(&program).is_ok_and(|file| (file.dev(), file.ino()) != original);
        if name == live && other() {
            count += 1;
        }
    }
    Ok(count)
}
