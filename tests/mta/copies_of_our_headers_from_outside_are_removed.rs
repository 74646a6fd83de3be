use millrace_tests::message;
use millrace_tests::mta::Kind;
use millrace_tests::policy::PolicyFolder;
use millrace_tests::route::Route;
use millrace_tests::with_both;

with_both!(
    a_forged_copy_of_our_header_is_removed_and_ours_is_there,
    many_forged_copies_are_removed_in_any_spelling,
);

const POLICY: &str = r#"
[[action]]
name = "mark"
add_header = "X-Spam-Status: {spam}, score={score}"
when = "1"
"#;

fn a_forged_copy_of_our_header_is_removed_and_ours_is_there(kind: Kind) {
    let policy = PolicyFolder::of(POLICY);
    let route = Route::judged_by_policy(kind, policy.path(), |wanted| wanted);
    route
        .send(&message::with_fields(
            "X-Spam-Status: No, score=-100.0 forged\r\nSubject: x\r\n",
        ))
        .expect(250);
    let arrived = route.sink.only();
    let ours = arrived.fields_named("X-Spam-Status");
    assert_eq!(ours.len(), 1, "{ours:?}");
    assert!(!ours[0].contains("forged"), "{ours:?}");
    route.assert_no_complaints();
}

fn many_forged_copies_are_removed_in_any_spelling(kind: Kind) {
    let policy = PolicyFolder::of(POLICY);
    let route = Route::judged_by_policy(kind, policy.path(), |wanted| wanted);
    let mut fields = String::new();
    for spelling in ["X-Spam-Status", "x-spam-status", "X-SPAM-STATUS"] {
        fields.push_str(&format!(
            "{spelling}: No, forged\r\nX-Other: kept\r\n{spelling}:\r\n\tfolded, forged\r\n"
        ));
    }
    route
        .send(&message::with_fields(&format!("{fields}Subject: x\r\n")))
        .expect(250);
    let arrived = route.sink.only();
    let text = String::from_utf8_lossy(&arrived.content);
    assert!(!text.contains("forged"), "{text}");
    assert_eq!(arrived.fields_named("X-Spam-Status").len(), 1);
    assert_eq!(arrived.fields_named("X-Other").len(), 3);
    route.assert_no_complaints();
}
