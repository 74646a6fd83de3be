//! Zip archives as no honest program writes them.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::DeflateEncoder;

/// An entry of an archive.
#[derive(Clone)]
pub(crate) struct Entry {
    name: String,
    packed: Vec<u8>,
    method: u16,
    unpacked: u32,
}

impl Entry {
    pub(crate) fn stored(name: impl Into<String>, content: &[u8]) -> Self {
        Self {
            name: name.into(),
            packed: content.to_vec(),
            method: 0,
            unpacked: u32::try_from(content.len()).expect("it is small"),
        }
    }

    /// Zeros, packed about 1 : 1000.
    pub(crate) fn zeros(name: impl Into<String>, count: u32) -> Self {
        Self {
            name: name.into(),
            packed: deflated_zeros(count),
            method: 8,
            unpacked: count,
        }
    }

    /// The same, with a lie about its size.
    pub(crate) fn claiming(mut self, unpacked: u32) -> Self {
        self.unpacked = unpacked;
        self
    }

    fn put_common(&self, out: &mut Vec<u8>) {
        // Version needed, flags, method, time, date, CRC.
        for word in [20, 0, self.method, 0, 0, 0, 0] {
            out.extend(word.to_le_bytes());
        }
        out.extend(length(&self.packed).to_le_bytes());
        out.extend(self.unpacked.to_le_bytes());
        out.extend(
            u16::try_from(self.name.len())
                .expect("a short name")
                .to_le_bytes(),
        );
        out.extend(0_u16.to_le_bytes());
    }
}

fn deflated_zeros(count: u32) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    let block = vec![0; 1 << 16];
    let mut left = count as usize;
    while left > 0 {
        let now = left.min(block.len());
        encoder.write_all(&block[..now]).expect("memory takes it");
        left -= now;
    }
    encoder.finish().expect("memory takes it")
}

/// An archive of these entries.
pub(crate) fn archive(entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::new();
    let places: Vec<u32> = entries
        .iter()
        .map(|entry| put_local(entry, &mut out))
        .collect();
    let listed: Vec<_> = entries.iter().zip(places).collect();
    finish(out, &listed)
}

/// An archive whose listing has one entry's data `count` times: small, and large when unpacked.
pub(crate) fn overlapping(entry: &Entry, count: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let place = put_local(entry, &mut out);
    let renamed: Vec<Entry> = (0..count)
        .map(|n| Entry {
            name: format!("{n}"),
            ..entry.clone()
        })
        .collect();
    let listed: Vec<_> = renamed.iter().map(|entry| (entry, place)).collect();
    finish(out, &listed)
}

fn put_local(entry: &Entry, out: &mut Vec<u8>) -> u32 {
    let place = length(out);
    out.extend(b"PK\x03\x04");
    entry.put_common(out);
    out.extend(entry.name.as_bytes());
    out.extend(&entry.packed);
    place
}

fn finish(mut out: Vec<u8>, listed: &[(&Entry, u32)]) -> Vec<u8> {
    let start = length(&out);
    for (entry, place) in listed {
        out.extend(b"PK\x01\x02\x14\x00");
        entry.put_common(&mut out);
        // Comment, disk, attributes.
        out.extend([0; 10]);
        out.extend(place.to_le_bytes());
        out.extend(entry.name.as_bytes());
    }
    let size = length(&out) - start;
    // More than this field holds is left to the reader's suspicion.
    let count = u16::try_from(listed.len()).unwrap_or(u16::MAX);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend(count.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend(size.to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0; 2]);
    out
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("below 4 GiB")
}
