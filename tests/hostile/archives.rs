//! Archives that unpack to more than they seem.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use millrace_milter::mta::Message;
use millrace_tests::message::with_attachment;

use crate::attacked::Attacked;
use crate::zip::{Entry, archive, overlapping};

fn attached(name: &str, content: &[u8]) -> Message {
    Message::parse(&with_attachment(name, "application/octet-stream", content))
}

const LARGE: u32 = 40 << 20;

#[test]
fn a_bomb_of_one_to_a_thousand() {
    let honest = archive(&[Entry::zeros("a.txt", LARGE)]);
    let nested = archive(&[Entry::stored("b.zip", &honest)]);
    Attacked::both_ways(|attacked| {
        attacked.finds("LIMIT_ARCHIVE_RATIO", "a bomb", attached("a.zip", &honest));
        attacked.finds(
            "LIMIT_ARCHIVE_RATIO",
            "a bomb in an archive",
            attached("a.zip", &nested),
        );
    });
}

#[test]
fn a_bomb_that_lies_about_its_size() {
    let inner = archive(&[Entry::zeros("inner.zip", LARGE).claiming(100)]);
    let boast = archive(&[Entry::stored("a.txt", b"x").claiming(u32::MAX)]);
    Attacked::both_ways(|attacked| {
        attacked.survives("a bomb that seems small", attached("a.zip", &inner));
        attacked.finds(
            "LIMIT_ARCHIVE_RATIO",
            "a file that seems large",
            attached("a.zip", &boast),
        );
    });
}

#[test]
fn archives_in_archives_in_archives() {
    let mut inner = archive(&[Entry::stored("program.exe", b"MZ")]);
    for n in 0..40 {
        inner = archive(&[Entry::stored(format!("{n}.zip"), &inner)]);
    }
    Attacked::both_ways(|attacked| {
        attacked.finds(
            "LIMIT_ARCHIVE_DEPTH",
            "40 archives deep",
            attached("a.zip", &inner),
        );
    });
}

#[test]
fn sixteen_archives_in_each_of_sixteen_in_each_of_sixteen() {
    let mut inner = archive(&[Entry::zeros("0.txt", 1 << 20)]);
    for _ in 0..3 {
        let entries: Vec<Entry> = (0..16)
            .map(|n| Entry::stored(format!("{n}.zip"), &inner))
            .collect();
        inner = archive(&entries);
    }
    Attacked::both_ways(|attacked| {
        attacked.survives("a tree of archives", attached("42.zip", &inner));
    });
}

#[test]
fn one_piece_of_data_listed_again_and_again() {
    let many = overlapping(&Entry::zeros("a", 1 << 20), 9_000);
    let itself = overlapping(&Entry::stored("a.zip", &many), 60);
    Attacked::both_ways(|attacked| {
        attacked.finds(
            "LIMIT_ARCHIVE_RATIO",
            "overlapping files",
            attached("a.zip", &many),
        );
        attacked.survives("overlapping archives", attached("a.zip", &itself));
    });
}

#[test]
fn sixty_thousand_entries() {
    let entries: Vec<Entry> = (0..60_000)
        .map(|n| Entry::stored(n.to_string(), b""))
        .collect();
    let many = archive(&entries);
    Attacked::both_ways(|attacked| {
        attacked.finds(
            "LIMIT_ARCHIVE_ENTRIES",
            "60,000 entries",
            attached("a.zip", &many),
        );
    });
}

#[test]
fn a_compressed_stream_that_does_not_end() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..LARGE >> 16 {
        encoder.write_all(&[0; 1 << 16]).expect("memory takes it");
    }
    let whole = encoder.finish().expect("memory takes it");
    let cut = &whole[..whole.len() - 100];
    Attacked::both_ways(|attacked| {
        for name in ["a.gz", "a.tar.gz", "a.svgz"] {
            attacked.finds("LIMIT_ARCHIVE_RATIO", "a gzip bomb", attached(name, &whole));
            attacked.survives("a gzip bomb that is cut off", attached(name, cut));
        }
    });
}

#[test]
fn archives_that_are_broken_at_every_place() {
    let whole = archive(&[
        Entry::zeros("a.txt", 5000),
        Entry::stored("b.zip", &archive(&[Entry::stored("c.exe", b"MZ")])),
    ]);
    let mut attacked = Attacked::embedded();
    for at in (0..whole.len()).step_by(9) {
        let mut broken = whole.clone();
        broken[at] ^= 0xff;
        attacked.survives("a flipped byte", attached("a.zip", &broken));
        attacked.survives("a cut archive", attached("a.zip", &whole[..at]));
    }
}
