//! Connections on which nothing happens: SMTP clients that keep their session open.

use std::time::Duration;

use anyhow::Context as _;
use bytes::BytesMut;
use millrace_milter::mta::Flavour;
use tokio::time::timeout;

use super::wire::{self, Wire};
use crate::target::Target;

/// Negotiated and silent, until dropped.
pub(super) struct IdleConnections(Vec<Wire>);

/// A filter needs a moment to free what greeting needed; its memory is read after that.
const SETTLE: Duration = Duration::from_millis(1500);

impl IdleConnections {
    /// Opens that many.
    pub(super) async fn open(
        target: &Target,
        flavour: Flavour,
        count: usize,
        patience: Duration,
    ) -> anyhow::Result<Self> {
        let mut wires = Vec::with_capacity(count);
        let mut out = BytesMut::new();
        for number in 0..count {
            let work = async {
                let mut wire = Wire::connect(target, wire::mta(flavour)).await?;
                wire.negotiate(&mut out).await?;
                anyhow::Ok(wire)
            };
            let wire = timeout(patience, work)
                .await
                .context("no answer in time")
                .flatten()
                .with_context(|| format!("idle connection {} of {count}", number + 1))?;
            wires.push(wire);
        }
        if count > 0 {
            tokio::time::sleep(SETTLE).await;
        }
        Ok(Self(wires))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
