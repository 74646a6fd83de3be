//! Signals, as something that can be awaited.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The wish that the process ends. Cheap to clone; all clones are the same wish.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    requested: CancellationToken,
    immediate: CancellationToken,
}

impl Shutdown {
    /// A wish that only [`request`](Self::request) makes: for a process that contains another's parts, and tests.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A wish that SIGTERM and SIGINT make too. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn on_signals() -> io::Result<Self> {
        let shutdown = Self::new();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let wish = shutdown.clone();
        tokio::spawn(async move {
            loop {
                let name = tokio::select! {
                    Some(()) = terminate.recv() => "SIGTERM",
                    Some(()) = interrupt.recv() => "SIGINT",
                    else => return,
                };
                if wish.request() {
                    tracing::info!(signal = name, "ending: what is in flight is finished first");
                } else {
                    tracing::warn!(signal = name, "ending at once");
                }
            }
        });
        Ok(shutdown)
    }

    /// Asks for the end, and the second time for one without waiting. Whether this was the first time.
    pub fn request(&self) -> bool {
        if self.requested.is_cancelled() {
            self.immediate.cancel();
            return false;
        }
        self.requested.cancel();
        true
    }

    /// Cancelled once the end is wished for.
    #[must_use]
    pub fn requested(&self) -> &CancellationToken {
        &self.requested
    }

    /// Cancelled once it is wished for without waiting.
    #[must_use]
    pub fn immediate(&self) -> &CancellationToken {
        &self.immediate
    }
}

/// SIGHUP: read the configuration again.
#[derive(Debug)]
pub struct Hangups(Signal);

impl Hangups {
    /// From now on SIGHUP is no reason to end. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the handler cannot be installed.
    pub fn new() -> io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// Waits for the next one. Cancel safe.
    pub async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}
