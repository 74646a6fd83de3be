use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;

struct Running {
    address: SocketAddr,
    readiness: Readiness,
    metrics: Metrics,
    stop: CancellationToken,
    served: tokio::task::JoinHandle<()>,
}

async fn running() -> Running {
    let (metrics, readiness, stop) = (
        Metrics::new("test"),
        Readiness::default(),
        CancellationToken::new(),
    );
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let admin = Admin::bind(free, "test", metrics.clone(), readiness.clone())
        .await
        .unwrap();
    let address = admin.local_addr();
    let served = tokio::spawn(admin.serve(stop.clone()));
    Running {
        address,
        readiness,
        metrics,
        stop,
        served,
    }
}

/// Status line, and the whole answer.
async fn ask(address: SocketAddr, path: &str, accept: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

fn body(answer: &str) -> serde_json::Value {
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[tokio::test]
async fn a_process_is_ready_when_every_condition_is_met() {
    let admin = running().await;
    assert_eq!(ask(admin.address, "/healthz", "*/*").await.0, 200);
    assert_eq!(
        ask(admin.address, "/readyz", "*/*").await.0,
        200,
        "nothing is asked of it yet"
    );

    let policy = admin.readiness.condition("policy");
    let listener = admin.readiness.condition("listener");
    policy.met();
    let (status, answer) = ask(admin.address, "/readyz", "*/*").await;
    assert_eq!(status, 503);
    assert_eq!(
        body(&answer),
        serde_json::json!({"ready": false, "conditions": [
            {"name": "listener", "ready": false, "reason": "starting"},
            {"name": "policy", "ready": true},
        ]})
    );

    listener.met();
    assert!(admin.readiness.is_ready());
    let again = admin.readiness.condition("listener");
    assert!(admin.readiness.is_ready(), "a name is one condition");
    drop(again);
    assert_eq!(ask(admin.address, "/readyz", "*/*").await.0, 200);
    policy.unmet("does not compile");
    let (status, answer) = ask(admin.address, "/readyz", "*/*").await;
    assert_eq!(status, 503);
    assert_eq!(body(&answer)["conditions"][1]["reason"], "does not compile");
    assert_eq!(
        ask(admin.address, "/healthz", "*/*").await.0,
        200,
        "not ready is not dead"
    );
}

#[tokio::test]
async fn metrics_come_in_the_form_asked_for() {
    let admin = running().await;
    admin.metrics.counter("millrace_examples", "Examples").inc();
    let (status, answer) = ask(
        admin.address,
        "/metrics",
        "application/openmetrics-text; version=1.0.0",
    )
    .await;
    assert_eq!(status, 200);
    assert!(
        answer.contains("content-type: application/openmetrics-text"),
        "{answer}"
    );
    assert!(
        answer.contains("# TYPE millrace_examples counter\nmillrace_examples_total 1\n"),
        "{answer}"
    );
    let (_, answer) = ask(admin.address, "/metrics", "*/*").await;
    assert!(
        answer.contains("content-type: text/plain; version=0.0.4"),
        "{answer}"
    );
    assert!(
        answer.contains("# TYPE millrace_examples_total counter\nmillrace_examples_total 1\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn version_and_unknown_paths() {
    let admin = running().await;
    let (_, answer) = ask(admin.address, "/version", "*/*").await;
    assert_eq!(
        body(&answer),
        serde_json::json!({"service": "test", "version": crate::VERSION})
    );
    assert_eq!(ask(admin.address, "/nothing", "*/*").await.0, 404);
}

#[tokio::test]
async fn a_connection_that_says_nothing_does_not_hold_up_the_end() {
    let admin = running().await;
    let _silent = TcpStream::connect(admin.address).await.unwrap();
    ask(admin.address, "/healthz", "*/*").await;
    admin.stop.cancel();
    tokio::time::timeout(Duration::from_secs(60), admin.served)
        .await
        .expect("an end")
        .unwrap();
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let admin = running().await;
    let error = Admin::bind(
        admin.address,
        "test",
        Metrics::new("x"),
        Readiness::default(),
    )
    .await
    .unwrap_err();
    assert!(
        error.to_string().contains(&admin.address.to_string()),
        "{error}"
    );
}
