//! Host names: `mail.example` is that host, `.example` all below it, `*.example` the same, `dyn-*.example` a
//! wildcard.

use std::collections::HashMap;

use super::{BadEntry, Globs, MAX_FREE_GLOBS, glob, key};

/// A set of host names, each with the line that it stands in.
#[derive(Debug, Default)]
pub(crate) struct HostSet {
    /// Whole names.
    exact: HashMap<Box<[u8]>, u32>,
    /// What follows the dot of `.example`.
    suffix: HashMap<Box<[u8]>, u32>,
    /// Wildcards before a fixed domain, under that domain.
    under: HashMap<Box<[u8]>, Globs>,
    /// All other wildcards.
    free: Globs,
    /// `*`: everything.
    any: Option<u32>,
}

impl HostSet {
    pub(super) fn insert(&mut self, entry: &str, line: u32) -> Result<(), BadEntry> {
        let bad = |problem: &str| BadEntry {
            problem: format!("'{entry}' {problem}"),
            remedy: "write a host name, .domain for all names below a domain, or a wildcard such as dyn-*.example",
        };
        let name = entry
            .strip_suffix('.')
            .filter(|name| !name.is_empty())
            .unwrap_or(entry);
        if name == "*" {
            self.any.get_or_insert(line);
            return Ok(());
        }
        if name.contains('@') {
            return Err(bad("is an address, not a host name"));
        }
        let suffix = name.strip_prefix("*.").or_else(|| name.strip_prefix('.'));
        if let Some(suffix) = suffix.filter(|suffix| !glob::is_glob(suffix)) {
            let suffix = key(suffix)
                .filter(|suffix| suffix[0] != b'.')
                .ok_or_else(|| bad("is no domain"))?;
            self.suffix.entry(suffix).or_insert(line);
            return Ok(());
        }
        if !glob::is_glob(name) {
            self.exact
                .entry(key(name).ok_or_else(|| bad("is no host name"))?)
                .or_insert(line);
            return Ok(());
        }
        let below = name.strip_prefix('.').map(|rest| format!("*.{rest}"));
        let name = below.as_deref().unwrap_or(name);
        let whole = key(name).ok_or_else(|| bad("is no host name"))?;
        // The longest fixed domain after the last wildcard.
        let after = name.rfind(['*', '?']).map_or(0, |at| at + 1);
        match name[after..]
            .find('.')
            .map(|dot| &name[after + dot + 1..])
            .and_then(key)
        {
            Some(domain) => self.under.entry(domain).or_default().push((whole, line)),
            None if self.free.len() >= MAX_FREE_GLOBS => {
                return Err(bad(
                    "is one wildcard too many without a fixed domain at its end (at most 1000)",
                ));
            }
            None => self.free.push((whole, line)),
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.any.is_none()
            && self.exact.is_empty()
            && self.suffix.is_empty()
            && self.under.is_empty()
            && self.free.is_empty()
    }

    /// The line of the entry that a host name, in lower case, fits.
    pub(crate) fn find(&self, name: &[u8]) -> Option<u32> {
        let name = name
            .strip_suffix(b".")
            .filter(|name| !name.is_empty())
            .unwrap_or(name);
        if name.is_empty() {
            return None;
        }
        if let Some(&line) = self.exact.get(name) {
            return Some(line);
        }
        if !self.suffix.is_empty() || !self.under.is_empty() {
            for dot in memchr::memchr_iter(b'.', name).filter(|dot| *dot > 0) {
                let domain = &name[dot + 1..];
                if let Some(&line) = self.suffix.get(domain) {
                    return Some(line);
                }
                let globs = self.under.get(domain).map_or(&[][..], Vec::as_slice);
                if let Some(line) = first(globs, name) {
                    return Some(line);
                }
            }
        }
        first(&self.free, name).or(self.any)
    }
}

fn first(globs: &[(Box<[u8]>, u32)], text: &[u8]) -> Option<u32> {
    globs
        .iter()
        .find(|(pattern, _)| glob::matches(pattern, text))
        .map(|(_, line)| *line)
}
