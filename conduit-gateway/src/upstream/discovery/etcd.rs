//! The nodes that are registered in etcd.

use futures_util::{Stream, stream};
use millrace_cluster::Etcd;
use millrace_cluster::membership::{self, Registration};

use super::{NodeHint, SourceProblem};

/// All nodes that are registered, each time that they change, and a problem each time that etcd is lost. Must be
/// called inside a tokio runtime.
pub(super) fn follow(
    etcd: &Etcd,
) -> impl Stream<Item = Result<Vec<NodeHint>, SourceProblem>> + Send + use<> {
    let following = membership::follow_nodes(etcd);
    let sight = following.sight();
    stream::unfold((following, sight), |(following, mut sight)| async move {
        loop {
            sight.changed().await.ok()?;
            let now = sight.borrow_and_update().clone();
            let told = match (now.lost, now.entries) {
                (Some(problem), _) => Err(SourceProblem(problem.to_string())),
                (None, Some(entries)) => Ok(hints(&membership::registrations(&entries))),
                (None, None) => continue,
            };
            return Some((told, (following, sight)));
        }
    })
}

fn hints(nodes: &[Registration]) -> Vec<NodeHint> {
    nodes
        .iter()
        .filter_map(|node| match node.address.parse() {
            Ok(address) => Some(NodeHint::at(address)),
            Err(error) => {
                tracing::warn!(node = node.name, %error, "a node registered under what is no address");
                None
            }
        })
        .collect()
}
