//! Which literals a text must hold for a pattern to match it.

use regex_syntax::hir::{Class, Hir, HirKind};

/// Alternatives of one pattern; more are worth less than running the pattern.
const MAX_LITERALS: usize = 64;
/// Shorter literals are in every other text.
const MIN_LENGTH: usize = 3;
/// Longer ones tell no more.
const MAX_LENGTH: usize = 32;

/// Literals of which at least one is, but for ASCII case, in every text that `hir` matches; in lower case. `None`
/// where there are none that tell enough.
pub(super) fn required(hir: &Hir) -> Option<Vec<Vec<u8>>> {
    Analysis::of(hir)
        .best()
        .filter(|set| shortest(set) >= MIN_LENGTH)
}

/// What is known of the texts that a part of a pattern matches.
struct Analysis {
    /// The text itself, if it can only be one, but for case.
    exact: Option<Vec<u8>>,
    /// Of these one is in every text.
    required: Option<Vec<Vec<u8>>>,
}

impl Analysis {
    const NOTHING: Self = Self {
        exact: None,
        required: None,
    };

    fn exact(text: Vec<u8>) -> Self {
        Self {
            exact: Some(text),
            required: None,
        }
    }

    fn of(hir: &Hir) -> Self {
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => Self::exact(Vec::new()),
            HirKind::Literal(literal) => Self::exact(literal.0.to_ascii_lowercase()),
            HirKind::Class(class) => {
                one_letter(class).map_or(Self::NOTHING, |letter| Self::exact(vec![letter]))
            }
            HirKind::Capture(capture) => Self::of(&capture.sub),
            HirKind::Repetition(repetition) if repetition.min == 0 => Self::NOTHING,
            HirKind::Repetition(repetition) => {
                let sub = Self::of(&repetition.sub);
                match (sub.exact, repetition.max) {
                    (Some(text), Some(max))
                        if max == repetition.min && text.len() * max as usize <= MAX_LENGTH =>
                    {
                        Self::exact(text.repeat(max as usize))
                    }
                    (exact, _) => Self {
                        exact: None,
                        required: better(sub.required, exact.map(|text| vec![text])),
                    },
                }
            }
            HirKind::Concat(parts) => Self::concatenation(parts),
            HirKind::Alternation(branches) => {
                let mut all = Vec::new();
                for branch in branches {
                    match Self::of(branch).best() {
                        Some(set) if all.len() + set.len() <= MAX_LITERALS => all.extend(set),
                        _ => return Self::NOTHING,
                    }
                }
                Self {
                    exact: None,
                    required: Some(all),
                }
            }
        }
    }

    fn concatenation(parts: &[Hir]) -> Self {
        let mut best: Option<Vec<Vec<u8>>> = None;
        let mut run = Vec::new();
        let mut whole = true;
        for part in parts {
            let part = Self::of(part);
            if let Some(text) = part.exact {
                run.extend_from_slice(&text);
                continue;
            }
            whole = false;
            best = better(best, Some(vec![std::mem::take(&mut run)]));
            best = better(best, part.required);
        }
        if whole {
            return Self::exact(run);
        }
        Self {
            exact: None,
            required: better(best, Some(vec![run])),
        }
    }

    fn best(self) -> Option<Vec<Vec<u8>>> {
        let exact = self.exact.filter(|text| !text.is_empty()).map(|mut text| {
            text.truncate(MAX_LENGTH);
            vec![text]
        });
        better(self.required, exact)
    }
}

/// Whether a text has a letter outside ASCII that is a third case of an ASCII letter: the long s or the Kelvin sign.
/// Such a text must be given to every pattern, as the literals do not know them.
pub(super) fn has_third_case(text: &[u8]) -> bool {
    memchr::memchr2_iter(0xc5, 0xe2, text).any(|at| {
        text[at..].starts_with("\u{17f}".as_bytes())
            || text[at..].starts_with("\u{212a}".as_bytes())
    })
}

/// The letter of a class that is one letter in its two (or three) cases, or one byte.
fn one_letter(class: &Class) -> Option<u8> {
    let mut folded: Option<u8> = None;
    let mut take = |start: u32, end: u32| {
        if start == end && matches!(start, 0x17f | 0x212a) {
            return Some(());
        }
        let letter = u8::try_from(start)
            .ok()
            .filter(|_| start == end && start < 0x80)?
            .to_ascii_lowercase();
        let same = folded.is_none_or(|known| known == letter);
        folded = Some(letter);
        same.then_some(())
    };
    match class {
        Class::Unicode(class) => class
            .iter()
            .try_for_each(|r| take(r.start().into(), r.end().into()))?,
        Class::Bytes(class) => class
            .iter()
            .try_for_each(|r| take(r.start().into(), r.end().into()))?,
    }
    folded
}

fn better(one: Option<Vec<Vec<u8>>>, other: Option<Vec<Vec<u8>>>) -> Option<Vec<Vec<u8>>> {
    match (one, other) {
        (Some(one), Some(other)) => {
            // The longest shortest literal tells most; of equals, the fewer literals.
            let rank = |set: &Vec<Vec<u8>>| (shortest(set), usize::MAX - set.len());
            Some(if rank(&other) > rank(&one) {
                other
            } else {
                one
            })
        }
        (one, other) => one.or(other),
    }
}

fn shortest(set: &[Vec<u8>]) -> usize {
    set.iter().map(Vec::len).min().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::{Flags, parse};
    use super::*;

    fn literals(pattern: &str, ignore_case: bool) -> Option<Vec<String>> {
        let hir = parse(
            pattern,
            Flags {
                ignore_case,
                ..Flags::default()
            },
        )
        .unwrap();
        required(&hir).map(|set| {
            set.into_iter()
                .map(|l| String::from_utf8_lossy(&l).into_owned())
                .collect()
        })
    }

    #[test]
    fn the_literals_that_tell_most() {
        for (pattern, expected) in [
            ("Viagra", &["viagra"][..]),
            (r"\bfree\s+money\b", &["money"]),
            (
                r"(?:buy|order)\s+(?:cheap|discount)",
                &["cheap", "discount"],
            ),
            (r"a{3}b", &["aaab"]),
            (r"x+yyy", &["yyy"]),
            (r"(?:abc)+", &["abc"]),
            (r"colou?r of", &["colo"]),
        ] {
            let expected: Vec<String> = expected.iter().map(|&l| l.to_owned()).collect();
            assert_eq!(literals(pattern, false), Some(expected), "{pattern}");
        }
        for pattern in ["a*b", r"\d{3,5}", "(?:ab|cde)", "", ".", "x|yyyy"] {
            assert_eq!(literals(pattern, false), None, "{pattern}");
        }
    }

    #[test]
    fn letters_with_a_third_case_are_letters() {
        assert_eq!(
            literals("unsubscribe", true),
            Some(vec!["unsubscribe".to_owned()])
        );
        assert_eq!(literals("kelvin", true), Some(vec!["kelvin".to_owned()]));
    }
}
