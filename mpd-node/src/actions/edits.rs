//! The edits that actions ask for, addressed to the original message.

use bytes::Bytes;
use millrace_proto::Edit;

use super::Values;
use crate::policy::{EditTemplate, HeaderName, Template, fold};
use crate::request::{Header, Message};

/// The edits of one message for one set of recipients, as they are gathered.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Edits {
    /// Changes to headers.
    pub(crate) headers: Vec<Edit>,
    /// The sender, if it is changed.
    pub(crate) sender: Option<Bytes>,
    /// Recipients in place of the given ones; `None` where those stay.
    pub(crate) redirect: Option<Vec<Bytes>>,
    /// Recipients beside the given ones.
    pub(crate) added: Vec<Bytes>,
}

impl Edits {
    /// Adds what an action asks for. Where two actions change the same thing, the later one has it.
    pub(crate) fn apply(
        &mut self,
        templates: &[EditTemplate],
        values: &Values<'_>,
        message: &Message,
        removed: &[Edit],
    ) {
        for template in templates {
            match template {
                EditTemplate::AddHeader { name, value } => {
                    let (name, value) = (name.clone(), rendered(name, value, values));
                    self.push_new(Edit::AddHeader { name, value });
                }
                EditTemplate::InsertHeader { name, value } => {
                    let (name, value) = (name.clone(), rendered(name, value, values));
                    self.push_new(Edit::InsertHeader { name, value });
                }
                EditTemplate::SetHeader { name, value } => {
                    let value = rendered(name, value, values);
                    self.set(name, value, message, removed);
                }
                EditTemplate::DeleteHeader { name } => self.delete(name, message, removed),
                EditTemplate::SubjectTag(tag) => self.tag(tag, message),
                EditTemplate::SetSender(address) => self.sender = Some(address.clone()),
                EditTemplate::Redirect(addresses) => self.redirect = Some(addresses.to_vec()),
                EditTemplate::AddRecipient(address) => {
                    if !self.added.contains(address) {
                        self.added.push(address.clone());
                    }
                }
            }
        }
    }

    fn set(&mut self, name: &Bytes, value: Bytes, message: &Message, removed: &[Edit]) {
        self.headers.retain(|edit| match edit {
            Edit::AddHeader { name: other, .. } => !other.eq_ignore_ascii_case(name),
            _ => true,
        });
        let mut first = true;
        for header in present(message, name).filter(|header| !is_removed(header, removed)) {
            if first {
                let (name, occurrence) = (header.name.clone(), header.occurrence);
                self.replace(Edit::ChangeHeader {
                    name,
                    occurrence,
                    value: value.clone(),
                });
            } else {
                self.replace(Edit::DeleteHeader {
                    name: header.name.clone(),
                    occurrence: header.occurrence,
                });
            }
            first = false;
        }
        if first {
            self.headers.push(Edit::AddHeader {
                name: name.clone(),
                value,
            });
        }
    }

    fn delete(&mut self, name: &HeaderName, message: &Message, removed: &[Edit]) {
        for header in message
            .headers()
            .iter()
            .filter(|header| name.matches(&header.name))
        {
            if !is_removed(header, removed) {
                self.replace(Edit::DeleteHeader {
                    name: header.name.clone(),
                    occurrence: header.occurrence,
                });
            }
        }
    }

    fn tag(&mut self, tag: &Bytes, message: &Message) {
        let subject = Bytes::from_static(b"Subject");
        let Some(header) = present(message, b"subject").next() else {
            self.headers.retain(|edit| !matches!(edit, Edit::AddHeader { name, .. } if name.eq_ignore_ascii_case(b"subject")));
            self.headers.push(Edit::AddHeader {
                name: subject,
                value: tag.clone(),
            });
            return;
        };
        if message.subject_decoded().as_bytes().starts_with(tag) {
            return;
        }
        // The old value stays as it was written, encoded words and folds included.
        let old = header.value.trim_ascii();
        let mut value = Vec::with_capacity(tag.len() + 1 + old.len());
        value.extend_from_slice(tag);
        if !old.is_empty() {
            value.push(b' ');
            value.extend(
                old.iter()
                    .copied()
                    .filter(|byte| *byte != b'\r' && *byte != 0),
            );
        }
        self.replace(Edit::ChangeHeader {
            name: header.name.clone(),
            occurrence: header.occurrence,
            value: value.into(),
        });
    }

    /// Adds an edit of a header field in place of an earlier one of the same field.
    fn replace(&mut self, edit: Edit) {
        let field = |edit: &Edit| match edit {
            Edit::ChangeHeader {
                name, occurrence, ..
            }
            | Edit::DeleteHeader { name, occurrence } => {
                Some((name.to_ascii_lowercase(), *occurrence))
            }
            _ => None,
        };
        let same = field(&edit);
        self.headers
            .retain(|known| field(known).is_none() || field(known) != same);
        self.headers.push(edit);
    }

    fn push_new(&mut self, edit: Edit) {
        if !self.headers.contains(&edit) {
            self.headers.push(edit);
        }
    }
}

fn present<'m>(message: &'m Message, name: &'m [u8]) -> impl Iterator<Item = &'m Header> {
    message
        .headers()
        .iter()
        .filter(move |header| header.is(name))
}

fn is_removed(header: &Header, removed: &[Edit]) -> bool {
    removed.iter().any(|edit| {
        matches!(edit, Edit::DeleteHeader { name, occurrence }
            if *occurrence == header.occurrence && name.eq_ignore_ascii_case(&header.name))
    })
}

fn rendered(name: &Bytes, value: &Template, values: &Values<'_>) -> Bytes {
    let text = values.render(value);
    // An empty value would delete the header, or break some mail servers.
    let text = if text.trim().is_empty() {
        "-"
    } else {
        text.trim()
    };
    Bytes::from(fold(text, name.len()))
}
