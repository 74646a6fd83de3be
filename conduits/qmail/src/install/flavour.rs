//! Which qmail it is. For people alone: what a caller can carry is found out at each call.

use std::fs;
use std::path::Path;

/// The qmails that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flavour {
    /// It says its name in its manuals.
    Notqmail,
    /// Its programs know `$QMAILQUEUE`, and it does not say who it is.
    Netqmail,
    /// Its programs call `bin/qmail-queue` and nothing else.
    Qmail103,
    /// There is no program to tell by.
    Unknown,
}

impl Flavour {
    /// Looks at the programs that call qmail-queue, and at the manuals.
    pub(super) fn of(home: &Path) -> Self {
        let mut callers = ["qmail-smtpd", "qmail-inject"]
            .iter()
            .filter_map(|name| fs::read(home.join("bin").join(name)).ok())
            .peekable();
        if callers.peek().is_none() {
            return Self::Unknown;
        }
        if !callers.any(|program| has(&program, b"QMAILQUEUE")) {
            return Self::Qmail103;
        }
        let manuals = ["doc", "man/man5", "man/man7", "man/man8"];
        let named = manuals
            .iter()
            .filter_map(|folder| fs::read_dir(home.join(folder)).ok())
            .flatten()
            .filter_map(|entry| fs::read(entry.ok()?.path()).ok())
            .any(|text| has(&text, b"notqmail"));
        if named {
            Self::Notqmail
        } else {
            Self::Netqmail
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Notqmail => "notqmail",
            Self::Netqmail => "netqmail (or another qmail with the QMAILQUEUE patch)",
            Self::Qmail103 => "qmail-1.03",
            Self::Unknown => {
                "a qmail of unknown kind (there is no bin/qmail-smtpd and no bin/qmail-inject)"
            }
        }
    }
}

fn has(bytes: &[u8], text: &[u8]) -> bool {
    memchr::memmem::find(bytes, text).is_some()
}
