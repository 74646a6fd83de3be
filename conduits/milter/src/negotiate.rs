//! Option negotiation: the mail server offers, the filter takes a part of it.

use bytes::Bytes;
use millrace_proto::{Capabilities, Plan, Stage};

use crate::command::Offer;
use crate::flags::{Actions, Steps};
use crate::reply::Response;

/// The newest protocol version that there is.
pub const VERSION: u32 = 6;
/// The oldest that is understood; libmilter draws the same line.
pub const OLDEST_VERSION: u32 = 2;

/// What the filter would like, if it is offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Edits that it may make.
    pub actions: Actions,
    /// Steps that shall be left out or not be answered, and so on.
    pub steps: Steps,
    /// Macros by stage; a stage that is not listed keeps the mail server's own
    /// list, an empty list asks for none.
    pub macros: Vec<(MacroStage, String)>,
}

/// A stage of which macros can be asked for (libmilter's `SMFIM_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacroStage {
    /// CONNECT.
    Connect = 0,
    /// HELO.
    Helo = 1,
    /// MAIL.
    Mail = 2,
    /// RCPT.
    Rcpt = 3,
    /// DATA.
    Data = 4,
    /// The end of the message.
    EndOfMessage = 5,
    /// The end of the headers.
    EndOfHeaders = 6,
}

/// What was agreed on: never more than was offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    /// Protocol version in use, 2 to 6.
    pub version: u32,
    /// Edits that may be made.
    pub actions: Actions,
    /// Steps left out, not answered, and so on.
    pub steps: Steps,
    /// Macros asked for: number of the stage, names with blanks between them.
    pub macros: Vec<(u32, Bytes)>,
}

/// Why there can be no agreement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NegotiationError {
    /// The mail server's protocol is too old.
    #[error(
        "the mail server speaks milter protocol version {0}; version 2 (Sendmail 8.11) is the oldest that is understood"
    )]
    TooOld(u32),
}

impl Wanted {
    /// All edits, every step answered, the mail server's own macros.
    pub const EVERYTHING: Self = Self {
        actions: Actions::ALL,
        steps: Steps::NONE,
        macros: Vec::new(),
    };

    /// What a plan needs: answers at its stages only, the body only if it is
    /// looked at. The envelope and the headers are always sent.
    #[must_use]
    pub fn from_plan(plan: &Plan) -> Self {
        let mut steps = Steps::SKIP
            | Steps::LEADING_SPACE
            | Steps::NO_UNKNOWN
            | Steps::QUIET_UNKNOWN
            | Steps::NO_END_OF_HEADERS
            | Steps::QUIET_END_OF_HEADERS
            | Steps::QUIET_HEADER
            | Steps::QUIET_BODY;
        for stage in Stage::ALL {
            // A declared size above the limit is refused at MAIL.
            let answered =
                plan.stages.contains(stage) || (stage == Stage::Mail && plan.size_limit.is_some());
            if !answered {
                steps = steps | silence(stage);
            }
        }
        if !plan.needs_body {
            steps = steps | Steps::NO_BODY;
        }
        Self {
            actions: Actions::ALL,
            steps,
            macros: macro_lists(plan),
        }
    }

    /// The same, but steps of this stage are sent and answered.
    #[must_use]
    pub fn answering(mut self, stage: Stage) -> Self {
        self.steps = Steps(self.steps.0 & !silence(stage).0);
        self
    }

    /// The same, but recipients that the mail server itself refused are told
    /// too ([`Event::Rcpt`](crate::Event::Rcpt) with `rejected`).
    #[must_use]
    pub fn with_rejected_recipients(mut self) -> Self {
        const NAMES: &str = "{rcpt_mailer} {rcpt_host} {rcpt_addr}";
        self.steps = self.steps | Steps::REJECTED_RCPT;
        if let Some((_, names)) = self
            .macros
            .iter_mut()
            .find(|(stage, _)| *stage == MacroStage::Rcpt)
        {
            add_names(names, NAMES.split(' '));
        }
        self
    }

    /// Takes what is both wanted and offered.
    ///
    /// # Errors
    /// The offer is of a protocol version that cannot be spoken.
    pub fn agree(&self, offer: &Offer) -> Result<Agreement, NegotiationError> {
        if offer.version < OLDEST_VERSION {
            return Err(NegotiationError::TooOld(offer.version));
        }
        let version = offer.version.min(VERSION);
        let (known_actions, known_steps) = known(version);
        let actions = self.actions & offer.actions & known_actions;
        let macros = if actions.contains(Actions::SET_MACROS) {
            self.macros
                .iter()
                .map(|(stage, names)| (*stage as u32, Bytes::from(names.clone())))
                .collect()
        } else {
            Vec::new()
        };
        Ok(Agreement {
            version,
            actions,
            steps: (self.steps & offer.steps & known_steps) | chunk_size(version, offer.steps),
            macros,
        })
    }
}

impl Agreement {
    /// Room in a frame for what is no body chunk: Postfix sends headers of
    /// 102,400 bytes by default.
    const ROOM: usize = 1 << 20;

    /// The reply to the offer.
    #[must_use]
    pub fn response(&self) -> Response {
        Response::Negotiate {
            version: self.version,
            actions: self.actions,
            steps: self.steps,
            macros: self.macros.clone(),
        }
    }

    /// Most bytes of a body chunk.
    #[must_use]
    pub fn max_chunk(&self) -> usize {
        if self.steps.contains(Steps::CHUNKS_1M) {
            (1 << 20) - 1
        } else if self.steps.contains(Steps::CHUNKS_256K) {
            (1 << 18) - 1
        } else {
            (1 << 16) - 1
        }
    }

    /// Most bytes of data in a frame that is accepted.
    #[must_use]
    pub fn frame_limit(&self) -> usize {
        self.max_chunk() + Self::ROOM
    }

    /// What verdicts this mail server can carry out.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        let may = |action| self.actions.contains(action);
        Capabilities {
            add_header: may(Actions::ADD_HEADERS),
            change_header: may(Actions::CHANGE_HEADERS),
            replace_body: may(Actions::CHANGE_BODY),
            change_sender: may(Actions::CHANGE_SENDER),
            add_recipient: may(Actions::ADD_RECIPIENT),
            delete_recipient: may(Actions::DELETE_RECIPIENT),
            hold: may(Actions::QUARANTINE),
            reject: true,
            reply_text: true,
            tempfail: true,
            discard: true,
        }
    }
}

impl Default for Agreement {
    /// The oldest protocol, and nothing but verdicts.
    fn default() -> Self {
        Self {
            version: OLDEST_VERSION,
            actions: Actions::NONE,
            steps: Steps::NONE,
            macros: Vec::new(),
        }
    }
}

/// The bits that keep a stage silent.
fn silence(stage: Stage) -> Steps {
    match stage {
        Stage::Connect => Steps::QUIET_CONNECT,
        Stage::Helo => Steps::QUIET_HELO,
        Stage::Mail => Steps::QUIET_MAIL,
        Stage::Rcpt => Steps::QUIET_RCPT,
        Stage::Data => Steps::QUIET_DATA | Steps::NO_DATA,
        // Always answered.
        Stage::EndOfMessage => Steps::NONE,
    }
}

/// What a protocol version has. A mail server's higher bits are not used below
/// their version.
fn known(version: u32) -> (Actions, Steps) {
    const V2_ACTIONS: Actions = Actions(0x3f);
    const V2_STEPS: Steps = Steps(0x7f);
    match version {
        0..=2 => (V2_ACTIONS, V2_STEPS),
        3 => (V2_ACTIONS, V2_STEPS | Steps::NO_UNKNOWN),
        4 | 5 => (V2_ACTIONS, V2_STEPS | Steps::NO_UNKNOWN | Steps::NO_DATA),
        _ => (Actions::ALL, Steps::ALL),
    }
}

/// The larger chunks of Sendmail's `Milter.maxdatasize`: it uses them only
/// with a filter that repeats the bit.
fn chunk_size(version: u32, offered: Steps) -> Steps {
    if version < VERSION {
        Steps::NONE
    } else if offered.contains(Steps::CHUNKS_1M) {
        Steps::CHUNKS_1M
    } else {
        offered & Steps::CHUNKS_256K
    }
}

/// Each macro costs, and with Sendmail each stage that has one costs a frame:
/// so nothing is asked for but what the transaction has a field for (here) and
/// what checks read (the plan).
fn macro_lists(plan: &Plan) -> Vec<(MacroStage, String)> {
    let own = [
        (MacroStage::Connect, "j v {daemon_name}"),
        (MacroStage::Helo, ""),
        // TLS here and not at HELO, where it is lost when the client starts
        // TLS and says no second EHLO.
        (
            MacroStage::Mail,
            "i {auth_type} {auth_authen} {auth_author} {tls_version} {cipher} {cipher_bits} \
             {cert_subject} {cert_issuer} {verify}",
        ),
        (MacroStage::Rcpt, ""),
        (MacroStage::Data, ""),
        (MacroStage::EndOfHeaders, ""),
        // Postfix has a queue ID only after the first recipient.
        (MacroStage::EndOfMessage, "i"),
    ];
    own.map(|(stage, names)| {
        let mut names = names.to_owned();
        for wanted in plan
            .macros
            .iter()
            .filter(|wanted| macro_stage(wanted.stage) == stage)
        {
            add_names(&mut names, wanted.names.iter().map(String::as_str));
        }
        (stage, names)
    })
    .into()
}

fn macro_stage(stage: Stage) -> MacroStage {
    match stage {
        Stage::Connect => MacroStage::Connect,
        Stage::Helo => MacroStage::Helo,
        Stage::Mail => MacroStage::Mail,
        Stage::Rcpt => MacroStage::Rcpt,
        Stage::Data => MacroStage::Data,
        Stage::EndOfMessage => MacroStage::EndOfMessage,
    }
}

fn add_names<'a>(list: &mut String, names: impl Iterator<Item = &'a str>) {
    for name in names {
        // A name with a blank or a NUL would break the list.
        let sound = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
        if sound && !list.split(' ').any(|known| known == name) {
            if !list.is_empty() {
                list.push(' ');
            }
            list.push_str(name);
        }
    }
}

#[cfg(test)]
mod tests;
