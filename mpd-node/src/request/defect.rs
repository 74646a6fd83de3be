//! What is wrong with a message, in the field's own names.

use bytes::Bytes;

/// The first occurrence of a [`DefectKind`] in a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defect {
    /// What is wrong.
    pub kind: DefectKind,
    /// Index of the part in [`Message::parts`](super::Message::parts), where the defect belongs to one.
    pub part: Option<usize>,
    /// The name of the header field, where the defect belongs to one.
    pub header: Option<Bytes>,
}

/// Defects found so far: the first of each kind, so that a hostile message cannot make the list grow.
#[derive(Debug, Default)]
pub(super) struct Defects {
    found: Vec<Defect>,
    seen: u64,
}

macro_rules! defect_kinds {
    ($($(#[$doc:meta])+ $variant:ident = $symbol:literal,)+) => {
        /// A departure from RFC 5322 or MIME that checks may score.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum DefectKind { $($(#[$doc])+ $variant,)+ }

        impl DefectKind {
            /// Every kind.
            pub const ALL: &'static [DefectKind] = &[$(DefectKind::$variant,)+];

            /// The symbol that a policy scores.
            pub fn symbol(self) -> &'static str {
                match self { $(DefectKind::$variant => $symbol,)+ }
            }
        }
    };
}

defect_kinds! {
    /// The message has no header field at all.
    HeaderEmptyBlock = "HEADER_EMPTY_BLOCK",
    /// The header block ends with the message: no empty line (RFC 5322, 2.1).
    HeaderNoSeparator = "HEADER_NO_SEPARATOR",
    /// A line in the header block is neither a field nor a fold.
    HeaderNoColon = "HEADER_NO_COLON",
    /// A field name holds something other than printable ASCII (RFC 5322, 2.2).
    HeaderBadName = "HEADER_BAD_NAME",
    /// The first line is an mbox separator (`From `).
    HeaderMboxFrom = "HEADER_MBOX_FROM",
    /// 8-bit bytes in the header block (valid only as UTF-8 under RFC 6532).
    Header8Bit = "HEADER_8BIT",
    /// A NUL byte in the header block.
    HeaderNul = "HEADER_NUL",
    /// A NUL byte in the body.
    BodyNul = "BODY_NUL",
    /// LF without CR in a message whose other lines end with CRLF (RFC 5322, 2.3).
    BareLf = "BARE_LF",
    /// CR without LF (RFC 5322, 2.3).
    BareCr = "BARE_CR",
    /// A line of more than 998 bytes (RFC 5322, 2.1.1).
    LineTooLong = "LINE_TOO_LONG",
    /// A field that may occur once occurs again (RFC 5322, 3.6).
    DuplicateSingleton = "DUPLICATE_SINGLETON",
    /// No From field (RFC 5322, 3.6).
    MissingFrom = "MISSING_FROM",
    /// No Date field (RFC 5322, 3.6).
    MissingDate = "MISSING_DATE",
    /// No Message-ID field (RFC 5322, 3.6.4).
    MissingMessageId = "MISSING_MESSAGE_ID",
    /// No Subject field.
    MissingSubject = "MISSING_SUBJECT",
    /// No To, Cc or Bcc field.
    MissingTo = "MISSING_TO",
    /// The Date field is not a date (RFC 5322, 3.3).
    BadDate = "BAD_DATE",
    /// From holds no mailbox that could be read.
    FromInvalid = "FROM_INVALID",
    /// From holds several mailboxes.
    FromMultiple = "FROM_MULTIPLE",
    /// The display name in From looks like another address.
    FromNameAddress = "FROM_NAME_ADDRESS",
    /// An encoded word that cannot be decoded (RFC 2047).
    EncodedWordBad = "ENCODED_WORD_BAD",
    /// MIME fields without MIME-Version (RFC 2045, 4).
    MimeVersionMissing = "MIME_VERSION_MISSING",
    /// A Content-* field that occurs twice in one part.
    MimeDuplicateHeader = "MIME_DUPLICATE_HEADER",
    /// A parameter (boundary, name, charset) that occurs twice in one field.
    MimeDuplicateParameter = "MIME_DUPLICATE_PARAMETER",
    /// A Content-Type that cannot be read (RFC 2045, 5.1).
    MimeBadContentType = "MIME_BAD_CONTENT_TYPE",
    /// A Content-Transfer-Encoding that is not known (RFC 2045, 6).
    MimeUnknownEncoding = "MIME_UNKNOWN_ENCODING",
    /// A multipart without a boundary parameter, or whose boundary never occurs.
    MimeBoundaryMissing = "MIME_BOUNDARY_MISSING",
    /// A multipart that is not closed (RFC 2046, 5.1.1).
    MimeNoBoundaryEnd = "MIME_NO_BOUNDARY_END",
    /// A boundary longer than 70 bytes (RFC 2046, 5.1.1).
    MimeBoundaryLong = "MIME_BOUNDARY_LONG",
    /// A part that uses the boundary of a part around it.
    MimeBoundaryReused = "MIME_BOUNDARY_REUSED",
    /// A multipart or message part that is itself encoded (RFC 2045, 6.4).
    MimeNestedEncoding = "MIME_NESTED_ENCODING",
    /// Base64 with foreign characters or broken padding (found when the part is decoded).
    MimeBadBase64 = "MIME_BAD_BASE64",
    /// Quoted-printable with broken escapes (found when the part is decoded).
    MimeBadQuotedPrintable = "MIME_BAD_QP",
    /// A character set that is not known (found when the text is decoded).
    MimeUnknownCharset = "MIME_UNKNOWN_CHARSET",
    /// A `message/partial`: the rest of it is scanned elsewhere, or not at all.
    MimePartial = "MIME_PARTIAL",
    /// Text-direction controls in a file name: it is shown otherwise than it is.
    FilenameBidi = "FILENAME_BIDI",
    /// Control characters or NUL in a file name.
    FilenameControl = "FILENAME_CONTROL",
    /// Disposition and Content-Type give different file names.
    FilenameMismatch = "FILENAME_MISMATCH",
}

impl Defects {
    pub(super) fn add(&mut self, kind: DefectKind) {
        self.push(kind, None, None);
    }

    pub(super) fn add_part(&mut self, kind: DefectKind, part: usize) {
        self.push(kind, Some(part), None);
    }

    pub(super) fn add_header(&mut self, kind: DefectKind, name: &Bytes) {
        self.push(kind, None, Some(name));
    }

    pub(super) fn found(&self) -> &[Defect] {
        &self.found
    }

    fn push(&mut self, kind: DefectKind, part: Option<usize>, header: Option<&Bytes>) {
        if self.seen & kind.bit() != 0 {
            return;
        }
        self.seen |= kind.bit();
        self.found.push(Defect {
            kind,
            part,
            header: header.cloned(),
        });
    }
}

impl DefectKind {
    pub(super) fn bit(self) -> u64 {
        1 << self as u8
    }
}
