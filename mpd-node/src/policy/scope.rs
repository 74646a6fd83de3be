//! To whom a part of a policy applies.

use std::collections::HashMap;

use millrace_proto::{ClientName, Direction, Transaction};

/// Clients and directions that a part of a policy applies to, and recipients.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Scope {
    /// Empty for all.
    pub(super) clients: Box<[ClientName]>,
    /// Empty for all.
    pub(super) directions: Box<[Direction]>,
    /// The recipient scope; `None` for all recipients.
    pub(super) recipients: Option<u16>,
}

/// The sets of recipient domains in a policy, numbered.
#[derive(Debug, Default)]
pub(crate) struct RecipientScopes {
    exact: HashMap<Box<[u8]>, Vec<u16>>,
    below: HashMap<Box<[u8]>, Vec<u16>>,
    count: u16,
    known: HashMap<Vec<String>, u16>,
}

impl Scope {
    /// Whether it applies to this client and direction.
    pub(crate) fn covers(&self, transaction: &Transaction) -> bool {
        self.covers_client(&transaction.client, transaction.direction)
    }

    /// Whether it applies to this client and direction.
    pub(crate) fn covers_client(&self, client: &ClientName, direction: Direction) -> bool {
        (self.clients.is_empty() || self.clients.contains(client))
            && (self.directions.is_empty() || self.directions.contains(&direction))
    }

    /// The recipient scope.
    pub(crate) fn recipients(&self) -> Option<u16> {
        self.recipients
    }

    /// Whether it applies to recipients that are in these recipient scopes.
    pub(crate) fn covers_recipients(&self, scopes: &[u16]) -> bool {
        self.recipients
            .is_none_or(|scope| scopes.binary_search(&scope).is_ok())
    }
}

impl RecipientScopes {
    /// The number of a set of domains: `domain`, or `.domain` for all below it. `None` when a word is no domain.
    pub(super) fn add(&mut self, words: &[&str]) -> Result<u16, usize> {
        let mut key = Vec::with_capacity(words.len());
        for (at, word) in words.iter().enumerate() {
            let word = word
                .strip_prefix('*')
                .filter(|rest| rest.starts_with('.'))
                .unwrap_or(word);
            let bare = word.strip_prefix('.').unwrap_or(word);
            let fits = !bare.is_empty()
                && !bare.starts_with('.')
                && bare
                    .bytes()
                    .all(|b| b.is_ascii_graphic() && !b"@*?,;<>".contains(&b) || b >= 0x80);
            if !fits {
                return Err(at);
            }
            key.push(word.to_ascii_lowercase());
        }
        key.sort_unstable();
        key.dedup();
        if let Some(&scope) = self.known.get(&key) {
            return Ok(scope);
        }
        let scope = self.count;
        self.count = self.count.saturating_add(1);
        for word in &key {
            let (map, domain) = match word.strip_prefix('.') {
                Some(below) => (&mut self.below, below),
                None => (&mut self.exact, word.as_str()),
            };
            map.entry(domain.as_bytes().into()).or_default().push(scope);
        }
        self.known.insert(key, scope);
        Ok(scope)
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The scopes that a recipient's domain is in, in order.
    pub(crate) fn of(&self, domain: &[u8]) -> Vec<u16> {
        let mut scopes = Vec::new();
        if self.is_empty() {
            return scopes;
        }
        let domain = domain.to_ascii_lowercase();
        scopes.extend(self.exact.get(domain.as_slice()).into_iter().flatten());
        if !self.below.is_empty() {
            for dot in memchr::memchr_iter(b'.', &domain) {
                scopes.extend(self.below.get(&domain[dot + 1..]).into_iter().flatten());
            }
        }
        scopes.sort_unstable();
        scopes.dedup();
        scopes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipients_are_in_the_scopes_of_their_domain() {
        let mut scopes = RecipientScopes::default();
        assert_eq!(scopes.add(&["a.example", ".b.example"]), Ok(0));
        assert_eq!(scopes.add(&["a.example"]), Ok(1));
        assert_eq!(
            scopes.add(&["*.B.example", "A.example"]),
            Ok(0),
            "the same set"
        );
        assert_eq!(scopes.add(&["ok.example", "user@no.example"]), Err(1));
        for (domain, of) in [
            ("A.Example", vec![0, 1]),
            ("x.b.example", vec![0]),
            ("b.example", vec![]),
            ("x.a.example", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(scopes.of(domain.as_bytes()), of, "{domain}");
        }
    }
}
