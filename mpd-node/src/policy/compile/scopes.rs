//! `client`, `direction` and `recipient_domain`.

use millrace_proto::{ClientName, Direction};
use toml::Spanned;

use super::{Compiler, Source};
use crate::policy::document::{Words, words};
use crate::policy::scope::Scope;

impl Compiler {
    pub(super) fn scope(
        &mut self,
        source: &Source,
        key: &str,
        client: Option<&Spanned<Words>>,
        direction: Option<&Spanned<Words>>,
        recipient_domain: Option<&Spanned<Words>>,
    ) -> Scope {
        let mut clients: Vec<ClientName> = Vec::new();
        for (span, word) in client.map(words).unwrap_or_default() {
            match word.parse() {
                Ok(name) => clients.push(name),
                Err(problem) => {
                    let remedy = "write a client's name as the gateway's configuration has it";
                    self.error(
                        source,
                        span,
                        format!("{key}.client"),
                        problem.to_string(),
                        remedy,
                    );
                }
            }
        }
        let mut directions: Vec<Direction> = Vec::new();
        for (span, word) in direction.map(words).unwrap_or_default() {
            match word.parse() {
                Ok(direction) => directions.push(direction),
                Err(_) => {
                    let problem = format!("'{word}' is not a direction");
                    self.error(
                        source,
                        span,
                        format!("{key}.direction"),
                        problem,
                        "write inbound, outbound or local",
                    );
                }
            }
        }
        let recipients = recipient_domain.and_then(|value| self.recipients(source, key, value));
        for (value, name) in [
            (client, "client"),
            (direction, "direction"),
            (recipient_domain, "recipient_domain"),
        ] {
            if let Some(value) = value.filter(|value| words(value).is_empty()) {
                let remedy = "leave it out to mean all, or name some";
                self.error(
                    source,
                    value.span(),
                    format!("{key}.{name}"),
                    "is empty, and so never holds",
                    remedy,
                );
            }
        }
        Scope {
            clients: clients.into(),
            directions: directions.into(),
            recipients,
        }
    }

    fn recipients(&mut self, source: &Source, key: &str, value: &Spanned<Words>) -> Option<u16> {
        let entries = words(value);
        if entries.is_empty() {
            return None;
        }
        let domains: Vec<&str> = entries.iter().map(|(_, word)| *word).collect();
        match self.recipients.add(&domains) {
            Ok(scope) => Some(scope),
            Err(at) => {
                let (span, word) = &entries[at];
                let problem = format!("'{word}' is no domain");
                let remedy = "write a domain, or .domain for all below it";
                self.error(
                    source,
                    span.clone(),
                    format!("{key}.recipient_domain"),
                    problem,
                    remedy,
                );
                None
            }
        }
    }
}
