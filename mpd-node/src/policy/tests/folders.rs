//! A folder that changes.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use super::*;

const FIRST: &str = "[scores]\nMISSING_DATE = 1\n";
const SECOND: &str = "[scores]\nMISSING_DATE = 2\n";

fn revision_of(text: &str) -> Revision {
    compile(text, &[]).unwrap().revision().clone()
}

#[allow(clippy::disallowed_methods, reason = "the test's thread is its own")]
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "{what}: not in 30 seconds"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn follow(folder: &Path) -> (Arc<PolicyStore>, FolderSource) {
    let store = Arc::new(PolicyStore::new(Policy::load(folder).unwrap()));
    let source = FolderSource::watch(folder, store.clone());
    (store, source)
}

fn in_force(store: &PolicyStore, text: &str) -> bool {
    *store.current().revision() == revision_of(text)
}

#[test]
fn a_file_that_is_written_anew_comes_into_force() {
    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("policy.toml");
    fs::write(&main, FIRST).unwrap();
    let (store, _source) = follow(folder.path());
    assert!(in_force(&store, FIRST));
    fs::write(&main, SECOND).unwrap();
    eventually("the second", || in_force(&store, SECOND));
}

#[test]
fn an_editor_that_renames_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("policy.toml");
    fs::write(&main, FIRST).unwrap();
    let (store, _source) = follow(folder.path());
    for text in [SECOND, FIRST, SECOND] {
        let draft = folder.path().join(".policy.toml.swp");
        fs::write(&draft, text).unwrap();
        fs::rename(&main, folder.path().join("policy.toml~")).unwrap();
        fs::rename(&draft, &main).unwrap();
        eventually("the draft", || in_force(&store, text));
    }
}

#[test]
fn what_does_not_compile_is_refused_and_the_last_good_policy_stays() {
    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("policy.toml");
    fs::write(&main, FIRST).unwrap();
    let (store, source) = follow(folder.path());
    fs::write(&main, "[scores]\nNO_SUCH = 1\n").unwrap();
    eventually("the refusal", || source.status().refused.is_some());
    let refused = source.status().refused.unwrap();
    assert_eq!(refused.0[0].line, Some(2), "{refused}");
    assert!(in_force(&store, FIRST));

    fs::remove_file(&main).unwrap();
    eventually("the missing file", || {
        source
            .status()
            .refused
            .is_some_and(|errors| errors.0[0].problem.starts_with("cannot be read"))
    });
    assert!(in_force(&store, FIRST));

    fs::write(&main, SECOND).unwrap();
    eventually("the repair", || in_force(&store, SECOND));
    assert_eq!(source.status().refused, None);
}

#[test]
fn a_swap_of_symbolic_links_is_followed() {
    // As Kubernetes mounts a ConfigMap: policy.toml → ..data/policy.toml, ..data → a folder of its own.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for (name, text) in [("..one", FIRST), ("..two", SECOND)] {
        fs::create_dir(path.join(name)).unwrap();
        fs::write(path.join(name).join("policy.toml"), text).unwrap();
    }
    symlink("..one", path.join("..data")).unwrap();
    symlink("..data/policy.toml", path.join("policy.toml")).unwrap();
    let (store, _source) = follow(path);
    assert!(in_force(&store, FIRST));
    symlink("..two", path.join("..data_tmp")).unwrap();
    fs::rename(path.join("..data_tmp"), path.join("..data")).unwrap();
    fs::remove_dir_all(path.join("..one")).unwrap();
    eventually("the other folder", || in_force(&store, SECOND));
}

#[test]
fn a_list_beside_the_policy_is_part_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[[list]]\nsymbol = \"A\"\nmatch = \"peer\"\nfile = \"lists/a.txt\"\nscore = 1\n";
    fs::create_dir(folder.path().join("lists")).unwrap();
    let list = folder.path().join("lists/a.txt");
    fs::write(&list, "192.0.2.1\n").unwrap();
    fs::write(folder.path().join("policy.toml"), text).unwrap();
    let (store, _source) = follow(folder.path());
    let first = store.current().revision().clone();
    fs::write(&list, "192.0.2.1\n192.0.2.2\n").unwrap();
    eventually("the longer list", || *store.current().revision() != first);
}

#[test]
fn a_reload_on_request_looks_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("policy.toml");
    fs::write(&main, FIRST).unwrap();
    let (store, source) = follow(folder.path());
    fs::write(&main, SECOND).unwrap();
    source.reload();
    eventually("the second", || in_force(&store, SECOND));
}
