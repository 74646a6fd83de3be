//! A qmail home with `millrace-qmail-queue`, a qmail-queue that records what it gets, and a gateway.
#![allow(dead_code, unused_imports)] // several test programs, each of which uses a part

mod delivery;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};

use millrace_proto::pb::processing_service_server::{ProcessingService, ProcessingServiceServer};
use millrace_proto::{
    CallError, Disposition, Keeping, Reply, Revision, Transaction, Verdict, lower, pb,
};
use tokio_stream::wrappers::UnixListenerStream;
use tokio_stream::{Empty, StreamExt};
use tonic::{Request, Response, Status, Streaming};

pub use delivery::Delivered;

type Answer = dyn Fn(&Transaction) -> Result<Verdict, CallError> + Send + Sync;
type Asked = Arc<Mutex<Vec<(Transaction, Vec<u8>)>>>;

/// Whom the test plays.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Caller {
    Network,
    Bounce,
    Local,
}

/// A qmail home.
pub struct Home {
    folder: tempfile::TempDir,
    gateway: String,
    configuration: Mutex<String>,
    asked: Asked,
    _runtime: Option<tokio::runtime::Runtime>,
}

struct Gateway {
    answer: Arc<Answer>,
    keeping: Keeping,
    asked: Asked,
}

pub fn accept() -> Verdict {
    Verdict::accept(Revision::new("abc123").unwrap(), "scripted".into())
}

pub fn refuse(code: u32, text: &str) -> Verdict {
    let enhanced = if code < 500 { "4.7.1" } else { "5.7.1" };
    Verdict {
        disposition: if code < 500 {
            Disposition::Tempfail
        } else {
            Disposition::Reject
        },
        reply: Some(Reply::new(code, Some(enhanced), text).unwrap()),
        ..accept()
    }
}

impl Home {
    pub fn giving(verdict: Verdict) -> Self {
        Self::answering(move |_| Ok(verdict.clone()))
    }

    /// Where copies can be kept, or not.
    pub fn keeping(keeping: Keeping, verdict: Verdict) -> Self {
        Self::judging(keeping, move |_| Ok(verdict.clone()))
    }

    pub fn answering(
        answer: impl Fn(&Transaction) -> Result<Verdict, CallError> + Send + Sync + 'static,
    ) -> Self {
        Self::judging(Keeping::Unavailable, answer)
    }

    fn judging(
        keeping: Keeping,
        answer: impl Fn(&Transaction) -> Result<Verdict, CallError> + Send + Sync + 'static,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("gateway.sock");
        let asked = Asked::default();
        let gateway = Gateway {
            answer: Arc::new(answer),
            keeping,
            asked: asked.clone(),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = {
            let _inside = runtime.enter();
            tokio::net::UnixListener::bind(&socket).unwrap()
        };
        runtime.spawn(
            tonic::transport::Server::builder()
                .add_service(ProcessingServiceServer::new(gateway))
                .serve_with_incoming(UnixListenerStream::new(listener)),
        );
        let gateway = format!("'unix://{}'", socket.display());
        Self::new(folder, gateway, asked, Some(runtime), "")
    }

    /// Port 1 is nobody's.
    pub fn without_gateway(rules: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let gateway = "'http://127.0.0.1:1'".to_owned();
        Self::new(folder, gateway, Asked::default(), None, rules)
    }

    fn new(
        folder: tempfile::TempDir,
        gateway: String,
        asked: Asked,
        runtime: Option<tokio::runtime::Runtime>,
        rules: &str,
    ) -> Self {
        let home = Self {
            folder,
            gateway,
            configuration: Mutex::default(),
            asked,
            _runtime: runtime,
        };
        for name in ["bin", "control", "queue"] {
            fs::create_dir(home.path(name)).unwrap();
        }
        fs::copy(
            env!("CARGO_BIN_EXE_millrace-qmail-queue"),
            home.path("bin/qmail-queue"),
        )
        .unwrap();
        fs::copy(recording_queue(), home.path("bin/qmail-queue.orig")).unwrap();
        home.configure(&format!(
            "gateways = [{}]\nlog = '{}'\n{rules}",
            home.gateway,
            home.path("log").display()
        ));
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn configure(&self, text: &str) {
        *self.configuration.lock().unwrap() = text.to_owned();
    }

    /// A gateway that is gone before the one that is there.
    pub fn configure_second(&self) {
        let log = self.path("log");
        self.configure(&format!(
            "gateways = ['http://127.0.0.1:1', {}]\nlog = '{}'",
            self.gateway,
            log.display()
        ));
    }

    pub fn real_exits_with(&self, code: u8) {
        fs::write(self.path("control/exit"), code.to_string()).unwrap();
    }

    pub fn install_over_itself(&self, copied: bool) {
        let (own, real) = (
            self.path("bin/qmail-queue"),
            self.path("bin/qmail-queue.orig"),
        );
        fs::remove_file(&real).unwrap();
        if copied {
            fs::copy(own, real).unwrap();
        } else {
            fs::hard_link(own, real).unwrap();
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub fn asked(&self) -> Vec<(Transaction, Vec<u8>)> {
        self.asked.lock().unwrap().clone()
    }

    /// Messages and envelopes that the real qmail-queue got.
    pub fn queued(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let entries = fs::read_dir(self.path("queue")).unwrap();
        entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|end| end == "message"))
            .map(|path| {
                (
                    fs::read(&path).unwrap(),
                    fs::read(path.with_extension("envelope")).unwrap(),
                )
            })
            .collect()
    }

    pub fn empty(&self) {
        fs::remove_dir_all(self.path("queue")).unwrap();
        fs::create_dir(self.path("queue")).unwrap();
    }

    /// Calls it as `qmail.c` does: the whole message to descriptor 0, then the envelope to 1. The exit code.
    pub fn call(&self, caller: Caller, message: &[u8], envelope: &[u8]) -> i32 {
        let program = Command::new(self.path("bin/qmail-queue"));
        self.finish(program, caller, message, envelope)
    }

    /// The same, with a FIFO that is open for writing on this descriptor, and what came of it.
    pub fn call_with_error_descriptor(
        &self,
        number: u32,
        message: &[u8],
        envelope: &[u8],
    ) -> (i32, String) {
        let fifo = self.path("error");
        let _ = fs::remove_file(&fifo);
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        let mut reader = fs::OpenOptions::new()
            .read(true)
            .custom_flags(nix::libc::O_NONBLOCK)
            .open(&fifo)
            .unwrap();
        let mut shell = Command::new("/bin/sh");
        shell
            .arg("-c")
            .arg(format!("exec {number}>error; exec bin/qmail-queue"));
        let code = self.finish(shell, Caller::Network, message, envelope);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        (code, text)
    }

    fn finish(&self, program: Command, caller: Caller, message: &[u8], envelope: &[u8]) -> i32 {
        let (mut child, mut to) = self.start(program, caller);
        // A caller that is left with a broken pipe waits for the exit code as well.
        let mut stdin = child.stdin.take().unwrap();
        let _ = stdin.write_all(message);
        drop(stdin);
        let _ = to.write_all(envelope);
        drop(to);
        child.wait().unwrap().code().unwrap()
    }

    fn start(&self, mut program: Command, caller: Caller) -> (Child, std::io::PipeWriter) {
        // The test's own uid is the caller's: the configuration says whose it is.
        let uid = nix::unistd::getuid();
        let mut text = self.configuration.lock().unwrap().clone();
        for (kind, table) in [
            (Caller::Network, "[network]\n"),
            (Caller::Bounce, "[bounce]\n"),
        ] {
            let users = if caller == kind {
                format!("users = [{uid}]\n")
            } else {
                "users = []\n".to_owned()
            };
            match text.find(table) {
                Some(at) => text.insert_str(at + table.len(), &users),
                None => text.push_str(&format!("\n{table}{users}")),
            }
        }
        fs::write(self.path("control/millrace.toml"), text).unwrap();
        let (from, to) = std::io::pipe().unwrap();
        let child = program
            .current_dir(self.folder.path())
            .env("TCPREMOTEIP", "198.51.100.7")
            .env_remove("RELAYCLIENT")
            .stdin(Stdio::piped())
            .stdout(Stdio::from(from))
            .spawn()
            .unwrap();
        (child, to)
    }
}

#[tonic::async_trait]
impl ProcessingService for Gateway {
    type WatchPlanStream = Pin<Box<Empty<Result<pb::WatchPlanResponse, Status>>>>;

    async fn watch_plan(
        &self,
        _: Request<pb::WatchPlanRequest>,
    ) -> Result<Response<Self::WatchPlanStream>, Status> {
        Ok(Response::new(Box::pin(tokio_stream::empty())))
    }

    async fn screen(
        &self,
        _: Request<pb::ScreenRequest>,
    ) -> Result<Response<pb::ScreenResponse>, Status> {
        Err(Status::unimplemented("a qmail-queue screens nothing"))
    }

    async fn process(
        &self,
        request: Request<Streaming<pb::ProcessRequest>>,
    ) -> Result<Response<pb::ProcessResponse>, Status> {
        let mut frames = request.into_inner();
        let (mut transaction, mut content) = (None, Vec::new());
        while let Some(frame) = frames.next().await {
            let frame = frame?;
            transaction = transaction.or(frame.transaction);
            content.extend_from_slice(&frame.content);
        }
        let transaction = Transaction::try_from(transaction.unwrap()).unwrap();
        let verdict = (self.answer)(&transaction);
        self.asked
            .lock()
            .unwrap()
            .push((transaction.clone(), content));
        let verdict = lower(verdict?, &transaction, self.keeping);
        Ok(Response::new(pb::ProcessResponse {
            verdict: Some(verdict.into()),
        }))
    }

    async fn settle(
        &self,
        _: Request<pb::SettleRequest>,
    ) -> Result<Response<pb::SettleResponse>, Status> {
        Ok(Response::new(pb::SettleResponse {}))
    }
}

/// The recording qmail-queue, compiled once.
fn recording_queue() -> &'static Path {
    static PROGRAM: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, program) = PROGRAM.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("qmail-queue");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/qmail-queue.c");
        let status = Command::new("cc")
            .arg("-o")
            .arg(&program)
            .arg(source)
            .status();
        assert!(status.expect("cc (Debian package gcc)").success());
        (folder, program)
    });
    program
}
