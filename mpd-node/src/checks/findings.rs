//! What checks found.

use std::sync::Arc;

use millrace_proto::{CheckTime, Unscanned};

use crate::policy::{Policy, SymbolId};

/// The longest detail of a finding, in characters: it goes into logs.
const MAX_DETAIL: usize = 160;

/// What the checks found in one message, so far.
pub(crate) struct Findings<'p> {
    policy: &'p Policy,
    hits: Vec<Hit>,
    seen: Vec<u64>,
    unscanned: Vec<Unscanned>,
    times: Vec<CheckTime>,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Hit {
    /// What.
    pub(crate) symbol: SymbolId,
    /// How many times its score counts.
    pub(crate) times: u32,
    /// What of the message it was found in: one printable line.
    pub(crate) detail: String,
    /// For which recipients.
    pub(crate) applies: Applies,
    /// The list that has it, as its index in the policy.
    pub(crate) list: Option<u32>,
}

/// For which recipients something was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Applies {
    /// All.
    All,
    /// Those in a recipient scope of the policy.
    Scope(u16),
    /// One, by its index in the envelope.
    Recipient(u32),
}

impl<'p> Findings<'p> {
    pub(crate) fn new(policy: &'p Policy) -> Self {
        Self {
            policy,
            hits: Vec::new(),
            seen: vec![0; policy.symbols().len().div_ceil(64)],
            unscanned: Vec::new(),
            times: Vec::new(),
        }
    }

    /// Something was found. `detail` is from the message: it is made printable and cut. Once raised, a symbol stays as
    /// it is.
    pub(crate) fn raise(&mut self, symbol: SymbolId, detail: &[u8]) {
        self.raise_times(symbol, 1, detail);
    }

    /// As [`raise`](Self::raise); the score counts `times` times.
    pub(crate) fn raise_times(&mut self, symbol: SymbolId, times: u32, detail: &[u8]) {
        if self.has(symbol) {
            return;
        }
        self.seen[symbol.index() / 64] |= 1 << (symbol.index() % 64);
        self.hits.push(Hit {
            symbol,
            times,
            detail: printable(detail),
            applies: Applies::All,
            list: None,
        });
    }

    /// A list has something; the same symbol may be raised by several lists and for several recipients.
    pub(crate) fn raise_list(
        &mut self,
        symbol: SymbolId,
        list: u32,
        applies: Applies,
        detail: &[u8],
    ) {
        if applies == Applies::All {
            self.seen[symbol.index() / 64] |= 1 << (symbol.index() % 64);
        }
        self.hits.push(Hit {
            symbol,
            times: 1,
            detail: printable(detail),
            applies,
            list: Some(list),
        });
    }

    /// Whether a symbol was raised for all recipients.
    pub(crate) fn has(&self, symbol: SymbolId) -> bool {
        self.seen[symbol.index() / 64] & (1 << (symbol.index() % 64)) != 0
    }

    /// A check could not be done, or not to its end. Raises `UNSCANNED` and `UNSCANNED_CHECK`.
    pub(crate) fn unscanned(&mut self, check: &str, reason: &str) {
        let symbols = self.policy.symbols();
        let own = symbols.find(&format!("UNSCANNED_{}", check.to_ascii_uppercase()));
        for symbol in own
            .into_iter()
            .chain(symbols.find(crate::policy::UNSCANNED))
        {
            self.raise(symbol, format!("{check}: {reason}").as_bytes());
        }
        self.unscanned.push(Unscanned {
            check: check.to_owned(),
            reason: printable(reason.as_bytes()),
        });
    }

    pub(super) fn timed(&mut self, check: Arc<str>, microseconds: u64) {
        self.times.push(CheckTime {
            check,
            microseconds,
        });
    }

    /// What was found.
    pub(crate) fn hits(&self) -> &[Hit] {
        &self.hits
    }

    /// The checks that could not be done, and the time of each check.
    pub(crate) fn into_report(self) -> (Vec<Unscanned>, Vec<CheckTime>) {
        (self.unscanned, self.times)
    }
}

/// One line that can stand in a log or a header: printable, and not long.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let bytes = &bytes[..bytes.len().min(4 * MAX_DETAIL)];
    if bytes.len() <= MAX_DETAIL
        && bytes
            .iter()
            .all(|b| matches!(b, b' '..=b'~') && *b != b'\\')
    {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let mut text = millrace_runtime::printable(bytes);
    if let Some((cut, _)) = text.char_indices().nth(MAX_DETAIL) {
        text.truncate(cut);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_one_printable_line() {
        assert_eq!(printable(b"plain"), "plain");
        assert_eq!(printable(b"two\r\nlines\x1b[2J"), "two\\r\\nlines\\x1B[2J");
        let long = printable(&b"\xff".repeat(100_000));
        assert_eq!(long.chars().count(), MAX_DETAIL + 1);
    }
}
