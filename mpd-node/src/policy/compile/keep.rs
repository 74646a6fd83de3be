//! What is kept, and where held mail waits: `keep` and `hold`.

use std::ops::Range;

use millrace_proto::{Disposition, HoldIn};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Compiler, Source};
use crate::policy::document::{self, HoldPlace, Words, words};
use crate::policy::parts::Kept;

/// The word for no copies at all.
const NOTHING: &str = "nothing";

impl Compiler {
    /// `keep` of the policy, or of an override.
    pub(super) fn kept(
        &mut self,
        source: &Source,
        key: &str,
        value: Option<&Spanned<Words>>,
    ) -> Option<Kept> {
        let value = value?;
        let entries = words(value);
        if entries.is_empty() {
            let remedy = "write \"nothing\" to keep nothing, or leave it out";
            self.error(source, value.span(), key, "is empty", remedy);
        }
        if let ([_, _, ..], Some((span, _))) =
            (&*entries, entries.iter().find(|(_, word)| *word == NOTHING))
        {
            let remedy = "write keep = \"nothing\", or the dispositions alone";
            let problem = "'nothing' cannot stand beside others";
            self.error(source, span.clone(), key, problem, remedy);
        }
        let mut dispositions = Vec::new();
        for (span, word) in entries {
            let known = Disposition::ALL.into_iter().find(|one| one.name() == word);
            match known {
                Some(disposition) => dispositions.push(disposition),
                None if word == NOTHING => return Some(Kept::Nothing),
                None => {
                    let names = Disposition::ALL.map(Disposition::name).join(", ");
                    let problem = format!("'{word}' is no disposition");
                    let remedy = format!("write some of {names}; or \"nothing\"");
                    self.error(source, span, key, problem, remedy);
                }
            }
        }
        Some(Kept::Dispositions(dispositions.into()))
    }

    /// `hold` of an action.
    pub(super) fn hold_of_action(
        &mut self,
        source: &Source,
        key: &str,
        written: &document::Action,
    ) -> Option<HoldIn> {
        let hold = written.hold.as_ref()?;
        let holds = written.then.as_ref().map(Spanned::get_ref) == Some(&document::Final::Hold);
        if !holds {
            let remedy = "take it away, or write do = \"hold\"";
            let problem = "`hold` says where a hold waits, and this is none";
            self.error(source, hold.span(), format!("{key}.hold"), problem, remedy);
        }
        Some(hold.get_ref().into())
    }
}

impl From<&HoldPlace> for HoldIn {
    fn from(place: &HoldPlace) -> Self {
        match place {
            HoldPlace::Mta => Self::MailServer,
            HoldPlace::Store => Self::Store,
        }
    }
}

/// The places of every `keep = true` where it has no meaning, with the dotted key: it stands in actions; what the
/// policy and overrides keep is said by [`Compiler::kept`].
pub(super) fn misplaced(text: &str) -> Vec<(Range<usize>, String)> {
    let mut found = Vec::new();
    if let Ok(document) = DeTable::parse(text) {
        in_table(document.get_ref(), "", &mut found);
    }
    found
}

fn in_table(table: &DeTable<'_>, path: &str, found: &mut Vec<(Range<usize>, String)>) {
    for (key, value) in table {
        let name: &str = key.get_ref();
        let here = if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        };
        let has_own =
            path.is_empty() || path.starts_with("action[") || path.starts_with("override[");
        if name == "keep" && has_own {
            continue;
        }
        if name == "keep" && !matches!(value.get_ref(), DeValue::Boolean(false)) {
            found.push((key.span(), here));
            continue;
        }
        in_value(value.get_ref(), &here, found);
    }
}

fn in_value(value: &DeValue<'_>, path: &str, found: &mut Vec<(Range<usize>, String)>) {
    match value {
        DeValue::Table(table) => in_table(table, path, found),
        DeValue::Array(array) => {
            for (at, value) in array.iter().enumerate() {
                in_value(value.get_ref(), &format!("{path}[{at}]"), found);
            }
        }
        _ => {}
    }
}
