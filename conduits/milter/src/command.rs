//! What a mail server sends to a filter.

use std::net::{IpAddr, SocketAddr};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use millrace_proto::Peer;

use crate::flags::{Actions, Steps};
use crate::frame::{Frame, put_head};
use crate::text::{Strings, first};

/// A command of the mail server (libmilter's `SMFIC_*`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `O`: what the mail server can do.
    Offer(Offer),
    /// `D`: macros for a command that follows.
    Macros(MacroBlock),
    /// `C`: an SMTP client connected.
    Connect {
        /// Its name, or its address in brackets.
        host: Bytes,
        /// Where from.
        peer: Peer,
    },
    /// `H`: HELO or EHLO, with its argument.
    Helo(Bytes),
    /// `M`: MAIL FROM.
    Mail(RawPath),
    /// `R`: RCPT TO.
    Rcpt(RawPath),
    /// `T`: DATA.
    Data,
    /// `L`: one header.
    Header {
        /// Field name.
        name: Bytes,
        /// Field value; folds are LF and white space.
        value: Bytes,
    },
    /// `N`: the empty line.
    EndOfHeaders,
    /// `B`: a piece of the body, cut anywhere.
    Body(Bytes),
    /// `E`: the body's end, with its last piece (usually empty).
    EndOfBody(Bytes),
    /// `A`: forget the message, keep the connection.
    Abort,
    /// `U`: an SMTP command that the mail server does not know.
    Unknown(Bytes),
    /// `Q`: the end.
    Quit,
    /// `K`: the end of this SMTP connection; another follows on the socket.
    QuitNewConnection,
}

/// An offer of the mail server: what it understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// Its protocol version.
    pub version: u32,
    /// What it lets a filter do.
    pub actions: Actions,
    /// What it can leave out.
    pub steps: Steps,
}

/// An address as it stood in the SMTP command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawPath {
    /// With its angle brackets, if it had them.
    pub address: Bytes,
    /// Raw ESMTP words.
    pub parameters: Vec<Bytes>,
}

/// The macros of one frame, unparsed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MacroBlock {
    /// Letter of the command that they belong to.
    pub command: u8,
    /// Name, NUL, value, NUL, and so on.
    pub pairs: Bytes,
}

/// Why a frame is no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No such letter.
    #[error("unknown command {0:#04x}")]
    Unknown(u8),
    /// The data are too short for the command.
    #[error("command '{letter}' is cut short", letter = char::from(*.0))]
    Short(u8),
    /// A CONNECT whose address does not belong to its family.
    #[error("CONNECT with an address that cannot be read")]
    Address,
    /// A CONNECT with a family other than `U`, `L`, `4` and `6`.
    #[error("CONNECT of the unknown family {0:#04x}")]
    Family(u8),
}

impl Command {
    /// Reads a frame. Strings are slices of it.
    ///
    /// Lenient where mail servers are: a closing NUL may be missing, a macro
    /// frame may have no pairs, data after the last field are ignored.
    ///
    /// # Errors
    /// The letter is unknown, or what it needs is not there.
    pub fn parse(frame: Frame) -> Result<Self, CommandError> {
        let Frame { command, mut data } = frame;
        Ok(match command {
            b'O' => Self::Offer(Offer::parse(&data)?),
            b'D' => {
                if data.is_empty() {
                    return Err(CommandError::Short(command));
                }
                let command = data.get_u8();
                Self::Macros(MacroBlock {
                    command,
                    pairs: data,
                })
            }
            b'C' => parse_connect(&data)?,
            b'H' => Self::Helo(first(&data)),
            b'M' => Self::Mail(RawPath::parse(data)),
            b'R' => Self::Rcpt(RawPath::parse(data)),
            b'T' => Self::Data,
            b'L' => {
                let mut strings = Strings(data);
                let name = strings.next().ok_or(CommandError::Short(command))?;
                let value = strings.next().unwrap_or_default();
                Self::Header { name, value }
            }
            b'N' => Self::EndOfHeaders,
            b'B' => Self::Body(data),
            b'E' => Self::EndOfBody(data),
            b'A' => Self::Abort,
            b'U' => Self::Unknown(first(&data)),
            b'Q' => Self::Quit,
            b'K' => Self::QuitNewConnection,
            other => return Err(CommandError::Unknown(other)),
        })
    }

    /// The letter on the wire.
    #[must_use]
    pub fn letter(&self) -> u8 {
        match self {
            Self::Offer(_) => b'O',
            Self::Macros(_) => b'D',
            Self::Connect { .. } => b'C',
            Self::Helo(_) => b'H',
            Self::Mail(_) => b'M',
            Self::Rcpt(_) => b'R',
            Self::Data => b'T',
            Self::Header { .. } => b'L',
            Self::EndOfHeaders => b'N',
            Self::Body(_) => b'B',
            Self::EndOfBody(_) => b'E',
            Self::Abort => b'A',
            Self::Unknown(_) => b'U',
            Self::Quit => b'Q',
            Self::QuitNewConnection => b'K',
        }
    }

    /// Appends the command as a frame.
    pub fn encode(&self, out: &mut BytesMut) {
        let start = out.len();
        put_head(out, self.letter(), 0);
        match self {
            Self::Offer(offer) => offer.put(out),
            Self::Macros(block) => {
                out.put_u8(block.command);
                out.put_slice(&block.pairs);
            }
            Self::Connect { host, peer } => {
                put_string(out, host);
                put_peer(out, peer);
            }
            Self::Helo(text) | Self::Unknown(text) => put_string(out, text),
            Self::Mail(path) | Self::Rcpt(path) => {
                put_string(out, &path.address);
                for word in &path.parameters {
                    put_string(out, word);
                }
            }
            Self::Header { name, value } => {
                put_string(out, name);
                put_string(out, value);
            }
            Self::Body(data) | Self::EndOfBody(data) => out.put_slice(data),
            Self::Data
            | Self::EndOfHeaders
            | Self::Abort
            | Self::Quit
            | Self::QuitNewConnection => {}
        }
        seal(out, start);
    }
}

impl Offer {
    /// Bytes on the wire.
    pub(crate) const LENGTH: usize = 12;

    pub(crate) fn parse(data: &Bytes) -> Result<Self, CommandError> {
        let mut data = data.get(..Self::LENGTH).ok_or(CommandError::Short(b'O'))?;
        Ok(Self {
            version: data.get_u32(),
            actions: Actions(data.get_u32()),
            steps: Steps(data.get_u32()),
        })
    }

    pub(crate) fn put(&self, out: &mut BytesMut) {
        out.put_u32(self.version);
        out.put_u32(self.actions.0);
        out.put_u32(self.steps.0);
    }
}

impl RawPath {
    /// A path with no ESMTP words.
    #[must_use]
    pub fn new(address: impl Into<Bytes>) -> Self {
        Self {
            address: address.into(),
            parameters: Vec::new(),
        }
    }

    fn parse(data: Bytes) -> Self {
        let mut strings = Strings(data);
        let address = strings.next().unwrap_or_default();
        Self {
            address,
            parameters: strings.rest(),
        }
    }
}

impl MacroBlock {
    /// From names and values.
    #[must_use]
    pub fn new(command: u8, pairs: &[(&str, &[u8])]) -> Self {
        let mut data = BytesMut::new();
        for (name, value) in pairs {
            put_string(&mut data, name.as_bytes());
            put_string(&mut data, value);
        }
        Self {
            command,
            pairs: data.freeze(),
        }
    }

    /// Names and values, in the order in which they came. A last name with no
    /// value has an empty one.
    pub fn iter(&self) -> impl Iterator<Item = (Bytes, Bytes)> + use<> {
        let mut strings = Strings(self.pairs.clone());
        std::iter::from_fn(move || {
            let name = strings.next()?;
            Some((name, strings.next().unwrap_or_default()))
        })
    }
}

fn parse_connect(data: &Bytes) -> Result<Command, CommandError> {
    let end = memchr::memchr(0, data).ok_or(CommandError::Short(b'C'))?;
    let host = data.slice(..end);
    let mut rest = data.slice(end + 1..);
    if rest.is_empty() {
        return Err(CommandError::Short(b'C'));
    }
    let family = rest.get_u8();
    if family == b'U' {
        return Ok(Command::Connect {
            host,
            peer: Peer::Unknown,
        });
    }
    if !matches!(family, b'L' | b'4' | b'6') {
        return Err(CommandError::Family(family));
    }
    if rest.len() < 2 {
        return Err(CommandError::Short(b'C'));
    }
    let port = rest.get_u16();
    let address = first(&rest);
    let peer = if family == b'L' {
        Peer::Unix(address)
    } else {
        Peer::Ip(SocketAddr::new(parse_ip(&address)?, port))
    };
    Ok(Command::Connect { host, peer })
}

/// Mail servers write an IPv6 address bare, or as an SMTP address literal
/// (`IPv6:` in front), and a link-local one with its zone.
fn parse_ip(text: &[u8]) -> Result<IpAddr, CommandError> {
    let text = std::str::from_utf8(text).map_err(|_| CommandError::Address)?;
    let tagged = text
        .get(..5)
        .is_some_and(|tag| tag.eq_ignore_ascii_case("IPv6:"));
    let bare = if tagged { &text[5..] } else { text };
    let bare = bare.split('%').next().unwrap_or(bare);
    bare.parse().map_err(|_| CommandError::Address)
}

fn put_peer(out: &mut BytesMut, peer: &Peer) {
    match peer {
        Peer::Unknown => out.put_u8(b'U'),
        Peer::Unix(path) => {
            out.put_u8(b'L');
            out.put_u16(0);
            put_string(out, path);
        }
        Peer::Ip(address) => {
            out.put_u8(if address.is_ipv4() { b'4' } else { b'6' });
            out.put_u16(address.port());
            put_string(out, address.ip().to_string().as_bytes());
        }
    }
}

pub(crate) fn put_string(out: &mut BytesMut, text: &[u8]) {
    out.put_slice(text);
    out.put_u8(0);
}

/// Writes the length of the frame that began at `start`.
pub(crate) fn seal(out: &mut BytesMut, start: usize) {
    let length = out.len() - start - crate::frame::LENGTH_BYTES;
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    out[start..start + crate::frame::LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
pub(crate) mod tests;
