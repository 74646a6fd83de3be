//! What an attachment rule is held against: a part of the message, or a file in an archive.

use std::borrow::Cow;

use super::{Inside, promise};
use crate::{
    archive::Entry,
    policy::AttachmentRule,
    request::{Part, real_type::RealType, safe_file_name},
};

/// A part, or a file in an archive.
pub(super) struct Subject<'a> {
    /// The names that it may be saved under, in lower case. Mail programs differ in which one they take.
    names: Vec<String>,
    /// For people: the name as it was written, or what it is.
    shown: Cow<'a, str>,
    declared: Option<(&'a str, &'a str)>,
    real_type: Option<RealType>,
    encrypted: bool,
    damaged: bool,
    nested: u32,
}

impl<'a> Subject<'a> {
    pub(super) fn of_part(part: &'a Part, real_type: RealType, inside: &Inside) -> Self {
        let disposition = part
            .disposition
            .as_ref()
            .and_then(|d| d.file_name.as_deref());
        let written = [disposition, part.content_type.name.as_deref()];
        let shown = match part.file_name() {
            Some(name) => name.into(),
            None => format!("part {} ({})", part.index, real_type.name).into(),
        };
        Self {
            names: names(written.into_iter().flatten()),
            shown,
            declared: part.declared.then_some((
                part.content_type.main.as_str(),
                part.content_type.sub.as_str(),
            )),
            real_type: Some(real_type),
            encrypted: inside.encrypted(),
            damaged: inside.damaged(),
            nested: inside.nested(),
        }
    }

    pub(super) fn of_entry(entry: &'a Entry) -> Self {
        Self {
            names: names([entry.name.as_str()].into_iter()),
            shown: entry.name.as_str().into(),
            declared: None,
            real_type: entry.real_type,
            encrypted: entry.encrypted,
            damaged: false,
            nested: u32::try_from(entry.depth).unwrap_or(u32::MAX),
        }
    }

    /// For people: what it is.
    pub(super) fn shown(&self) -> String {
        match self.real_type {
            Some(real_type) if !self.names.is_empty() => {
                format!("{} ({})", self.shown, real_type.name)
            }
            _ => self.shown.clone().into_owned(),
        }
    }

    /// Whether every condition of `rule` holds.
    pub(super) fn fits(&self, rule: &AttachmentRule) -> bool {
        (rule.extensions.is_empty()
            || self
                .extensions()
                .any(|extension| rule.extensions.contains(extension)))
            && (rule.names.is_empty()
                || rule
                    .names
                    .iter()
                    .any(|word| self.names.iter().any(|n| n.contains(&**word))))
            && (rule.declared_types.is_empty() || self.has_declared(rule))
            && (rule.real_types.is_empty() || self.has_real(rule))
            && (!rule.double_extension
                || self
                    .names
                    .iter()
                    .any(|name| promise::has_double_extension(name)))
            && (!rule.type_mismatch || self.is_mismatch())
            && (!rule.encrypted || self.encrypted)
            && (!rule.damaged || self.damaged)
            && self.nested >= rule.nested
            && rule.has_condition()
    }

    fn extensions(&self) -> impl Iterator<Item = &str> {
        self.names
            .iter()
            .filter_map(|name| promise::extension(name))
    }

    fn has_declared(&self, rule: &AttachmentRule) -> bool {
        self.declared.is_some_and(|(main, sub)| {
            rule.declared_types
                .iter()
                .any(|wanted| wanted.matches(main, sub))
        })
    }

    fn has_real(&self, rule: &AttachmentRule) -> bool {
        self.real_type.is_some_and(|real| {
            rule.real_types.contains(real.name) || rule.real_types.contains(real.family.name())
        })
    }

    fn is_mismatch(&self) -> bool {
        let Some(real_type) = self.real_type else {
            return false;
        };
        self.extensions()
            .any(|extension| promise::extension_is_broken(extension, real_type))
            || self
                .declared
                .is_some_and(|(main, sub)| promise::media_type_is_broken(main, sub, real_type))
    }
}

fn names<'a>(written: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut names: Vec<String> = written
        .filter_map(safe_file_name)
        .map(|name| name.to_lowercase())
        .collect();
    names.dedup();
    names
}
