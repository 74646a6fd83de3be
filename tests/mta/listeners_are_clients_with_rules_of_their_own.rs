use millrace_tests::message;
use millrace_tests::mta::{Kind, Mta, Wanted};
use millrace_tests::policy::PolicyFolder;
use millrace_tests::ports::Port;
use millrace_tests::servers::{Gateway, Upstream};
use millrace_tests::sink::Sink;
use millrace_tests::smtp::Client;
use millrace_tests::with_both;

with_both!(mail_is_judged_by_the_listener_that_it_came_in_by);

const POLICY: &str = r#"
[[action]]
name = "everywhere"
when = "1"
add_header = "X-Came-By: {client}, {direction}"

[[action]]
name = "our-own-mail"
when = "1"
direction = "outbound"
add_header = "X-Out: yes"

[[action]]
name = "from-outside"
when = "1"
client = "mx"
add_header = "X-In: yes"
"#;

/// One gateway, two ports: what comes from outside, and what our own users hand in.
fn mail_is_judged_by_the_listener_that_it_came_in_by(kind: Kind) {
    let policy = PolicyFolder::of(POLICY);
    let (inbound, outbound) = (Port::reserve(), Port::reserve());
    let clients = format!(
        "[[client]]\nname = \"mx\"\nlisten = [\"tcp://127.0.0.1:{}\"]\ndirection = \"inbound\"\n\n\
         [[client]]\nname = \"submission\"\nlisten = [\"tcp://127.0.0.1:{}\"]\ndirection = \"outbound\"\n",
        inbound.number(),
        outbound.number()
    );
    let upstream = Upstream::Embedded(Some(policy.path().to_owned()));
    let _gateway = Gateway::start_with(&upstream, &[], &clients);
    for (port, told, marks) in [
        (&inbound, "X-Came-By: mx, inbound", ["X-In"]),
        (&outbound, "X-Came-By: submission, outbound", ["X-Out"]),
    ] {
        let sink = Sink::start();
        let mta = Mta::start(kind, &sink, &Wanted::filtered_by(port.number()));
        Client::connect(mta.port())
            .message(
                "sender@origin.example",
                &["rcpt@dest.example"],
                &message::simple("x"),
            )
            .expect(250);
        let arrived = sink.only();
        assert_eq!(arrived.fields_named("X-Came-By"), [told]);
        for mark in ["X-In", "X-Out"] {
            assert_eq!(
                arrived.fields_named(mark).len(),
                usize::from(marks.contains(&mark)),
                "{told}: {mark}"
            );
        }
    }
}
