//! What a policy has to say on attachments, as the attachment check reads it.

use std::collections::HashSet;

use super::symbol::SymbolId;

/// One `[[attachment]]` of a policy. Its symbol is raised when **all** conditions that it has hold for one and the
/// same attachment (within a condition that is a list, one entry is enough). With [`in_archives`](Self::in_archives)
/// an entry of an archive is looked at as an attachment is: its extension, double extension and, where the content
/// can be had within the limits, its real type.
#[derive(Debug, Clone)]
pub(crate) struct AttachmentRule {
    /// What it raises.
    pub(crate) symbol: SymbolId,
    /// Extensions in lower case without dot, of the name as it would be saved; empty for no condition.
    pub(crate) extensions: HashSet<Box<str>>,
    /// Media types that the part declares.
    pub(crate) declared_types: Vec<TypePattern>,
    /// What the content is: names of [`RealType`](crate::request::real_type::RealType)s and of their families.
    pub(crate) real_types: HashSet<Box<str>>,
    /// Words of which one is in the file name, in lower case.
    pub(crate) names: Vec<Box<str>>,
    /// The extension is after another one that promises something harmless, as in `invoice.pdf.exe`.
    pub(crate) double_extension: bool,
    /// The content is not of the type that the name or the Content-Type promise.
    pub(crate) type_mismatch: bool,
    /// An archive (or document) of which something is encrypted.
    pub(crate) encrypted: bool,
    /// An archive that cannot be read, or is cut.
    pub(crate) damaged: bool,
    /// Archives in archives at least so deep; the attachment itself has depth 1. 0 for no condition.
    pub(crate) nested: u32,
    /// Whether entries of archives are looked at too.
    pub(crate) in_archives: bool,
}

/// A media type, its subtype perhaps any: `application/x-msdownload`, `image/*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TypePattern {
    main: Box<str>,
    sub: Option<Box<str>>,
}

impl AttachmentRule {
    /// Whether it looks into archives: their listing must be read.
    pub(crate) fn opens_archives(&self) -> bool {
        self.in_archives || self.encrypted || self.damaged || self.nested > 0
    }

    /// Whether it has any condition.
    pub(crate) fn has_condition(&self) -> bool {
        !self.extensions.is_empty()
            || !self.declared_types.is_empty()
            || !self.real_types.is_empty()
            || !self.names.is_empty()
            || self.double_extension
            || self.type_mismatch
            || self.encrypted
            || self.damaged
            || self.nested > 0
    }
}

impl TypePattern {
    /// Reads `main/sub` or `main/*`, in any case.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (main, sub) = text.split_once('/')?;
        let token = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&b))
        };
        if !token(main) || !(sub == "*" || token(sub)) {
            return None;
        }
        Some(Self {
            main: main.to_ascii_lowercase().into(),
            sub: (sub != "*").then(|| sub.to_ascii_lowercase().into()),
        })
    }

    /// Whether a type, in lower case, is meant.
    pub(crate) fn matches(&self, main: &str, sub: &str) -> bool {
        *self.main == *main && self.sub.as_deref().is_none_or(|wanted| wanted == sub)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subtype_may_be_any() {
        let any = TypePattern::parse("Image/*").unwrap();
        assert!(any.matches("image", "png") && any.matches("image", "gif"));
        assert!(!any.matches("text", "png"));
        let one = TypePattern::parse("application/x-msdownload").unwrap();
        assert!(one.matches("application", "x-msdownload") && !one.matches("application", "zip"));
        for bad in ["image", "image/", "/png", "*/*", "a b/c"] {
            assert_eq!(TypePattern::parse(bad), None, "{bad}");
        }
    }
}
