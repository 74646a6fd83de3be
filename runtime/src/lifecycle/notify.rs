//! What the service manager is told, per sd_notify(3). Without one (no `NOTIFY_SOCKET`) nothing happens.

use std::sync::Once;

use sd_notify::NotifyState;

/// The process serves, or serves again after a reload. Must be called inside a tokio runtime.
///
/// From then on the service manager's watchdog is fed, if it has one for us, from a task of the runtime that serves
/// mail: a runtime that no longer runs tasks is one that should be restarted.
pub fn ready() {
    static FED: Once = Once::new();
    send(&[NotifyState::Ready]);
    FED.call_once(feed_watchdog);
}

/// The process reads its configuration again; call [`ready`] when it has.
pub fn reloading() {
    // systemd 253 and later wants to know when the reload began, to tell it from an earlier one.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => send(&[NotifyState::Reloading, now]),
        Err(_) => send(&[NotifyState::Reloading]),
    }
}

/// The process drains.
pub fn stopping() {
    send(&[NotifyState::Stopping]);
}

/// One line for `systemctl status`.
pub fn status(text: &str) {
    send(&[NotifyState::Status(text)]);
}

fn feed_watchdog() {
    let Some(patience) = sd_notify::watchdog_enabled() else {
        return;
    };
    tokio::spawn(async move {
        // Half of it, as sd_watchdog_enabled(3) recommends.
        let mut beat = tokio::time::interval(patience / 2);
        loop {
            beat.tick().await;
            send(&[NotifyState::Watchdog]);
        }
    });
}

fn send(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the service manager could not be told");
    }
}
