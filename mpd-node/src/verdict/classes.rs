//! Recipients for whom the policy says the same.

use millrace_proto::Transaction;

use crate::checks::{Applies, Findings, Hit};
use crate::policy::Policy;

/// Recipients that are judged alike.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Class {
    /// Their indexes in the envelope; `None` for all.
    recipients: Option<Vec<u32>>,
    /// The recipient scopes that they are in, in order.
    pub(super) scopes: Vec<u16>,
    /// The lists that have the recipient itself, in order.
    own: Vec<u32>,
}

/// The classes of a transaction: at least one.
pub(super) fn classes(
    policy: &Policy,
    transaction: &Transaction,
    findings: &Findings<'_>,
) -> Vec<Class> {
    let recipients = &transaction.envelope.recipients;
    let alike = policy.recipients().is_empty()
        && findings
            .hits()
            .iter()
            .all(|hit| !matches!(hit.applies, Applies::Recipient(_)));
    if alike || recipients.is_empty() {
        return vec![Class::default()];
    }
    let mut classes: Vec<Class> = Vec::new();
    for (index, path) in recipients.iter().enumerate() {
        let index = index as u32;
        let scopes = policy.recipients().of(path.domain());
        let own: Vec<u32> = findings
            .hits()
            .iter()
            .filter(|hit| hit.applies == Applies::Recipient(index))
            .filter_map(|hit| hit.list)
            .collect();
        match classes
            .iter_mut()
            .find(|class| class.scopes == scopes && class.own == own)
        {
            Some(class) => class.recipients.get_or_insert_default().push(index),
            None => classes.push(Class {
                recipients: Some(vec![index]),
                scopes,
                own,
            }),
        }
    }
    if let [class] = &mut *classes {
        class.recipients = None;
    }
    classes
}

impl Class {
    /// Whether a finding is one for these recipients.
    pub(super) fn is_hit(&self, hit: &Hit) -> bool {
        match hit.applies {
            Applies::All => true,
            Applies::Scope(scope) => self.scopes.binary_search(&scope).is_ok(),
            Applies::Recipient(index) => self
                .recipients
                .as_ref()
                .is_none_or(|recipients| recipients.contains(&index)),
        }
    }

    /// Whether a recipient is in it.
    pub(super) fn has(&self, index: u32) -> bool {
        self.recipients
            .as_ref()
            .is_none_or(|recipients| recipients.contains(&index))
    }

    /// The indexes of its recipients, `count` being how many there are in all.
    pub(super) fn indexes(&self, count: usize) -> Vec<u32> {
        self.recipients
            .clone()
            .unwrap_or_else(|| (0..count as u32).collect())
    }

    /// Its first recipient.
    pub(super) fn first<'t>(&self, transaction: &'t Transaction) -> &'t [u8] {
        let index = self
            .recipients
            .as_ref()
            .and_then(|recipients| recipients.first())
            .copied()
            .unwrap_or(0);
        transaction
            .envelope
            .recipients
            .get(index as usize)
            .map_or(b"", |path| &path.address)
    }
}
