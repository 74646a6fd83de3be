//! Allow and block lists.

use std::cell::OnceCell;

use millrace_proto::Stage;

use super::{Applies, Check, Facts, Findings, TrueClient};
use crate::policy::{List, Policy, Subject};

/// Looks connection, envelope and author up in the policy's lists.
pub(super) struct Lists;

impl Check for Lists {
    fn name(&self) -> &'static str {
        "lists"
    }

    fn speaks_at(&self, stage: Stage, policy: &Policy) -> bool {
        policy
            .lists()
            .iter()
            .any(|list| !list.entries.is_empty() && speaks(list, stage))
    }

    fn run(&self, facts: &Facts<'_>, findings: &mut Findings<'_>) {
        let lookup = Lookup {
            facts,
            from: OnceCell::new(),
            sender: OnceCell::new(),
            recipients: OnceCell::new(),
        };
        for (at, list) in facts.policy.lists().iter().enumerate() {
            if !list.entries.is_empty()
                && speaks(list, facts.stage)
                && list.scope.covers(facts.transaction)
            {
                lookup.list(at as u32, list, findings);
            }
        }
    }
}

/// Whether a list has a say at a stage: at the end all have; before it those that refuse, from their stage on, and
/// those that allow, which overrule them.
fn speaks(list: &List, stage: Stage) -> bool {
    match (stage, list.stage) {
        (Stage::EndOfMessage, _) => true,
        (_, Some(from)) => from <= stage,
        (_, None) => !list.refuses() && list.action == crate::policy::ListAction::Allow,
    }
}

/// What is looked up, made when first asked for.
struct Lookup<'f, 'a> {
    facts: &'f Facts<'a>,
    from: OnceCell<Vec<Vec<u8>>>,
    sender: OnceCell<Vec<Vec<u8>>>,
    recipients: OnceCell<Vec<(u32, Vec<u8>)>>,
}

impl Lookup<'_, '_> {
    fn list(&self, at: u32, list: &List, findings: &mut Findings<'_>) {
        for subject in &list.kinds {
            if subject.stage() > self.facts.stage {
                continue;
            }
            if *subject == Subject::Recipient {
                self.recipients(at, list, findings);
                continue;
            }
            if let Some((line, value)) = self.find(*subject, list) {
                let applies = list.scope.recipients().map_or(Applies::All, Applies::Scope);
                raise(at, list, line, applies, &value, findings);
                return;
            }
        }
    }

    fn find(&self, subject: Subject, list: &List) -> Option<(u32, Vec<u8>)> {
        let entries = &list.entries;
        match subject {
            Subject::EnvelopeSender => {
                let sender = self
                    .facts
                    .transaction
                    .envelope
                    .sender
                    .as_ref()?
                    .address
                    .to_ascii_lowercase();
                Some((entries.find(&sender)?, sender))
            }
            Subject::FromHeader => self.mailbox(&self.from, "from", list),
            Subject::SenderHeader => self.mailbox(&self.sender, "sender", list),
            Subject::Peer => {
                let ip = self.client()?.ip?;
                Some((entries.find_ip(ip)?, ip.to_string().into_bytes()))
            }
            Subject::Helo => {
                let name = self.client()?.helo.as_ref()?.to_ascii_lowercase();
                Some((entries.find(&name)?, name))
            }
            Subject::Ptr => {
                let name = self.client()?.ptr.as_ref()?.to_ascii_lowercase();
                Some((entries.find(&name)?, name))
            }
            Subject::Recipient => None,
        }
    }

    fn client(&self) -> Option<&TrueClient> {
        self.facts.true_client()
    }

    fn mailbox(
        &self,
        kept: &OnceCell<Vec<Vec<u8>>>,
        name: &str,
        list: &List,
    ) -> Option<(u32, Vec<u8>)> {
        let addresses = kept.get_or_init(|| {
            let mailboxes = self
                .facts
                .message
                .map(|message| message.mailboxes(name))
                .unwrap_or_default();
            mailboxes
                .into_iter()
                .map(|mailbox| mailbox.address.to_ascii_lowercase())
                .collect()
        });
        addresses
            .iter()
            .find_map(|address| Some((list.entries.find(address)?, address.clone())))
    }

    fn recipients(&self, at: u32, list: &List, findings: &mut Findings<'_>) {
        let recipients = self.recipients.get_or_init(|| {
            let all = self
                .facts
                .transaction
                .envelope
                .recipients
                .iter()
                .enumerate();
            let lower = all.map(|(index, path)| (index as u32, path.address.to_ascii_lowercase()));
            match self.facts.stage {
                // The one in question is the last.
                Stage::Rcpt => lower.last().into_iter().collect(),
                _ => lower.collect(),
            }
        });
        for (index, address) in recipients {
            let Some(line) = list.entries.find(address) else {
                continue;
            };
            let scoped = list.scope.recipients().is_none_or(|_| {
                let domain =
                    memchr::memrchr(b'@', address).map_or(&[][..], |at| &address[at + 1..]);
                list.scope
                    .covers_recipients(&self.facts.policy.recipients().of(domain))
            });
            if scoped {
                raise(
                    at,
                    list,
                    line,
                    Applies::Recipient(*index),
                    address,
                    findings,
                );
            }
        }
    }
}

fn raise(
    at: u32,
    list: &List,
    line: u32,
    applies: Applies,
    value: &[u8],
    findings: &mut Findings<'_>,
) {
    let place = format!(" ({}:{line})", list.file);
    let detail = [value, place.as_bytes()].concat();
    findings.raise_list(list.symbol, at, applies, &detail);
}
