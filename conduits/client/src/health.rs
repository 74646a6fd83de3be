//! The standard health service (`grpc.health.v1`) of an endpoint.

use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt};
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use millrace_proto::CallError;

use crate::{Client, fault};

/// The service whose health counts.
const SERVICE: &str = "millrace.mpd.v1.ProcessingService";
/// How often an endpoint without a health service is asked whether it still answers at all.
const POLL: Duration = Duration::from_secs(1);

impl Client {
    /// Whether the endpoint serves: once at once, and at each change, until the stream breaks, which is what happens
    /// when the connection does. An endpoint that has no health service is taken to serve while it answers.
    ///
    /// # Errors
    /// The call failed; the stream's items fail likewise.
    pub async fn watch_health(
        &self,
    ) -> Result<BoxStream<'static, Result<bool, CallError>>, CallError> {
        let answer = async {
            match self.health().watch(request()).await {
                Err(status) if status.code() == Code::Unimplemented => Ok(None),
                other => other.map(Some),
            }
        };
        let told = |status| fault::error(status, true);
        Ok(match self.heard(answer).await? {
            Some(response) => response
                .into_inner()
                .map(move |item| item.map(|health| serves(&health)).map_err(told))
                .boxed(),
            None => self.poll().boxed(),
        })
    }

    /// Whether the endpoint says that it serves now.
    ///
    /// # Errors
    /// The call failed.
    pub async fn check_health(&self) -> Result<bool, CallError> {
        let answer = async {
            match self.health().check(request()).await {
                Ok(response) => Ok(serves(&response.into_inner())),
                Err(status) if status.code() == Code::Unimplemented => Ok(true),
                Err(status) if status.code() == Code::NotFound => Ok(false),
                Err(status) => Err(status),
            }
        };
        self.heard(answer).await
    }

    fn poll(&self) -> impl futures_util::Stream<Item = Result<bool, CallError>> + Send + use<> {
        stream::unfold((self.clone(), true), |(client, first)| async move {
            if !first {
                tokio::time::sleep(POLL).await;
            }
            let health = client.check_health().await;
            Some((health, (client, false)))
        })
    }

    fn health(&self) -> HealthClient<tonic::transport::Channel> {
        HealthClient::new(self.channel.clone())
    }
}

fn request() -> HealthCheckRequest {
    HealthCheckRequest {
        service: SERVICE.to_owned(),
    }
}

fn serves(response: &HealthCheckResponse) -> bool {
    response.status() == ServingStatus::Serving
}
