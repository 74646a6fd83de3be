//! The true client behind relays of our own, from the Received headers that they wrote.

use std::net::IpAddr;

use bytes::Bytes;
use millrace_proto::Connection;

use super::TrueClient;
use crate::policy::Policy;
use crate::request::Message;

/// Received headers that are looked at; a loop makes more.
const MAX_HOPS: usize = 64;
/// Bytes of one header that are looked at.
const MAX_FIELD: usize = 2048;

/// Who brought the message to the first of our own hosts; the peer itself where the headers name nobody else. `None`
/// where the headers would tell and are not there yet.
pub(super) fn true_client(
    policy: &Policy,
    connection: &Connection,
    message: Option<&Message>,
) -> Option<TrueClient> {
    let peer = TrueClient {
        ip: connection.peer.ip(),
        helo: connection.helo.clone(),
        ptr: connection.ptr.clone().filter(|name| is_name(name)),
        relayed: false,
    };
    if !policy.trusts(&connection.peer) {
        return Some(peer);
    }
    for header in message?.header_values("received").take(MAX_HOPS) {
        // A hop that does not say where the message is from: it began there, or cannot be followed.
        let Some(hop) = hop(&header.unfolded()) else {
            break;
        };
        if hop.ip.is_some_and(|ip| !policy.trusted().contains(ip)) {
            return Some(hop);
        }
    }
    Some(peer)
}

/// Who handed the message over, as one Received header has it. The forms:
///
/// - Postfix: `from HELO (PTR [IP])`, `from HELO (unknown [IP])`
/// - Sendmail: `from HELO (PTR [IP] (may be forged))`, `from HELO (user@PTR [IP])`, `from HELO ([IP])`
/// - qmail: `from PTR (HELO name) (IP)`, `from PTR (HELO name) (user@IP)`, `from PTR (IP)`
/// - Exim: `from PTR ([IP] helo=name)`, `from [IP] (helo=name)`, `from PTR ([IP]:port helo=name)`
fn hop(value: &[u8]) -> Option<TrueClient> {
    let value = &value[..value.len().min(MAX_FIELD)];
    let value = value.trim_ascii();
    let rest = value
        .get(..5)
        .filter(|word| word.eq_ignore_ascii_case(b"from "))
        .map(|_| &value[5..])?;
    let (first, comments) = clause(rest);
    let mut client = TrueClient {
        relayed: true,
        ..TrueClient::default()
    };
    for comment in &comments {
        // `helo=[IP]` is what the client says of itself.
        let named = |before: &[u8]| memchr::memmem::find(before, b"helo=").is_none();
        if let Some((before, ip, after)) = bracketed(comment).filter(|(before, _, _)| named(before))
        {
            client.ip = Some(ip);
            let before = before
                .rsplit(|b| *b == b' ')
                .find(|word| !word.is_empty())
                .unwrap_or_default();
            let before = before.rsplit(|b| *b == b'@').next().unwrap_or_default();
            client.ptr = name(before);
            client.helo = match exim_helo(after) {
                Some(helo) => {
                    client.ptr = client.ptr.take().or_else(|| name(first));
                    Some(helo)
                }
                None => text(first),
            };
            return Some(client);
        }
    }
    for comment in &comments {
        let bare = comment.rsplit(|b| *b == b'@').next().unwrap_or_default();
        if let Some(ip) = address(bare) {
            client.ip = Some(ip);
            client.ptr = name(first);
            client.helo = comments
                .iter()
                .find_map(|comment| {
                    comment
                        .get(..5)
                        .filter(|w| w.eq_ignore_ascii_case(b"HELO "))
                        .map(|_| &comment[5..])
                })
                .map_or_else(|| text(first), text);
            return Some(client);
        }
    }
    let (_, ip, _) = bracketed(first)?;
    client.ip = Some(ip);
    client.helo = comments.iter().find_map(|comment| exim_helo(comment));
    Some(client)
}

/// The first word of a from clause, and the comments in it; it ends at ` by `.
fn clause(rest: &[u8]) -> (&[u8], Vec<&[u8]>) {
    let first = rest
        .split(|b| b.is_ascii_whitespace() || *b == b'(')
        .next()
        .unwrap_or_default();
    let mut comments = Vec::new();
    let (mut depth, mut start) = (0usize, 0);
    for at in first.len()..rest.len() {
        match rest[at] {
            b'(' => {
                if depth == 0 {
                    start = at + 1;
                }
                depth += 1;
            }
            b')' if depth > 0 => {
                depth -= 1;
                if depth == 0 {
                    comments.push(rest[start..at].trim_ascii());
                }
            }
            b'b' | b'B' if depth == 0 && is_by(&rest[at - 1..]) => break,
            _ => {}
        }
    }
    (first, comments)
}

fn is_by(rest: &[u8]) -> bool {
    matches!(rest, [before, b'b' | b'B', b'y' | b'Y', after, ..]
        if (before.is_ascii_whitespace() || *before == b')') && after.is_ascii_whitespace())
}

/// The first `[IP]`, with what is before and after it.
fn bracketed(text: &[u8]) -> Option<(&[u8], IpAddr, &[u8])> {
    let open = memchr::memchr(b'[', text)?;
    let close = open + memchr::memchr(b']', &text[open..])?;
    let ip = address(&text[open + 1..close])?;
    Some((&text[..open], ip, &text[close + 1..]))
}

fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let bare = match text.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("ipv6:") => &text[5..],
        _ => text,
    };
    bare.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

fn exim_helo(text: &[u8]) -> Option<Bytes> {
    let at = memchr::memmem::find(text, b"helo=")?;
    let word = text[at + 5..].split(u8::is_ascii_whitespace).next()?;
    self::text(word)
}

fn text(word: &[u8]) -> Option<Bytes> {
    (!word.is_empty()).then(|| Bytes::copy_from_slice(word))
}

fn name(word: &[u8]) -> Option<Bytes> {
    text(word).filter(|word| is_name(word))
}

/// What mail servers write for a name that they do not know is no name.
fn is_name(word: &[u8]) -> bool {
    !word.is_empty() && !word.eq_ignore_ascii_case(b"unknown") && word[0] != b'['
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hops_of_the_common_mail_servers() {
        // header, IP, HELO, PTR
        let cases: &[(&str, &str, &str, &str)] = &[
            (
                "from helo.example (ptr.example [192.0.2.1]) by mx (Postfix) with ESMTP",
                "192.0.2.1",
                "helo.example",
                "ptr.example",
            ),
            (
                "from helo.example (unknown [192.0.2.1]) by mx (Postfix)",
                "192.0.2.1",
                "helo.example",
                "",
            ),
            (
                "from h (p.example [IPv6:2001:db8::1]) by mx",
                "2001:db8::1",
                "h",
                "p.example",
            ),
            (
                "from [10.9.8.7] (ptr.example [192.0.2.1]) by mx",
                "192.0.2.1",
                "[10.9.8.7]",
                "ptr.example",
            ),
            (
                "from h.example (p.example [192.0.2.1] (may be forged)) by mx (8.18.1/8.18.1)",
                "192.0.2.1",
                "h.example",
                "p.example",
            ),
            (
                "from h.example (IDENT:user@p.example [192.0.2.1]) by mx",
                "192.0.2.1",
                "h.example",
                "p.example",
            ),
            (
                "from h.example ([192.0.2.1]) by mx (8.18.1)",
                "192.0.2.1",
                "h.example",
                "",
            ),
            (
                "from unknown (HELO h.example) (192.0.2.1) by mx with SMTP",
                "192.0.2.1",
                "h.example",
                "",
            ),
            (
                "from p.example (HELO h.example) (user@192.0.2.1) by mx with SMTP",
                "192.0.2.1",
                "h.example",
                "p.example",
            ),
            (
                "from p.example (192.0.2.1) by mx with SMTP",
                "192.0.2.1",
                "p.example",
                "p.example",
            ),
            (
                "from unknown (HELO h) (::ffff:192.0.2.1) by mx",
                "192.0.2.1",
                "h",
                "",
            ),
            (
                "from p.example ([192.0.2.1] helo=h.example) by mx with esmtp (Exim 4.98)",
                "192.0.2.1",
                "h.example",
                "p.example",
            ),
            (
                "from [192.0.2.1] (helo=h.example) by mx with esmtp (Exim 4.98)",
                "192.0.2.1",
                "h.example",
                "",
            ),
            (
                "from [192.0.2.1] (port=4711 helo=[10.0.0.1]) by mx",
                "192.0.2.1",
                "[10.0.0.1]",
                "",
            ),
            (
                "from p.example ([192.0.2.1]:4711 helo=h.example) by mx",
                "192.0.2.1",
                "h.example",
                "p.example",
            ),
            (
                "FROM h (p.example [192.0.2.1]) BY mx ([203.0.113.1])",
                "192.0.2.1",
                "h",
                "p.example",
            ),
        ];
        for (header, ip, helo, ptr) in cases {
            let hop = hop(header.as_bytes()).unwrap_or_else(|| panic!("{header}"));
            let shown = |value: &Option<Bytes>| {
                String::from_utf8_lossy(value.as_deref().unwrap_or_default()).into_owned()
            };
            assert_eq!(
                hop.ip.map(|ip| ip.to_string()).as_deref(),
                Some(*ip),
                "{header}"
            );
            assert_eq!(
                (shown(&hop.helo).as_str(), shown(&hop.ptr).as_str()),
                (*helo, *ptr),
                "{header}"
            );
        }
    }

    #[test]
    fn what_tells_nothing_is_no_hop() {
        for header in [
            "by mx.example (Postfix, from userid 0) id 1",
            "(qmail 1 invoked from network); date",
            "from nowhere by mx ([192.0.2.1])",
            "from (((((",
            "from ",
            "",
        ] {
            assert_eq!(hop(header.as_bytes()), None, "{header}");
        }
    }
}
