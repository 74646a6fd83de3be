use millrace_tests::etcd::Etcd;
use millrace_tests::member::publish;

use crate::{ran, refusing, text_refusing};

#[test]
fn who_comes_second_is_told_who_was_first_and_what_to_do() {
    let etcd = Etcd::start();
    let ann = refusing("a@blocked.example");
    let first = publish(ann.path(), &etcd);

    // Ben begins from what Ann published, and both change it.
    let work = tempfile::tempdir().expect("a temp folder");
    let ben = work.path().join("ben");
    let ben_dir = ben.to_str().expect("a path of ours");
    ran(&["policy", "show", "current", "--out", ben_dir], &etcd).expect(0);
    std::fs::write(
        ben.join("policy.toml"),
        text_refusing("ben@blocked.example"),
    )
    .expect("ours");
    ann.replace(&text_refusing("ann@blocked.example"));
    let second = publish(ann.path(), &etcd);
    assert_ne!(first, second);

    let told = ran(&["policy", "publish", ben_dir, "--wait", "0"], &etcd).expect(1);
    for part in [
        &first[..12],
        &second[..12],
        "not published",
        "--based-on",
        &format!("millrace policy show {}", &second[..12]),
    ] {
        assert!(told.stdout.contains(part), "{part}: {}", told.stdout);
    }
    let told = ran(&["policy", "publish", ben_dir, "--format", "json"], &etcd)
        .expect(1)
        .json();
    assert_eq!(told["current"]["revision"].as_str(), Some(second.as_str()));

    // A folder of which nothing is known is no reason to overwrite either.
    let cid = refusing("cid@blocked.example");
    let cid_dir = cid.path().to_str().expect("a path of ours");
    ran(&["policy", "publish", cid_dir, "--wait", "0"], &etcd).expect(1);
    ran(&["policy", "publish", cid_dir, "--dry-run"], &etcd).expect(1);

    // Having looked, Ben says so.
    ran(
        &[
            "policy",
            "publish",
            ben_dir,
            "--wait",
            "0",
            "--based-on",
            &second[..12],
        ],
        &etcd,
    )
    .expect(0);
    let history = ran(&["policy", "history", "--format", "json"], &etcd)
        .expect(0)
        .json();
    let numbers: Vec<_> = history
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["number"].as_u64().expect("a number"))
        .collect();
    assert_eq!(numbers, [3, 2, 1]);
}

#[test]
fn of_many_at_once_exactly_one_is_published() {
    let etcd = Etcd::start();
    let base = refusing("a@blocked.example");
    publish(base.path(), &etcd);
    let outcomes: Vec<i32> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..6)
            .map(|n| {
                let etcd = &etcd;
                scope.spawn(move || {
                    let folder = refusing(&format!("{n}@blocked.example"));
                    let dir = folder.path().to_str().expect("a path of ours");
                    ran(
                        &["policy", "publish", dir, "--based-on", "#1", "--wait", "0"],
                        etcd,
                    )
                    .code
                })
            })
            .collect();
        all.into_iter()
            .map(|one| one.join().expect("it ran"))
            .collect()
    });
    let count = |code| outcomes.iter().filter(|outcome| **outcome == code).count();
    assert_eq!((count(0), count(1)), (1, 5), "{outcomes:?}");
}
