//! Zip archives (APPNOTE.TXT), by their central directory, compared with the files' own headers.

use bytes::Bytes;
use flate2::read::DeflateDecoder;
use rawzip::{CompressionMethod, ZipArchive, ZipFileHeaderRecord, ZipSliceArchive};

use super::{ArchiveDefect, Found, Kind, Lister, Nested, SNIFF, Unlisted};
use crate::request::real_type;

/// Lists a zip archive.
pub(super) fn list(lister: &mut Lister<'_>, archive: &Nested) -> Result<(), Unlisted> {
    let zip = ZipArchive::from_slice(archive.content.as_ref()).map_err(|_| Unlisted::Damaged)?;
    if zip.end_offset() < archive.content.len() as u64 {
        lister.defect(ArchiveDefect::Appended);
    }
    let mut walk = Walk::default();
    let mut entries = zip.entries();
    loop {
        let entry = match entries.next_entry() {
            Ok(Some(entry)) => entry,
            Ok(None) => break,
            Err(_) => {
                lister.unlisted(Unlisted::Damaged);
                break;
            }
        };
        walk.count += 1;
        walk.unpacked = walk.unpacked.saturating_add(entry.uncompressed_size_hint());
        if !walk.entry(lister, archive, &zip, &entry) {
            return Ok(());
        }
    }
    if walk.count != zip.entries_hint() {
        lister.defect(ArchiveDefect::CountMismatch);
    }
    if walk.overlaps() {
        lister.defect(ArchiveDefect::Overlap);
    }
    if walk
        .ranges
        .iter()
        .map(|(start, _)| *start)
        .min()
        .is_some_and(|first| first > 0)
    {
        lister.defect(ArchiveDefect::Prepended);
    }
    lister.check_ratio(walk.unpacked, archive.content.len() as u64);
    Ok(())
}

#[derive(Default)]
struct Walk {
    count: u64,
    /// What all entries say that they unpack to.
    unpacked: u64,
    /// Where each entry's local header and compressed bytes lie.
    ranges: Vec<(u64, u64)>,
}

impl Walk {
    /// Lists one entry; `false` once the listing is full.
    fn entry(
        &mut self,
        lister: &mut Lister<'_>,
        archive: &Nested,
        zip: &ZipSliceArchive<&[u8]>,
        entry: &ZipFileHeaderRecord<'_>,
    ) -> bool {
        let found = Found {
            name: entry.file_path().as_bytes().to_vec(),
            size: Some(entry.uncompressed_size_hint()),
            compressed: Some(entry.compressed_size_hint()),
            encrypted: entry.flags().is_encrypted(),
        };
        let Ok(local) = zip.get_entry(entry.wayfinder()) else {
            lister.unlisted(Unlisted::Damaged);
            return entry.is_dir() || lister.add(archive, &found, None);
        };
        let header = local.local_header();
        if header.file_path().as_bytes() != found.name
            || header.flags().is_encrypted() != found.encrypted
            || header.compression_method() != entry.compression_method()
        {
            lister.defect(ArchiveDefect::HeaderMismatch);
        }
        self.ranges
            .push((entry.local_header_offset(), local.compressed_data_range().1));
        lister.check_ratio(entry.uncompressed_size_hint(), entry.compressed_size_hint());
        if entry.is_dir() && entry.uncompressed_size_hint() == 0 {
            return true;
        }
        let method = entry.compression_method();
        let readable = method == CompressionMethod::STORE || method == CompressionMethod::DEFLATE;
        if found.encrypted || !readable || !lister.may_sniff() {
            if !found.encrypted && !readable {
                lister.unlisted(Unlisted::Unsupported);
            }
            return lister.add(archive, &found, None);
        }
        let data = local.data();
        let head = if method == CompressionMethod::STORE {
            data[..data.len().min(SNIFF)].to_vec()
        } else {
            lister.budget.head(DeflateDecoder::new(data), SNIFF)
        };
        if !lister.add(archive, &found, Some(real_type::of(&head))) {
            return false;
        }
        if let Some(kind) = Kind::of(&head)
            && lister.may_descend(archive)
        {
            let (content, damaged) = unpack(lister, archive, data, method);
            if damaged {
                lister.unlisted(Unlisted::Damaged);
            }
            lister.descend(archive, kind, content, &found.name);
        }
        true
    }

    fn overlaps(&mut self) -> bool {
        self.ranges.sort_unstable();
        self.ranges.windows(2).any(|pair| pair[0].1 > pair[1].0)
    }
}

fn unpack(
    lister: &mut Lister<'_>,
    archive: &Nested,
    data: &[u8],
    method: CompressionMethod,
) -> (Bytes, bool) {
    if method == CompressionMethod::STORE {
        return (archive.content.slice_ref(data), false);
    }
    let unpacked = lister
        .budget
        .unpack(DeflateDecoder::new(data), data.len() as u64);
    (unpacked.content, unpacked.damaged)
}
