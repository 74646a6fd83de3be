use std::path::Path;
use std::process::Command;

use millrace_tests::message;
use millrace_tests::mta::Kind;
use millrace_tests::packages::program;
use millrace_tests::process::run;
use millrace_tests::route::Route;
use millrace_tests::scripted_node::{Script, edit};
use millrace_tests::with_both;

with_both!(
    a_signature_of_the_relaxed_kind_still_verifies,
    a_signature_of_the_simple_kind_still_verifies,
);

/// Debian's own interpreter: python3-dkim belongs to it, whichever other comes first in PATH.
const PYTHON: &str = "/usr/bin/python3";

const SIGN: &str = "import sys, dkim
kind, key, source, target = sys.argv[1:]
mail = open(source, 'rb').read()
canonical = (kind.encode(), kind.encode())
fields = [b'from', b'to', b'subject', b'date', b'message-id', b'x-odd', b'mime-version', b'content-type']
signature = dkim.sign(mail, b's1', b'origin.example', open(key, 'rb').read(), canonicalize=canonical, include_headers=fields)
open(target, 'wb').write(signature + mail)";

const VERIFY: &str = "import sys, base64, dkim
public, source = sys.argv[1:]
key = base64.b64encode(open(public, 'rb').read())
record = b'v=DKIM1; k=rsa; p=' + key
sys.exit(0 if dkim.verify(open(source, 'rb').read(), dnsfunc=lambda *_, **__: record) else 1)";

fn still_verifies(kind: Kind, canonical: &str) {
    let folder = tempfile::tempdir().expect("a temp folder");
    let file = |name: &str| folder.path().join(name);
    let openssl = program("openssl");
    run(Command::new(&openssl)
        .args(["genrsa", "-out"])
        .arg(file("key"))
        .arg("2048"));
    run(Command::new(&openssl)
        .args(["rsa", "-pubout", "-outform", "DER", "-in"])
        .arg(file("key"))
        .arg("-out")
        .arg(file("public")));
    let unsigned = message::with_fields(
        "Subject:  odd   blanks\r\n\tand a fold\r\nX-Odd:value\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain;\r\n charset=us-ascii\r\n",
    );
    std::fs::write(file("unsigned"), unsigned).expect("the folder is ours");
    run(Command::new(PYTHON).args(["-c", SIGN, canonical]).args([
        file("key"),
        file("unsigned"),
        file("signed"),
    ]));
    let signed = std::fs::read(file("signed")).expect("it was signed");

    let route = Route::scripted(
        kind,
        Script::editing(vec![
            edit::insert("X-Top", "scanned"),
            edit::add("X-Bottom", "scanned"),
        ]),
    );
    route.send(&signed).expect(250);
    let arrived = route.sink.only();
    assert_eq!(
        arrived.fields_named("X-Top").len() + arrived.fields_named("X-Bottom").len(),
        2
    );
    std::fs::write(file("arrived"), &arrived.content).expect("the folder is ours");
    assert!(
        verifies(&file("public"), &file("arrived")),
        "{}",
        arrived.content.escape_ascii()
    );

    // The check can fail: a changed subject breaks the signature.
    let changed = String::from_utf8_lossy(&arrived.content).replace("odd   blanks", "other words");
    std::fs::write(file("changed"), changed).expect("the folder is ours");
    assert!(!verifies(&file("public"), &file("changed")));
}

fn verifies(public: &Path, mail: &Path) -> bool {
    Command::new(PYTHON)
        .args(["-c", VERIFY])
        .args([public, mail])
        .status()
        .expect("python starts")
        .success()
}

fn a_signature_of_the_relaxed_kind_still_verifies(kind: Kind) {
    still_verifies(kind, "relaxed");
}

fn a_signature_of_the_simple_kind_still_verifies(kind: Kind) {
    still_verifies(kind, "simple");
}
