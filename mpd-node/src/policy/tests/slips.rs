//! Slips of the hand in a policy that was good.

use proptest::prelude::*;

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever a slip makes of a file: it compiles, or each mistake has a problem and a remedy.
    #[test]
    fn no_slip_makes_the_compiler_fall(
        name in prop::sample::select(vec!["policy.toml", "rules/attachments.toml", "rules/headers.toml", "rules/mime.toml", "rules/content.toml"]),
        at in 0usize..9000,
        len in 0usize..40,
        with in "[\\[\\]{}()='\"\\\\#*?.,:@<>|&!0-9a-zA-Z_ \nü-]{0,12}",
    ) {
        let text = &builtin::files()[name];
        let from = text.floor_char_boundary(at.min(text.len()));
        let to = text.floor_char_boundary((from + len).min(text.len()));
        let slipped = format!("{}{with}{}", &text[..from], &text[to..]);
        // The one file alone: all others would only take time.
        let compiled = match name {
            "policy.toml" => compile(&slipped, &[]),
            _ => compile(&format!("include = ['{name}']"), &[(name, &slipped)]),
        };
        if let Err(errors) = compiled {
            for error in &errors.0 {
                prop_assert!(!error.problem.is_empty() && !error.remedy.is_empty(), "{}", error);
            }
        }
    }
}
