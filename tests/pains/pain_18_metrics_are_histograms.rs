//! The complaint: the filter's metrics are averages since its start, which say nothing of the slow
//! messages, and nothing of which check made them slow.
//!
//! Here: time is told as histograms, by stage, client and check.

use millrace_tests::admin;
use millrace_tests::milter::Sender;
use millrace_tests::patience::until;
use millrace_tests::ports::Port;
use millrace_tests::servers::{Gateway, Upstream};

use crate::support::{client, ordinary};

#[test]
fn by_stage_client_and_check() {
    let port = Port::reserve();
    let configuration = client("second", port.number(), "");
    let gateway = Gateway::start_with(&Upstream::Embedded(None), &[], &configuration);
    for port in [gateway.port(), port.number()] {
        assert_eq!(Sender::connect(port).send(ordinary()).answer(), "accept");
    }
    let count = |prefix: &str| admin::metric(gateway.admin_port(), prefix);
    for histogram in [
        "millrace_gateway_answer_seconds{client=\"default\",stage=\"end-of-message\"",
        "millrace_gateway_answer_seconds{client=\"second\",stage=\"end-of-message\"",
        "millrace_node_judging_seconds{stage=\"end-of-message\"",
        "millrace_node_check_seconds{check=\"mime\"",
        "millrace_node_check_seconds{check=\"rules\"",
    ] {
        let (name, labels) = histogram.split_once('{').expect("labels");
        until(histogram, || {
            count(&format!("{name}_count{{{labels}")) >= 1.0
        });
        let total = count(&format!("{name}_count{{{labels}"));
        let (_, page) = admin::ask(gateway.admin_port(), "/metrics").expect("it answers");
        let buckets: Vec<f64> = page
            .lines()
            .filter(|line| line.starts_with(&format!("{name}_bucket{{")) && line.contains(labels))
            .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
            .collect();
        assert!(buckets.len() > 5, "{histogram}: {buckets:?}");
        assert!(buckets.is_sorted(), "buckets add up: {buckets:?}");
        assert_eq!(buckets.last(), Some(&total), "{histogram}");
    }
}
