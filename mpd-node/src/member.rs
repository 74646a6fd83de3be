//! The node's entry in etcd: true while it runs, gone as soon as it drains.

use std::sync::Arc;
use std::time::SystemTime;

use millrace_cluster::Etcd;
use millrace_cluster::membership::{self, Refused, Registrar, Registration};
use millrace_runtime::lifecycle::{Drain, Phase};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::node::Node;
use crate::policy::Policy;

/// A node that is registered in etcd.
#[derive(Debug)]
pub struct Member {
    leaving: JoinHandle<()>,
}

impl Member {
    /// Registers the node until the drain begins, where both etcd and the node's address are told. Must be called
    /// inside a tokio runtime.
    #[must_use]
    pub fn join_if_told(
        node: &Node,
        etcd: Option<&Etcd>,
        address: Option<&str>,
        drain: &Drain,
    ) -> Option<Self> {
        let address = membership::address(address?).ok()?;
        let (etcd, node, drain) = (etcd?.clone(), node.clone(), drain.clone());
        let first = registration(&node, &address, None);
        let (say, said) = watch::channel(first);
        let registrar = Registrar::start(etcd, said);
        let leaving = tokio::spawn(async move {
            tokio::select! {
                () = drain.reached(Phase::Unready) => {}
                () = keep_true(&node, &say) => {}
            }
            // Gateways are to know at once, and not when the lease is over.
            registrar.withdraw().await;
        });
        Some(Self { leaving })
    }

    /// Waits until the entry is gone; the drain must have begun.
    pub async fn left(self) {
        let _ = self.leaving.await;
    }
}

/// Follows what is said of the node.
async fn keep_true(node: &Node, say: &watch::Sender<Registration>) {
    let mut policies: watch::Receiver<Arc<Policy>> = node.policies();
    let (_none, nothing) = watch::channel(None);
    let mut refused: watch::Receiver<Option<Refused>> = node.refused().unwrap_or(nothing);
    loop {
        let revision = policies.borrow_and_update().revision().to_string();
        let problem = refused.borrow_and_update().clone();
        say.send_if_modified(|said| {
            let changed = said.revision != revision || said.refused != problem;
            (said.revision, said.refused) = (revision, problem);
            changed
        });
        tokio::select! {
            changed = policies.changed() => if changed.is_err() { return },
            changed = refused.changed() => if changed.is_err() { return },
        }
    }
}

fn registration(node: &Node, address: &str, refused: Option<Refused>) -> Registration {
    Registration {
        address: address.to_owned(),
        name: node.name().to_string(),
        version: millrace_runtime::VERSION.to_owned(),
        revision: node.revision().to_string(),
        capacity: u32::try_from(node.width()).unwrap_or(u32::MAX),
        since: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        refused,
    }
}
