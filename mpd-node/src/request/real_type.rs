//! What content really is, by its first bytes.
//!
//! The signatures that matter to a mail filter (programs, scripts, archives, documents that carry macros) are tested
//! here, in an order that resolves their overlaps; the crate `infer` knows the media formats.

use infer::MatcherType;
use memchr::memmem;

/// How much of the content [`of`] makes use of; an ISO image is known by its 32,769th byte.
pub const HEAD: usize = 33 * 1024;

/// A type of content: one of a closed set of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RealType {
    /// The type's name, mostly the usual extension: `exe`, `zip`, `docx`, `pdf`, `html`, `text`, `data`, ...
    pub name: &'static str,
    /// What kind of thing it is.
    pub family: Family,
}

/// A kind of content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// A program, library, installer or shortcut that runs one.
    Executable,
    /// A text that an interpreter runs.
    Script,
    /// A container of files, or a compressed one.
    Archive,
    /// A disk image.
    DiskImage,
    /// An office document, PDF, RTF or book.
    Document,
    /// HTML, XML or SVG.
    Markup,
    /// A picture.
    Image,
    /// Sound.
    Audio,
    /// Moving pictures.
    Video,
    /// A typeface.
    Font,
    /// Plain text.
    Text,
    /// Anything else.
    Unknown,
}

/// The type of the content that begins with `head`, which should have [`HEAD`] bytes where there are so many.
pub fn of(head: &[u8]) -> RealType {
    if head.is_empty() {
        return RealType {
            name: "empty",
            family: Family::Unknown,
        };
    }
    by_magic(head)
        .or_else(|| zip(head))
        .or_else(|| media(head))
        .or_else(|| text(head))
        .unwrap_or(RealType {
            name: "data",
            family: Family::Unknown,
        })
}

/// Whether `name` is the name of a type or of a family, so that a rule that asks for it can ever fit.
pub fn is_name(name: &str) -> bool {
    MAGIC.iter().any(|(_, _, known, _)| *known == name)
        || MARKUP.iter().any(|(_, known)| *known == name)
        || OTHER_NAMES.contains(&name)
        || Family::ALL.iter().any(|family| family.name() == name)
        || is_media_name(name)
}

impl RealType {
    /// Whether [`archive`](crate::archive) may know how to list it.
    pub fn is_archive(self) -> bool {
        self.family == Family::Archive
    }
}

impl Family {
    /// Every family.
    pub const ALL: [Family; 12] = [
        Family::Executable,
        Family::Script,
        Family::Archive,
        Family::DiskImage,
        Family::Document,
        Family::Markup,
        Family::Image,
        Family::Audio,
        Family::Video,
        Family::Font,
        Family::Text,
        Family::Unknown,
    ];

    /// The name that a policy uses.
    pub fn name(self) -> &'static str {
        match self {
            Family::Executable => "executable",
            Family::Script => "script",
            Family::Archive => "archive",
            Family::DiskImage => "disk-image",
            Family::Document => "document",
            Family::Markup => "markup",
            Family::Image => "image",
            Family::Audio => "audio",
            Family::Video => "video",
            Family::Font => "font",
            Family::Text => "text",
            Family::Unknown => "unknown",
        }
    }
}

/// Offset, signature, name, family. The first that fits wins.
const MAGIC: &[(usize, &[u8], &str, Family)] = &[
    (0, b"\x7fELF", "elf", Family::Executable),
    (0, b"\xfe\xed\xfa\xce", "macho", Family::Executable),
    (0, b"\xfe\xed\xfa\xcf", "macho", Family::Executable),
    (0, b"\xce\xfa\xed\xfe", "macho", Family::Executable),
    (0, b"\xcf\xfa\xed\xfe", "macho", Family::Executable),
    (0, b"\0asm", "wasm", Family::Executable),
    (0, b"dex\n", "dex", Family::Executable),
    (
        0,
        b"L\0\0\0\x01\x14\x02\0\0\0\0\0\xc0\0\0\0",
        "lnk",
        Family::Executable,
    ),
    (0, b"ITSF", "chm", Family::Executable),
    (0, b"?_\x03\0", "hlp", Family::Executable),
    (0, b"Cr24", "crx", Family::Executable),
    (0, b"\xed\xab\xee\xdb", "rpm", Family::Executable),
    (0, b"!<arch>\ndebian", "deb", Family::Executable),
    (0, b"xar!", "xar", Family::Archive),
    (0, b"#!", "script", Family::Script),
    (0, b"\xef\xbb\xbf#!", "script", Family::Script),
    (0, b"@echo off", "bat", Family::Script),
    (0, b"@ECHO OFF", "bat", Family::Script),
    (0, b"<?php", "php", Family::Script),
    (
        0,
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "ole",
        Family::Document,
    ),
    (
        0,
        b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d\xae\xb1\x53\x78\xd0\x29\x96\xd3",
        "onenote",
        Family::Document,
    ),
    (0, b"{\\rt", "rtf", Family::Document),
    (0, b"%!PS", "ps", Family::Document),
    (0, b"\x78\x9f\x3e\x22", "tnef", Family::Archive),
    (0, b"7z\xbc\xaf\x27\x1c", "7z", Family::Archive),
    (0, b"Rar!\x1a\x07\x01\0", "rar", Family::Archive),
    (0, b"Rar!\x1a\x07\0", "rar", Family::Archive),
    (0, b"\x1f\x8b", "gz", Family::Archive),
    (0, b"BZh", "bz2", Family::Archive),
    (0, b"\xfd7zXZ\0", "xz", Family::Archive),
    (0, b"\x28\xb5\x2f\xfd", "zst", Family::Archive),
    (0, b"\x04\x22\x4d\x18", "lz4", Family::Archive),
    (0, b"LZIP", "lz", Family::Archive),
    (0, b"\x1f\x9d", "z", Family::Archive),
    (0, b"\x1f\xa0", "z", Family::Archive),
    (0, b"MSCF", "cab", Family::Archive),
    (0, b"ISc(", "cab", Family::Archive),
    (0, b"\x60\xea", "arj", Family::Archive),
    (0, b"ZOO ", "zoo", Family::Archive),
    (0, b"!<arch>\n", "ar", Family::Archive),
    (0, b"070701", "cpio", Family::Archive),
    (0, b"070702", "cpio", Family::Archive),
    (0, b"070707", "cpio", Family::Archive),
    (7, b"**ACE**", "ace", Family::Archive),
    (2, b"-lh", "lzh", Family::Archive),
    (2, b"-lz", "lzh", Family::Archive),
    (257, b"ustar", "tar", Family::Archive),
    (0, b"MSWIM\0\0\0", "wim", Family::DiskImage),
    (0, b"vhdxfile", "vhdx", Family::DiskImage),
    (0, b"conectix", "vhd", Family::DiskImage),
    (0, b"KDMV", "vmdk", Family::DiskImage),
    (0, b"QFI\xfb", "qcow2", Family::DiskImage),
    (32769, b"CD001", "iso", Family::DiskImage),
    (32769, b"BEA01", "iso", Family::DiskImage),
    (0, b"SQLite format 3\0", "sqlite", Family::Document),
    (0, b"\0\x01\0\0Standard ", "mdb", Family::Document),
    (0, b"!BDN", "pst", Family::Document),
];

/// Names that are told by more than a signature.
const OTHER_NAMES: &[&str] = &[
    "exe", "dos-exe", "macho", "class", "pdf", "zip", "epub", "odf", "apk", "jar", "appx", "docx",
    "xlsx", "pptx", "ooxml", "text", "data", "empty",
];

/// What a page or an SVG begins with, white space and a byte order mark aside.
const MARKUP: &[(&str, &str)] = &[
    ("<!doctype html", "html"),
    ("<html", "html"),
    ("<head", "html"),
    ("<body", "html"),
    ("<script", "html"),
    ("<iframe", "html"),
    ("<meta", "html"),
    ("<title", "html"),
    ("<table", "html"),
    ("<hta:", "html"),
    ("<svg", "svg"),
    ("<!doctype svg", "svg"),
    ("<job", "wsf"),
    ("<package", "wsf"),
    ("<?xml", "xml"),
];

fn by_magic(head: &[u8]) -> Option<RealType> {
    if head.starts_with(b"MZ") {
        return Some(portable_executable(head));
    }
    if head.starts_with(b"\xca\xfe\xba\xbe") {
        // A universal Mach-O counts its architectures where a Java class has its version, which begins at 45.
        let count = head
            .get(4..8)
            .map_or(0, |b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
        let name = if (1..45).contains(&count) {
            "macho"
        } else {
            "class"
        };
        return Some(RealType {
            name,
            family: Family::Executable,
        });
    }
    let found = MAGIC
        .iter()
        .find(|(offset, magic, ..)| {
            head.get(*offset..)
                .is_some_and(|rest| rest.starts_with(magic))
        })
        .filter(|(_, _, name, _)| *name != "lzh" || head.get(6) == Some(&b'-'));
    if let Some((_, _, name, family)) = found {
        return Some(RealType {
            name,
            family: *family,
        });
    }
    // Readers accept a PDF whose signature stands anywhere in the first kilobyte.
    memmem::find(&head[..head.len().min(1024)], b"%PDF-").map(|_| RealType {
        name: "pdf",
        family: Family::Document,
    })
}

fn portable_executable(head: &[u8]) -> RealType {
    let new_header = head
        .get(0x3c..0x40)
        .map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize);
    let is_pe = new_header
        .and_then(|at| head.get(at..))
        .is_some_and(|rest| rest.starts_with(b"PE\0\0"));
    // Without the newer header it is a DOS program, which 32-bit Windows runs as well.
    let name = if is_pe { "exe" } else { "dos-exe" };
    RealType {
        name,
        family: Family::Executable,
    }
}

/// A zip archive, or one of the many formats that are zip archives by convention.
fn zip(head: &[u8]) -> Option<RealType> {
    let is_zip = [b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08", b"PK00"]
        .iter()
        .any(|magic| head.starts_with(*magic));
    if !is_zip {
        return None;
    }
    let has = |name: &[u8]| memmem::find(head, name).is_some();
    let name_len = head
        .get(26..28)
        .map_or(0, |b| usize::from(u16::from_le_bytes([b[0], b[1]])));
    let first = head.get(30..30 + name_len).unwrap_or_default();
    let (name, family) = match first {
        b"mimetype" if has(b"application/epub+zip") => ("epub", Family::Document),
        b"mimetype" if has(b"application/vnd.oasis.opendocument") => ("odf", Family::Document),
        _ if has(b"AndroidManifest.xml") => ("apk", Family::Executable),
        _ if first.starts_with(b"META-INF/") || has(b"META-INF/MANIFEST.MF") => {
            ("jar", Family::Executable)
        }
        _ if has(b"AppxManifest.xml") => ("appx", Family::Executable),
        _ if has(b"[Content_Types].xml") || first.starts_with(b"_rels/") => {
            let name = match () {
                () if has(b"word/") => "docx",
                () if has(b"xl/") => "xlsx",
                () if has(b"ppt/") => "pptx",
                () => "ooxml",
            };
            (name, Family::Document)
        }
        _ => ("zip", Family::Archive),
    };
    Some(RealType { name, family })
}

fn media(head: &[u8]) -> Option<RealType> {
    let found = infer::get(head)?;
    let family = match found.matcher_type() {
        MatcherType::Image => Family::Image,
        MatcherType::Audio => Family::Audio,
        MatcherType::Video => Family::Video,
        MatcherType::Font => Family::Font,
        MatcherType::Book => Family::Document,
        // Programs, archives and documents are decided above; what is left of infer's signatures for them is two
        // bytes long or less.
        _ => return None,
    };
    Some(RealType {
        name: found.extension(),
        family,
    })
}

/// Whether `infer` has a media format of this name.
fn is_media_name(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "jpg", "jp2", "png", "gif", "webp", "cr2", "tif", "bmp", "jxr", "psd", "ico", "heif",
        "avif", "jxl", "ora", "djvu", "dwg", "mp4", "m4v", "mkv", "webm", "mov", "avi", "wmv",
        "mpg", "flv", "midi", "mp3", "m4a", "opus", "ogg", "flac", "wav", "amr", "aac", "aiff",
        "dsf", "ape", "woff", "woff2", "ttf", "otf", "mobi",
    ];
    NAMES.contains(&name)
}

fn text(head: &[u8]) -> Option<RealType> {
    let head = &head[..head.len().min(4096)];
    let utf16 = head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff");
    let narrowed: Vec<u8>;
    let text = if utf16 {
        narrowed = head[2..].iter().copied().filter(|b| *b != 0).collect();
        &narrowed
    } else {
        head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head)
    };
    let start = text.trim_ascii_start();
    for (prefix, name) in MARKUP {
        if start
            .get(..prefix.len())
            .is_some_and(|s| s.eq_ignore_ascii_case(prefix.as_bytes()))
        {
            let name = if *name == "xml" { xml(start) } else { name };
            let family = if name == "wsf" {
                Family::Script
            } else {
                Family::Markup
            };
            return Some(RealType { name, family });
        }
    }
    let controls = text
        .iter()
        .filter(|b| **b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b))
        .count();
    (controls == 0).then_some(RealType {
        name: "text",
        family: Family::Text,
    })
}

fn xml(start: &[u8]) -> &'static str {
    let has = |name: &[u8]| memmem::find(start, name).is_some();
    match () {
        () if has(b"<svg") => "svg",
        () if has(b"<html") => "html",
        () if has(b"<job") || has(b"<package>") => "wsf",
        () => "xml",
    }
}

#[cfg(test)]
mod tests;
