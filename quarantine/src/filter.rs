//! Which copies are looked for.

use crate::record::Record;

/// Which copies are looked for; without a word, all. Texts are looked for
/// in any case, and anywhere in what they are compared with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// The client's whole name.
    pub client: Option<String>,
    /// In the envelope's sender.
    pub sender: Option<String>,
    /// In any of the envelope's recipients.
    pub recipient: Option<String>,
    /// A symbol's whole name.
    pub symbol: Option<String>,
    /// The disposition that was answered.
    pub disposition: Option<String>,
    /// In the subject.
    pub subject: Option<String>,
    /// Not older: milliseconds since 1970, UTC.
    pub since: Option<u64>,
    /// Older than this: milliseconds since 1970, UTC.
    pub until: Option<u64>,
}

impl Filter {
    /// Whether a copy is one of them.
    #[must_use]
    pub fn takes(&self, record: &Record) -> bool {
        let is = |wanted: &Option<String>, value: &str| {
            wanted
                .as_ref()
                .is_none_or(|wanted| wanted.eq_ignore_ascii_case(value))
        };
        let has = |wanted: &Option<String>, value: &str| {
            wanted
                .as_ref()
                .is_none_or(|wanted| value.to_lowercase().contains(&wanted.to_lowercase()))
        };
        is(&self.client, &record.client)
            && is(&self.disposition, &record.disposition)
            && (self.symbol.is_none() || record.symbols.iter().any(|name| is(&self.symbol, name)))
            && has(&self.sender, &record.sender)
            && (self.recipient.is_none()
                || record
                    .recipients
                    .iter()
                    .any(|one| has(&self.recipient, one)))
            && has(&self.subject, &record.subject)
            && self.since.is_none_or(|since| record.time >= since)
            && self.until.is_none_or(|until| record.time < until)
    }
}
