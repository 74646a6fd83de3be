//! Random bytes where a message should be.

use bytes::Bytes;
use millrace_milter::mta::Message;
use millrace_tests::message::{awkward, with_attachment};
use millrace_tests::milter::Sender;

use crate::attacked::{Attacked, raw};
use crate::seeded::Seeded;

fn attack(mut attacked: Attacked, what: &str, mut message: impl FnMut() -> Message, count: usize) {
    let mut server = Sender::connect(attacked.gateway.port());
    for n in 0..count {
        let mail = server.send(message());
        assert_eq!(mail.outcome.at, b'E', "{what} {n}: {}", mail.answer());
    }
    drop(server);
    let failures = millrace_tests::admin::metric(
        attacked.gateway.admin_port(),
        "millrace_gateway_failures_total",
    );
    assert!(failures < 0.5, "each has a verdict");
    attacked.is_well(what);
}

/// Any bytes as headers and body.
fn noise(seed: u64) -> impl FnMut() -> Message {
    let mut random = Seeded(seed);
    move || {
        let headers = (0..random.below(20))
            .map(|_| {
                let (name, value) = (random.below(30), random.below(300));
                (
                    Bytes::from(random.bytes(name)),
                    Bytes::from(random.bytes(value)),
                )
            })
            .collect();
        let size = random.below(20_000);
        raw(headers, random.bytes(size))
    }
}

/// Real messages with some bytes changed, and pieces doubled or lost.
fn damage(seed: u64) -> impl FnMut() -> Message {
    let mut random = Seeded(seed);
    let whole = [
        awkward(),
        with_attachment("a.zip", "application/zip", b"PK\x03\x04 not really"),
    ];
    move || {
        let mut content = whole[random.below(whole.len())].clone();
        for _ in 0..random.below(20) {
            let at = random.below(content.len());
            match random.below(3) {
                0 => content[at] = random.bytes(1)[0],
                1 => content.truncate(at.max(1)),
                _ => content.extend_from_within(at / 2..at),
            }
        }
        Message::parse(&content)
    }
}

#[test]
fn noise_is_judged() {
    attack(Attacked::embedded(), "noise", noise(1), 200);
    attack(Attacked::through_a_node(), "noise", noise(2), 200);
}

#[test]
fn damaged_messages_are_judged() {
    attack(Attacked::embedded(), "damage", damage(3), 200);
    attack(Attacked::through_a_node(), "damage", damage(4), 200);
}
