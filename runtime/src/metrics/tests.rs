use super::*;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    client: Arc<str>,
}

#[test]
fn what_is_registered_is_rendered_in_both_forms() {
    let metrics = Metrics::new("test");
    metrics.counter("millrace_examples", "Examples").inc();
    metrics.gauge("millrace_example_depth", "Depth").set(3);
    metrics
        .latencies::<Labels>("millrace_example_duration_seconds", "Duration")
        .get_or_create_owned(&Labels {
            client: "mx1".into(),
        })
        .observe(0.0004);

    let both = [
        "millrace_examples_total 1\n",
        "millrace_example_depth 3\n",
        "millrace_example_duration_seconds_bucket{le=\"0.0005\",client=\"mx1\"} 1\n",
        "millrace_example_duration_seconds_count{client=\"mx1\"} 1\n",
        &format!(
            "millrace_build_info{{service=\"test\",version=\"{}\"}} 1\n",
            crate::VERSION
        ),
    ];
    let open = metrics.render(Exposition::OpenMetrics);
    let older = metrics.render(Exposition::Prometheus);
    for sample in both {
        assert!(open.contains(sample), "{sample} in\n{open}");
        assert!(older.contains(sample), "{sample} in\n{older}");
    }
    assert!(
        open.contains("# TYPE millrace_examples counter\n") && open.ends_with("# EOF\n"),
        "{open}"
    );
    for line in [
        "# HELP millrace_examples_total Examples.\n# TYPE millrace_examples_total counter\n",
        "# TYPE millrace_build_info gauge\n",
    ] {
        assert!(older.contains(line), "{line} in\n{older}");
    }
    assert!(
        !older.contains("# EOF") && !older.contains("# UNIT"),
        "{older}"
    );
}

#[test]
#[cfg(target_os = "linux")]
fn the_process_tells_what_it_uses() {
    let text = Metrics::new("test").render(Exposition::Prometheus);
    let value = |name: &str| -> f64 {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} in\n{text}"))
            .parse()
            .unwrap()
    };
    assert!(value("process_resident_memory_bytes") > 100_000.0);
    assert!(value("process_virtual_memory_bytes") >= value("process_resident_memory_bytes"));
    assert!(value("process_open_fds") >= 3.0);
    assert!(value("process_max_fds") >= value("process_open_fds"));
    assert!(value("process_threads") >= 1.0);
    assert!(value("process_cpu_seconds_total") >= 0.0);
    assert!(value("process_start_time_seconds") > 1.7e9);
}

#[test]
fn the_form_is_the_one_that_the_reader_asks_for() {
    for (accept, form) in [
        ("", Exposition::Prometheus),
        ("*/*", Exposition::Prometheus),
        ("text/plain;version=0.0.4", Exposition::Prometheus),
        (
            "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
            Exposition::OpenMetrics,
        ),
    ] {
        assert_eq!(Exposition::accepted(accept), form, "{accept}");
    }
}

#[test]
fn names_past_the_limit_are_other() {
    let label = BoundedLabel::new(2);
    for (name, value) in [
        ("a", "a"),
        ("b", "b"),
        ("c", OTHER),
        ("a", "a"),
        ("d", OTHER),
    ] {
        assert_eq!(&*label.value(name), value, "{name}");
    }
}
