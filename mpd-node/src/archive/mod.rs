//! What is in an archive, without unpacking it: names, sizes, encryption, and archives within archives.
//!
//! Nothing is written to disk, and nothing is allocated by a size that the input states. Only what is needed to look
//! further in is decompressed, in memory, against one budget for the whole attachment. Nested archives wait in a queue,
//! not on the stack. What cannot be looked into is said to be so: [`Unlisted`].

mod bounded;
mod compressed;
mod rar;
mod seven_zip;
mod tape;
mod zip;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use bytes::Bytes;

use self::bounded::Budget;
use crate::request::{
    LimitHit, LimitSet, Limits,
    real_type::{self, RealType},
};

/// Entries of one attachment that are decompressed a little to learn their real type; the rest have none.
const MAX_SNIFFED: usize = 1000;
/// Bytes of an entry that are looked at.
const SNIFF: usize = 4096;

/// A format that is recognised as an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Zip, and what is zip by convention (OOXML, JAR, ...).
    Zip,
    /// One file, compressed by gzip.
    Gzip,
    /// One file, compressed by bzip2.
    Bzip2,
    /// A tape archive.
    Tar,
    /// RAR 1.5 to 4.
    Rar4,
    /// RAR 5 and later.
    Rar5,
    /// 7-Zip.
    SevenZip,
    /// A format whose listing is not supported; the name is that of its [`RealType`].
    Other(&'static str),
}

/// What an attachment that is an archive contains.
#[derive(Debug)]
pub struct Listing {
    /// The format of the attachment itself.
    pub kind: Kind,
    /// The files in it and in the archives in it, folders left out.
    pub entries: Vec<Entry>,
    /// Some entry, or the list of entries, needs a password.
    pub encrypted: bool,
    /// Some entry is an archive itself.
    pub nested: bool,
    /// Archives within archives that were opened; 1 is the attachment.
    pub depth: usize,
    /// Why some part of it could not be listed, each reason once.
    pub unlisted: Vec<Unlisted>,
    /// What is wrong with it, each defect once.
    pub defects: Vec<ArchiveDefect>,
    /// Bounds that were reached.
    pub limits: LimitSet,
}

/// One file in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path, with `/`; behind the path of the archive that it is in, where that is nested. Not valid UTF-8 becomes
    /// U+FFFD.
    pub name: String,
    /// Bytes it says it unpacks to, where it says so.
    pub size: Option<u64>,
    /// Bytes it takes in the archive, where known.
    pub compressed: Option<u64>,
    /// Whether it needs a password.
    pub encrypted: bool,
    /// What its content really is, where it was looked at.
    pub real_type: Option<RealType>,
    /// 1 in the attachment itself, more in nested archives.
    pub depth: usize,
}

/// Why there is no list of what an archive contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unlisted {
    /// The format or its compression is not supported.
    Unsupported,
    /// The list of files is itself encrypted.
    Encrypted,
    /// It is damaged, or cut off.
    Damaged,
    /// It is one volume of several.
    Volume,
}

/// Something in an archive that programs which unpack it see differently, or that hides something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ArchiveDefect {
    /// A file's own header and the central directory disagree (name, encryption or method).
    HeaderMismatch,
    /// Files share their compressed bytes.
    Overlap,
    /// There are more or fewer entries than the archive says.
    CountMismatch,
    /// Something stands before the archive, as in a self-extracting one.
    Prepended,
    /// Something stands behind the archive.
    Appended,
    /// A path leads out of the folder it is unpacked to.
    PathTraversal,
    /// A name holds text-direction or control characters.
    OddName,
}

/// Lists `content`, if its first bytes are those of an archive; `None` for anything else.
pub fn list(content: &Bytes, limits: &Limits) -> Option<Listing> {
    let kind = Kind::of(content)?;
    let mut lister = Lister {
        listing: Listing {
            kind,
            entries: Vec::new(),
            encrypted: false,
            nested: false,
            depth: 1,
            unlisted: Vec::new(),
            defects: Vec::new(),
            limits: LimitSet::default(),
        },
        budget: Budget::new(limits),
        limits,
        queue: VecDeque::new(),
        sniffed: 0,
        opened: 0,
    };
    lister.queue.push_back(Nested {
        kind,
        content: content.clone(),
        path: String::new(),
        depth: 1,
    });
    while let Some(next) = lister.queue.pop_front() {
        if lister.full() {
            break;
        }
        lister.open(&next);
    }
    lister.listing.limits = LimitSet::union(lister.listing.limits, lister.budget.hits());
    Some(lister.listing)
}

impl Kind {
    /// The archive format of content that begins with `head`.
    pub fn of(head: &[u8]) -> Option<Self> {
        let is_zip = [&b"PK\x03\x04"[..], b"PK\x05\x06", b"PK\x07\x08", b"PK00"]
            .iter()
            .any(|m| head.starts_with(m));
        if is_zip {
            return Some(Kind::Zip);
        }
        let real = real_type::of(&head[..head.len().min(real_type::HEAD)]);
        if !real.is_archive() && real.family != real_type::Family::DiskImage {
            return None;
        }
        Some(match real.name {
            "gz" => Kind::Gzip,
            "bz2" => Kind::Bzip2,
            "tar" => Kind::Tar,
            "7z" => Kind::SevenZip,
            "rar" if head.get(6) == Some(&1) => Kind::Rar5,
            "rar" => Kind::Rar4,
            name => Kind::Other(name),
        })
    }

    /// The name that a finding gives.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Zip => "zip",
            Kind::Gzip => "gz",
            Kind::Bzip2 => "bz2",
            Kind::Tar => "tar",
            Kind::Rar4 | Kind::Rar5 => "rar",
            Kind::SevenZip => "7z",
            Kind::Other(name) => name,
        }
    }
}

impl Unlisted {
    /// In a word or two, for a finding's detail.
    pub fn reason(self) -> &'static str {
        match self {
            Unlisted::Unsupported => "format not supported",
            Unlisted::Encrypted => "list of files encrypted",
            Unlisted::Damaged => "damaged",
            Unlisted::Volume => "one volume of several",
        }
    }
}

impl ArchiveDefect {
    /// Every defect.
    pub const ALL: [ArchiveDefect; 7] = [
        ArchiveDefect::HeaderMismatch,
        ArchiveDefect::Overlap,
        ArchiveDefect::CountMismatch,
        ArchiveDefect::Prepended,
        ArchiveDefect::Appended,
        ArchiveDefect::PathTraversal,
        ArchiveDefect::OddName,
    ];

    /// The symbol that a policy scores.
    pub fn symbol(self) -> &'static str {
        match self {
            ArchiveDefect::HeaderMismatch => "ARCHIVE_HEADER_MISMATCH",
            ArchiveDefect::Overlap => "ARCHIVE_OVERLAP",
            ArchiveDefect::CountMismatch => "ARCHIVE_COUNT_MISMATCH",
            ArchiveDefect::Prepended => "ARCHIVE_PREPENDED",
            ArchiveDefect::Appended => "ARCHIVE_APPENDED",
            ArchiveDefect::PathTraversal => "ARCHIVE_PATH_TRAVERSAL",
            ArchiveDefect::OddName => "ARCHIVE_ODD_NAME",
        }
    }
}

/// An archive that waits to be opened.
struct Nested {
    kind: Kind,
    content: Bytes,
    path: String,
    depth: usize,
}

struct Lister<'a> {
    listing: Listing,
    budget: Budget,
    limits: &'a Limits,
    queue: VecDeque<Nested>,
    sniffed: usize,
    opened: usize,
}

/// A file as one of the formats found it.
struct Found {
    name: Vec<u8>,
    size: Option<u64>,
    compressed: Option<u64>,
    encrypted: bool,
}

impl Lister<'_> {
    fn open(&mut self, archive: &Nested) {
        self.opened += 1;
        self.listing.depth = self.listing.depth.max(archive.depth);
        let listed = match archive.kind {
            Kind::Zip => zip::list(self, archive),
            Kind::Gzip => compressed::list_gzip(self, archive),
            Kind::Bzip2 => compressed::list_bzip2(self, archive),
            Kind::Tar => tape::list(self, archive),
            Kind::Rar4 => rar::list_rar4(self, archive),
            Kind::Rar5 => rar::list_rar5(self, archive),
            Kind::SevenZip => seven_zip::list(self, archive),
            Kind::Other(_) => Err(Unlisted::Unsupported),
        };
        if let Err(reason) = listed {
            self.unlisted(reason);
        }
    }

    /// Whether nothing more may be listed.
    fn full(&mut self) -> bool {
        // Empty archives within archives make no entries, yet cost: they count as well.
        if self.listing.entries.len() + self.opened < self.limits.archive_entries {
            return false;
        }
        self.listing.limits.insert(LimitHit::ArchiveEntries);
        true
    }

    /// Adds a file; `false` once the listing is full.
    fn add(&mut self, archive: &Nested, found: &Found, real_type: Option<RealType>) -> bool {
        if self.full() {
            return false;
        }
        let name = String::from_utf8_lossy(&found.name).replace('\\', "/");
        if name.starts_with('/')
            || name.split('/').any(|step| step == "..")
            || name.get(1..3) == Some(":/")
        {
            self.defect(ArchiveDefect::PathTraversal);
        }
        if name.chars().any(|c| {
            c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        }) {
            self.defect(ArchiveDefect::OddName);
        }
        if found.encrypted {
            self.listing.encrypted = true;
        }
        self.listing.entries.push(Entry {
            name: join(&archive.path, &name),
            size: found.size,
            compressed: found.compressed,
            encrypted: found.encrypted,
            real_type,
            depth: archive.depth,
        });
        true
    }

    /// Whether an entry may still be looked into for its real type.
    fn may_sniff(&mut self) -> bool {
        self.sniffed += 1;
        self.sniffed <= MAX_SNIFFED
    }

    /// Whether an entry that is an archive may be opened.
    fn may_descend(&mut self, archive: &Nested) -> bool {
        self.listing.nested = true;
        if archive.depth < self.limits.archive_depth {
            return true;
        }
        self.listing.limits.insert(LimitHit::ArchiveDepth);
        false
    }

    fn descend(&mut self, archive: &Nested, kind: Kind, content: Bytes, name: &[u8]) {
        self.queue.push_back(Nested {
            kind,
            content,
            path: join(&archive.path, &String::from_utf8_lossy(name)),
            depth: archive.depth + 1,
        });
    }

    /// Notes what unpacked content says of itself by comparison with what it came from.
    fn check_ratio(&mut self, unpacked: u64, packed: u64) {
        if self.budget.is_bomb(unpacked, packed) {
            self.listing.limits.insert(LimitHit::ArchiveRatio);
        }
    }

    fn unlisted(&mut self, reason: Unlisted) {
        if reason == Unlisted::Encrypted {
            self.listing.encrypted = true;
        }
        if !self.listing.unlisted.contains(&reason) {
            self.listing.unlisted.push(reason);
        }
    }

    fn defect(&mut self, defect: ArchiveDefect) {
        if !self.listing.defects.contains(&defect) {
            self.listing.defects.push(defect);
        }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}/{name}")
    }
}
