//! What names and media types promise, and whether the content keeps it.

use crate::request::real_type::{Family, RealType};

/// Extensions that promise something to read, look at or listen to.
const HARMLESS: &[&str] = &[
    "pdf", "doc", "docx", "xls", "xlsx", "ppt", "pptx", "odt", "ods", "odp", "rtf", "txt", "csv",
    "htm", "html", "jpg", "jpeg", "png", "gif", "bmp", "tif", "tiff", "webp", "heic", "svg", "mp3",
    "mp4", "wav", "avi", "mov", "mpg", "mpeg", "eml", "msg", "ics", "vcf", "xml", "json", "log",
    "epub",
];

/// Extensions that stand behind another one by right: compressed, signed, or a spare copy.
const WRAPPING: &[&str] = &[
    "zip", "gz", "bz2", "xz", "zst", "7z", "rar", "tar", "tgz", "lz", "z", "asc", "sig", "p7m",
    "p7s", "pgp", "gpg", "bak", "old", "orig", "tmp", "part",
];

/// What content may be behind a promise.
enum Promise {
    /// One of these types, by name.
    Types(&'static [&'static str]),
    /// Anything of this kind, or of no kind that is known.
    Kind(Family),
    /// Text or markup, or of no kind that is known.
    Text,
}

/// The extension of a name in lower case.
pub(super) fn extension(name: &str) -> Option<&str> {
    let (stem, extension) = name.rsplit_once('.')?;
    (!stem.is_empty() && !extension.is_empty()).then_some(extension.trim())
}

/// Whether `name` hides its extension behind one that promises something harmless, as `invoice.pdf.exe` does.
pub(super) fn has_double_extension(name: &str) -> bool {
    let Some((stem, last)) = name.rsplit_once('.') else {
        return false;
    };
    let before = extension(stem.trim_end());
    let last = last.trim();
    before.is_some_and(|before| HARMLESS.contains(&before))
        && !HARMLESS.contains(&last)
        && !WRAPPING.contains(&last)
}

/// Whether content of `real` type is something else than a file with this extension should be.
pub(super) fn extension_is_broken(extension: &str, real: RealType) -> bool {
    by_extension(extension).is_some_and(|promise| promise.is_broken(real))
}

/// Whether content of `real` type is something else than `main/sub` should be.
pub(super) fn media_type_is_broken(main: &str, sub: &str, real: RealType) -> bool {
    by_media_type(main, sub).is_some_and(|promise| promise.is_broken(real))
}

impl Promise {
    fn is_broken(&self, real: RealType) -> bool {
        if real.name == "empty" {
            return false;
        }
        match self {
            Promise::Types(names) => !names.contains(&real.name),
            Promise::Kind(family) => real.family != *family && real.family != Family::Unknown,
            Promise::Text => !matches!(
                real.family,
                Family::Text | Family::Markup | Family::Script | Family::Unknown
            ),
        }
    }
}

// A zip archive whose first bytes do not tell what it is for is a `zip` here, so each format that is one allows it.
fn by_extension(extension: &str) -> Option<Promise> {
    Some(match extension {
        "pdf" => Promise::Types(&["pdf"]),
        "doc" | "dot" => {
            Promise::Types(&["ole", "rtf", "docx", "ooxml", "zip", "html", "xml", "text"])
        }
        "docx" | "docm" => Promise::Types(&["docx", "ooxml", "zip", "ole"]),
        "xls" | "xlt" => Promise::Types(&["ole", "xlsx", "ooxml", "zip", "html", "xml", "text"]),
        "xlsx" | "xlsm" | "xlsb" => Promise::Types(&["xlsx", "ooxml", "zip", "ole"]),
        "ppt" | "pps" | "msg" => Promise::Types(&["ole", "pptx", "ooxml", "zip"]),
        "pptx" | "pptm" | "ppsx" => Promise::Types(&["pptx", "ooxml", "zip", "ole"]),
        "odt" | "ods" | "odp" | "odg" => Promise::Types(&["odf", "zip"]),
        "epub" => Promise::Types(&["epub", "zip"]),
        "rtf" => Promise::Types(&["rtf"]),
        "zip" => Promise::Types(&[
            "zip", "docx", "xlsx", "pptx", "ooxml", "odf", "epub", "jar", "apk", "appx",
        ]),
        "7z" => Promise::Types(&["7z"]),
        "rar" => Promise::Types(&["rar"]),
        "gz" | "tgz" => Promise::Types(&["gz"]),
        "tar" => Promise::Types(&["tar"]),
        "bz2" | "tbz" | "tbz2" => Promise::Types(&["bz2"]),
        "xz" | "txz" => Promise::Types(&["xz"]),
        "jpg" | "jpeg" | "png" | "gif" | "bmp" | "tif" | "tiff" | "webp" | "heic" => {
            Promise::Kind(Family::Image)
        }
        "mp3" | "wav" | "ogg" | "flac" | "m4a" => Promise::Kind(Family::Audio),
        "mp4" | "mov" | "avi" | "mkv" | "mpg" | "mpeg" => Promise::Kind(Family::Video),
        "txt" | "csv" | "log" | "ics" | "vcf" | "htm" | "html" | "xml" | "json" | "svg" => {
            Promise::Text
        }
        _ => return None,
    })
}

fn by_media_type(main: &str, sub: &str) -> Option<Promise> {
    Some(match (main, sub) {
        ("application", "pdf" | "x-pdf") => Promise::Types(&["pdf"]),
        ("application", "msword") => return by_extension("doc"),
        ("application", "vnd.ms-excel") => return by_extension("xls"),
        ("application", "vnd.ms-powerpoint") => return by_extension("ppt"),
        ("application", "rtf") => Promise::Types(&["rtf"]),
        ("application", "zip" | "x-zip-compressed") => return by_extension("zip"),
        ("application", "gzip" | "x-gzip") => Promise::Types(&["gz"]),
        ("application", "x-7z-compressed") => Promise::Types(&["7z"]),
        ("application", "vnd.rar" | "x-rar-compressed") => Promise::Types(&["rar"]),
        ("application", sub)
            if sub.starts_with("vnd.openxmlformats-officedocument.wordprocessing") =>
        {
            return by_extension("docx");
        }
        ("application", sub)
            if sub.starts_with("vnd.openxmlformats-officedocument.spreadsheet") =>
        {
            return by_extension("xlsx");
        }
        ("application", sub)
            if sub.starts_with("vnd.openxmlformats-officedocument.presentation") =>
        {
            return by_extension("pptx");
        }
        ("application", sub) if sub.starts_with("vnd.oasis.opendocument") => {
            return by_extension("odt");
        }
        ("image", "svg+xml") | ("text", _) => Promise::Text,
        ("image", _) => Promise::Kind(Family::Image),
        // Sound and moving pictures share their containers.
        ("audio" | "video", _) => return None,
        _ => return None,
    })
}
