//! One SMTP session after another.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use millrace_milter::mta::{Flavour, Outcome};
use tokio::time::timeout;

use super::pace::Pace;
use super::supply::Supply;
use super::tally::Tally;
use super::wire::{self, Wire, WireError};
use crate::target::Target;

/// What plays one of the mail server's concurrent sessions.
#[derive(Debug)]
pub(super) struct Worker {
    number: u32,
    target: Target,
    flavour: Flavour,
    messages_per_connection: u32,
    timeout: Duration,
    supply: Arc<Supply>,
    pace: Arc<Pace>,
    tally: Tally,
    out: BytesMut,
}

/// A filter that refuses connections is not asked a million times a second.
const AFTER_ERROR: Duration = Duration::from_millis(20);

impl Worker {
    pub(super) fn new(
        number: u32,
        target: Target,
        flavour: Flavour,
        messages_per_connection: u32,
        timeout: Duration,
        supply: Arc<Supply>,
        pace: Arc<Pace>,
    ) -> Self {
        Self {
            number,
            target,
            flavour,
            messages_per_connection,
            timeout,
            supply,
            pace,
            tally: Tally::default(),
            out: BytesMut::new(),
        }
    }

    /// Sends until there is no more, and gives what was counted.
    pub(super) async fn run(mut self) -> Tally {
        while let Some(first) = self.pace.next().await {
            if let Err(error) = self.session(first).await {
                tracing::debug!(session = self.number, %error, "a session failed");
                self.tally.error(&error);
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
        self.tally
    }

    async fn session(&mut self, first: u64) -> Result<(), WireError> {
        let mut begun = Instant::now();
        let (mut wire, mut outcome) = {
            let message = self.supply.message(first);
            let (target, flavour, out) = (&self.target, self.flavour, &mut self.out);
            in_time(self.timeout, async {
                let mut wire = Wire::connect(target, wire::mta(flavour)).await?;
                let outcome = wire.send(message, out).await?;
                Ok((wire, outcome))
            })
            .await?
        };
        self.tally
            .answered(&outcome, begun.elapsed(), self.supply.bytes(first));
        for _ in 1..self.messages_per_connection {
            if is_over(&outcome) {
                break;
            }
            let Some(number) = self.pace.next().await else {
                break;
            };
            begun = Instant::now();
            let message = self.supply.message(number);
            outcome = in_time(self.timeout, wire.send(message, &mut self.out)).await?;
            self.tally
                .answered(&outcome, begun.elapsed(), self.supply.bytes(number));
        }
        in_time(self.timeout, wire.quit(&mut self.out)).await
    }
}

/// Whether the filter had its say about the whole connection.
fn is_over(outcome: &Outcome) -> bool {
    matches!(outcome.at, b'C' | b'H')
}

async fn in_time<T>(
    patience: Duration,
    work: impl Future<Output = Result<T, WireError>>,
) -> Result<T, WireError> {
    match timeout(patience, work).await {
        Ok(result) => result,
        Err(_) => Err(WireError::Timeout),
    }
}
