//! `millrace load`, once or for as long as a test wants.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use serde_json::Value;

use crate::servers::binary;

/// Load that goes on, in rounds, until it is told to stop.
#[derive(Debug)]
pub struct Loading {
    stop: Arc<AtomicBool>,
    rounds: Option<JoinHandle<Sent>>,
}

/// What was sent, and what became of it.
#[derive(Debug, Default)]
pub struct Sent {
    /// Messages sent.
    pub messages: u64,
    /// Messages accepted.
    pub accepted: u64,
    /// The reports of rounds in which something else became of a message.
    pub complaints: Vec<Value>,
}

const ROUND: u64 = 200;

/// What `millrace load` reports of a run against a milter at this port.
///
/// # Panics
/// When it cannot be run.
pub fn load(port: u16, words: &[&str]) -> Value {
    let output = Command::new(binary("millrace"))
        .args(["load", "--format", "json", "--milter"])
        .arg(format!("127.0.0.1:{port}"))
        .args(words)
        .output()
        .expect("millrace starts");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

impl Loading {
    /// Begins to send.
    pub fn begin(port: u16) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let rounds = thread::spawn(move || {
            let mut sent = Sent::default();
            while !stopped.load(Ordering::Relaxed) {
                let report = load(port, &["--messages", "200", "--concurrency", "4"]);
                let accepted = report["dispositions"]["accept"].as_u64().unwrap_or(0);
                sent.messages += ROUND;
                sent.accepted += accepted;
                if accepted != ROUND {
                    sent.complaints.push(report);
                }
            }
            sent
        });
        Self {
            stop,
            rounds: Some(rounds),
        }
    }

    /// Ends after the round that is under way.
    ///
    /// # Panics
    /// When the sender did.
    pub fn end(mut self) -> Sent {
        self.stop.store(true, Ordering::Relaxed);
        let rounds = self.rounds.take().expect("it ends once");
        rounds.join().expect("it only sends")
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Sent {
    /// Insists that each message was accepted, and that there were some.
    ///
    /// # Panics
    /// When it is not so.
    #[track_caller]
    pub fn assert_all_accepted(&self) {
        assert!(self.complaints.is_empty(), "{self:?}");
        assert!(self.messages > 0 && self.accepted == self.messages);
    }
}
