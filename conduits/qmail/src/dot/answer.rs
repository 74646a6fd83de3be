//! From a verdict to what a `.qmail` line does: exhaustive, so that a new disposition breaks the build here.

use std::fmt;

use millrace_proto::{Disposition, Reply, Verdict};

use super::options::Refusal;

/// What is done with a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// The next line delivers it.
    Deliver,
    /// The policy refuses it, and the line wants it delivered all the same.
    DeliverRefused,
    /// The policy drops it.
    Drop,
    /// It was refused or held, and whoever judged has a copy.
    Kept,
    /// It is filed in the line's own maildir.
    File,
    /// The sender gets a bounce.
    Bounce(Reply),
    /// It is tried again, and why.
    Later(String),
}

impl Answer {
    /// What a verdict comes to.
    pub(super) fn new(verdict: &Verdict, refusal: Refusal) -> Self {
        match verdict.disposition {
            Disposition::Accept => Self::Deliver,
            // A refusal or a hold that was to leave a copy, where there is no store.
            Disposition::Tempfail if lacks_a_store(verdict) => Self::without_copy(),
            Disposition::Tempfail => Self::Later(match &verdict.reply {
                Some(reply) => format!("put off: {reply}"),
                None => "put off".to_owned(),
            }),
            Disposition::Discard if verdict.keep => Self::Kept,
            // The copy was to be all that is left of it.
            Disposition::Discard if replaces_a_copy(verdict) => Self::without_copy(),
            Disposition::Discard => Self::Drop,
            Disposition::Reject => match refusal {
                Refusal::Bounce => match &verdict.reply {
                    Some(reply) => Self::Bounce(reply.clone()),
                    None => Self::Later("refused without a word".to_owned()),
                },
                Refusal::Deliver => Self::DeliverRefused,
                Refusal::File => Self::File,
                Refusal::Keep => Self::kept(verdict),
            },
            Disposition::Hold => match refusal {
                Refusal::File => Self::File,
                Refusal::Keep | Refusal::Bounce | Refusal::Deliver => Self::kept(verdict),
            },
        }
    }

    fn kept(verdict: &Verdict) -> Self {
        if verdict.keep {
            Self::Kept
        } else {
            Self::without_copy()
        }
    }

    fn without_copy() -> Self {
        Self::Later(
            "refused, but no copy was kept; the delivery is tried again (--refused and --maildir give other ways)"
                .to_owned(),
        )
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deliver => f.write_str("delivered"),
            Self::DeliverRefused => f.write_str("refused, and delivered as --refused 0 asks"),
            Self::Drop => f.write_str("dropped"),
            Self::Kept => f.write_str("not delivered; a copy is kept"),
            Self::File => f.write_str("refused, and filed in the maildir"),
            Self::Bounce(reply) => write!(f, "bounced: {reply}"),
            Self::Later(why) => write!(f, "tried again later: {why}"),
        }
    }
}

/// Whether a delay stands for a refusal, a hold or a discard that was to leave a copy.
fn lacks_a_store(verdict: &Verdict) -> bool {
    verdict.degradations.iter().any(|given_up| {
        given_up.done == "tempfail"
            && matches!(given_up.wanted.as_str(), "reject" | "hold" | "keep")
    })
}

/// Whether a discard stands for a refusal or hold that was to leave a copy (`lower` of millrace-proto).
fn replaces_a_copy(verdict: &Verdict) -> bool {
    verdict
        .degradations
        .iter()
        .any(|given_up| given_up.done == "keep-and-discard")
}

/// The modifications that are not made: those that whoever judged has taken out, and those that it has not.
pub(super) fn modifications(verdict: &Verdict) -> Vec<&str> {
    let taken_out = verdict
        .degradations
        .iter()
        .filter_map(|given_up| given_up.wanted.strip_prefix("edit:"));
    let mut names: Vec<&str> = taken_out.collect();
    for edit in &verdict.edits {
        names.push(edit.name());
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_proto::{Degradation, Edit, Revision};

    fn verdict(disposition: Disposition, keep: bool) -> Verdict {
        Verdict {
            disposition,
            keep,
            reply: match disposition {
                Disposition::Reject => Some(Reply::new(550, Some("5.7.1"), "no").unwrap()),
                Disposition::Tempfail => Some(Reply::new(451, Some("4.7.1"), "wait").unwrap()),
                _ => None,
            },
            ..Verdict::accept(Revision::new("abc").unwrap(), "node".into())
        }
    }

    #[test]
    fn a_refusal_ends_the_delivery_only_when_a_copy_was_kept() {
        for disposition in [Disposition::Reject, Disposition::Hold] {
            for refusal in [Refusal::Keep, Refusal::Bounce, Refusal::Deliver] {
                let kept = Answer::new(&verdict(disposition, true), refusal);
                let lost = Answer::new(&verdict(disposition, false), refusal);
                if disposition == Disposition::Hold || refusal == Refusal::Keep {
                    assert_eq!(kept, Answer::Kept, "{disposition} {refusal:?}");
                    assert!(
                        matches!(lost, Answer::Later(_)),
                        "{disposition} {refusal:?}"
                    );
                }
            }
        }
        let mut promised = verdict(Disposition::Discard, false);
        assert_eq!(Answer::new(&promised, Refusal::Keep), Answer::Drop);
        promised.degradations.push(Degradation {
            wanted: "reject".into(),
            done: "keep-and-discard".into(),
            reason: String::new(),
        });
        assert!(matches!(
            Answer::new(&promised, Refusal::Keep),
            Answer::Later(_)
        ));
    }

    #[test]
    fn modifications_are_counted_whoever_dropped_them() {
        let mut judged = verdict(Disposition::Accept, false);
        judged.edits.push(Edit::DeleteRecipient { index: 0 });
        judged.degradations.push(Degradation {
            wanted: "edit:insert-header".into(),
            done: "nothing".into(),
            reason: String::new(),
        });
        assert_eq!(
            modifications(&judged),
            ["insert-header", "delete-recipient"]
        );
    }
}
