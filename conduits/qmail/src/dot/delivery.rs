//! What qmail-local tells of the delivery, in the environment: taken as a user's word.

use bytes::Bytes;

/// One delivery to one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Delivery {
    /// `$SENDER`: may be empty, `#@[]`, or end in `-@[]`.
    pub(super) sender: Bytes,
    /// `$RECIPIENT`.
    pub(super) recipient: Bytes,
    return_path: Vec<u8>,
    delivered_to: Vec<u8>,
}

/// Why it is no delivery.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoDelivery {
    #[error(
        "${0} is not set: this is a program for a line of a .qmail file, which qmail-local runs"
    )]
    Missing(&'static str),
    #[error("${0} is too long")]
    TooLong(&'static str),
}

/// More than any address that qmail-queue takes, with all that quoting may add.
const LONGEST: usize = 4096;

impl Delivery {
    /// From the environment.
    pub(super) fn new(variable: impl Fn(&str) -> Option<Bytes>) -> Result<Self, NoDelivery> {
        let address = |name| {
            let value = variable(name).ok_or(NoDelivery::Missing(name))?;
            if value.len() > LONGEST {
                return Err(NoDelivery::TooLong(name));
            }
            Ok(value)
        };
        let (sender, recipient) = (address("SENDER")?, address("RECIPIENT")?);
        let line = |name, start: &str, address: &Bytes, end: &str| {
            variable(name)
                .filter(|line| is_line(line, start, end))
                .map_or_else(|| written(start, address, end), |line| line.to_vec())
        };
        Ok(Self {
            return_path: line("RPLINE", "Return-Path: <", &sender, ">\n"),
            delivered_to: line("DTLINE", "Delivered-To: ", &recipient, "\n"),
            sender,
            recipient,
        })
    }

    /// The lines that qmail-local puts before a message which it files: `$RPLINE` and `$DTLINE`; made anew where they
    /// are not what qmail-local writes.
    pub(super) fn lines(&self) -> Vec<u8> {
        [&self.return_path[..], &self.delivered_to].concat()
    }
}

/// Whether it is one header line of the form, and nothing that would begin another.
fn is_line(line: &[u8], start: &str, end: &str) -> bool {
    let inner = line
        .strip_prefix(start.as_bytes())
        .and_then(|rest| rest.strip_suffix(end.as_bytes()));
    line.len() <= LONGEST && inner.is_some_and(|inner| !inner.iter().any(u8::is_ascii_control))
}

/// As qmail-local writes it: what would end the line is `_`.
fn written(start: &str, address: &[u8], end: &str) -> Vec<u8> {
    let safe = address
        .iter()
        .map(|byte| if byte.is_ascii_control() { b'_' } else { *byte });
    start.bytes().chain(safe).chain(end.bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(environment: &[(&str, &str)]) -> Result<Delivery, NoDelivery> {
        Delivery::new(|name| {
            let found = environment.iter().find(|(known, _)| *known == name)?;
            Some(Bytes::copy_from_slice(found.1.as_bytes()))
        })
    }

    #[test]
    fn senders_are_taken_as_they_are() {
        for sender in ["", "#@[]", "list-@[]", "a b@example.org"] {
            let delivery = told(&[("SENDER", sender), ("RECIPIENT", "u@h")]).unwrap();
            assert_eq!(delivery.sender, sender);
            assert_eq!(delivery.recipient, "u@h");
        }
    }

    #[test]
    fn what_is_missing_or_too_long_is_named() {
        assert_eq!(
            told(&[("RECIPIENT", "u@h")]),
            Err(NoDelivery::Missing("SENDER"))
        );
        assert_eq!(
            told(&[("SENDER", "a@b")]),
            Err(NoDelivery::Missing("RECIPIENT"))
        );
        let long = "x".repeat(LONGEST + 1);
        assert_eq!(
            told(&[("SENDER", &long), ("RECIPIENT", "u@h")]),
            Err(NoDelivery::TooLong("SENDER"))
        );
    }

    #[test]
    fn lines_that_qmail_local_does_not_write_are_made_anew() {
        let base = [("SENDER", "a@b"), ("RECIPIENT", "u@h")];
        for (rpline, dtline, expected) in [
            (
                "Return-Path: <\"a b\"@c>\n",
                "Delivered-To: x-u@h\n",
                "Return-Path: <\"a b\"@c>\nDelivered-To: x-u@h\n",
            ),
            (
                "Return-Path: <a>\nSubject: forged\n",
                "Delivered-To: u\nX: y\n",
                "Return-Path: <a@b>\nDelivered-To: u@h\n",
            ),
            (
                "",
                "Subject: x\n",
                "Return-Path: <a@b>\nDelivered-To: u@h\n",
            ),
            (
                "Return-Path: <a\r>\n",
                "Delivered-To: u",
                "Return-Path: <a@b>\nDelivered-To: u@h\n",
            ),
        ] {
            let lines = [("RPLINE", rpline), ("DTLINE", dtline)];
            let delivery = told(&[&base[..], &lines].concat()).unwrap();
            assert_eq!(delivery.lines(), expected.as_bytes(), "{rpline:?}");
        }
        let delivery = told(&[("SENDER", "a\nX: y@b"), ("RECIPIENT", "u\r@h")]).unwrap();
        assert_eq!(
            delivery.lines(),
            b"Return-Path: <a_X: y@b>\nDelivered-To: u_@h\n"
        );
    }
}
