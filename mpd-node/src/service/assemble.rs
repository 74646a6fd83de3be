//! From the frames of a call to one transaction and its whole content.

use std::pin::pin;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use millrace_proto::{CallError, Transaction, pb};
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;

use crate::node::Node;

/// A request that is all there.
pub(super) struct Assembled {
    pub(super) transaction: Transaction,
    pub(super) content: Bytes,
    /// Whether the caller is under load.
    pub(super) overloaded: bool,
    /// What the content takes of the node's memory, given back on drop.
    pub(super) memory: OwnedSemaphorePermit,
}

/// Takes the frames of a `Process` call: the transaction with the first piece
/// of content, then the rest. Content of one frame is not copied.
///
/// # Errors
/// The frames break the contract, the transaction is not permitted, the content is over the size limit, memory
/// is used up, or the caller went away.
pub(super) async fn assemble(
    node: &Node,
    permit: impl FnOnce(&Transaction) -> Result<(), CallError>,
    frames: impl Stream<Item = Result<pb::ProcessRequest, Status>>,
) -> Result<Assembled, CallError> {
    let mut frames = pin!(frames);
    let first = frames
        .next()
        .await
        .ok_or_else(|| malformed("the call has no frame"))??;
    let overloaded = first.overloaded;
    let transaction = first
        .transaction
        .ok_or_else(|| malformed("the first frame has no transaction"))?;
    let transaction = Transaction::try_from(transaction).map_err(malformed)?;
    permit(&transaction)?;
    node.obtain(&transaction).await;
    let limit = node.size_limit(&transaction)?;

    let mut memory = node.reserve(first.content.len())?;
    let mut whole = first.content;
    let mut joined = BytesMut::new();
    while let Some(frame) = frames.next().await {
        let frame = frame?;
        if frame.transaction.is_some() {
            return Err(malformed("a second transaction in one call"));
        }
        memory.merge(node.reserve(frame.content.len())?);
        if joined.is_empty() {
            joined.extend_from_slice(&whole);
            whole = Bytes::new();
        }
        joined.extend_from_slice(&frame.content);
        let length = joined.len() as u64;
        if let Some(limit) = limit.filter(|&limit| length > limit) {
            return Err(CallError::TooLarge { limit });
        }
    }
    if !joined.is_empty() {
        whole = joined.freeze();
    }
    Ok(Assembled {
        transaction,
        content: whole,
        overloaded,
        memory,
    })
}

fn malformed(problem: impl std::fmt::Display) -> CallError {
    CallError::Malformed(problem.to_string())
}
