use std::fs;

use millrace_tests::message;
use millrace_tests::mta::{Kind, Mta, Wanted};
use millrace_tests::patience::until;
use millrace_tests::sink::Sink;
use millrace_tests::smtp::Client;
use nix::sys::signal::Signal;

use crate::servers::{Servers, Told};

#[test]
fn a_log_that_was_moved_away_goes_on_in_a_new_file_after_sighup() {
    let servers = Servers::start(&Told::default());
    let sink = Sink::start();
    let mta = Mta::start(
        Kind::Postfix,
        &sink,
        &Wanted::filtered_by(servers.gateway.port()),
    );
    let send = |subject| {
        Client::connect(mta.port())
            .message(
                "s@origin.example",
                &["r@dest.example"],
                &message::simple(subject),
            )
            .expect(250);
    };

    send("before");
    until("the first verdict is logged", || {
        servers.verdict_lines().len() == 1
    });
    let rotated = servers.log_file().with_extension("1");
    fs::rename(servers.log_file(), &rotated).expect("the log can be moved");
    servers.gateway.process.signal(Signal::SIGHUP);
    until("there is a new log", || servers.log_file().exists());
    let before = fs::read_to_string(&rotated).expect("the old log is there");

    send("after");
    until("the second verdict is logged in the new file", || {
        servers.verdict_lines().len() == 1
    });
    let now = fs::read_to_string(&rotated).expect("the old log is there");
    assert_eq!(now, before, "nothing more went to the old file");
}
