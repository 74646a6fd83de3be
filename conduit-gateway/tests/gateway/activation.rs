//! Sockets that systemd hands over: the program listens on them, and an upgrade refuses nobody.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::support::{MailServer, message, soon};

/// The program, killed at the test's end.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(listener: &TcpListener, address: &str) -> Program {
    fcntl(listener, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let child = Command::new(assert_cmd::cargo::cargo_bin("conduit-gateway"))
        .args(["--milter", address, "--embedded", "--admin", "127.0.0.1:0"])
        .env("LISTEN_FDS", "1")
        .env("LISTEN_FDNAMES", "mx")
        .env("LISTEN_FDS_FIRST_FD", listener.as_raw_fd().to_string())
        .env_remove("LISTEN_PID")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    Program(child)
}

#[tokio::test]
async fn mail_passes_over_a_socket_that_was_handed_over_from_one_process_to_the_next() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    for name in ["systemd:mx", "systemd:"] {
        let program = start(&listener, name);
        // Connects before the program listens: the system keeps the connection for it.
        let mut server = MailServer::connect(&address).await;
        let mail = soon("an answer", server.send(message("x\r\n")))
            .await
            .unwrap();
        assert_eq!(mail.answer(), "accept", "{name}");
        drop(program);
    }
}

#[tokio::test]
async fn a_name_that_systemd_does_not_know_is_an_error_that_lists_those_it_does() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut program = start(&listener, "systemd:other");
    let lines = BufReader::new(program.0.stderr.take().unwrap()).lines();
    let text: Vec<String> = lines.map_while(Result::ok).collect();
    assert!(!program.0.wait().unwrap().success());
    assert!(
        text.join("\n")
            .contains("no socket of this name (FileDescriptorName=); there are: mx"),
        "{text:?}"
    );
}
