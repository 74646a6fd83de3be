//! Departures from RFC 5322 and MIME, and limits that were reached: each is a symbol of its own.
//!
//! Runs last, so that it tells what the other checks came upon when they decoded the message.

use millrace_proto::Stage;

use super::{Check, Facts, Findings};
use crate::{
    policy::Policy,
    request::{Defect, Message},
};

/// Reports the message's defects and limits.
pub(crate) struct Mime;

impl Check for Mime {
    fn name(&self) -> &'static str {
        "mime"
    }

    fn speaks_at(&self, stage: Stage, _policy: &Policy) -> bool {
        stage == Stage::EndOfMessage
    }

    fn run(&self, facts: &Facts<'_>, findings: &mut Findings<'_>) {
        let Some(message) = facts.message else {
            return;
        };
        let symbols = facts.policy.symbols();
        for defect in message.defects() {
            findings.raise(symbols.defect(defect.kind), &detail(message, &defect));
        }
        for hit in message.limit_hits().iter() {
            findings.raise(symbols.limit(hit), b"");
        }
    }
}

/// Where a defect is: the name of a field, or the number, type and file name of a part.
fn detail(message: &Message, defect: &Defect) -> Vec<u8> {
    if let Some(header) = &defect.header {
        return header.to_vec();
    }
    let Some(part) = defect.part.and_then(|index| message.parts().get(index)) else {
        return Vec::new();
    };
    let kind = &part.content_type;
    let name = part
        .file_name()
        .map(|name| format!(" {name}"))
        .unwrap_or_default();
    format!("part {} {}/{}{name}", part.index, kind.main, kind.sub).into_bytes()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::request::{DefectKind, Limits};

    #[test]
    fn a_defect_is_told_with_its_place() {
        let content = "From: a@b\nSubject: x\nSubject: y\nContent-Type: multipart/mixed; boundary=b\n\n\
            --b\nContent-Type: a/b\nContent-Disposition: attachment; filename*=utf-8''a%E2%80%AEb\n\n--b--\n";
        let message = Message::parse(Bytes::from_static(content.as_bytes()), &Limits::default());
        let place = |kind| {
            let defects = message.defects();
            let defect = defects.iter().find(|defect| defect.kind == kind).unwrap();
            String::from_utf8(detail(&message, defect)).unwrap()
        };
        assert_eq!(place(DefectKind::DuplicateSingleton), "Subject");
        assert_eq!(place(DefectKind::FilenameBidi), "part 1 a/b a\u{202e}b");
        assert_eq!(place(DefectKind::MissingDate), "");
    }
}
