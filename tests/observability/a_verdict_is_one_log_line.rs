use std::process::Command;

use millrace_tests::message;
use millrace_tests::mta::{Kind, Mta, Wanted};
use millrace_tests::patience::until;
use millrace_tests::process;
use millrace_tests::servers::binary;
use millrace_tests::sink::Sink;
use millrace_tests::smtp::Client;

use crate::servers::{Servers, Told};

/// What every spam filter refuses, so that it can be tested.
const GTUBE: &str = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n";

struct Logged {
    servers: Servers,
    queue_id: String,
    lines: Vec<String>,
}

/// One message that is accepted and one that is refused.
fn logged(json: bool) -> Logged {
    let servers = Servers::start(&Told { json, otlp: None });
    let sink = Sink::start();
    let mta = Mta::start(
        Kind::Postfix,
        &sink,
        &Wanted::filtered_by(servers.gateway.port()),
    );
    let mut client = Client::connect(mta.port());
    let accepted = client
        .message(
            "s@origin.example",
            &["r@dest.example"],
            &message::simple("clean"),
        )
        .expect(250);
    let text = accepted.text();
    let queue_id = text
        .rsplit(' ')
        .next()
        .expect("Postfix names the queue ID")
        .to_owned();
    client
        .message(
            "s@origin.example",
            &["r@dest.example"],
            &message::with_body("spam", GTUBE),
        )
        .expect(550);
    until("two verdicts are logged", || {
        servers.verdict_lines().len() >= 2
    });
    client.quit();
    let lines = servers.verdict_lines();
    Logged {
        servers,
        queue_id,
        lines,
    }
}

#[test]
fn a_verdict_is_one_json_object() {
    let Logged {
        queue_id, lines, ..
    } = logged(true);
    assert_eq!(lines.len(), 2, "{lines:#?}");
    let verdicts: Vec<serde_json::Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).expect("a JSON log has JSON lines"))
        .collect();
    let [accepted, refused] = verdicts.as_slice() else {
        unreachable!("two lines")
    };
    assert_eq!(accepted["queue_id"], queue_id.as_str());
    assert_eq!(accepted["disposition"], "accept");
    assert_eq!(accepted["client"], "default");
    assert_eq!(accepted["node"], "node-1");
    assert_eq!(refused["disposition"], "reject");
    assert_ne!(refused["queue_id"], accepted["queue_id"]);
    for verdict in &verdicts {
        for key in [
            "transaction_id",
            "revision",
            "score",
            "threshold",
            "symbols",
            "outcome",
        ] {
            assert!(
                !verdict[key].is_null() && verdict[key] != "",
                "{key} in {verdict}"
            );
        }
        assert!(
            verdict["sender"]
                .as_str()
                .is_some_and(|sender| sender.contains("s@origin.example"))
        );
    }
    let gtube = refused["symbols"]
        .as_array()
        .expect("symbols are a list")
        .iter()
        .find(|symbol| symbol["name"] == "GTUBE")
        .expect("the symbol that refused it");
    assert!(
        gtube["score"].as_f64().is_some_and(|score| score > 0.0),
        "{gtube}"
    );
    assert!(
        gtube["source"]
            .as_str()
            .is_some_and(|source| source.contains(':')),
        "{gtube}"
    );
}

#[test]
fn a_verdict_is_one_line_for_people() {
    let Logged {
        queue_id, lines, ..
    } = logged(false);
    assert_eq!(lines.len(), 2, "{lines:#?}");
    for (line, parts) in [
        (
            &lines[0],
            [
                format!("queue_id={queue_id} "),
                "disposition=accept ".to_owned(),
            ],
        ),
        (
            &lines[1],
            ["GTUBE(".to_owned(), "disposition=reject ".to_owned()],
        ),
    ] {
        assert!(line.contains(" INFO millrace::verdict: "), "{line}");
        for part in parts {
            assert!(line.contains(&part), "{part} in {line}");
        }
    }
}

#[test]
fn explain_finds_a_verdict_in_either_format() {
    for json in [true, false] {
        let Logged {
            servers, queue_id, ..
        } = logged(json);
        let explained = process::run(
            Command::new(binary("millrace"))
                .args(["explain", &queue_id, "--log"])
                .arg(servers.log_file()),
        );
        let explained = String::from_utf8(explained)
            .expect("an explanation is text")
            .to_lowercase();
        for part in [
            queue_id.to_lowercase().as_str(),
            "accept",
            "s@origin.example",
            "node-1",
        ] {
            assert!(explained.contains(part), "{part} in\n{explained}");
        }
    }
}
