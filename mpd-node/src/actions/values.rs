//! What the fields of templates stand for, for one message.

use std::fmt::Write as _;

use millrace_proto::{Revision, Transaction};

use crate::policy::{Field, Template};

/// What a template can tell.
pub(crate) struct Values<'a> {
    pub(crate) transaction: &'a Transaction,
    pub(crate) revision: &'a Revision,
    pub(crate) node: &'a str,
    pub(crate) score: f64,
    pub(crate) threshold: f64,
    /// Whether the score has reached the lowest threshold.
    pub(crate) spam: bool,
    /// Names of the symbols with what each adds.
    pub(crate) symbols: &'a [(&'a str, f64)],
    /// What was found in a list.
    pub(crate) value: &'a str,
    /// The first recipient that is meant.
    pub(crate) recipient: &'a [u8],
}

impl Values<'_> {
    /// A template's text, in one line (or in the lines of the template).
    pub(crate) fn render(&self, template: &Template) -> String {
        template.render(|field, out| self.fill(field, out))
    }

    fn fill(&self, field: Field, out: &mut String) {
        // Writing to a String cannot fail.
        let _ = match field {
            Field::Score => write!(out, "{:.1}", positive_zero(self.score)),
            Field::Threshold => write!(out, "{:.1}", self.threshold),
            Field::Symbols => {
                self.list(out, |out, (name, _)| out.push_str(name));
                Ok(())
            }
            Field::Scores => {
                self.list(out, |out, (name, score)| {
                    let _ = write!(out, "{name}={:.1}", positive_zero(*score));
                });
                Ok(())
            }
            Field::Stars => {
                let stars = self.score.clamp(0.0, 50.0) as usize;
                out.extend(std::iter::repeat_n('*', stars));
                Ok(())
            }
            Field::Spam => out.write_str(if self.spam { "Yes" } else { "No" }),
            Field::Revision => out.write_str(self.revision.short()),
            Field::Transaction => write!(out, "{}", self.transaction.id),
            Field::QueueId => {
                push(
                    out,
                    self.transaction.queue_id.as_deref().unwrap_or_default(),
                );
                Ok(())
            }
            Field::Node => out.write_str(self.node),
            Field::Client => out.write_str(self.transaction.client.as_str()),
            Field::Direction => out.write_str(self.transaction.direction.name()),
            Field::Sender => {
                push(
                    out,
                    self.transaction
                        .envelope
                        .sender
                        .as_ref()
                        .map_or(b"", |path| &path.address),
                );
                Ok(())
            }
            Field::Recipient => {
                push(out, self.recipient);
                Ok(())
            }
            Field::Peer => write!(out, "{}", self.transaction.connection.peer),
            Field::Value => out.write_str(self.value),
        };
    }

    fn list(&self, out: &mut String, each: impl Fn(&mut String, &(&str, f64))) {
        if self.symbols.is_empty() {
            out.push_str("none");
        }
        for (at, symbol) in self.symbols.iter().enumerate() {
            if at > 0 {
                out.push_str(", ");
            }
            each(out, symbol);
        }
    }
}

/// `-0.0` would be shown with its sign.
fn positive_zero(score: f64) -> f64 {
    if score.abs() < 0.05 { 0.0 } else { score }
}

fn push(out: &mut String, bytes: &[u8]) {
    let most = &bytes[..bytes.len().min(512)];
    out.push_str(&String::from_utf8_lossy(most));
}
