//! Connections from others: plain, or in TLS with the names of who is there.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::CertificateError;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::follow::Followed;
use super::peer::PeerNames;
use super::stream::Secured;

/// Takes connections in TLS.
#[derive(Debug, Clone)]
pub struct Acceptor {
    followed: Arc<Followed>,
}

/// Who is at the other end of a connection: an extension of each request that comes over it.
#[derive(Debug, Clone, Default)]
pub struct TlsPeer {
    /// Where it is, over TCP.
    pub address: Option<SocketAddr>,
    /// Who it is; `None` where nobody asked.
    pub names: Option<PeerNames>,
}

/// Why a handshake came to nothing.
#[derive(Debug)]
pub struct Handshake {
    reason: &'static str,
    text: String,
}

/// How long a handshake may take.
const PATIENCE: Duration = Duration::from_secs(10);

impl Acceptor {
    pub(super) fn new(followed: &Arc<Followed>) -> Option<Self> {
        followed.config().serves().then(|| Self {
            followed: followed.clone(),
        })
    }

    /// Shakes hands, with the certificate that is in force now. A failure is logged and counted here.
    ///
    /// # Errors
    /// Why there is no connection.
    pub async fn accept<S>(
        &self,
        stream: S,
        peer: impl fmt::Display,
    ) -> Result<Secured<S>, Handshake>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let failed = match self.shake(stream).await {
            Ok(stream) => return Ok(Secured::Tls(Box::new(stream.into()))),
            Err(failed) => failed,
        };
        self.followed.handshake_failed(failed.reason);
        if failed.reason == GONE {
            // A load balancer that looks whether the port is open does so every few seconds.
            tracing::debug!(%peer, "gone before the TLS handshake was over");
        } else {
            tracing::warn!(%peer, reason = failed.reason, problem = failed.text, "no TLS connection");
        }
        Err(failed)
    }

    async fn shake<S>(&self, stream: S) -> Result<TlsStream<S>, Handshake>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Some(config) = self.followed.current().server.clone() else {
            return Err(Handshake::new(
                "no-certificate-here",
                "there is no certificate",
            ));
        };
        let shaking = TlsAcceptor::from(config).accept(stream);
        let stream = match tokio::time::timeout(PATIENCE, shaking).await {
            Err(_) => return Err(Handshake::new("timeout", "the peer says nothing")),
            Ok(Err(error)) => return Err(Handshake::of(&error)),
            Ok(Ok(stream)) => stream,
        };
        Ok(stream)
    }
}

const GONE: &str = "gone";

impl Handshake {
    fn new(reason: &'static str, text: impl Into<String>) -> Self {
        Self {
            reason,
            text: text.into(),
        }
    }

    fn of(error: &io::Error) -> Self {
        let Some(cause) = error
            .get_ref()
            .and_then(|cause| cause.downcast_ref::<rustls::Error>())
        else {
            return match error.kind() {
                io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::ConnectionAborted => Self::new(GONE, error.to_string()),
                _ => Self::new("socket", error.to_string()),
            };
        };
        match cause {
            rustls::Error::NoCertificatesPresented => Self::new(
                "no-certificate",
                "the peer has no certificate: give it one of this server's `ca`",
            ),
            // A bad signature is one of another authority that has the same name.
            rustls::Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::BadSignature,
            ) => Self::new(
                "unknown-authority",
                "the peer's certificate is from an authority that is not in this server's `ca`",
            ),
            rustls::Error::InvalidCertificate(
                CertificateError::Expired | CertificateError::ExpiredContext { .. },
            ) => Self::new("expired", "the peer's certificate has expired"),
            rustls::Error::InvalidCertificate(error) => Self::new(
                "bad-certificate",
                format!("the peer's certificate is not believed: {error}"),
            ),
            rustls::Error::AlertReceived(alert) => Self::new(
                "refused-by-peer",
                format!("the peer does not believe this server's certificate: {alert:?}"),
            ),
            rustls::Error::InvalidMessage(_) => Self::new(
                "no-tls",
                "the peer does not speak TLS: its address of this server begins with https://",
            ),
            other => Self::new("protocol", other.to_string()),
        }
    }
}

impl fmt::Display for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Handshake {}

impl TlsPeer {
    /// Of a connection over TCP.
    #[must_use]
    pub fn of(stream: &Secured<TcpStream>) -> Self {
        Self {
            address: stream.socket().peer_addr().ok(),
            names: stream.names(),
        }
    }
}
