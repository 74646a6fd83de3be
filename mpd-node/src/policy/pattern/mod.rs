//! Patterns: regular expressions over the parts of a message, all of one target compiled into one set.
//!
//! Nearly every pattern needs some literal to be in its text: one pass with an Aho-Corasick automaton over all such
//! literals tells which patterns can match at all, and only those are run. The engine is linear in the text; there
//! is no backtracking.

mod literal;
mod set;

pub(crate) use set::{Compiled, PatternSet, SetBuilder};

use regex_automata::MatchKind;
use regex_automata::meta::Regex;
use regex_automata::util::syntax;
use regex_syntax::hir::Hir;

/// The memory that one compiled pattern may take, in bytes.
const MAX_PROGRAM: usize = 1 << 20;
/// How deep a pattern may nest.
const MAX_NEST: u32 = 100;
/// The longest pattern, in bytes.
const MAX_PATTERN: usize = 8 * 1024;

/// How a pattern is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Flags {
    pub(crate) ignore_case: bool,
    pub(crate) multi_line: bool,
    pub(crate) dot_all: bool,
    /// Bytes, not characters: for what is not decoded.
    pub(crate) bytes: bool,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadPattern {
    /// Where in the pattern, in bytes, if one place is to blame.
    pub(crate) at: Option<usize>,
    pub(crate) problem: String,
    pub(crate) remedy: &'static str,
}

fn config(flags: Flags) -> syntax::Config {
    syntax::Config::new()
        .case_insensitive(flags.ignore_case)
        .multi_line(flags.multi_line)
        .dot_matches_new_line(flags.dot_all)
        .unicode(!flags.bytes)
        .utf8(false)
        .nest_limit(MAX_NEST)
}

/// Reads a pattern.
fn parse(pattern: &str, flags: Flags) -> Result<Hir, BadPattern> {
    if pattern.len() > MAX_PATTERN {
        return Err(BadPattern {
            at: None,
            problem: format!("the pattern is longer than {MAX_PATTERN} bytes"),
            remedy: "split it: `patterns` takes several",
        });
    }
    syntax::parse_with(pattern, &config(flags)).map_err(|error| {
        let (at, problem) = match &error {
            regex_syntax::Error::Parse(error) => (Some(error.span().start.offset), error.kind().to_string()),
            regex_syntax::Error::Translate(error) => (Some(error.span().start.offset), error.kind().to_string()),
            _ => (None, error.to_string()),
        };
        let remedy = match problem.as_str() {
            text if text.contains("look-around") => {
                "there is no look-around: take an [[expression]] over two rules instead"
            }
            text if text.contains("backreferences") => "there are no backreferences: write the text twice",
            text if text.contains("unclosed") || text.contains("unopened") => {
                "balance the brackets, or write \\( \\[ \\{ for the characters"
            }
            text if text.contains("escape sequence") => {
                "in a TOML string of double quotes a backslash is written twice; use '…' for patterns"
            }
            _ => "see the syntax of patterns in the policy reference",
        };
        BadPattern { at, problem, remedy }
    })
}

/// Compiles patterns that were parsed, as one program that can tell all that match.
fn build(hirs: &[Hir]) -> Result<Regex, BadPattern> {
    Regex::builder()
        .configure(
            Regex::config()
                .match_kind(if hirs.len() > 1 {
                    MatchKind::All
                } else {
                    MatchKind::LeftmostFirst
                })
                .nfa_size_limit(Some(MAX_PROGRAM.saturating_mul(hirs.len().max(1))))
                .hybrid_cache_capacity(1 << 20)
                .utf8_empty(false),
        )
        .build_many_from_hir(hirs)
        .map_err(|_| BadPattern {
            at: None,
            problem: "the pattern grows too large when it is compiled".to_owned(),
            remedy: "make the counts in {…} smaller, or take ignore_case and Unicode classes away",
        })
}
