//! The macros that the mail server has told, by stage.

use bytes::Bytes;
use millrace_proto::{Authentication, Macro, Tls};

use crate::command::MacroBlock;

/// Commands that macros belong to, in the order in which they happen. Those of
/// `U` stand apart: an unknown command can come at any time.
const ORDER: [u8; 10] = *b"CHMRTLNBEU";
const MAIL: usize = 2;
const UNKNOWN: usize = 9;

/// Macros as they came. As in libmilter, those of later stages are dropped when
/// an earlier stage's come again.
#[derive(Debug, Default)]
pub(crate) struct MacroStore {
    blocks: [Bytes; ORDER.len()],
    mail_is_fresh: bool,
}

/// What of the macros has a field of its own.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) tls: Option<Tls>,
    pub(crate) authentication: Option<Authentication>,
}

impl MacroStore {
    /// Keeps the macros of a frame. Those for a command that no mail server has
    /// are dropped.
    pub(crate) fn store(&mut self, block: &MacroBlock) {
        let Some(slot) = ORDER.iter().position(|&letter| letter == block.command) else {
            return;
        };
        if slot == MAIL {
            self.mail_is_fresh = true;
        }
        if slot != UNKNOWN {
            self.clear_from(slot + 1);
        }
        // Postfix repeats the same before each header and chunk.
        if self.blocks[slot] != block.pairs {
            // A copy: a slice would keep the whole read buffer for as long as
            // the connection lasts.
            self.blocks[slot] = Bytes::copy_from_slice(&block.pairs);
        }
    }

    /// A message begins. What was told of the last one goes, unless new macros
    /// came with this one.
    pub(crate) fn begin_message(&mut self) {
        if !self.mail_is_fresh {
            self.clear_from(MAIL);
        }
        self.mail_is_fresh = false;
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The last value told.
    pub(crate) fn value(&self, wanted: &[u8]) -> Option<Bytes> {
        let mut found = None;
        self.visit(|block, name, value| {
            if name == wanted {
                found = Some((block, value));
            }
        });
        found.map(|(block, value)| block.slice_ref(value))
    }

    /// All of them, those told last at the end.
    pub(crate) fn all(&self) -> Vec<Macro> {
        let mut all = Vec::new();
        self.visit(|block, name, value| {
            all.push(Macro {
                name: block.slice_ref(name),
                value: block.slice_ref(value),
            });
        });
        all
    }

    /// TLS and AUTH, in one pass.
    pub(crate) fn known(&self) -> Known {
        let mut tls = Tls::default();
        let mut authentication = Authentication::default();
        self.visit(|block, name, value| {
            let field = match name {
                b"{tls_version}" => &mut tls.version,
                b"{cipher}" => &mut tls.cipher,
                b"{cert_subject}" => &mut tls.certificate_subject,
                b"{cert_issuer}" => &mut tls.certificate_issuer,
                b"{verify}" => &mut tls.verified,
                b"{auth_type}" => &mut authentication.mechanism,
                b"{auth_authen}" => &mut authentication.user,
                b"{auth_author}" => &mut authentication.author,
                b"{cipher_bits}" => {
                    let digits = std::str::from_utf8(value).unwrap_or_default();
                    tls.cipher_bits = digits.parse().unwrap_or_default();
                    return;
                }
                _ => return,
            };
            *field = block.slice_ref(value);
        });
        let authenticated = !authentication.user.is_empty() || !authentication.mechanism.is_empty();
        Known {
            // Sendmail tells {verify} without TLS as well.
            tls: (!tls.version.is_empty()).then_some(tls),
            authentication: authenticated.then_some(authentication),
        }
    }

    fn clear_from(&mut self, slot: usize) {
        for block in &mut self.blocks[slot..] {
            *block = Bytes::new();
        }
    }

    fn visit<'a>(&'a self, mut visitor: impl FnMut(&'a Bytes, &'a [u8], &'a [u8])) {
        for block in &self.blocks {
            let mut rest = &block[..];
            while !rest.is_empty() {
                let (name, after) = cut(rest);
                let (value, after) = cut(after);
                visitor(block, name, value);
                rest = after;
            }
        }
    }
}

fn cut(text: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(0, text) {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (text, &text[text.len()..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pairs<'a> = &'a [(&'a str, &'a [u8])];

    fn store(frames: &[(u8, Pairs<'_>)]) -> MacroStore {
        let mut store = MacroStore::default();
        for (command, pairs) in frames {
            store.store(&MacroBlock::new(*command, pairs));
        }
        store
    }

    #[test]
    fn an_earlier_stage_told_again_drops_the_later_ones() {
        let told = store(&[
            (b'C', &[("j", b"mx")]),
            (b'M', &[("i", b"Q1")]),
            (b'R', &[("{rcpt_addr}", b"u")]),
            (b'M', &[("i", b"Q2")]),
        ]);
        assert_eq!(told.value(b"i"), Some(Bytes::from_static(b"Q2")));
        assert_eq!(told.value(b"{rcpt_addr}"), None);
        assert_eq!(told.value(b"j"), Some(Bytes::from_static(b"mx")));
    }

    #[test]
    fn the_queue_id_told_at_mail_lasts_until_the_next_message() {
        let mut told = store(&[(b'M', &[("i", b"Q1")])]);
        told.begin_message();
        told.store(&MacroBlock::new(b'E', &[("{msg_id}", b"<1@x>")]));
        assert_eq!(told.value(b"i"), Some(Bytes::from_static(b"Q1")));
        told.begin_message();
        assert_eq!(
            told.value(b"i"),
            None,
            "no macros came with the second MAIL"
        );
    }

    #[test]
    fn empty_values_no_pairs_duplicates_and_cut_pairs_are_taken() {
        let mut told = store(&[(b'H', &[]), (b'M', &[("i", b""), ("i", b"Q"), ("", b"")])]);
        assert_eq!(told.all().len(), 3);
        assert_eq!(told.value(b"i"), Some(Bytes::from_static(b"Q")));
        told.store(&MacroBlock {
            command: b'R',
            pairs: Bytes::from_static(b"{odd}"),
        });
        assert_eq!(told.value(b"{odd}"), Some(Bytes::new()));
        told.store(&MacroBlock::new(b'?', &[("x", b"y")]));
        assert_eq!(told.value(b"x"), None);
    }

    #[test]
    fn tls_and_auth_have_fields_of_their_own() {
        let none = store(&[(b'H', &[("{verify}", b"NONE")])]).known();
        assert!(none.tls.is_none() && none.authentication.is_none());
        let known = store(&[(
            b'M',
            &[
                ("{tls_version}", b"TLSv1.3"),
                ("{cipher}", b"TLS_AES_256_GCM_SHA384"),
                ("{cipher_bits}", b"256"),
                ("{auth_type}", b"PLAIN"),
                ("{auth_authen}", b"joe"),
            ],
        )])
        .known();
        let tls = known.tls.expect("TLS");
        assert_eq!((&tls.version[..], tls.cipher_bits), (&b"TLSv1.3"[..], 256));
        let authentication = known.authentication.expect("AUTH");
        assert_eq!(authentication.user, &b"joe"[..]);
    }
}
