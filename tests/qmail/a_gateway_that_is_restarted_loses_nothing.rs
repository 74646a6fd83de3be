use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use millrace_tests::patience::until;
use millrace_tests::qmail::QmailHome;
use millrace_tests::scripted_node::{Script, ScriptedNode};

use super::Conduits;

const MESSAGES: usize = 10_000;
const CALLERS: usize = 50;
/// A client's tries before it calls the message lost: far more than there are while a gateway starts.
const TRIES: usize = 500;

#[test]
fn ten_thousand_messages_are_queued_once_each() {
    let node = ScriptedNode::start(Script::default());
    let mut conduits = Conduits::before(&node);
    let home = QmailHome::in_memory_before(&[conduits.endpoint()]);
    let (next, done, put_off) = (
        AtomicUsize::new(0),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= MESSAGES {
                        return;
                    }
                    let message = format!("Subject: {number}\n\nbody\n");
                    let envelope = format!("Fa@example.org\0Tr{number}@example.net\0\0");
                    let taken = (0..TRIES).any(|_| {
                        let code = home.hand_in(message.as_bytes(), envelope.as_bytes());
                        if code == Some(0) {
                            return true;
                        }
                        // As an SMTP client after a 451.
                        assert_eq!(code, Some(71), "message {number}");
                        put_off.fetch_add(1, Ordering::Relaxed);
                        #[allow(clippy::disallowed_methods, reason = "each caller is a thread")]
                        thread::sleep(Duration::from_millis(50));
                        false
                    });
                    assert!(taken, "message {number} is never taken");
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        until("a third is through", || {
            done.load(Ordering::Relaxed) > MESSAGES / 3
        });
        conduits.gateway.process.kill();
        until("callers are put off", || {
            put_off.load(Ordering::Relaxed) > 0
        });
        conduits.start_again(&node);
    });
    let mut copies = BTreeMap::new();
    for (message, _) in home.queued() {
        *copies.entry(message).or_insert(0) += 1;
    }
    assert_eq!(copies.len(), MESSAGES, "none is lost");
    assert!(
        copies.values().all(|&count| count == 1),
        "none is there twice"
    );
}
