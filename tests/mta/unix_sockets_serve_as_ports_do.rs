use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use millrace_tests::message;
use millrace_tests::mta::{Kind, Mta, Wanted};
use millrace_tests::scripted_node::{Script, ScriptedNode, edit};
use millrace_tests::servers::{Gateway, Upstream};
use millrace_tests::sink::Sink;
use millrace_tests::smtp::Client;
use millrace_tests::with_both;

with_both!(mail_passes_through_a_unix_socket);

fn mail_passes_through_a_unix_socket(kind: Kind) {
    let folder = tempfile::tempdir().expect("a temp folder");
    // The mail server's own user must get at the socket; Sendmail takes no world-writable folder.
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("it is ours");
    let socket = folder.path().join("milter.sock");
    let node = ScriptedNode::start(Script::editing(vec![edit::add("X-Seen", "yes")]));
    // Postfix's daemons are not of our group; in real life the group is set and the mode is 0660.
    let client = format!(
        "[[client]]\nname = \"mx\"\nlisten = [\"unix://{}\"]\nsocket_mode = \"0666\"\n",
        socket.display()
    );
    let _gateway = Gateway::start_with(&Upstream::Nodes(vec![node.port()]), &[], &client);
    let sink = Sink::start();
    let mta = Mta::start(kind, &sink, &Wanted::filtered_through(&socket));
    let mut client = Client::connect(mta.port());
    client
        .message(
            "sender@origin.example",
            &["rcpt@dest.example"],
            &message::simple("x"),
        )
        .expect(250);
    assert_eq!(sink.only().fields_named("X-Seen"), ["X-Seen: yes"]);
    assert!(mta.complaints().is_empty(), "{:?}", mta.complaints());
}
