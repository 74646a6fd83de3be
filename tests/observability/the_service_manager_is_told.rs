use std::os::unix::net::UnixDatagram;
use std::path::Path;

use millrace_tests::admin;
use millrace_tests::patience::PATIENCE;
use millrace_tests::ports::Port;
use millrace_tests::process::Process;
use millrace_tests::servers::binary;
use nix::sys::signal::Signal;

/// A service manager that listens for what one service says (sd_notify(3)).
struct Manager {
    socket: UnixDatagram,
    heard: String,
}

impl Manager {
    fn listen(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).expect("a socket can be made");
        socket
            .set_read_timeout(Some(PATIENCE))
            .expect("a live socket takes options");
        Self {
            socket,
            heard: String::new(),
        }
    }

    /// Listens until the service has said this.
    fn hear(&mut self, state: &str) {
        let mut datagram = [0; 4096];
        while !self.heard.lines().any(|line| line == state) {
            let length = self
                .socket
                .recv(&mut datagram)
                .unwrap_or_else(|error| panic!("no {state}: {error}; but {}", self.heard));
            self.heard += &String::from_utf8_lossy(&datagram[..length]);
            self.heard.push('\n');
        }
    }
}

fn ready_alive_and_stopping(program: &str, arguments: &[&str]) {
    let folder = tempfile::tempdir().expect("a temp folder can be made");
    let path = folder.path().join("notify");
    let mut manager = Manager::listen(&path);
    let mut service = Process::start_with(program, folder.path(), &binary(program), |command| {
        command
            .args(arguments)
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "200000");
    });
    manager.hear("READY=1");
    manager.hear("WATCHDOG=1");
    service.signal(Signal::SIGTERM);
    manager.hear("STOPPING=1");
    // The second signal skips the grace period.
    assert!(service.terminate().success(), "{}", service.output());
}

#[test]
fn a_node_says_that_it_is_ready_alive_and_stopping() {
    let [listen, admin] = std::array::from_fn(|_| Port::reserve());
    ready_alive_and_stopping(
        "mpd-node",
        &[
            &format!("--listen=127.0.0.1:{}", listen.number()),
            &format!("--admin=127.0.0.1:{}", admin.number()),
        ],
    );
}

#[test]
fn a_gateway_says_that_it_is_ready_alive_and_stopping() {
    let [milter, admin] = std::array::from_fn(|_| Port::reserve());
    ready_alive_and_stopping(
        "conduit-gateway",
        &[
            "--embedded",
            &format!("--milter=tcp://127.0.0.1:{}", milter.number()),
            &format!("--admin=127.0.0.1:{}", admin.number()),
        ],
    );
}

#[test]
fn a_server_that_drains_says_so_before_it_closes() {
    let [listen, port] = std::array::from_fn(|_| Port::reserve());
    let folder = tempfile::tempdir().expect("a temp folder can be made");
    let config = folder.path().join("node.toml");
    let text = format!(
        "listen = '127.0.0.1:{}'\nadmin = '127.0.0.1:{}'\n[drain]\ngrace_seconds = 3600\n",
        listen.number(),
        port.number()
    );
    std::fs::write(&config, text).expect("the temp folder can be written");
    let arguments = ["--config".as_ref(), config.as_os_str()];
    let mut node = Process::start("mpd-node", folder.path(), &binary("mpd-node"), arguments);
    let ready = |node: &mut Process, wanted: u16| -> String {
        node.wait_for(&format!("/readyz to say {wanted}"), |_| {
            admin::ask(port.number(), "/readyz")
                .and_then(|(status, body)| (status == wanted).then_some(body))
        })
    };
    ready(&mut node, 200);

    node.signal(Signal::SIGTERM);
    let body = ready(&mut node, 503);
    assert!(body.contains("draining"), "{body}");
    let alive = admin::ask(port.number(), "/healthz");
    assert!(matches!(alive, Some((200, _))), "{alive:?}");
    node.wait_for_port(listen.number());

    assert!(node.terminate().success(), "{}", node.output());
}
