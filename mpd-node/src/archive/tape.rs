//! Tape archives (POSIX ustar and pax, GNU).

use std::io::Cursor;

use super::{Found, Kind, Lister, Nested, Unlisted};
use crate::request::real_type;

/// Lists a tape archive.
pub(super) fn list(lister: &mut Lister<'_>, archive: &Nested) -> Result<(), Unlisted> {
    let mut reader = tar::Archive::new(Cursor::new(archive.content.as_ref()));
    let entries = reader.entries_with_seek().map_err(|_| Unlisted::Damaged)?;
    for entry in entries {
        let entry = entry.map_err(|_| Unlisted::Damaged)?;
        if entry.header().entry_type().is_dir() {
            continue;
        }
        let start = usize::try_from(entry.raw_file_position()).map_err(|_| Unlisted::Damaged)?;
        let size = entry.size();
        let end = usize::try_from(size)
            .ok()
            .and_then(|size| start.checked_add(size));
        let content = match end.filter(|end| *end <= archive.content.len()) {
            Some(end) => archive.content.slice(start..end),
            None => archive.content.slice(start.min(archive.content.len())..),
        };
        let found = Found {
            name: entry.path_bytes().into_owned(),
            size: Some(size),
            compressed: Some(size),
            encrypted: false,
        };
        let real = real_type::of(&content[..content.len().min(real_type::HEAD)]);
        if !lister.add(archive, &found, Some(real)) {
            return Ok(());
        }
        if let Some(kind) = Kind::of(&content)
            && lister.may_descend(archive)
        {
            lister.descend(archive, kind, content, &found.name);
        }
    }
    Ok(())
}
