//! What keeping a 4 KiB message costs, against the price of making the same bytes durable: CPU time of this process,
//! both in one run, by turns. Prints a ratio.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use millrace_proto::{
    Capabilities, ConduitKind, Connection, Direction, Envelope, LineEnding, Path as MailPath,
    Revision, Transaction, TransactionId, Verdict,
};
use millrace_quarantine::Quarantine;
use nix::sys::resource::{UsageWho, getrusage};

const TURNS: usize = 5;
const MESSAGES: usize = 400;

fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("the system counts");
    let time = |time: nix::sys::time::TimeVal| {
        Duration::from_secs(u64::try_from(time.tv_sec()).unwrap_or(0))
            + Duration::from_micros(u64::try_from(time.tv_usec()).unwrap_or(0))
    };
    time(usage.user_time()) + time(usage.system_time())
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

/// Write, fsync, rename, fsync of the folder.
fn floor(folder: &Path, number: usize) {
    let (beside, name) = (folder.join("new"), folder.join(number.to_string()));
    let mut file = File::create(&beside).expect("a file");
    file.write_all(&message(number)).expect("it is written");
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
    let (mut kept, mut bare) = (Duration::ZERO, Duration::ZERO);
    for turn in 0..TURNS {
        let plain = folder.path().join(format!("floor{turn}"));
        fs::create_dir(&plain).expect("a folder");
        let begun = cpu();
        for number in 0..MESSAGES {
            floor(&plain, number);
        }
        bare += cpu() - begun;
        let begun = cpu();
        runtime.block_on(async {
            for number in 0..MESSAGES {
                let content = message(turn * MESSAGES + number);
                let transaction = transaction();
                store
                    .keep(&transaction, &verdict, content)
                    .await
                    .expect("it is kept");
            }
        });
        kept += cpu() - begun;
    }
    let each = |total: Duration| total.as_secs_f64() * 1e6 / (TURNS * MESSAGES) as f64;
    println!(
        "keeping a 4 KiB message: {:.0} us of CPU; write + fsync + rename of the same bytes: {:.0} us; ratio {:.2}",
        each(kept),
        each(bare),
        each(kept) / each(bare)
    );
}
