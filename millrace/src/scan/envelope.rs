//! The transaction that a message on disk is taken to have come by.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use millrace_proto::{
    ClientName, ConduitKind, Connection, Direction, Envelope, LineEnding, Path, Peer, Transaction,
    TransactionId,
};

/// What is the same for all messages of a run.
#[derive(Debug)]
pub(crate) struct Circumstances {
    pub(crate) client: ClientName,
    pub(crate) direction: Direction,
    pub(crate) sender: Option<String>,
    pub(crate) recipients: Vec<String>,
    pub(crate) ip: Option<IpAddr>,
    pub(crate) helo: Option<String>,
}

impl Circumstances {
    /// A message's transaction. What the user did not say is taken from what delivery wrote into the message, or
    /// into the mbox's separator.
    pub(crate) fn transaction(
        &self,
        content: &[u8],
        separator_sender: Option<Vec<u8>>,
    ) -> Transaction {
        let sender = match &self.sender {
            Some(sender) => sender.clone().into_bytes(),
            None => header(content, b"Return-Path")
                .or(separator_sender)
                .unwrap_or_default(),
        };
        let recipients = if self.recipients.is_empty() {
            header(content, b"Delivered-To")
                .or_else(|| header(content, b"X-Original-To"))
                .into_iter()
                .map(Path::new)
                .collect()
        } else {
            self.recipients
                .iter()
                .map(|address| Path::new(address.clone()))
                .collect()
        };
        Transaction {
            id: TransactionId::new(),
            conduit: ConduitKind::Scan,
            client: self.client.clone(),
            direction: self.direction,
            capabilities: ConduitKind::Scan.capabilities(),
            connection: Connection {
                peer: self
                    .ip
                    .map_or(Peer::Unknown, |ip| Peer::Ip(SocketAddr::new(ip, 0))),
                helo: self.helo.clone().map(Bytes::from),
                ..Connection::default()
            },
            envelope: Envelope {
                sender: Some(Path::new(sender)),
                recipients,
            },
            queue_id: None,
            macros: Vec::new(),
            line_ending: line_ending(content),
            revision: None,
        }
    }
}

/// As the first line ends.
fn line_ending(content: &[u8]) -> LineEnding {
    let end = content.iter().position(|&byte| byte == b'\n');
    match end {
        Some(at) if at > 0 && content[at - 1] == b'\r' => LineEnding::Crlf,
        _ => LineEnding::Lf,
    }
}

/// The value of the first header of this name, without blanks around it.
fn header(content: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    content
        .split(|&byte| byte == b'\n')
        .take_while(|line| !line.trim_ascii().is_empty())
        .find_map(|line| {
            let (head, rest) = line.split_at_checked(name.len())?;
            let value = rest.strip_prefix(b":")?;
            head.eq_ignore_ascii_case(name)
                .then(|| value.trim_ascii().to_vec())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circumstances() -> Circumstances {
        Circumstances {
            client: "default".parse().unwrap(),
            direction: Direction::Inbound,
            sender: None,
            recipients: Vec::new(),
            ip: None,
            helo: None,
        }
    }

    #[test]
    fn the_envelope_is_what_delivery_wrote_down() {
        for (content, separator, sender, recipient) in [
            (
                "Return-Path: <a@b>\nDelivered-To: c@d\n\n",
                None,
                "a@b",
                Some("c@d"),
            ),
            (
                "return-path:<>\r\nx-original-to: e@f\r\n\r\n",
                Some("z@z"),
                "",
                Some("e@f"),
            ),
            (
                "Subject: x\n\nReturn-Path: <in@body>\n",
                Some("g@h"),
                "g@h",
                None,
            ),
            ("", None, "", None),
        ] {
            let transaction =
                circumstances().transaction(content.as_bytes(), separator.map(Into::into));
            let envelope = transaction.envelope;
            assert_eq!(envelope.sender, Some(Path::new(sender)), "{content:?}");
            assert_eq!(
                envelope.recipients,
                recipient.map(Path::new).into_iter().collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn what_the_user_says_counts_more() {
        let said = Circumstances {
            sender: Some("<s@x>".into()),
            recipients: vec!["r1@x".into(), "r2@x".into()],
            ip: Some([192, 0, 2, 1].into()),
            ..circumstances()
        };
        let transaction =
            said.transaction(b"Return-Path: <a@b>\r\nDelivered-To: c@d\r\n\r\n", None);
        assert_eq!(transaction.envelope.sender, Some(Path::new("s@x")));
        assert_eq!(
            transaction.envelope.recipients,
            [Path::new("r1@x"), Path::new("r2@x")]
        );
        assert_eq!(
            transaction.connection.peer.ip(),
            Some([192, 0, 2, 1].into())
        );
        assert_eq!(transaction.line_ending, LineEnding::Crlf);
    }
}
