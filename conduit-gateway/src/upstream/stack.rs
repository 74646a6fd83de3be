//! The way of a question to a node, as one list.

use std::sync::Arc;

use tower::ServiceBuilder;
use tower::layer::layer_fn;
use tower::retry::{Retry, RetryLayer};

use super::balance::Balance;
use super::deadline::Share;
use super::hedge::Hedge;
use super::pool::Pool;
use super::retry::Elsewhere;

/// What a question passes. Cheap to clone.
pub(super) type Stack = Retry<Elsewhere, Share<Hedge<Balance>>>;

pub(super) fn stack(pool: &Arc<Pool>) -> Stack {
    ServiceBuilder::new()
        // Outermost, because a retry is a whole new try: with its share of the time, its own hedge, another node.
        .layer(RetryLayer::new(Elsewhere::new(pool.clone())))
        // Below the retry, because a node that says nothing must leave time for another; above the hedge, because
        // two calls side by side are one try.
        .layer(layer_fn(|inner| Share {
            inner,
            pool: pool.clone(),
        }))
        // Above the choice of a node, because the second call is to go to another one than the first.
        .layer(layer_fn(|inner| Hedge {
            inner,
            pool: pool.clone(),
        }))
        // Innermost: the better of two nodes that are sound and have room, by the limit that each has earned; then
        // the node's own connection, which its health holds open.
        .service(Balance { pool: pool.clone() })
}
