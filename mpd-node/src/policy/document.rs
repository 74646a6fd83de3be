//! The policy as it is written: TOML into types, each value with its place for errors. Nothing is judged here.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use toml::Spanned;

/// `policy.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Document {
    pub(super) trusted_networks: Vec<Spanned<String>>,
    pub(super) trust_own_headers: bool,
    pub(super) own_headers: Vec<Spanned<String>>,
    pub(super) union_of_edits: bool,
    pub(super) keep: Option<Spanned<Words>>,
    pub(super) hold: HoldPlace,
    pub(super) size_limit: Option<Spanned<Size>>,
    pub(super) include: Vec<Spanned<String>>,
    pub(super) limits: LimitsTable,
    pub(super) thresholds: Numbers,
    pub(super) scores: Numbers,
    pub(super) list: Vec<List>,
    pub(super) rule: Vec<Rule>,
    pub(super) expression: Vec<Expression>,
    pub(super) attachment: Vec<Attachment>,
    pub(super) action: Vec<Action>,
    pub(super) check: BTreeMap<String, CheckTable>,
    #[serde(rename = "override")]
    pub(super) overrides: Vec<Override>,
}

/// `[check.NAME]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckTable {
    /// Whether it is left out under load.
    pub(super) optional: Spanned<bool>,
}

/// A file that `include` names.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RuleFile {
    pub(super) scores: Numbers,
    pub(super) list: Vec<List>,
    pub(super) rule: Vec<Rule>,
    pub(super) expression: Vec<Expression>,
    pub(super) attachment: Vec<Attachment>,
}

/// Names with numbers.
pub(super) type Numbers = BTreeMap<Spanned<String>, Spanned<f64>>;

/// `[limits]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LimitsTable {
    pub(super) headers: Option<Spanned<usize>>,
    pub(super) header_bytes: Option<Spanned<Size>>,
    pub(super) header_line: Option<Spanned<Size>>,
    pub(super) mime_depth: Option<Spanned<usize>>,
    pub(super) mime_parts: Option<Spanned<usize>>,
    pub(super) decoded_bytes: Option<Spanned<Size>>,
    pub(super) text_bytes: Option<Spanned<Size>>,
    pub(super) uris: Option<Spanned<usize>>,
    pub(super) archive_depth: Option<Spanned<usize>>,
    pub(super) archive_entries: Option<Spanned<usize>>,
    pub(super) archive_ratio: Option<Spanned<usize>>,
    pub(super) archive_bytes: Option<Spanned<Size>>,
}

/// `[[list]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct List {
    pub(super) symbol: Spanned<String>,
    #[serde(rename = "match")]
    pub(super) kinds: Spanned<Words>,
    #[serde(default)]
    pub(super) entries: Vec<Spanned<String>>,
    pub(super) file: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) action: ListAction,
    pub(super) score: Option<Spanned<f64>>,
    pub(super) reply: Option<Spanned<String>>,
    pub(super) reason: Option<Spanned<String>>,
    pub(super) stage: Option<Spanned<StageName>>,
    pub(super) description: Option<String>,
    pub(super) client: Option<Spanned<Words>>,
    pub(super) direction: Option<Spanned<Words>>,
    pub(super) recipient_domain: Option<Spanned<Words>>,
    #[serde(rename = "keep")]
    pub(super) _keep: Option<bool>,
}

/// What a list does with what is on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ListAction {
    /// Adds its score.
    #[default]
    Score,
    /// Refuses.
    Reject,
    /// Refuses for now.
    Tempfail,
    /// Takes and drops.
    Discard,
    /// The mail server's own hold.
    Hold,
    /// Lets it through: no list refuses it, and its score is 0.
    Allow,
}

/// A stage, as a policy names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StageName {
    Connect,
    Helo,
    Mail,
    Rcpt,
    Data,
    EndOfMessage,
}

/// `[[rule]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    pub(super) symbol: Spanned<String>,
    pub(super) header: Option<Spanned<Words>>,
    pub(super) target: Option<Spanned<Target>>,
    pub(super) pattern: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) patterns: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) raw: bool,
    #[serde(default)]
    pub(super) ignore_case: bool,
    #[serde(default)]
    pub(super) multi_line: bool,
    #[serde(default)]
    pub(super) dot_all: bool,
    pub(super) count_at_least: Option<Spanned<u32>>,
    pub(super) max_hits: Option<Spanned<u32>>,
    pub(super) score: Option<Spanned<f64>>,
    pub(super) description: Option<String>,
    pub(super) client: Option<Spanned<Words>>,
    pub(super) direction: Option<Spanned<Words>>,
}

/// What a rule looks at, other than one header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    /// What a reader sees: decoded, HTML without its markup.
    Body,
    /// The decoded source of the HTML parts, with its markup.
    Html,
    /// All below the header, as it came.
    RawBody,
    /// The header, as it came.
    Headers,
    /// Each URI.
    Uri,
    /// The host of each URI.
    UriHost,
    /// The name of each attachment.
    AttachmentName,
    /// The envelope sender.
    EnvelopeSender,
    /// Each envelope recipient.
    Recipient,
    /// The (true) client's HELO.
    Helo,
    /// The (true) client's name in the DNS.
    Ptr,
    /// The (true) client's IP address.
    Peer,
}

/// `[[expression]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expression {
    pub(super) symbol: Spanned<String>,
    pub(super) when: Spanned<String>,
    pub(super) score: Option<Spanned<f64>>,
    pub(super) description: Option<String>,
}

/// `[[attachment]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Attachment {
    pub(super) symbol: Spanned<String>,
    #[serde(default)]
    pub(super) extensions: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) declared_types: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) real_types: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) names: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) double_extension: bool,
    #[serde(default)]
    pub(super) type_mismatch: bool,
    #[serde(default)]
    pub(super) encrypted: bool,
    #[serde(default)]
    pub(super) damaged: bool,
    pub(super) nested: Option<Spanned<u32>>,
    #[serde(default)]
    pub(super) in_archives: bool,
    pub(super) score: Option<Spanned<f64>>,
    pub(super) description: Option<String>,
}

/// `[[action]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Action {
    pub(super) name: Spanned<String>,
    pub(super) score_at_least: Option<Spanned<Level>>,
    pub(super) when: Option<Spanned<String>>,
    #[serde(rename = "do")]
    pub(super) then: Option<Spanned<Final>>,
    pub(super) reply: Option<Spanned<String>>,
    pub(super) reason: Option<Spanned<String>>,
    pub(super) add_header: Option<Spanned<Words>>,
    pub(super) insert_header: Option<Spanned<Words>>,
    pub(super) set_header: Option<Spanned<Words>>,
    pub(super) delete_header: Option<Spanned<Words>>,
    pub(super) subject_tag: Option<Spanned<String>>,
    pub(super) set_sender: Option<Spanned<String>>,
    pub(super) redirect: Option<Spanned<Words>>,
    pub(super) add_recipient: Option<Spanned<Words>>,
    pub(super) client: Option<Spanned<Words>>,
    pub(super) direction: Option<Spanned<Words>>,
    pub(super) recipient_domain: Option<Spanned<Words>>,
    #[serde(rename = "description")]
    pub(super) _description: Option<String>,
    #[serde(default)]
    pub(super) keep: bool,
    pub(super) hold: Option<Spanned<HoldPlace>>,
}

/// What ends the search for an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Final {
    Accept,
    Reject,
    Tempfail,
    Discard,
    Hold,
}

/// Where held mail waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum HoldPlace {
    /// In the mail server's own hold.
    #[default]
    Mta,
    /// In the store of kept copies.
    Store,
}

/// `[[override]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Override {
    #[serde(default)]
    pub(super) thresholds: Numbers,
    pub(super) without: Option<Spanned<Words>>,
    pub(super) client: Option<Spanned<Words>>,
    pub(super) direction: Option<Spanned<Words>>,
    pub(super) recipient_domain: Option<Spanned<Words>>,
    #[serde(rename = "description")]
    pub(super) _description: Option<String>,
    pub(super) keep: Option<Spanned<Words>>,
    pub(super) hold: Option<HoldPlace>,
}

/// One text, or a list of them.
#[derive(Debug)]
pub(super) enum Words {
    One(String),
    Many(Vec<Spanned<String>>),
}

/// A threshold's name, or a score.
#[derive(Debug)]
pub(super) enum Level {
    Name(String),
    Score(f64),
}

/// A number of bytes: `1048576`, `"1 MiB"`, `"50MB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size(pub(super) u64);

/// The words with their places.
pub(super) fn words(words: &Spanned<Words>) -> Vec<(Range<usize>, &str)> {
    match words.get_ref() {
        Words::One(word) => vec![(words.span(), word)],
        Words::Many(words) => words
            .iter()
            .map(|word| (word.span(), word.get_ref().as_str()))
            .collect(),
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Words;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text in quotes, or a list of them")
            }

            fn visit_str<E>(self, text: &str) -> Result<Words, E> {
                Ok(Words::One(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Words, A::Error> {
                let mut words = Vec::new();
                while let Some(word) = seq.next_element()? {
                    words.push(word);
                }
                Ok(Words::Many(words))
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

impl<'de> Deserialize<'de> for Level {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrScore;
        impl Visitor<'_> for NameOrScore {
            type Value = Level;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or the name of a threshold in quotes")
            }

            fn visit_str<E>(self, text: &str) -> Result<Level, E> {
                Ok(Level::Name(text.to_owned()))
            }

            fn visit_f64<E>(self, score: f64) -> Result<Level, E> {
                Ok(Level::Score(score))
            }

            fn visit_i64<E>(self, score: i64) -> Result<Level, E> {
                Ok(Level::Score(score as f64))
            }
        }
        deserializer.deserialize_any(NameOrScore)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Size;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of bytes, such as 1048576 or \"1 MiB\"")
            }

            fn visit_i64<E: serde::de::Error>(self, bytes: i64) -> Result<Size, E> {
                u64::try_from(bytes)
                    .map(Size)
                    .map_err(|_| E::custom("a size cannot be negative"))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Size, E> {
                Size::parse(text).ok_or_else(|| {
                    E::custom(format!("'{text}' is no size: write a number of bytes, or \"50 MiB\" (KiB, MiB, GiB, kB, MB, GB)"))
                })
            }
        }
        let size = deserializer.deserialize_any(Bytes)?;
        if size.0 == 0 {
            return Err(D::Error::custom(
                "a size of 0 lets nothing through: leave it out for no limit",
            ));
        }
        Ok(size)
    }
}

impl Size {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let number: u64 = text[..digits].parse().ok()?;
        let unit = match text[digits..].trim_start() {
            "" | "B" => 1,
            "KiB" | "K" | "k" => 1 << 10,
            "MiB" | "M" => 1 << 20,
            "GiB" | "G" => 1 << 30,
            "kB" | "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            _ => return None,
        };
        number.checked_mul(unit).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("1048576", Some(1 << 20)),
            ("50 MiB", Some(50 << 20)),
            ("50M", Some(50 << 20)),
            ("25MB", Some(25_000_000)),
            ("1 GiB", Some(1 << 30)),
            ("", None),
            ("many", None),
            ("5 parsecs", None),
            ("99999999999999 GiB", None),
        ] {
            assert_eq!(Size::parse(text), bytes.map(Size), "{text}");
        }
    }
}
