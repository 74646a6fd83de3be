//! From the decisions for each class of recipients to one verdict.

use bytes::Bytes;
use millrace_proto::{Disposition, Edit, HoldIn, RecipientOutcome, Verdict};

use super::classes::Class;
use super::decide::Decision;
use crate::policy::Policy;

/// Puts the decisions into the verdict, which already has the edits that are made anyhow. `count` is the number of
/// recipients.
pub(super) fn join(
    verdict: &mut Verdict,
    policy: &Policy,
    count: usize,
    classes: &[Class],
    mut decisions: Vec<Decision>,
) {
    // What is told is of those that were judged most severely.
    if let Some(worst) = decisions.iter().max_by(|a, b| a.score.total_cmp(&b.score)) {
        verdict.score = worst.score;
        verdict.threshold = worst.threshold;
    }
    let held = |decision: &&Decision| decision.disposition == Disposition::Hold;
    // In the mail server's own hold, unless the policy prefers the store for all who are to be held.
    let mut holding = decisions.iter().filter(held).peekable();
    if holding.peek().is_some() && holding.all(|decision| decision.hold_in == HoldIn::Store) {
        verdict.hold_in = HoldIn::Store;
    }
    if decisions.len() == 1 {
        let Some(only) = decisions.pop() else {
            return;
        };
        verdict.disposition = only.disposition;
        verdict.keep = only.keep;
        verdict.reply = only.reply;
        verdict.hold_reason = only.hold_reason;
        verdict.edits.extend(only.edits.headers);
        sender(verdict, only.edits.sender);
        redirect(verdict, only.edits.redirect, &classes[0], count);
        add(verdict, only.edits.added);
        return;
    }

    let passes = |decision: &&Decision| {
        matches!(
            decision.disposition,
            Disposition::Accept | Disposition::Hold
        )
    };
    let passing: Vec<&Decision> = decisions.iter().filter(passes).collect();
    let headers = if policy.joins_edits() {
        union(&passing)
    } else {
        common(&passing)
    };
    let senders: Vec<&Option<Bytes>> = passing
        .iter()
        .map(|decision| &decision.edits.sender)
        .collect();
    let new_sender = match senders.split_first() {
        Some((first, rest)) if rest.iter().all(|other| other == first) => (*first).clone(),
        Some(_) if policy.joins_edits() => senders.into_iter().flatten().next().cloned(),
        _ => None,
    };
    verdict.edits.extend(headers);
    sender(verdict, new_sender);

    let whole = &decisions[0];
    verdict.disposition = whole.disposition;
    verdict.keep = whole.keep;
    verdict.reply.clone_from(&whole.reply);
    if let Some(held) = decisions.iter().find(held) {
        verdict.hold_reason.clone_from(&held.hold_reason);
    }
    for (class, decision) in classes.iter().zip(&decisions).skip(1) {
        let same = decision.disposition == whole.disposition
            && decision.reply == whole.reply
            && decision.keep == whole.keep;
        if same {
            continue;
        }
        verdict.recipients.extend(
            class
                .indexes(count)
                .into_iter()
                .map(|index| RecipientOutcome {
                    index,
                    disposition: decision.disposition,
                    reply: decision.reply.clone(),
                    keep: decision.keep,
                }),
        );
    }
    verdict.recipients.sort_by_key(|outcome| outcome.index);
    for (class, decision) in classes.iter().zip(decisions) {
        if passes(&&decision) {
            redirect(verdict, decision.edits.redirect, class, count);
            add(verdict, decision.edits.added);
        }
    }
}

/// Every edit of any class.
fn union(decisions: &[&Decision]) -> Vec<Edit> {
    let mut all = Vec::new();
    for edit in decisions
        .iter()
        .flat_map(|decision| &decision.edits.headers)
    {
        let taken = all
            .iter()
            .any(|known: &Edit| known == edit || same_field(known, edit));
        if !taken {
            all.push(edit.clone());
        }
    }
    all
}

/// The edits that every class has.
fn common(decisions: &[&Decision]) -> Vec<Edit> {
    let Some((first, rest)) = decisions.split_first() else {
        return Vec::new();
    };
    let shared = |edit: &&Edit| {
        rest.iter()
            .all(|decision| decision.edits.headers.contains(edit))
    };
    first.edits.headers.iter().filter(shared).cloned().collect()
}

fn same_field(one: &Edit, other: &Edit) -> bool {
    let field = |edit: &Edit| match edit {
        Edit::ChangeHeader {
            name, occurrence, ..
        }
        | Edit::DeleteHeader { name, occurrence } => Some((name.to_ascii_lowercase(), *occurrence)),
        _ => None,
    };
    field(one).is_some() && field(one) == field(other)
}

fn sender(verdict: &mut Verdict, address: Option<Bytes>) {
    verdict
        .edits
        .extend(address.map(|address| Edit::ChangeSender { address }));
}

fn redirect(verdict: &mut Verdict, addresses: Option<Vec<Bytes>>, class: &Class, count: usize) {
    let Some(addresses) = addresses else {
        return;
    };
    verdict.edits.extend(
        class
            .indexes(count)
            .into_iter()
            .map(|index| Edit::DeleteRecipient { index }),
    );
    add(verdict, addresses);
}

fn add(verdict: &mut Verdict, addresses: Vec<Bytes>) {
    for address in addresses {
        let edit = Edit::AddRecipient { address };
        if !verdict.edits.contains(&edit) {
            verdict.edits.push(edit);
        }
    }
}
