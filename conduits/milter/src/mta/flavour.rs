//! How kinds of mail servers differ: offers and macros.

use bytes::{BufMut, Bytes, BytesMut};
use millrace_proto::Peer;

use super::message::{Client, Message};
use crate::command::{MacroBlock, Offer, RawPath, put_string};
use crate::flags::{Actions, Steps};

/// A kind of mail server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// Postfix 3.7 with its stock macros: macros before every step, no queue ID
    /// before the first good recipient, ABORT after each message.
    Postfix,
    /// Sendmail 8.17 with its stock macros: few of them, silence after a
    /// message.
    Sendmail,
    /// A mail server of protocol version 2 that sends no macros at all.
    Minimal,
}

/// Letters of the stages with a macro list, in libmilter's `SMFIM_*` order.
const STAGES: [u8; 7] = *b"CHMRTEN";

pub(super) type Lists = [Option<String>; STAGES.len()];

/// Values of macros, and where they are sent.
#[derive(Debug)]
pub(super) struct MacroSource {
    flavour: Flavour,
    lists: Lists,
    asked: [bool; STAGES.len()],
    values: Vec<(String, Bytes)>,
    messages: u32,
    recipient: Bytes,
}

impl Flavour {
    pub(super) fn offer(self) -> Offer {
        match self {
            Self::Postfix | Self::Sendmail => Offer {
                version: 6,
                actions: Actions::ALL,
                steps: Steps::ALL,
            },
            Self::Minimal => Offer {
                version: 2,
                actions: Actions(0x3f),
                steps: Steps(0x7f),
            },
        }
    }

    /// Whether an ABORT follows the last answer to a command.
    pub(super) fn aborts_after(self, command: u8) -> bool {
        match self {
            Self::Postfix => true,
            Self::Sendmail | Self::Minimal => command == b'R',
        }
    }

    fn stock_list(self, stage: u8) -> Option<&'static str> {
        match (self, stage) {
            (Self::Postfix, b'C') => Some("j {daemon_name} {daemon_addr} v _"),
            (Self::Postfix, b'H') => {
                Some("{tls_version} {cipher} {cipher_bits} {cert_subject} {cert_issuer}")
            }
            (Self::Postfix, b'M') => Some(
                "i {auth_type} {auth_authen} {auth_author} {mail_addr} {mail_host} {mail_mailer}",
            ),
            (Self::Postfix, b'R') => Some("i {rcpt_addr} {rcpt_host} {rcpt_mailer}"),
            (Self::Postfix, b'T' | b'N' | b'E') => Some("i"),
            (Self::Sendmail, b'C') => Some("j _ {daemon_name} {if_name}"),
            (Self::Sendmail, b'H') => {
                Some("{tls_version} {cipher} {cipher_bits} {cert_subject} {cert_issuer}")
            }
            (Self::Sendmail, b'M') => Some(
                "i {auth_type} {auth_authen} {auth_ssf} {auth_author} {mail_mailer} {mail_host} \
                 {mail_addr}",
            ),
            (Self::Sendmail, b'R') => Some("{rcpt_mailer} {rcpt_host} {rcpt_addr}"),
            (Self::Sendmail, b'E') => Some("{msg_id}"),
            _ => None,
        }
    }
}

impl MacroSource {
    pub(super) fn new(flavour: Flavour, client: &Client) -> Self {
        let (address, port) = match &client.peer {
            Peer::Ip(address) => (address.ip().to_string(), address.port().to_string()),
            Peer::Unix(_) | Peer::Unknown => (String::new(), "0".to_owned()),
        };
        let mut underscore = BytesMut::from(&client.host[..]);
        underscore.put_slice(format!(" [{address}]").as_bytes());
        let version = match flavour {
            Flavour::Postfix => "Postfix 3.7.11",
            Flavour::Sendmail | Flavour::Minimal => "8.17.1.9",
        };
        let mut values = vec![
            ("j".to_owned(), Bytes::from("mx.example")),
            ("v".to_owned(), version.into()),
            ("_".to_owned(), underscore.freeze()),
            ("{daemon_name}".to_owned(), "mx.example".into()),
            ("{daemon_addr}".to_owned(), "127.0.0.1".into()),
            ("{if_name}".to_owned(), "localhost".into()),
            ("{client_addr}".to_owned(), address.into()),
            ("{client_name}".to_owned(), client.host.clone()),
            ("{client_ptr}".to_owned(), client.host.clone()),
            ("{client_port}".to_owned(), port.into()),
            ("{client_resolve}".to_owned(), "OK".into()),
        ];
        values.extend(client.macros.iter().cloned());
        Self {
            flavour,
            lists: STAGES.map(|stage| flavour.stock_list(stage).map(str::to_owned)),
            asked: [false; STAGES.len()],
            values,
            messages: 0,
            recipient: Bytes::new(),
        }
    }

    pub(super) fn lists(&self) -> Lists {
        self.lists.clone()
    }

    pub(super) fn set_lists(&mut self, lists: Lists) {
        self.lists = lists;
    }

    /// The filter's own lists.
    pub(super) fn ask(&mut self, macros: &[(u32, Bytes)]) {
        for (stage, names) in macros {
            let at = *stage as usize;
            if at < STAGES.len() {
                self.lists[at] = Some(String::from_utf8_lossy(names).into_owned());
                self.asked[at] = true;
            }
        }
    }

    pub(super) fn message(&mut self, message: &Message) {
        self.messages += 1;
        let id = format!("4fQ{:09}", self.messages);
        let message_id = message
            .headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(b"Message-Id"))
            .map(|(_, value)| Bytes::copy_from_slice(value.trim_ascii()));
        self.set("i", id.into());
        self.set(
            "{msg_id}",
            message_id.unwrap_or_else(|| "<made.up@mx.example>".into()),
        );
        self.set("{mail_addr}", bare(&message.sender.address));
        self.set("{mail_host}", "[127.0.0.1]".into());
        self.set("{mail_mailer}", self.mailer());
    }

    pub(super) fn recipient(&mut self, path: &RawPath) {
        self.recipient = bare(&path.address);
        self.set("{rcpt_addr}", self.recipient.clone());
        self.set("{rcpt_host}", "[127.0.0.1]".into());
        self.set("{rcpt_mailer}", self.mailer());
    }

    /// The frame that goes before a command, if this mail server sends one.
    /// `good` recipients were accepted so far.
    pub(super) fn block(&self, letter: u8, good: usize) -> Option<MacroBlock> {
        if self.flavour == Flavour::Minimal {
            return None;
        }
        let postfix = self.flavour == Flavour::Postfix;
        // Postfix repeats these lists before each header and each chunk.
        let stage = match letter {
            b'L' if postfix => b'N',
            b'B' if postfix => b'E',
            other => other,
        };
        let at = STAGES.iter().position(|&known| known == stage)?;
        let list = self.lists[at].as_deref()?;
        let hides_id = postfix && good == 0 && matches!(letter, b'M' | b'R');
        let mut pairs = BytesMut::new();
        for name in list.split([' ', ',']).filter(|name| !name.is_empty()) {
            if name == "i" && hides_id {
                continue;
            }
            if let Some((_, value)) = self.values.iter().rev().find(|(known, _)| known == name) {
                put_string(&mut pairs, name.as_bytes());
                put_string(&mut pairs, value);
            }
        }
        // Sendmail says nothing where it has nothing to say, except at HELO.
        let sent = postfix || !pairs.is_empty() || (letter == b'H' && !self.asked[at]);
        sent.then(|| MacroBlock {
            command: letter,
            pairs: pairs.freeze(),
        })
    }

    fn mailer(&self) -> Bytes {
        Bytes::from_static(if self.flavour == Flavour::Postfix {
            b"smtp"
        } else {
            b"esmtp"
        })
    }

    fn set(&mut self, name: &str, value: Bytes) {
        match self.values.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.values.push((name.to_owned(), value)),
        }
    }
}

fn bare(address: &Bytes) -> Bytes {
    match &address[..] {
        [b'<', inner @ .., b'>'] => address.slice(1..=inner.len()),
        _ => address.clone(),
    }
}
