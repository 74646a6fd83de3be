//! Comparing mail so that a person can read the difference.

/// Insists that two pieces of mail are the same bytes.
#[track_caller]
pub(crate) fn assert_same(found: &[u8], wanted: &[u8]) {
    if found == wanted {
        return;
    }
    let differs = found
        .iter()
        .zip(wanted)
        .position(|(one, other)| one != other)
        .unwrap_or(found.len().min(wanted.len()));
    let around = |bytes: &[u8]| {
        let from = differs.saturating_sub(200);
        bytes[from..bytes.len().min(differs + 200)]
            .escape_ascii()
            .to_string()
    };
    panic!(
        "{} bytes are not the {} that were expected; they differ at {differs}:\n  found: {}\n wanted: {}",
        found.len(),
        wanted.len(),
        around(found),
        around(wanted)
    );
}
