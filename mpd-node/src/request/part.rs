//! One MIME part: where it lies, what it says it is, and its content once asked for.

use std::{ops::Range, sync::OnceLock};

use bytes::Bytes;

use super::{
    content_type::{ContentType, Disposition},
    decode::Encoding,
    limits::LimitHit,
};

/// A MIME part, the message itself being the first. Containers are parts too.
#[derive(Debug)]
pub struct Part {
    /// Where this part is in [`Message::parts`](super::Message::parts).
    pub index: usize,
    /// The container around it; the message itself has none.
    pub parent: Option<usize>,
    /// Containers around it.
    pub depth: usize,
    /// Where its header block lies in the raw message, without the empty line.
    pub header_range: Range<usize>,
    /// Where its body lies in the raw message, as it is encoded, without the line ending that belongs to a boundary.
    pub body_range: Range<usize>,
    /// Its media type; `text/plain` where it has none (RFC 2045, 5.2).
    pub content_type: ContentType,
    /// Whether it has a Content-Type that could be read.
    pub declared: bool,
    /// Its Content-Disposition.
    pub disposition: Option<Disposition>,
    /// Its Content-Transfer-Encoding.
    pub encoding: Encoding,
    /// Its body as it is encoded.
    pub body: Bytes,
    /// Whether it was opened: its children are parts of their own.
    pub container: bool,
    pub(super) decoded: OnceLock<Result<Bytes, LimitHit>>,
}

impl Part {
    /// The file name that a mail program would offer: of the disposition, else of the content type; decoded.
    pub fn file_name(&self) -> Option<&str> {
        let disposition = self
            .disposition
            .as_ref()
            .and_then(|d| d.file_name.as_deref());
        disposition.or(self.content_type.name.as_deref())
    }

    /// The file name as a file system would make it: see [`safe_file_name`].
    pub fn safe_file_name(&self) -> Option<String> {
        self.file_name().and_then(safe_file_name)
    }

    /// Whether a mail program would show this as something to save: it says so, has a name, or is neither text nor a
    /// container.
    pub fn is_attachment(&self) -> bool {
        if self
            .disposition
            .as_ref()
            .is_some_and(|d| d.kind == "attachment")
        {
            return true;
        }
        !self.container
            && (self.file_name().is_some()
                || !matches!(self.content_type.main.as_str(), "text" | "multipart"))
    }

    /// Whether its content is text to read: `text/*` that is no attachment.
    pub fn is_text(&self) -> bool {
        !self.container
            && self.content_type.main == "text"
            && self
                .disposition
                .as_ref()
                .is_none_or(|d| d.kind != "attachment")
    }

    /// Whether its text is HTML.
    pub fn is_html(&self) -> bool {
        self.content_type.is("text", "html") || self.content_type.is("application", "xhtml+xml")
    }

    /// The first `n` bytes of the content, decoded no further than that.
    pub fn head(&self, n: usize) -> Bytes {
        match self.decoded.get() {
            Some(Ok(content)) => content.slice(..content.len().min(n)),
            _ => self.transfer_encoding().decode(&self.body, n).bytes,
        }
    }

    /// How the content is decoded: a container is not, whatever it says (RFC 2045, 6.4).
    pub(super) fn transfer_encoding(&self) -> Encoding {
        if self.container {
            Encoding::Identity
        } else {
            self.encoding
        }
    }
}

/// What a file called `name` is saved as: no folders, controls or invisible characters, and none of the dots and
/// spaces at the end that Windows drops. `None` where nothing is left.
pub fn safe_file_name(name: &str) -> Option<String> {
    let base = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let clean: String = base
        .chars()
        .filter(|c| !c.is_control() && !is_invisible(*c))
        .collect();
    let clean = clean.trim().trim_end_matches(['.', ' ']);
    (!clean.is_empty()).then(|| clean.to_owned())
}

/// Characters that direct text or take no room: a name that holds them is shown otherwise than it is.
pub(super) fn is_invisible(c: char) -> bool {
    is_bidi(c)
        || matches!(
            c,
            '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' | '\u{ad}'
        )
}

/// Text-direction controls (Unicode TR 9).
pub(super) fn is_bidi(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
