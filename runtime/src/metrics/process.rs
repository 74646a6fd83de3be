//! The process's own figures, under the names that every Prometheus client uses, from `/proc/self`.
//!
//! Where there is no `/proc` (or no Linux behind it) the figures are absent, not zero.

use std::fmt;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Clock ticks a second in `/proc/self/stat`: the kernel's interface fixes it at 100 on all platforms that Rust's
/// Linux targets of tier 1 and 2 run on (`USER_HZ`, proc_pid_stat(5)).
const TICKS_PER_SECOND: f64 = 100.0;

#[derive(Debug)]
pub(super) struct ProcessCollector {
    started: f64,
}

impl ProcessCollector {
    pub(super) fn new() -> Self {
        let started = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0.0, |since| since.as_secs_f64());
        Self { started }
    }
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut gauge = |name: &str, help: &str, value: Option<f64>| match value {
            Some(value) => encode(&mut encoder, name, help, &ConstGauge::new(value)),
            None => Ok(()),
        };
        gauge(
            "process_start_time_seconds",
            "When the process was started, in Unix time.",
            Some(self.started),
        )?;
        gauge(
            "process_resident_memory_bytes",
            "Memory in RAM.",
            status("VmRSS").map(|kib| kib * 1024.0),
        )?;
        gauge(
            "process_virtual_memory_bytes",
            "Address space.",
            status("VmSize").map(|kib| kib * 1024.0),
        )?;
        gauge("process_threads", "Threads.", status("Threads"))?;
        gauge("process_open_fds", "Open file descriptors.", open_fds())?;
        gauge(
            "process_max_fds",
            "File descriptors that may be open.",
            max_fds(),
        )?;
        match cpu_seconds() {
            Some(seconds) => encode(
                &mut encoder,
                "process_cpu_seconds",
                "CPU time used, in user and system mode.",
                &ConstCounter::new(seconds),
            ),
            None => Ok(()),
        }
    }
}

fn encode(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric: &impl EncodeMetric,
) -> fmt::Result {
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

/// The number of a line of `/proc/self/status`, such as `VmRSS:     1234 kB`.
fn status(name: &str) -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

fn open_fds() -> Option<f64> {
    let count = fs::read_dir("/proc/self/fd").ok()?.count();
    // One of them is the folder being read.
    u32::try_from(count.saturating_sub(1)).ok().map(f64::from)
}

fn max_fds() -> Option<f64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field, the program's name in brackets, may hold spaces and brackets itself.
    let (_, fields) = stat.rsplit_once(')')?;
    // utime and stime are fields 14 and 15; the first after the name is field 3.
    let ticks: f64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum();
    Some(ticks / TICKS_PER_SECOND)
}
