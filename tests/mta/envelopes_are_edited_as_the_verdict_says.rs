use millrace_proto::Edit;
use millrace_tests::message;
use millrace_tests::mta::Kind;
use millrace_tests::route::Route;
use millrace_tests::scripted_node::{Script, edit};
use millrace_tests::with_both;

with_both!(
    a_recipient_is_added,
    a_recipient_is_removed,
    a_message_is_redirected,
    the_sender_is_changed,
    the_sender_is_changed_to_the_null_sender,
);

/// Sends from `sender@origin.example` to a, b and c, and looks at the envelope that arrives.
#[track_caller]
fn becomes(kind: Kind, edits: Vec<Edit>, sender: &str, recipients: &[&str]) {
    let route = Route::scripted(kind, Script::editing(edits));
    let mut client = route.client();
    // In a case of their own, and with parameters: a removal must name them to the letter.
    client
        .command("MAIL FROM:<sender@origin.example> BODY=8BITMIME")
        .expect(250);
    for recipient in ["a@dest.example", "B.Upper@Dest.Example", "c@dest.example"] {
        client
            .command(&format!("RCPT TO:<{recipient}> NOTIFY=NEVER"))
            .expect(250);
    }
    client.data(&message::simple("x")).expect(250);
    client.quit();
    let arrived = route.sink.only();
    assert_eq!(arrived.sender(), sender);
    assert_eq!(arrived.recipients(), recipients);
    route.assert_no_complaints();
}

fn a_recipient_is_added(kind: Kind) {
    becomes(
        kind,
        vec![edit::add_recipient("d@dest.example")],
        "sender@origin.example",
        &[
            "B.Upper@Dest.Example",
            "a@dest.example",
            "c@dest.example",
            "d@dest.example",
        ],
    );
}

fn a_recipient_is_removed(kind: Kind) {
    becomes(
        kind,
        vec![edit::remove_recipient(1)],
        "sender@origin.example",
        &["a@dest.example", "c@dest.example"],
    );
}

fn a_message_is_redirected(kind: Kind) {
    becomes(
        kind,
        vec![
            edit::remove_recipient(0),
            edit::remove_recipient(1),
            edit::remove_recipient(2),
            edit::add_recipient("quarantine@dest.example"),
        ],
        "sender@origin.example",
        &["quarantine@dest.example"],
    );
}

fn the_sender_is_changed(kind: Kind) {
    becomes(
        kind,
        vec![edit::sender("bounces@origin.example")],
        "bounces@origin.example",
        &["B.Upper@Dest.Example", "a@dest.example", "c@dest.example"],
    );
}

fn the_sender_is_changed_to_the_null_sender(kind: Kind) {
    becomes(
        kind,
        vec![edit::sender("")],
        "",
        &["B.Upper@Dest.Example", "a@dest.example", "c@dest.example"],
    );
}
