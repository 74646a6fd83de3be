//! A copy as one object: `MRQ1`, then transaction, verdict (each with its length before it) and content.
//!
//! Lengths are 4 bytes, most significant first; transaction and verdict are messages of the contract, so that
//! addresses and findings are kept byte for byte.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use millrace_proto::{Transaction, Verdict, pb};
use prost::Message as _;

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

/// The name of a message's copy: the BLAKE3 hash of client, envelope and content, each with its length, in
/// hexadecimal.
pub(crate) fn hash(transaction: &Transaction, content: &[u8]) -> String {
    let mut hash = blake3::Hasher::new();
    let mut part = |bytes: &[u8]| {
        hash.update(&(bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    part(transaction.client.as_str().as_bytes());
    part(&pb::Envelope::from(transaction.envelope.clone()).encode_to_vec());
    part(content);
    hash.finalize().to_hex().to_string()
}

/// The object's bytes, head and content; the content is not copied.
pub(crate) fn write(
    transaction: &Transaction,
    verdict: &Verdict,
    content: Bytes,
) -> Result<Vec<Bytes>, QuarantineError> {
    let transaction = pb::Transaction::from(transaction.clone());
    let verdict = pb::Verdict::from(verdict.clone());
    let mut head = BytesMut::new();
    head.put_slice(MAGIC);
    for length in [transaction.encoded_len(), verdict.encoded_len()] {
        head.put_u32(u32::try_from(length).map_err(|_| QuarantineError::TooLarge)?);
    }
    // A buffer that grows takes everything.
    transaction
        .encode(&mut head)
        .and_then(|()| verdict.encode(&mut head))
        .map_err(|_| QuarantineError::TooLarge)?;
    Ok(vec![head.freeze(), content])
}

/// Bytes at an object's beginning that are enough for [`read_transaction`], unless an envelope is very long.
pub(crate) const BEGINNING: u64 = 64 << 10;

/// The transaction, of an object's beginning; `None` when more must be read.
pub(crate) fn read_transaction(
    path: &str,
    mut bytes: Bytes,
) -> Result<Option<Transaction>, QuarantineError> {
    let [length, _] = lengths(path, &mut bytes)?;
    if length > bytes.len() {
        return Ok(None);
    }
    transaction(path, bytes.split_to(length)).map(Some)
}

/// Reads an object.
pub(crate) fn read(path: &str, mut bytes: Bytes) -> Result<Copy, QuarantineError> {
    let damaged = |problem: String| damaged(path, problem);
    let lengths = lengths(path, &mut bytes)?;
    if lengths[0].saturating_add(lengths[1]) > bytes.len() {
        return Err(damaged("it is cut off".to_owned()));
    }
    let transaction = transaction(path, bytes.split_to(lengths[0]))?;
    let verdict = pb::Verdict::decode(bytes.split_to(lengths[1]))
        .map_err(|error| damaged(error.to_string()))?;
    Ok(Copy {
        transaction,
        verdict: verdict
            .try_into()
            .map_err(|error: millrace_proto::InvalidMessage| damaged(error.to_string()))?,
        content: bytes,
    })
}

/// Takes the lengths of transaction and verdict off the beginning.
fn lengths(path: &str, bytes: &mut Bytes) -> Result<[usize; 2], QuarantineError> {
    if bytes.len() < MAGIC.len() + 8 || !bytes.starts_with(MAGIC) {
        return Err(damaged(path, "it does not begin as a copy does".to_owned()));
    }
    bytes.advance(MAGIC.len());
    Ok([bytes.get_u32() as usize, bytes.get_u32() as usize])
}

fn transaction(path: &str, bytes: Bytes) -> Result<Transaction, QuarantineError> {
    let decoded =
        pb::Transaction::decode(bytes).map_err(|error| damaged(path, error.to_string()))?;
    decoded
        .try_into()
        .map_err(|error: millrace_proto::InvalidMessage| damaged(path, error.to_string()))
}

fn damaged(path: &str, problem: String) -> QuarantineError {
    QuarantineError::Damaged {
        path: path.to_owned(),
        problem,
    }
}
