//! Messages of many parts, nested and flat.

use crate::attacked::{Attacked, typed};

const MANY: usize = 20_000;

#[test]
fn twenty_thousand_messages_in_messages() {
    let body = "Content-Type: message/rfc822\r\n\r\n".repeat(MANY) + "the innermost\r\n";
    Attacked::both_ways(|attacked| {
        let message = typed("message/rfc822", body.clone());
        attacked.finds("LIMIT_MIME_DEPTH", "nested messages", message);
    });
}

#[test]
fn twenty_thousand_multiparts_in_multiparts() {
    let mut body = String::new();
    for n in 0..MANY {
        body += &format!(
            "--b{n}\r\nContent-Type: multipart/mixed; boundary=b{}\r\n\r\n",
            n + 1
        );
    }
    Attacked::both_ways(|attacked| {
        let message = typed("multipart/mixed; boundary=b0", body.clone());
        attacked.finds("LIMIT_MIME_DEPTH", "nested multiparts", message);
    });
}

#[test]
fn twenty_thousand_parts_side_by_side() {
    let part = "--b\r\nContent-Type: text/plain\r\n\r\nx\r\n";
    let body = part.repeat(MANY) + "--b--\r\n";
    Attacked::both_ways(|attacked| {
        let message = typed("multipart/mixed; boundary=b", body.clone());
        attacked.finds("LIMIT_MIME_PARTS", "flat parts", message);
    });
}

#[test]
fn a_boundary_a_hundred_thousand_times() {
    let boundaries = "--b\r\n".repeat(100_000);
    Attacked::both_ways(|attacked| {
        for end in ["", "--b--\r\n"] {
            let message = typed("multipart/mixed; boundary=b", boundaries.clone() + end);
            attacked.finds("LIMIT_MIME_PARTS", "a boundary again and again", message);
        }
    });
}

#[test]
fn what_is_almost_a_boundary_a_hundred_thousand_times() {
    let boundary = "a".repeat(70);
    let body = format!("--{}\r\n", "a".repeat(69)).repeat(100_000);
    Attacked::both_ways(|attacked| {
        let message = typed(
            &format!("multipart/mixed; boundary={boundary}"),
            body.clone(),
        );
        attacked.survives("almost boundaries", message);
    });
}
