use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use millrace_milter::mta::Message;
use millrace_tests::message;
use millrace_tests::milter::Sender;
use millrace_tests::patience::poll;
use millrace_tests::policy::PolicyFolder;
use millrace_tests::ports::Port;
use millrace_tests::s3::S3;
use millrace_tests::servers::{Gateway, Upstream, binary};

use crate::support::REFUSE_ALL;

/// What a bucket's server does that is none.
#[derive(Clone, Copy)]
enum Server {
    /// Takes the request, and says nothing.
    Silent,
    /// Has no room for anybody.
    Refusing,
    /// Has written it, it says; there is nothing.
    Lying,
}

fn serve(server: Server) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let port = listener.local_addr().expect("it is bound").port();
    // It ends with the test.
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            thread::spawn(move || answer(connection, server));
        }
    });
    port
}

fn answer(mut connection: TcpStream, server: Server) {
    let mut taken = Vec::new();
    let mut some = [0; 4096];
    while let Ok(read @ 1..) = connection.read(&mut some) {
        taken.extend_from_slice(&some[..read]);
        let Some(end) = taken.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&taken[..end]).to_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().expect("a number"));
        if taken.len() < end + 4 + length {
            continue;
        }
        let line = match (server, head.starts_with("put")) {
            (Server::Silent, _) => continue,
            (Server::Refusing, _) => "507 Insufficient Storage",
            (Server::Lying, true) => "200 OK\r\nETag: \"1\"",
            (Server::Lying, false) => "404 Not Found",
        };
        taken.drain(..end + 4 + length);
        let answer = format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n");
        if connection.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// A gateway that refuses and keeps everything, in a bucket behind this port; the verdict has three seconds.
fn gateway(policy: &PolicyFolder, s3: u16, milter: &Port) -> Gateway {
    let configuration = format!(
        "[[client]]\nname = \"mx\"\nlisten = [\"tcp://127.0.0.1:{}\"]\ndeadline_seconds = 3\n\
         [quarantine]\nstore = \"s3://{}/mail\"\n\
         [quarantine.s3]\nendpoint = \"http://127.0.0.1:{s3}\"\nregion = \"eu-central-1\"\n\
         access_key_id = \"who\"\nsecret_access_key = \"hush\"\n",
        milter.number(),
        S3::BUCKET,
    );
    let upstream = Upstream::Embedded(Some(policy.path().to_owned()));
    let mut gateway = Gateway::start_with(&upstream, &[], &configuration);
    gateway.process.wait_for_port(milter.number());
    gateway
}

fn ordinary(subject: &str) -> Message {
    Message::parse(&message::simple(subject))
}

#[test]
fn the_failure_table_answers_for_a_store_that_is_slow_or_refuses() {
    let policy = PolicyFolder::of(REFUSE_ALL);
    let free = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let nobody = free.local_addr().expect("it is bound").port();
    drop(free);
    for (port, kind) in [
        (serve(Server::Silent), "deadline"),
        (serve(Server::Refusing), "store"),
        (nobody, "store"),
    ] {
        let milter = Port::reserve();
        let gateway = gateway(&policy, port, &milter);
        let mail = Sender::connect(milter.number()).send(ordinary(kind));
        assert!(mail.answer().starts_with("451 4.3."), "{mail:?}");
        assert!(mail.answer().contains(kind), "{mail:?}");
        assert!(!gateway.log().contains("hush"));
    }
}

#[test]
fn a_store_that_says_it_has_what_it_has_not_is_named_in_the_log() {
    let policy = PolicyFolder::of(REFUSE_ALL);
    let milter = Port::reserve();
    let gateway = gateway(&policy, serve(Server::Lying), &milter);
    let mail = Sender::connect(milter.number()).send(ordinary("lost"));
    assert!(mail.answer().starts_with('5'), "{mail:?}");
    let told = poll(|| {
        gateway
            .log()
            .contains("THE STORE HAS LOST A COPY")
            .then_some(())
    });
    assert!(told.is_some(), "{}", gateway.log());
}

#[test]
fn what_is_kept_in_a_bucket_is_listed_shown_and_deleted_from_it() {
    let server = S3::start();
    let policy = PolicyFolder::of(REFUSE_ALL);
    let milter = Port::reserve();
    let _gateway = gateway(&policy, server.port(), &milter);
    let mut sender = Sender::connect(milter.number());
    for subject in ["one", "two"] {
        let mail = sender.send(ordinary(subject));
        assert!(mail.answer().starts_with('5'), "{mail:?}");
    }
    let run = |words: &[&str]| {
        let output = Command::new(binary("millrace"))
            .arg("quarantine")
            .args(words)
            .args(["--store", &format!("s3://{}/mail", S3::BUCKET)])
            .env("AWS_ENDPOINT_URL", server.url())
            .env("AWS_REGION", "eu-central-1")
            .env("AWS_ACCESS_KEY_ID", "who")
            .env("AWS_SECRET_ACCESS_KEY", "hush")
            .output()
            .expect("millrace starts");
        let problem = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {problem}");
        String::from_utf8(output.stdout).expect("the output is UTF-8")
    };
    let listed = || -> Vec<serde_json::Value> {
        let text = run(&["list", "--format", "json"]);
        let lines = text.lines().map(serde_json::from_str);
        lines.collect::<Result<_, _>>().expect("JSON")
    };
    let copies = poll(|| Some(listed()).filter(|copies| copies.len() == 2));
    let copies = copies.expect("what was kept is listed");
    let id = copies[0]["id"].as_str().expect("an identifier");
    assert!(run(&["show", "--raw", id]).contains("Subject: two"));
    run(&["delete", id]);
    assert_eq!(listed().len(), 1);
    assert!(run(&["stats"]).starts_with("1 copies"));
}
