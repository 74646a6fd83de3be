//! The first Received line, as qmail-smtpd writes it: the one place where the HELO is.

use bytes::Bytes;

/// What qmail-smtpd says of its client (`received.c`):
/// `Received: from HOST (HELO x) (INFO@IP)`, without `(HELO x)` when it is HOST, and without `INFO@` when there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Received {
    /// The name that the client's address resolves to; `None` for `unknown`.
    pub host: Option<Bytes>,
    /// The argument of HELO or EHLO.
    pub helo: Option<Bytes>,
    /// What ident, or SMTP AUTH, told.
    pub info: Option<Bytes>,
    /// The client's address, as text.
    pub ip: Option<Bytes>,
}

impl Received {
    /// A first line longer than this is not qmail-smtpd's.
    pub const LONGEST: usize = 4096;

    /// Reads the line at the beginning of a message; `None` when the message begins with another.
    #[must_use]
    pub fn read(message: &[u8]) -> Option<Self> {
        let message = &message[..message.len().min(Self::LONGEST)];
        let line = &message[..memchr::memchr(b'\n', message)?];
        let rest = line.strip_prefix(b"Received: from ")?;
        let mut words = rest.splitn(2, |&byte| byte == b' ');
        let (host, mut rest) = (words.next()?, words.next().unwrap_or_default());
        let mut found = Self {
            host: (host != b"unknown" && !host.is_empty()).then(|| Bytes::copy_from_slice(host)),
            ..Self::default()
        };
        while let Some(inner) = rest.strip_prefix(b"(") {
            let end = memchr::memchr(b')', inner)?;
            let (comment, after) = (&inner[..end], &inner[end + 1..]);
            match comment.strip_prefix(b"HELO ") {
                Some(helo) if found.helo.is_none() => {
                    found.helo = Some(Bytes::copy_from_slice(helo));
                }
                _ => found.client(comment),
            }
            rest = after.strip_prefix(b" ").unwrap_or(after);
        }
        if found.helo.is_none() {
            found.helo = Some(Bytes::copy_from_slice(host));
        }
        found.ip.is_some().then_some(found)
    }

    fn client(&mut self, comment: &[u8]) {
        let (info, ip) = match memchr::memrchr(b'@', comment) {
            Some(at) => (Some(&comment[..at]), &comment[at + 1..]),
            None => (None, comment),
        };
        self.info = info.map(Bytes::copy_from_slice);
        self.ip = Some(Bytes::copy_from_slice(ip));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_qmail_smtpd_writes_is_read() {
        for (line, host, helo, info, ip) in [
            (
                "Received: from mx.example (HELO me) (user@192.0.2.1)\n",
                Some("mx.example"),
                "me",
                Some("user"),
                "192.0.2.1",
            ),
            (
                "Received: from unknown (HELO me) (192.0.2.1)\n  by x",
                None,
                "me",
                None,
                "192.0.2.1",
            ),
            (
                "Received: from mx.example (192.0.2.1)\n",
                Some("mx.example"),
                "mx.example",
                None,
                "192.0.2.1",
            ),
            (
                "Received: from mx.example (HELO ) (a@b@2001:db8::1)\n",
                Some("mx.example"),
                "",
                Some("a@b"),
                "2001:db8::1",
            ),
        ] {
            let found = Received::read(line.as_bytes()).expect(line);
            assert_eq!(found.host.as_deref(), host.map(str::as_bytes), "{line}");
            assert_eq!(found.helo.as_deref(), Some(helo.as_bytes()), "{line}");
            assert_eq!(found.info.as_deref(), info.map(str::as_bytes), "{line}");
            assert_eq!(found.ip.as_deref(), Some(ip.as_bytes()), "{line}");
        }
        for line in [
            "",
            "Subject: x\n",
            "Received: by x\n",
            "Received: from x\n",
            "Received: from x (HELO",
            "Received: (qmail 1 invoked by uid 0)\n",
        ] {
            assert_eq!(Received::read(line.as_bytes()), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(tail in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut line = b"Received: from ".to_vec();
            line.extend(tail);
            let _ = Received::read(&line);
        }
    }
}
