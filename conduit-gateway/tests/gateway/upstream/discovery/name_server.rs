//! A name server that says what the test wants, for every name (RFC 1035 §4.1).

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::net::UdpSocket;
use tokio_util::task::AbortOnDropHandle;

/// What it says to whoever asks.
#[derive(Debug, Clone)]
pub enum Says {
    /// These A records.
    Addresses(Vec<Ipv4Addr>),
    /// RCODE 3.
    NoSuchName,
    /// RCODE 2.
    Failure,
    /// It does not answer.
    Nothing,
}

#[derive(Debug)]
pub struct NameServer {
    pub address: SocketAddr,
    says: Arc<Mutex<Says>>,
    asked: Arc<AtomicUsize>,
    _task: AbortOnDropHandle<()>,
}

const TYPE_A: u16 = 1;

impl NameServer {
    pub async fn start(addresses: &[&str]) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let says = Arc::new(Mutex::new(Says::Nothing));
        let asked = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(serve(socket, says.clone(), asked.clone()));
        let server = Self {
            address,
            says,
            asked,
            _task: AbortOnDropHandle::new(task),
        };
        server.tell(addresses);
        server
    }

    pub fn tell(&self, addresses: &[&str]) {
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        self.says(Says::Addresses(addresses));
    }

    pub fn says(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    /// How many questions came.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn serve(socket: UdpSocket, says: Arc<Mutex<Says>>, asked: Arc<AtomicUsize>) {
    let mut query = [0; 512];
    loop {
        let (length, from) = socket.recv_from(&mut query).await.unwrap();
        asked.fetch_add(1, Ordering::SeqCst);
        let says = says.lock().unwrap().clone();
        if let Some(answer) = answer(&query[..length], &says) {
            socket.send_to(&answer, from).await.unwrap();
        }
    }
}

fn answer(query: &[u8], says: &Says) -> Option<Vec<u8>> {
    // The question: a name of labels up to an empty one, type and class.
    let mut end = 12;
    while query[end] != 0 {
        end += 1 + usize::from(query[end]);
    }
    end += 5;
    let kind = u16::from_be_bytes([query[end - 4], query[end - 3]]);
    let (code, addresses) = match says {
        Says::Addresses(addresses) if kind == TYPE_A => (0, addresses.clone()),
        Says::Addresses(_) => (0, vec![]),
        Says::NoSuchName => (3, vec![]),
        Says::Failure => (2, vec![]),
        Says::Nothing => return None,
    };
    let count = u8::try_from(addresses.len()).unwrap();
    let mut answer = query[..2].to_vec();
    answer.extend([0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0]);
    answer.extend(&query[12..end]);
    for address in addresses {
        // A pointer to the question's name; A, IN, TTL 0.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        answer.extend(address.octets());
    }
    Some(answer)
}
