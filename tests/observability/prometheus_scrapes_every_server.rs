use std::fs;

use millrace_tests::admin;
use millrace_tests::packages;
use millrace_tests::patience::until;
use millrace_tests::ports::Port;
use millrace_tests::process::Process;

use crate::servers::{Servers, Told};

/// Prometheus asks for OpenMetrics, and is strict about it.
#[test]
fn prometheus_finds_nothing_wrong_with_either() {
    let servers = Servers::start(&Told::default());
    let folder = tempfile::tempdir().expect("a temp folder can be made");
    let web = Port::reserve();
    let [gateway, node] = servers.admin_ports();
    let config = format!(
        "global: {{scrape_interval: 500ms, scrape_timeout: 500ms}}\n\
         scrape_configs:\n\
         - job_name: millrace\n  \
           static_configs: [{{targets: ['127.0.0.1:{gateway}', '127.0.0.1:{node}']}}]\n"
    );
    fs::write(folder.path().join("prometheus.yml"), config).expect("the folder can be written");
    let mut prometheus = Process::start(
        "prometheus",
        folder.path(),
        &packages::program("prometheus"),
        [
            "--config.file=prometheus.yml".to_owned(),
            "--storage.tsdb.path=data".to_owned(),
            format!("--web.listen-address=127.0.0.1:{}", web.number()),
        ],
    );
    prometheus.wait_for_port(web.number());

    let up = "/api/v1/query?query=count(millrace_build_info)";
    until("both servers were scraped", || {
        admin::ask(web.number(), up).is_some_and(|(_, body)| body.contains("\"2\"]"))
    });
    let (_, targets) = admin::ask(web.number(), "/api/v1/targets").expect("Prometheus answers");
    let targets: serde_json::Value = serde_json::from_str(&targets).expect("JSON");
    for target in targets["data"]["activeTargets"].as_array().expect("a list") {
        assert_eq!(target["lastError"], "", "{target}");
        assert_eq!(target["health"], "up", "{target}");
    }
}
