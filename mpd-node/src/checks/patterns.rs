//! Rules: regular expressions over the parts of a message.

use millrace_proto::Stage;
use regex_automata::meta::Regex;

use super::{Check, Facts, Findings};
use crate::policy::{LIMIT_RAW_BODY, PatternSet, Policy, Rule, Target};
use crate::request::{Header, Message};

/// Bytes of a match that stand in a finding.
const MAX_SHOWN: usize = 60;

/// Runs the policy's rules.
pub(super) struct Patterns;

impl Check for Patterns {
    fn name(&self) -> &'static str {
        "rules"
    }

    fn speaks_at(&self, stage: Stage, policy: &Policy) -> bool {
        stage == Stage::EndOfMessage && !policy.patterns().rules.is_empty()
    }

    fn run(&self, facts: &Facts<'_>, findings: &mut Findings<'_>) {
        let mut search = Search {
            facts,
            findings,
            counts: Vec::new(),
        };
        if let Some(message) = facts.message {
            search.headers(message);
        }
        for (target, set) in &facts.policy.patterns().targets {
            search.target(*target, set);
        }
        search.counted();
    }
}

struct Search<'s, 'a, 'p> {
    facts: &'s Facts<'a>,
    findings: &'s mut Findings<'p>,
    /// Matches so far of rules that count, with what the first of them matched.
    counts: Vec<(u32, u32, Vec<u8>)>,
}

impl Search<'_, '_, '_> {
    fn headers(&mut self, message: &Message) {
        let patterns = self.facts.policy.patterns();
        let any = &patterns.any_header;
        let all = any.decoded.is_some() || any.raw.is_some();
        if patterns.headers.is_empty() && !all {
            return;
        }
        let mut lower = [0u8; 64];
        for header in message.headers() {
            let Some(buffer) = lower.get_mut(..header.name.len()) else {
                continue;
            };
            buffer.copy_from_slice(&header.name);
            buffer.make_ascii_lowercase();
            let own = patterns.headers.get(&*buffer);
            if own.is_none() && !all {
                continue;
            }
            for rule in own.map_or(&[][..], |own| &own.present) {
                self.found_once(*rule, &header.value);
            }
            let sets = [
                own.and_then(|own| own.decoded.as_ref()),
                any.decoded.as_ref(),
            ];
            if sets.iter().any(Option::is_some) {
                let decoded = decoded(message, header);
                sets.into_iter()
                    .flatten()
                    .for_each(|set| self.text(set, &decoded));
            }
            let raw = &header.value[..header.value.len().min(message.limits().header_line)];
            let sets = [own.and_then(|own| own.raw.as_ref()), any.raw.as_ref()];
            sets.into_iter()
                .flatten()
                .for_each(|set| self.text(set, raw));
        }
    }

    fn target(&mut self, target: Target, set: &PatternSet) {
        let transaction = self.facts.transaction;
        match (target, self.facts.message) {
            (Target::EnvelopeSender, _) => {
                if let Some(sender) = &transaction.envelope.sender {
                    self.text(set, &sender.address);
                }
            }
            (Target::Recipient, _) => {
                transaction
                    .envelope
                    .recipients
                    .iter()
                    .for_each(|path| self.text(set, &path.address));
            }
            (Target::Helo | Target::Ptr | Target::Peer, _) => {
                let Some(client) = self.facts.true_client() else {
                    return;
                };
                match target {
                    Target::Helo => client.helo.iter().for_each(|helo| self.text(set, helo)),
                    Target::Ptr => client.ptr.iter().for_each(|ptr| self.text(set, ptr)),
                    _ => client
                        .ip
                        .iter()
                        .for_each(|ip| self.text(set, ip.to_string().as_bytes())),
                }
            }
            (_, None) => {}
            (Target::Body, Some(message)) => {
                message
                    .text()
                    .visible()
                    .for_each(|text| self.text(set, &joined(text.as_bytes())));
            }
            (Target::Html, Some(message)) => {
                message
                    .text()
                    .parts()
                    .iter()
                    .filter(|part| part.is_html())
                    .for_each(|part| self.text(set, part.source.as_bytes()));
            }
            (Target::RawBody, Some(message)) => {
                let body = message.body();
                let most = message.limits().text_bytes;
                self.text(set, &body[..body.len().min(most)]);
                let symbol = self.facts.policy.symbols().find(LIMIT_RAW_BODY);
                if let Some(symbol) = symbol.filter(|_| body.len() > most) {
                    self.findings.raise(symbol, b"");
                }
            }
            (Target::Headers, Some(message)) => {
                let block = message.header_block();
                self.text(
                    set,
                    &block[..block.len().min(message.limits().header_bytes)],
                );
            }
            (Target::Uri, Some(message)) => {
                message
                    .uris()
                    .found()
                    .iter()
                    .for_each(|uri| self.text(set, uri.text.as_bytes()));
            }
            (Target::UriHost, Some(message)) => {
                message
                    .uris()
                    .found()
                    .iter()
                    .for_each(|uri| self.text(set, uri.host.as_bytes()));
            }
            (Target::AttachmentName, Some(message)) => {
                let names = message.parts().iter().filter_map(|part| part.file_name());
                names.for_each(|name| self.text(set, name.as_bytes()));
            }
        }
    }

    fn text(&mut self, set: &PatternSet, text: &[u8]) {
        set.matching(text, |number, regex| self.matched(number, regex, text));
    }

    fn matched(&mut self, number: u32, regex: &Regex, text: &[u8]) {
        let rule = &self.facts.policy.patterns().rules[number as usize];
        if !rule.scope.covers(self.facts.transaction)
            || (is_single(rule) && self.findings.has(rule.symbol))
        {
            return;
        }
        let shown = regex
            .find(text)
            .map_or(&[][..], |found| &text[found.range()]);
        let shown = &shown[..shown.len().min(MAX_SHOWN)];
        if is_single(rule) {
            self.findings.raise(rule.symbol, shown);
            return;
        }
        let enough = rule.count_at_least.max(rule.max_hits) as usize;
        let count = regex.find_iter(text).take(enough).count() as u32;
        match self
            .counts
            .iter_mut()
            .find(|(known, _, _)| *known == number)
        {
            Some((_, total, _)) => *total = total.saturating_add(count),
            None => self.counts.push((number, count, shown.to_vec())),
        }
    }

    fn found_once(&mut self, number: u32, value: &[u8]) {
        let rule = &self.facts.policy.patterns().rules[number as usize];
        if !rule.scope.covers(self.facts.transaction) {
            return;
        }
        if is_single(rule) {
            self.findings.raise(
                rule.symbol,
                &value.trim_ascii()[..value.trim_ascii().len().min(MAX_SHOWN)],
            );
            return;
        }
        match self
            .counts
            .iter_mut()
            .find(|(known, _, _)| *known == number)
        {
            Some((_, total, _)) => *total = total.saturating_add(1),
            None => self.counts.push((number, 1, Vec::new())),
        }
    }

    /// Raises the rules that count, now that all was looked at.
    fn counted(&mut self) {
        for (number, count, shown) in std::mem::take(&mut self.counts) {
            let rule = &self.facts.policy.patterns().rules[number as usize];
            if count >= rule.count_at_least {
                self.findings
                    .raise_times(rule.symbol, count.min(rule.max_hits), &shown);
            }
        }
    }
}

/// Text as it is read: each run of white space is one blank, each end of a paragraph one LF. Lines are broken by mail
/// programs as they please; a phrase must be found over the break.
fn joined(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest
        .iter()
        .position(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0xc2))
    {
        let (words, tail) = rest.split_at(at);
        out.extend_from_slice(words);
        let (mut end, mut lines) = (0, 0);
        loop {
            match tail[end..] {
                [b'\n', ..] => {
                    lines += 1;
                    end += 1;
                }
                [b' ' | b'\t' | b'\r', ..] => end += 1,
                // A no-break space.
                [0xc2, 0xa0, ..] => end += 2,
                _ => break,
            }
        }
        if end == 0 {
            // The beginning of another character.
            out.push(tail[0]);
            end = 1;
        } else {
            out.push(if lines > 1 { b'\n' } else { b' ' });
        }
        rest = &tail[end..];
    }
    out.extend_from_slice(rest);
    out
}

fn is_single(rule: &Rule) -> bool {
    rule.count_at_least <= 1 && rule.max_hits <= 1
}

/// A header's value as people see it. Most need no decoding.
fn decoded<'m>(message: &'m Message, header: &'m Header) -> std::borrow::Cow<'m, [u8]> {
    let value = header.value.trim_ascii();
    let plain = value.len() <= message.limits().header_line
        && value.is_ascii()
        && memchr::memchr2(b'\n', b'\r', value).is_none()
        && memchr::memmem::find(value, b"=?").is_none();
    if plain {
        value.into()
    } else {
        message.decoded_value(header).into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_joined() {
        for (text, expected) in [
            ("one\ntwo  three\t four", "one two three four"),
            ("one\n\ntwo\n \n\nthree\n", "one\ntwo\nthree "),
            ("a\u{a0}\u{a0}b \u{e9}\u{a9}", "a b \u{e9}\u{a9}"),
            ("\r\n x", " x"),
            ("", ""),
        ] {
            assert_eq!(
                String::from_utf8_lossy(&joined(text.as_bytes())),
                expected,
                "{text:?}"
            );
        }
    }
}
