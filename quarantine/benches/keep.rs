//! What keeping a 4 KiB message costs, against the price of making the same bytes durable: CPU time of this process,
//! both in one run, message by message. Prints ratios; what settling adds, which happens after the answer, is told
//! beside it.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use millrace_proto::{
    Capabilities, ConduitKind, Connection, Direction, Disposition, Envelope, LineEnding, Outcome,
    OutcomeKind, Path as MailPath, Revision, Settlement, Transaction, TransactionId, Verdict,
};
use millrace_quarantine::Quarantine;
use nix::time::{ClockId, clock_gettime};

const MESSAGES: usize = 1500;

/// CPU time of all threads of this process.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("the system counts");
    Duration::from(time)
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
    let (beside, name) = (folder.join("new"), folder.join(number.to_string()));
    let mut file = File::create(&beside).expect("a file");
    file.write_all(message).expect("it is written");
    file.sync_all().expect("it is durable");
    fs::rename(&beside, &name).expect("it has its name");
    let folder = File::open(folder).expect("the folder");
    folder.sync_all().expect("its name is durable");
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
    for number in 0..MESSAGES {
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
    let each = |total: Duration| total.as_secs_f64() * 1e6 / MESSAGES as f64;
    println!(
        "keeping a 4 KiB message: {:.0} us of CPU; write + fsync + rename + fsync of the folder, of the same bytes: {:.0} us; ratio {:.2}",
        each(kept),
        each(bare),
        each(kept) / each(bare)
    );
    println!(
        "settling it, after the answer: {:.0} us of CPU; ratio {:.2}",
        each(settled),
        each(settled) / each(bare)
    );
}
