//! Raw message bytes become a [`Message`]: parsed once, read by every check.
//!
//! # Why a walker of our own
//! The structure (header fields, MIME parts, their ranges) is found here, by an iterative scan with `memchr` that
//! neither copies nor decodes: `mail-parser` overflows the stack at 20,000 nested `message/rfc822` parts, decodes
//! every attachment before anybody has asked for one, and reports neither ranges of the raw message nor what was
//! wrong with it. Parameters, addresses and encoded words are parsed here too, because they are attacker-sized:
//! `mail-parser` turns boundaries into lossy UTF-8, decodes each encoded word alone (a multi-byte character split over
//! two words is lost), and rescans to the end of the field for each `=?` that does not end.
//! What `mail-parser` does in linear time and well is taken from it: dates, hexadecimal escapes, character sets that the
//! web's list lacks (UTF-7, the IBM code pages) and HTML entities. Base64 is decoded by `base64-simd`, other
//! character sets by `encoding_rs`.
//!
//! # Cost
//! [`Message::parse`] reads each byte of the message about twice. Text, URIs and decoded content are made when first
//! asked for, and kept. Everything that grows with the input has a bound in [`Limits`]; a bound that is reached is
//! recorded as a [`LimitHit`], never an error: parsing cannot fail.

mod address;
mod charset;
mod content_type;
mod decode;
mod defect;
mod encoded_word;
mod fields;
mod header;
mod html;
mod limits;
mod message;
mod octets;
mod part;
pub mod real_type;
mod structure;
mod text;
mod uri;

#[cfg(test)]
mod tests;

pub use address::Mailbox;
pub use content_type::{ContentType, Disposition};
pub use decode::Encoding;
pub use defect::{Defect, DefectKind};
pub use header::Header;
pub use limits::{LimitHit, LimitSet, Limits};
pub use message::Message;
pub use part::{Part, safe_file_name};
pub use text::{DecodedText, TextPart};
pub use uri::{Uri, Uris};
