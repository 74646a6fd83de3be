//! Listeners: where mail servers connect, and who of them may.

mod bind;
mod conduit;
mod connection;
mod message;
mod network;
mod qmqp;
mod screening;
mod stream;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use millrace_runtime::tls::Acceptor;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::task::TaskTracker;

use crate::config::{Protocol, Qmqp};
use crate::failure::{Failure, FailureKind};
use crate::gateway::{Client, Shared};
use crate::metrics::Refused;

pub(crate) use bind::Listener;
pub use bind::{BindError, SystemdSockets};
use connection::Connection;
pub use network::{Duplex, Incoming, Network};
pub(crate) use qmqp::LONGEST_DEADLINE as LONGEST_QMQP_DEADLINE;
use stream::Stream;

/// What a connection occupies for as long as it lasts.
struct Slot {
    _permits: Option<[OwnedSemaphorePermit; 2]>,
    _spare: Option<OwnedSemaphorePermit>,
    client: Arc<Client>,
}

/// After an error of accept(2) that comes back at once, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections that were taken and are not served yet: the server takes them at once.
const HANDED_OVER: usize = 64;

/// Where the connections of a listener go.
enum Taker {
    Milter,
    Qmqp(Arc<Qmqp>),
    Contract(
        mpsc::Sender<(conduit::Caller, conduit::Connected)>,
        Option<Acceptor>,
    ),
}

/// Serves a listener, in tasks of the tracker, until the process's drain closes it.
pub(crate) fn serve(
    listener: Listener,
    client: &Arc<Client>,
    shared: &Arc<Shared>,
    tasks: &TaskTracker,
) {
    let taker = match &client.config.protocol {
        Protocol::Milter => Taker::Milter,
        Protocol::Qmqp(config) => Taker::Qmqp(config.clone()),
        &Protocol::Contract { direction } => {
            let (sender, receiver) = mpsc::channel(HANDED_OVER);
            let acceptor = match client.config.tls {
                Some(false) => None,
                Some(true) | None => shared.links.acceptor(),
            };
            let (client, shared) = (client.clone(), shared.clone());
            tasks.spawn(conduit::serve(receiver, client, shared, direction));
            Taker::Contract(sender, acceptor)
        }
    };
    tasks.spawn(accept(listener, taker, client.clone(), shared.clone()));
}

/// Takes connections until the listener is to close.
async fn accept(listener: Listener, taker: Taker, client: Arc<Client>, shared: Arc<Shared>) {
    let address: Arc<str> = listener.address().to_string().into();
    let closing = shared.drain.closing().clone();
    let mut closing = std::pin::pin!(closing.cancelled());
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut closing => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(stream) => admit(stream, &address, &taker, &client, &shared).await,
            Err(error) => {
                tracing::warn!(listener = %address, client = %client.config.name, %error, "cannot take a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    listener.close();
}

async fn admit(
    stream: Stream,
    listener: &Arc<str>,
    taker: &Taker,
    client: &Arc<Client>,
    shared: &Arc<Shared>,
) {
    if let Some(peer) = stream.peer_ip()
        && !allowed(&client.config.allow, peer)
    {
        tracing::warn!(%peer, listener = %listener, client = %client.config.name, "refused: not in `allow`");
        client.metrics.refused(Refused::NotAllowed);
        return;
    }
    let Some((slot, doom)) = Slot::take(client, shared) else {
        tracing::warn!(peer = %stream.peer(), listener = %listener, client = %client.config.name, "refused: too many connections");
        client.metrics.refused(Refused::TooMany);
        return;
    };
    if let Taker::Contract(sender, acceptor) = taker {
        let waiting = conduit::Waiting {
            doom,
            slot,
            tracked: shared.connections.token(),
        };
        conduit::hand_over(stream, acceptor.as_ref(), waiting, sender, shared).await;
        return;
    }
    let (client, shared, listener) = (client.clone(), shared.clone(), listener.clone());
    let connections = shared.connections.clone();
    if let Taker::Qmqp(config) = taker {
        let session = qmqp::Session::new(stream, client, shared, config.clone(), doom);
        connections.spawn(async move {
            let slot = slot;
            Box::pin(session.run(listener)).await;
            drop(slot);
        });
        return;
    }
    connections.spawn(async move {
        let slot = slot;
        Connection::new(stream, client, shared, doom)
            .run(listener)
            .await;
        drop(slot);
    });
}

/// An empty list is one of a listener that only this machine can reach: configuration makes sure of that.
fn allowed(allow: &[IpNet], peer: IpAddr) -> bool {
    let peer = peer.to_canonical();
    allow.is_empty() && peer.is_loopback() || allow.iter().any(|network| network.contains(&peer))
}

impl Slot {
    /// A place for a connection. When all are taken, a few more are let in to be told so in the protocol's own
    /// words, by the failure table: a mail server whose connection is dropped may pass its mail on unjudged.
    fn take(client: &Arc<Client>, shared: &Shared) -> Option<(Self, Option<Failure>)> {
        let own = client.slots.clone().try_acquire_owned();
        let common = shared.slots.clone().try_acquire_owned();
        let (permits, spare, doom) = match (own, common) {
            (Ok(own), Ok(common)) => (Some([own, common]), None, None),
            _ => {
                let spare = shared.spare_slots.clone().try_acquire_owned().ok()?;
                client.metrics.refused(Refused::TooMany);
                (
                    None,
                    Some(spare),
                    Some(Failure::new(FailureKind::Overload, "too many connections")),
                )
            }
        };
        client.metrics.accepted.inc();
        client.metrics.connections.inc();
        Some((
            Self {
                _permits: permits,
                _spare: spare,
                client: client.clone(),
            },
            doom,
        ))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.client.metrics.connections.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_connect() {
        let networks = |list: &[&str]| -> Vec<IpNet> {
            list.iter().map(|n| n.parse().expect("a network")).collect()
        };
        for (allow, peer, expected) in [
            (&[][..], "127.0.0.1", true),
            (&[], "::1", true),
            (&[], "::ffff:127.0.0.1", true),
            (&[], "192.0.2.1", false),
            (&["192.0.2.0/24"], "192.0.2.7", true),
            (&["192.0.2.0/24"], "::ffff:192.0.2.7", true),
            (&["192.0.2.0/24"], "192.0.3.7", false),
            (&["192.0.2.0/24"], "127.0.0.1", false),
            (&["192.0.2.0/24", "2001:db8::/32"], "2001:db8::1", true),
        ] {
            let peer = peer.parse().expect("an address");
            assert_eq!(
                allowed(&networks(allow), peer),
                expected,
                "{allow:?} {peer}"
            );
        }
    }
}
