//! The content of files in etcd: pieces of 1 MiB, each compressed, by the hash of the whole.

use std::io::{Read, Write};
use std::sync::Arc;

use etcd_client::GetOptions;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use super::manifest::hash;
use super::store::PolicyError;
use crate::etcd::Etcd;

/// Below this key, without the prefix.
pub(super) const PARTS: &str = "policy/part/";
/// A piece before it is compressed. etcd takes requests of up to 1.5 MiB. Part of the format: the pieces of a content
/// that is there already must be those that would be written now.
const PIECE: usize = 1 << 20;
/// No file of a policy is larger, and no content is unpacked further. Bytes.
const LARGEST: usize = 64 << 20;

/// The key of the n-th piece of so many.
fn key(hash: &str, n: usize, count: usize) -> String {
    format!("{PARTS}{hash}/{n:04}.{count:04}")
}

/// The hash in a piece's key.
pub(super) fn hash_in(key: &str) -> Option<&str> {
    key.split_once(PARTS)?.1.split('/').next()
}

/// Writes the pieces of a content that are not there yet. How many there were to write.
pub(super) async fn write(etcd: &Etcd, content: &str) -> Result<usize, PolicyError> {
    let hash = hash(content.as_bytes());
    let there = keys(etcd, &hash).await?;
    // An empty file is one empty piece: it is there, or not.
    let pieces: Vec<&[u8]> = match content.as_bytes() {
        [] => vec![&[]],
        bytes => bytes.chunks(PIECE).collect(),
    };
    let mut written = 0;
    for (n, piece) in pieces.iter().enumerate() {
        let key = etcd.key(&key(&hash, n, pieces.len()));
        if there.contains(&key) {
            continue;
        }
        etcd.put(&key, &packed(piece)).await?;
        written += 1;
    }
    Ok(written)
}

/// A content by its hash.
pub(super) async fn read(etcd: &Etcd, wanted: &str) -> Result<Arc<str>, PolicyError> {
    let keys = keys(etcd, wanted).await?;
    let count = keys
        .first()
        .and_then(|key| key.rsplit_once('.')?.1.parse::<usize>().ok())
        .ok_or_else(|| PolicyError::Missing(format!("the part {wanted}")))?;
    let mut pieces = Vec::new();
    for n in 0..count {
        let key = etcd.key(&key(wanted, n, count));
        let piece = etcd
            .get(&key)
            .await?
            .ok_or_else(|| PolicyError::Missing(format!("a piece of the part {wanted}")))?;
        pieces.push(piece.into_key_value().1);
    }
    let name = wanted.to_owned();
    // Tens of milliseconds for a large list: not on a thread that serves mail.
    tokio::task::spawn_blocking(move || unpacked(&pieces, &name))
        .await
        .unwrap_or_else(|_| Err("unpacking it panicked".to_owned()))
        .map_err(|problem| PolicyError::Broken {
            what: format!("the part {wanted}"),
            problem,
        })
}

fn unpacked(pieces: &[Vec<u8>], wanted: &str) -> Result<Arc<str>, String> {
    let mut content = Vec::new();
    for piece in pieces {
        DeflateDecoder::new(piece.as_slice())
            .take(PIECE as u64 + 1)
            .read_to_end(&mut content)
            .map_err(|error| format!("it cannot be unpacked: {error}"))?;
        if content.len() > LARGEST {
            return Err("it is larger than 64 MiB".to_owned());
        }
    }
    if hash(&content) != wanted {
        return Err("its content has another hash".to_owned());
    }
    String::from_utf8(content)
        .map(Arc::from)
        .map_err(|_| "it is not UTF-8".to_owned())
}

async fn keys(etcd: &Etcd, hash: &str) -> Result<Vec<String>, PolicyError> {
    let options = GetOptions::new().with_prefix().with_keys_only();
    let below = etcd.key(&format!("{PARTS}{hash}/"));
    let mut response = etcd.range(&below, Some(options)).await?;
    Ok(response
        .take_kvs()
        .into_iter()
        .map(|entry| String::from_utf8_lossy(entry.key()).into_owned())
        .collect())
}

fn packed(piece: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder
        .write_all(piece)
        .and_then(|()| encoder.finish())
        .expect("writing to memory does not fail")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_fits_into_a_request_whatever_it_holds() {
        // What cannot be compressed: a xorshift's bytes.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let noise: Vec<u8> = (0..PIECE)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()[0]
            })
            .collect();
        assert!(packed(&noise).len() < 1_400_000);
    }

    #[test]
    fn a_key_names_its_content() {
        let some = hash(b"x");
        assert_eq!(
            hash_in(&format!("/millrace/{}", key(&some, 1, 2))),
            Some(some.as_str())
        );
    }

    #[test]
    fn what_was_changed_is_not_taken() {
        let name = hash(b"some");
        let good = packed(b"some");
        assert_eq!(&*unpacked(&[good], &name).unwrap(), "some");
        for pieces in [vec![packed(b"same")], vec![b"\xff?".to_vec()], vec![]] {
            assert!(unpacked(&pieces, &name).is_err());
        }
    }
}
