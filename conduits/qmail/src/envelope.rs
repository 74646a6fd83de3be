//! qmail-queue's envelope: `F` sender NUL, `T` recipient NUL for each, NUL.

use bytes::Bytes;

use crate::exit::Exit;

/// A whole envelope. Addresses are byte for byte what the caller wrote: the sender may be empty (a bounce), `#@[]` (a
/// double bounce) or end in `-@[]` (VERP).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Without angle brackets.
    pub sender: Bytes,
    /// May be none.
    pub recipients: Vec<Bytes>,
}

/// Why there is no envelope. The first thing that is wrong, as the real qmail-queue reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// It ends before its final NUL: the caller gave up, and nothing is to be delivered.
    #[error("the caller gave up before the envelope's end")]
    Aborted,
    /// A record is neither `F` at first nor `T` later.
    #[error("the envelope breaks its format")]
    Format,
    /// An address has 1003 bytes or more.
    #[error("an address of the envelope is too long")]
    AddressTooLong,
}

/// `ADDR` of `qmail-queue.c`.
const LONGEST_ADDRESS: usize = 1003;

impl Envelope {
    /// Parses all that came on descriptor 1. What follows the final NUL is not looked at.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &Bytes) -> Result<Self, EnvelopeError> {
        match bytes.first() {
            None => return Err(EnvelopeError::Aborted),
            Some(b'F') => {}
            Some(_) => return Err(EnvelopeError::Format),
        }
        let mut at = 1;
        let sender = address(bytes, &mut at)?;
        let mut recipients = Vec::new();
        loop {
            match bytes.get(at) {
                None => return Err(EnvelopeError::Aborted),
                Some(0) => return Ok(Self { sender, recipients }),
                Some(b'T') => {
                    at += 1;
                    recipients.push(address(bytes, &mut at)?);
                }
                Some(_) => return Err(EnvelopeError::Format),
            }
        }
    }

    /// As the real qmail-queue reads it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let length = self.recipients.iter().map(|to| to.len() + 2).sum::<usize>();
        let mut bytes = Vec::with_capacity(length + self.sender.len() + 3);
        bytes.push(b'F');
        bytes.extend_from_slice(&self.sender);
        bytes.push(0);
        for recipient in &self.recipients {
            bytes.push(b'T');
            bytes.extend_from_slice(recipient);
            bytes.push(0);
        }
        bytes.push(0);
        bytes
    }
}

fn address(bytes: &Bytes, at: &mut usize) -> Result<Bytes, EnvelopeError> {
    let rest = &bytes[*at..];
    let window = &rest[..rest.len().min(LONGEST_ADDRESS)];
    let Some(length) = memchr::memchr(0, window) else {
        return Err(if rest.len() < LONGEST_ADDRESS {
            EnvelopeError::Aborted
        } else {
            EnvelopeError::AddressTooLong
        });
    };
    let address = bytes.slice(*at..*at + length);
    *at += length + 1;
    Ok(address)
}

impl From<EnvelopeError> for Exit {
    fn from(error: EnvelopeError) -> Self {
        match error {
            EnvelopeError::Aborted => Self::Read,
            EnvelopeError::Format => Self::EnvelopeFormat,
            EnvelopeError::AddressTooLong => Self::AddressTooLong,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_envelope_is_read_as_qmail_queue_reads_it() {
        let ok = |sender: &'static str, recipients: &[&'static str]| {
            Ok(Envelope {
                sender: sender.into(),
                recipients: recipients.iter().map(|&to| to.into()).collect(),
            })
        };
        for (bytes, expected) in [
            (&b"Fa@b\0Tc@d\0\0"[..], ok("a@b", &["c@d"])),
            (b"F\0Tc@d\0Te@f\0\0", ok("", &["c@d", "e@f"])),
            (b"F#@[]\0Tc\0\0", ok("#@[]", &["c"])),
            (b"Flist-@[]\0Tc\0\0", ok("list-@[]", &["c"])),
            (b"Fa\0\0", ok("a", &[])),
            (b"Fa\0\0after", ok("a", &[])),
            (b"", Err(EnvelopeError::Aborted)),
            (b"Fa", Err(EnvelopeError::Aborted)),
            (b"Fa\0", Err(EnvelopeError::Aborted)),
            (b"Fa\0Tb\0", Err(EnvelopeError::Aborted)),
            (b"Xa\0\0", Err(EnvelopeError::Format)),
            (b"Fa\0Xb\0\0", Err(EnvelopeError::Format)),
        ] {
            let parsed = Envelope::parse(&Bytes::from_static(bytes));
            assert_eq!(parsed, expected, "{:?}", bytes.escape_ascii().to_string());
        }
    }

    #[test]
    fn an_address_of_1003_bytes_is_too_long_and_one_of_1002_is_not() {
        for (length, fits) in [(1002, true), (1003, false)] {
            let long = "x".repeat(length);
            for bytes in [format!("F{long}\0\0"), format!("Fa\0T{long}\0\0")] {
                let parsed = Envelope::parse(&bytes.into());
                assert_eq!(parsed.is_ok(), fits, "{length}");
                assert!(fits || parsed == Err(EnvelopeError::AddressTooLong));
            }
        }
    }

    fn address() -> impl Strategy<Value = Bytes> {
        prop::collection::vec(1..=u8::MAX, 0..40).prop_map(Bytes::from)
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read_back(sender in address(), recipients in prop::collection::vec(address(), 0..20)) {
            let envelope = Envelope { sender, recipients };
            prop_assert_eq!(Envelope::parse(&envelope.encode().into()), Ok(envelope));
        }

        #[test]
        fn an_envelope_that_is_cut_anywhere_delivers_nothing(
            recipients in prop::collection::vec(address(), 0..5), cut in any::<prop::sample::Index>(),
        ) {
            let whole = Envelope { sender: "a@b".into(), recipients }.encode();
            let part = Bytes::copy_from_slice(&whole[..cut.index(whole.len())]);
            prop_assert_eq!(Envelope::parse(&part), Err(EnvelopeError::Aborted));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
            let _ = Envelope::parse(&bytes.into());
        }
    }
}
