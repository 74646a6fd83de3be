//! Paths of the envelope.

use bytes::Bytes;

/// A path of the envelope (RFC 5321 §4.1.2): an address without its angle
/// brackets, and its ESMTP parameters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Path {
    /// The address; empty for the null sender.
    pub address: Bytes,
    /// Raw ESMTP words, as `SIZE=1000` or `NOTIFY=NEVER`.
    pub parameters: Vec<Bytes>,
}

impl Path {
    /// A path with no parameters. One pair of angle brackets is taken off.
    #[must_use]
    pub fn new(address: impl Into<Bytes>) -> Self {
        let address = address.into();
        let bare = match &address[..] {
            [b'<', inner @ .., b'>'] => address.slice(1..=inner.len()),
            _ => address,
        };
        Self {
            address: bare,
            parameters: Vec::new(),
        }
    }

    /// Whether this is the null sender of a bounce (RFC 5321 §4.5.5).
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.address.is_empty()
    }

    /// The domain: what follows the last `@`, in the case it came in. Empty
    /// when there is none.
    #[must_use]
    pub fn domain(&self) -> &[u8] {
        match self.address.iter().rposition(|&byte| byte == b'@') {
            Some(at) => &self.address[at + 1..],
            None => &[],
        }
    }

    /// The value of an ESMTP parameter, by its keyword in any case (RFC 5321
    /// §4.1.1.11).
    #[must_use]
    pub fn parameter(&self, keyword: &str) -> Option<&[u8]> {
        self.parameters.iter().find_map(|word| {
            let (name, value) = match word.iter().position(|&byte| byte == b'=') {
                Some(at) => (&word[..at], &word[at + 1..]),
                None => (&word[..], &[][..]),
            };
            name.eq_ignore_ascii_case(keyword.as_bytes())
                .then_some(value)
        })
    }

    /// The declared message size in bytes (RFC 1870), if there is one that can
    /// be read.
    #[must_use]
    pub fn declared_size(&self) -> Option<u64> {
        let digits = self.parameter("SIZE")?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_are_no_part_of_the_address() {
        for (given, address, domain) in [
            ("<a@b.example>", "a@b.example", "b.example"),
            ("a@b.example", "a@b.example", "b.example"),
            ("<>", "", ""),
            ("", "", ""),
            (
                "<\"odd@local\"@b.example>",
                "\"odd@local\"@b.example",
                "b.example",
            ),
            ("postmaster", "postmaster", ""),
        ] {
            let path = Path::new(given.as_bytes().to_vec());
            assert_eq!(path.address, address.as_bytes(), "{given}");
            assert_eq!(path.domain(), domain.as_bytes(), "{given}");
        }
    }

    #[test]
    fn size_is_read_in_any_case_and_nonsense_is_no_size() {
        for (word, size) in [
            ("SIZE=1000", Some(1000)),
            ("size=7", Some(7)),
            ("SIZE=", None),
            ("SIZE", None),
            ("SIZE=99999999999999999999999", None),
            ("BODY=8BITMIME", None),
        ] {
            let mut path = Path::new("a@b.example");
            path.parameters = vec![Bytes::from_static(b"RET=HDRS"), Bytes::from(word)];
            assert_eq!(path.declared_size(), size, "{word}");
        }
    }
}
