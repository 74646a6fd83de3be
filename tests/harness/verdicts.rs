//! The verdict lines of a gateway that logs in JSON (`--log-format json`).

use serde_json::Value;

use crate::patience::poll;
use crate::servers::Gateway;

/// The verdicts logged so far, in order.
///
/// # Panics
/// When a line is no JSON.
pub fn logged(gateway: &Gateway) -> Vec<Value> {
    gateway
        .log()
        .split_inclusive('\n')
        // A line may be half written.
        .filter(|line| line.ends_with('\n') && line.contains("millrace::verdict"))
        .map(|line| serde_json::from_str(line).expect("a JSON log has JSON lines"))
        .collect()
}

/// The verdict with this place in the log, which may still have to be written.
///
/// # Panics
/// When it is not written.
#[track_caller]
pub fn nth(gateway: &Gateway, n: usize) -> Value {
    poll(|| logged(gateway).into_iter().nth(n))
        .unwrap_or_else(|| panic!("verdict {n} is not logged:\n{}", gateway.log()))
}

/// The names of a verdict's symbols.
pub fn symbols(verdict: &Value) -> Vec<&str> {
    verdict["symbols"]
        .as_array()
        .map(|symbols| symbols.iter().filter_map(|symbol| symbol["name"].as_str()))
        .into_iter()
        .flatten()
        .collect()
}
