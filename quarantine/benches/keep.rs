//! What keeping a 4 KiB message costs, against the price of making the same bytes durable: CPU time of this process,
//! both in one run, message by message. Prints ratios; what settling adds, which happens after the answer, is told
//! beside it.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use millrace_proto::{
    Capabilities, ConduitKind, Connection, Direction, Disposition, Envelope, LineEnding, Outcome,
    OutcomeKind, Path as MailPath, Revision, Settlement, Transaction, TransactionId, Verdict,
};
use millrace_quarantine::Quarantine;
use nix::time::{ClockId, clock_gettime};

/// Messages that come one after the other.
const ALONE: usize = 1000;
/// Messages that come at the same moment, as they do to a busy node, and how often they do.
const AT_ONCE: usize = 16;
const TURNS: usize = 60;

/// CPU time of all threads of this process.
fn cpu() -> Duration {
    time(ClockId::CLOCK_PROCESS_CPUTIME_ID)
}

fn time(clock: ClockId) -> Duration {
    Duration::from(clock_gettime(clock).expect("the system counts"))
}

fn message(number: usize) -> Bytes {
    let mut content = format!("Subject: {number}\r\n\r\n").into_bytes();
    content.resize(4096, b'x');
    Bytes::from(content)
}

fn transaction() -> Transaction {
    Transaction {
        id: TransactionId::new(),
        conduit: ConduitKind::Milter,
        client: "mx".parse().expect("a name"),
        direction: Direction::Inbound,
        capabilities: Capabilities::ALL,
        connection: Connection::default(),
        envelope: Envelope {
            sender: Some(MailPath::new("a@x.example".to_owned())),
            recipients: vec![MailPath::new("b@y.example".to_owned())],
        },
        queue_id: None,
        macros: Vec::new(),
        line_ending: LineEnding::Crlf,
        revision: None,
    }
}

fn settlement(transaction: TransactionId) -> Settlement {
    Settlement {
        transaction,
        client: "mx".parse().expect("a name"),
        queue_id: None,
        revision: None,
        outcome: Outcome {
            kind: OutcomeKind::Done,
            disposition: Disposition::Reject,
        },
        kept: true,
    }
}

/// Write, fsync, rename, fsync of the folder.
fn floor(folder: &Path, number: usize, message: &[u8]) {
    let beside = folder.join(format!("new{number}"));
    let name = folder.join(number.to_string());
    let mut file = File::create(&beside).expect("a file");
    file.write_all(message).expect("it is written");
    file.sync_all().expect("it is durable");
    fs::rename(&beside, &name).expect("it has its name");
    let folder = File::open(folder).expect("the folder");
    folder.sync_all().expect("its name is durable");
}

/// The same bytes, made durable by as many threads at once: their CPU time, without what it costs to start them.
fn floors(folder: &Path, first: usize) -> Duration {
    let one = |number| {
        let begun = time(ClockId::CLOCK_THREAD_CPUTIME_ID);
        floor(folder, number, &message(number));
        time(ClockId::CLOCK_THREAD_CPUTIME_ID) - begun
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (first..first + AT_ONCE)
            .map(|number| scope.spawn(move || one(number)))
            .collect();
        let times = threads
            .into_iter()
            .map(|one| one.join().expect("it writes"));
        times.sum()
    })
}

fn main() {
    let folder = tempfile::tempdir().expect("a temp folder can be made");
    let store = folder.path().join("store");
    let store = Quarantine::open(store.to_str().expect("UTF-8")).expect("a store");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let verdict = Verdict::accept(Revision::new("abc").expect("a revision"), "node".into());
    let plain = folder.path().join("floor");
    fs::create_dir(&plain).expect("a folder");

    let (mut kept, mut bare, mut settled) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    for number in 0..ALONE {
        let (transaction, content) = (transaction(), message(number));
        let begun = cpu();
        floor(&plain, number, &content);
        bare += cpu() - begun;

        let begun = cpu();
        runtime
            .block_on(store.keep(&transaction, &verdict, content))
            .expect("it is kept");
        kept += cpu() - begun;

        let settlement = settlement(transaction.id);
        let begun = cpu();
        let known = runtime.block_on(store.settle(&settlement));
        settled += cpu() - begun;
        assert!(known.expect("it is settled"), "it was kept");
    }
    tell("one after the other", ALONE, kept, bare);
    println!(
        "settling one, after the answer: {:.0} us of CPU",
        each(ALONE, settled)
    );

    let (mut kept, mut bare) = (Duration::ZERO, Duration::ZERO);
    for turn in 0..TURNS {
        let first = ALONE + turn * AT_ONCE;
        bare += floors(&plain, first);

        let copies: Vec<_> = (first..first + AT_ONCE)
            .map(|number| (transaction(), message(number)))
            .collect();
        let begun = cpu();
        runtime.block_on(async {
            let copies = copies
                .iter()
                .map(|(transaction, content)| store.keep(transaction, &verdict, content.clone()));
            for one in futures_util::future::join_all(copies).await {
                one.expect("it is kept");
            }
        });
        kept += cpu() - begun;
        for (transaction, _) in &copies {
            let known = runtime.block_on(store.settle(&settlement(transaction.id)));
            assert!(known.expect("it is settled"), "it was kept");
        }
    }
    tell(&format!("{AT_ONCE} at once"), TURNS * AT_ONCE, kept, bare);
}

fn each(messages: usize, total: Duration) -> f64 {
    total.as_secs_f64() * 1e6 / messages as f64
}

fn tell(how: &str, messages: usize, kept: Duration, bare: Duration) {
    let (kept, bare) = (each(messages, kept), each(messages, bare));
    println!(
        "keeping 4 KiB messages, {how}: {kept:.0} us of CPU each; write + fsync + rename + fsync of the folder, of the same bytes: {bare:.0} us; ratio {:.2}",
        kept / bare
    );
}
