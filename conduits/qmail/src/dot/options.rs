//! What a `.qmail` line can ask for.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use millrace_client::once::Endpoint;
use millrace_proto::{Capabilities, ClientName, ConduitKind};

const AFTER_HELP: &str = "\
Put it before the lines that deliver:

    |/var/qmail/bin/millrace-dot-qmail
    ./Maildir/

Exit codes, as qmail-local reads them:
    0    deliver: go on with the next line
    99   done: skip the lines after this one (refused with a kept copy, filed, or dropped)
    100  bounce (only with --refused 100)
    111  try again later: no verdict, or no copy could be kept

A .qmail program judges one delivery after the message is in the queue. It cannot change the message, and has nobody to
refuse to. It is for trying the system in a limited role; millrace-qmail-queue does the whole.";

/// Judges one delivery, for a line of a .qmail file.
#[derive(Debug, Parser)]
#[command(name = "millrace-dot-qmail", version, after_help = AFTER_HELP)]
pub(super) struct Options {
    /// What becomes of refused mail
    #[arg(long, value_enum, value_name = "CODE", default_value_t = Refused::Keep)]
    refused: Refused,
    /// File refused and held mail in this maildir, with a note of the verdict, and exit 99
    #[arg(long, value_name = "DIR", conflicts_with = "refused")]
    pub(super) maildir: Option<PathBuf>,
    /// How long a verdict may take, in seconds; then exit 111
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u8).range(1..=240))]
    pub(super) deadline: u8,
    /// A gateway or node to ask, instead of those in control/millrace.toml; again for the next one to try
    #[arg(long = "gateway", value_name = "ADDRESS")]
    pub(super) gateways: Vec<Endpoint>,
    /// The client's name, for a node that is asked without a gateway
    #[arg(long, value_name = "NAME")]
    pub(super) client: Option<ClientName>,
    /// The qmail home with control/millrace.toml, where this program lies in no qmail home
    #[arg(long, value_name = "DIR")]
    pub(super) home: Option<PathBuf>,
    /// Log to this file instead of the system's log
    #[arg(long, value_name = "FILE")]
    pub(super) log: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Refused {
    /// A copy is kept in the quarantine, and the delivery is done; without a quarantine it is tried again
    #[value(name = "99")]
    Keep,
    /// The sender gets a bounce; senders are forged, so strangers get it too
    #[value(name = "100")]
    Bounce,
    /// It is delivered all the same, and logged
    #[value(name = "0")]
    Deliver,
}

/// What becomes of refused mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The node keeps a copy.
    Keep,
    /// The sender gets a bounce.
    Bounce,
    /// It is delivered all the same.
    Deliver,
    /// It is filed in a maildir, and so is held mail.
    File,
}

impl Options {
    pub(super) fn refusal(&self) -> Refusal {
        match (&self.maildir, self.refused) {
            (Some(_), _) => Refusal::File,
            (None, Refused::Keep) => Refusal::Keep,
            (None, Refused::Bounce) => Refusal::Bounce,
            (None, Refused::Deliver) => Refusal::Deliver,
        }
    }
}

impl Refusal {
    /// What can be carried out: whoever judges lowers the verdict to it, and keeps a copy where a refusal has no other
    /// way.
    pub(super) fn capabilities(self) -> Capabilities {
        Capabilities {
            reject: self != Self::Keep,
            reply_text: self == Self::Bounce,
            hold: self == Self::File,
            ..ConduitKind::DotQmail.capabilities()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(words: &str) -> Result<Options, clap::Error> {
        Options::try_parse_from(words.split(' '))
    }

    #[test]
    fn refusals_are_kept_unless_the_line_says_otherwise() {
        for (words, refusal) in [
            ("it", Refusal::Keep),
            ("it --refused 99", Refusal::Keep),
            ("it --refused 100", Refusal::Bounce),
            ("it --refused 0", Refusal::Deliver),
            ("it --maildir ./Junk/", Refusal::File),
        ] {
            assert_eq!(options(words).unwrap().refusal(), refusal, "{words}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for words in [
            "it --refused 111",
            "it --refused 100 --maildir ./Junk/",
            "it --deadline 0",
            "it --deadline 241",
            "it --gateway mail.example:7760",
            "it --client two/words",
            "it more",
        ] {
            assert!(options(words).is_err(), "{words}");
        }
    }
}
