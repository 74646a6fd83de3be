//! Which attachments fit which rules.

use std::collections::HashSet;

use bytes::Bytes;

use super::*;
use crate::{
    policy::TypePattern,
    request::Limits,
};

/// A message with one attachment.
fn message(fields: &str, content: &[u8]) -> Message {
    let encoded = base64_simd::STANDARD.encode_to_string(content);
    let head = format!("From: a@b\nMIME-Version: 1.0\n{fields}Content-Transfer-Encoding: base64\n\n{encoded}\n");
    Message::parse(Bytes::from(head), &Limits::default())
}

fn named(name: &str, content: &[u8]) -> Message {
    message(&format!("Content-Disposition: attachment; filename=\"{name}\"\n"), content)
}

/// Whether the message's one part fits.
fn fits(message: &Message, rule: &AttachmentRule) -> bool {
    let part = &message.parts()[0];
    let real_type = real_type_of(part);
    let inside = look_inside(message, part, real_type);
    let in_archive = || {
        let entries = inside.listing.iter().flat_map(|listing| &listing.entries);
        rule.in_archives && entries.into_iter().any(|entry| Subject::of_entry(entry).fits(rule))
    };
    Subject::of_part(part, real_type, &inside).fits(rule) || in_archive()
}

fn set(words: &[&str]) -> HashSet<Box<str>> {
    words.iter().map(|word| Box::from(*word)).collect()
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
    let extensions = AttachmentRule { extensions: set(&["exe", "js"]), ..Default::default() };
    let words = AttachmentRule { names: vec!["invoice".into()], ..Default::default() };
    let declared = AttachmentRule {
        declared_types: vec![TypePattern::parse("image/*").unwrap()],
        ..Default::default()
    };
    let real = AttachmentRule { real_types: set(&["executable", "lnk"]), ..Default::default() };
    let double = AttachmentRule { double_extension: true, ..Default::default() };
    let mismatch = AttachmentRule { type_mismatch: true, ..Default::default() };
    let image = |content: &[u8]| message("Content-Type: image/png\n", content);
    let cases = [
        ("an extension", &extensions, named("A.EXE", b"x"), true),
        ("another extension", &extensions, named("a.txt", b"x"), false),
        ("an extension behind a folder and a dot", &extensions, named("c:/x/a.exe. ", b"x"), true),
        ("an extension with a hidden character", &extensions, message("Content-Type: text/plain; name*=utf-8''a.e%E2%80%8Bxe\n", b"x"), true),
        ("the name of the content type", &extensions, message("Content-Type: a/b; name=a.exe\nContent-Disposition: attachment; filename=a.txt\n", b"x"), true),
        ("a word", &words, named("Your-INVOICE.pdf", b"x"), true),
        ("no word", &words, named("report.pdf", b"x"), false),
        ("a declared type", &declared, image(b"x"), true),
        ("a declared type that is implied", &declared, message("", b"x"), false),
        ("a real family", &real, named("a.txt", b"MZ program"), true),
        ("another real family", &real, named("a.txt", b"text"), false),
        ("a double extension", &double, named("invoice.pdf.exe", b"x"), true),
        ("a double extension far apart", &double, named("invoice.pdf        .scr", b"x"), true),
        ("a compressed document", &double, named("report.csv.gz", b"x"), false),
        ("a version", &double, named("v1.2.exe", b"x"), false),
        ("a program called PDF", &mismatch, named("a.pdf", b"MZ program"), true),
        ("a PDF called PDF", &mismatch, named("a.pdf", b"%PDF-1.4"), false),
        ("a page called a picture", &mismatch, image(b"<html>"), true),
        ("a JPEG called PNG", &mismatch, image(b"\xff\xd8\xff\xe0"), false),
        ("a name that promises nothing", &mismatch, named("a.bin", b"MZ program"), false),
    ];
    for (name, rule, message, expected) in cases {
        assert_eq!(fits(&message, rule), expected, "{name}");
    }
}

#[test]
fn all_conditions_must_hold_for_one_attachment() {
    let rule = AttachmentRule {
        extensions: set(&["pdf"]),
        real_types: set(&["executable"]),
        ..Default::default()
    };
    assert!(fits(&named("a.pdf", b"MZ program"), &rule));
    assert!(!fits(&named("a.pdf", b"%PDF-1.4"), &rule));
    assert!(!fits(&named("a.exe", b"MZ program"), &rule));
    assert!(!fits(&named("a.exe", b"MZ program"), &AttachmentRule::default()), "no condition, no match");
}

#[test]
fn archives_are_looked_into_where_the_rule_says() {
    let plain = zip_of("d/run.exe", b"MZ program", false);
    let locked = zip_of("run.exe", b"MZ program", true);
    let nested = zip_of("inner.zip", &plain, false);
    let rule = |in_archives| AttachmentRule { extensions: set(&["exe"]), in_archives, ..Default::default() };
    let real = AttachmentRule { real_types: set(&["executable"]), in_archives: true, ..Default::default() };
    let encrypted = AttachmentRule { encrypted: true, ..Default::default() };
    let damaged = AttachmentRule { damaged: true, ..Default::default() };
    let deep = AttachmentRule { nested: 2, ..Default::default() };
    let cases = [
        ("not asked", rule(false), &plain[..], false),
        ("by extension", rule(true), &plain[..], true),
        ("in an archive in it", rule(true), &nested[..], true),
        ("by real type", real, &plain[..], true),
        ("encrypted", encrypted.clone(), &locked[..], true),
        ("not encrypted", encrypted.clone(), &plain[..], false),
        ("an encrypted PDF", encrypted, b"%PDF-1.4\ntrailer << /Encrypt 5 0 R >>", true),
        ("damaged", damaged.clone(), &plain[..plain.len() - 30], true),
        ("whole", damaged, &plain[..], false),
        ("nested", deep.clone(), &nested[..], true),
        ("not nested", deep, &plain[..], false),
    ];
    for (name, rule, content, expected) in cases {
        assert_eq!(fits(&named("a.bin", content), &rule), expected, "{name}");
    }
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
