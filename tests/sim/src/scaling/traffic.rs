//! Mail servers that send at random times, whatever becomes of what they have sent.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use millrace_milter::mta::{Client, Flavour, Message, Mta, Received};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::figures::{Fate, Sample};
use super::pipes::Door;

/// Everything that is sent, until this is dropped.
pub(super) struct Traffic {
    begun: Instant,
    samples: Arc<Mutex<Vec<Sample>>>,
    under_way: TaskTracker,
    senders: Vec<AbortOnDropHandle<()>>,
}

/// As long as a mail server waits.
const PATIENCE: Duration = Duration::from_secs(30);
const MESSAGE: &[u8] = b"From: <a@origin.example>\r\nSubject: x\r\n\r\nA body of no interest.\r\n";

impl Traffic {
    /// So many mail servers with so many messages a second each, spread over the gateways.
    pub(super) fn start(doors: &[Arc<Door>], mail_servers: usize, rate: f64) -> Self {
        let (begun, samples) = (Instant::now(), Arc::new(Mutex::new(Vec::new())));
        let under_way = TaskTracker::new();
        let senders = (0..mail_servers).map(|number| {
            let (door, samples) = (doors[number % doors.len()].clone(), samples.clone());
            let under_way = under_way.clone();
            let sender = tokio::spawn(async move {
                loop {
                    let pause = -(1.0 - fastrand::f64()).ln() / rate;
                    sleep(Duration::from_secs_f64(pause)).await;
                    let (door, samples) = (door.clone(), samples.clone());
                    under_way.spawn(async move {
                        let at = Instant::now();
                        let fate = timeout(PATIENCE, send(&door)).await;
                        let sample = Sample {
                            begun: at - begun,
                            took: at.elapsed(),
                            fate: fate.unwrap_or(Fate::Lost),
                        };
                        let mut samples = samples.lock().unwrap_or_else(PoisonError::into_inner);
                        samples.push(sample);
                    });
                }
            });
            AbortOnDropHandle::new(sender)
        });
        let senders = senders.collect();
        Self {
            begun,
            samples,
            under_way,
            senders,
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Stops, and gives what was begun from `from` on for so long, counted from there.
    pub(super) async fn between(self, from: Duration, long: Duration) -> Vec<Sample> {
        drop(self.senders);
        self.under_way.close();
        self.under_way.wait().await;
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let within = samples
            .iter()
            .filter(|sample| sample.begun >= from && sample.begun < from + long);
        within
            .map(|sample| Sample {
                begun: sample.begun - from,
                ..*sample
            })
            .collect()
    }
}

async fn send(door: &Door) -> Fate {
    let Ok(mut socket) = door.connect() else {
        return Fate::Lost;
    };
    let mut mta = Mta::new(Flavour::Postfix, Client::default());
    mta.send(Message::parse(MESSAGE));
    let mut out = BytesMut::new();
    loop {
        loop {
            match mta.receive() {
                Ok(Some(Received::Finished(outcome))) if outcome.is_accepted() => {
                    return Fate::Judged;
                }
                Ok(Some(Received::Finished(_))) => return Fate::PutOff,
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return Fate::Lost,
            }
        }
        out.clear();
        mta.advance(&mut out);
        if socket.write_all(&out).await.is_err() {
            return Fate::Lost;
        }
        match socket.read_buf(mta.space()).await {
            Ok(1..) => {}
            _ => return Fate::Lost,
        }
    }
}
