use millrace_proto::Edit;
use millrace_tests::message::{self, HEADER};
use millrace_tests::mta::Kind;
use millrace_tests::route::Route;
use millrace_tests::scripted_node::{Script, edit};
use millrace_tests::with_both;

use crate::same::assert_same;

with_both!(
    a_body_is_replaced,
    a_body_is_emptied,
    a_body_is_replaced_by_one_of_many_chunks
);

fn a_body_is_replaced(kind: Kind) {
    let route = Route::scripted(kind, Script::editing(vec![edit::body(".\r\nNew.\r\n")]));
    route.send(&message::simple("x")).expect(250);
    assert_same(
        &route.sink.only().without_trace(),
        format!("{HEADER}Subject: x\r\n\r\n.\r\nNew.\r\n").as_bytes(),
    );
    route.assert_no_complaints();
}

fn a_body_is_emptied(kind: Kind) {
    let route = Route::scripted(kind, Script::editing(vec![edit::body("")]));
    route.send(&message::simple("x")).expect(250);
    assert_same(
        &route.sink.only().without_trace(),
        format!("{HEADER}Subject: x\r\n\r\n").as_bytes(),
    );
    route.assert_no_complaints();
}

fn a_body_is_replaced_by_one_of_many_chunks(kind: Kind) {
    let large = message::of_size(700_000);
    let body = large[large
        .windows(4)
        .position(|end| end == b"\r\n\r\n")
        .expect("a header")
        + 4..]
        .to_vec();
    let verdict = vec![Edit::ReplaceBody {
        body: body.clone().into(),
    }];
    let route = Route::scripted(kind, Script::editing(verdict));
    route.send(&message::simple("x")).expect(250);
    assert_same(route.sink.only().body(), &body);
    route.assert_no_complaints();
}
