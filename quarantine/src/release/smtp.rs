//! One message to one next hop, with what it answers to each recipient.

use std::fmt;
use std::time::Duration;

use lettre::transport::smtp::client::SmtpConnection;
use lettre::transport::smtp::extension::{ClientId, Extension};
use lettre::transport::smtp::response::Response;

use super::Answer;
use super::encryption::Encryption;

/// Why nothing was sent, or nobody knows whether.
#[derive(Debug, thiserror::Error)]
pub(super) enum SmtpError {
    /// The next hop was not reached, or refused the message: it has not got it.
    #[error("{0}")]
    Refused(String),
    /// The connection was lost after the last octet and before the answer.
    #[error("{0}")]
    InDoubt(String),
}

/// Where mail goes, and how.
pub(super) struct NextHop {
    /// `HOST:PORT`.
    pub(super) via: String,
    /// What this host says in EHLO.
    pub(super) hello: String,
    /// For connecting, and for each answer.
    pub(super) time: Duration,
    pub(super) encryption: Option<Encryption>,
}

/// A command line; addresses in it were checked.
struct Line(String);

/// Sends. Every recipient has an answer in the order of `recipients`; those that were accepted have the message's own.
pub(super) fn send(
    hop: &NextHop,
    sender: &str,
    recipients: &[&str],
    message: &[u8],
) -> Result<Vec<Answer>, SmtpError> {
    let via = &hop.via;
    let refused = |error: &dyn fmt::Display| SmtpError::Refused(format!("{via}: {error}"));
    let mut next_hop = hop.connect()?;
    let mut parameters = String::new();
    let server = next_hop.server_info();
    let utf8 = !sender.is_ascii() || recipients.iter().any(|one| !one.is_ascii());
    if utf8 && !server.supports_feature(Extension::SmtpUtfEight) {
        return Err(refused(
            &"an address is not ASCII, and SMTPUTF8 is not offered",
        ));
    }
    if utf8 {
        parameters.push_str(" SMTPUTF8");
    }
    // Without 8BITMIME it is sent as it is all the same: every mail server of today takes it, and to encode it anew
    // would be another message than the one that was kept.
    if !message.is_ascii() && server.supports_feature(Extension::EightBitMime) {
        parameters.push_str(" BODY=8BITMIME");
    }
    next_hop
        .command(Line(format!("MAIL FROM:<{sender}>{parameters}\r\n")))
        .map_err(|error| refused(&error))?;
    let mut answers = Vec::new();
    for recipient in recipients {
        let answer = match next_hop.command(Line(format!("RCPT TO:<{recipient}>\r\n"))) {
            Ok(response) => Answer {
                recipient: (*recipient).to_owned(),
                accepted: true,
                reply: told(&response),
            },
            Err(error) if error.status().is_some() => Answer {
                recipient: (*recipient).to_owned(),
                accepted: false,
                reply: error.to_string(),
            },
            Err(error) => return Err(refused(&error)),
        };
        answers.push(answer);
    }
    if answers.iter().any(|answer| answer.accepted) {
        next_hop
            .command(Line("DATA\r\n".to_owned()))
            .map_err(|error| refused(&error))?;
        // The client ends the last line itself.
        let message = message.strip_suffix(b"\r\n").unwrap_or(message);
        let response = next_hop.message(message).map_err(|error| {
            if error.status().is_some() {
                refused(&error)
            } else {
                SmtpError::InDoubt(format!("{via}: {error}"))
            }
        })?;
        for answer in answers.iter_mut().filter(|answer| answer.accepted) {
            answer.reply = told(&response);
        }
    }
    // It has answered; how it says good-bye is of no account.
    let _ = next_hop.quit();
    Ok(answers)
}

impl NextHop {
    /// A connection, encrypted where it is to be.
    fn connect(&self) -> Result<SmtpConnection, SmtpError> {
        let refused = |problem: &dyn fmt::Display| {
            let via = &self.via;
            SmtpError::Refused(format!("{via}: {problem}"))
        };
        let hello = ClientId::Domain(self.hello.clone());
        let plain = || {
            SmtpConnection::connect(&*self.via, Some(self.time), &hello, None, None)
                .map_err(|error| refused(&error))
        };
        let mut next_hop = plain()?;
        let Some(encryption) = &self.encryption else {
            return Ok(next_hop);
        };
        if !next_hop.can_starttls() {
            if encryption.required {
                next_hop.abort();
                return Err(refused(&"TLS is required, and STARTTLS is not offered"));
            }
            return Ok(next_hop);
        }
        match next_hop.starttls(&encryption.parameters, &hello) {
            Ok(()) => Ok(next_hop),
            // Whoever wants to be sure of the other side does not talk to one that is another.
            Err(error) if encryption.verified => Err(refused(&causes(&error))),
            Err(_) => plain(),
        }
    }
}

/// An error with what it comes of.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let words = next.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = next.source();
    }
    text
}

fn told(response: &Response) -> String {
    let text: Vec<&str> = response.message().collect();
    format!("{} {}", response.code(), text.join(" "))
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
