use std::collections::BTreeSet;

use millrace_tests::message;
use millrace_tests::mta::{Kind, Mta, Wanted};
use millrace_tests::sink::Sink;
use millrace_tests::smtp::Client;

use crate::receiver::{Receiver, Span};
use crate::servers::{Servers, Told};

const CHECK: &str = "check";

/// Every span's parent is in the trace, but for one: the root.
fn assert_one_tree(trace: &[Span]) {
    let ids: BTreeSet<&str> = trace.iter().map(|span| span.id.as_str()).collect();
    let roots: Vec<&Span> = trace.iter().filter(|span| span.parent.is_empty()).collect();
    assert_eq!(roots.len(), 1, "{trace:#?}");
    assert_eq!(roots[0].service, "conduit-gateway");
    for span in trace {
        let has_parent = span.parent.is_empty() || ids.contains(span.parent.as_str());
        assert!(has_parent, "{span:?} has no parent in {trace:#?}");
    }
}

fn is_complete(trace: &[Span]) -> bool {
    let checked = trace.iter().any(|span| span.attributes.contains_key(CHECK));
    checked && trace.iter().any(|span| span.parent.is_empty())
}

fn from_milter_callback_to_check(kind: Kind) {
    let receiver = Receiver::start();
    let servers = Servers::start(&Told {
        otlp: Some(receiver.endpoint()),
        json: false,
    });
    let sink = Sink::start();
    let mta = Mta::start(kind, &sink, &Wanted::filtered_by(servers.gateway.port()));
    let mut client = Client::connect(mta.port());
    for subject in ["first", "second"] {
        client
            .message(
                "s@origin.example",
                &["r@dest.example"],
                &message::simple(subject),
            )
            .expect(250);
    }
    sink.wait_for(2);

    let roots = || {
        receiver
            .spans()
            .into_iter()
            .filter(|span| span.parent.is_empty())
    };
    millrace_tests::patience::until("two traces have come", || {
        let transactions = roots().filter(|span| span.attributes.contains_key("transaction_id"));
        transactions.count() >= 2
    });
    let transactions: Vec<String> = roots()
        .filter_map(|root| root.attributes.get("transaction_id").cloned())
        .collect();
    assert_eq!(
        transactions.len(),
        2,
        "one trace a message: {transactions:?}"
    );
    let traces = transactions
        .iter()
        .map(|transaction| receiver.wait_for_trace("transaction_id", transaction, is_complete));
    for trace in traces {
        assert_one_tree(&trace);
        let services: BTreeSet<&str> = trace.iter().map(|span| span.service.as_str()).collect();
        assert_eq!(
            services,
            ["conduit-gateway", "mpd-node"].into(),
            "{trace:#?}"
        );
        let checks: Vec<&Span> = trace
            .iter()
            .filter(|span| span.attributes.contains_key(CHECK))
            .collect();
        assert!(
            checks.iter().all(|span| span.service == "mpd-node"),
            "{checks:#?}"
        );
    }
}

#[test]
fn a_message_of_postfix_is_one_trace_from_milter_callback_to_check() {
    from_milter_callback_to_check(Kind::Postfix);
}

#[test]
fn a_message_of_sendmail_is_one_trace_from_milter_callback_to_check() {
    from_milter_callback_to_check(Kind::Sendmail);
}

#[test]
fn a_receiver_that_is_away_costs_no_mail() {
    let nobody = millrace_tests::ports::Port::reserve();
    let endpoint = format!("http://127.0.0.1:{}", nobody.number());
    let mut servers = Servers::start(&Told {
        otlp: Some(endpoint),
        json: false,
    });
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
            &message::simple("untraced"),
        )
        .expect(250);
    sink.wait_for(1);
    for process in [&mut servers.gateway.process, &mut servers.node] {
        assert!(process.terminate().success(), "{}", process.output());
    }
}
