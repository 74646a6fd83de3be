//! Which attachments fit which rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::request::Limits;

/// A message with one attachment.
fn message(fields: &str, content: &[u8]) -> Message {
    let encoded = base64_simd::STANDARD.encode_to_string(content);
    let head = format!(
        "From: a@b\nMIME-Version: 1.0\n{fields}Content-Transfer-Encoding: base64\n\n{encoded}\n"
    );
    Message::parse(bytes::Bytes::from(head), &Limits::default())
}

fn named(name: &str, content: &[u8]) -> Message {
    message(
        &format!("Content-Disposition: attachment; filename=\"{name}\"\n"),
        content,
    )
}

/// A policy with one attachment rule.
fn policy(conditions: &str) -> Arc<Policy> {
    let text = format!("[[attachment]]\nsymbol = \"FOUND\"\nscore = 1\n{conditions}\n");
    Policy::from_files(BTreeMap::from([("policy.toml".to_owned(), text)])).unwrap()
}

/// Each symbol that is raised, with its detail.
fn found(message: &Message, conditions: &str) -> Vec<(String, String)> {
    let policy = policy(conditions);
    let mut findings = Findings::new(&policy);
    look(message, &policy, &mut findings);
    let name = |symbol| policy.symbols().symbol(symbol).name.to_string();
    findings
        .hits()
        .iter()
        .map(|hit| (name(hit.symbol), hit.detail.clone()))
        .collect()
}

fn fits(message: &Message, conditions: &str) -> bool {
    found(message, conditions)
        .iter()
        .any(|(symbol, _)| symbol == "FOUND")
}

/// A zip archive with one stored file, perhaps said to be encrypted.
fn zip_of(name: &str, content: &[u8], encrypted: bool) -> Vec<u8> {
    let mut fields = Vec::new();
    fields.extend(20u16.to_le_bytes());
    fields.extend(u16::from(encrypted).to_le_bytes());
    fields.extend([0; 2 + 4]);
    fields.extend(rawzip::crc32(content).to_le_bytes());
    fields.extend((content.len() as u32).to_le_bytes());
    fields.extend((content.len() as u32).to_le_bytes());
    fields.extend((name.len() as u16).to_le_bytes());
    fields.extend([0; 2]);
    let mut zip = [b"PK\x03\x04", &fields[..], name.as_bytes(), content].concat();
    let directory = zip.len() as u32;
    zip.extend([b"PK\x01\x02\x14\0", &fields[..], &[0; 14], name.as_bytes()].concat());
    let len = zip.len() as u32 - directory;
    zip.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    zip.extend(len.to_le_bytes());
    zip.extend(directory.to_le_bytes());
    zip.extend([0; 2]);
    zip
}

#[test]
fn each_condition_holds_where_it_should() {
    let extensions = "extensions = [\"exe\", \"js\"]";
    let words = "names = [\"invoice\"]";
    let declared = "declared_types = [\"image/*\"]";
    let real = "real_types = [\"executable\", \"lnk\"]";
    let double = "double_extension = true";
    let mismatch = "type_mismatch = true";
    let image = |content: &[u8]| message("Content-Type: image/png\n", content);
    let cases = [
        ("an extension", extensions, named("A.EXE", b"x"), true),
        ("another extension", extensions, named("a.txt", b"x"), false),
        (
            "an extension behind a folder and a dot",
            extensions,
            named("c:/x/a.exe. ", b"x"),
            true,
        ),
        (
            "an extension with a hidden character",
            extensions,
            message(
                "Content-Type: text/plain; name*=utf-8''a.e%E2%80%8Bxe\n",
                b"x",
            ),
            true,
        ),
        (
            "the name of the content type",
            extensions,
            message(
                "Content-Type: a/b; name=a.exe\nContent-Disposition: attachment; filename=a.txt\n",
                b"x",
            ),
            true,
        ),
        ("a word", words, named("Your-INVOICE.pdf", b"x"), true),
        ("no word", words, named("report.pdf", b"x"), false),
        ("a declared type", declared, image(b"x"), true),
        (
            "a declared type that is implied",
            declared,
            message("", b"x"),
            false,
        ),
        ("a real family", real, named("a.txt", b"MZ program"), true),
        ("another real family", real, named("a.txt", b"text"), false),
        (
            "a double extension",
            double,
            named("invoice.pdf.exe", b"x"),
            true,
        ),
        (
            "a double extension far apart",
            double,
            named("invoice.pdf        .scr", b"x"),
            true,
        ),
        (
            "a compressed document",
            double,
            named("report.csv.gz", b"x"),
            false,
        ),
        ("a version", double, named("v1.2.exe", b"x"), false),
        (
            "a program called PDF",
            mismatch,
            named("a.pdf", b"MZ program"),
            true,
        ),
        (
            "a PDF called PDF",
            mismatch,
            named("a.pdf", b"%PDF-1.4"),
            false,
        ),
        ("a page called a picture", mismatch, image(b"<html>"), true),
        (
            "a JPEG called PNG",
            mismatch,
            image(b"\xff\xd8\xff\xe0"),
            false,
        ),
        (
            "a name that promises nothing",
            mismatch,
            named("a.bin", b"MZ program"),
            false,
        ),
    ];
    for (name, rule, message, expected) in cases {
        assert_eq!(fits(&message, rule), expected, "{name}");
    }
}

#[test]
fn all_conditions_must_hold_for_one_attachment() {
    let rule = "extensions = [\"pdf\"]\nreal_types = [\"executable\"]";
    assert!(fits(&named("a.pdf", b"MZ program"), rule));
    assert!(!fits(&named("a.pdf", b"%PDF-1.4"), rule));
    assert!(!fits(&named("a.exe", b"MZ program"), rule));
}

#[test]
fn archives_are_looked_into_where_the_rule_says() {
    let plain = zip_of("d/run.exe", b"MZ program", false);
    let locked = zip_of("run.exe", b"MZ program", true);
    let nested = zip_of("inner.zip", &plain, false);
    let cases = [
        ("not asked", "extensions = [\"exe\"]", &plain[..], false),
        (
            "by extension",
            "extensions = [\"exe\"]\nin_archives = true",
            &plain[..],
            true,
        ),
        (
            "in an archive in it",
            "extensions = [\"exe\"]\nin_archives = true",
            &nested[..],
            true,
        ),
        (
            "by real type",
            "real_types = [\"executable\"]\nin_archives = true",
            &plain[..],
            true,
        ),
        ("encrypted", "encrypted = true", &locked[..], true),
        ("not encrypted", "encrypted = true", &plain[..], false),
        (
            "an encrypted PDF",
            "encrypted = true",
            b"%PDF-1.4\ntrailer << /Encrypt 5 0 R >>",
            true,
        ),
        (
            "damaged",
            "damaged = true",
            &plain[..plain.len() - 30],
            true,
        ),
        ("whole", "damaged = true", &plain[..], false),
        ("nested", "nested = 2", &nested[..], true),
        ("not nested", "nested = 2", &plain[..], false),
    ];
    for (name, rule, content, expected) in cases {
        assert_eq!(fits(&named("a.bin", content), rule), expected, "{name}");
    }
}

#[test]
fn a_finding_names_the_attachment_and_what_it_is() {
    let nested = zip_of("inner.zip", &zip_of("run.exe", b"MZ program", false), false);
    let rule = "extensions = [\"exe\"]\nin_archives = true";
    let expected = ("FOUND".to_owned(), "inner.zip/run.exe (dos-exe)".to_owned());
    assert_eq!(found(&named("a.zip", &nested), rule), [expected]);
}

#[test]
fn an_archive_that_cannot_be_listed_is_unscanned() {
    let rule = "extensions = [\"exe\"]\nin_archives = true";
    let found = found(&named("a.xz", b"\xfd7zXZ\0 and more"), rule);
    let unscanned = found
        .iter()
        .find(|(symbol, _)| symbol == "UNSCANNED")
        .unwrap();
    assert_eq!(
        unscanned.1,
        "attachments: a.xz (xz): xz: format not supported"
    );
}

#[test]
fn limits_and_defects_of_archives_are_told() {
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut bomb, &vec![0; 4 << 20]).unwrap();
    let rule = "encrypted = true";
    let found_in = |content: &[u8]| {
        found(&named("a", content), rule)
            .into_iter()
            .map(|(symbol, _)| symbol)
            .collect::<Vec<_>>()
    };
    assert_eq!(found_in(&bomb.finish().unwrap()), ["LIMIT_ARCHIVE_RATIO"]);
    let hidden = [&zip_of("a", b"x", false)[..], b"appended"].concat();
    assert_eq!(found_in(&hidden), ["ARCHIVE_APPENDED"]);
}

#[test]
fn the_text_that_is_read_is_no_attachment() {
    let cases = [
        ("", &b"words"[..], true),
        ("Content-Type: text/html\n", b"<html>", true),
        ("Content-Type: text/plain\n", b"MZ program", false),
        ("Content-Type: text/plain; name=a.txt\n", b"words", false),
        ("Content-Type: image/png\n", b"words", false),
    ];
    for (fields, content, expected) in cases {
        let message = message(fields, content);
        let part = &message.parts()[0];
        assert_eq!(is_body_text(part, real_type_of(part)), expected, "{fields}");
    }
}
