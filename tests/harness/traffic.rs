//! Mail that is sent without a pause, and counted at both ends.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::message;
use crate::patience::until;
use crate::sink::Sink;
use crate::smtp::Client;

/// Clients that send until they are told to stop. Like every mail client they send a message again until it is taken.
#[derive(Debug)]
pub struct Traffic {
    shared: Arc<Shared>,
    senders: Vec<thread::JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    taken: AtomicUsize,
    near: Mutex<NearEnd>,
}

/// What the clients saw.
#[derive(Debug, Default)]
struct NearEnd {
    sent: usize,
    put_off: usize,
    refusals: BTreeMap<String, usize>,
    taken: BTreeSet<String>,
    /// The connection was lost before the answer: the server may have taken it, and SMTP has it sent again.
    in_doubt: BTreeSet<String>,
}

/// Both ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Count {
    /// Tries, those of messages that were put off among them.
    pub sent: usize,
    /// Messages that the mail server has taken.
    pub accepted: usize,
    /// Tries that were answered with a temporary failure.
    pub put_off: usize,
    /// Tries that were answered with anything else.
    pub refused: Vec<String>,
    /// Messages that have arrived, each counted once.
    pub delivered: usize,
    /// Messages that were taken, and have not arrived.
    pub lost: usize,
    /// Messages that have arrived more than once, but those whose answer was lost.
    pub duplicated: usize,
    /// Messages that have arrived without what the policy writes into each.
    pub unjudged: usize,
}

/// The header that the policy is to write into each message.
pub const MARK: &str = "X-Judged";

/// A policy that writes [`MARK`] into each message, and has something to decide at MAIL and RCPT.
pub const POLICY: &str = r#"
[[list]]
symbol = "SENDER_BLOCKED"
match = "envelope_sender"
entries = ["blocked.example"]
action = "reject"

[[list]]
symbol = "RECIPIENT_BLOCKED"
match = "recipient"
entries = ["nobody@blocked.example"]
action = "reject"

[[action]]
name = "mark"
when = "1"
add_header = "X-Judged: yes"
"#;

impl Traffic {
    /// Starts this many clients of each mail server, given by its port on 127.0.0.1.
    pub fn start(ports: &[u16], clients: usize) -> Self {
        let shared = Arc::new(Shared::default());
        let senders = (0..clients * ports.len())
            .map(|number| {
                let (shared, port) = (Arc::clone(&shared), ports[number % ports.len()]);
                thread::spawn(move || shared.send(port, number))
            })
            .collect();
        Self { shared, senders }
    }

    /// Messages that were taken so far.
    pub fn accepted(&self) -> usize {
        self.shared.taken.load(Ordering::Relaxed)
    }

    /// Waits until so many more messages have been taken.
    ///
    /// # Panics
    /// When mail does not flow.
    pub fn flows(&self, messages: usize) {
        let before = self.accepted();
        until("mail flows", || self.accepted() >= before + messages);
    }

    /// Stops, waits until what was taken has arrived, and counts.
    ///
    /// # Panics
    /// When a client failed.
    pub fn end(self, sink: &Sink) -> Count {
        self.shared.stop.store(true, Ordering::Relaxed);
        for sender in self.senders {
            sender.join().expect("it only sends");
        }
        let near = self.shared.near.lock().expect("nobody panics over it");
        // Not `until`: what never arrives is to be counted.
        let _ = crate::patience::poll(|| {
            let arrived = arrived(sink);
            near.taken
                .iter()
                .all(|subject| arrived.contains_key(subject))
                .then_some(())
        });
        near.count(&arrived(sink))
    }
}

impl Shared {
    fn send(&self, port: u16, number: usize) {
        let mut message = 0;
        let mut subject = None;
        while !self.stop.load(Ordering::Relaxed) {
            let (mut client, greeting) = Client::connect_raw(port);
            if greeting.code != 220 || client.try_command("EHLO client.example").is_err() {
                continue;
            }
            for _ in 0..5 {
                if self.stop.load(Ordering::Relaxed) {
                    break;
                }
                let this = subject.take().unwrap_or_else(|| {
                    message += 1;
                    format!("message {message} of client {number}")
                });
                let reply = client.attempt(
                    "sender@origin.example",
                    &["rcpt@dest.example"],
                    &message::simple(&this),
                );
                let mut near = self.near.lock().expect("nobody panics over it");
                near.sent += 1;
                match reply {
                    Ok(reply) if reply.code == 250 => {
                        near.taken.insert(this);
                        self.taken.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    Ok(reply) if reply.code / 100 == 4 => {
                        near.put_off += 1;
                        *near.refusals.entry(reply.to_string()).or_default() += 1;
                    }
                    Ok(reply) => *near.refusals.entry(reply.to_string()).or_default() += 1,
                    Err(_) => {
                        near.in_doubt.insert(this.clone());
                    }
                }
                drop(near);
                subject = Some(this);
                pause();
                break;
            }
        }
    }
}

/// Before a message is sent again.
#[allow(clippy::disallowed_methods, reason = "a thread of its own")]
fn pause() {
    thread::sleep(Duration::from_millis(50));
}

impl NearEnd {
    fn count(&self, arrived: &BTreeMap<String, (usize, bool)>) -> Count {
        let refused = self.refusals.iter();
        Count {
            sent: self.sent,
            accepted: self.taken.len(),
            put_off: self.put_off,
            refused: refused
                .map(|(reply, count)| format!("{count} × {reply}"))
                .collect(),
            delivered: arrived.len(),
            lost: self
                .taken
                .iter()
                .filter(|subject| !arrived.contains_key(*subject))
                .count(),
            duplicated: arrived
                .iter()
                .filter(|(subject, (times, _))| *times > 1 && !self.in_doubt.contains(*subject))
                .count(),
            unjudged: arrived.values().filter(|(_, judged)| !judged).count(),
        }
    }
}

/// Each subject that arrived: how often, and whether each time with the mark.
fn arrived(sink: &Sink) -> BTreeMap<String, (usize, bool)> {
    let mut arrived = BTreeMap::new();
    for message in sink.delivered() {
        let subject = message.fields_named("Subject").join("");
        let subject = subject.trim_start_matches("Subject: ").trim().to_owned();
        let (times, judged) = arrived.entry(subject).or_insert((0, true));
        *times += 1;
        *judged &= message.fields_named(MARK).len() == 1;
    }
    arrived
}

impl Count {
    /// Insists that nothing was lost, doubled, refused for good, or let by unjudged.
    ///
    /// # Panics
    /// When something was.
    #[track_caller]
    pub fn nothing_is_lost(&self) {
        assert!(self.accepted > 0, "{self}");
        assert_eq!(
            (self.lost, self.duplicated, self.unjudged),
            (0, 0, 0),
            "{self}"
        );
    }

    /// Insists, besides, that no try was put off.
    ///
    /// # Panics
    /// When one was.
    #[track_caller]
    pub fn nobody_notices(&self) {
        self.nothing_is_lost();
        assert_eq!(self.put_off, 0, "{self}");
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "sent {}, accepted {}, put off {}, delivered {}, lost {}, duplicated {}, unjudged {}",
            self.sent,
            self.accepted,
            self.put_off,
            self.delivered,
            self.lost,
            self.duplicated,
            self.unjudged
        )?;
        for reply in &self.refused {
            write!(f, "\n  {reply}")?;
        }
        Ok(())
    }
}
