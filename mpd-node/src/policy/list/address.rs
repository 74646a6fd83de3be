//! Mail addresses: `user@domain`, `*@domain` or `domain` (every address there), `*@.domain`, `*.domain` or `.domain`
//! (every address below it), `user@*` (that local part anywhere), `news-*@domain`, `<>` (the null sender), `*`.

use std::collections::HashMap;

use super::{BadEntry, Globs, HostSet, MAX_FREE_GLOBS, glob, key};

/// A set of addresses, each with the line that it stands in.
#[derive(Debug, Default)]
pub(crate) struct AddressSet {
    /// Whole addresses.
    exact: HashMap<Box<[u8]>, u32>,
    /// Domains of which every address is in the set.
    domains: HostSet,
    /// Local parts that are in the set at any domain.
    locals: HashMap<Box<[u8]>, u32>,
    /// Wildcards in the local part, under their domain.
    under: HashMap<Box<[u8]>, Globs>,
    /// All other wildcards, over the whole address.
    free: Globs,
    null: Option<u32>,
    any: Option<u32>,
}

impl AddressSet {
    pub(super) fn insert(&mut self, entry: &str, line: u32) -> Result<(), BadEntry> {
        let bad = |problem: &str| BadEntry {
            problem: format!("'{entry}' {problem}"),
            remedy: "write user@domain, a domain, .domain for all below it, *@domain, user@*, a wildcard, or <>",
        };
        let entry = entry
            .strip_prefix('<')
            .and_then(|rest| rest.strip_suffix('>'))
            .map_or(entry, |inner| if inner.is_empty() { "<>" } else { inner });
        match entry {
            "<>" => {
                self.null.get_or_insert(line);
                return Ok(());
            }
            "*" | "*@*" => {
                self.any.get_or_insert(line);
                return Ok(());
            }
            _ => {}
        }
        let Some((local, domain)) = entry.rsplit_once('@') else {
            return self
                .domains
                .insert(entry, line)
                .map_err(|_| bad("is neither an address nor a domain"));
        };
        if domain.is_empty() || local.is_empty() {
            return Err(bad("has nothing on one side of the @"));
        }
        let whole = key(entry).ok_or_else(|| bad("is no address"))?;
        if local == "*" {
            return self
                .domains
                .insert(domain, line)
                .map_err(|_| bad("has no domain after the @"));
        }
        match (
            glob::is_glob(local),
            glob::is_glob(domain) || domain.starts_with('.'),
        ) {
            (false, false) => {
                self.exact.entry(whole).or_insert(line);
            }
            (false, true) if domain == "*" => {
                let local = key(local).ok_or_else(|| bad("is no address"))?;
                self.locals.entry(local).or_insert(line);
            }
            (true, false) => {
                let (local, domain) = key(local)
                    .zip(key(domain))
                    .ok_or_else(|| bad("is no address"))?;
                self.under.entry(domain).or_default().push((local, line));
            }
            (_, true) if self.free.len() >= MAX_FREE_GLOBS => {
                return Err(bad(
                    "is one wildcard too many of those with a wildcard in the domain (at most 1000)",
                ));
            }
            (_, true) => {
                let whole = match domain.strip_prefix('.') {
                    Some(below) => {
                        key(&format!("{local}@*.{below}")).ok_or_else(|| bad("is no address"))?
                    }
                    None => whole,
                };
                self.free.push((whole, line));
            }
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.null.is_none()
            && self.any.is_none()
            && self.exact.is_empty()
            && self.domains.is_empty()
            && self.locals.is_empty()
            && self.under.is_empty()
            && self.free.is_empty()
    }

    /// The line of the entry that an address, in lower case and without brackets, fits.
    pub(super) fn find(&self, address: &[u8]) -> Option<u32> {
        if address.is_empty() {
            return self.null.or(self.any);
        }
        if let Some(&line) = self.exact.get(address) {
            return Some(line);
        }
        let Some(at) = memchr::memrchr(b'@', address) else {
            return self.any;
        };
        let (local, domain) = (&address[..at], &address[at + 1..]);
        if let Some(line) = self.domains.find(domain) {
            return Some(line);
        }
        if let Some(&line) = self.locals.get(local) {
            return Some(line);
        }
        let globs = self.under.get(domain).map_or(&[][..], Vec::as_slice);
        let find = |globs: &[(Box<[u8]>, u32)], text: &[u8]| {
            globs
                .iter()
                .find(|(pattern, _)| glob::matches(pattern, text))
                .map(|(_, line)| *line)
        };
        find(globs, local)
            .or_else(|| find(&self.free, address))
            .or(self.any)
    }
}
