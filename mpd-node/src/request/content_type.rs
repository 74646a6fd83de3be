//! Fields with parameters: Content-Type and Content-Disposition (RFC 2045, 5.1; RFC 2183; RFC 2231).

use super::{charset, encoded_word};

/// Parameters kept of one field; more are of no use to anybody.
const MAX_PARAMETERS: usize = 64;
/// Bytes of a field that are looked at.
const MAX_FIELD: usize = 16 * 1024;

/// A part's media type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentType {
    /// The top-level type in lower case, for example `text`.
    pub main: String,
    /// The subtype in lower case, for example `plain`.
    pub sub: String,
    /// The `charset` parameter in lower case.
    pub charset: Option<String>,
    /// The `boundary` parameter, byte for byte.
    pub boundary: Option<Vec<u8>>,
    /// The `name` parameter, decoded.
    pub name: Option<String>,
}

/// A part's Content-Disposition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Disposition {
    /// The disposition type in lower case, for example `attachment`.
    pub kind: String,
    /// The `filename` parameter, decoded.
    pub file_name: Option<String>,
}

/// A field's value before its parameters are given a meaning.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    pub(super) value: Vec<u8>,
    list: Vec<Parameter>,
    pub(super) duplicate: bool,
}

#[derive(Debug)]
struct Parameter {
    name: Vec<u8>,
    value: Vec<u8>,
}

impl ContentType {
    /// What a part without a Content-Type is (RFC 2045, 5.2; RFC 2046, 5.1.5).
    pub(super) fn implied(in_digest: bool) -> Self {
        let (main, sub) = if in_digest {
            ("message", "rfc822")
        } else {
            ("text", "plain")
        };
        ContentType {
            main: main.to_owned(),
            sub: sub.to_owned(),
            charset: None,
            boundary: None,
            name: None,
        }
    }

    /// Reads a field value; `None` where there is no `type/subtype`.
    pub(super) fn parse(parameters: &Parameters) -> Option<Self> {
        let mut halves = parameters.value.splitn(2, |b| *b == b'/');
        let (main, sub) = (halves.next()?.trim_ascii(), halves.next()?.trim_ascii());
        if !is_token(main) || !is_token(sub) {
            return None;
        }
        Some(ContentType {
            main: lower(main),
            sub: lower(sub),
            charset: parameters
                .find(b"charset")
                .map(|charset| lower(charset.trim_ascii())),
            boundary: parameters
                .find(b"boundary")
                .map(|boundary| boundary.trim_ascii_end().to_vec()),
            name: parameters.decoded(b"name"),
        })
    }

    /// Whether this is `main/sub`.
    pub fn is(&self, main: &str, sub: &str) -> bool {
        self.main == main && self.sub == sub
    }
}

impl Disposition {
    pub(super) fn parse(parameters: &Parameters) -> Self {
        Disposition {
            kind: lower(&parameters.value),
            file_name: parameters
                .decoded(b"filename")
                .or_else(|| parameters.decoded(b"name")),
        }
    }
}

impl Parameters {
    /// Splits `field` into its value and parameters; whatever cannot be read is skipped.
    pub(super) fn parse(field: &[u8]) -> Self {
        let mut cursor = Cursor {
            rest: &field[..field.len().min(MAX_FIELD)],
        };
        let mut parameters = Parameters {
            value: cursor.until(b";").trim_ascii().to_vec(),
            ..Parameters::default()
        };
        while cursor.skip(b";") && parameters.list.len() < MAX_PARAMETERS {
            let mut name = cursor.until(b"=;").trim_ascii().to_ascii_lowercase();
            name.retain(|b| !b.is_ascii_whitespace());
            let value = if cursor.skip(b"=") {
                cursor.value()
            } else {
                Vec::new()
            };
            if name.is_empty() {
                continue;
            }
            parameters.duplicate |= parameters.list.iter().any(|p| p.name == name);
            parameters.list.push(Parameter { name, value });
        }
        parameters
    }

    /// The first parameter of this (lower-case) name, put together from RFC 2231 sections where it comes in such.
    fn find(&self, name: &[u8]) -> Option<Vec<u8>> {
        if let Some(plain) = self.list.iter().find(|p| p.name == name) {
            return Some(plain.value.clone());
        }
        self.extended(name).map(|(_, value)| value)
    }

    /// A parameter as text: RFC 2231 first, else RFC 2047 words, which mailers write though they may not.
    fn decoded(&self, name: &[u8]) -> Option<String> {
        if let Some((label, value)) = self.extended(name) {
            return Some(charset::decode(&value, label.as_deref()).0);
        }
        let plain = self.list.iter().find(|p| p.name == name)?;
        Some(encoded_word::decode(&plain.value).text)
    }

    /// `name*=charset'language'value` and `name*0*=`, `name*1=`, ... (RFC 2231, 3 and 4): charset and raw bytes.
    fn extended(&self, name: &[u8]) -> Option<(Option<String>, Vec<u8>)> {
        let mut sections: Vec<(u32, bool, &[u8])> = Vec::new();
        for parameter in &self.list {
            let Some(suffix) = parameter
                .name
                .strip_prefix(name)
                .and_then(|s| s.strip_prefix(b"*"))
            else {
                continue;
            };
            let (number, encoded) = match suffix.strip_suffix(b"*") {
                Some(number) => (number, true),
                None => (suffix, suffix.is_empty()),
            };
            let number = match number {
                b"" => 0,
                digits => match std::str::from_utf8(digits)
                    .ok()
                    .and_then(|d| d.parse().ok())
                {
                    Some(number) => number,
                    None => continue,
                },
            };
            sections.push((number, encoded, &parameter.value));
        }
        if sections.is_empty() {
            return None;
        }
        sections.sort_by_key(|(number, ..)| *number);
        let mut label = None;
        let mut value = Vec::new();
        for (at, (_, encoded, mut bytes)) in sections.into_iter().enumerate() {
            if !encoded {
                value.extend_from_slice(bytes);
                continue;
            }
            if at == 0 {
                let mut quotes = bytes.splitn(3, |b| *b == b'\'');
                if let (Some(charset), Some(_), Some(rest)) =
                    (quotes.next(), quotes.next(), quotes.next())
                {
                    label = Some(lower(charset)).filter(|label| !label.is_empty());
                    bytes = rest;
                }
            }
            percent_decode(bytes, &mut value);
        }
        Some((label, value))
    }
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn skip(&mut self, wanted: &[u8]) -> bool {
        let Some(rest) = self.rest.strip_prefix(wanted) else {
            return false;
        };
        self.rest = rest;
        true
    }

    /// Up to one of `ends`, comments left out of the result.
    fn until(&mut self, ends: &[u8]) -> Vec<u8> {
        let mut taken = Vec::new();
        let mut comment = 0usize;
        while let Some((&byte, rest)) = self.rest.split_first() {
            match byte {
                b'(' => comment += 1,
                b')' if comment > 0 => comment -= 1,
                b'\r' | b'\n' => {}
                _ if comment > 0 => {}
                _ if ends.contains(&byte) => break,
                _ => taken.push(byte),
            }
            self.rest = rest;
        }
        taken
    }

    /// A quoted string, or a bare value up to the next semicolon.
    fn value(&mut self) -> Vec<u8> {
        self.rest = self.rest.trim_ascii_start();
        if !self.skip(b"\"") {
            return self.until(b";").trim_ascii().to_vec();
        }
        let mut value = Vec::new();
        while let Some((&byte, rest)) = self.rest.split_first() {
            self.rest = rest;
            match byte {
                b'"' => break,
                // A backslash quotes only what needs quoting: Windows paths come unescaped.
                b'\\' => match rest.split_first() {
                    Some((&next @ (b'"' | b'\\'), rest)) => {
                        value.push(next);
                        self.rest = rest;
                    }
                    _ => value.push(byte),
                },
                b'\r' | b'\n' => {}
                _ => value.push(byte),
            }
        }
        // What stands between the closing quote and the semicolon has no meaning.
        self.until(b";");
        value
    }
}

fn percent_decode(bytes: &[u8], into: &mut Vec<u8>) {
    let mut rest = bytes;
    while let Some((&byte, tail)) = rest.split_first() {
        if let (b'%', [high, low, after @ ..]) = (byte, tail)
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            into.push(high << 4 | low);
            rest = after;
            continue;
        }
        into.push(byte);
        rest = tail;
    }
}

pub(super) fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty()
        && bytes
            .iter()
            .all(|b| b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(b))
}

fn lower(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).to_ascii_lowercase()
}

#[cfg(test)]
mod tests;
