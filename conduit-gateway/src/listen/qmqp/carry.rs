//! From a verdict to what a QMQP client is told: exhaustive, so that a new disposition breaks the build here.

use millrace_proto::{Disposition, Verdict};
use millrace_qmail::one_line;
use millrace_qmail::qmqp::{Answer, Reply};

/// What is done with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Carried {
    /// A downstream server gets it, and its reply is the client's.
    PassOn,
    /// It goes no further, and the client is told so.
    Answer(Reply),
}

impl Carried {
    /// What a lowered verdict comes to.
    pub(super) fn of(verdict: &Verdict) -> Self {
        let answer = match verdict.disposition {
            Disposition::Accept => return Self::PassOn,
            Disposition::Discard => Answer::Taken,
            Disposition::Reject => Answer::Refused,
            // There is no hold behind QMQP, and whoever judged was told so.
            Disposition::Tempfail | Disposition::Hold => Answer::Deferred,
        };
        let text = match (&verdict.reply, answer) {
            (Some(reply), _) => one_line(reply),
            (None, Answer::Taken) => "ok".to_owned(),
            (None, Answer::Deferred) => "deferred (#4.7.1)".to_owned(),
            (None, Answer::Refused) => "refused (#5.7.1)".to_owned(),
        };
        Self::Answer(Reply::new(answer, text.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use millrace_proto::Revision;

    use super::*;

    #[test]
    fn what_a_qmqp_client_is_told() {
        let verdict = |disposition, reply| Verdict {
            disposition,
            reply,
            ..Verdict::accept(Revision::new("0").unwrap(), "node".into())
        };
        let reply = |code, text| Some(millrace_proto::Reply::new(code, None, text).unwrap());
        assert_eq!(
            Carried::of(&verdict(Disposition::Accept, None)),
            Carried::PassOn
        );
        for (disposition, words, wire) in [
            (Disposition::Discard, None, "3:Kok,"),
            (Disposition::Reject, reply(550, "no\nspam"), "8:Dno spam,"),
            (Disposition::Tempfail, reply(451, "later"), "6:Zlater,"),
            (Disposition::Reject, None, "17:Drefused (#5.7.1),"),
            (Disposition::Hold, None, "18:Zdeferred (#4.7.1),"),
        ] {
            let Carried::Answer(told) = Carried::of(&verdict(disposition, words)) else {
                panic!("{disposition:?} goes no further")
            };
            assert_eq!(told.encode(), wire.as_bytes());
        }
    }
}
