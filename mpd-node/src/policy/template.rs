//! Texts with `{fields}`: header values, replies, reasons. Compiled when the policy is.

use std::fmt::Write as _;

/// A text with fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    pieces: Box<[Piece]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    Field(Field),
}

macro_rules! fields {
    ($($variant:ident = $name:literal, $meaning:literal;)+) => {
        /// What can stand in braces.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Field { $(#[doc = $meaning] $variant,)+ }

        impl Field {
            /// Every field with its name.
            pub(crate) const ALL: &'static [(&'static str, Field)] = &[$(($name, Field::$variant),)+];
        }
    };
}

fields! {
    Score = "score", "The score, with one decimal.";
    Threshold = "threshold", "The score at which the policy refuses.";
    Symbols = "symbols", "The symbols, separated by commas; `none` where there are none.";
    Scores = "scores", "The symbols with what each adds.";
    Stars = "stars", "A `*` for each whole point of the score, at most 50.";
    Spam = "spam", "`Yes` or `No`: whether the score has reached the lowest threshold.";
    Revision = "revision", "The policy's revision, its first 12 digits.";
    Transaction = "transaction", "The transaction's identifier.";
    QueueId = "queue_id", "The mail server's identifier of the message.";
    Node = "node", "The node that judged.";
    Client = "client", "The client's name.";
    Direction = "direction", "`inbound`, `outbound` or `local`.";
    Sender = "sender", "The envelope sender.";
    Recipient = "recipient", "The (first) recipient.";
    Peer = "peer", "The IP address that connects.";
    Value = "value", "In a list's reply: what was found in the list.";
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadTemplate {
    pub(crate) problem: String,
    pub(crate) remedy: String,
}

impl Template {
    /// Reads `text`: printable ASCII (and, where `lines` allows, LF), fields in braces, `{{` for a brace.
    pub(crate) fn parse(text: &str, lines: bool) -> Result<Self, BadTemplate> {
        let odd = text
            .chars()
            .find(|c| !(matches!(c, ' '..='~') || (lines && *c == '\n')));
        if let Some(odd) = odd {
            return Err(BadTemplate {
                problem: format!("'{}' cannot stand here", odd.escape_default()),
                remedy: "write printable ASCII; encode other text as an RFC 2047 encoded word"
                    .to_owned(),
            });
        }
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let tail = &rest[at..];
            if let Some(after) = tail.strip_prefix("{{") {
                plain.push('{');
                rest = after;
                continue;
            }
            if let Some(after) = tail.strip_prefix('}') {
                plain.push('}');
                rest = after.strip_prefix('}').unwrap_or(after);
                continue;
            }
            let Some(end) = tail.find('}') else {
                return Err(BadTemplate {
                    problem: "a '{' is never closed".to_owned(),
                    remedy: "add the '}', or write '{{' for a brace".to_owned(),
                });
            };
            let name = &tail[1..end];
            let Some((_, field)) = Field::ALL.iter().find(|(known, _)| *known == name) else {
                let known: Vec<&str> = Field::ALL.iter().map(|(name, _)| *name).collect();
                return Err(BadTemplate {
                    problem: format!("there is no field '{{{name}}}'"),
                    remedy: format!("fields are {}; write '{{{{' for a brace", known.join(", ")),
                });
            };
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain).into()));
            }
            pieces.push(Piece::Field(*field));
            rest = &tail[end + 1..];
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain.into()));
        }
        Ok(Self {
            pieces: pieces.into(),
        })
    }

    /// The text, `fill` appending the value of a field. Values are from the message: what is not printable ASCII
    /// becomes `?`.
    pub(crate) fn render(&self, mut fill: impl FnMut(Field, &mut String)) -> String {
        let mut text = String::with_capacity(80);
        let mut value = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Field(field) => {
                    value.clear();
                    fill(*field, &mut value);
                    text.extend(
                        value
                            .chars()
                            .map(|c| if matches!(c, ' '..='~') { c } else { '?' }),
                    );
                }
            }
        }
        text
    }
}

/// Folds a header value (RFC 5322 §2.2.3) after commas and at blanks, so that lines have at most 78 bytes where that
/// is possible and never more than 900. `name` is the length of the field's name.
pub(crate) fn fold(value: &str, name: usize) -> String {
    const WANTED: usize = 76;
    const MOST: usize = 900;
    if name + 2 + value.len() <= WANTED {
        return value.to_owned();
    }
    let mut folded = String::with_capacity(value.len() + value.len() / 32);
    let mut column = name + 2;
    let mut first = true;
    for word in value.split_inclusive([' ', ',']) {
        if !first
            && column + word.trim_end().len() > WANTED
            && word != " "
            && !word.trim().is_empty()
        {
            let end = folded.trim_end_matches(' ').len();
            folded.truncate(end);
            folded.push_str("\n\t");
            column = 8;
        }
        first = false;
        let mut rest = word;
        while rest.len() > MOST {
            let (head, tail) = rest.split_at(MOST);
            let _ = write!(folded, "{head}\n\t");
            rest = tail;
        }
        folded.push_str(rest);
        column += rest.len();
    }
    folded.truncate(folded.trim_end().len());
    folded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn render(text: &str) -> String {
        Template::parse(text, false)
            .unwrap()
            .render(|field, out| match field {
                Field::Score => out.push_str("6.5"),
                Field::Sender => out.push_str("gr\u{fc}n\r\nBcc: x@y"),
                _ => {}
            })
    }

    #[test]
    fn fields_are_filled_and_made_harmless() {
        assert_eq!(
            render("Yes, score={score} of {{x}}"),
            "Yes, score=6.5 of {x}"
        );
        assert_eq!(render("{sender}"), "gr?n??Bcc: x@y");
        assert_eq!(render(""), "");
    }

    #[test]
    fn what_is_no_template_says_so() {
        for (text, problem) in [
            ("{scor}", "there is no field '{scor}'"),
            ("{score", "a '{' is never closed"),
            ("a\nb", "'\\n' cannot stand here"),
            ("gr\u{fc}n", "'\\u{fc}' cannot stand here"),
        ] {
            let error = Template::parse(text, false).unwrap_err();
            assert_eq!(error.problem, problem);
            assert!(!error.remedy.is_empty());
        }
        assert!(Template::parse("two\nlines", true).is_ok());
    }

    proptest! {
        #[test]
        fn folding_changes_white_space_alone(words in prop::collection::vec("[A-Z_=0-9.]{1,40}", 0..40)) {
            let value = words.join(", ");
            let folded = fold(&value, 16);
            prop_assert_eq!(folded.replace("\n\t", " "), value.clone());
            prop_assert!(folded.lines().all(|line| line.len() <= 78), "{}", folded);
        }

        #[test]
        fn no_line_is_too_long(value in "[ -~]{0,3000}") {
            let folded = fold(&value, 16);
            for line in folded.split('\n').skip(1) {
                prop_assert!(line.starts_with('\t') && !line.trim().is_empty(), "{:?}", folded);
            }
            prop_assert!(folded.lines().all(|line| line.len() <= 998));
        }
    }
}
