use std::collections::BTreeSet;

use millrace_tests::message;
use millrace_tests::mta::{Kind, Mta, Wanted};
use millrace_tests::sink::Sink;
use millrace_tests::smtp::Client;

use crate::scrape::{check_with_promtool, observed, samples};
use crate::servers::{Servers, Told};

#[test]
fn latency_is_measured_by_stage_check_and_client() {
    let servers = Servers::start(&Told::default());
    let sink = Sink::start();
    let mta = Mta::start(
        Kind::Postfix,
        &sink,
        &Wanted::filtered_by(servers.gateway.port()),
    );
    Client::connect(mta.port())
        .message(
            "s@origin.example",
            &["r@dest.example"],
            &message::simple("measured"),
        )
        .expect(250);
    sink.wait_for(1);

    let [gateway, node] = servers.metrics();
    for page in [&gateway, &node] {
        check_with_promtool(page);
    }
    assert_eq!(
        BTreeSet::from_iter(observed(&gateway, "client")),
        ["default".to_owned()].into(),
        "{gateway}"
    );
    assert!(
        observed(&gateway, "stage").contains(&"end-of-message".to_owned()),
        "{gateway}"
    );
    assert!(
        observed(&node, "stage").contains(&"end-of-message".to_owned()),
        "{node}"
    );
    assert!(!observed(&node, "check").is_empty(), "{node}");
}

#[test]
fn strangers_do_not_choose_how_many_series_there_are() {
    let servers = Servers::start(&Told::default());
    let sink = Sink::start();
    let mta = Mta::start(
        Kind::Postfix,
        &sink,
        &Wanted::filtered_by(servers.gateway.port()),
    );
    let send = |n: usize| {
        let mut client = Client::connect(mta.port());
        client
            .command(&format!("EHLO stranger{n}.example"))
            .expect(250);
        client
            .message(
                &format!("stranger{n}@origin.example"),
                &[&format!("stranger{n}@dest.example")],
                &message::simple(&format!("stranger{n}")),
            )
            .expect(250);
        sink.wait_for(n);
    };
    let series = || -> BTreeSet<_> {
        servers
            .metrics()
            .iter()
            .flat_map(|page| samples(page).into_keys())
            .collect()
    };

    send(1);
    let before = series();
    (2..20).for_each(send);
    let after = series();
    assert_eq!(
        after.difference(&before).collect::<Vec<_>>(),
        Vec::<&crate::scrape::Series>::new()
    );
    assert!(
        !after
            .iter()
            .any(|(_, labels)| labels.values().any(|value| value.contains("stranger")))
    );
}

#[test]
fn every_metric_is_in_the_operators_guide() {
    const GUIDE: &str = include_str!("../../docs/operations.md");
    let servers = Servers::start(&Told::default());
    let undocumented: Vec<String> = servers
        .metrics()
        .iter()
        .flat_map(|page| page.lines())
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .filter(|name| !GUIDE.contains(&format!("`{name}`")))
        .map(str::to_owned)
        .collect();
    assert_eq!(undocumented, Vec::<String>::new());
}
