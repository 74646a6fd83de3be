//! From what a policy's actions say to replies and edits of this very message.

mod edits;
mod own_headers;
mod values;

use millrace_proto::Reply;

use crate::policy::ReplyTemplate;

pub(crate) use edits::Edits;
pub(crate) use own_headers::remove_copies;
pub(crate) use values::Values;

/// A reply with its fields filled in. What they bring is made to fit.
pub(crate) fn reply(template: &ReplyTemplate, values: &Values<'_>) -> Option<Reply> {
    let text = values.render(&template.text);
    Reply::sanitised(template.code.into(), template.enhanced.as_deref(), &text).ok()
}
