//! Connections to servers of ours: to `http://` addresses plain, to `https://` ones in TLS.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::CertificateError;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::Service;

use super::follow::Followed;
use super::material::ALPN;
use super::stream::Secured;

/// Makes connections, each with the certificate that is in force then. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Connector {
    followed: Option<Arc<Followed>>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nothing answers there.
    #[error("{server} is not reached: {source}")]
    Socket {
        /// Host and port.
        server: String,
        /// Why not.
        source: io::Error,
    },
    /// There is nobody to believe.
    #[error(
        "{server} is to be reached in TLS, and there is no authority to believe: name its file with `ca` under [tls], or --ca"
    )]
    NoAuthority {
        /// Host and port.
        server: String,
    },
    /// The host, or `server_name`, is no name that can stand in a certificate.
    #[error("'{name}' is no name of a server: write a DNS name or an IP address")]
    Name {
        /// The host.
        name: String,
    },
    /// The handshake failed.
    #[error("no TLS connection to {server}: {problem}")]
    Tls {
        /// Host and port.
        server: String,
        /// What failed, and what to do.
        problem: String,
    },
}

impl Connector {
    /// Knows no TLS.
    #[must_use]
    pub fn plain() -> Self {
        Self::default()
    }

    pub(super) fn new(followed: Option<Arc<Followed>>) -> Self {
        Self { followed }
    }

    /// Whether `https://` addresses can be connected to.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.followed
            .as_ref()
            .is_some_and(|followed| followed.config().connects())
    }

    /// Connects to the address's host and port.
    ///
    /// # Errors
    /// Why there is no connection.
    pub async fn connect(&self, address: &Uri) -> Result<Secured<TcpStream>, ConnectError> {
        let secure = address.scheme_str() == Some("https");
        let host = address.host().unwrap_or_default();
        let host = host
            .strip_prefix('[')
            .and_then(|inner| inner.strip_suffix(']'))
            .unwrap_or(host);
        let port = address.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let socket = TcpStream::connect((host, port)).await;
        let socket = socket.map_err(|source| ConnectError::Socket {
            server: format!("{host}:{port}"),
            source,
        })?;
        // A verdict is small and somebody waits for it.
        let _ = socket.set_nodelay(true);
        if secure {
            let stream = self.shake(socket, host, port).await?;
            Ok(Secured::Tls(Box::new(stream.into())))
        } else {
            Ok(Secured::Plain(socket))
        }
    }

    async fn shake(
        &self,
        socket: TcpStream,
        host: &str,
        port: u16,
    ) -> Result<TlsStream<TcpStream>, ConnectError> {
        let server = || format!("{host}:{port}");
        let followed = self.followed.as_ref();
        let Some(config) = followed.and_then(|followed| followed.current().client.clone()) else {
            return Err(ConnectError::NoAuthority { server: server() });
        };
        let expected = followed.and_then(|followed| followed.config().server_name.as_deref());
        let name = expected.unwrap_or(host);
        let wanted = ServerName::try_from(name.to_owned()).map_err(|_| ConnectError::Name {
            name: name.to_owned(),
        })?;
        let failed = |problem: String| ConnectError::Tls {
            server: server(),
            problem,
        };
        let shaking = TlsConnector::from(config).connect(wanted, socket).await;
        let stream = shaking.map_err(|error| failed(told(&error, name)))?;
        if stream.get_ref().1.alpn_protocol() != Some(ALPN) {
            return Err(failed(
                "it does not speak HTTP/2: is another service on this port?".to_owned(),
            ));
        }
        Ok(stream)
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Secured<TcpStream>>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, address: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect(&address).await.map(TokioIo::new) })
    }
}

/// A failed handshake in words, with what to do about it.
fn told(error: &io::Error, name: &str) -> String {
    let Some(cause) = error
        .get_ref()
        .and_then(|cause| cause.downcast_ref::<rustls::Error>())
    else {
        return error.to_string();
    };
    match cause {
        // A bad signature is one of another authority that has the same name.
        rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        ) => "its certificate is from an authority that is not in `ca`".to_owned(),
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => format!(
            "its certificate is not for {name}: connect to a name that is in it, or say which with `server_name`"
        ),
        rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => "its certificate has expired: replace it there".to_owned(),
        rustls::Error::InvalidCertificate(error) => {
            format!("its certificate is not believed: {error}")
        }
        rustls::Error::InvalidMessage(_) => {
            "it does not speak TLS: write http:// for it, or give it [tls] certificate and key"
                .to_owned()
        }
        rustls::Error::AlertReceived(alert) => format!(
            "it refuses this side's certificate ({alert:?}): it must be from an authority that the server believes"
        ),
        other => other.to_string(),
    }
}
