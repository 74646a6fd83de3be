//! A link that delays what goes over it: a proxy that holds each piece back, in both directions.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// A port that leads to another, later. Connections end when either side ends them.
#[derive(Debug)]
pub struct SlowLink {
    port: u16,
    delay: Arc<AtomicU64>,
}

impl SlowLink {
    /// Listens on a free port of 127.0.0.1, and leads to `to` with this delay each way.
    ///
    /// # Panics
    /// When loopback has no port left.
    pub fn start(to: SocketAddr, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let port = listener
            .local_addr()
            .expect("a bound socket has an address")
            .port();
        let micros = u64::try_from(delay.as_micros()).expect("a delay of this century");
        let shared = Arc::new(AtomicU64::new(micros));
        let delay = Arc::clone(&shared);
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(to) else {
                    continue;
                };
                let _ = (near.set_nodelay(true), far.set_nodelay(true));
                if let (Ok(a), Ok(b)) = (near.try_clone(), far.try_clone()) {
                    pass(a, b, Arc::clone(&delay));
                    pass(far, near, Arc::clone(&delay));
                }
            }
        });
        Self {
            port,
            delay: shared,
        }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on what comes is delayed by so much.
    ///
    /// # Panics
    /// Never, for delays of this century.
    pub fn set_delay(&self, delay: Duration) {
        let micros = u64::try_from(delay.as_micros()).expect("a delay of this century");
        self.delay.store(micros, Ordering::Relaxed);
    }
}

/// Passes bytes on, each piece when its time has come; order is kept, and throughput is not limited.
fn pass(mut from: TcpStream, to: TcpStream, delay: Arc<AtomicU64>) {
    let (pieces, waiting) = channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(count) = from.read(&mut buffer) {
            let due = Instant::now() + Duration::from_micros(delay.load(Ordering::Relaxed));
            if count == 0 || pieces.send((due, buffer[..count].to_vec())).is_err() {
                break;
            }
        }
    });
    thread::spawn(move || deliver(&waiting, to));
}

fn deliver(waiting: &Receiver<(Instant, Vec<u8>)>, mut to: TcpStream) {
    for (due, bytes) in waiting {
        #[allow(clippy::disallowed_methods, reason = "a thread of its own")]
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
