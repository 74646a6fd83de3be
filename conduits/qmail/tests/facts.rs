//! What a conduit must get right, each observed on real qmails: the numbers are those of `docs/qmail.md`'s list. Facts
//! 1, 2, 3, 6 and 8 have tests in `queue.rs` as well; what it costs (12) is measured by `make bench-qmail`.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod support;

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Command;
use std::time::Duration;

use millrace_proto::Verdict;
use support::{Caller, Home, accept, refuse};

const MAIL: &[u8] = b"Subject: x\n\nbody\n";
const ENVELOPE: &[u8] = b"Fa@example.org\0Tb@example.org\0\0";
const PRIVATE_GROUP: u32 = 7780;

const KILLED: Option<i32> = Some(9);

#[test]
fn fact_1_whoever_calls_clean_mail_is_queued_once_and_no_descriptor_of_the_callers_is_touched() {
    let home = Home::giving(accept());
    for caller in [
        Caller::Network,
        Caller::Bounce,
        Caller::Local,
        Caller::Forward,
    ] {
        let called = home.called(caller, 0, MAIL, ENVELOPE);
        assert_eq!(
            (called.code, called.spilt.len()),
            (Some(0), 0),
            "{called:?}"
        );
        assert_eq!(home.queued(), [(MAIL.to_vec(), ENVELOPE.to_vec())]);
        home.empty();
    }
}

#[test]
fn fact_2_text_goes_to_the_error_descriptor_alone_and_never_to_the_callers_own_pipes() {
    let home = Home::giving(refuse(550, "no spam"));
    // Of qmail-send and qmail-local 2 is a pipe, of qmail-send 4 as well: theirs, and no error descriptor.
    for (caller, code) in [
        (Caller::Local, 31),
        (Caller::Forward, 31),
        (Caller::Bounce, 0),
    ] {
        let called = home.called(caller, 0, MAIL, ENVELOPE);
        assert_eq!(called.code, Some(code), "{caller:?} {called:?}");
        assert_eq!((called.text.as_str(), called.spilt.len()), ("", 0));
    }
    let called = home.called(Caller::Local, 6, MAIL, ENVELOPE);
    assert_eq!(
        (called.code, called.text.as_str()),
        (Some(82), "Dno spam (#5.7.1)")
    );
}

#[test]
fn fact_2_a_log_on_a_pipe_is_no_error_descriptor_whichever_numbers_are_free() {
    let home = Home::giving(refuse(550, "no spam"));
    // Descriptor 2 is a pipe that is open for writing; with 3 taken, a copy of it would get 4.
    for open in ["", "3</dev/null", "3</dev/null 5</dev/null"] {
        let script = format!("exec bin/qmail-queue 0</dev/null 1<envelope {open}");
        fs::write(home.path("envelope"), ENVELOPE).unwrap();
        let output = Command::new("/bin/sh")
            .args(["-c", &script])
            .current_dir(home.folder())
            .uid(7791)
            .gid(7791)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(31), "{open}");
        assert!(output.stderr.is_empty(), "{open}");
    }
}

#[test]
fn a_descriptor_that_the_caller_has_closed_takes_no_file_of_ours() {
    let home = Home::giving(accept());
    fs::write(home.path("message"), MAIL).unwrap();
    fs::write(home.path("envelope"), ENVELOPE).unwrap();
    let status = Command::new("sh")
        .args(["-c", "exec bin/qmail-queue <message 1<envelope 2>&-"])
        .current_dir(home.folder())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0), "log: {}", home.log());
    assert_eq!(home.queued(), [(MAIL.to_vec(), ENVELOPE.to_vec())]);
}

#[test]
fn fact_3_a_caller_that_hangs_up_in_the_middle_queues_nothing() {
    let home = Home::giving(accept());
    for envelope in [&b""[..], b"Fa@example.org\0", b"Fa\0Tb\0"] {
        let child = home.start_whole(Caller::Network, MAIL, envelope);
        let status = child.wait_with_output().unwrap().status;
        assert_eq!(status.code(), Some(54));
        assert_eq!(home.files(), 0);
    }
    assert!(home.asked().is_empty());
}

#[test]
fn fact_4_killed_before_the_last_byte_of_the_envelope_it_leaves_nothing() {
    let home = Home::giving(accept());
    for (message, envelope) in [
        (&b""[..], &b""[..]),
        (MAIL, b""),
        (MAIL, b"Fa@exam"),
        (MAIL, b"Fa@example.org\0Tb@example.org\0"),
    ] {
        let (mut child, mut to, mut addresses) = home.start(Caller::Network);
        to.write_all(message).unwrap();
        addresses.write_all(envelope).unwrap();
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), KILLED);
        assert_eq!(home.files(), 0);
    }
}

/// Copies that are queued when whoever stands there is killed at this step of the real qmail-queue.
fn copies_when_killed_at(home: &Home, step: &str) -> usize {
    home.empty();
    home.real_stops_at(step);
    let mut child = home.start_whole(Caller::Network, MAIL, ENVELOPE);
    home.wait_until_stopped();
    let stopped = fs::read_to_string(home.path("queue/stopped")).unwrap();
    assert_eq!(
        stopped,
        child.id().to_string(),
        "the caller's child is the real qmail-queue"
    );
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), KILLED, "{step}");
    home.count()
}

#[test]
fn fact_5_killed_at_any_step_there_are_as_many_copies_as_of_the_bare_qmail_queue() {
    let home = Home::giving(accept());
    let steps = ["begin", "message", "envelope", "committed"];
    let with = steps.map(|step| copies_when_killed_at(&home, step));
    home.uninstall();
    let bare = steps.map(|step| copies_when_killed_at(&home, step));
    assert_eq!(with, bare);
    assert_eq!(bare, [0, 0, 0, 1], "the bare one has one such instant");
}

#[test]
fn fact_5_killed_while_a_verdict_is_awaited_it_leaves_nothing() {
    let home = Home::giving(accept());
    home.gateway().hold(true);
    let mut child = home.start_whole(Caller::Network, MAIL, ENVELOPE);
    home.until("the gateway is asked", || home.asked().len() == 1);
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), KILLED);
    assert_eq!(home.files(), 0);
}

#[test]
fn fact_5_killed_after_any_delay_a_message_that_is_tried_again_is_there_and_twice_only_where_the_bare_one_has_it()
 {
    let home = Home::giving(accept());
    let rounds = 60;
    let mut doubtful = 0;
    for round in 0..rounds {
        let mail = format!("Subject: {round}\n\nbody\n");
        let mut child = home.start_whole(Caller::Network, mail.as_bytes(), ENVELOPE);
        // Up to 30 ms, which is beyond the end of most.
        #[allow(clippy::disallowed_methods)] // a test's own thread
        std::thread::sleep(Duration::from_micros(round * 500));
        let _ = child.kill();
        let first = child.wait().unwrap();
        let queued = of(&home, &mail);
        if first.code() == Some(0) {
            assert_eq!(queued, 1, "round {round}: taken, so it is there");
            continue;
        }
        assert_eq!(first.signal(), KILLED, "round {round}");
        doubtful += queued;
        // Its caller says 451, and the client comes again.
        assert_eq!(home.call(Caller::Network, mail.as_bytes(), ENVELOPE), 0);
        assert_eq!(of(&home, &mail), queued + 1, "round {round}");
    }
    // Only between the real one's commit and its exit.
    assert!(
        doubtful <= 3,
        "{doubtful} of {rounds} were there and denied"
    );
}

fn of(home: &Home, mail: &str) -> usize {
    let queued = home.queued();
    queued
        .iter()
        .filter(|(message, _)| message == mail.as_bytes())
        .count()
}

#[test]
fn fact_6_bounces_and_local_mail_pass_a_gateway_that_does_not_answer() {
    let home = Home::giving(refuse(550, "no"));
    home.gateway().hold(true);
    for caller in [Caller::Bounce, Caller::Local] {
        assert_eq!(home.call(caller, MAIL, ENVELOPE), 0, "{caller:?}");
        let (message, _) = home.queued().pop().unwrap();
        let stamp = b"X-Millrace-Unscanned: deadline; transaction ";
        assert!(message.starts_with(stamp), "{}", message.escape_ascii());
        home.empty();
    }
}

#[test]
fn fact_6_a_mistake_in_the_configuration_holds_no_bounce_up() {
    let home = Home::giving(accept());
    home.configure("gateways = 7");
    // Without a file that can be read, qmail-send is who is called qmails.
    let users =
        "root:x:0:0::/:/bin/sh\nqmaild:x:7791:7791::/:/bin/sh\nqmails:x:7796:7796::/:/bin/sh\n";
    fs::write(home.path("passwd"), users).unwrap();
    fs::write(home.path("message"), MAIL).unwrap();
    fs::write(home.path("envelope"), b"F\0Tb\0\0").unwrap();
    for (uid, code, queued) in [(7796, 0, 1), (7791, 55, 0), (7799, 55, 0)] {
        let script = format!(
            "mount --bind passwd /etc/passwd && exec setpriv --reuid {uid} --regid {uid} --clear-groups \
             bin/qmail-queue 0<message 1<envelope"
        );
        let status = Command::new("unshare")
            .args(["--mount", "/bin/sh", "-c", &script])
            .current_dir(home.folder())
            .status()
            .unwrap();
        assert_eq!((status.code(), home.count()), (Some(code), queued), "{uid}");
        home.empty();
    }
}

#[test]
fn fact_7_what_the_real_qmail_queue_says_is_the_last_word() {
    let home = Home::giving(accept());
    for code in 1..=120 {
        home.real_exits_with(code);
        assert_eq!(home.call(Caller::Network, MAIL, ENVELOPE), i32::from(code));
    }
    home.real_exits_with(0);
    assert_eq!(home.call(Caller::Network, MAIL, ENVELOPE), 0);
    assert_eq!(home.count(), 1);
}

#[test]
fn fact_7_the_real_qmail_queues_own_alarm_ends_it_with_52() {
    let home = Home::giving(accept());
    fs::write(home.path("control/alarm"), "1").unwrap();
    home.real_stops_at("message");
    assert_eq!(home.call(Caller::Network, MAIL, ENVELOPE), 52);
    assert_eq!(home.count(), 0);
}

#[test]
fn facts_9_and_10_setgid_it_keeps_users_from_the_real_one_and_from_its_configuration() {
    let home = Home::giving(accept());
    let (front, real) = (
        home.path("bin/qmail-queue"),
        home.path("bin/qmail-queue.orig"),
    );
    // A copy of its own: modes and owners are the file's.
    let copy = home.path("bin/copy");
    fs::copy(&front, &copy).unwrap();
    fs::rename(copy, &front).unwrap();
    chown(&front, Some(0), Some(PRIVATE_GROUP)).unwrap();
    chown(&real, None, Some(PRIVATE_GROUP)).unwrap();
    fs::set_permissions(&real, Permissions::from_mode(0o4710)).unwrap();
    let file = home.path("control/millrace.toml");
    chown(&file, Some(0), Some(PRIVATE_GROUP)).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();

    fs::set_permissions(&front, Permissions::from_mode(0o755)).unwrap();
    assert_eq!(
        home.call(Caller::Local, MAIL, ENVELOPE),
        55,
        "without the group it cannot read its file"
    );
    fs::set_permissions(&front, Permissions::from_mode(0o2755)).unwrap();
    for caller in [Caller::Network, Caller::Local, Caller::Bounce] {
        assert_eq!(home.call(caller, MAIL, ENVELOPE), 0, "{caller:?}");
        assert_eq!(home.count(), 1);
        home.empty();
    }
    let direct = Command::new(&real).uid(7799).gid(7799).status();
    let error = direct.expect_err("a user cannot execute the real one");
    assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
    let read = Command::new("cat").arg(&file).uid(7799).gid(7799).output();
    assert!(!read.unwrap().status.success());
}

#[test]
fn fact_11_a_slow_client_takes_nothing_from_the_verdicts_deadline() {
    let home = Home::giving(accept());
    home.rule("[network]\ndeadline-ms = 2000\n");
    let (mut child, mut to, mut addresses) = home.start(Caller::Network);
    to.write_all(MAIL).unwrap();
    drop(to);
    #[allow(clippy::disallowed_methods)] // a test's own thread
    std::thread::sleep(Duration::from_millis(2200));
    addresses.write_all(ENVELOPE).unwrap();
    drop(addresses);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(home.count(), 1, "log: {}", home.log());
}

#[test]
fn mail_of_any_size_passes_in_a_bounded_address_space() {
    let verdict = Verdict {
        edits: vec![millrace_proto::Edit::InsertHeader {
            name: "X-Added".into(),
            value: "1".into(),
        }],
        ..accept()
    };
    let home = Home::giving(verdict);
    let program = fs::metadata(home.path("bin/qmail-queue")).unwrap().len();
    let large = vec![b'x'; usize::try_from(program).unwrap() + (30 << 20)];
    // The program itself, which is large as it is built for tests, its libraries, and no room for the message.
    let limit = (program + (12 << 20)).to_string();
    let called = home.called_by(Caller::Network, 0, &large, ENVELOPE, |command| {
        let caller = std::mem::replace(command, Command::new("prlimit"));
        command
            .arg(format!("--as={limit}"))
            .arg(caller.get_program())
            .args(caller.get_args());
        for (name, value) in caller.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
    });
    assert_eq!(called.code, Some(0), "log: {}", home.log());
    let (message, _) = home.queued().pop().unwrap();
    assert!(message == [b"X-Added: 1\n", &large[..]].concat());
}
