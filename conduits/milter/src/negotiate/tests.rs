use millrace_proto::{Revision, StageMacros, StageSet};
use proptest::prelude::*;

use super::*;

const STOCK: Offer = Offer {
    version: 6,
    actions: Actions::ALL,
    steps: Steps::ALL,
};

fn plan(stages: &[Stage]) -> Plan {
    Plan {
        revision: Revision::new("abc").expect("a revision"),
        stages: stages.iter().copied().collect::<StageSet>(),
        macros: Vec::new(),
        size_limit: None,
        needs_body: true,
    }
}

fn agreed(plan: &Plan, offer: &Offer) -> Agreement {
    Wanted::from_plan(plan).agree(offer).expect("agreement")
}

#[test]
fn a_plan_with_nothing_before_the_end_keeps_every_step_silent() {
    let steps = agreed(&plan(&[]), &STOCK).steps;
    for quiet in [
        Steps::QUIET_CONNECT,
        Steps::QUIET_HELO,
        Steps::QUIET_MAIL,
        Steps::QUIET_RCPT,
        Steps::QUIET_DATA,
        Steps::QUIET_HEADER,
        Steps::QUIET_END_OF_HEADERS,
        Steps::QUIET_BODY,
        Steps::QUIET_UNKNOWN,
        Steps::NO_DATA,
        Steps::NO_UNKNOWN,
        Steps::NO_END_OF_HEADERS,
        Steps::LEADING_SPACE,
        Steps::SKIP,
    ] {
        assert!(steps.contains(quiet), "{quiet:?}");
    }
    for needed in [
        Steps::NO_CONNECT,
        Steps::NO_HELO,
        Steps::NO_MAIL,
        Steps::NO_RCPT,
        Steps::NO_HEADERS,
        Steps::NO_BODY,
        Steps::REJECTED_RCPT,
    ] {
        assert!(!steps.contains(needed), "{needed:?}");
    }
}

#[test]
fn a_stage_with_something_to_say_is_answered() {
    for (stage, quiet) in [
        (Stage::Connect, Steps::QUIET_CONNECT),
        (Stage::Helo, Steps::QUIET_HELO),
        (Stage::Mail, Steps::QUIET_MAIL),
        (Stage::Rcpt, Steps::QUIET_RCPT),
        (Stage::Data, Steps::QUIET_DATA),
        (Stage::Data, Steps::NO_DATA),
    ] {
        assert!(
            !agreed(&plan(&[stage]), &STOCK).steps.contains(quiet),
            "{stage}"
        );
        let later = Wanted::from_plan(&plan(&[])).answering(stage);
        assert!(!later.steps.contains(quiet), "{stage}");
    }
    let mut sized = plan(&[]);
    sized.size_limit = Some(1000);
    assert!(!agreed(&sized, &STOCK).steps.contains(Steps::QUIET_MAIL));
}

#[test]
fn a_body_that_nothing_looks_at_is_not_sent() {
    let mut plan = plan(&[]);
    plan.needs_body = false;
    assert!(agreed(&plan, &STOCK).steps.contains(Steps::NO_BODY));
}

#[test]
fn old_versions_get_old_bits_and_the_oldest_none_at_all() {
    for (version, expected) in [(2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (7, 6), (100, 6)] {
        let offer = Offer { version, ..STOCK };
        assert_eq!(agreed(&plan(&[]), &offer).version, expected);
    }
    let old = agreed(
        &plan(&[]),
        &Offer {
            version: 2,
            ..STOCK
        },
    );
    assert_eq!(old.actions, Actions(0x3f));
    assert_eq!(old.steps, Steps::NO_END_OF_HEADERS);
    assert!(old.macros.is_empty());
    for version in [0, 1] {
        let refused = Wanted::EVERYTHING.agree(&Offer { version, ..STOCK });
        assert_eq!(refused, Err(NegotiationError::TooOld(version)));
    }
}

#[test]
fn macros_are_asked_for_only_where_the_mail_server_takes_lists() {
    let mut plan = plan(&[]);
    plan.macros = vec![StageMacros {
        stage: Stage::Rcpt,
        names: vec![
            "{rcpt_host}".into(),
            "bad name".into(),
            "{rcpt_host}".into(),
        ],
    }];
    let lists = agreed(&plan, &STOCK).macros;
    assert_eq!(lists.len(), 7);
    assert!(lists.contains(&(MacroStage::Rcpt as u32, "{rcpt_host}".into())));
    assert!(lists.contains(&(MacroStage::Data as u32, Bytes::new())));
    let without = Offer {
        actions: Actions(0xff),
        ..STOCK
    };
    assert!(agreed(&plan, &without).macros.is_empty());

    let wanted = Wanted::from_plan(&plan).with_rejected_recipients();
    let lists = wanted.agree(&STOCK).expect("agreement").macros;
    let names = "{rcpt_host} {rcpt_mailer} {rcpt_addr}";
    assert!(lists.contains(&(MacroStage::Rcpt as u32, names.into())));
}

#[test]
fn larger_chunks_are_taken_when_offered() {
    for (bit, chunk) in [
        (Steps::NONE, 65_535),
        (Steps::CHUNKS_256K, 262_143),
        (Steps::CHUNKS_1M, 1_048_575),
        (Steps::CHUNKS_256K | Steps::CHUNKS_1M, 1_048_575),
    ] {
        let offer = Offer {
            steps: Steps::ALL | bit,
            ..STOCK
        };
        let agreement = agreed(&plan(&[]), &offer);
        assert_eq!(agreement.max_chunk(), chunk);
        assert!(agreement.frame_limit() > chunk);
    }
}

#[test]
fn capabilities_are_the_agreed_actions() {
    assert_eq!(agreed(&plan(&[]), &STOCK).capabilities(), Capabilities::ALL);
    let none = Offer {
        actions: Actions::NONE,
        ..STOCK
    };
    let capabilities = agreed(&plan(&[]), &none).capabilities();
    assert!(!capabilities.add_header && !capabilities.hold && capabilities.reject);
}

proptest! {
    #[test]
    fn nothing_is_ever_taken_that_was_not_offered(
        version in 2..10u32,
        offered: (u32, u32),
        wanted: (u32, u32),
    ) {
        let offer = Offer { version, actions: Actions(offered.0), steps: Steps(offered.1) };
        let wanted = Wanted {
            actions: Actions(wanted.0),
            steps: Steps(wanted.1),
            macros: Vec::new(),
        };
        let agreement = wanted.agree(&offer).expect("agreement");
        prop_assert!(offer.actions.contains(agreement.actions));
        prop_assert!(offer.steps.contains(agreement.steps));
        prop_assert!(agreement.version <= version);
    }
}
