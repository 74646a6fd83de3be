//! What processes used, from `/proc` (proc(5)).

use std::fs;

use anyhow::Context as _;
use serde::Serialize;

/// What one process used up to now.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ProcessUse {
    pub(super) pid: u32,
    pub(super) name: String,
    /// Of all its threads, ended ones too.
    pub(super) cpu_seconds: f64,
    /// Resident now.
    pub(super) rss_kib: u64,
}

/// Linux counts these times in hundredths of a second on every architecture of today (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

impl ProcessUse {
    /// Reads each of them.
    pub(super) fn read_all(pids: &[u32]) -> anyhow::Result<Vec<Self>> {
        pids.iter()
            .map(|&pid| Self::read(pid).with_context(|| format!("--pid {pid}")))
            .collect()
    }

    fn read(pid: u32) -> anyhow::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let (name, ticks) = parse_stat(&stat).context("/proc/PID/stat has another form")?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        #[expect(clippy::cast_precision_loss, reason = "2^52 ticks are a million years")]
        let cpu_seconds = ticks as f64 / TICKS_PER_SECOND;
        Ok(Self {
            pid,
            name,
            cpu_seconds,
            rss_kib: parse_rss(&status).unwrap_or(0),
        })
    }
}

/// Name, and user and system time in ticks. The name stands in parentheses and may have blanks and parentheses.
fn parse_stat(stat: &str) -> Option<(String, u64)> {
    let open = stat.find('(')?;
    let close = stat.rfind(')')?;
    let mut fields = stat.get(close + 1..)?.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((stat.get(open + 1..close)?.to_owned(), user + system))
}

fn parse_rss(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_own_lines_are_read() {
        let stat = "42 (a (b) c) S 1 42 42 0 -1 4194560 1 2 3 4 17 5 0 0 20 0 1 0 100 1 2";
        assert_eq!(parse_stat(stat), Some(("a (b) c".to_owned(), 22)));
        assert_eq!(parse_stat("42 (x) S"), None);
        assert_eq!(parse_rss("Name:\tx\nVmRSS:\t  1234 kB\n"), Some(1234));
    }

    #[test]
    fn this_process_uses_something() {
        let used = ProcessUse::read(std::process::id()).unwrap();
        assert!(used.rss_kib > 0, "{used:?}");
        assert!(ProcessUse::read(u32::MAX).is_err());
    }
}
