//! A copy as one object: `MRQ1`, then transaction, verdict (each with its length before it) and content.
//!
//! Lengths are 4 bytes, most significant first; transaction and verdict are messages of the contract, so that
//! addresses and findings are kept byte for byte.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use millrace_proto::{Transaction, Verdict, pb};
use object_store::PutPayload;
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::error::QuarantineError;

const MAGIC: &[u8] = b"MRQ1";

/// A kept copy, whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Copy {
    /// Client, connection and envelope of the first transaction that it came in by.
    pub transaction: Transaction,
    /// The verdict that kept it.
    pub verdict: Verdict,
    /// The message, byte for byte.
    pub content: Bytes,
}

/// The name of a message's copy: a hash of client, envelope and content, each with its length, in hexadecimal.
pub(crate) fn hash(transaction: &Transaction, content: &[u8]) -> String {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    part(transaction.client.as_str().as_bytes());
    part(&pb::Envelope::from(transaction.envelope.clone()).encode_to_vec());
    part(content);
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The object's bytes; the content is not copied.
pub(crate) fn write(
    transaction: &Transaction,
    verdict: &Verdict,
    content: Bytes,
) -> Result<PutPayload, QuarantineError> {
    let transaction = pb::Transaction::from(transaction.clone());
    let verdict = pb::Verdict::from(verdict.clone());
    let mut head = BytesMut::new();
    head.put_slice(MAGIC);
    for length in [transaction.encoded_len(), verdict.encoded_len()] {
        head.put_u32(u32::try_from(length).map_err(|_| QuarantineError::TooLarge)?);
    }
    head.extend_from_slice(&transaction.encode_to_vec());
    head.extend_from_slice(&verdict.encode_to_vec());
    Ok(PutPayload::from_iter([head.freeze(), content]))
}

/// Reads an object.
pub(crate) fn read(path: &str, mut bytes: Bytes) -> Result<Copy, QuarantineError> {
    let damaged = |problem: String| QuarantineError::Damaged {
        path: path.to_owned(),
        problem,
    };
    if bytes.len() < MAGIC.len() + 8 || !bytes.starts_with(MAGIC) {
        return Err(damaged("it does not begin as a copy does".to_owned()));
    }
    bytes.advance(MAGIC.len());
    let lengths = [bytes.get_u32() as usize, bytes.get_u32() as usize];
    if lengths[0].saturating_add(lengths[1]) > bytes.len() {
        return Err(damaged("it is cut off".to_owned()));
    }
    let transaction = pb::Transaction::decode(bytes.split_to(lengths[0]))
        .map_err(|error| damaged(error.to_string()))?;
    let verdict = pb::Verdict::decode(bytes.split_to(lengths[1]))
        .map_err(|error| damaged(error.to_string()))?;
    Ok(Copy {
        transaction: transaction
            .try_into()
            .map_err(|error: millrace_proto::InvalidMessage| damaged(error.to_string()))?,
        verdict: verdict
            .try_into()
            .map_err(|error: millrace_proto::InvalidMessage| damaged(error.to_string()))?,
        content: bytes,
    })
}
