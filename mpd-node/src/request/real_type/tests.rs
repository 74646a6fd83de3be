//! What content is known by.

use super::*;

#[test]
fn content_is_known_by_its_first_bytes() {
    let mut pe = vec![0u8; 0x80];
    pe[..2].copy_from_slice(b"MZ");
    pe[0x3c] = 0x40;
    pe[0x40..0x44].copy_from_slice(b"PE\0\0");
    let mut iso = vec![0u8; HEAD];
    iso[32769..32774].copy_from_slice(b"CD001");
    let mut tar = vec![0u8; 512];
    tar[257..262].copy_from_slice(b"ustar");
    let local = |name: &[u8], content: &[u8]| {
        let mut zip = b"PK\x03\x04".to_vec();
        zip.resize(26, 0);
        zip.extend((name.len() as u16).to_le_bytes());
        zip.extend([0, 0]);
        zip.extend(name);
        zip.extend(content);
        zip
    };
    let cases: Vec<(Vec<u8>, &str, Family)> = vec![
        (pe, "exe", Family::Executable),
        (b"MZ only".to_vec(), "dos-exe", Family::Executable),
        (b"\x7fELF\x02".to_vec(), "elf", Family::Executable),
        (
            b"\xca\xfe\xba\xbe\0\0\0\x02".to_vec(),
            "macho",
            Family::Executable,
        ),
        (
            b"\xca\xfe\xba\xbe\0\0\0\x34".to_vec(),
            "class",
            Family::Executable,
        ),
        (
            b"L\0\0\0\x01\x14\x02\0\0\0\0\0\xc0\0\0\0".to_vec(),
            "lnk",
            Family::Executable,
        ),
        (b"#!/bin/sh\n".to_vec(), "script", Family::Script),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec(),
            "ole",
            Family::Document,
        ),
        (b"{\\rtf1".to_vec(), "rtf", Family::Document),
        (b"junk\n%PDF-1.7".to_vec(), "pdf", Family::Document),
        (b"7z\xbc\xaf\x27\x1c".to_vec(), "7z", Family::Archive),
        (b"Rar!\x1a\x07\x01\0".to_vec(), "rar", Family::Archive),
        (b"\x1f\x8b\x08".to_vec(), "gz", Family::Archive),
        (tar, "tar", Family::Archive),
        (iso, "iso", Family::DiskImage),
        (local(b"a.txt", b"hello"), "zip", Family::Archive),
        (
            local(b"[Content_Types].xml", b"PK word/document.xml"),
            "docx",
            Family::Document,
        ),
        (
            local(b"[Content_Types].xml", b"PK xl/workbook.xml"),
            "xlsx",
            Family::Document,
        ),
        (
            local(b"mimetype", b"application/vnd.oasis.opendocument.text"),
            "odf",
            Family::Document,
        ),
        (
            local(b"META-INF/MANIFEST.MF", b""),
            "jar",
            Family::Executable,
        ),
        (b"  <!DOCTYPE HTML>".to_vec(), "html", Family::Markup),
        (
            b"<?xml version=\"1.0\"?><svg>".to_vec(),
            "svg",
            Family::Markup,
        ),
        (
            b"<?xml version=\"1.0\"?><x>".to_vec(),
            "xml",
            Family::Markup,
        ),
        (b"\x89PNG\r\n\x1a\n".to_vec(), "png", Family::Image),
        (b"\xff\xd8\xff\xe0".to_vec(), "jpg", Family::Image),
        (b"GIF89a".to_vec(), "gif", Family::Image),
        (b"just words\r\n".to_vec(), "text", Family::Text),
        (b"caf\xe9".to_vec(), "text", Family::Text),
        (b"\x01\x02\x03".to_vec(), "data", Family::Unknown),
        (b"".to_vec(), "empty", Family::Unknown),
    ];
    for (head, name, family) in cases {
        assert!(is_name(name) && is_name(family.name()), "{name}");
        assert_eq!(
            of(&head),
            RealType { name, family },
            "{:?}",
            &head[..head.len().min(16)]
        );
    }
}

#[test]
fn a_name_that_no_content_has_is_told() {
    for name in ["", "EXE", "docs", "executables"] {
        assert!(!is_name(name), "{name}");
    }
}
