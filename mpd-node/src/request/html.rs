//! HTML, read for its visible text and its links: no tree, one pass, any input.

use std::borrow::Cow;

use mail_parser::decoders::html::add_html_token;
use memchr::{memchr, memchr2, memmem};

/// Links kept of one page; the URI limit applies to what is made of them.
const MAX_LINKS: usize = 10_000;
/// The longest entity name, with its ampersand and semicolon.
const MAX_ENTITY: usize = 34;

/// Elements whose content is not shown.
const UNSHOWN: [&str; 4] = ["script", "style", "template", "title"];

/// What a page shows, and where it leads.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) text: String,
    pub(super) links: Vec<Link>,
}

/// A link out of a page.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) target: String,
    /// The text of an `<a>`, empty for other elements.
    pub(super) shown: String,
}

/// Reads `source`.
pub(super) fn read(source: &str) -> Page {
    let mut reader = Reader {
        page: Page::default(),
        anchor: None,
        unclosed: [false; UNSHOWN.len()],
    };
    reader.page.text.reserve(source.len() / 2);
    let mut rest = source;
    while let Some(at) = memchr(b'<', rest.as_bytes()) {
        reader.text(&rest[..at]);
        rest = reader.markup(&rest[at..]);
    }
    reader.text(rest);
    reader.close_anchor();
    reader.page
}

struct Reader {
    page: Page,
    /// The link whose text is being read, and where that text begins.
    anchor: Option<(usize, usize)>,
    /// Which of [`UNSHOWN`] have no end tag in what is left.
    unclosed: [bool; UNSHOWN.len()],
}

impl Reader {
    /// Text between tags: white space collapses, entities are decoded.
    fn text(&mut self, text: &str) {
        let decoded = decode_entities(text);
        let mut words = decoded.split_ascii_whitespace();
        let Some(first) = words.next() else {
            if !decoded.is_empty() {
                self.space();
            }
            return;
        };
        if decoded.starts_with(|c: char| c.is_ascii_whitespace()) {
            self.space();
        }
        self.page.text.push_str(first);
        for word in words {
            self.page.text.push(' ');
            self.page.text.push_str(word);
        }
        if decoded.ends_with(|c: char| c.is_ascii_whitespace()) {
            self.space();
        }
    }

    /// Something that begins with `<`; gives what follows it.
    fn markup<'a>(&mut self, source: &'a str) -> &'a str {
        if let Some(comment) = source.strip_prefix("<!--") {
            // Browsers end a comment at `>` and `->` that follow at once, too.
            if let Some(rest) = comment
                .strip_prefix('>')
                .or_else(|| comment.strip_prefix("->"))
            {
                return rest;
            }
            return after_comment(comment);
        }
        if source.starts_with("<!") || source.starts_with("<?") {
            return memchr(b'>', source.as_bytes()).map_or("", |end| &source[end + 1..]);
        }
        let closing = source[1..].starts_with('/');
        let name_start = 1 + usize::from(closing);
        let name_len = source[name_start..]
            .bytes()
            .take_while(|b| !b.is_ascii_whitespace() && !matches!(b, b'>' | b'/' | b'<'))
            .count();
        let name = &source[name_start..name_start + name_len];
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            self.page.text.push('<');
            return &source[1..];
        }
        let name = name.to_ascii_lowercase();
        let mut attributes = Attributes {
            rest: &source[name_start + name_len..],
        };
        if closing {
            while attributes.next().is_some() {}
            self.close(&name);
            return attributes.rest;
        }
        self.open(&name, &mut attributes);
        match UNSHOWN.iter().position(|unshown| *unshown == name) {
            Some(element) => self.skip_element(attributes.rest, element),
            None => attributes.rest,
        }
    }

    fn open(&mut self, name: &str, attributes: &mut Attributes<'_>) {
        if name == "a" || name == "area" {
            self.close_anchor();
        }
        while let Some((attribute, value)) = attributes.next() {
            let target: Cow<'_, str> = match attribute.as_str() {
                "href" | "src" | "action" | "formaction" | "background" | "data" | "poster"
                | "xlink:href" | "cite" => decode_entities(value),
                "content" if name == "meta" => match refresh_target(value) {
                    Some(target) => decode_entities(target),
                    None => continue,
                },
                _ => continue,
            };
            let target: String = target
                .trim()
                .chars()
                .filter(|c| !matches!(c, '\t' | '\n' | '\r'))
                .collect();
            if target.is_empty() || self.page.links.len() >= MAX_LINKS {
                continue;
            }
            if name == "a" && attribute == "href" {
                self.anchor = Some((self.page.links.len(), self.page.text.len()));
            }
            self.page.links.push(Link {
                target,
                shown: String::new(),
            });
        }
        self.break_line(name);
    }

    fn close(&mut self, name: &str) {
        if name == "a" {
            self.close_anchor();
        }
        self.break_line(name);
    }

    fn close_anchor(&mut self) {
        if let Some((link, start)) = self.anchor.take() {
            self.page.links[link].shown = self
                .page
                .text
                .get(start..)
                .unwrap_or_default()
                .trim()
                .to_owned();
        }
    }

    fn break_line(&mut self, name: &str) {
        let fresh = self.page.text.is_empty() || self.page.text.ends_with('\n');
        match name {
            _ if fresh => {}
            "br" | "p" | "div" | "tr" | "li" | "ul" | "ol" | "table" | "h1" | "h2" | "h3"
            | "h4" | "h5" | "h6" | "hr" | "blockquote" | "pre" | "body" | "head" | "section"
            | "article" | "header" | "footer" | "center" => self.page.text.push('\n'),
            "td" | "th" => self.space(),
            _ => {}
        }
    }

    /// What follows the end tag of an element whose content is not shown. Without an end tag, the rest is shown:
    /// leaving out the end tag would else hide text from the checks alone.
    fn skip_element<'a>(&mut self, rest: &'a str, element: usize) -> &'a str {
        // Looked for once: else a page of nothing but start tags would be read over and over.
        if self.unclosed[element] {
            return rest;
        }
        let name = UNSHOWN[element].as_bytes();
        let mut from = 0;
        while let Some(at) = memmem::find(&rest.as_bytes()[from..], b"</") {
            let tag = from + at + 2;
            let end = tag + name.len();
            if rest
                .as_bytes()
                .get(tag..end)
                .is_some_and(|found| found.eq_ignore_ascii_case(name))
            {
                return memchr(b'>', &rest.as_bytes()[end..])
                    .map_or("", |close| &rest[end + close + 1..]);
            }
            from = tag;
        }
        self.unclosed[element] = true;
        rest
    }

    fn space(&mut self) {
        if !self.page.text.is_empty() && !self.page.text.ends_with([' ', '\n']) {
            self.page.text.push(' ');
        }
    }
}

/// The attributes of one tag; afterwards `rest` is what follows the tag.
struct Attributes<'a> {
    rest: &'a str,
}

impl<'a> Attributes<'a> {
    /// The next attribute: its name in lower case, and its value.
    fn next(&mut self) -> Option<(String, &'a str)> {
        self.rest = self
            .rest
            .trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        if self.rest.is_empty() {
            return None;
        }
        if let Some(rest) = self.rest.strip_prefix('>') {
            self.rest = rest;
            return None;
        }
        // At least one byte, so that a stray `=` cannot stop the scan.
        let first = self.rest.chars().next().map_or(1, char::len_utf8);
        let name_len = first
            + self.rest.as_bytes()[first..]
                .iter()
                .take_while(|b| !b.is_ascii_whitespace() && !matches!(b, b'=' | b'>' | b'/'))
                .count();
        let (name, rest) = self.rest.split_at(name_len);
        let name = name.to_ascii_lowercase();
        let after = rest.trim_ascii_start();
        let Some(value) = after.strip_prefix('=') else {
            self.rest = after;
            return Some((name, ""));
        };
        let value = value.trim_ascii_start();
        let quote = value.bytes().next().filter(|b| matches!(b, b'"' | b'\''));
        let (value, rest) = match quote {
            Some(quote) => match memchr(quote, &value.as_bytes()[1..]) {
                Some(end) => (&value[1..=end], &value[end + 2..]),
                None => (&value[1..], ""),
            },
            None => {
                let len = value
                    .bytes()
                    .take_while(|b| !b.is_ascii_whitespace() && *b != b'>')
                    .count();
                value.split_at(len)
            }
        };
        self.rest = rest;
        Some((name, value))
    }
}

/// What follows the end of a comment, both of whose spellings browsers take.
fn after_comment(comment: &str) -> &str {
    let mut from = 0;
    while let Some(at) = memmem::find(&comment.as_bytes()[from..], b"--") {
        let after = &comment[from + at + 2..];
        if let Some(rest) = after.strip_prefix('>').or_else(|| after.strip_prefix("!>")) {
            return rest;
        }
        from += at + 1;
    }
    ""
}

/// The target in `<meta http-equiv=refresh content="0; url=...">`.
fn refresh_target(content: &str) -> Option<&str> {
    let (_, target) = content.split_once(';')?;
    let target = target.trim_ascii_start();
    let url = target
        .get(..3)
        .filter(|url| url.eq_ignore_ascii_case("url"))
        .and(target.get(3..))?;
    Some(
        url.trim_ascii_start()
            .strip_prefix('=')?
            .trim_matches(|c: char| c.is_ascii_whitespace() || "'\"".contains(c)),
    )
}

fn decode_entities(text: &str) -> Cow<'_, str> {
    if memchr(b'&', text.as_bytes()).is_none() {
        return text.into();
    }
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr(b'&', rest.as_bytes()) {
        decoded.push_str(&rest[..at]);
        rest = &rest[at..];
        let window = &rest.as_bytes()[1..rest.len().min(MAX_ENTITY)];
        match memchr2(b';', b'&', window) {
            Some(end)
                if window[end] == b';'
                    && window[..end]
                        .iter()
                        .all(|b| b.is_ascii_alphanumeric() || *b == b'#') =>
            {
                add_html_token(&mut decoded, &rest.as_bytes()[..end + 2], false);
                rest = &rest[end + 2..];
            }
            _ => {
                decoded.push('&');
                rest = &rest[1..];
            }
        }
    }
    decoded.push_str(rest);
    decoded.into()
}

#[cfg(test)]
mod tests;
