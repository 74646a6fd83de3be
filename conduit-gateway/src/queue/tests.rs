use std::sync::Arc;

use futures_util::FutureExt;

use super::*;

const KIB: u64 = 1 << 10;
const LONG: Duration = Duration::from_secs(3600);

fn queue(limit: usize, length: usize) -> Arc<Queue> {
    let bounds = QueueBounds {
        length,
        patience: Duration::from_secs(10),
        brownout: Duration::from_secs(1),
    };
    Queue::new([1, 1], limit, bounds)
}

/// Waits in a task for a turn, and then gives it back at once, with its name on the list.
fn wait(
    queue: &Arc<Queue>,
    client: usize,
    name: &'static str,
    served: &Arc<Mutex<Vec<&'static str>>>,
) -> tokio::task::JoinHandle<bool> {
    let (queue, served) = (queue.clone(), served.clone());
    tokio::spawn(async move {
        match queue.turn(client, 60 * KIB, LONG).await {
            Ok(turn) => {
                served.lock().unwrap().push(name);
                drop(turn);
                true
            }
            Err(_) => false,
        }
    })
}

#[tokio::test]
async fn while_there_is_room_nobody_waits() {
    let queue = queue(2, 10);
    let first = queue.turn(0, KIB, LONG).now_or_never().unwrap().unwrap();
    let second = queue.turn(1, KIB, LONG).now_or_never().unwrap().unwrap();
    assert!(!first.is_overloaded());
    assert!(queue.turn(0, KIB, LONG).now_or_never().is_none());
    drop(second);
    assert!(queue.turn(0, KIB, LONG).now_or_never().is_some());
}

#[tokio::test]
async fn a_quiet_client_goes_before_a_flood_that_was_there_first() {
    let queue = queue(1, 100);
    let served = Arc::default();
    let busy = queue.turn(0, KIB, LONG).await.unwrap();
    let mut tasks: Vec<_> = (0..20).map(|_| wait(&queue, 0, "flood", &served)).collect();
    tokio::task::yield_now().await;
    tasks.push(wait(&queue, 1, "quiet", &served));
    tokio::task::yield_now().await;
    assert_eq!((queue.depth(0), queue.depth(1)), (20, 1));
    drop(busy);
    for task in tasks {
        assert!(task.await.unwrap());
    }
    let served = served.lock().unwrap();
    let before = served.iter().take_while(|&&name| name == "flood").count();
    assert!(before <= 1, "{before} of the flood went before it");
    assert_eq!((queue.depth(0), queue.depth(1)), (0, 0));
}

#[tokio::test]
async fn a_full_queue_sheds_the_flood_and_not_the_quiet() {
    let queue = queue(1, 5);
    let served = Arc::default();
    let busy = queue.turn(0, KIB, LONG).await.unwrap();
    let flood: Vec<_> = (0..20).map(|_| wait(&queue, 0, "flood", &served)).collect();
    tokio::task::yield_now().await;
    let quiet = wait(&queue, 1, "quiet", &served);
    tokio::task::yield_now().await;
    drop(busy);
    assert!(quiet.await.unwrap(), "the quiet one is served");
    let mut count = 0;
    for task in flood {
        count += usize::from(task.await.unwrap());
    }
    assert_eq!(count, 4, "the rest of the places");
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_does_not_come_is_an_overload() {
    let queue = queue(1, 5);
    let busy = queue.turn(0, KIB, LONG).await.unwrap();
    for (patience, seconds) in [(LONG, 10), (Duration::from_secs(3), 3)] {
        let since = Instant::now();
        let failure = queue.turn(0, KIB, patience).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Overload);
        assert_eq!(since.elapsed().as_secs(), seconds);
        assert_eq!(queue.depth(0), 0, "it gave its place up");
    }
    drop(busy);
    assert!(queue.turn(0, KIB, LONG).now_or_never().is_some());
}

#[tokio::test(start_paused = true)]
async fn who_waited_for_long_is_judged_with_less() {
    let queue = queue(1, 5);
    for (wait, overloaded) in [(500, false), (1500, true)] {
        let busy = queue.turn(0, KIB, LONG).await.unwrap();
        let waiting = queue.turn(1, KIB, LONG);
        let leaving = async {
            tokio::time::sleep(Duration::from_millis(wait)).await;
            drop(busy);
        };
        let (turn, ()) = tokio::join!(waiting, leaving);
        assert_eq!(turn.unwrap().is_overloaded(), overloaded, "{wait} ms");
    }
}

#[tokio::test]
async fn who_goes_leaves_no_place_and_takes_no_turn_away() {
    let queue = queue(1, 5);
    let busy = queue.turn(0, KIB, LONG).await.unwrap();
    assert!(queue.turn(0, KIB, LONG).now_or_never().is_none());
    assert_eq!(queue.depth(0), 0);
    // One whose turn has come, and who goes before he takes it.
    let mut late = Box::pin(queue.turn(0, KIB, LONG));
    assert!(late.as_mut().now_or_never().is_none());
    drop(busy);
    drop(late);
    assert!(queue.turn(1, KIB, LONG).now_or_never().is_some());
}

#[tokio::test]
async fn more_room_is_used_at_once() {
    let queue = queue(1, 5);
    let _busy = queue.turn(0, KIB, LONG).await.unwrap();
    let mut waiting = Box::pin(queue.turn(1, KIB, LONG));
    assert!(waiting.as_mut().now_or_never().is_none());
    queue.admit(2);
    assert!(waiting.now_or_never().unwrap().is_ok());
    queue.admit(0);
    assert!(
        queue.turn(0, KIB, LONG).now_or_never().is_none(),
        "two are at work"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn never_more_at_once_than_admitted_and_everybody_is_served() {
    let queue = queue(3, 10_000);
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let tasks: Vec<_> = (0..2000)
        .map(|number| {
            let (queue, now, most) = (queue.clone(), now.clone(), most.clone());
            tokio::spawn(async move {
                let turn = queue.turn(number % 2, KIB, LONG).await.unwrap();
                let here = now.fetch_add(1, Ordering::SeqCst) + 1;
                most.fetch_max(here, Ordering::SeqCst);
                tokio::task::yield_now().await;
                now.fetch_sub(1, Ordering::SeqCst);
                drop(turn);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert!(most.load(Ordering::SeqCst) <= 3);
    assert_eq!(queue.places.taken(), 0);
}
