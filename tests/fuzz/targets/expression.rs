//! An expression over symbols: it compiles, or its mistake has a place in the policy.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use mpd_node::policy::Policy;

fuzz_target!(|text: &str| {
    if text.contains("'''") || text.ends_with('\'') || text.chars().any(char::is_control) {
        return;
    }
    let document = format!("[[expression]]\nsymbol = 'X'\nscore = 1\nwhen = '''{text}'''\n");
    let files = BTreeMap::from([("policy.toml".to_owned(), document)]);
    if let Err(errors) = Policy::from_files(files) {
        for error in &errors.0 {
            assert!(error.line.is_some() && error.key.is_some(), "{error}");
        }
    }
});
