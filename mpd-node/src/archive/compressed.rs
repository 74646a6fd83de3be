//! One compressed file: gzip (RFC 1952) and bzip2.

use std::io::Read;

use bzip2::read::MultiBzDecoder;
use flate2::read::MultiGzDecoder;

use super::{Found, Kind, Lister, Nested, Unlisted};
use crate::request::real_type;

/// Lists a gzip file: its one entry, or the tape archive in it.
pub(super) fn list_gzip(lister: &mut Lister<'_>, archive: &Nested) -> Result<(), Unlisted> {
    let decoder = MultiGzDecoder::new(archive.content.as_ref());
    let name = decoder
        .header()
        .and_then(flate2::GzHeader::filename)
        .map(<[u8]>::to_vec);
    list(lister, archive, decoder, name.unwrap_or_default())
}

/// Lists a bzip2 file: its one entry, or the tape archive in it.
pub(super) fn list_bzip2(lister: &mut Lister<'_>, archive: &Nested) -> Result<(), Unlisted> {
    list(
        lister,
        archive,
        MultiBzDecoder::new(archive.content.as_ref()),
        Vec::new(),
    )
}

fn list(
    lister: &mut Lister<'_>,
    archive: &Nested,
    decoder: impl Read,
    name: Vec<u8>,
) -> Result<(), Unlisted> {
    let packed = archive.content.len() as u64;
    let unpacked = lister.budget.unpack(decoder, packed);
    if unpacked.damaged && unpacked.content.is_empty() {
        return Err(Unlisted::Damaged);
    }
    if unpacked.damaged {
        lister.unlisted(Unlisted::Damaged);
    }
    let kind = Kind::of(&unpacked.content);
    let content = &unpacked.content;
    let real = real_type::of(&content[..content.len().min(real_type::HEAD)]);
    // A compressed tape archive is one archive to its reader: neither an entry nor a level of its own.
    if kind == Some(Kind::Tar) {
        let tar = Nested {
            kind: Kind::Tar,
            content: unpacked.content,
            path: archive.path.clone(),
            depth: archive.depth,
        };
        lister.queue.push_back(tar);
        return Ok(());
    }
    let found = Found {
        size: unpacked.complete.then_some(content.len() as u64),
        compressed: Some(packed),
        encrypted: false,
        name,
    };
    lister.add(archive, &found, Some(real));
    if let Some(kind) = kind
        && lister.may_descend(archive)
    {
        lister.descend(archive, kind, unpacked.content, &found.name);
    }
    Ok(())
}
