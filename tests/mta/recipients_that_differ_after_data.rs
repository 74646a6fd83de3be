use millrace_proto::{Disposition, RecipientOutcome, Verdict};
use millrace_tests::message;
use millrace_tests::mta::Kind;
use millrace_tests::route::Route;
use millrace_tests::scripted_node::{Script, accept, refuse};
use millrace_tests::with_both;

with_both!(
    one_who_discards_is_taken_off_and_the_other_gets_the_mail,
    one_who_refuses_makes_it_a_refusal_while_no_copy_can_be_kept,
    one_who_is_not_ready_puts_it_off_for_all,
    all_of_one_mind_get_that,
);

fn outcomes(outcomes: &[(u32, Disposition)]) -> Script {
    let recipients = outcomes
        .iter()
        .map(|&(index, disposition)| RecipientOutcome {
            index,
            disposition,
            reply: match disposition {
                Disposition::Reject => refuse(550, "5.7.1", "recipient's own rule").reply,
                Disposition::Tempfail => refuse(451, "4.7.1", "recipient's own delay").reply,
                _ => None,
            },
            keep: false,
        })
        .collect();
    Script::giving(Verdict {
        recipients,
        ..accept()
    })
}

fn send_to_two(
    route: &Route<millrace_tests::scripted_node::ScriptedNode>,
) -> millrace_tests::smtp::Reply {
    route.client().message(
        "sender@origin.example",
        &["a@dest.example", "b@dest.example"],
        &message::simple("x"),
    )
}

fn one_who_discards_is_taken_off_and_the_other_gets_the_mail(kind: Kind) {
    let route = Route::scripted(kind, outcomes(&[(1, Disposition::Discard)]));
    send_to_two(&route).expect(250);
    assert_eq!(route.sink.only().recipients(), ["a@dest.example"]);
    route.assert_no_complaints();
}

fn one_who_refuses_makes_it_a_refusal_while_no_copy_can_be_kept(kind: Kind) {
    let route = Route::scripted(kind, outcomes(&[(0, Disposition::Reject)]));
    let reply = send_to_two(&route).expect(550);
    assert_eq!(reply.text(), "5.7.1 recipient's own rule");
    assert_eq!(route.sink.count(), 0);
    route.assert_no_complaints();
}

fn one_who_is_not_ready_puts_it_off_for_all(kind: Kind) {
    let route = Route::scripted(
        kind,
        outcomes(&[(0, Disposition::Reject), (1, Disposition::Tempfail)]),
    );
    let reply = send_to_two(&route).expect(451);
    assert_eq!(reply.text(), "4.7.1 recipient's own delay");
    assert_eq!(route.sink.count(), 0);
    route.assert_no_complaints();
}

fn all_of_one_mind_get_that(kind: Kind) {
    let route = Route::scripted(
        kind,
        outcomes(&[(0, Disposition::Reject), (1, Disposition::Reject)]),
    );
    send_to_two(&route).expect(550);
    assert_eq!(route.sink.count(), 0);
    route.assert_no_complaints();
}
