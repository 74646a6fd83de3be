//! A cluster under load while its processes are killed, stopped, started again and given other policies, and members
//! of its etcd are killed, at random.
//!
//! `make chaos` runs it for CHAOS_SECONDS (60), `make test` for 10. What goes wrong is random by a seed, CHAOS_SEED;
//! what the machine makes of it in the meantime is not.

mod cluster;

use std::env;
use std::time::{Duration, Instant};

use fastrand::Rng;
use millrace_tests::mta::{Kind, Mta, Wanted};
use millrace_tests::sink::Sink;
use millrace_tests::traffic::Traffic;

use cluster::Cluster;

const SECONDS: u64 = 10;
/// SMTP clients of each mail server.
const CLIENTS: usize = 4;

#[test]
fn nothing_is_lost_and_nothing_doubled() {
    let number = |name: &str, default: u64| match env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number")),
        Err(_) => default,
    };
    let seconds = number("CHAOS_SECONDS", SECONDS);
    let seed = number("CHAOS_SEED", Rng::new().u64(..1_000_000));
    println!("{seconds} s of chaos from seed {seed}");
    let mut rng = Rng::with_seed(seed);

    let mut cluster = Cluster::start();
    let sink = Sink::start();
    let servers: Vec<Mta> = cluster
        .milters()
        .map(|port| Mta::start(Kind::Postfix, &sink, &Wanted::filtered_by(port)))
        .collect();
    let ports: Vec<u16> = servers.iter().map(Mta::port).collect();
    let traffic = Traffic::start(&ports, CLIENTS);
    let load = cluster.load(seconds);
    let begun = Instant::now();
    let mut events = 0;
    while begun.elapsed() < Duration::from_secs(seconds) {
        let what = cluster.something_happens(&mut rng);
        events += 1;
        println!("{:>7.2} s  {what}", begun.elapsed().as_secs_f64());
        pause(Duration::from_millis(rng.u64(50..900)));
    }
    cluster.recovers();
    // When all is well again, mail flows.
    traffic.flows(20);
    let count = traffic.end(&sink);
    println!("\nby SMTP, through two Postfixes, over {events} events: {count}");
    println!(
        "by 'millrace load', to the first gateway: {}",
        load.report()
    );
    count.nothing_is_lost();
}

#[allow(clippy::disallowed_methods, reason = "tests have threads of their own")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
