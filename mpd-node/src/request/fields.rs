//! Defects of the message's own header fields (RFC 5322, 3.6).

use mail_parser::{HeaderValue, parsers::MessageStream};
use memchr::memmem;

use super::{
    address,
    defect::{DefectKind, Defects},
    encoded_word,
    header::Header,
    limits::Limits,
};

/// Fields that may occur once (RFC 5322, 3.6; RFC 2045, 4).
const SINGLETONS: [&[u8]; 12] = [
    b"from",
    b"sender",
    b"reply-to",
    b"to",
    b"cc",
    b"bcc",
    b"date",
    b"subject",
    b"message-id",
    b"in-reply-to",
    b"references",
    b"mime-version",
];

/// Fields in which encoded words are looked at.
const WITH_WORDS: [&[u8]; 5] = [b"subject", b"from", b"to", b"reply-to", b"sender"];

const MONTHS: [&[u8]; 12] = [
    b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec",
];

#[derive(Default)]
struct Present {
    from: bool,
    date: bool,
    message_id: bool,
    subject: bool,
    recipient: bool,
    mime_version: bool,
    content: bool,
}

/// Looks at each field once.
pub(super) fn check(headers: &[Header], limits: &Limits, defects: &mut Defects) {
    let mut present = Present::default();
    for header in headers {
        present.note(header);
        let value = &header.value[..header.value.len().min(limits.header_line)];
        if header.occurrence == 2 && SINGLETONS.iter().any(|name| header.is(name)) {
            defects.add_header(DefectKind::DuplicateSingleton, &header.name);
        }
        if header.is(b"date") && !is_date(value) {
            defects.add_header(DefectKind::BadDate, &header.name);
        }
        if header.is(b"from") {
            check_from(header, value, defects);
        }
        if memmem::find(value, b"=?").is_some()
            && WITH_WORDS.iter().any(|name| header.is(name))
            && encoded_word::decode(value).bad
        {
            defects.add_header(DefectKind::EncodedWordBad, &header.name);
        }
    }
    present.report(headers.is_empty(), defects);
}

fn check_from(header: &Header, value: &[u8], defects: &mut Defects) {
    let mailboxes = address::parse(value);
    if mailboxes.len() > 1 {
        defects.add_header(DefectKind::FromMultiple, &header.name);
    }
    if !mailboxes
        .iter()
        .any(|mailbox| mailbox.address.contains(&b'@'))
    {
        defects.add_header(DefectKind::FromInvalid, &header.name);
    }
    let shows_another = mailboxes.iter().any(|mailbox| {
        let address = String::from_utf8_lossy(&mailbox.address).to_lowercase();
        let display = mailbox.display.to_lowercase();
        let shown = display
            .split(|c: char| c.is_whitespace() || "<>()[]\"',;".contains(c))
            .find(|w| is_address(w));
        shown.is_some_and(|shown| shown != address)
    });
    if shows_another {
        defects.add_header(DefectKind::FromNameAddress, &header.name);
    }
}

fn is_address(word: &str) -> bool {
    word.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty()
            && domain.contains('.')
            && !domain.starts_with('.')
            && !domain.contains('@')
    })
}

fn is_date(value: &[u8]) -> bool {
    let value = &value[..value.len().min(256)];
    // mail-parser takes any word for a month.
    let mut words = value.split(|b| !b.is_ascii_alphabetic());
    let has_month = words.any(|word| {
        MONTHS
            .iter()
            .any(|month| word.len() >= 3 && word[..3].eq_ignore_ascii_case(month))
    });
    has_month
        && matches!(MessageStream::new(value).parse_date(), HeaderValue::DateTime(date) if date.is_valid())
}

impl Present {
    fn note(&mut self, header: &Header) {
        self.from |= header.is(b"from");
        self.date |= header.is(b"date");
        self.message_id |= header.is(b"message-id");
        self.subject |= header.is(b"subject");
        self.recipient |= header.is(b"to") || header.is(b"cc") || header.is(b"bcc");
        self.mime_version |= header.is(b"mime-version");
        self.content |= header.is(b"content-type") || header.is(b"content-transfer-encoding");
    }

    fn report(&self, empty: bool, defects: &mut Defects) {
        let rows = [
            (empty, DefectKind::HeaderEmptyBlock),
            (!self.from, DefectKind::MissingFrom),
            (!self.date, DefectKind::MissingDate),
            (!self.message_id, DefectKind::MissingMessageId),
            (!self.subject, DefectKind::MissingSubject),
            (!self.recipient, DefectKind::MissingTo),
            (
                self.content && !self.mime_version,
                DefectKind::MimeVersionMissing,
            ),
        ];
        for (found, kind) in rows {
            if found {
                defects.add(kind);
            }
        }
    }
}
