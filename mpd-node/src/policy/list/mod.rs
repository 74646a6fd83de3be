//! Lists: many entries, one question: is this one of them? Answered by a hash of the whole or of its domain, by the
//! domain's suffixes, or by a search over disjoint ranges of addresses; never by going through the entries.

mod address;
mod glob;
mod host;
mod network;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

pub(crate) use address::AddressSet;
pub(crate) use host::HostSet;
pub(crate) use network::NetworkSet;

/// Wildcards, each with its line.
type Globs = Vec<(Box<[u8]>, u32)>;

/// Wildcards that only a search through them can match, in one list. More would make each lookup slow.
const MAX_FREE_GLOBS: usize = 1000;

/// Why a text is no entry of a list of this kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadEntry {
    pub(crate) problem: String,
    pub(crate) remedy: &'static str,
}

/// The entries of one list, of one kind.
#[derive(Debug)]
pub(crate) enum Entries {
    /// Mail addresses: envelope sender, recipients, From, Sender.
    Addresses(AddressSet),
    /// IP addresses and networks.
    Networks(NetworkSet),
    /// Host names: HELO, PTR.
    Hosts(HostSet),
}

/// What the entries of a list are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Addresses,
    Networks,
    Hosts,
}

impl Entries {
    /// No entries yet.
    pub(crate) fn new(kind: Kind) -> Self {
        match kind {
            Kind::Addresses => Self::Addresses(AddressSet::default()),
            Kind::Networks => Self::Networks(NetworkSet::default()),
            Kind::Hosts => Self::Hosts(HostSet::default()),
        }
    }

    /// Adds an entry that stands in line `line`.
    pub(crate) fn insert(&mut self, entry: &str, line: u32) -> Result<(), BadEntry> {
        match self {
            Self::Addresses(set) => set.insert(entry, line),
            Self::Networks(set) => set.insert(entry, line),
            Self::Hosts(set) => set.insert(entry, line),
        }
    }

    /// To be called when all are in.
    pub(crate) fn finish(&mut self) {
        if let Self::Networks(set) = self {
            set.finish();
        }
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Addresses(set) => set.is_empty(),
            Self::Networks(set) => set.is_empty(),
            Self::Hosts(set) => set.is_empty(),
        }
    }

    /// The line of the entry that an IP address is in.
    pub(crate) fn find_ip(&self, ip: IpAddr) -> Option<u32> {
        match self {
            Self::Networks(set) => set.find(ip),
            Self::Addresses(_) | Self::Hosts(_) => None,
        }
    }

    /// The line of the entry that an address or a host name fits. `text` is in lower case.
    pub(crate) fn find(&self, text: &[u8]) -> Option<u32> {
        match self {
            Self::Addresses(set) => set.find(text),
            Self::Hosts(set) => set.find(text),
            Self::Networks(_) => None,
        }
    }
}

/// `text` in lower case as a key; `None` for what cannot be one.
fn key(text: &str) -> Option<Box<[u8]>> {
    let fits = !text.is_empty()
        && text.len() <= 512
        && !text.bytes().any(|b| b.is_ascii_control() || b == b' ');
    fits.then(|| text.to_ascii_lowercase().into_bytes().into_boxed_slice())
}
