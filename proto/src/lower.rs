//! From what the policy wants to what the conduit can carry out.
//!
//! The node decides as if all were possible; [`lower`] then maps the verdict to
//! the transaction's [`Capabilities`], and lists each thing that it had to give
//! up as a [`Degradation`]. Conduits only execute. The rules:
//!
//! 1. No recipient vanishes without a copy, a refusal, or the policy's own
//!    discard.
//! 2. What cannot be done is replaced by the nearest thing that loses nothing:
//!    a refusal nobody can hear becomes a kept copy, else a temporary failure;
//!    a hold becomes a kept copy, else a temporary failure; so does a discard
//!    whose copy cannot be kept.
//! 3. Only a conduit that can neither refuse nor delay (a bounce that the queue
//!    itself hands in) lets a message through that the policy wanted stopped.

use crate::reply::Reply;
use crate::transaction::{Capabilities, Transaction};
use crate::verdict::{Degradation, Disposition, Edit, Verdict};

/// Whether the quarantine store can keep a copy of this message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    /// A copy can be kept.
    Available,
    /// There is no store.
    Unavailable,
}

/// Lowers a verdict to what the transaction's conduit can carry out. Pure, and
/// idempotent: a lowered verdict comes back as it is.
#[must_use]
pub fn lower(mut verdict: Verdict, transaction: &Transaction, keeping: Keeping) -> Verdict {
    let can = &transaction.capabilities;
    join_recipients(&mut verdict, transaction, keeping);
    lower_disposition(&mut verdict, can, keeping);
    if verdict.keep && keeping == Keeping::Unavailable {
        verdict.keep = false;
        let done = match verdict.disposition {
            // The copy was all that would have been left of it.
            Disposition::Discard if can.tempfail => Disposition::Tempfail,
            Disposition::Discard => Disposition::Accept,
            other => other,
        };
        let given = if done == verdict.disposition {
            "nothing"
        } else {
            done.name()
        };
        verdict.disposition = done;
        degrade(&mut verdict, "keep", given, "no store for kept copies");
    }
    match verdict.disposition {
        Disposition::Accept | Disposition::Hold => lower_edits(&mut verdict, transaction),
        // Nobody will see the message that they would have changed.
        Disposition::Reject | Disposition::Tempfail | Disposition::Discard => {
            verdict.edits.clear();
        }
    }
    fit_reply(&mut verdict, can);
    if verdict.disposition != Disposition::Hold {
        verdict.hold_reason.clear();
    }
    verdict
}

/// One message has one answer after DATA: equal outcomes are that one, and
/// recipients that are refused alone are taken off it, with a copy.
fn join_recipients(verdict: &mut Verdict, transaction: &Transaction, keeping: Keeping) {
    let overrides = std::mem::take(&mut verdict.recipients);
    let count = transaction.envelope.recipients.len();
    if overrides.is_empty() || count == 0 {
        return;
    }
    let whole = verdict.disposition;
    let mut each = vec![(whole, verdict.reply.clone()); count];
    for outcome in overrides {
        if let Some(slot) = each.get_mut(outcome.index as usize) {
            *slot = (outcome.disposition, outcome.reply);
        }
    }
    let (first, reply) = each[0].clone();
    if each.iter().all(|(disposition, _)| *disposition == first) {
        verdict.disposition = first;
        verdict.reply = reply;
        return;
    }

    let any = |wanted| each.iter().any(|(disposition, _)| *disposition == wanted);
    let reply_of = |wanted| {
        each.iter()
            .find(|(disposition, _)| *disposition == wanted)
            .and_then(|(_, reply)| reply.clone())
    };
    // All of them come back together; nothing is lost by waiting.
    if any(Disposition::Tempfail) {
        verdict.disposition = Disposition::Tempfail;
        verdict.reply = reply_of(Disposition::Tempfail);
        degrade(
            verdict,
            "recipients-differ",
            "tempfail",
            "one reply serves all recipients",
        );
        return;
    }
    let refused = any(Disposition::Reject) || any(Disposition::Hold);
    let can = &transaction.capabilities;
    let separable = can.delete_recipient && (!refused || keeping == Keeping::Available);
    if any(Disposition::Accept) && separable {
        verdict.disposition = Disposition::Accept;
        verdict.reply = None;
        verdict.keep |= refused;
        for (index, (disposition, _)) in each.iter().enumerate() {
            if *disposition != Disposition::Accept {
                verdict.edits.push(Edit::DeleteRecipient {
                    index: u32::try_from(index).unwrap_or(u32::MAX),
                });
            }
        }
        if refused {
            degrade(
                verdict,
                "recipients-differ",
                "remove-and-keep",
                "one reply serves all recipients",
            );
        }
        return;
    }
    // The refusal tells the sender, and takes from nobody what it is not told of.
    let joint = if any(Disposition::Hold) {
        Disposition::Hold
    } else if any(Disposition::Reject) {
        Disposition::Reject
    } else {
        Disposition::Accept
    };
    verdict.disposition = joint;
    verdict.reply = reply_of(joint);
    degrade(
        verdict,
        "recipients-differ",
        joint.name(),
        "one reply serves all recipients",
    );
}

fn lower_disposition(verdict: &mut Verdict, can: &Capabilities, keeping: Keeping) {
    let wanted = verdict.disposition;
    let able = match wanted {
        Disposition::Accept => true,
        Disposition::Reject => can.reject,
        Disposition::Tempfail => can.tempfail,
        Disposition::Discard => can.discard,
        Disposition::Hold => can.hold,
    };
    if able {
        return;
    }
    let reason = match wanted {
        Disposition::Accept | Disposition::Reject => "no refusal reaches the sender",
        Disposition::Tempfail => "this mail must not be delayed",
        Disposition::Discard => "mail cannot be dropped here",
        Disposition::Hold => "the mail server has no hold",
    };
    let rescuable = keeping == Keeping::Available && can.discard;
    verdict.disposition = match wanted {
        Disposition::Reject | Disposition::Hold if rescuable => {
            verdict.keep = true;
            Disposition::Discard
        }
        Disposition::Reject | Disposition::Hold if can.tempfail => Disposition::Tempfail,
        _ => Disposition::Accept,
    };
    let done = match verdict.disposition {
        Disposition::Discard => "keep-and-discard",
        other => other.name(),
    };
    degrade(verdict, wanted.name(), done, reason);
}

fn lower_edits(verdict: &mut Verdict, transaction: &Transaction) {
    let can = &transaction.capabilities;
    let mut dropped = Vec::new();
    verdict.edits.retain(|edit| {
        let able = can_edit(can, edit);
        if !able {
            dropped.push(edit.name());
        }
        able
    });
    for name in &dropped {
        degrade(
            verdict,
            format!("edit:{name}"),
            "nothing",
            "the conduit cannot",
        );
    }

    // A redirect that cannot add must not remove.
    if dropped.contains(&"add-recipient") && drop_removals(verdict) {
        degrade(
            verdict,
            "edit:delete-recipient",
            "nothing",
            "the recipient in their stead cannot be added",
        );
    }
    let count = transaction.envelope.recipients.len();
    let adds = verdict
        .edits
        .iter()
        .any(|edit| matches!(edit, Edit::AddRecipient { .. }));
    let mut removed: Vec<u32> = verdict.edits.iter().filter_map(removal).collect();
    removed.sort_unstable();
    removed.dedup();
    if count > 0 && removed.len() >= count && !adds && drop_removals(verdict) {
        degrade(
            verdict,
            "edit:delete-recipient",
            "nothing",
            "no recipient would be left",
        );
    }
}

fn can_edit(can: &Capabilities, edit: &Edit) -> bool {
    match edit {
        Edit::AddHeader { .. } | Edit::InsertHeader { .. } => can.add_header,
        Edit::ChangeHeader { .. } | Edit::DeleteHeader { .. } => can.change_header,
        Edit::ReplaceBody { .. } => can.replace_body,
        Edit::ChangeSender { .. } => can.change_sender,
        Edit::AddRecipient { .. } => can.add_recipient,
        Edit::DeleteRecipient { .. } => can.delete_recipient,
    }
}

fn removal(edit: &Edit) -> Option<u32> {
    match edit {
        Edit::DeleteRecipient { index } => Some(*index),
        _ => None,
    }
}

/// Takes the removals of recipients out; whether there were any.
fn drop_removals(verdict: &mut Verdict) -> bool {
    let before = verdict.edits.len();
    verdict.edits.retain(|edit| removal(edit).is_none());
    verdict.edits.len() < before
}

/// A refusal has a reply of its own class; nothing else has one.
fn fit_reply(verdict: &mut Verdict, can: &Capabilities) {
    let (code, enhanced, text) = match verdict.disposition {
        Disposition::Reject => (550, "5.7.1", "Message refused by policy"),
        Disposition::Tempfail => (451, "4.7.1", "Message deferred by policy; try again later"),
        Disposition::Accept | Disposition::Discard | Disposition::Hold => {
            verdict.reply = None;
            return;
        }
    };
    let permanent = verdict.disposition == Disposition::Reject;
    let own = Reply::new(code, Some(enhanced), text).ok();
    let fits = verdict
        .reply
        .as_ref()
        .is_some_and(|reply| reply.is_permanent() == permanent);
    if fits && !can.reply_text && verdict.reply != own {
        let done = if permanent { "refusal" } else { "delay" };
        degrade(
            verdict,
            "reply-text",
            done,
            "the caller has words of its own",
        );
    }
    if !fits || !can.reply_text {
        verdict.reply = own;
    }
}

fn degrade(verdict: &mut Verdict, wanted: impl Into<String>, done: &str, reason: &str) {
    let degradation = Degradation {
        wanted: wanted.into(),
        done: done.to_owned(),
        reason: reason.to_owned(),
    };
    if !verdict.degradations.contains(&degradation) {
        verdict.degradations.push(degradation);
    }
}
