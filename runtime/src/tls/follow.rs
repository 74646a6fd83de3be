//! Certificates that are taken up as their files change, by looking at what the files hold.
//!
//! Looking, and not waiting to be told: a mounted Kubernetes secret changes by a symbolic link two folders up, which
//! no watch on the file sees. The files are small, and read twice a second.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use tokio::time::Instant;

use super::identity::Validity;
use super::links::TlsConfig;
use super::material::{Contents, Material};
use crate::config::ConfigError;
use crate::metrics::Metrics;

/// The files, and what was last good of them.
pub(super) struct Followed {
    config: TlsConfig,
    current: ArcSwap<Material>,
    metrics: Option<TlsMetrics>,
}

/// What is counted of the files and of handshakes.
#[derive(Debug, Clone)]
pub(super) struct TlsMetrics {
    not_after: Family<FileLabel, Gauge>,
    reloads: Family<ResultLabel, Counter>,
    handshakes_failed: Family<ReasonLabel, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FileLabel {
    file: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// What the files held when they were looked at, over time: a change counts once two looks saw the same, so that
/// files in the middle of being written are not judged.
struct Looks {
    last: Result<Contents, ConfigError>,
    judged: Result<Contents, ConfigError>,
}

/// Between two looks at the files.
const LOOK: Duration = Duration::from_millis(500);
/// Between two warnings of the same end.
const WARN_AGAIN: Duration = Duration::from_secs(24 * 3600);

impl Followed {
    /// Reads the files once.
    pub(super) fn check(config: &TlsConfig) -> Result<(), ConfigError> {
        let contents = Contents::read(config)?;
        Material::new(config, &contents, SystemTime::now()).map(drop)
    }

    /// Reads the files, and looks at them again and again until nobody uses them any more.
    pub(super) fn start(
        config: &TlsConfig,
        metrics: Option<&Metrics>,
    ) -> Result<Arc<Self>, ConfigError> {
        let contents = Contents::read(config)?;
        let material = Material::new(config, &contents, SystemTime::now())?;
        let metrics = metrics.map(TlsMetrics::register);
        let followed = Arc::new(Self {
            config: config.clone(),
            current: ArcSwap::from_pointee(material),
            metrics,
        });
        followed.tell();
        tokio::spawn(follow(Arc::downgrade(&followed), contents));
        Ok(followed)
    }

    /// What connections are made with now.
    pub(super) fn current(&self) -> Arc<Material> {
        self.current.load_full()
    }

    pub(super) fn config(&self) -> &TlsConfig {
        &self.config
    }

    pub(super) fn handshake_failed(&self, reason: &'static str) {
        if let Some(metrics) = &self.metrics {
            let label = ReasonLabel { reason };
            metrics.handshakes_failed.get_or_create(&label).inc();
        }
    }

    /// Judges what the files hold now: takes it up, or leaves what was good.
    pub(super) fn judge(&self, looked: &Result<Contents, ConfigError>) {
        let judged = match looked {
            Ok(contents) => Material::new(&self.config, contents, SystemTime::now()),
            Err(error) => Err(error.clone()),
        };
        let result = match judged {
            Ok(material) => {
                self.current.store(Arc::new(material));
                let file = self.config.certificate.as_ref().or(self.config.ca.as_ref());
                let file = file.map(|file| file.display().to_string());
                tracing::info!(file, "certificates were replaced: new connections use them");
                self.tell();
                "taken"
            }
            Err(error) => {
                tracing::error!(
                    %error,
                    "new certificates are refused; those that were good stay in use"
                );
                "refused"
            }
        };
        if let Some(metrics) = &self.metrics {
            metrics.reloads.get_or_create(&ResultLabel { result }).inc();
        }
    }

    /// What the files hold, by their names in metrics and logs.
    fn validities(&self) -> impl Iterator<Item = (&'static str, Validity)> {
        let current = self.current();
        [("certificate", current.certificate), ("ca", current.ca)]
            .into_iter()
            .filter_map(|(file, validity)| Some((file, validity?)))
    }

    fn tell(&self) {
        let Some(metrics) = &self.metrics else { return };
        for (file, validity) in self.validities() {
            let label = FileLabel { file };
            metrics
                .not_after
                .get_or_create(&label)
                .set(validity.until_unix());
        }
    }

    /// Whether there was something to warn of.
    fn warn_of_ends(&self, now: SystemTime) -> bool {
        let mut warned = false;
        for (key, validity) in self.validities() {
            let file = match key {
                "ca" => &self.config.ca,
                _ => &self.config.certificate,
            };
            let file = file.as_ref().map(|file| file.display().to_string());
            match validity.left(now) {
                None => {
                    warned = true;
                    tracing::error!(file, key, "the certificate has expired: replace the file");
                }
                Some(left) if left < validity.warning() => {
                    warned = true;
                    let hours = left.as_secs() / 3600;
                    tracing::warn!(
                        file,
                        key,
                        hours_left = hours,
                        "the certificate expires soon: replace the file, it is taken up by itself"
                    );
                }
                Some(_) => {}
            }
        }
        warned
    }
}

impl fmt::Debug for Followed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Followed")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl TlsMetrics {
    fn register(metrics: &Metrics) -> Self {
        Self {
            not_after: metrics.gauges(
                "millrace_tls_not_after_seconds",
                "When the certificates in use expire, in Unix time",
            ),
            reloads: metrics.counters(
                "millrace_tls_reloads",
                "Changes of certificate files, taken or refused",
            ),
            handshakes_failed: metrics.counters(
                "millrace_tls_handshakes_failed",
                "Connections from others that came to nothing in TLS",
            ),
        }
    }
}

async fn follow(followed: Weak<Followed>, contents: Contents) {
    let mut looks = Looks::new(contents);
    let mut ticks = tokio::time::interval(LOOK);
    let mut warned: Option<Instant> = None;
    loop {
        ticks.tick().await;
        let Some(followed) = followed.upgrade() else {
            return;
        };
        if warned.is_none_or(|at| at.elapsed() >= WARN_AGAIN)
            && followed.warn_of_ends(SystemTime::now())
        {
            warned = Some(Instant::now());
        }
        let config = followed.config.clone();
        let Ok(looked) = tokio::task::spawn_blocking(move || Contents::read(&config)).await else {
            continue;
        };
        if looks.settled(looked) {
            followed.judge(&looks.judged);
            warned = None;
        }
    }
}

impl Looks {
    fn new(contents: Contents) -> Self {
        Self {
            last: Ok(contents.clone()),
            judged: Ok(contents),
        }
    }

    /// Whether the files hold something new, and held it at the last look too.
    fn settled(&mut self, looked: Result<Contents, ConfigError>) -> bool {
        let settled = looked == self.last && looked != self.judged;
        if settled {
            self.judged = looked.clone();
        }
        self.last = looked;
        settled
    }
}
