//! Which checks may be left out under load.

use super::{Compiler, Source};
use crate::policy::document::Document;

impl Compiler {
    /// The checks with `optional = true`, by their place among all checks.
    pub(super) fn optional_checks(&mut self, source: &Source, document: &Document) -> Vec<bool> {
        let names = crate::checks::names();
        let mut optional = vec![false; names.len()];
        for (name, table) in &document.check {
            match names.iter().position(|known| known == name) {
                Some(at) => optional[at] = *table.optional.get_ref(),
                None => self.error(
                    source,
                    table.optional.span(),
                    format!("check.{name}.optional"),
                    format!("there is no check named '{name}'"),
                    format!("write one of {}", names.join(", ")),
                ),
            }
        }
        optional
    }
}
