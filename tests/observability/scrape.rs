//! Metrics as a scraper reads them.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use millrace_tests::packages;

/// One sample: its name with its labels.
pub(crate) type Series = (String, BTreeMap<String, String>);

/// The samples of a page of metrics, by series.
pub(crate) fn samples(text: &str) -> BTreeMap<Series, f64> {
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(sample)
        .collect()
}

fn sample(line: &str) -> (Series, f64) {
    let (series, value) = line.rsplit_once(' ').expect("a sample has a value");
    let value = value.parse().expect("a value is a number");
    let Some((name, labels)) = series.split_once('{') else {
        return ((series.to_owned(), BTreeMap::new()), value);
    };
    let labels = labels
        .trim_end_matches('}')
        .split("\",")
        .map(|label| {
            let (key, value) = label.split_once("=\"").expect("a label has a value");
            (key.to_owned(), value.trim_end_matches('"').to_owned())
        })
        .collect();
    ((name.to_owned(), labels), value)
}

/// The values of a label over all histograms of a page that observed something.
pub(crate) fn observed(text: &str, label: &str) -> Vec<String> {
    samples(text)
        .into_iter()
        .filter(|((name, _), value)| name.ends_with("_seconds_count") && *value > 0.0)
        .filter_map(|((_, mut labels), _)| labels.remove(label))
        .collect()
}

/// Has Prometheus' own checker read a page.
///
/// # Panics
/// When it finds anything to complain of.
pub(crate) fn check_with_promtool(page: &str) {
    let mut promtool = Command::new(packages::program("promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool starts");
    promtool
        .stdin
        .take()
        .expect("its input is piped")
        .write_all(page.as_bytes())
        .expect("promtool reads");
    let output = promtool.wait_with_output().expect("promtool ends");
    assert!(
        output.status.success(),
        "promtool: {}{}\n{page}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
