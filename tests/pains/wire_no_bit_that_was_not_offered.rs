//! Seen in other filters: the reply to the offer has every bit that the filter knows, offered or
//! not. Sendmail then gives the filter up.
//!
//! Here: the reply has what is both offered and wanted, and no SETSYMLIST list without its action.

use millrace_milter::{Actions, Response, Steps};
use millrace_tests::milter::Wire;
use millrace_tests::servers::{Gateway, Upstream};

#[test]
fn whatever_is_offered() {
    let gateway = Gateway::start(&Upstream::Embedded(None));
    for bit in 0..32 {
        for (actions, steps) in [
            (1 << bit, 0),
            (0, 1 << bit),
            (!(1 << bit), !(1 << bit)),
            (0x1ff, 0x42),
        ] {
            for version in [2, 3, 4, 6] {
                let (_, agreed) =
                    Wire::negotiated(gateway.port(), version, Actions(actions), Steps(steps));
                let Response::Negotiate {
                    version: spoken,
                    actions: asked,
                    steps: wanted,
                    macros,
                } = agreed
                else {
                    unreachable!("it was checked")
                };
                let case =
                    format!("{version} {actions:#x} {steps:#x}: {asked:?} {wanted:?} {macros:?}");
                assert_eq!(spoken, version, "{case}");
                assert_eq!(asked.0 & !actions, 0, "{case}");
                assert_eq!(wanted.0 & !steps, 0, "{case}");
                assert!(
                    macros.is_empty() || asked.contains(Actions::SET_MACROS),
                    "{case}"
                );
            }
        }
    }
}
