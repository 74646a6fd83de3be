//! RAR archives, by their block headers alone: names, sizes and encryption. The compression is proprietary, so nothing
//! in them is looked into.
//!
//! Layouts: the RAR 5.0 archive format note (rarlab.com/technote.htm), and technote.txt of RAR 4.

use super::{Found, Lister, Nested, Unlisted};

/// RAR 4 block types.
const RAR4_MAIN: u8 = 0x73;
const RAR4_FILE: u8 = 0x74;
const RAR4_END: u8 = 0x7b;

/// RAR 5 block types.
const RAR5_MAIN: u64 = 1;
const RAR5_FILE: u64 = 2;
const RAR5_ENCRYPTION: u64 = 4;
const RAR5_END: u64 = 5;

/// The extra record of a file that is encrypted.
const RAR5_FILE_ENCRYPTION: u64 = 1;

/// Lists a RAR archive of version 1.5 to 4.
pub(super) fn list_rar4(lister: &mut Lister<'_>, archive: &Nested) -> Result<(), Unlisted> {
    let mut rest = archive.content.get(7..).ok_or(Unlisted::Damaged)?;
    let mut listed = false;
    while !rest.is_empty() {
        let Some(block) = Rar4Block::parse(rest) else {
            return Err(Unlisted::Damaged);
        };
        match block.kind {
            RAR4_MAIN => {
                // Encrypted block headers: nothing after this one can be read.
                if block.flags & 0x0080 != 0 {
                    return Err(Unlisted::Encrypted);
                }
                if block.flags & 0x0001 != 0 {
                    lister.unlisted(Unlisted::Volume);
                }
            }
            RAR4_FILE => {
                listed = true;
                let found = block.file().ok_or(Unlisted::Damaged)?;
                let is_dir = block.flags & 0x00e0 == 0x00e0;
                if let Some(size) = found.size {
                    lister.check_ratio(size, found.compressed.unwrap_or_default());
                }
                if !is_dir && !lister.add(archive, &found, None) {
                    return Ok(());
                }
            }
            RAR4_END => return Ok(()),
            _ => {}
        }
        rest = rest.get(block.len..).ok_or(Unlisted::Damaged)?;
    }
    if listed {
        Ok(())
    } else {
        Err(Unlisted::Damaged)
    }
}

struct Rar4Block<'a> {
    kind: u8,
    flags: u16,
    header: &'a [u8],
    /// Of header and data.
    len: usize,
}

impl<'a> Rar4Block<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let kind = *bytes.get(2)?;
        let flags = u16_at(bytes, 3)?;
        let header_len = usize::from(u16_at(bytes, 5)?);
        let header = bytes.get(..header_len).filter(|header| header.len() >= 7)?;
        let has_data = flags & 0x8000 != 0 || kind == RAR4_FILE;
        let mut data = if has_data {
            u64::from(u32_at(header, 7)?)
        } else {
            0
        };
        if kind == RAR4_FILE && flags & 0x0100 != 0 {
            data |= u64::from(u32_at(header, 32)?) << 32;
        }
        let len = header_len.checked_add(usize::try_from(data).ok()?)?;
        Some(Rar4Block {
            kind,
            flags,
            header,
            len,
        })
    }

    fn file(&self) -> Option<Found> {
        let large = self.flags & 0x0100 != 0;
        let high = |at| {
            if large {
                Some(u64::from(u32_at(self.header, at)?) << 32)
            } else {
                Some(0)
            }
        };
        let compressed = u64::from(u32_at(self.header, 7)?) | high(32)?;
        let size = u64::from(u32_at(self.header, 11)?) | high(36)?;
        let name_len = usize::from(u16_at(self.header, 26)?);
        let name_at = if large { 40 } else { 32 };
        let name = self.header.get(name_at..name_at + name_len)?;
        // With a Unicode name, a plain one stands before it, up to a NUL.
        let name = name.split(|b| *b == 0).next().unwrap_or(name);
        Some(Found {
            name: name.to_vec(),
            size: Some(size),
            compressed: Some(compressed),
            encrypted: self.flags & 0x0004 != 0,
        })
    }
}

/// Lists a RAR archive of version 5 or later.
pub(super) fn list_rar5(lister: &mut Lister<'_>, archive: &Nested) -> Result<(), Unlisted> {
    let mut rest = archive.content.get(8..).ok_or(Unlisted::Damaged)?;
    let mut listed = false;
    while !rest.is_empty() {
        let Some(block) = Rar5Block::parse(rest) else {
            return Err(Unlisted::Damaged);
        };
        match block.kind {
            RAR5_MAIN => {
                let volume = Varints(block.fields)
                    .next()
                    .is_some_and(|flags| flags & 1 != 0);
                if volume {
                    lister.unlisted(Unlisted::Volume);
                }
            }
            RAR5_ENCRYPTION => return Err(Unlisted::Encrypted),
            RAR5_FILE => {
                listed = true;
                let (found, is_dir) = block.file().ok_or(Unlisted::Damaged)?;
                if let Some(size) = found.size {
                    lister.check_ratio(size, found.compressed.unwrap_or_default());
                }
                if !is_dir && !lister.add(archive, &found, None) {
                    return Ok(());
                }
            }
            RAR5_END => return Ok(()),
            _ => {}
        }
        rest = rest.get(block.len..).ok_or(Unlisted::Damaged)?;
    }
    if listed {
        Ok(())
    } else {
        Err(Unlisted::Damaged)
    }
}

struct Rar5Block<'a> {
    kind: u64,
    /// The fields that belong to this type of block.
    fields: &'a [u8],
    extra: &'a [u8],
    data: u64,
    /// Of header and data.
    len: usize,
}

impl<'a> Rar5Block<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut size = Varints(bytes.get(4..)?);
        let header_len = usize::try_from(size.next()?).ok()?;
        let header = size
            .0
            .get(..header_len)
            .filter(|header| !header.is_empty())?;
        let prefix = bytes.len() - size.0.len();
        let mut varints = Varints(header);
        let (kind, flags) = (varints.next()?, varints.next()?);
        let extra_len = if flags & 1 != 0 {
            usize::try_from(varints.next()?).ok()?
        } else {
            0
        };
        let data = if flags & 2 != 0 { varints.next()? } else { 0 };
        let split = varints.0.len().checked_sub(extra_len)?;
        let (fields, extra) = varints.0.split_at(split);
        let len = prefix
            .checked_add(header_len)?
            .checked_add(usize::try_from(data).ok()?)?;
        Some(Rar5Block {
            kind,
            fields,
            extra,
            data,
            len,
        })
    }

    /// The file, and whether it is a folder.
    fn file(&self) -> Option<(Found, bool)> {
        let mut varints = Varints(self.fields);
        let (flags, size, _attributes) = (varints.next()?, varints.next()?, varints.next()?);
        let skipped = if flags & 2 != 0 { 4 } else { 0 } + if flags & 4 != 0 { 4 } else { 0 };
        varints.0 = varints.0.get(skipped..)?;
        let (_compression, _system, name_len) = (varints.next()?, varints.next()?, varints.next()?);
        let name = varints.0.get(..usize::try_from(name_len).ok()?)?;
        let found = Found {
            name: name.to_vec(),
            size: (flags & 8 == 0).then_some(size),
            compressed: Some(self.data),
            encrypted: self.has_extra(RAR5_FILE_ENCRYPTION),
        };
        Some((found, flags & 1 != 0))
    }

    fn has_extra(&self, wanted: u64) -> bool {
        let mut rest = self.extra;
        while !rest.is_empty() {
            let mut size = Varints(rest);
            let record = size
                .next()
                .and_then(|len| size.0.get(..usize::try_from(len).ok()?))
                .filter(|r| !r.is_empty());
            let Some(record) = record else {
                return false;
            };
            if Varints(record).next() == Some(wanted) {
                return true;
            }
            rest = &size.0[record.len()..];
        }
        false
    }
}

/// Numbers of seven bits a byte, the lowest first.
struct Varints<'a>(&'a [u8]);

impl Iterator for Varints<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for (at, byte) in self.0.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7f)
                .checked_shl(7 * at as u32)
                .unwrap_or_default();
            if byte & 0x80 == 0 {
                self.0 = &self.0[at + 1..];
                return Some(value);
            }
        }
        None
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
