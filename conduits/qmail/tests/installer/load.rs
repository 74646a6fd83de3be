//! Callers who do not stop while it is put in place and taken away.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::tree::{Tree, USER, call};

const SWAPS: usize = 41;
const CALLERS: usize = 3;

#[test]
fn fact_8_nothing_is_lost_and_no_caller_is_without_a_qmail_queue_over_many_swaps() {
    let tree = Tree::new();
    let before = tree.listing();
    let (done, calls) = (AtomicBool::new(false), AtomicUsize::new(0));
    let live = tree.path("bin/qmail-queue");
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let id = calls.fetch_add(1, Ordering::Relaxed);
                    // A failure must not leave the swaps to run on alone.
                    let code = call(&live, USER, &id.to_string());
                    if !matches!(code, Ok(0)) {
                        done.store(true, Ordering::Relaxed);
                        panic!("call {id}: {code:?}");
                    }
                }
            });
        }
        for _ in 0..SWAPS {
            if done.load(Ordering::Relaxed) {
                break;
            }
            tree.run(&["install"]);
            tree.run(&["uninstall"]);
        }
        done.store(true, Ordering::Relaxed);
    });
    let calls = calls.into_inner();
    let (mut through, mut ids) = (0, HashSet::new());
    for line in tree.noted() {
        let id = line.strip_prefix("through ").inspect(|_| through += 1);
        let id = id.unwrap_or(&line).to_owned();
        assert!(ids.insert(id), "twice: {line}");
    }
    assert_eq!(ids.len(), calls, "{through} through the conduit");
    assert!(
        (1..calls).contains(&through) && calls > SWAPS,
        "{through} of {calls} through the conduit"
    );
    assert_eq!(tree.listing(), before);
}
