//! A message, parsed once.

use std::{
    ops::Range,
    sync::{
        OnceLock,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use bytes::Bytes;

use super::{
    address::{self, Mailbox},
    charset,
    decode::Encoding,
    defect::{Defect, DefectKind, Defects},
    encoded_word, fields,
    header::{self, Header},
    limits::{LimitHit, LimitSet, Limits},
    octets::{self, Octets},
    part::Part,
    structure,
    text::DecodedText,
    uri::Uris,
};

/// A parsed message. Cheap to make; what costs is made when first asked for, and kept.
#[derive(Debug)]
pub struct Message {
    raw: Bytes,
    limits: Limits,
    headers: Vec<Header>,
    header_range: Range<usize>,
    body_start: usize,
    parts: Vec<Part>,
    defects: Defects,
    hits: LimitSet,
    /// Found while decoding: bits of [`LimitHit`] and [`DefectKind`], and bytes charged.
    late_hits: AtomicU32,
    late_defects: AtomicU64,
    decoded_bytes: AtomicU64,
    subject: OnceLock<String>,
    text: OnceLock<DecodedText>,
    uris: OnceLock<Uris>,
}

impl Message {
    /// Parses `content`, with CRLF, LF or mixed line endings. Never fails: a limit that is reached is recorded.
    pub fn parse(content: Bytes, limits: &Limits) -> Self {
        let mut defects = Defects::default();
        let mut hits = LimitSet::default();
        let block = header::parse_block(&content, limits, &mut defects, &mut hits);
        fields::check(&block.headers, limits, &mut defects);
        note_octets(&content, block.body_start, &mut defects);
        let parts = structure::parse(&content, &block, limits, &mut defects, &mut hits);
        Message {
            limits: limits.clone(),
            headers: block.headers,
            header_range: 0..block.block_end,
            body_start: block.body_start,
            parts,
            defects,
            hits,
            late_hits: AtomicU32::new(0),
            late_defects: AtomicU64::new(0),
            decoded_bytes: AtomicU64::new(0),
            subject: OnceLock::new(),
            text: OnceLock::new(),
            uris: OnceLock::new(),
            raw: content,
        }
    }

    /// The message, byte for byte.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// The limits it was parsed under.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The header fields in their order; lines that are no field are left out.
    pub fn headers(&self) -> &[Header] {
        &self.headers
    }

    /// The header block, byte for byte, without the empty line that ends it.
    pub fn header_block(&self) -> &[u8] {
        &self.raw[self.header_range.clone()]
    }

    /// The line ending between header block and body; empty where there is none.
    pub fn separator(&self) -> &[u8] {
        &self.raw[self.header_range.end..self.body_start]
    }

    /// All after the empty line, byte for byte.
    pub fn body(&self) -> &[u8] {
        &self.raw[self.body_start..]
    }

    /// The fields named `name`, in any case.
    pub fn header_values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Header> {
        self.headers
            .iter()
            .filter(move |header| header.is(name.as_bytes()))
    }

    /// The MIME parts, depth-first; the first is the message itself.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The limits reached so far; decoding may add to them.
    pub fn limit_hits(&self) -> LimitSet {
        LimitSet::from_bits(self.hits.bits() | self.late_hits.load(Ordering::Relaxed))
    }

    /// The first defect of each kind; decoding may add to them.
    pub fn defects(&self) -> Vec<Defect> {
        let late = self.late_defects.load(Ordering::Relaxed);
        let late = DefectKind::ALL
            .iter()
            .filter(|kind| late & kind.bit() != 0)
            .map(|kind| Defect {
                kind: *kind,
                part: None,
                header: None,
            });
        self.defects.found().iter().cloned().chain(late).collect()
    }

    /// The first Subject, decoded; empty where there is none.
    pub fn subject_decoded(&self) -> &str {
        self.subject
            .get_or_init(|| match self.header_values("subject").next() {
                Some(header) => encoded_word::decode(self.bounded(header)).text,
                None => String::new(),
            })
    }

    /// A field's value, unfolded and with its encoded words decoded.
    pub fn decoded_value(&self, header: &Header) -> String {
        encoded_word::decode(self.bounded(header)).text
    }

    /// The mailboxes of every From field.
    pub fn from(&self) -> Vec<Mailbox> {
        self.mailboxes("from")
    }

    /// The mailboxes of every Sender field.
    pub fn sender(&self) -> Vec<Mailbox> {
        self.mailboxes("sender")
    }

    /// The mailboxes of every Reply-To field.
    pub fn reply_to(&self) -> Vec<Mailbox> {
        self.mailboxes("reply-to")
    }

    /// The mailboxes of every field of this name.
    pub fn mailboxes(&self, name: &str) -> Vec<Mailbox> {
        self.header_values(name)
            .flat_map(|header| address::parse(self.bounded(header)))
            .collect()
    }

    /// A part's whole content, decoded once and kept.
    ///
    /// # Errors
    /// [`LimitHit::DecodedBytes`] where the message's budget for decoded content does not hold it.
    pub fn decoded(&self, part: &Part) -> Result<Bytes, LimitHit> {
        part.decoded.get_or_init(|| self.decode(part)).clone()
    }

    /// The text parts as UTF-8, up to [`Limits::text_bytes`].
    pub fn text(&self) -> &DecodedText {
        self.text.get_or_init(|| DecodedText::of(self))
    }

    /// The URIs in the text parts and in the subject, up to [`Limits::uris`].
    pub fn uris(&self) -> &Uris {
        self.uris.get_or_init(|| Uris::of(self))
    }

    pub(super) fn hit(&self, hit: LimitHit) {
        self.late_hits.fetch_or(hit.bit(), Ordering::Relaxed);
    }

    /// The first bytes of a part as text.
    pub(super) fn part_text(&self, part: &Part, max: usize) -> (String, bool) {
        let content = part.transfer_encoding().decode(&part.body, max);
        self.note_bad(part, content.bad);
        let (text, known) = charset::decode(&content.bytes, part.content_type.charset.as_deref());
        if !known {
            self.late_defect(DefectKind::MimeUnknownCharset);
        }
        (text, content.bytes.len() >= max)
    }

    fn decode(&self, part: &Part) -> Result<Bytes, LimitHit> {
        let encoding = part.transfer_encoding();
        let bound = encoding.decoded_bound(part.body.len()) as u64;
        let spent = self.decoded_bytes.fetch_add(bound, Ordering::Relaxed);
        if spent.saturating_add(bound) > self.limits.decoded_bytes {
            self.decoded_bytes.fetch_sub(bound, Ordering::Relaxed);
            self.hit(LimitHit::DecodedBytes);
            return Err(LimitHit::DecodedBytes);
        }
        let content = encoding.decode(&part.body, usize::MAX);
        self.note_bad(part, content.bad);
        Ok(content.bytes)
    }

    fn note_bad(&self, part: &Part, bad: bool) {
        if !bad {
            return;
        }
        self.late_defect(match part.encoding {
            Encoding::Base64 => DefectKind::MimeBadBase64,
            _ => DefectKind::MimeBadQuotedPrintable,
        });
    }

    fn late_defect(&self, kind: DefectKind) {
        self.late_defects.fetch_or(kind.bit(), Ordering::Relaxed);
    }

    fn bounded<'a>(&self, header: &'a Header) -> &'a [u8] {
        &header.value[..header.value.len().min(self.limits.header_line)]
    }
}

fn note_octets(raw: &[u8], body_start: usize, defects: &mut Defects) {
    let (head, body) = raw.split_at(body_start);
    let (head_octets, body_octets) = (Octets::of(head), Octets::of(body));
    let crlf = head_octets.crlf || body_octets.crlf;
    let rows = [
        (head_octets.high, DefectKind::Header8Bit),
        (head_octets.nul, DefectKind::HeaderNul),
        (body_octets.nul, DefectKind::BodyNul),
        (
            crlf && (head_octets.bare_lf || body_octets.bare_lf),
            DefectKind::BareLf,
        ),
        (
            head_octets.bare_cr || body_octets.bare_cr,
            DefectKind::BareCr,
        ),
        (octets::has_long_line(raw), DefectKind::LineTooLong),
    ];
    for (found, kind) in rows {
        if found {
            defects.add(kind);
        }
    }
}
