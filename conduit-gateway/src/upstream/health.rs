//! A node's own task: connects at once, follows its health and its policy for ever, and lets it back in after it was
//! ejected.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use millrace_proto::CallError;

use super::agreement;
use super::node::Node;
use super::pool::Pool;
use super::standing::Trust;

/// Between two tries to hear of a node's health.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// So many reasons are told of one node until it is in.
const MOST_TOLD: usize = 8;
/// How long an ejected node is left alone, at first and at most.
const FIRST_EJECTION: Duration = Duration::from_secs(1);
const LONGEST_EJECTION: Duration = Duration::from_secs(30);
/// A node that behaves for so long begins anew.
const FORGIVEN: Duration = Duration::from_secs(60);
/// How long an ejected node may take to say that it serves.
const CHECK: Duration = Duration::from_secs(1);

/// Attends to a node, for ever.
pub(super) async fn attend(node: Arc<Node>, pool: Arc<Pool>) {
    tokio::join!(
        follow(&node, &pool),
        readmit(&node, &pool),
        agreement::follow(&node, &pool)
    );
}

/// In while its health serves; out as soon as it says otherwise or the stream ends. The stream is what holds the
/// connection: it is made before the first message wants it, and its end is the first sign of a dead node.
async fn follow(node: &Arc<Node>, pool: &Arc<Pool>) {
    let mut pause = Duration::ZERO;
    // Why it does not come in, each reason told once.
    let mut told: Vec<String> = Vec::new();
    loop {
        let problem = match node.client.watch_health().await {
            Err(error) => error,
            Ok(health) => {
                let mut health = std::pin::pin!(health);
                loop {
                    match health.next().await {
                        Some(Ok(true)) => {
                            // A connection that was lost is made again at once.
                            pause = Duration::ZERO;
                            pool.serves(node);
                            told.clear();
                        }
                        Some(Ok(false)) => {
                            pool.is_out(node, "it says that it does not serve");
                        }
                        Some(Err(error)) => break error,
                        None => break CallError::Unavailable("the health stream ended".to_owned()),
                    }
                }
            }
        };
        let reason = problem.to_string();
        let was_in = pool.is_out(node, &reason);
        if !was_in && told.len() < MOST_TOLD && !told.contains(&reason) {
            tracing::warn!(node = %node.address, reason, "a node is not in");
            told.push(reason);
        }
        // All gateways have lost the node at the same moment: they do not come back at the same moment.
        tokio::time::sleep(pause.mul_f64(0.5 + pool.random.share() / 2.0)).await;
        pause = (pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
    }
}

/// An ejected node is asked for its health after a while, longer each time, and is let in on probation.
async fn readmit(node: &Arc<Node>, pool: &Arc<Pool>) {
    let mut pause = FIRST_EJECTION;
    let mut admitted = None;
    loop {
        node.standing.ejected().await;
        if admitted.is_some_and(|at: tokio::time::Instant| at.elapsed() > FORGIVEN) {
            pause = FIRST_EJECTION;
        }
        while node.standing.trust() == Trust::Ejected {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_EJECTION);
            let health = tokio::time::timeout(CHECK, node.client.check_health()).await;
            if matches!(health, Ok(Ok(true))) {
                pool.admit(node);
            }
        }
        admitted = Some(tokio::time::Instant::now());
    }
}
