//! What is listed of real and of hostile archives.

use std::io::Write;

use bytes::Bytes;
use flate2::{
    Compression,
    write::{DeflateEncoder, GzEncoder},
};
use proptest::prelude::*;
use rawzip::{CompressionMethod, ZipArchiveWriter};

use super::*;

/// `7zz a` of a.txt ("hello\n"), b.exe ("MZ.."), d/c.txt and the empty file `empty`.
const SEVEN_ZIP: &str = "N3q8ryccAAQ9jHg/kwAAAAAAAAAiAAAAAAAAAOZAOzkBAApoZWxsbwpNWi4ueAAAAIEzB64Pzt0HYQkqrtOqhSYoGKffAUXKiDPAYgFFRg1Cd8+QpLaHC8v4TusVRf9b8XrQ5wuU0sEemuS1BNYZ3gskMO5gMqXbEGF9hyVh2f3dBJ/8iH7/aSxoNaKxp4RveAqZbS/BJ6HjhNXhhz7ikSCowX3ya55Ky1D8/zcaJ27WAAAXBg8BCYCEAAcLAQABIwMBAQVdABAAAAyAwgoBK8qVAwAA";
/// The same with `-mhc=off`: the header is not compressed.
const SEVEN_ZIP_PLAIN_HEADER: &str = "N3q8ryccAARvueGxDwAAAAAAAADCAAAAAAAAACvKlQMBAApoZWxsbwpNWi4ueAABBAYAAQkPAAcLAQABISEBAAwLAAgNAwkGBAoBIDA6NnnwwP6DFtyMAAAFBQ4BwA8BQBkJAAAAAAAAAAAAETkAZAAAAGUAbQBwAHQAeQAAAGEALgB0AHgAdAAAAGIALgBlAHgAZQAAAGQALwBjAC4AdAB4AHQAAAAZAgAAFCoBAPv8qR3Iet0B+/ypHch63QG7YKkdyHrdAbtgqR3Iet0B+/ypHch63QEVFgEAEIDtQSCApIEggKSBIICkgSCApIEAAA==";
/// `7zz a -psecret` of a.txt and b.exe.
const SEVEN_ZIP_ENCRYPTED: &str = "N3q8ryccAAS3sJRZiQAAAAAAAAAhAAAAAAAAADnC98PTt5pEjen6I5GOKyC4wxp1AACBMweuD87ysgwHsMPa919FiphISvgnWICbeIPmgUWk0deeij/S0GxZ6ag7ofoODGPy6VuwOT/UzrINb1t6L6tvhvROi7Bn5MnFomRbaRpowV2a9KUeLz0sU/B9/cq4prHVlUp+HN27h1dkTZ+n/Nf6yiz49mgAABcGEAEJeQAHCwEAASMDAQEFXQAQAAAMgI4KAT109oUAAA==";
/// `7zz a -psecret -mhe=on` of a.txt: the header is encrypted.
const SEVEN_ZIP_ENCRYPTED_HEADER: &str = "N3q8ryccAAQ+LCF6gAAAAAAAAAAuAAAAAAAAAHVvn0Xmiy4wMzaq82Ff1RzdMSRXEi0TdF1TMKiZNyN4Pz/KEmbud5wZN2oY8AVJNU66mB0N8P/9Iidn2nk6gVmJDmZVxIdpaBj4PdtBOu0M0bWgWLqj03sQGPEkOwHrZiBLGTSTnMJrxSE6Z8s8xOFH4guoMP7tCm7I4ROvLHdAjuCiwBcGEAEJcAAHCwEAASQG8QcBElMPYjYQkMmq035Xm7Or1RP6QgxiCgEiSyb+AAA=";
/// `zip -P pw` of a.txt.
const ZIP_ENCRYPTED: &str = "UEsDBAoACQAAAEqrdl0gMDo2EgAAAAYAAAAFABwAYS50eHRVVAkAA/xdA2sRXgNrdXgLAAEEAAAAAAQAAAAAOZyep4CmBre5lyYM4+8jPk56UEsHCCAwOjYSAAAABgAAAFBLAQIeAwoACQAAAEqrdl0gMDo2EgAAAAYAAAAFABgAAAAAAAEAAACkgQAAAABhLnR4dFVUBQAD/F0Da3V4CwABBAAAAAAEAAAAAFBLBQYAAAAAAQABAEsAAABhAAAAAAA=";
/// `bzip2` of a.txt, and of a tape archive with a.txt and d/c.txt.
const BZIP2: &str = "QlpoOTFBWSZTWcHAgOIAAAFBAAAQAkSgADDNAMNGKZcXckU4UJDBwIDi";
const BZIP2_TAR: &str = "QlpoOTFBWSZTWf+F5TsAALN7hMmQAEhAAe+AACluRJ5AAACAiCAAkojSnpqZBoaAANGgioiMT0hpoGEekPUm0gSw4lTWXQFftggOJi28Bi319JNg4MEQihOIVOzF119G4sBDPTW1CWjF31QYeYggvDIFwIEys1DVUTm5xKFaDCIomIb6jaUonH0shzHJk7NGtmQaP4o34FyIfxdyRThQkP+F5Ts=";

fn decode(base64: &str) -> Bytes {
    Bytes::from(
        base64_simd::STANDARD
            .decode_to_vec(base64)
            .expect("valid base64"),
    )
}

fn listing(content: &Bytes) -> Listing {
    list(content, &Limits::default()).expect("an archive")
}

/// Name, size and encryption of each entry.
fn rows(listing: &Listing) -> Vec<(&str, Option<u64>, bool)> {
    listing
        .entries
        .iter()
        .map(|entry| (entry.name.as_str(), entry.size, entry.encrypted))
        .collect()
}

fn zip_of(files: &[(&str, &[u8])]) -> Bytes {
    let mut output = Vec::new();
    let mut archive = ZipArchiveWriter::new(&mut output);
    for (name, content) in files {
        let (mut entry, config) = archive
            .new_file(*name)
            .compression_method(CompressionMethod::DEFLATE)
            .start()
            .expect("a file");
        let mut writer = config.wrap(DeflateEncoder::new(&mut entry, Compression::fast()));
        writer.write_all(content).expect("room");
        let (encoder, descriptor) = writer.finish().expect("an end");
        encoder.finish().expect("an end");
        entry.finish(descriptor).expect("an end");
    }
    archive.finish().expect("an end");
    output.into()
}

fn gzip_of(content: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).expect("room");
    encoder.finish().expect("an end").into()
}

fn tar_of(files: &[(&str, &[u8])]) -> Bytes {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder
            .append_data(&mut header, name, *content)
            .expect("room");
    }
    builder.into_inner().expect("an end").into()
}

/// A RAR 4 block: its header (from the flags on), and its data.
fn rar4_block(kind: u8, flags: u16, fields: &[u8], data: &[u8]) -> Vec<u8> {
    let len = 7 + fields.len() as u16;
    [
        &[0, 0, kind][..],
        &flags.to_le_bytes(),
        &len.to_le_bytes(),
        fields,
        data,
    ]
    .concat()
}

fn rar4_file(name: &[u8], flags: u16, size: u32, data: &[u8]) -> Vec<u8> {
    let mut fields = Vec::new();
    fields.extend((data.len() as u32).to_le_bytes());
    fields.extend(size.to_le_bytes());
    fields.extend([0; 1 + 4 + 4 + 1 + 1]);
    fields.extend((name.len() as u16).to_le_bytes());
    fields.extend([0; 4]);
    fields.extend(name);
    rar4_block(0x74, 0x8000 | flags, &fields, data)
}

fn rar4(main_flags: u16, blocks: &[Vec<u8>]) -> Bytes {
    let main = rar4_block(0x73, main_flags, &[0; 6], b"");
    [
        &b"Rar!\x1a\x07\0"[..],
        &main,
        &blocks.concat(),
        &rar4_block(0x7b, 0x4000, b"", b""),
    ]
    .concat()
    .into()
}

/// A RAR 5 block of small numbers, each one byte.
fn rar5_block(kind: u8, fields: &[u8], extra: &[u8], data: &[u8]) -> Vec<u8> {
    let flags = u8::from(!extra.is_empty()) | u8::from(!data.is_empty()) << 1;
    let mut header = vec![kind, flags];
    if !extra.is_empty() {
        header.push(extra.len() as u8);
    }
    if !data.is_empty() {
        header.push(data.len() as u8);
    }
    header.extend(fields);
    header.extend(extra);
    [&[0; 4][..], &[header.len() as u8], &header, data].concat()
}

fn rar5_file(name: &[u8], is_dir: bool, size: u8, extra: &[u8], data: &[u8]) -> Vec<u8> {
    let mut fields = vec![u8::from(is_dir), size, 0, 0, 0, name.len() as u8];
    fields.extend(name);
    rar5_block(2, &fields, extra, data)
}

fn rar5(blocks: &[Vec<u8>]) -> Bytes {
    [&b"Rar!\x1a\x07\x01\0"[..], &blocks.concat()]
        .concat()
        .into()
}

#[test]
fn what_is_no_archive_is_not_listed() {
    for content in [&b""[..], b"text", b"%PDF-1.7", b"\x89PNG\r\n\x1a\n"] {
        assert!(
            list(&Bytes::from_static(content), &Limits::default()).is_none(),
            "{content:?}"
        );
    }
}

#[test]
fn a_zip_is_listed_with_real_types() {
    let listing = listing(&zip_of(&[
        ("a.txt", b"hello"),
        ("d/b.pdf", b"MZ\x90\0 a program"),
    ]));
    assert_eq!(
        rows(&listing),
        [("a.txt", Some(5), false), ("d/b.pdf", Some(14), false)]
    );
    let types: Vec<_> = listing
        .entries
        .iter()
        .map(|entry| entry.real_type.map(|real| real.name))
        .collect();
    assert_eq!(types, [Some("text"), Some("dos-exe")]);
    assert!(listing.unlisted.is_empty() && listing.defects.is_empty() && listing.limits.is_empty());
    assert!(!listing.encrypted && !listing.nested);
}

#[test]
fn encryption_is_seen() {
    type Rows = &'static [(&'static str, Option<u64>, bool)];
    let cases: [(&str, Rows, &[Unlisted]); 3] = [
        (ZIP_ENCRYPTED, &[("a.txt", Some(6), true)], &[]),
        (
            SEVEN_ZIP_ENCRYPTED,
            &[("a.txt", Some(6), true), ("b.exe", Some(4), true)],
            &[],
        ),
        (SEVEN_ZIP_ENCRYPTED_HEADER, &[], &[Unlisted::Encrypted]),
    ];
    for (archive, expected, unlisted) in cases {
        let listing = listing(&decode(archive));
        assert_eq!(rows(&listing), expected);
        assert_eq!(listing.unlisted, unlisted);
        assert!(listing.encrypted);
    }
}

#[test]
fn a_7z_is_listed_whether_its_header_is_compressed_or_not() {
    for archive in [SEVEN_ZIP, SEVEN_ZIP_PLAIN_HEADER] {
        let listing = listing(&decode(archive));
        let expected = [
            ("empty", Some(0), false),
            ("a.txt", Some(6), false),
            ("b.exe", Some(4), false),
            ("d/c.txt", Some(1), false),
        ];
        assert_eq!(rows(&listing), expected);
        assert!(listing.unlisted.is_empty());
    }
}

#[test]
fn rar_files_are_listed_by_their_headers() {
    let four = rar4(
        0,
        &[
            rar4_file(b"a.txt", 0, 5, b"abc"),
            rar4_file(b"d", 0x00e0, 0, b""),
            rar4_file(b"b.exe\0unicode", 0x0200 | 0x0004, 9, b"abcdef"),
        ],
    );
    let five = rar5(&[
        rar5_block(1, &[0], b"", b""),
        rar5_file(b"a.txt", false, 5, b"", b"abc"),
        rar5_file(b"d", true, 0, b"", b""),
        rar5_file(b"b.exe", false, 9, &[2, 1, 0], b"abcdef"),
        rar5_block(5, &[0], b"", b""),
    ]);
    for (archive, kind) in [(four, Kind::Rar4), (five, Kind::Rar5)] {
        let listing = listing(&archive);
        assert_eq!(listing.kind, kind);
        assert_eq!(
            rows(&listing),
            [("a.txt", Some(5), false), ("b.exe", Some(9), true)]
        );
        assert!(listing.encrypted && listing.unlisted.is_empty());
    }
}

#[test]
fn rar_headers_that_are_encrypted_or_cut_are_told() {
    let cases = [
        (rar4(0x0080, &[]), Unlisted::Encrypted),
        (
            rar4(0x0001, &[rar4_file(b"a", 0, 1, b"x")]),
            Unlisted::Volume,
        ),
        (
            rar5(&[rar5_block(4, &[0, 0], b"", b""), vec![0xff; 40]]),
            Unlisted::Encrypted,
        ),
        (
            rar5(&[
                rar5_block(1, &[1], b"", b""),
                rar5_file(b"a", false, 1, b"", b"x"),
            ]),
            Unlisted::Volume,
        ),
        (rar5(&[]), Unlisted::Damaged),
        (
            rar5(&[rar5_file(b"a", false, 1, b"", b"x")]).slice(..20),
            Unlisted::Damaged,
        ),
    ];
    for (archive, reason) in cases {
        let listing = listing(&archive);
        assert_eq!(listing.unlisted, [reason], "{archive:?}");
        assert_eq!(listing.encrypted, reason == Unlisted::Encrypted);
    }
}

#[test]
fn compressed_files_and_tape_archives_are_listed() {
    let tar = tar_of(&[("a.txt", b"hello\n"), ("d/c.txt", b"x")]);
    let both: &[(&str, Option<u64>)] = &[("a.txt", Some(6)), ("d/c.txt", Some(1))];
    type Rows<'a> = &'a [(&'a str, Option<u64>)];
    let long = "a".repeat(200);
    let cases: [(Bytes, Kind, Rows<'_>); 6] = [
        (tar.clone(), Kind::Tar, both),
        (gzip_of(&tar), Kind::Gzip, both),
        (gzip_of(b"hello\n"), Kind::Gzip, &[("", Some(6))]),
        (decode(BZIP2), Kind::Bzip2, &[("", Some(6))]),
        (decode(BZIP2_TAR), Kind::Bzip2, both),
        (tar_of(&[(&long, b"x")]), Kind::Tar, &[(&long, Some(1))]),
    ];
    for (archive, kind, expected) in cases {
        let listing = listing(&archive);
        assert_eq!(listing.kind, kind);
        let mut found: Vec<_> = listing
            .entries
            .iter()
            .map(|entry| (entry.name.as_str(), entry.size))
            .collect();
        found.retain(|(name, _)| *name != "d/");
        assert_eq!(found, expected);
        assert_eq!((listing.depth, listing.nested), (1, false));
    }
}

#[test]
fn archives_in_archives_are_listed_with_their_path() {
    let inner = zip_of(&[("x.exe", b"MZ")]);
    let listing = listing(&zip_of(&[(
        "mid.tgz",
        &gzip_of(&tar_of(&[("in.zip", &inner)])),
    )]));
    let found: Vec<_> = listing
        .entries
        .iter()
        .map(|entry| (entry.name.as_str(), entry.depth))
        .collect();
    assert_eq!(
        found,
        [
            ("mid.tgz", 1),
            ("mid.tgz/in.zip", 2),
            ("mid.tgz/in.zip/x.exe", 3)
        ]
    );
    assert!(listing.nested);
    assert_eq!(listing.depth, 3);
}

#[test]
fn what_cannot_be_listed_says_so() {
    let cases: [(&[u8], &str, Unlisted); 5] = [
        (b"\xfd7zXZ\0 xz", "xz", Unlisted::Unsupported),
        (b"MSCF cab", "cab", Unlisted::Unsupported),
        (b"PK\x03\x04 cut off", "zip", Unlisted::Damaged),
        (b"\x1f\x8b\x08 junk", "gz", Unlisted::Damaged),
        (b"7z\xbc\xaf\x27\x1c", "7z", Unlisted::Damaged),
    ];
    for (content, name, reason) in cases {
        let listing = listing(&Bytes::from_static(content));
        assert_eq!(
            (listing.kind.name(), listing.unlisted.as_slice()),
            (name, &[reason][..])
        );
    }
}

#[test]
fn a_bomb_ends_at_its_ratio() {
    let zeros = vec![0u8; 8 << 20];
    let gzip = gzip_of(&zeros);
    for archive in [
        gzip.clone(),
        zip_of(&[("zeros", &zeros)]),
        zip_of(&[("zeros.gz", &gzip)]),
    ] {
        assert!(listing(&archive).limits.contains(LimitHit::ArchiveRatio));
    }
}

#[test]
fn a_budget_bounds_what_is_unpacked() {
    let noise: Vec<u8> = (0..300_000u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes())
        .collect();
    let limits = Limits {
        archive_bytes: 100_000,
        ..Limits::default()
    };
    let listing = list(&gzip_of(&noise), &limits).expect("an archive");
    assert!(listing.limits.contains(LimitHit::ArchiveBytes));
    assert_eq!(
        listing.entries[0].size, None,
        "what was not unpacked has no known size"
    );
}

#[test]
fn archives_nested_without_end_are_cut_at_the_depth() {
    let mut archive = zip_of(&[("x", b"x")]);
    for _ in 0..50 {
        archive = zip_of(&[("n.zip", &archive)]);
    }
    let listing = listing(&archive);
    assert!(listing.limits.contains(LimitHit::ArchiveDepth));
    assert_eq!(listing.depth, Limits::default().archive_depth);
}

#[test]
fn archives_that_multiply_are_cut_at_their_number() {
    let mut archive = zip_of(&[("x", b"x")]);
    let names: Vec<_> = (0..16).map(|n| format!("{n}.zip")).collect();
    for _ in 0..6 {
        let files: Vec<_> = names
            .iter()
            .map(|name| (name.as_str(), archive.as_ref()))
            .collect();
        archive = zip_of(&files);
    }
    let limits = Limits {
        archive_entries: 2000,
        ..Limits::default()
    };
    let listing = list(&archive, &limits).expect("an archive");
    assert!(listing.limits.contains(LimitHit::ArchiveEntries));
    assert!(listing.entries.len() <= 2000);
}

#[test]
fn entries_that_share_their_bytes_are_noticed() {
    // A second entry in the central directory that leads to the first one's bytes.
    let archive = zip_of(&[("a", b"hello")]);
    let directory = memchr::memmem::find(&archive, b"PK\x01\x02").expect("a directory");
    let end = memchr::memmem::find(&archive, b"PK\x05\x06").expect("an end");
    let record = &archive[directory..end];
    let mut tail = archive[end..].to_vec();
    tail[8..10].copy_from_slice(&2u16.to_le_bytes());
    tail[10..12].copy_from_slice(&2u16.to_le_bytes());
    tail[12..16].copy_from_slice(&(record.len() as u32 * 2).to_le_bytes());
    let doubled = Bytes::from([&archive[..end], record, &tail].concat());
    assert!(listing(&doubled).defects.contains(&ArchiveDefect::Overlap));
    assert_eq!(listing(&doubled).entries.len(), 2);
}

#[test]
fn headers_that_disagree_are_noticed() {
    let archive = zip_of(&[("good.txt", b"hello")]);
    let mut renamed = archive.to_vec();
    renamed[30..38].copy_from_slice(b"evil.exe");
    assert_eq!(
        listing(&renamed.into()).defects,
        [ArchiveDefect::HeaderMismatch]
    );
    let prepended = Bytes::from([b"PK\x03\x04 some program ", archive.as_ref()].concat());
    assert!(
        listing(&prepended)
            .defects
            .contains(&ArchiveDefect::Prepended)
    );
    let appended = Bytes::from([archive.as_ref(), b"more"].concat());
    assert!(
        listing(&appended)
            .defects
            .contains(&ArchiveDefect::Appended)
    );
    for name in ["../x", "a/../../x"] {
        let listing = listing(&tar_like_zip(name));
        assert_eq!(listing.defects, [ArchiveDefect::PathTraversal], "{name}");
    }
}

/// A zip archive whose one name the writer would have cleaned.
fn tar_like_zip(name: &str) -> Bytes {
    let plain = "x".repeat(name.len());
    let mut archive = zip_of(&[(&plain, b"hello")]).to_vec();
    while let Some(at) = memchr::memmem::find(&archive, plain.as_bytes()) {
        archive[at..at + name.len()].copy_from_slice(name.as_bytes());
    }
    archive.into()
}

/// Archives of every kind that is listed.
fn samples() -> Vec<Bytes> {
    let tar = tar_of(&[("a.txt", b"hello"), ("b", b"x")]);
    vec![
        zip_of(&[("a.txt", b"hello"), ("b.zip", &zip_of(&[("c", b"d")]))]),
        gzip_of(&tar),
        tar,
        decode(SEVEN_ZIP),
        decode(SEVEN_ZIP_PLAIN_HEADER),
        decode(BZIP2_TAR),
        rar4(0, &[rar4_file(b"a.txt", 0, 5, b"abc")]),
        rar5(&[
            rar5_block(1, &[0], b"", b""),
            rar5_file(b"a", false, 5, b"", b"abc"),
        ]),
    ]
}

proptest! {
    #[test]
    fn damaged_archives_are_listed_or_refused(
        sample in 0..8usize,
        cut in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
    ) {
        let mut archive = samples()[sample].to_vec();
        for (at, byte) in changes {
            let at = at.index(archive.len());
            archive[at] = byte;
        }
        archive.truncate(cut.index(archive.len()) + 1);
        let whole = Bytes::from(archive);
        if let Some(listing) = list(&whole, &Limits::default()) {
            prop_assert!(listing.entries.len() <= Limits::default().archive_entries);
        }
    }

    #[test]
    fn any_bytes_behind_a_signature_are_listed_or_refused(
        sample in 0..8usize,
        tail in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let head = samples()[sample].slice(..8);
        let _ = list(&[head.as_ref(), &tail].concat().into(), &Limits::default());
    }
}
