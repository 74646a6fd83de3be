//! Which nodes there are: what the sources say, joined, and what the nodes' own health has to say about that.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::StreamExt;
use futures_util::stream::select_all;
use tokio_util::task::AbortOnDropHandle;

use super::discovery::{NodeAddress, NodeHint, Source, SourceProblem};
use super::health;
use super::node::Node;
use super::pool::Pool;

struct Members {
    pool: Arc<Pool>,
    nodes: HashMap<NodeAddress, Member>,
    /// The last set of each source.
    known: Vec<Vec<NodeHint>>,
}

struct Member {
    node: Arc<Node>,
    _attended: AbortOnDropHandle<()>,
}

/// A source that tells more is not believed: each node is a connection and a row of metrics.
const MOST: usize = 1000;

/// Keeps the pool's nodes as the sources say, for ever.
pub(super) async fn follow(sources: Vec<Source>, pool: Arc<Pool>) {
    let mut members = Members {
        pool: pool.clone(),
        nodes: HashMap::new(),
        known: vec![Vec::new(); sources.len()],
    };
    let (names, hints): (Vec<_>, Vec<_>) = sources.into_iter().map(Source::into_parts).unzip();
    let hints = hints
        .into_iter()
        .enumerate()
        .map(|(source, hints)| hints.map(move |hint| (source, hint)).boxed());
    let mut hints = select_all(hints);
    loop {
        tokio::select! {
            Some((source, hint)) = hints.next() => members.hear(source, &names[source], hint),
            () = pool.changed.notified() => members.settle(),
        }
    }
}

impl Members {
    fn hear(&mut self, source: usize, name: &str, hint: Result<Vec<NodeHint>, SourceProblem>) {
        match hint {
            Err(problem) => {
                tracing::warn!(source = name, %problem, "a source of nodes has a problem: the last known nodes stay");
            }
            Ok(set) if set.is_empty() => {
                tracing::warn!(
                    source = name,
                    "a source of nodes knows of none: the last known nodes stay"
                );
            }
            Ok(mut set) => {
                if set.len() > MOST {
                    tracing::warn!(
                        source = name,
                        told = set.len(),
                        taken = MOST,
                        "a source tells too many nodes"
                    );
                    set.truncate(MOST);
                }
                if self.known[source] != set {
                    tracing::info!(source = name, nodes = set.len(), "nodes are known");
                    self.known[source] = set;
                    self.settle();
                }
            }
        }
    }

    /// Takes new nodes in, and lets go of those that no source knows and whose health does not serve.
    fn settle(&mut self) {
        let hints: HashMap<&NodeAddress, &NodeHint> = self
            .known
            .iter()
            .flatten()
            .map(|hint| (&hint.address, hint))
            .collect();
        let missing: HashSet<NodeAddress> = hints
            .keys()
            .filter(|address| !self.nodes.contains_key(**address))
            .map(|address| (*address).clone())
            .collect();
        for (address, member) in &self.nodes {
            let hint = hints.get(address);
            member.node.hinted.store(hint.is_some(), Ordering::Relaxed);
            if let Some(capacity) = hint.and_then(|hint| hint.capacity) {
                member
                    .node
                    .limit
                    .cap(capacity.get().min(self.pool.config.calls_per_node));
            }
        }
        for address in missing {
            let capacity = hints[&address].capacity;
            let most = self.pool.config.calls_per_node;
            let most = capacity.map_or(most, |capacity| capacity.get().min(most));
            match self.pool.config.connect.client(&address) {
                Ok(client) => {
                    let id = self.pool.next_id();
                    let node = Arc::new(Node::new(id, address.clone(), client, most));
                    let attended = tokio::spawn(health::attend(node.clone(), self.pool.clone()));
                    let member = Member {
                        node,
                        _attended: AbortOnDropHandle::new(attended),
                    };
                    self.nodes.insert(address, member);
                }
                Err(error) => {
                    tracing::warn!(node = %address, %error, "a node that cannot be asked");
                }
            }
        }
        self.nodes.retain(|address, member| {
            let stays = member.node.is_hinted() || member.node.standing.serves();
            if !stays {
                tracing::info!(node = %address, "a node is gone: no source knows it, and its health does not serve");
            }
            stays
        });
        let mut nodes: Vec<_> = self
            .nodes
            .values()
            .map(|member| member.node.clone())
            .collect();
        // An order that does not depend on hashes: the same seed chooses the same nodes.
        nodes.sort_by(|one, other| one.address.cmp(&other.address));
        let known = !nodes.is_empty();
        self.pool.nodes.store(Arc::new(nodes));
        self.pool
            .known
            .send_if_modified(|before| known && !std::mem::replace(before, true));
        self.pool.agree();
        self.pool.room_for_all();
    }
}
