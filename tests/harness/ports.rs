//! Free TCP ports on loopback for processes that must be told their port.
//!
//! Ports come from below the range that the kernel hands to outgoing connections, so nothing takes
//! one by chance between our look and the child's `bind`. Tests in other processes are kept off by
//! a lock on a file named after the port, which a [`Port`] holds as long as it lives.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

const FIRST: u32 = 11_000;
const COUNT: u32 = 20_000;

/// A port of 127.0.0.1 that no other test has while this value lives.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// Takes a free port.
    ///
    /// # Panics
    /// When every port of the range is taken.
    pub fn reserve() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let start = process::id().wrapping_mul(61);
        for _ in 0..COUNT {
            let candidate =
                FIRST + start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
            let number = u16::try_from(candidate).expect("the range lies within u16");
            if let Some(port) = Self::try_take(number) {
                return port;
            }
        }
        panic!(
            "no free port on loopback between {FIRST} and {}",
            FIRST + COUNT
        );
    }

    /// The port's number.
    pub fn number(&self) -> u16 {
        self.number
    }

    fn try_take(number: u16) -> Option<Self> {
        let lock = File::create(lock_folder().join(number.to_string())).ok()?;
        lock.try_lock().ok()?;
        TcpListener::bind(("127.0.0.1", number)).ok()?;
        Some(Self {
            number,
            _lock: lock,
        })
    }
}

fn lock_folder() -> PathBuf {
    let folder = std::env::temp_dir().join("millrace-test-ports");
    fs::create_dir_all(&folder).expect("the folder for port locks can be made");
    folder
}
