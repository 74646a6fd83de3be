//! What a filter sends to a mail server.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use millrace_proto::Reply;

use crate::command::{put_string, seal};
use crate::flags::{Actions, Steps};
use crate::frame::{Frame, put_head};
use crate::text::{Strings, first};

/// A frame of the filter (libmilter's `SMFIR_*`): an answer to a command, or,
/// after the end of the message, an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// `O`: what the filter wants of the offer.
    Negotiate {
        /// Protocol version in use.
        version: u32,
        /// What the filter may do.
        actions: Actions,
        /// What the mail server shall leave out.
        steps: Steps,
        /// Macros wanted: number of the stage (`SMFIM_*`), names.
        macros: Vec<(u32, Bytes)>,
    },
    /// `c`.
    Continue,
    /// `a`.
    Accept,
    /// `r`.
    Reject,
    /// `t`.
    Tempfail,
    /// `y`: an SMTP reply, as it shall be written, `%` not doubled. Lines are
    /// joined with CR LF.
    ReplyCode(Bytes),
    /// `d`.
    Discard,
    /// `s`: no more of this step.
    Skip,
    /// `p`: still working.
    Progress,
    /// `4`: reply 421 and close.
    Shutdown,
    /// `f`: drop the SMTP connection.
    ConnectionFailure,
    /// `h`.
    AddHeader {
        /// Field name.
        name: Bytes,
        /// Field value.
        value: Bytes,
    },
    /// `i`.
    InsertHeader {
        /// From 0, over all headers as edited so far.
        index: u32,
        /// Field name.
        name: Bytes,
        /// Field value.
        value: Bytes,
    },
    /// `m`.
    ChangeHeader {
        /// From 1, among those of that name.
        index: u32,
        /// Field name.
        name: Bytes,
        /// Field value; empty deletes.
        value: Bytes,
    },
    /// `b`: a piece of the new body.
    ReplaceBody(Bytes),
    /// `e`.
    ChangeSender {
        /// The address.
        address: Bytes,
        /// ESMTP words.
        parameters: Option<Bytes>,
    },
    /// `+`.
    AddRecipient(Bytes),
    /// `2`.
    AddRecipientWithParameters {
        /// The address.
        address: Bytes,
        /// ESMTP words.
        parameters: Option<Bytes>,
    },
    /// `-`: as the RCPT command had it.
    DeleteRecipient(Bytes),
    /// `q`: with the reason.
    Quarantine(Bytes),
}

/// Why a frame is no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// No such letter.
    #[error("unknown response {0:#04x}")]
    Unknown(u8),
    /// The data are too short.
    #[error("response '{letter}' is cut short", letter = char::from(*.0))]
    Short(u8),
    /// There are data where none belong.
    #[error("response '{letter}' has data after its end", letter = char::from(*.0))]
    Excess(u8),
}

impl Response {
    /// A refusal with its own text. Sendmail shows it at MAIL and later,
    /// Postfix at every stage.
    #[must_use]
    pub fn reply(reply: &Reply) -> Self {
        let mut text = String::with_capacity(64);
        let last = reply.lines().len() - 1;
        for (at, line) in reply.lines().iter().enumerate() {
            text.push_str(&reply.code().to_string());
            text.push(if at == last { ' ' } else { '-' });
            if let Some(enhanced) = reply.enhanced() {
                text.push_str(&enhanced.to_string());
                text.push(' ');
            }
            text.push_str(line);
            if at != last {
                text.push_str("\r\n");
            }
        }
        Self::ReplyCode(text.into())
    }

    /// Reads a frame, as strictly as mail servers do.
    ///
    /// # Errors
    /// The letter is unknown, or the data are too short or too long for it.
    pub fn parse(frame: Frame) -> Result<Self, ResponseError> {
        let Frame { command, mut data } = frame;
        let bare = |response: Self| {
            if data.is_empty() {
                Ok(response)
            } else {
                Err(ResponseError::Excess(command))
            }
        };
        match command {
            b'c' => return bare(Self::Continue),
            b'a' => return bare(Self::Accept),
            b'r' => return bare(Self::Reject),
            b't' => return bare(Self::Tempfail),
            b'd' => return bare(Self::Discard),
            b's' => return bare(Self::Skip),
            b'p' => return bare(Self::Progress),
            b'4' => return bare(Self::Shutdown),
            b'f' => return bare(Self::ConnectionFailure),
            _ => {}
        }
        Ok(match command {
            b'O' => parse_negotiation(data)?,
            b'y' => Self::ReplyCode(single_percent(&first(&data))),
            b'h' => {
                let (name, value) = header(command, data)?;
                Self::AddHeader { name, value }
            }
            b'i' | b'm' => {
                if data.len() < 4 {
                    return Err(ResponseError::Short(command));
                }
                let index = data.get_u32();
                let (name, value) = header(command, data)?;
                if command == b'i' {
                    Self::InsertHeader { index, name, value }
                } else {
                    Self::ChangeHeader { index, name, value }
                }
            }
            b'b' => Self::ReplaceBody(data),
            b'e' => {
                let (address, parameters) = address(command, data)?;
                Self::ChangeSender {
                    address,
                    parameters,
                }
            }
            b'+' => Self::AddRecipient(only(command, data)?),
            b'2' => {
                let (address, parameters) = address(command, data)?;
                Self::AddRecipientWithParameters {
                    address,
                    parameters,
                }
            }
            b'-' => Self::DeleteRecipient(only(command, data)?),
            b'q' => Self::Quarantine(only(command, data)?),
            other => return Err(ResponseError::Unknown(other)),
        })
    }

    /// The letter on the wire.
    #[must_use]
    pub fn letter(&self) -> u8 {
        match self {
            Self::Negotiate { .. } => b'O',
            Self::Continue => b'c',
            Self::Accept => b'a',
            Self::Reject => b'r',
            Self::Tempfail => b't',
            Self::ReplyCode(_) => b'y',
            Self::Discard => b'd',
            Self::Skip => b's',
            Self::Progress => b'p',
            Self::Shutdown => b'4',
            Self::ConnectionFailure => b'f',
            Self::AddHeader { .. } => b'h',
            Self::InsertHeader { .. } => b'i',
            Self::ChangeHeader { .. } => b'm',
            Self::ReplaceBody(_) => b'b',
            Self::ChangeSender { .. } => b'e',
            Self::AddRecipient(_) => b'+',
            Self::AddRecipientWithParameters { .. } => b'2',
            Self::DeleteRecipient(_) => b'-',
            Self::Quarantine(_) => b'q',
        }
    }

    /// Whether this is an edit, and so legal only after the end of the message
    /// and before the last answer.
    #[must_use]
    pub fn is_edit(&self) -> bool {
        matches!(
            self,
            Self::AddHeader { .. }
                | Self::InsertHeader { .. }
                | Self::ChangeHeader { .. }
                | Self::ReplaceBody(_)
                | Self::ChangeSender { .. }
                | Self::AddRecipient(_)
                | Self::AddRecipientWithParameters { .. }
                | Self::DeleteRecipient(_)
                | Self::Quarantine(_)
        )
    }

    /// An upper bound of the bytes on the wire.
    #[must_use]
    pub(crate) fn wire_size(&self) -> usize {
        const HEAD: usize = 5;
        HEAD + match self {
            Self::Negotiate { macros, .. } => {
                12 + macros
                    .iter()
                    .map(|(_, names)| names.len() + 5)
                    .sum::<usize>()
            }
            Self::ReplyCode(text) => 2 * text.len() + 1,
            Self::AddHeader { name, value } => name.len() + value.len() + 2,
            Self::InsertHeader { name, value, .. } | Self::ChangeHeader { name, value, .. } => {
                name.len() + value.len() + 6
            }
            Self::ReplaceBody(data) => data.len(),
            Self::ChangeSender {
                address,
                parameters,
            }
            | Self::AddRecipientWithParameters {
                address,
                parameters,
            } => address.len() + parameters.as_ref().map_or(0, Bytes::len) + 2,
            Self::AddRecipient(text) | Self::DeleteRecipient(text) | Self::Quarantine(text) => {
                text.len() + 1
            }
            _ => 0,
        }
    }

    /// Appends the response as a frame.
    pub fn encode(&self, out: &mut BytesMut) {
        let start = out.len();
        put_head(out, self.letter(), 0);
        match self {
            Self::Negotiate {
                version,
                actions,
                steps,
                macros,
            } => {
                out.put_u32(*version);
                out.put_u32(actions.0);
                out.put_u32(steps.0);
                for (stage, names) in macros {
                    out.put_u32(*stage);
                    put_string(out, names);
                }
            }
            Self::ReplyCode(text) => {
                for &byte in text {
                    // Mail servers treat the text as a format.
                    if byte == b'%' {
                        out.put_u8(b'%');
                    }
                    out.put_u8(byte);
                }
                out.put_u8(0);
            }
            Self::AddHeader { name, value } => {
                put_string(out, name);
                put_string(out, value);
            }
            Self::InsertHeader { index, name, value }
            | Self::ChangeHeader { index, name, value } => {
                out.put_u32(*index);
                put_string(out, name);
                put_string(out, value);
            }
            Self::ReplaceBody(data) => out.put_slice(data),
            Self::ChangeSender {
                address,
                parameters,
            }
            | Self::AddRecipientWithParameters {
                address,
                parameters,
            } => {
                put_string(out, address);
                if let Some(parameters) = parameters {
                    put_string(out, parameters);
                }
            }
            Self::AddRecipient(text) | Self::DeleteRecipient(text) | Self::Quarantine(text) => {
                put_string(out, text);
            }
            Self::Continue
            | Self::Accept
            | Self::Reject
            | Self::Tempfail
            | Self::Discard
            | Self::Skip
            | Self::Progress
            | Self::Shutdown
            | Self::ConnectionFailure => {}
        }
        seal(out, start);
    }
}

fn parse_negotiation(mut data: Bytes) -> Result<Response, ResponseError> {
    if data.len() < 12 {
        return Err(ResponseError::Short(b'O'));
    }
    let version = data.get_u32();
    let actions = Actions(data.get_u32());
    let steps = Steps(data.get_u32());
    let mut macros = Vec::new();
    while !data.is_empty() {
        if data.len() < 4 {
            return Err(ResponseError::Short(b'O'));
        }
        let stage = data.get_u32();
        let mut strings = Strings(data);
        let names = strings.next().ok_or(ResponseError::Short(b'O'))?;
        macros.push((stage, names));
        data = strings.0;
    }
    Ok(Response::Negotiate {
        version,
        actions,
        steps,
        macros,
    })
}

fn header(letter: u8, data: Bytes) -> Result<(Bytes, Bytes), ResponseError> {
    let mut strings = Strings(data);
    let name = strings.next().ok_or(ResponseError::Short(letter))?;
    let value = strings.next().ok_or(ResponseError::Short(letter))?;
    if !strings.0.is_empty() {
        return Err(ResponseError::Excess(letter));
    }
    Ok((name, value))
}

fn address(letter: u8, data: Bytes) -> Result<(Bytes, Option<Bytes>), ResponseError> {
    let mut strings = Strings(data);
    let address = strings.next().ok_or(ResponseError::Short(letter))?;
    let parameters = strings.next();
    if !strings.0.is_empty() {
        return Err(ResponseError::Excess(letter));
    }
    Ok((address, parameters))
}

fn only(letter: u8, data: Bytes) -> Result<Bytes, ResponseError> {
    let mut strings = Strings(data);
    let text = strings.next().ok_or(ResponseError::Short(letter))?;
    if !strings.0.is_empty() {
        return Err(ResponseError::Excess(letter));
    }
    Ok(text)
}

fn single_percent(text: &Bytes) -> Bytes {
    if !text.contains(&b'%') {
        return text.clone();
    }
    let mut single = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            bytes.next_if_eq(&b'%');
        }
        single.push(byte);
    }
    single.into()
}

#[cfg(test)]
mod tests;
