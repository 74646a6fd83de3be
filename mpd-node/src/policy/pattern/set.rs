//! The patterns of one target, matched together.

use std::collections::BTreeMap;

use aho_corasick::automaton::Automaton;
use aho_corasick::nfa::contiguous;
use aho_corasick::{Anchored, BuildError, StartKind, dfa};
use regex_automata::meta::Regex;
use regex_automata::{Input, PatternSet as Matched};
use regex_syntax::hir::Hir;

use super::{BadPattern, Flags, build, literal, parse};

/// Fewer patterns than this are run one by one.
const PREFILTER_FROM: usize = 3;

/// What matches all of these matches every text: it has no part that is required.
const EVERYTHING: [&str; 4] = ["", "@", "\u{1}", "a 0\nb"];

/// A pattern that was read, not yet in a set.
#[derive(Debug)]
pub(crate) struct Compiled {
    hir: Hir,
    regex: Regex,
    literals: Option<Vec<Vec<u8>>>,
}

/// Collects the patterns of one target.
#[derive(Debug, Default)]
pub(crate) struct SetBuilder {
    patterns: Vec<(Compiled, u32)>,
}

/// The patterns of one target. Immutable.
#[derive(Debug)]
pub(crate) struct PatternSet {
    /// Each pattern, and the rule that it belongs to.
    patterns: Box<[(Regex, u32)]>,
    prefilter: Option<Prefilter>,
    /// Patterns that no literal tells of, as one program, and which they are.
    always: Option<(Regex, Box<[u32]>)>,
}

#[derive(Debug)]
struct Prefilter {
    literals: Literals,
    /// For each literal the patterns that it lets in.
    patterns: Box<[Box<[u32]>]>,
    /// All patterns that some literal lets in.
    all: Box<[u32]>,
}

/// An automaton over all literals. The dense one is the fastest, and the largest; few sets of rules are too large for
/// it.
#[derive(Debug)]
enum Literals {
    Dense(dfa::DFA),
    Compact(contiguous::NFA),
}

impl Compiled {
    /// Reads and compiles one pattern.
    pub(crate) fn new(pattern: &str, flags: Flags) -> Result<Self, BadPattern> {
        let hir = parse(pattern, flags)?;
        let regex = build(std::slice::from_ref(&hir))?;
        if EVERYTHING.iter().all(|text| regex.is_match(text)) {
            return Err(BadPattern {
                at: None,
                problem: "the pattern matches every text".to_owned(),
                remedy: "make some part of it required: + for *, or no '?'",
            });
        }
        Ok(Self {
            literals: literal::required(&hir),
            hir,
            regex,
        })
    }
}

impl SetBuilder {
    /// Adds a pattern of rule `rule`.
    pub(crate) fn push(&mut self, pattern: Compiled, rule: u32) {
        self.patterns.push((pattern, rule));
    }

    /// Whether there is none yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// The set, ready to use.
    pub(crate) fn finish(self) -> Result<PatternSet, BadPattern> {
        let few = self.patterns.len() < PREFILTER_FROM;
        let mut by_literal: BTreeMap<Vec<u8>, Vec<u32>> = BTreeMap::new();
        let mut always = Vec::new();
        for (at, (pattern, _)) in self.patterns.iter().enumerate() {
            let at = at as u32;
            match pattern.literals.as_ref().filter(|_| !few) {
                Some(literals) => {
                    for literal in literals {
                        let patterns = by_literal.entry(literal.clone()).or_default();
                        if patterns.last() != Some(&at) {
                            patterns.push(at);
                        }
                    }
                }
                None => always.push(at),
            }
        }
        let prefilter = match by_literal.is_empty() {
            true => None,
            false => Some(Prefilter::new(by_literal)?),
        };
        let hirs: Vec<Hir> = always
            .iter()
            .map(|at| self.patterns[*at as usize].0.hir.clone())
            .collect();
        let always = match hirs.is_empty() {
            true => None,
            false => Some((build(&hirs)?, always.into())),
        };
        Ok(PatternSet {
            patterns: self
                .patterns
                .into_iter()
                .map(|(pattern, rule)| (pattern.regex, rule))
                .collect(),
            prefilter,
            always,
        })
    }
}

impl Prefilter {
    fn new(by_literal: BTreeMap<Vec<u8>, Vec<u32>>) -> Result<Self, BadPattern> {
        const DENSE: usize = 2000;
        let too_many = |error: BuildError| BadPattern {
            at: None,
            problem: format!("the literals of the patterns make no automaton: {error}"),
            remedy: "use fewer patterns for this target",
        };
        let literals = if by_literal.len() <= DENSE {
            let mut builder = dfa::Builder::new();
            builder
                .ascii_case_insensitive(true)
                .start_kind(StartKind::Unanchored);
            Literals::Dense(builder.build(by_literal.keys()).map_err(too_many)?)
        } else {
            let mut builder = contiguous::Builder::new();
            builder.ascii_case_insensitive(true);
            Literals::Compact(builder.build(by_literal.keys()).map_err(too_many)?)
        };
        let mut all: Vec<u32> = by_literal.values().flatten().copied().collect();
        all.sort_unstable();
        all.dedup();
        Ok(Self {
            literals,
            patterns: by_literal
                .into_values()
                .map(Vec::into_boxed_slice)
                .collect(),
            all: all.into(),
        })
    }

    /// Calls `candidate` for each pattern that can match, perhaps more than once.
    fn candidates(&self, text: &[u8], mut candidate: impl FnMut(u32)) {
        if literal::has_third_case(text) {
            self.all.iter().for_each(|at| candidate(*at));
            return;
        }
        let found = |literal: usize| self.patterns[literal].iter().for_each(|at| candidate(*at));
        match &self.literals {
            Literals::Dense(automaton) => walk(automaton, text, found),
            Literals::Compact(automaton) => walk(automaton, text, found),
        }
    }
}

/// Calls `found` for each literal in the text, overlapping ones too.
fn walk<A: Automaton>(automaton: &A, text: &[u8], mut found: impl FnMut(usize)) {
    let Ok(mut state) = automaton.start_state(Anchored::No) else {
        return;
    };
    for &byte in text {
        state = automaton.next_state(Anchored::No, state, byte);
        if automaton.is_special(state) && automaton.is_match(state) {
            for at in 0..automaton.match_len(state) {
                found(automaton.match_pattern(state, at).as_usize());
            }
        }
    }
}

impl PatternSet {
    /// How many patterns no literal tells of: they are run over every text.
    #[cfg(test)]
    pub(crate) fn always(&self) -> usize {
        self.always.as_ref().map_or(0, |(_, which)| which.len())
    }

    /// Calls `found(rule, regex)` for each pattern that matches somewhere in `text`, each pattern once.
    pub(crate) fn matching(&self, text: &[u8], mut found: impl FnMut(u32, &Regex)) {
        if let Some(prefilter) = &self.prefilter {
            let mut candidates = Vec::new();
            prefilter.candidates(text, |at| {
                if candidates.is_empty() {
                    candidates.resize(self.patterns.len().div_ceil(64), 0u64);
                }
                candidates[at as usize / 64] |= 1 << (at % 64);
            });
            for (word, mut bits) in candidates.into_iter().enumerate() {
                while bits != 0 {
                    let at = word * 64 + bits.trailing_zeros() as usize;
                    bits &= bits - 1;
                    let (regex, rule) = &self.patterns[at];
                    if regex.is_match(text) {
                        found(*rule, regex);
                    }
                }
            }
        }
        let Some((program, which)) = &self.always else {
            return;
        };
        if which.len() == 1 {
            let (regex, rule) = &self.patterns[which[0] as usize];
            if regex.is_match(text) {
                found(*rule, regex);
            }
            return;
        }
        if !program.is_match(text) {
            return;
        }
        let mut matched = Matched::new(program.pattern_len());
        program.which_overlapping_matches(&Input::new(text), &mut matched);
        for pattern in matched.iter() {
            let (regex, rule) = &self.patterns[which[pattern.as_usize()] as usize];
            found(*rule, regex);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PATTERNS: &[&str] = &[
        "aab",
        "b+a{2}",
        "(?:abb|bba)c?",
        "c.c",
        "a*c",
        "ab|cc",
        "cab",
        r"\bca",
        "bcb",
        "acaa",
        "[ab]c[ab]",
        "b{3}",
    ];

    fn flags() -> Flags {
        Flags {
            ignore_case: true,
            ..Flags::default()
        }
    }

    proptest! {
        /// Together they find what each finds alone.
        #[test]
        fn a_set_is_the_sum_of_its_patterns(text in "[abcABC .]{0,40}", count in 1usize..13) {
            let mut builder = SetBuilder::default();
            let mut alone = Vec::new();
            for (at, pattern) in PATTERNS[..count].iter().enumerate() {
                let compiled = Compiled::new(pattern, flags()).unwrap();
                if compiled.regex.is_match(&text) {
                    alone.push(at as u32);
                }
                builder.push(compiled, at as u32);
            }
            let mut together = Vec::new();
            builder.finish().unwrap().matching(text.as_bytes(), |rule, _| together.push(rule));
            together.sort_unstable();
            prop_assert_eq!(together, alone);
        }
    }

    #[test]
    fn a_letter_in_its_third_case_is_found() {
        let mut builder = SetBuilder::default();
        for (at, pattern) in ["unsubscribe", "kelvin", "other"].into_iter().enumerate() {
            builder.push(Compiled::new(pattern, flags()).unwrap(), at as u32);
        }
        let set = builder.finish().unwrap();
        for (text, rule) in [("un\u{17f}ubscribe", 0), ("\u{212a}ELVIN", 1), ("OTHER", 2)] {
            let mut found = Vec::new();
            set.matching(text.as_bytes(), |rule, _| found.push(rule));
            assert_eq!(found, [rule], "{text}");
        }
    }

    #[test]
    fn what_is_no_pattern_says_what_to_do() {
        for (pattern, problem, remedy) in [
            ("(?=x)", "look-around", "take an [[expression]]"),
            (r"(a)\1", "backreferences", "write the text twice"),
            ("(a", "unclosed group", "balance the brackets"),
            ("a*", "matches every text", "make some part of it required"),
            (r"\w{1000}{1000}", "grows too large", "make the counts"),
            (&"(".repeat(200), "nest", ""),
        ] {
            let error = Compiled::new(pattern, Flags::default()).unwrap_err();
            assert!(
                error.problem.contains(problem) || pattern.len() == 200,
                "{pattern}: {error:?}"
            );
            assert!(
                error.remedy.contains(remedy) || pattern.len() == 200,
                "{pattern}: {error:?}"
            );
        }
    }
}
