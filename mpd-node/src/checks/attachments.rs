//! Attachment rules: what a part, or a file in an archive, is called, says it is, and really is.
//!
//! A part is decoded whole only where a rule looks into archives and it is one; for its type, its first bytes do.

mod promise;
mod subject;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use memchr::memmem;
use millrace_proto::Stage;

use self::subject::Subject;
use super::{Check, Facts, Findings};
use crate::{
    archive::{self, Listing, Unlisted},
    policy::{AttachmentRule, Policy},
    request::{
        LimitHit, Message, Part,
        real_type::{self, RealType},
    },
};

/// Bytes that tell the type of a part that says it is text.
const TEXT_HEAD: usize = 2048;

/// Holds each attachment, and each file in an archive, against the policy's attachment rules.
pub(crate) struct Attachments;

impl Check for Attachments {
    fn name(&self) -> &'static str {
        "attachments"
    }

    fn speaks_at(&self, stage: Stage, policy: &Policy) -> bool {
        stage == Stage::EndOfMessage && !policy.attachments().is_empty()
    }

    fn run(&self, facts: &Facts<'_>, findings: &mut Findings<'_>) {
        if let Some(message) = facts.message {
            look(message, facts.policy, findings);
        }
    }
}

fn look(message: &Message, policy: &Policy, findings: &mut Findings<'_>) {
    let rules = policy.attachments();
    let opens = rules.iter().any(AttachmentRule::opens_archives);
    for part in message.parts().iter().filter(|part| !part.container) {
        let real_type = real_type_of(part);
        if is_body_text(part, real_type) {
            continue;
        }
        let inside = if opens {
            look_inside(message, part, real_type)
        } else {
            Inside::default()
        };
        let subject = Subject::of_part(part, real_type, &inside);
        rules
            .iter()
            .for_each(|rule| judge(rule, &subject, findings));
        inside.report(&subject.shown(), policy, findings);
        for entry in inside.listing.iter().flat_map(|listing| &listing.entries) {
            let subject = Subject::of_entry(entry);
            let rules = rules.iter().filter(|rule| rule.in_archives);
            rules.for_each(|rule| judge(rule, &subject, findings));
        }
    }
}

/// What was learned of a part by decoding it.
#[derive(Default)]
struct Inside {
    listing: Option<Listing>,
    /// A document that asks for a password.
    encrypted_document: bool,
    /// The part could not be decoded within the limits.
    too_large: Option<LimitHit>,
}

impl Inside {
    /// Limits that were reached, defects, and what could not be looked at.
    fn report(&self, shown: &str, policy: &Policy, findings: &mut Findings<'_>) {
        if let Some(limit) = self.too_large {
            findings.unscanned("attachments", &format!("{shown}: {}", limit.symbol()));
        }
        let Some(listing) = &self.listing else {
            return;
        };
        let symbols = policy.symbols();
        for hit in listing.limits.iter() {
            findings.raise(symbols.limit(hit), shown.as_bytes());
        }
        for defect in &listing.defects {
            if let Some(symbol) = symbols.find(defect.symbol()) {
                findings.raise(symbol, shown.as_bytes());
            }
        }
        for reason in &listing.unlisted {
            let kind = listing.kind.name();
            findings.unscanned(
                "attachments",
                &format!("{shown}: {kind}: {}", reason.reason()),
            );
        }
    }

    fn encrypted(&self) -> bool {
        self.encrypted_document
            || self
                .listing
                .as_ref()
                .is_some_and(|listing| listing.encrypted)
    }

    fn damaged(&self) -> bool {
        let damage = [Unlisted::Damaged, Unlisted::Volume];
        self.listing.as_ref().is_some_and(|listing| {
            damage
                .iter()
                .any(|reason| listing.unlisted.contains(reason))
        })
    }

    /// How deep archives are nested; one that was not opened for its depth counts too.
    fn nested(&self) -> u32 {
        self.listing.as_ref().map_or(0, |listing| {
            let unopened = usize::from(listing.limits.contains(LimitHit::ArchiveDepth));
            u32::try_from(listing.depth + unopened).unwrap_or(u32::MAX)
        })
    }
}

fn judge(rule: &AttachmentRule, subject: &Subject<'_>, findings: &mut Findings<'_>) {
    if !findings.has(rule.symbol) && subject.fits(rule) {
        findings.raise(rule.symbol, subject.shown().as_bytes());
    }
}

fn real_type_of(part: &Part) -> RealType {
    let head = if part.is_text() && part.file_name().is_none() {
        TEXT_HEAD
    } else {
        real_type::HEAD
    };
    real_type::of(&part.head(head))
}

/// Whether a part is what its reader reads, and no more: text that is text.
fn is_body_text(part: &Part, real_type: RealType) -> bool {
    use real_type::Family;
    part.is_text()
        && part.file_name().is_none()
        && (matches!(real_type.family, Family::Text | Family::Markup)
            || matches!(real_type.name, "data" | "empty"))
}

fn look_inside(message: &Message, part: &Part, real_type: RealType) -> Inside {
    let is_document = matches!(real_type.name, "ole" | "pdf");
    let is_archive = archive::Kind::of(&part.head(real_type::HEAD)).is_some();
    if !is_document && !is_archive {
        return Inside::default();
    }
    let content = match message.decoded(part) {
        Ok(content) => content,
        Err(limit) => {
            return Inside {
                too_large: Some(limit),
                ..Inside::default()
            };
        }
    };
    Inside {
        listing: archive::list(&content, message.limits()),
        encrypted_document: is_document && is_encrypted_document(&content, real_type),
        too_large: None,
    }
}

/// An Office document that is encrypted is an OLE file with a stream of this name (MS-OFFCRYPTO, 2.3.4.4); a PDF has
/// an entry in its trailer (ISO 32000, 7.6.1).
fn is_encrypted_document(content: &Bytes, real_type: RealType) -> bool {
    if real_type.name == "pdf" {
        return memmem::find(content, b"/Encrypt ").is_some()
            || memmem::find(content, b"/Encrypt<").is_some();
    }
    let name: Vec<u8> = "EncryptedPackage"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    memmem::find(content, &name).is_some()
}
