//! The stamp on a released message: what tells every node that people have decided on it already.
//!
//! It is one header field, [`HEADER`]: an HMAC-SHA256 over the purpose, an expiry, the message's digest and its
//! recipients. It stays on the message, so that a second filter on the way does not hold it again, and says nothing
//! for another message, for other recipients, or later.

mod digest;
mod keys;
#[cfg(test)]
mod tests;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use digest::{Covered, Fields};
pub use keys::{KeyFileError, StampKeys};

/// The field's name.
pub const HEADER: &str = "X-Millrace-Stamp";

/// What a message's stamp says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stamped {
    /// There is none.
    No,
    /// It was released: people have decided on it.
    Released {
        /// The identifier of the key that it was stamped with.
        key: String,
    },
    /// There is one, and it says nothing.
    Refused(StampProblem),
}

/// Why a stamp says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StampProblem {
    /// It is not written as a stamp is.
    #[error("malformed")]
    Malformed,
    /// Its key is not, or not any more, in the file.
    #[error("unknown key")]
    UnknownKey,
    /// It was not made with that key, or changed since.
    #[error("forged")]
    Forged,
    /// Its time is over.
    #[error("expired")]
    Expired,
    /// The message is not the one that was stamped.
    #[error("of another message")]
    OtherMessage,
    /// It goes to somebody for whom it was not stamped.
    #[error("for other recipients")]
    OtherRecipients,
}

type HmacSha256 = Hmac<Sha256>;

/// What the stamp is for; other purposes would have other words.
const PURPOSE: &str = "released";
/// Recipients that one stamp can have: each takes 17 octets of the field.
pub(crate) const RECIPIENTS: usize = 100;
/// Stamps that are looked at on one message.
const LOOKED_AT: usize = 4;
/// The longest value that can be a stamp.
const LONGEST: usize = 4096;

/// The parts of a stamp, as they stand in the field.
struct Stamp {
    key: String,
    expires: u64,
    nonce: [u8; 8],
    fields: Fields,
    digest: [u8; 32],
    recipients: Vec<[u8; 8]>,
    mac: [u8; 32],
}

impl StampKeys {
    /// The field's value for this message to these recipients, until `expires` (seconds since 1970), made with the
    /// first key. Folds are LF and white space.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn stamp(
        &self,
        content: &[u8],
        recipients: &[&[u8]],
        expires: u64,
    ) -> Result<String, getrandom::Error> {
        let mut nonce = [0; 8];
        getrandom::fill(&mut nonce)?;
        let key = self.first();
        let Covered { fields, digest } = digest::of(content, Fields::ALL);
        let mut stamp = Stamp {
            key: key.id().to_owned(),
            expires,
            nonce,
            fields,
            digest,
            recipients: recipients.iter().map(|one| mark(&nonce, one)).collect(),
            mac: [0; 32],
        };
        stamp.recipients.sort_unstable();
        stamp.recipients.dedup();
        stamp.mac = stamp
            .authenticate(key.secret())
            .finalize()
            .into_bytes()
            .into();
        Ok(stamp.write())
    }

    /// What the stamps on this message say, at `now` (seconds since 1970), when it goes to these recipients.
    #[must_use]
    pub fn look(&self, content: &[u8], recipients: &[&[u8]], now: u64) -> Stamped {
        let mut problem = None;
        for value in digest::values(content, HEADER).take(LOOKED_AT) {
            match self.check(&value, content, recipients, now) {
                Ok(key) => return Stamped::Released { key },
                Err(found) => problem = problem.or(Some(found)),
            }
        }
        problem.map_or(Stamped::No, Stamped::Refused)
    }

    fn check(
        &self,
        value: &[u8],
        content: &[u8],
        recipients: &[&[u8]],
        now: u64,
    ) -> Result<String, StampProblem> {
        let stamp = Stamp::read(value).ok_or(StampProblem::Malformed)?;
        let key = self.find(&stamp.key).ok_or(StampProblem::UnknownKey)?;
        stamp
            .authenticate(key.secret())
            .verify_slice(&stamp.mac)
            .map_err(|_| StampProblem::Forged)?;
        if now >= stamp.expires {
            return Err(StampProblem::Expired);
        }
        let covered = digest::of(content, stamp.fields);
        if covered.digest != stamp.digest || !covered.fields.may_have_become(stamp.fields) {
            return Err(StampProblem::OtherMessage);
        }
        let strangers = recipients.iter().any(|one| {
            stamp
                .recipients
                .binary_search(&mark(&stamp.nonce, one))
                .is_err()
        });
        if strangers {
            return Err(StampProblem::OtherRecipients);
        }
        Ok(stamp.key)
    }
}

impl Stamp {
    fn authenticate(&self, secret: &[u8]) -> HmacSha256 {
        let mut mac = HmacSha256::new_from_slice(secret).expect("HMAC takes keys of every length");
        mac.update(b"millrace stamp 1\0");
        mac.update(PURPOSE.as_bytes());
        mac.update(&[0]);
        mac.update(&self.expires.to_be_bytes());
        mac.update(&self.nonce);
        mac.update(&self.fields.bits().to_be_bytes());
        mac.update(&self.digest);
        for recipient in &self.recipients {
            mac.update(recipient);
        }
        mac
    }

    fn write(&self) -> String {
        let recipients: Vec<String> = self.recipients.iter().map(|one| hex(one)).collect();
        let recipients: Vec<String> = recipients.chunks(4).map(|four| four.join(",")).collect();
        format!(
            "v=1; k={}; p={PURPOSE}; x={}; n={}; f={:04x};\n\td={};\n\tr={};\n\tm={}",
            self.key,
            self.expires,
            hex(&self.nonce),
            self.fields.bits(),
            hex(&self.digest),
            recipients.join(",\n\t"),
            hex(&self.mac)
        )
    }

    /// Every tag once, in this order; white space is of no account.
    fn read(value: &[u8]) -> Option<Self> {
        if value.len() > LONGEST {
            return None;
        }
        let text: String = std::str::from_utf8(value)
            .ok()?
            .split_ascii_whitespace()
            .collect();
        let mut tags = text.split(';');
        let mut tag = |name: &str| tags.next()?.strip_prefix(name)?.strip_prefix('=');
        if tag("v")? != "1" {
            return None;
        }
        let key = tag("k")?.to_owned();
        if tag("p")? != PURPOSE {
            return None;
        }
        let stamp = Self {
            key,
            expires: tag("x")?.parse().ok()?,
            nonce: unhex(tag("n")?)?,
            fields: Fields::from_bits(u16::from_be_bytes(unhex(tag("f")?)?)),
            digest: unhex(tag("d")?)?,
            recipients: tag("r")?.split(',').map(unhex).collect::<Option<_>>()?,
            mac: unhex(tag("m")?)?,
        };
        let sorted = stamp.recipients.is_sorted();
        (tags.next().is_none() && sorted).then_some(stamp)
    }
}

/// A recipient, as the stamp has it. Case is of no account: mail servers on the way change it.
fn mark(nonce: &[u8; 8], recipient: &[u8]) -> [u8; 8] {
    let mut hash = Sha256::new();
    hash.update(nonce);
    hash.update(recipient.to_ascii_lowercase());
    let hash = hash.finalize();
    let mut mark = [0; 8];
    mark.copy_from_slice(&hash[..8]);
    mark
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}
