//! Sending a kept copy on.

mod encryption;
mod line_endings;
mod smtp;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::error::QuarantineError;
use crate::stamp::{self, HEADER, StampKeys};
use crate::store::Quarantine;
use crate::when;
use encryption::Encryption;
pub use encryption::NextHopTls;
use smtp::{NextHop, SmtpError};

/// How a copy is sent on.
#[derive(Debug, Clone)]
pub struct Release {
    /// The next hop, `HOST:PORT`.
    pub via: String,
    /// Whether the way there is encrypted.
    pub tls: NextHopTls,
    /// The authorities in PEM whose certificates the next hop may have; the system's without.
    pub authorities: Option<PathBuf>,
    /// Who is to have it; those for whom it was kept when empty.
    pub recipients: Vec<String>,
    /// Who releases it: for the audit log.
    pub who: String,
    /// Release it although it was released before.
    pub again: bool,
    /// What this host says in EHLO.
    pub hello: String,
    /// How long the stamp holds.
    pub valid: Duration,
    /// For connecting, and for each answer.
    pub time: Duration,
}

/// What the next hop answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// To whom.
    pub recipient: String,
    /// It has the message for this recipient.
    pub accepted: bool,
    /// Its reply; text from outside that is not made printable.
    pub reply: String,
}

/// Why a copy was not released. The entry stays as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// The store failed, or has no such copy.
    #[error(transparent)]
    Store(#[from] QuarantineError),
    /// It was released before.
    #[error("{id} was released before: say that it is meant to be sent again")]
    Released {
        /// The copy.
        id: String,
        /// When: milliseconds since 1970, UTC.
        time: u64,
    },
    /// An address cannot stand in SMTP's commands.
    #[error("'{0}' cannot be sent to by SMTP: name recipients that can")]
    Address(String),
    /// Nobody is to have it.
    #[error("{0} has no recipients: name some")]
    Nobody(String),
    /// The way to the next hop cannot be encrypted: the file of authorities is none.
    #[error("{0}")]
    Encryption(String),
    /// The next hop was not reached, or refused.
    #[error("the next hop did not take it: {0}")]
    Refused(String),
    /// The connection was lost before the next hop answered to the whole message.
    #[error(
        "the connection was lost before the next hop answered to the whole message: it may have it, so look there \
         before you release it again: {0}"
    )]
    InDoubt(String),
    /// The next hop has it, and the store could not note that.
    #[error("it was sent, and that could not be noted, so do not release it again: {0}")]
    Unnoted(QuarantineError),
    /// The stamp could not be made.
    #[error("no random numbers: {0}")]
    Random(getrandom::Error),
}

/// The content of a stamped message, and the address of who sent it.
struct Prepared {
    sender: String,
    message: Vec<u8>,
}

impl Default for Release {
    fn default() -> Self {
        Self {
            via: "127.0.0.1:25".to_owned(),
            tls: NextHopTls::default(),
            authorities: None,
            recipients: Vec::new(),
            who: String::new(),
            again: false,
            hello: "localhost".to_owned(),
            // As long as mail servers try.
            valid: Duration::from_secs(7 * 86_400),
            time: Duration::from_secs(60),
        }
    }
}

impl Quarantine {
    /// Sends a copy on by SMTP: the bytes that were kept, line endings made CRLF, with a stamp above them that keeps
    /// every filter with these keys from holding it again. Released it is when the next hop has it for one recipient
    /// or more; that and the answers are noted.
    ///
    /// # Errors
    /// Nobody has it, or nobody knows ([`ReleaseError::InDoubt`]): the entry stays as it was.
    pub async fn release(
        &self,
        id: &str,
        release: &Release,
        keys: &StampKeys,
    ) -> Result<Vec<Answer>, ReleaseError> {
        let record = self.record(id).await?;
        if let Some(time) = record.released.filter(|_| !release.again) {
            return Err(ReleaseError::Released {
                id: id.to_owned(),
                time,
            });
        }
        let recipients = match (&release.recipients, &record.kept_for) {
            (named, _) if !named.is_empty() => named.clone(),
            (_, some) if !some.is_empty() => some.clone(),
            _ => record.recipients.clone(),
        };
        if recipients.is_empty() {
            return Err(ReleaseError::Nobody(id.to_owned()));
        }
        for address in recipients.iter().chain([&record.sender]) {
            if !can_be_sent(address) {
                return Err(ReleaseError::Address(address.clone()));
            }
        }
        let content = self.copy(id).await?.content;
        let mut answers = Vec::new();
        for some in recipients.chunks(stamp::RECIPIENTS) {
            let prepared = prepare(&content, &record.sender, some, release, keys)?;
            match send(prepared, some.to_vec(), release).await {
                Ok(told) => answers.extend(told),
                // Others have it already: they are not to be told otherwise.
                Err(error) if answers.iter().any(|one: &Answer| one.accepted) => {
                    answers.extend(some.iter().map(|recipient| Answer {
                        recipient: recipient.clone(),
                        accepted: false,
                        reply: error.to_string(),
                    }));
                }
                Err(error) => {
                    let what = format!("to {}: {error}", some.join(" "));
                    self.audit(&release.who, "release failed", id, &what)
                        .await?;
                    return Err(error);
                }
            }
        }
        let text: Vec<String> = answers
            .iter()
            .map(|answer| format!("{}: {}", answer.recipient, answer.reply))
            .collect();
        let text = format!("via {}: {}", release.via, text.join("; "));
        if answers.iter().any(|answer| answer.accepted) {
            self.note_release(id, &release.who, &text)
                .await
                .map_err(ReleaseError::Unnoted)?;
        } else {
            self.audit(&release.who, "release failed", id, &text)
                .await?;
        }
        Ok(answers)
    }

    async fn note_release(&self, id: &str, who: &str, text: &str) -> Result<(), QuarantineError> {
        self.mark_released(id, when::now()).await?;
        self.audit(who, "release", id, text).await
    }
}

fn prepare(
    content: &[u8],
    sender: &str,
    recipients: &[String],
    release: &Release,
    keys: &StampKeys,
) -> Result<Prepared, ReleaseError> {
    let marks: Vec<&[u8]> = recipients.iter().map(String::as_bytes).collect();
    let expires = when::now() / 1000 + release.valid.as_secs();
    let stamp = keys
        .stamp(content, &marks, expires)
        .map_err(ReleaseError::Random)?;
    let content = line_endings::with_crlf(content);
    let mut message = Vec::with_capacity(content.len() + stamp.len() + HEADER.len() + 32);
    message.extend_from_slice(HEADER.as_bytes());
    message.extend_from_slice(b": ");
    message.extend_from_slice(stamp.replace('\n', "\r\n").as_bytes());
    message.extend_from_slice(b"\r\n");
    message.extend_from_slice(&content);
    Ok(Prepared {
        sender: sender.to_owned(),
        message,
    })
}

async fn send(
    prepared: Prepared,
    recipients: Vec<String>,
    release: &Release,
) -> Result<Vec<Answer>, ReleaseError> {
    let authorities = release.authorities.as_deref();
    let encryption = Encryption::of(release.tls, authorities, &release.via)
        .map_err(|error| ReleaseError::Encryption(error.to_string()))?;
    let hop = NextHop {
        via: release.via.clone(),
        hello: release.hello.clone(),
        time: release.time,
        encryption,
    };
    // The client blocks.
    let sent = tokio::task::spawn_blocking(move || {
        let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
        let Prepared { sender, message } = prepared;
        smtp::send(&hop, &sender, &recipients, &message)
    });
    match sent.await {
        Ok(Ok(answers)) => Ok(answers),
        Ok(Err(SmtpError::Refused(problem))) => Err(ReleaseError::Refused(problem)),
        Ok(Err(SmtpError::InDoubt(problem))) => Err(ReleaseError::InDoubt(problem)),
        Err(panic) => Err(ReleaseError::InDoubt(panic.to_string())),
    }
}

/// An address that can stand between angle brackets (RFC 5321 §4.1.2); the empty one is a bounce's sender.
fn can_be_sent(address: &str) -> bool {
    address.len() <= 512
        && !address.contains('\u{fffd}')
        && address
            .chars()
            .all(|c| !c.is_control() && !c.is_whitespace() && !matches!(c, '<' | '>'))
}
