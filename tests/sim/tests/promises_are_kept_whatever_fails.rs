use std::env;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use millrace_sim::faults::plan;
use millrace_sim::promises;
use millrace_sim::record::Answer;
use millrace_sim::run::{Nodes, SIZE, run};

/// As many as take some four minutes on two cores.
const RUNS: u64 = 200;

#[derive(Default)]
struct Total {
    judged: usize,
    put_off: usize,
    lost: usize,
    settled: usize,
}

#[test]
fn in_every_run() {
    let number = |name: &str| {
        env::var(name).ok().map(|text| {
            text.parse::<u64>()
                .unwrap_or_else(|_| panic!("{name}={text} is no number"))
        })
    };
    let seeds = match number("MILLRACE_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("MILLRACE_SIM_RUNS").unwrap_or(RUNS),
    };
    let (next, total) = (AtomicU64::new(seeds.start), Mutex::new(Total::default()));
    let failures = Mutex::new(Vec::new());
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let broken = one(seed, &total);
                    if !broken.is_empty() {
                        failures.lock().unwrap().push((seed, broken));
                    }
                }
            });
        }
    });
    let total = total.into_inner().unwrap();
    let runs = seeds.end - seeds.start;
    println!(
        "{runs} runs: {} messages judged, {} put off, {} lost with their gateway; {} outcomes settled",
        total.judged, total.put_off, total.lost, total.settled
    );
    let failures = failures.into_inner().unwrap();
    for (seed, broken) in &failures {
        println!("\nseed {seed} breaks these promises:");
        for promise in broken {
            println!("  {promise}");
        }
        println!("with these events:");
        for event in plan(*seed, SIZE) {
            println!("  {:>9.3?} {:?}", event.at, event.what);
        }
        println!(
            "run it again: MILLRACE_SIM_SEED={seed} cargo nextest run -p millrace-sim --no-capture in_every_run"
        );
    }
    assert!(
        failures.is_empty(),
        "{} of {runs} runs fail",
        failures.len()
    );
    // A simulation in which nothing happens keeps every promise.
    assert!(total.judged as u64 > runs * 20 && total.settled as u64 > runs * 20);
}

fn one(seed: u64, total: &Mutex<Total>) -> Vec<String> {
    let seen = run(seed, &plan(seed, SIZE), Nodes::Real);
    let mut total = total.lock().expect("no run panicked with it");
    for answered in &seen.answers {
        match answered.answer {
            Answer::Judged { .. } => total.judged += 1,
            Answer::PutOff(_) => total.put_off += 1,
            _ => total.lost += 1,
        }
    }
    total.settled += seen.settled.len();
    promises::broken(&seen)
}
