//! What judging a 4 KiB message that is not kept costs a node with a store, against a node without one: CPU time of this
//! process, both in one run, message by message. Prints a ratio.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millrace_proto::{
    Capabilities, ConduitKind, Connection, Direction, Envelope, LineEnding, Path as MailPath,
    Transaction, TransactionId,
};
use millrace_runtime::metrics::Metrics;
use mpd_node::{Node, NodeConfig, QuarantineConfig};
use nix::time::{ClockId, clock_gettime};

const MESSAGES: usize = 20_000;

/// CPU time of all threads of this process.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("the system counts");
    Duration::from(time)
}

fn message() -> Bytes {
    let mut content = b"From: a@x.example\r\nTo: b@y.example\r\nSubject: plain\r\n\r\n".to_vec();
    while content.len() < 4096 {
        content.extend_from_slice(b"A line of text as people write them to each other.\r\n");
    }
    Bytes::from(content)
}

fn transaction() -> Transaction {
    Transaction {
        id: TransactionId::new(),
        conduit: ConduitKind::Milter,
        client: "mx".parse().expect("a name"),
        direction: Direction::Inbound,
        capabilities: Capabilities::ALL,
        connection: Connection::default(),
        envelope: Envelope {
            sender: Some(MailPath::new("a@x.example".to_owned())),
            recipients: vec![MailPath::new("b@y.example".to_owned())],
        },
        queue_id: None,
        macros: Vec::new(),
        line_ending: LineEnding::Crlf,
        revision: None,
    }
}

fn main() {
    let folder = tempfile::tempdir().expect("a temp folder can be made");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let with = NodeConfig {
            quarantine: QuarantineConfig {
                store: Some(folder.path().display().to_string()),
                ..QuarantineConfig::default()
            },
            ..NodeConfig::default()
        };
        let metrics = [Metrics::new("with"), Metrics::new("without")];
        let nodes = [
            Node::start(&with, &metrics[0]).expect("a node"),
            Node::start(&NodeConfig::default(), &metrics[1]).expect("a node"),
        ];
        let content = message();
        let mut spent = [Duration::ZERO; 2];
        // By turns, and the first of them warms the caches.
        for turn in 0..MESSAGES + 1000 {
            for (node, spent) in nodes.iter().zip(&mut spent) {
                let transaction = Arc::new(transaction());
                let begun = cpu();
                let verdict = node.process(transaction, content.clone()).await;
                let took = cpu() - begun;
                assert!(!verdict.expect("a verdict").keep, "the policy keeps nothing");
                if turn >= 1000 {
                    *spent += took;
                }
            }
        }
        let each = |total: Duration| total.as_secs_f64() * 1e6 / MESSAGES as f64;
        println!(
            "judging a 4 KiB message that is not kept: {:.1} us of CPU with a store, {:.1} us without; ratio {:.2}",
            each(spent[0]),
            each(spent[1]),
            each(spent[0]) / each(spent[1])
        );
    });
}
