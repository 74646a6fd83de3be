use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use millrace_tests::message;
use millrace_tests::mta::{Kind, Mta, Wanted};
use millrace_tests::sink::Sink;
use millrace_tests::smtp::Client;
use millrace_tests::with_both;

with_both!(
    a_letter_that_the_protocol_does_not_have_is_complained_of,
    an_edit_before_the_end_of_the_message_is_complained_of,
);

/// A filter that negotiates properly, and then gives this frame for an answer to MAIL.
fn filter_that_answers_mail_with(answer: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let port = listener.local_addr().expect("it is bound").port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream, answer));
        }
    });
    port
}

fn serve(mut stream: TcpStream, answer: &[u8]) -> Option<()> {
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length).ok()?;
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut frame).ok()?;
        let reply: &[u8] = match frame.first()? {
            b'O' => b"\0\0\0\x0dO\0\0\0\x06\0\0\0\x01\0\0\0\0",
            b'D' | b'A' | b'Q' => continue,
            b'M' => answer,
            _ => b"\0\0\0\x01c",
        };
        stream.write_all(reply).ok()?;
    }
}

#[track_caller]
fn is_complained_of(kind: Kind, answer: &'static [u8]) {
    let sink = Sink::start();
    let mta = Mta::start(
        kind,
        &sink,
        &Wanted::filtered_by(filter_that_answers_mail_with(answer)),
    );
    let mut client = Client::connect(mta.port());
    let reply = client.attempt(
        "s@origin.example",
        &["r@dest.example"],
        &message::simple("x"),
    );
    reply.expect("the connection holds").expect_temporary();
    assert!(!mta.complaints().is_empty(), "{}", mta.log());
}

fn a_letter_that_the_protocol_does_not_have_is_complained_of(kind: Kind) {
    is_complained_of(kind, b"\0\0\0\x01X");
}

fn an_edit_before_the_end_of_the_message_is_complained_of(kind: Kind) {
    is_complained_of(kind, b"\0\0\0\x05hX\0y\0");
}
