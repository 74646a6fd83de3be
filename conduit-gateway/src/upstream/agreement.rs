//! Which policy the nodes judge by, where they do not all have the same.
//!
//! Nodes that take their policy from etcd differ for a moment at each publication, and any of them fetches the revision
//! that a message is pinned to. Nodes with folders of their own may differ for ever, and then half of the mail would be
//! judged by one policy and half by another, as chance has it. So one revision counts for all clients: the one that
//! most of the serving nodes have, and of those that equally many have, the one of the first by address. Plans come
//! from nodes that have it; a node that has another and cannot judge by this one is not asked.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use millrace_proto::{ClientName, Direction, Revision};

use super::node::Node;
use super::pool::Pool;

/// Whom a node is asked for the plan of, to learn which revision it has: any client that this gateway speaks for.
pub(super) type Speaker = (ClientName, Direction);

/// Between two tries to hear a node's revision.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The revision that most have; they come in the order of their addresses.
pub(super) fn agreed<'a>(revisions: impl IntoIterator<Item = &'a Revision>) -> Option<Revision> {
    let mut counts: BTreeMap<&str, (usize, usize, &Revision)> = BTreeMap::new();
    for (place, revision) in revisions.into_iter().enumerate() {
        counts
            .entry(revision.as_str())
            .or_insert((0, place, revision))
            .0 += 1;
    }
    counts
        .into_values()
        .max_by_key(|(count, place, _)| (*count, Reverse(*place)))
        .map(|(_, _, revision)| revision.clone())
}

/// Follows which revision a node has, for ever.
pub(super) async fn follow(node: &Arc<Node>, pool: &Arc<Pool>) {
    let mut speaker = pool.speaker.subscribe();
    let told = speaker.wait_for(Option::is_some).await;
    let Some((client, direction)) = told.ok().and_then(|told| told.clone()) else {
        return;
    };
    let mut pause = FIRST_PAUSE;
    let mut followed = node.standing.followed();
    loop {
        // Without a connection there is nothing to ask over.
        let _ = followed.wait_for(|sound| *sound).await;
        if let Ok(plans) = node.client.watch_plan(&client, direction).await {
            let mut plans = std::pin::pin!(plans);
            while let Some(Ok(plan)) = plans.next().await {
                pause = FIRST_PAUSE;
                pool.hears(node, &plan.revision);
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_nodes_decide_and_of_equally_many_the_first() {
        for (revisions, expected) in [
            ("", ""),
            ("a", "a"),
            ("a b b", "b"),
            ("a b", "a"),
            ("b a", "b"),
            ("c b a b a", "b"),
        ] {
            let revisions: Vec<_> = revisions
                .split_whitespace()
                .map(|text| Revision::new(text).unwrap())
                .collect();
            let found = agreed(&revisions);
            let found = found.as_ref().map_or("", Revision::as_str);
            assert_eq!(found, expected, "{revisions:?}");
        }
    }
}
