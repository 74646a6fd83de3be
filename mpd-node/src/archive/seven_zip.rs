//! 7z archives (7zFormat.txt): the list of files in the header at their end, which is mostly itself compressed (LZMA) and
//! may be encrypted. The files' content is not looked into.

use std::io::{BufReader, Read};

use lzma_rs::decompress::{Options, UnpackedSize};

use super::{Found, Lister, Nested, Unlisted};

/// A larger header is not read.
const MAX_HEADER: u64 = 4 << 20;
/// Headers within headers.
const MAX_LAYERS: usize = 4;
/// Streams, folders or files counted in one header; more are damage.
const MAX_COUNT: u64 = 100_000;

/// Coders of one folder, and streams of one coder.
const MAX_CODERS: u64 = 8;

/// Property identifiers.
const END: u8 = 0x00;
const HEADER: u8 = 0x01;
const MAIN_STREAMS: u8 = 0x04;
const FILES: u8 = 0x05;
const PACK_INFO: u8 = 0x06;
const UNPACK_INFO: u8 = 0x07;
const SUBSTREAMS: u8 = 0x08;
const SIZE: u8 = 0x09;
const CRC: u8 = 0x0a;
const FOLDER: u8 = 0x0b;
const CODERS_UNPACK_SIZE: u8 = 0x0c;
const NUM_UNPACK_STREAM: u8 = 0x0d;
const EMPTY_STREAM: u8 = 0x0e;
const EMPTY_FILE: u8 = 0x0f;
const NAMES: u8 = 0x11;
const ENCODED_HEADER: u8 = 0x17;

/// Coder identifiers.
const COPY: &[u8] = &[0x00];
const LZMA: &[u8] = &[0x03, 0x01, 0x01];
const AES: &[u8] = &[0x06, 0xf1, 0x07, 0x01];

/// Lists a 7z archive.
pub(super) fn list(lister: &mut Lister<'_>, archive: &Nested) -> Result<(), Unlisted> {
    let content = archive.content.as_ref();
    let start = content.get(..32).ok_or(Unlisted::Damaged)?;
    let offset = u64_at(start, 12).ok_or(Unlisted::Damaged)?;
    let size = u64_at(start, 20).ok_or(Unlisted::Damaged)?;
    if size == 0 {
        return Ok(());
    }
    // The header of a first volume lies in the last one.
    let mut header = range(content, 32, offset, size)
        .ok_or(Unlisted::Volume)?
        .to_vec();
    if header.len() as u64 > MAX_HEADER {
        return Err(Unlisted::Unsupported);
    }
    for _ in 0..MAX_LAYERS {
        match header.first() {
            Some(&HEADER) => return files(lister, archive, &header[1..]),
            Some(&ENCODED_HEADER) => header = decode(content, &header[1..])?,
            _ => return Err(Unlisted::Damaged),
        }
    }
    Err(Unlisted::Damaged)
}

/// Decompresses a header that is stored as a stream.
fn decode(content: &[u8], bytes: &[u8]) -> Result<Vec<u8>, Unlisted> {
    let mut reader = Reader(bytes);
    let streams = Streams::parse(&mut reader).ok_or(Unlisted::Damaged)?;
    let folder = streams.folders.first().ok_or(Unlisted::Damaged)?;
    if folder.is_encrypted() {
        return Err(Unlisted::Encrypted);
    }
    let [coder] = folder.coders.as_slice() else {
        return Err(Unlisted::Unsupported);
    };
    let packed_size = *streams.packed.first().ok_or(Unlisted::Damaged)?;
    let packed = range(content, 32, streams.position, packed_size).ok_or(Unlisted::Damaged)?;
    let size = *folder.sizes.first().ok_or(Unlisted::Damaged)?;
    if coder.id == COPY {
        return Ok(packed.to_vec());
    }
    if coder.id != LZMA || size > MAX_HEADER {
        return Err(Unlisted::Unsupported);
    }
    let &[properties, a, b, c, d] = coder.properties.as_slice() else {
        return Err(Unlisted::Damaged);
    };
    // No more of the dictionary than the output is ever used, so the rest need not be allocated.
    let dictionary = u64::from(u32::from_le_bytes([a, b, c, d])).min(size.max(4096)) as u32;
    let mut stream = vec![properties];
    stream.extend_from_slice(&dictionary.to_le_bytes());
    let mut input = BufReader::new(stream.as_slice().chain(packed));
    let options = Options {
        unpacked_size: UnpackedSize::UseProvided(Some(size)),
        memlimit: Some(MAX_HEADER as usize * 2),
        allow_incomplete: false,
    };
    let mut header = Vec::new();
    lzma_rs::lzma_decompress_with_options(&mut input, &mut header, &options)
        .map_err(|_| Unlisted::Damaged)?;
    Ok(header)
}

/// Lists the files that a plain header names.
fn files(lister: &mut Lister<'_>, archive: &Nested, header: &[u8]) -> Result<(), Unlisted> {
    let mut reader = Reader(header);
    let mut streams = Streams::default();
    loop {
        match reader.byte().ok_or(Unlisted::Damaged)? {
            MAIN_STREAMS => streams = Streams::parse(&mut reader).ok_or(Unlisted::Damaged)?,
            FILES => break,
            END => return Ok(()),
            // Archive properties and additional streams: not written by any known program.
            _ => return Err(Unlisted::Unsupported),
        }
    }
    let encrypted = streams.folders.iter().any(Folder::is_encrypted);
    let files = Files::parse(&mut reader).ok_or(Unlisted::Damaged)?;
    let packed: u64 = streams
        .packed
        .iter()
        .fold(0, |sum, size| sum.saturating_add(*size));
    let unpacked = streams
        .sizes
        .iter()
        .fold(0u64, |sum, size| sum.saturating_add(*size));
    lister.check_ratio(unpacked, packed);
    let mut sizes = streams.sizes.iter();
    let mut empty_files = files.empty_files.into_iter();
    for (at, name) in files.names.into_iter().enumerate() {
        let empty = files.empty_streams.get(at).copied().unwrap_or_default();
        // What has no content is a folder, unless it is said to be a file.
        if empty && !empty_files.next().unwrap_or_default() {
            continue;
        }
        let size = if empty {
            Some(0)
        } else {
            sizes.next().copied()
        };
        let found = Found {
            name: name.into_bytes(),
            size,
            compressed: None,
            encrypted: encrypted && !empty,
        };
        if !lister.add(archive, &found, None) {
            return Ok(());
        }
    }
    Ok(())
}

#[derive(Default)]
struct Streams {
    position: u64,
    packed: Vec<u64>,
    folders: Vec<Folder>,
    /// Unpacked size of each file that has content.
    sizes: Vec<u64>,
}

#[derive(Default)]
struct Folder {
    coders: Vec<Coder>,
    sizes: Vec<u64>,
    outputs: u64,
    bound: Vec<u64>,
    has_crc: bool,
}

struct Coder {
    id: Vec<u8>,
    properties: Vec<u8>,
}

#[derive(Default)]
struct Files {
    names: Vec<String>,
    empty_streams: Vec<bool>,
    empty_files: Vec<bool>,
}

impl Streams {
    fn parse(reader: &mut Reader<'_>) -> Option<Self> {
        let mut streams = Streams::default();
        loop {
            match reader.byte()? {
                END => break,
                PACK_INFO => streams.pack_info(reader)?,
                UNPACK_INFO => streams.unpack_info(reader)?,
                SUBSTREAMS => {
                    streams.substreams(reader)?;
                    return (reader.byte()? == END).then_some(streams);
                }
                _ => return None,
            }
        }
        streams.sizes = streams
            .folders
            .iter()
            .filter_map(Folder::unpacked_size)
            .collect();
        Some(streams)
    }

    fn pack_info(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        self.position = reader.number()?;
        let count = reader.count()?;
        loop {
            match reader.byte()? {
                END => return Some(()),
                SIZE => self.packed = (0..count).map(|_| reader.number()).collect::<Option<_>>()?,
                CRC => drop(reader.digests(count)?),
                _ => return None,
            }
        }
    }

    fn unpack_info(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        (reader.byte()? == FOLDER).then_some(())?;
        let count = reader.count()?;
        (reader.byte()? == 0).then_some(())?;
        self.folders = (0..count)
            .map(|_| Folder::parse(reader))
            .collect::<Option<_>>()?;
        (reader.byte()? == CODERS_UNPACK_SIZE).then_some(())?;
        for folder in &mut self.folders {
            folder.sizes = (0..folder.outputs)
                .map(|_| reader.number())
                .collect::<Option<_>>()?;
        }
        loop {
            match reader.byte()? {
                END => return Some(()),
                CRC => {
                    let defined = reader.digests(count)?;
                    self.folders
                        .iter_mut()
                        .zip(defined)
                        .for_each(|(folder, has)| folder.has_crc = has);
                }
                _ => return None,
            }
        }
    }

    fn substreams(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let mut counts = vec![1u64; self.folders.len()];
        let mut kind = reader.byte()?;
        if kind == NUM_UNPACK_STREAM {
            counts = (0..counts.len())
                .map(|_| reader.count())
                .collect::<Option<_>>()?;
            kind = reader.byte()?;
        }
        // Of the streams of one folder, the last one's size is what the others leave.
        let with_sizes = kind == SIZE;
        for (folder, count) in self.folders.iter().zip(&counts) {
            let mut left = folder.unpacked_size().unwrap_or_default();
            for _ in 1..*count {
                let size = if with_sizes { reader.number()? } else { 0 };
                left = left.saturating_sub(size);
                self.sizes.push(size);
                if self.sizes.len() as u64 > MAX_COUNT {
                    return None;
                }
            }
            if *count > 0 {
                self.sizes.push(left);
            }
        }
        if with_sizes {
            kind = reader.byte()?;
        }
        loop {
            match kind {
                END => return Some(()),
                CRC => {
                    let known = |(folder, count): (&Folder, &u64)| {
                        if *count == 1 && folder.has_crc {
                            0
                        } else {
                            *count
                        }
                    };
                    let unknown = self.folders.iter().zip(&counts).map(known).sum();
                    reader.digests(unknown)?;
                }
                _ => return None,
            }
            kind = reader.byte()?;
        }
    }
}

impl Folder {
    fn parse(reader: &mut Reader<'_>) -> Option<Self> {
        let mut folder = Folder::default();
        let mut inputs = 0u64;
        let coders = reader
            .number()
            .filter(|count| (1..=MAX_CODERS).contains(count))?;
        for _ in 0..coders {
            let flags = reader.byte()?;
            let id = reader.take(u64::from(flags & 0x0f))?.to_vec();
            let (ins, outs) = if flags & 0x10 != 0 {
                (reader.number()?, reader.number()?)
            } else {
                (1, 1)
            };
            (ins <= MAX_CODERS && outs <= MAX_CODERS).then_some(())?;
            let properties = if flags & 0x20 != 0 {
                let len = reader.number()?;
                reader.take(len)?.to_vec()
            } else {
                Vec::new()
            };
            inputs += ins;
            folder.outputs += outs;
            folder.coders.push(Coder { id, properties });
        }
        let pairs = folder.outputs.checked_sub(1)?;
        for _ in 0..pairs {
            reader.number()?;
            folder.bound.push(reader.number()?);
        }
        let packed = inputs.checked_sub(pairs)?;
        if packed > 1 {
            for _ in 0..packed {
                reader.number()?;
            }
        }
        Some(folder)
    }

    fn is_encrypted(&self) -> bool {
        self.coders.iter().any(|coder| coder.id == AES)
    }

    /// The size of the output that no other coder takes in.
    fn unpacked_size(&self) -> Option<u64> {
        let free = (0..self.outputs)
            .rev()
            .find(|output| !self.bound.contains(output))?;
        self.sizes.get(usize::try_from(free).ok()?).copied()
    }
}

impl Files {
    fn parse(reader: &mut Reader<'_>) -> Option<Self> {
        let count = reader.count()?;
        let mut files = Files::default();
        loop {
            let kind = reader.byte()?;
            if kind == END {
                return Some(files);
            }
            let len = reader.number()?;
            let mut property = Reader(reader.take(len)?);
            match kind {
                NAMES => {
                    // Names in a stream of their own are not written by any known program.
                    (property.byte()? == 0).then_some(())?;
                    files.names = (0..count).map(|_| property.name()).collect::<Option<_>>()?;
                }
                EMPTY_STREAM => files.empty_streams = property.bits(count)?,
                EMPTY_FILE => {
                    let empty = files.empty_streams.iter().filter(|empty| **empty).count();
                    files.empty_files = property.bits(empty as u64)?;
                }
                _ => {}
            }
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    fn take(&mut self, len: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(len).ok()?)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number whose first byte says, by its leading ones, how many follow.
    fn number(&mut self) -> Option<u64> {
        let first = self.byte()?;
        let following = first.leading_ones();
        let mut value = 0u64;
        for at in 0..following {
            value |= u64::from(self.byte()?) << (8 * at);
        }
        if following < 7 {
            value |= u64::from(first & (0x7f >> following)) << (8 * following);
        }
        Some(value)
    }

    /// A number of things, each of which is at least one bit of what follows.
    fn count(&mut self) -> Option<u64> {
        self.number().filter(|count| *count <= MAX_COUNT)
    }

    fn bits(&mut self, count: u64) -> Option<Vec<bool>> {
        let bytes = self.take(count.div_ceil(8))?;
        let bit = |at: u64| bytes[(at / 8) as usize] & (0x80 >> (at % 8)) != 0;
        Some((0..count).map(bit).collect())
    }

    /// Which of `count` checksums are there; the checksums are skipped.
    fn digests(&mut self, count: u64) -> Option<Vec<bool>> {
        let defined = if self.byte()? == 0 {
            self.bits(count)?
        } else {
            vec![true; usize::try_from(count).ok()?]
        };
        let there = defined.iter().filter(|defined| **defined).count() as u64;
        self.take(there.checked_mul(4)?)?;
        Some(defined)
    }

    /// A name in UTF-16 that ends with a NUL.
    fn name(&mut self) -> Option<String> {
        let end = self.0.chunks_exact(2).position(|unit| unit == [0, 0])?;
        let units = self
            .take(end as u64 * 2)?
            .chunks_exact(2)
            .map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
        let name = char::decode_utf16(units)
            .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect();
        self.take(2)?;
        Some(name)
    }
}

fn range(content: &[u8], base: u64, offset: u64, len: u64) -> Option<&[u8]> {
    let start = usize::try_from(base.checked_add(offset)?).ok()?;
    let end = start.checked_add(usize::try_from(len).ok()?)?;
    content.get(start..end)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}
