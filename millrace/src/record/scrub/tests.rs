use proptest::prelude::*;

use super::*;

fn scrub(scrubber: &Scrubber, direction: Direction, command: u8, data: &[u8]) -> String {
    let frame = Frame {
        command,
        data: Bytes::copy_from_slice(data),
    };
    let scrubbed = scrubber.frame(direction, &frame);
    assert_eq!(scrubbed.command, command);
    assert_eq!(scrubbed.data.len(), data.len(), "{}", data.escape_ascii());
    String::from_utf8(scrubbed.data.to_vec()).unwrap()
}

#[test]
fn structure_stays_and_contents_go() {
    use Direction::{FromFilter, FromMta};
    let scrubber = Scrubber::default();
    for (direction, command, data, expected) in [
        (FromMta, b'B', &b"Dear Bob,\r\n 12 \xc3\xa9!\r\n"[..], "Xxxx Xxx,\r\n 99 ??!\r\n"),
        (FromMta, b'E', b"a1", "x9"),
        (FromMta, b'U', b"XSECRET 1\0", "XXXXXXX 9\0"),
        (FromMta, b'L', b"Subject\0 Our 2\n offer\0", "Subject\0 Xxx 9\n xxxxx\0"),
        (
            FromMta,
            b'L',
            b"Content-Type\0multipart/mixed;\n boundary=\"=_Ab1;c\"; charset=utf-8 (Bob); name=bob.txt\0",
            "Content-Type\0multipart/mixed;\n boundary=\"=_Xx9;x\"; charset=utf-8 (Xxx); name=xxx.xxx\0",
        ),
        (FromMta, b'L', b"MIME-Version\x001.0 (Bob 2)\0", "MIME-Version\x001.0 (Xxx 9)\0"),
        (
            FromMta,
            b'L',
            b"content-transfer-encoding\0base64\0",
            "content-transfer-encoding\0base64\0",
        ),
        (FromMta, b'D', b"Mi\x004fQ1\0{auth_type}\0PLAIN\0", "Mi\x004fQ1\0{auth_type}\0PLAIN\0"),
        (FromFilter, b'y', b"550-5.7.1 Bob 1.2.3.4\r\n550 no\0", "550-5.7.1 Xxx 9.9.9.9\r\n550 xx\0"),
        (FromFilter, b'm', b"\0\0\0\x01Subject\0Bob\0", "\0\0\0\x01Subject\0Xxx\0"),
        (FromFilter, b'q', b"bob\0", "xxx\0"),
        (FromFilter, b'c', b"", ""),
        (FromMta, b'T', b"", ""),
    ] {
        assert_eq!(scrub(&scrubber, direction, command, data), expected);
    }
}

#[test]
fn a_name_is_the_same_pseudonym_wherever_it_stands() {
    let scrubber = Scrubber::default();
    let mta = |command, data: &[u8]| scrub(&scrubber, Direction::FromMta, command, data);
    let envelope = mta(
        b'M',
        b"<Margaret@corporation.test>\0SIZE=1234\0ENVID=margaret\0SMTPUTF8\0",
    );
    let strings: Vec<_> = envelope.split('\0').collect();
    assert_eq!(strings[1], "SIZE=1234");
    assert_eq!(strings[3], "SMTPUTF8");
    let address = strings[0];
    assert!(!address.to_lowercase().contains("margaret") && !address.contains("corporation"));
    assert_eq!(address.find('@'), Some(9));
    assert_eq!(
        strings[2].to_lowercase(),
        format!("ENVID={}", &address[1..9]).to_lowercase()
    );
    let header = mta(b'L', b"From\0The Boss <margaret@corporation.test>\0");
    assert!(
        header
            .to_lowercase()
            .ends_with(&format!("xxx xxxx {address}\0").to_lowercase()),
        "{header} {address}"
    );
    let user = mta(
        b'D',
        b"M{auth_authen}\0margaret@corporation.test\0{cert_subject}\0/CN=Margaret\0",
    );
    assert!(!user.to_lowercase().contains("margaret"), "{user}");
    assert!(
        user.to_lowercase().contains(&address[1..9].to_lowercase()),
        "{user}"
    );
    // Another session has another key.
    let other = scrub(
        &Scrubber::default(),
        Direction::FromMta,
        b'H',
        b"margaret.corporation.test\0",
    );
    assert_ne!(other, mta(b'H', b"margaret.corporation.test\0"));
}

#[test]
fn addresses_of_machines_become_nobodys_of_the_same_length() {
    let scrubber = Scrubber::default();
    for (address, prefix) in [
        ("8.8.8.8", "0.0.0."),
        ("8.8.8.81", "0.0.0."),
        ("10.1.2.33", "192.0.2."),
        ("8.133.4.199", "192.0.2."),
        ("84.133.4.199", "198.51.100."),
        ("84.133.114.199", "198.51.100."),
        ("184.133.114.199", "100.100.100."),
        ("::1", "::"),
        ("fe80::1:2", "::"),
        ("2a01:4f8::", "2001:db8::"),
        ("2a01:4f8:c17:b8f::2", "2001:db8::"),
        ("2a01:4f8:1c17:2b8f:1111:2222:3333:44", "2001:db8:"),
        ("2a01:4f80:1c17:2b8f:1111:2222:3333:4444", "2001:0db8:"),
        ("::ffff:84.133.4.199", "2001:db8::"),
    ] {
        let family = if address.contains(':') { '6' } else { '4' };
        let data = format!("[{address}]\0{family}\x04\x57{address}\0");
        let scrubbed = scrub(&scrubber, Direction::FromMta, b'C', data.as_bytes());
        assert!(scrubbed[1..].starts_with(prefix), "{address}: {scrubbed}");
        assert!(!scrubbed.contains(&format!("{address}\0")), "{scrubbed}");
        let command = millrace_milter::Command::parse(Frame {
            command: b'C',
            data: scrubbed.clone().into(),
        });
        assert!(command.is_ok(), "{address}: {scrubbed:?} {command:?}");
        // Host and address are still the same.
        let (host, rest) = scrubbed.split_once('\0').unwrap();
        assert_eq!(&host[1..host.len() - 1], rest[3..].trim_end_matches('\0'));
    }
}

proptest! {
    #[test]
    fn every_frame_keeps_its_length(
        command in prop_oneof![proptest::sample::select(&b"ODCHMRTLNBEAUQKyhimbe+2-qcart"[..]), any::<u8>()],
        from_mta in any::<bool>(),
        data in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..100),
            "[a-c.:@<>=;\"(\\x00 0-9]{0,60}".prop_map(String::into_bytes),
        ],
    ) {
        let direction = if from_mta { Direction::FromMta } else { Direction::FromFilter };
        let frame = Frame { command, data: data.into() };
        let scrubber = Scrubber::default();
        let scrubbed = scrubber.frame(direction, &frame);
        prop_assert_eq!(scrubbed.data.len(), frame.data.len());
        prop_assert_eq!(scrubbed, scrubber.frame(direction, &frame));
    }
}
