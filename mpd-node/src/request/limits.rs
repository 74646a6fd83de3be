//! Bounds on what a message may cost, and the record of those that were reached.

/// Bounds on parsing one message. Reaching one is a finding, not an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Header fields that are parsed; later ones are kept in the raw block but not looked at.
    pub headers: usize,
    /// Bytes of one header block that are parsed.
    pub header_bytes: usize,
    /// Bytes of one field (with its folds) that decoders look at.
    pub header_line: usize,
    /// Nesting of MIME containers; the message itself has depth 0.
    pub mime_depth: usize,
    /// MIME parts, the message itself included.
    pub mime_parts: usize,
    /// Bytes that decoding the parts of one message may produce.
    pub decoded_bytes: u64,
    /// Bytes of decoded text given to patterns, over all parts.
    pub text_bytes: usize,
    /// Different URIs collected.
    pub uris: usize,
    /// Archives within archives; the attachment itself has depth 1.
    pub archive_depth: usize,
    /// Entries listed over an attachment's nested archives.
    pub archive_entries: usize,
    /// Unpacked to packed size above which an archive is a bomb (once it unpacks to more than 1 MiB).
    pub archive_ratio: u64,
    /// Bytes that may be unpacked in memory to look into one attachment.
    pub archive_bytes: u64,
}

/// A bound of [`Limits`] that this message reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum LimitHit {
    /// [`Limits::headers`].
    Headers,
    /// [`Limits::header_bytes`].
    HeaderBytes,
    /// [`Limits::header_line`].
    HeaderLine,
    /// [`Limits::mime_depth`].
    MimeDepth,
    /// [`Limits::mime_parts`].
    MimeParts,
    /// [`Limits::decoded_bytes`].
    DecodedBytes,
    /// [`Limits::text_bytes`].
    Text,
    /// [`Limits::uris`].
    Uris,
    /// [`Limits::archive_depth`].
    ArchiveDepth,
    /// [`Limits::archive_entries`].
    ArchiveEntries,
    /// [`Limits::archive_ratio`].
    ArchiveRatio,
    /// [`Limits::archive_bytes`].
    ArchiveBytes,
}

/// A small set of [`LimitHit`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LimitSet(u32);

impl Default for Limits {
    fn default() -> Self {
        Limits {
            headers: 1000,
            header_bytes: 256 * 1024,
            header_line: 64 * 1024,
            mime_depth: 32,
            mime_parts: 1000,
            decoded_bytes: 64 << 20,
            text_bytes: 1 << 20,
            uris: 1000,
            archive_depth: 5,
            archive_entries: 10_000,
            archive_ratio: 200,
            archive_bytes: 64 << 20,
        }
    }
}

impl LimitHit {
    /// Every limit, in the order of their symbols' documentation.
    pub const ALL: [LimitHit; 12] = [
        LimitHit::Headers,
        LimitHit::HeaderBytes,
        LimitHit::HeaderLine,
        LimitHit::MimeDepth,
        LimitHit::MimeParts,
        LimitHit::DecodedBytes,
        LimitHit::Text,
        LimitHit::Uris,
        LimitHit::ArchiveDepth,
        LimitHit::ArchiveEntries,
        LimitHit::ArchiveRatio,
        LimitHit::ArchiveBytes,
    ];

    /// The symbol that a policy scores.
    pub fn symbol(self) -> &'static str {
        match self {
            LimitHit::Headers => "LIMIT_HEADERS",
            LimitHit::HeaderBytes => "LIMIT_HEADER_BYTES",
            LimitHit::HeaderLine => "LIMIT_HEADER_LINE",
            LimitHit::MimeDepth => "LIMIT_MIME_DEPTH",
            LimitHit::MimeParts => "LIMIT_MIME_PARTS",
            LimitHit::DecodedBytes => "LIMIT_DECODED_BYTES",
            LimitHit::Text => "LIMIT_TEXT",
            LimitHit::Uris => "LIMIT_URIS",
            LimitHit::ArchiveDepth => "LIMIT_ARCHIVE_DEPTH",
            LimitHit::ArchiveEntries => "LIMIT_ARCHIVE_ENTRIES",
            LimitHit::ArchiveRatio => "LIMIT_ARCHIVE_RATIO",
            LimitHit::ArchiveBytes => "LIMIT_ARCHIVE_BYTES",
        }
    }

    pub(super) fn bit(self) -> u32 {
        1 << self as u8
    }
}

impl LimitSet {
    /// Adds `hit`.
    pub fn insert(&mut self, hit: LimitHit) {
        self.0 |= hit.bit();
    }

    /// Whether `hit` is in the set.
    pub fn contains(self, hit: LimitHit) -> bool {
        self.0 & hit.bit() != 0
    }

    /// Whether no limit was reached.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The limits in the set.
    pub fn iter(self) -> impl Iterator<Item = LimitHit> {
        LimitHit::ALL
            .into_iter()
            .filter(move |hit| self.contains(*hit))
    }

    /// The limits in either set.
    #[must_use]
    pub fn union(self, other: LimitSet) -> Self {
        LimitSet(self.0 | other.0)
    }

    pub(super) fn from_bits(bits: u32) -> Self {
        LimitSet(bits)
    }

    pub(super) fn bits(self) -> u32 {
        self.0
    }
}
