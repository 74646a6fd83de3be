use millrace_tests::message;
use millrace_tests::mta::{Kind, Mta, Wanted};
use millrace_tests::scripted_node::{Script, ScriptedNode, edit};
use millrace_tests::servers::{Gateway, Upstream};
use millrace_tests::sink::Sink;
use millrace_tests::smtp::Client;

/// As Debian sets Postfix up: smtpd sees only what is below its queue folder, and `main.cf` names
/// the socket from there.
#[test]
fn a_chrooted_postfix_reaches_a_socket_under_its_queue() {
    let sink = Sink::start();
    let wanted = Wanted::filtered_through("/millrace.sock").chrooted();
    let mta = Mta::start(Kind::Postfix, &sink, &wanted);
    let Mta::Postfix(postfix) = &mta else {
        unreachable!("it was asked for");
    };
    let node = ScriptedNode::start(Script::editing(vec![edit::add("X-Seen", "yes")]));
    let client = format!(
        "[[client]]\nname = \"mx\"\nlisten = [\"unix://{}/millrace.sock\"]\nsocket_mode = \"0660\"\nsocket_group = \"postfix\"\n",
        postfix.queue_folder().display()
    );
    let _gateway = Gateway::start_with(&Upstream::Nodes(vec![node.port()]), &[], &client);
    Client::connect(mta.port())
        .message(
            "sender@origin.example",
            &["rcpt@dest.example"],
            &message::simple("x"),
        )
        .expect(250);
    assert_eq!(sink.only().fields_named("X-Seen"), ["X-Seen: yes"]);
    assert!(mta.complaints().is_empty(), "{:?}", mta.complaints());
}
