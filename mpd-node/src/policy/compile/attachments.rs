//! `[[attachment]]`.

use super::{Compiler, Source, Unit};
use crate::policy::attachment::{AttachmentRule, TypePattern};
use crate::policy::document::{self, RuleFile};
use crate::request::real_type;

impl Compiler {
    pub(super) fn attachments(&mut self, units: &[Unit<RuleFile>]) -> Vec<AttachmentRule> {
        let mut rules = Vec::new();
        for unit in units {
            for (at, attachment) in unit.document.attachment.iter().enumerate() {
                rules.extend(self.attachment(
                    &unit.source,
                    &format!("attachment[{at}]"),
                    attachment,
                ));
            }
        }
        rules
    }

    fn attachment(
        &mut self,
        source: &Source,
        key: &str,
        attachment: &document::Attachment,
    ) -> Option<AttachmentRule> {
        let mut rule = AttachmentRule {
            symbol: self.symbols.find(attachment.symbol.get_ref())?,
            extensions: std::collections::HashSet::new(),
            declared_types: Vec::new(),
            real_types: attachment
                .real_types
                .iter()
                .map(|name| name.get_ref().to_lowercase().into())
                .collect(),
            names: attachment
                .names
                .iter()
                .map(|name| name.get_ref().to_lowercase().into())
                .collect(),
            double_extension: attachment.double_extension,
            type_mismatch: attachment.type_mismatch,
            encrypted: attachment.encrypted,
            damaged: attachment.damaged,
            nested: attachment
                .nested
                .as_ref()
                .map_or(0, |depth| *depth.get_ref()),
            in_archives: attachment.in_archives,
        };
        for extension in &attachment.extensions {
            let bare = extension.get_ref().trim_start_matches('.');
            if bare.is_empty() || bare.contains(['/', '\\', '*']) {
                let problem = format!("'{}' is no extension", extension.get_ref());
                self.error(
                    source,
                    extension.span(),
                    format!("{key}.extensions"),
                    problem,
                    "write it as \"exe\"",
                );
                continue;
            }
            rule.extensions.insert(bare.to_lowercase().into());
        }
        for declared in &attachment.declared_types {
            match TypePattern::parse(declared.get_ref()) {
                Some(pattern) => rule.declared_types.push(pattern),
                None => {
                    let problem = format!("'{}' is no media type", declared.get_ref());
                    let remedy = "write it as \"application/x-msdownload\" or \"image/*\"";
                    self.error(
                        source,
                        declared.span(),
                        format!("{key}.declared_types"),
                        problem,
                        remedy,
                    );
                }
            }
        }
        for name in &attachment.real_types {
            if !real_type::is_name(&name.get_ref().to_lowercase()) {
                let problem = format!("'{}' is no type that content is known by", name.get_ref());
                self.error(
                    source,
                    name.span(),
                    format!("{key}.real_types"),
                    problem,
                    "write a type as \"exe\" or \"zip\", or a family as \"executable\" or \"archive\"",
                );
            }
        }
        if !rule.has_condition() {
            let remedy = "add extensions, declared_types, real_types, names, double_extension, type_mismatch, encrypted, damaged or nested";
            self.error(
                source,
                attachment.symbol.span(),
                key,
                "has no condition, and so would fit every attachment",
                remedy,
            );
        }
        Some(rule)
    }
}
