//! What a client feels of another that floods at ten times its share: the quiet one's latency alone, and beside the
//! flood, in one run. Prints a ratio of the 99th percentiles.
//!
//! The node takes four messages at once and 50 ms for each, so that the two share 80 messages a second, and the
//! processors are not what is short. Gateway, node and both mail servers run in this process.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    dead_code,
    unused_imports
)]

#[path = "../tests/gateway/support/mod.rs"]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use conduit_gateway::{ClientConfig, Config, ListenAddress};
use support::{MailServer, Script, ScriptedNode, TestGateway, config, message};

const AT_ONCE: usize = 4;
const SERVICE: Duration = Duration::from_millis(50);
/// Of a client, when both want all that they can have. Messages a second.
const SHARE: u32 = 40;
const FLOOD: u32 = 10 * SHARE;
/// The quiet client's own rate. Messages a second.
const QUIET: u32 = 10;
const MESSAGES: usize = 200;
/// Messages of the flood under way at once: what its mail server allows itself.
const FLOOD_CONNECTIONS: usize = 500;

fn two_clients() -> Config {
    let mut config = config();
    let first = config.clients.remove(0);
    config.clients = ["flood", "quiet"]
        .map(|name| ClientConfig {
            name: name.parse().unwrap(),
            ..first.clone()
        })
        .into();
    config.limits.in_flight = Some(AT_ONCE);
    config.limits.queue.length = 100;
    config
}

fn address(gateway: &TestGateway, client: &str) -> ListenAddress {
    let addresses = gateway.running.addresses();
    let found = addresses.iter().find(|(name, _)| name.as_str() == client);
    found.unwrap().1.clone()
}

/// The quiet client's latencies, sorted: a message at a time when it is due, whatever became of those before.
async fn quiet(address: &ListenAddress) -> Vec<Duration> {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / QUIET);
    let mut tasks = Vec::new();
    for _ in 0..MESSAGES {
        ticks.tick().await;
        let address = address.clone();
        tasks.push(tokio::spawn(async move {
            let since = Instant::now();
            let mut server = MailServer::connect(&address).await;
            let mail = server.send(message("x\r\n")).await.unwrap();
            assert_eq!(mail.answer(), "accept");
            since.elapsed()
        }));
    }
    let mut took = Vec::new();
    for task in tasks {
        took.push(task.await.unwrap());
    }
    took.sort_unstable();
    took
}

/// Floods until it is told to stop; gives how many were sent, and how many were accepted.
async fn flood(address: ListenAddress, stop: Arc<AtomicBool>) -> (usize, usize) {
    let accepted = Arc::new(AtomicUsize::new(0));
    let under_way = Arc::new(tokio::sync::Semaphore::new(FLOOD_CONNECTIONS));
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / FLOOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        let Ok(place) = under_way.clone().try_acquire_owned() else {
            continue;
        };
        sent += 1;
        let (address, accepted) = (address.clone(), accepted.clone());
        tokio::spawn(async move {
            let mut server = MailServer::connect(&address).await;
            let mail = server.send(message("x\r\n")).await;
            if mail.is_some_and(|mail| mail.answer() == "accept") {
                accepted.fetch_add(1, Ordering::Relaxed);
            }
            drop(place);
        });
    }
    (sent, accepted.load(Ordering::Relaxed))
}

fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    sorted[(sorted.len() - 1) * percent / 100].as_secs_f64() * 1000.0
}

#[tokio::main]
async fn main() {
    let node = ScriptedNode::start(Script::default().slowly(SERVICE)).await;
    let gateway = TestGateway::before(&node, two_clients()).await;
    let (quiet_at, flood_at) = (address(&gateway, "quiet"), address(&gateway, "flood"));

    let alone = quiet(&quiet_at).await;
    let stop = Arc::new(AtomicBool::new(false));
    let begun = Instant::now();
    let flooding = tokio::spawn(flood(flood_at, stop.clone()));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let beside = quiet(&quiet_at).await;
    stop.store(true, Ordering::Relaxed);
    let (sent, accepted) = flooding.await.unwrap();
    let rate = sent as f64 / begun.elapsed().as_secs_f64();

    println!("the flood: {rate:.0} messages a second, of which {accepted} of {sent} were judged");
    for (name, latencies) in [("alone", &alone), ("beside the flood", &beside)] {
        println!(
            "the quiet client {name}: p50 {:.1} ms, p99 {:.1} ms",
            percentile(latencies, 50),
            percentile(latencies, 99)
        );
    }
    println!(
        "its p99 beside the flood is {:.2} times that alone",
        percentile(&beside, 99) / percentile(&alone, 99)
    );
}
