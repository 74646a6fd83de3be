//! A policy's text: it compiles, or each mistake has a problem and a remedy.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use mpd_node::policy::Policy;

fuzz_target!(|text: &str| {
    // Each pattern may take its share of time to compile: more of them would only be slow.
    if text.len() > 1024 {
        return;
    }
    let files = BTreeMap::from([
        ("policy.toml".to_owned(), text.to_owned()),
        ("list.txt".to_owned(), text.to_owned()),
        ("rules.toml".to_owned(), text.to_owned()),
    ]);
    match Policy::from_files(files) {
        Ok(policy) => {
            let _ = policy.describe();
        }
        Err(errors) => {
            assert!(!errors.0.is_empty() && errors.0.len() <= 50);
            for error in &errors.0 {
                assert!(
                    !error.problem.is_empty() && !error.remedy.is_empty(),
                    "{error}"
                );
            }
        }
    }
});
