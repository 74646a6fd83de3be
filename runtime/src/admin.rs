//! The admin port: is the process alive, is it ready, what does it measure. Apart from mail, local by default.
//!
//! | path | answer |
//! |---|---|
//! | `/healthz` | 200 while the process serves requests at all |
//! | `/readyz` | 200 when every readiness condition holds, else 503; JSON names each with its reason |
//! | `/metrics` | OpenMetrics or Prometheus text |
//! | `/version` | JSON: service and version |

mod readiness;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use readiness::{Condition, Readiness};

use crate::metrics::{Exposition, Metrics};

/// Where the admin port is when the configuration does not say.
pub const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7751);

/// How long a request may still take once the port is to close.
const LAST_REQUESTS: Duration = Duration::from_secs(2);

/// Why there is no admin port.
#[derive(Debug, thiserror::Error)]
#[error("the admin port {address} cannot be opened: {source}; name another with --admin")]
pub struct AdminError {
    address: SocketAddr,
    source: std::io::Error,
}

/// An admin port that is bound and not yet served.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    address: SocketAddr,
    served: Arc<Served>,
}

#[derive(Debug)]
struct Served {
    service: String,
    metrics: Metrics,
    readiness: Readiness,
}

impl Admin {
    /// Binds `address`; port 0 takes a free one, see [`local_addr`](Self::local_addr).
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn bind(
        address: SocketAddr,
        service: &str,
        metrics: Metrics,
        readiness: Readiness,
    ) -> Result<Self, AdminError> {
        let refused = |source| AdminError { address, source };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let served = Arc::new(Served {
            service: service.to_owned(),
            metrics,
            readiness,
        });
        Ok(Self {
            listener,
            address,
            served,
        })
    }

    /// The address that is bound.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is cancelled and the requests that were begun are answered.
    ///
    /// Stop it last: it is what says that the process drains.
    pub async fn serve(self, stop: CancellationToken) {
        let routes = Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .route("/version", get(version))
            .with_state(self.served);
        let graceful = stop.clone();
        let serving = axum::serve(self.listener, routes)
            .with_graceful_shutdown(async move { graceful.cancelled().await });
        let too_late = async {
            stop.cancelled().await;
            tokio::time::sleep(LAST_REQUESTS).await;
        };
        tokio::select! {
            result = serving => if let Err(error) = result {
                tracing::error!(%error, "the admin port failed");
            },
            () = too_late => {}
        }
    }
}

async fn readyz(State(served): State<Arc<Served>>) -> Response {
    let report = served.readiness.report();
    let status = if report.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, json(&report)).into_response()
}

async fn metrics(State(served): State<Arc<Served>>, headers: HeaderMap) -> Response {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let form = Exposition::accepted(accept);
    (
        [(header::CONTENT_TYPE, form.content_type())],
        served.metrics.render(form),
    )
        .into_response()
}

async fn version(State(served): State<Arc<Served>>) -> Response {
    json(&serde_json::json!({ "service": served.service, "version": crate::VERSION }))
        .into_response()
}

fn json<T: serde::Serialize>(value: &T) -> impl IntoResponse + use<T> {
    // Types of our own with string keys: they serialise.
    let mut body = serde_json::to_string_pretty(value).unwrap_or_default();
    body.push('\n');
    ([(header::CONTENT_TYPE, "application/json")], body)
}
