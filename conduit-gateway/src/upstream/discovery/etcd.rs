//! The nodes that are registered in etcd.

use futures_util::{Stream, StreamExt, stream};
use millrace_cluster::Etcd;
use millrace_cluster::membership::{self, Registration};

use super::remembered::Remembered;
use super::{NodeHint, SourceProblem};

/// All nodes that are registered, each time that they change, and a problem each time that etcd is lost; before that
/// the nodes that were registered when the gateway ran last. Must be called inside a tokio runtime.
///
/// # Errors
/// There is a folder to remember them in, and nothing can be written there.
pub(super) fn follow(
    etcd: &Etcd,
) -> Result<impl Stream<Item = Result<Vec<NodeHint>, SourceProblem>> + Send + use<>, SourceProblem>
{
    let cache = etcd.config().cache.as_deref();
    let memory = cache.map(Remembered::open).transpose()?;
    let last = memory.as_ref().map(Remembered::nodes).unwrap_or_default();
    let last = last.into_iter().map(NodeHint::at).collect::<Vec<_>>();
    let last = stream::iter((!last.is_empty()).then_some(Ok(last)));

    let following = membership::follow_nodes(etcd);
    let sight = following.sight();
    let now = stream::unfold(
        (following, sight, memory),
        |(following, mut sight, mut memory)| async move {
            loop {
                sight.changed().await.ok()?;
                let now = sight.borrow_and_update().clone();
                let told = match (now.lost, now.entries) {
                    (Some(problem), _) => Err(SourceProblem(problem.to_string())),
                    (None, Some(entries)) => Ok(hints(&membership::registrations(&entries))),
                    (None, None) => continue,
                };
                if let (Some(memory), Ok(hints)) = (&mut memory, &told) {
                    memory
                        .keep(hints.iter().map(|hint| hint.address.clone()).collect())
                        .await;
                }
                return Some((told, (following, sight, memory)));
            }
        },
    );
    Ok(last.chain(now))
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
