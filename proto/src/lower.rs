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
//!    whose copy cannot be kept. A hold that is to wait in our store is a kept
//!    copy at once, else the mail server's own hold.
//! 3. Only a conduit that can neither refuse nor delay (a bounce that the queue
//!    itself hands in) lets a message through that the policy wanted stopped.

use crate::reply::Reply;
use crate::transaction::{Capabilities, Transaction};
use crate::verdict::{Degradation, Disposition, Edit, HoldIn, Verdict};

/// Whether the quarantine store can keep a copy of this message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    /// A copy can be kept.
    Available,
    /// There is no store, or the policy keeps nothing of this.
    Unavailable,
}

/// What is wanted for one recipient.
#[derive(Clone)]
struct Wanted {
    disposition: Disposition,
    reply: Option<Reply>,
    keep: bool,
}

/// Lowers a verdict to what the transaction's conduit can carry out. Pure, and
/// idempotent: a lowered verdict comes back as it is.
#[must_use]
pub fn lower(mut verdict: Verdict, transaction: &Transaction, keeping: Keeping) -> Verdict {
    let can = &transaction.capabilities;
    join_recipients(&mut verdict, transaction, keeping);
    lower_disposition(&mut verdict, can, keeping);
    verdict.unkept.clear();
    if verdict.keep && keeping == Keeping::Unavailable {
        verdict.keep = false;
        verdict.kept_for.clear();
        verdict.kept_as = None;
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
    if verdict.disposition != Disposition::Hold && verdict.kept_as != Some(Disposition::Hold) {
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
    let whole = Wanted {
        disposition: verdict.disposition,
        reply: verdict.reply.clone(),
        keep: verdict.keep,
    };
    let mut each = vec![whole; count];
    for outcome in overrides {
        if let Some(slot) = each.get_mut(outcome.index as usize) {
            *slot = Wanted {
                disposition: outcome.disposition,
                reply: outcome.reply,
                keep: outcome.keep,
            };
        }
    }
    let any = |wanted| each.iter().any(|one| one.disposition == wanted);
    let answer = |verdict: &mut Verdict, joint| {
        verdict.disposition = joint;
        verdict.reply = each
            .iter()
            .find(|one| one.disposition == joint)
            .and_then(|one| one.reply.clone());
    };

    let first = each[0].disposition;
    if each.iter().all(|one| one.disposition == first) {
        answer(verdict, first);
        keep_for(verdict, &each, |one| one.keep);
        return;
    }
    // All of them come back together; nothing is lost by waiting.
    if any(Disposition::Tempfail) {
        answer(verdict, Disposition::Tempfail);
        keep_for(verdict, &each, |one| {
            one.keep && one.disposition == Disposition::Tempfail
        });
        degrade(
            verdict,
            "recipients-differ",
            "tempfail",
            "one reply serves all recipients",
        );
        return;
    }
    let refused = any(Disposition::Reject) || any(Disposition::Hold);
    let is_kept = |index| keeping == Keeping::Available && !verdict.unkept.contains(&index);
    let separable = transaction.capabilities.delete_recipient
        && (0..)
            .zip(&each)
            .all(|(index, one)| !one.needs_copy() || is_kept(index));
    if any(Disposition::Accept) && separable {
        take_off(verdict, &each);
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
    answer(verdict, joint);
    keep_for(verdict, &each, |one| one.keep);
    degrade(
        verdict,
        "recipients-differ",
        joint.name(),
        "one reply serves all recipients",
    );
}

/// Takes off who does not accept, and names them on the copy that is kept for them.
fn take_off(verdict: &mut Verdict, each: &[Wanted]) {
    verdict.disposition = Disposition::Accept;
    verdict.reply = None;
    for (index, one) in (0..).zip(each) {
        if one.disposition != Disposition::Accept {
            verdict.edits.push(Edit::DeleteRecipient { index });
        }
    }
    if !each.iter().any(Wanted::needs_copy) {
        // What is left are copies of what was accepted.
        keep_for(verdict, each, |one| one.keep);
        return;
    }
    keep_for(verdict, each, Wanted::needs_copy);
    let kept_as = [Disposition::Reject, Disposition::Hold, Disposition::Discard];
    verdict.kept_as = kept_as.into_iter().find(|wanted| {
        each.iter()
            .any(|one| one.needs_copy() && one.disposition == *wanted)
    });
}

fn keep_for(verdict: &mut Verdict, each: &[Wanted], wanted: impl Fn(&Wanted) -> bool) {
    let kept_for = (0..).zip(each).filter(|(_, one)| wanted(one));
    verdict.kept_for = kept_for.map(|(index, _)| index).collect();
    verdict.keep = !verdict.kept_for.is_empty();
    if verdict.kept_for.len() == each.len() {
        verdict.kept_for.clear();
    }
}

impl Wanted {
    /// Whether this recipient is not to be taken off without one.
    fn needs_copy(&self) -> bool {
        match self.disposition {
            Disposition::Reject | Disposition::Hold => true,
            Disposition::Discard => self.keep,
            Disposition::Accept | Disposition::Tempfail => false,
        }
    }
}

fn lower_disposition(verdict: &mut Verdict, can: &Capabilities, keeping: Keeping) {
    let wanted = verdict.disposition;
    let rescuable = keeping == Keeping::Available && verdict.unkept.is_empty() && can.discard;
    let in_store = wanted == Disposition::Hold && verdict.hold_in == HoldIn::Store;
    if in_store && rescuable {
        rescue(verdict, wanted);
        return;
    }
    let able = match wanted {
        Disposition::Accept => true,
        Disposition::Reject => can.reject,
        Disposition::Tempfail => can.tempfail,
        Disposition::Discard => can.discard,
        Disposition::Hold => can.hold,
    };
    if able {
        if in_store {
            verdict.hold_in = HoldIn::MailServer;
            degrade(verdict, "hold-in-store", "hold", "no copy can be kept");
        }
        return;
    }
    let reason = match wanted {
        Disposition::Accept | Disposition::Reject => "no refusal reaches the sender",
        Disposition::Tempfail => "this mail must not be delayed",
        Disposition::Discard => "mail cannot be dropped here",
        Disposition::Hold => "the mail server has no hold",
    };
    match wanted {
        Disposition::Reject | Disposition::Hold if rescuable => rescue(verdict, wanted),
        Disposition::Reject | Disposition::Hold if can.tempfail => {
            verdict.disposition = Disposition::Tempfail;
        }
        _ => verdict.disposition = Disposition::Accept,
    }
    let done = match verdict.disposition {
        Disposition::Discard => "keep-and-discard",
        other => other.name(),
    };
    degrade(verdict, wanted.name(), done, reason);
}

/// The copy is all that is left of it, for everybody.
fn rescue(verdict: &mut Verdict, wanted: Disposition) {
    verdict.disposition = Disposition::Discard;
    verdict.keep = true;
    verdict.kept_for.clear();
    verdict.kept_as = Some(wanted);
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
