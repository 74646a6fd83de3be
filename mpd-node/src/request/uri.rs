//! URIs in the text of a message.

use std::collections::HashSet;

use memchr::{memchr_iter, memmem};

use super::{html::Link, limits::LimitHit, message::Message};

/// The longest URI that is kept whole.
const MAX_URI: usize = 4096;
/// The longest scheme that is looked for before `://`.
const MAX_SCHEME: usize = 20;

/// The URIs of a message, each kept once.
#[derive(Debug, Default)]
pub struct Uris {
    found: Vec<Uri>,
    mailto: Vec<String>,
}

/// A URI with a host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Uri {
    /// As it is written, HTML entities decoded.
    pub text: String,
    /// The scheme in lower case; `http` where the text begins with `www.`.
    pub scheme: String,
    /// The host in lower case, without user, port and final dot; as a browser would read it.
    pub host: String,
    /// Whether it is the target of an HTML element.
    pub in_html: bool,
    /// The host that the link's text shows, where that is another one than it leads to.
    pub shown_host: Option<String>,
}

impl Uris {
    pub(super) fn of(message: &Message) -> Self {
        let mut collector = Collector {
            uris: Uris::default(),
            seen: HashSet::new(),
            max: message.limits().uris,
            full: false,
        };
        for part in message.text().parts() {
            if let Some(page) = part.page() {
                page.links.iter().for_each(|link| collector.link(link));
            }
            collector.text(part.visible());
        }
        collector.text(message.subject_decoded());
        if collector.full {
            message.hit(LimitHit::Uris);
        }
        collector.uris
    }

    /// The URIs in the order of their first occurrence.
    pub fn found(&self) -> &[Uri] {
        &self.found
    }

    /// The addresses of `mailto:` links.
    pub fn mailto(&self) -> &[String] {
        &self.mailto
    }
}

struct Collector {
    uris: Uris,
    seen: HashSet<(bool, String)>,
    max: usize,
    full: bool,
}

impl Collector {
    fn link(&mut self, link: &Link) {
        if let Some(address) = strip_prefix_ignore_case(&link.target, "mailto:") {
            let address = address.split('?').next().unwrap_or(address);
            self.mailto(address);
            return;
        }
        let Some(mut uri) = parse(&link.target, true) else {
            return;
        };
        uri.shown_host = shown_host(&link.shown).filter(|shown| !same_site(shown, &uri.host));
        self.add(uri);
    }

    fn mailto(&mut self, address: &str) {
        if self.uris.mailto.len() >= self.max {
            self.full = true;
            return;
        }
        let address = truncated(address);
        if !address.is_empty() && self.seen.insert((true, format!("mailto:{address}"))) {
            self.uris.mailto.push(address.to_owned());
        }
    }

    fn text(&mut self, text: &str) {
        let mut done = 0;
        for at in memmem::find_iter(text.as_bytes(), b"://") {
            if at < done {
                continue;
            }
            let scheme = text.as_bytes()[at.saturating_sub(MAX_SCHEME)..at]
                .iter()
                .rev()
                .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'.' | b'-'))
                .count();
            done = self.word(text, at - scheme);
            if self.full {
                return;
            }
        }
        done = 0;
        for dot in memchr_iter(b'.', text.as_bytes()) {
            let Some(start) = dot.checked_sub(3) else {
                continue;
            };
            let fresh = start == 0
                || !matches!(text.as_bytes()[start - 1], b'/' | b'.' | b'@' | b'-' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9');
            if start >= done && fresh && text.as_bytes()[start..dot].eq_ignore_ascii_case(b"www") {
                done = self.word(text, start);
                if self.full {
                    return;
                }
            }
        }
    }

    /// The URI that begins at `start`; gives where it ends.
    fn word(&mut self, text: &str, start: usize) -> usize {
        let rest = &text[start..];
        let len = rest
            .char_indices()
            .find(|(at, c)| {
                *at > MAX_URI
                    || c.is_whitespace()
                    || c.is_control()
                    || matches!(c, '<' | '>' | '"' | '`' | '{' | '}' | '|' | '^')
            })
            .map_or(rest.len(), |(at, _)| at);
        let word = rest[..len].trim_end_matches([
            '.', ',', ';', ':', '!', '?', '\'', ')', ']', '*', '_', '…', '”', '’',
        ]);
        // A closing bracket belongs to the URI where its opening one does.
        let word = match rest[word.len()..].starts_with(')')
            && word.contains('(')
            && !word.contains(')')
        {
            true => &rest[..=word.len()],
            false => word,
        };
        if let Some(uri) = parse(word, false) {
            self.add(uri);
        }
        start + len
    }

    fn add(&mut self, uri: Uri) {
        if self.uris.found.len() >= self.max {
            self.full = true;
            return;
        }
        if self.seen.insert((uri.in_html, uri.text.clone())) {
            self.uris.found.push(uri);
        }
    }
}

/// Reads `text` as a URI with a host; relative references and opaque URIs (`cid:`, `data:`) have none.
fn parse(text: &str, in_html: bool) -> Option<Uri> {
    let text = truncated(text.trim());
    let (scheme, rest) = match split_scheme(text) {
        Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
        None if in_html => (
            "http".to_owned(),
            text.strip_prefix("//")
                .or_else(|| text.strip_prefix("\\\\"))?,
        ),
        None => (
            "http".to_owned(),
            text.get(..4)
                .filter(|www| www.eq_ignore_ascii_case("www."))
                .map(|_| text)?,
        ),
    };
    let host = host_of(rest)?;
    Some(Uri {
        text: text.to_owned(),
        scheme,
        host,
        in_html,
        shown_host: None,
    })
}

/// `scheme://rest`; browsers take backslashes, and fewer or more than two slashes after http(s), as the same.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let valid = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.len() <= MAX_SCHEME
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'.' | b'-'));
    let web = matches!(
        scheme.to_ascii_lowercase().as_str(),
        "http" | "https" | "ftp"
    );
    let after = rest.trim_start_matches(['/', '\\']);
    let slashes = rest.len() - after.len();
    (valid && (slashes >= 2 || (web && slashes >= 1))).then_some((scheme, after))
}

/// The host of what follows `scheme://`.
fn host_of(rest: &str) -> Option<String> {
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let host = authority.rsplit('@').next()?;
    if let Some(literal) = host.strip_prefix('[') {
        return literal
            .split_once(']')
            .map(|(address, _)| address.to_ascii_lowercase());
    }
    let host = host.split(':').next()?;
    let host = percent_decoded(host).to_lowercase();
    // Other full stops that browsers take for a dot (UTS 46).
    let host = host.replace(['\u{3002}', '\u{ff0e}', '\u{ff61}'], ".");
    let host = host.trim_end_matches('.');
    let valid = !host.is_empty()
        && host.len() <= 255
        && !host.chars().any(|c| c.is_whitespace() || c.is_control());
    valid.then(|| host.to_owned())
}

/// The host in a link's text, where the text looks like a URI or a host name.
fn shown_host(shown: &str) -> Option<String> {
    let word = shown.trim();
    if word.is_empty() || word.len() > MAX_URI || word.contains(char::is_whitespace) {
        return None;
    }
    if let Some((_, rest)) = split_scheme(word) {
        return host_of(rest);
    }
    let host = host_of(word)?;
    let (_, top) = host.rsplit_once('.')?;
    let labels_fit = host.split('.').all(|label| {
        !label.is_empty()
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    });
    (!word.contains('@')
        && labels_fit
        && top.len() >= 2
        && top.bytes().all(|b| b.is_ascii_alphabetic()))
    .then_some(host)
}

/// Whether one host is the other, or within its domain.
fn same_site(one: &str, other: &str) -> bool {
    let within = |host: &str, domain: &str| {
        host.strip_suffix(domain)
            .is_some_and(|sub| sub.is_empty() || sub.ends_with('.'))
    };
    let bare = |host: &str| host.strip_prefix("www.").unwrap_or(host).to_owned();
    let (one, other) = (bare(one), bare(other));
    within(&one, &other) || within(&other, &one)
}

fn percent_decoded(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte == b'%'
            && let [high, low, after @ ..] = tail
            && let (Some(high), Some(low)) = (
                super::content_type::hex(*high),
                super::content_type::hex(*low),
            )
        {
            bytes.push(high << 4 | low);
            rest = after;
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn strip_prefix_ignore_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    text.get(..prefix.len())
        .filter(|head| head.eq_ignore_ascii_case(prefix))
        .map(|_| &text[prefix.len()..])
}

fn truncated(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_URI)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let cases = [
            ("http://Example.COM/path", Some("example.com")),
            ("https://user:pw@host.example:8080/?q", Some("host.example")),
            ("http://trusted.example@evil.example/", Some("evil.example")),
            (
                "http://evil.example\\@trusted.example/",
                Some("evil.example"),
            ),
            ("http:\\\\evil.example/", Some("evil.example")),
            ("http:/one.example/", Some("one.example")),
            ("https:////four.example/", Some("four.example")),
            ("http://[2001:DB8::1]:80/", Some("2001:db8::1")),
            ("http://host.example./", Some("host.example")),
            ("http://%65vil.example/", Some("evil.example")),
            ("http://evil\u{3002}example/", Some("evil.example")),
            ("//proto.example/x", Some("proto.example")),
            ("cid:part1@x", None),
            ("data:text/html,x", None),
            ("javascript:alert(1)", None),
            ("relative/path", None),
            ("#anchor", None),
            ("http://", None),
        ];
        for (text, host) in cases {
            assert_eq!(
                parse(text, true).map(|uri| uri.host).as_deref(),
                host,
                "{text}"
            );
        }
    }

    #[test]
    fn a_link_that_shows_another_host_tells() {
        let cases = [
            ("bank.example", Some("bank.example")),
            ("https://bank.example/login", Some("bank.example")),
            ("www.bank.example", Some("www.bank.example")),
            ("Click here", None),
            ("report.pdf.", Some("report.pdf")),
            ("a@bank.example", None),
            ("3.14", None),
        ];
        for (shown, host) in cases {
            assert_eq!(shown_host(shown).as_deref(), host, "{shown}");
        }
        assert!(same_site("www.bank.example", "bank.example"));
        assert!(same_site("bank.example", "login.bank.example"));
        assert!(!same_site("bank.example", "notbank.example"));
    }
}
