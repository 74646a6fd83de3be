use millrace_milter::mta::Message;
use millrace_tests::admin;
use millrace_tests::etcd::Etcd;
use millrace_tests::member::publish;
use millrace_tests::milter::Sender;
use millrace_tests::patience::until;
use millrace_tests::servers::{Gateway, Upstream};

use crate::{refusing, text_refusing};

/// Whether mail of the sender that all senders of this test are is refused.
fn refuses(gateway: &Gateway) -> bool {
    let message = Message::parse(b"Subject: x\r\n\r\nHello\r\n");
    let answer = Sender::connect(gateway.port()).send(message).answer();
    assert!(answer == "accept" || answer.starts_with("550"), "{answer}");
    answer != "accept"
}

const SENDER: &str = "sender@example.org";

#[test]
fn it_waits_for_the_first_follows_the_next_and_starts_with_its_copy_while_etcd_is_down() {
    let mut etcd = Etcd::start();
    let cache = tempfile::tempdir().expect("a temp folder");
    let section = etcd.section(&format!("cache = {:?}\n", cache.path()));
    let mut gateway = Gateway::launch(&Upstream::Embedded(None), &[], &section);
    until("it says what it waits for", || {
        admin::ask(gateway.admin_port(), "/readyz")
            .is_some_and(|(status, text)| status == 503 && text.contains("waiting for a policy"))
    });

    let folder = refusing(SENDER);
    publish(folder.path(), &etcd);
    gateway.wait_until_ready();
    assert!(refuses(&gateway));

    folder.replace(&text_refusing("another@example.org"));
    publish(folder.path(), &etcd);
    until("the next policy is in force", || !refuses(&gateway));
    folder.replace(&text_refusing(SENDER));
    publish(folder.path(), &etcd);
    until("and the one after it", || refuses(&gateway));

    etcd.kill_all();
    assert!(refuses(&gateway), "etcd is of no use to mail");
    drop(gateway);
    let mut again = Gateway::start_with(&Upstream::Embedded(None), &[], &section);
    assert!(refuses(&again));
    etcd.start_again();
    folder.replace(&text_refusing("nobody@example.org"));
    publish(folder.path(), &etcd);
    until("etcd is followed again", || !refuses(&again));
    assert!(again.process.terminate().success());
}

#[test]
fn one_that_waits_ends_when_it_is_told_to() {
    let etcd = Etcd::start();
    let mut gateway = Gateway::launch(&Upstream::Embedded(None), &[], &etcd.section(""));
    until("it waits", || {
        admin::ask(gateway.admin_port(), "/readyz").is_some_and(|(status, _)| status == 503)
    });
    assert!(gateway.process.terminate().success());
}
