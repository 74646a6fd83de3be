use std::time::Duration;

use super::*;
use crate::admin::Readiness;

const LIMITS: DrainLimits = DrainLimits {
    grace: Duration::from_secs(5),
    bound: Duration::from_secs(60),
};

struct Draining {
    drain: Drain,
    shutdown: Shutdown,
    readiness: Readiness,
    outcome: tokio::task::JoinHandle<Drained>,
}

/// A drain that runs on tokio's paused clock: its waits pass at once when nothing else is to be done.
fn draining() -> Draining {
    let (drain, shutdown, readiness) = (Drain::new(), Shutdown::new(), Readiness::default());
    let outcome = tokio::spawn({
        let (drain, shutdown, readiness) = (drain.clone(), shutdown.clone(), readiness.clone());
        async move { drain.run(&shutdown, &readiness, LIMITS).await }
    });
    Draining {
        drain,
        shutdown,
        readiness,
        outcome,
    }
}

#[tokio::test(start_paused = true)]
async fn work_in_flight_is_finished() {
    let Draining {
        drain,
        shutdown,
        readiness,
        outcome,
    } = draining();
    let activity = drain.activity();
    assert_eq!((drain.phase(), drain.in_flight()), (Phase::Running, 1));

    assert!(shutdown.request());
    drain.reached(Phase::Unready).await;
    assert!(!readiness.is_ready());
    assert!(
        !drain.closing().is_cancelled(),
        "still accepting during the grace period"
    );

    drain.closing().cancelled().await;
    assert_eq!(drain.phase(), Phase::Closing);
    assert!(!drain.cut().is_cancelled());
    drop(activity);
    assert_eq!(outcome.await.unwrap(), Drained::Clean);
    assert_eq!(drain.phase(), Phase::Done);
}

#[tokio::test(start_paused = true)]
async fn work_that_does_not_end_is_cut_off_at_the_bound() {
    let Draining {
        drain,
        shutdown,
        outcome,
        ..
    } = draining();
    let _activities = (drain.activity(), drain.activity());
    let begun = tokio::time::Instant::now();
    shutdown.request();
    drain.cut().cancelled().await;
    assert_eq!(
        begun.elapsed().as_secs(),
        (LIMITS.grace + LIMITS.bound).as_secs()
    );
    assert_eq!(outcome.await.unwrap(), Drained::Cut { in_flight: 2 });
}

#[tokio::test(start_paused = true)]
async fn a_second_request_skips_the_waits() {
    let Draining {
        drain,
        shutdown,
        outcome,
        ..
    } = draining();
    let _activity = drain.activity();
    let begun = tokio::time::Instant::now();
    assert!(shutdown.request());
    assert!(!shutdown.request());
    assert_eq!(outcome.await.unwrap(), Drained::Cut { in_flight: 1 });
    assert!(
        begun.elapsed() < LIMITS.grace,
        "on the paused clock no wait passed"
    );
}

#[tokio::test(start_paused = true)]
async fn a_process_with_nothing_to_do_still_gives_balancers_their_grace() {
    let Draining {
        shutdown, outcome, ..
    } = draining();
    let begun = tokio::time::Instant::now();
    shutdown.request();
    assert_eq!(outcome.await.unwrap(), Drained::Clean);
    assert_eq!(begun.elapsed().as_secs(), LIMITS.grace.as_secs());
}

#[test]
fn limits_are_read_in_seconds_and_unknown_keys_refused() {
    let file = std::path::Path::new("f.toml");
    let limits: DrainLimits = crate::config::parse(file, "grace_seconds = 0").unwrap();
    assert_eq!(
        limits,
        DrainLimits {
            grace: Duration::ZERO,
            ..DrainLimits::default()
        }
    );
    assert!(crate::config::parse::<DrainLimits>(file, "grace = 0").is_err());
}
