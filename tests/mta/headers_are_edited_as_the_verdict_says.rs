use millrace_proto::Edit;
use millrace_tests::message::{self, HEADER};
use millrace_tests::mta::Kind;
use millrace_tests::route::Route;
use millrace_tests::scripted_node::{Script, edit};
use millrace_tests::with_both;

use crate::same::assert_same;

with_both!(
    headers_are_appended_in_order,
    a_header_is_appended_below_those_of_its_name,
    headers_are_inserted_on_top_in_order,
    a_header_is_changed_where_it_stands,
    the_nth_of_several_headers_is_changed,
    the_nth_of_several_headers_is_deleted,
    several_headers_of_one_name_are_changed_and_deleted_together,
    a_folded_header_is_written_as_given,
    all_kinds_of_edits_go_together,
);

/// Sends a message with these fields, has the verdict edit it, and looks at what arrives. The
/// body must arrive as it was.
#[track_caller]
fn becomes(kind: Kind, fields: &str, edits: Vec<Edit>, wanted: &str) {
    let route = Route::scripted(kind, Script::editing(edits));
    let body = "Hello.\r\n..\r\nBye.\r\n";
    route
        .send(format!("{HEADER}{fields}\r\n{body}").as_bytes())
        .expect(250);
    assert_same(
        &route.sink.only().without_trace(),
        format!("{wanted}\r\n{body}").as_bytes(),
    );
    route.assert_no_complaints();
}

fn headers_are_appended_in_order(kind: Kind) {
    becomes(
        kind,
        "Subject: x\r\n",
        vec![
            edit::add("X-One", "1"),
            edit::add("X-Two", "2"),
            edit::add("X-Three", "3"),
        ],
        &format!("{HEADER}Subject: x\r\nX-One: 1\r\nX-Two: 2\r\nX-Three: 3\r\n"),
    );
}

/// Sendmail by itself would put it above the first one.
fn a_header_is_appended_below_those_of_its_name(kind: Kind) {
    becomes(
        kind,
        "X-Dup: one\r\nX-Dup: two\r\nSubject: x\r\n",
        vec![edit::add("X-Dup", "three")],
        &format!("{HEADER}X-Dup: one\r\nX-Dup: two\r\nSubject: x\r\nX-Dup: three\r\n"),
    );
}

fn headers_are_inserted_on_top_in_order(kind: Kind) {
    becomes(
        kind,
        "Subject: x\r\n",
        vec![
            edit::insert("X-One", "1"),
            edit::insert("X-Two", "2"),
            edit::insert("Subject", "z"),
        ],
        &format!("X-One: 1\r\nX-Two: 2\r\nSubject: z\r\n{HEADER}Subject: x\r\n"),
    );
}

fn a_header_is_changed_where_it_stands(kind: Kind) {
    becomes(
        kind,
        "Subject: x\r\nX-After: y\r\n",
        vec![edit::change("Subject", 1, "[SPAM] x")],
        &format!("{HEADER}Subject: [SPAM] x\r\nX-After: y\r\n"),
    );
}

fn the_nth_of_several_headers_is_changed(kind: Kind) {
    becomes(
        kind,
        "X-Dup: one\r\nX-Dup: two\r\nX-Dup: three\r\n",
        vec![edit::change("X-Dup", 2, "deux")],
        &format!("{HEADER}X-Dup: one\r\nX-Dup: deux\r\nX-Dup: three\r\n"),
    );
}

fn the_nth_of_several_headers_is_deleted(kind: Kind) {
    becomes(
        kind,
        "X-Dup: one\r\nx-dup: two\r\nX-DUP: three\r\nX-Dup: four\r\n",
        vec![edit::delete("X-Dup", 1), edit::delete("X-Dup", 3)],
        &format!("{HEADER}x-dup: two\r\nX-Dup: four\r\n"),
    );
}

/// Numbers mean the original message, in whatever order the edits stand.
fn several_headers_of_one_name_are_changed_and_deleted_together(kind: Kind) {
    becomes(
        kind,
        "X-Dup: one\r\nX-Dup: two\r\nX-Dup: three\r\nX-Dup: four\r\n",
        vec![
            edit::delete("X-Dup", 1),
            edit::change("X-Dup", 4, "FOUR"),
            edit::delete("X-Dup", 3),
            edit::change("X-Dup", 2, "TWO"),
            edit::add("X-Dup", "five"),
            edit::insert("X-Dup", "zero"),
        ],
        &format!("X-Dup: zero\r\n{HEADER}X-Dup: TWO\r\nX-Dup: FOUR\r\nX-Dup: five\r\n"),
    );
}

fn a_folded_header_is_written_as_given(kind: Kind) {
    becomes(
        kind,
        "Subject: x\r\n",
        vec![edit::add("X-Folded", "one;\n\ttwo;\n  three")],
        &format!("{HEADER}Subject: x\r\nX-Folded: one;\r\n\ttwo;\r\n  three\r\n"),
    );
}

fn all_kinds_of_edits_go_together(kind: Kind) {
    let route = Route::scripted(
        kind,
        Script::editing(vec![
            edit::insert("X-Top", "t"),
            edit::change("Subject", 1, "changed"),
            edit::delete("X-Gone", 1),
            edit::add("X-Bottom", "b"),
            edit::body("Another body.\r\n"),
            edit::sender("other@origin.example"),
            edit::remove_recipient(0),
            edit::add_recipient("new@dest.example"),
        ]),
    );
    route
        .send(&message::with_fields("X-Gone: g\r\nSubject: x\r\n"))
        .expect(250);
    let arrived = route.sink.only();
    let wanted =
        format!("X-Top: t\r\n{HEADER}Subject: changed\r\nX-Bottom: b\r\n\r\nAnother body.\r\n");
    assert_same(&arrived.without_trace(), wanted.as_bytes());
    assert_eq!(arrived.sender(), "other@origin.example");
    assert_eq!(arrived.recipients(), ["new@dest.example"]);
    route.assert_no_complaints();
}
