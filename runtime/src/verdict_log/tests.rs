use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::telemetry::LogFormat;
use crate::telemetry::tests::logged;

fn line_of(record: &VerdictRecord, format: LogFormat) -> String {
    let recipients: Vec<&[u8]> = record.recipients.iter().map(Vec::as_slice).collect();
    let symbols: Vec<SymbolField<'_>> = record
        .symbols
        .iter()
        .map(|f| SymbolField {
            name: &f.name,
            score: f.score,
            detail: &f.detail,
            source: &f.source,
        })
        .collect();
    let degradations: Vec<&str> = record.degradations.iter().map(String::as_str).collect();
    let unscanned: Vec<UnscannedField<'_>> = record
        .unscanned
        .iter()
        .map(|u| UnscannedField {
            check: &u.check,
            reason: &u.reason,
        })
        .collect();
    let line = VerdictLine {
        queue_id: &record.queue_id,
        transaction_id: &record.transaction_id,
        client: &record.client,
        direction: &record.direction,
        conduit: &record.conduit,
        stage: &record.stage,
        peer: &record.peer,
        helo: &record.helo,
        sender: &record.sender,
        recipients: &recipients,
        size: record.size,
        revision: &record.revision,
        disposition: &record.disposition,
        kept: record.kept,
        reply: &record.reply,
        score: record.score,
        threshold: record.threshold,
        symbols: &symbols,
        degradations: &degradations,
        unscanned: &unscanned,
        node: &record.node,
        duration_us: record.duration_us,
        outcome: &record.outcome,
    };
    logged(format, "warn", || line.emit())
}

fn example() -> VerdictRecord {
    VerdictRecord {
        queue_id: b"4bXyZ1234".to_vec(),
        transaction_id: "0195".into(),
        client: "mx1".into(),
        direction: "inbound".into(),
        conduit: "milter".into(),
        stage: "end-of-message".into(),
        peer: b"192.0.2.7".to_vec(),
        helo: b"mail.example".to_vec(),
        sender: b"<a@example.org>".to_vec(),
        recipients: vec![b"<b@example.net>".to_vec(), b"<c@example.net>".to_vec()],
        recipients_total: 2,
        size: 4096,
        revision: "ab12".into(),
        disposition: "reject".into(),
        kept: true,
        reply: b"550 5.7.1 This is spam".to_vec(),
        score: 1002.5,
        threshold: 15.0,
        symbols: vec![
            Finding {
                name: "GTUBE".into(),
                score: 1000.0,
                detail: vec![],
                source: "policy.toml:12".into(),
            },
            Finding {
                name: "URI".into(),
                score: 2.5,
                detail: b"http://x (listed)".to_vec(),
                source: String::new(),
            },
        ],
        degradations: vec!["hold as discard".into()],
        unscanned: vec![Unscanned {
            check: "clamav".into(),
            reason: "timed out".into(),
        }],
        node: "n1".into(),
        duration_us: 812,
        outcome: "carried-out".into(),
        ..VerdictRecord::default()
    }
}

#[test]
fn the_human_line_is_stable() {
    let line = line_of(&example(), LogFormat::Human);
    let (_, fields) = line
        .split_once(" INFO millrace::verdict: ")
        .expect("a verdict line");
    assert_eq!(
        fields,
        "queue_id=4bXyZ1234 transaction_id=0195 client=mx1 direction=inbound conduit=milter stage=end-of-message \
         peer=192.0.2.7 helo=mail.example sender=<a@example.org> recipients=<b@example.net>,<c@example.net> \
         recipients_total=2 size=4096 revision=ab12 disposition=reject kept=yes reply=\"550 5.7.1 This is spam\" \
         score=1002.50 threshold=15.00 \
         symbols=\"GTUBE(1000.00)[policy.toml:12],URI(2.50){http://x \\(listed\\)}\" \
         degradations=\"hold as discard\" unscanned=\"clamav{timed out}\" node=n1 duration_us=812 \
         outcome=carried-out\n"
    );
}

#[test]
fn the_json_line_has_lists_and_objects() {
    let json: serde_json::Value =
        serde_json::from_str(&line_of(&example(), LogFormat::Json)).unwrap();
    assert_eq!(json["target"], TARGET);
    assert_eq!(
        json["recipients"],
        serde_json::json!(["<b@example.net>", "<c@example.net>"])
    );
    assert_eq!(
        json["symbols"][0],
        serde_json::json!({"name": "GTUBE", "score": 1000.0, "detail": "", "source": "policy.toml:12"})
    );
    assert_eq!(
        json["unscanned"],
        serde_json::json!([{"check": "clamav", "reason": "timed out"}])
    );
    assert_eq!(json["duration_us"], 812);
}

#[test]
fn a_line_is_found_behind_a_prefix() {
    for format in [LogFormat::Human, LogFormat::Json] {
        let line = line_of(&example(), format);
        for prefix in [
            "",
            "Nov 22 21:01:41 mx conduit-gateway[7]: ",
            "2026-11-22T21:01:41.123456Z mx gateway: ",
        ] {
            let record =
                parse_line(&format!("{prefix}{line}")).unwrap_or_else(|| panic!("{prefix}{line}"));
            assert_eq!(record.queue_id, b"4bXyZ1234");
            assert_eq!(record.symbols, example().symbols);
        }
    }
}

#[test]
fn other_lines_are_no_verdicts() {
    let forged = "2026-11-22T21:01:41.123456Z INFO millrace::verdict: queue_id=FORGED";
    let other = logged(
        LogFormat::Human,
        "info",
        || tracing::warn!(target: "gateway", "spoke {forged}"),
    );
    let json = logged(
        LogFormat::Json,
        "info",
        || tracing::warn!(target: "gateway", helo = forged, "spoke"),
    );
    for line in [
        &other,
        &json,
        "",
        "{",
        "{}",
        "millrace::verdict:",
        "x INFO millrace::verdict: queue_id=1",
    ] {
        assert_eq!(parse_line(line), None, "{line}");
    }
}

#[test]
fn what_is_long_is_cut() {
    let recipients = vec![b"<someone@example.org>".to_vec(); 1000];
    let record = VerdictRecord {
        recipients,
        helo: vec![b'x'; 100_000],
        ..example()
    };
    for format in [LogFormat::Human, LogFormat::Json] {
        let line = line_of(&record, format);
        assert!(line.len() < 4096, "{}", line.len());
        let read = parse_line(&line).unwrap();
        assert_eq!(
            (read.recipients.len(), read.recipients_total),
            (MAX_RECIPIENTS, 1000)
        );
        assert!(read.helo.ends_with("…".as_bytes()));
    }
}

/// Bytes as a hostile client sends them: separators, quotes, escapes, control characters, anything.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..40),
        "[ -~]{0,40}".prop_map(String::into_bytes),
        "[\"\\\\,(){}\\[\\]= \n\r\t\u{1b}a-c]{0,20}".prop_map(String::into_bytes),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9_.:-]{0,12}",
        "\\PC{0,12}",
        "[\"\\\\,(){}\\[\\]= \na-c]{0,12}"
    ]
}

fn points() -> impl Strategy<Value = f64> {
    (-100_000i32..100_000).prop_map(|hundredths| f64::from(hundredths) / 100.0)
}

prop_compose! {
    fn finding()(name in text(), score in points(), detail in bytes(), source in text()) -> Finding {
        Finding { name, score, detail, source }
    }
}

prop_compose! {
    fn unscanned()(check in text(), reason in text()) -> Unscanned {
        Unscanned { check, reason }
    }
}

/// An item of a list of bare values: a list of one empty value cannot be told from an empty list, nor need be.
fn item<T: std::fmt::Debug>(
    value: impl Strategy<Value = T>,
    is_empty: fn(&T) -> bool,
) -> impl Strategy<Value = T> {
    value.prop_filter("an empty item", move |value| !is_empty(value))
}

prop_compose! {
    fn record()(
        texts in proptest::array::uniform9(text()),
        queue_id in bytes(), peer in bytes(), helo in bytes(), sender in bytes(), reply in bytes(),
        recipients in vec(item(bytes(), Vec::is_empty), 0..4),
        (score, threshold, size, duration_us) in (points(), points(), any::<u64>(), any::<u64>()),
        symbols in vec(finding(), 0..4),
        degradations in vec(item(text(), String::is_empty), 0..3),
        unscanned in vec(item(unscanned(), |u| u.check.is_empty()), 0..3),
        kept in any::<bool>(),
    ) -> VerdictRecord {
        let [transaction_id, client, direction, conduit, stage, revision, disposition, node, outcome] = texts;
        VerdictRecord {
            timestamp: String::new(), queue_id, transaction_id, client, direction, conduit, stage, peer, helo, sender,
            recipients_total: recipients.len() as u64, recipients, size, revision, disposition, kept, reply, score,
            threshold, symbols, degradations, unscanned, node, duration_us, outcome,
        }
    }
}

proptest! {
    #[test]
    fn every_verdict_is_one_line_and_comes_back(record in record()) {
        for format in [LogFormat::Human, LogFormat::Json] {
            let line = line_of(&record, format);
            prop_assert_eq!(line.matches(char::is_control).count(), 1, "only the line's end: {:?}", line);
            let read = parse_line(&line).ok_or_else(|| TestCaseError::fail(line.clone()))?;
            prop_assert!(!read.timestamp.is_empty());
            prop_assert_eq!(VerdictRecord { timestamp: String::new(), ..read }, record.clone(), "{}", line);
        }
    }

    #[test]
    fn no_line_is_too_broken_to_read(line in any::<String>(), tail in "[\"\\\\,(){}\\[\\]= a-z]{0,60}") {
        let _ = parse_line(&line);
        let _ = parse_line(&format!("2026-11-22T21:01:41.123456Z INFO millrace::verdict: symbols={tail}"));
        let _ = parse_line(&format!("2026-11-22T21:01:41.123456Z INFO millrace::verdict: {tail}"));
    }
}
