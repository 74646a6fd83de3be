//! A store that is a bucket, behind the S3 protocol.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use serde::Deserialize;

use crate::error::QuarantineError;

/// `[quarantine.s3]`: how a bucket is reached. What is left out is as the environment says it: `AWS_ENDPOINT_URL`,
/// `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, a web identity, or the role of
/// the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct S3 {
    /// `https://HOST:PORT`; Amazon's when there is none.
    pub endpoint: Option<String>,
    /// The bucket's region.
    pub region: Option<String>,
    /// Who we are.
    pub access_key_id: Option<String>,
    /// What proves it.
    pub secret_access_key: Option<Secret>,
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

/// The sender waits for the verdict, and the gateway has other nodes: better soon than in the end.
const CONNECT: Duration = Duration::from_secs(5);
const REQUEST: Duration = Duration::from_secs(20);
const RETRY: Duration = Duration::from_secs(10);
const RETRIES: usize = 3;

/// Opens `s3://BUCKET/PREFIX`; `None` when the address is of another kind. Nothing is asked of the server yet.
pub(crate) fn open(
    address: &str,
    s3: &S3,
) -> Result<Option<Arc<dyn ObjectStore>>, QuarantineError> {
    let Some(place) = address.strip_prefix("s3://") else {
        return Ok(None);
    };
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    let prefix = prefix.trim_matches('/');
    let wrong = |problem: &str| QuarantineError::Bucket {
        address: address.to_owned(),
        problem: problem.to_owned(),
    };
    if bucket.is_empty() {
        return Err(wrong("it names no bucket: write s3://BUCKET/PREFIX"));
    }
    if s3.access_key_id.is_some() != s3.secret_access_key.is_some() {
        return Err(wrong(
            "access_key_id and secret_access_key go together: set both, or neither where the environment has them",
        ));
    }
    if let Some(endpoint) = &s3.endpoint
        && !endpoint.starts_with("https://")
        && !endpoint.starts_with("http://")
    {
        return Err(wrong(
            "the endpoint is no URL: write https://HOST:PORT, or http://HOST:PORT in a network that nobody reads",
        ));
    }
    // The second time it is there already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_retry(RetryConfig {
            backoff: BackoffConfig::default(),
            max_retries: RETRIES,
            retry_timeout: RETRY,
        });
    if let Some(endpoint) = &s3.endpoint {
        builder = builder.with_endpoint(endpoint);
        // The environment's own for S3 would win otherwise.
        builder = builder.with_config(AmazonS3ConfigKey::S3Endpoint, endpoint);
    }
    if let Some(region) = &s3.region {
        builder = builder.with_region(region);
    }
    if let (Some(id), Some(Secret(secret))) = (&s3.access_key_id, &s3.secret_access_key) {
        builder = builder
            .with_access_key_id(id)
            .with_secret_access_key(secret);
    }
    let plain = [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint]
        .iter()
        .find_map(|key| builder.get_config_value(key))
        .is_some_and(|endpoint| endpoint.starts_with("http://"));
    let client = ClientOptions::new()
        .with_connect_timeout(CONNECT)
        .with_timeout(REQUEST)
        .with_allow_http(plain);
    let store = builder
        .with_client_options(client)
        .build()
        .map_err(|error| wrong(&error.to_string()))?;
    if prefix.is_empty() {
        return Ok(Some(Arc::new(store)));
    }
    Ok(Some(Arc::new(PrefixStore::new(store, prefix))))
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(not shown)")
    }
}

impl From<String> for Secret {
    fn from(secret: String) -> Self {
        Self(secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_bucket_is_told_with_the_remedy() {
        let with = |change: fn(&mut S3)| {
            let mut s3 = S3::default();
            change(&mut s3);
            s3
        };
        for (address, s3, wanted) in [
            ("s3://", S3::default(), "s3://BUCKET/PREFIX"),
            ("s3:///prefix", S3::default(), "s3://BUCKET/PREFIX"),
            (
                "s3://bucket",
                with(|s3| s3.access_key_id = Some("who".to_owned())),
                "go together",
            ),
            (
                "s3://bucket",
                with(|s3| s3.endpoint = Some("minio:9000".to_owned())),
                "write https://HOST:PORT",
            ),
        ] {
            let error = open(address, &s3).unwrap_err().to_string();
            assert!(error.contains(wanted), "{address}: {error}");
        }
        assert!(open("/var/lib", &S3::default()).unwrap().is_none());
    }

    #[test]
    fn the_secret_is_not_shown() {
        let s3 = S3 {
            access_key_id: Some("who".to_owned()),
            secret_access_key: Some(Secret("hush".to_owned())),
            ..S3::default()
        };
        assert!(!format!("{s3:?}").contains("hush"));
        let store = open("s3://bucket/prefix", &s3).unwrap().unwrap();
        assert!(!format!("{store} {store:?}").contains("hush"), "{store:?}");
    }
}
