//! Binding: TCP, unix sockets with mode and group, sockets that systemd hands over.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use listenfd::ListenFd;
use nix::unistd::Group;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, UnixListener};

use super::Stream;
use super::network::{Network, SimulatedListener};
use crate::address::ListenAddress;
use crate::config::ClientConfig;

/// A socket that listens.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: Socketed,
    address: ListenAddress,
}

#[derive(Debug)]
enum Socketed {
    Tcp(TcpListener),
    Unix {
        listener: UnixListener,
        /// Removed at the end, unless another process has put its own socket there.
        remove: Option<(PathBuf, u64)>,
    },
    Simulated(SimulatedListener),
}

/// Why a listener cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address is taken, not ours, or not allowed.
    #[error("cannot listen on {address}: {source}{}", hint(.source))]
    Listen {
        /// The address.
        address: ListenAddress,
        /// Why not.
        source: io::Error,
    },
    /// There is something at the path, and it is no socket.
    #[error(
        "cannot listen on {address}: there is something else than a socket at this path; move it away"
    )]
    NoSocket {
        /// The address.
        address: ListenAddress,
    },
    /// A process listens on the unix socket.
    #[error(
        "cannot listen on {address}: another process listens there; stop it, or name another path"
    )]
    InUse {
        /// The address.
        address: ListenAddress,
    },
    /// The group of a unix socket does not exist.
    #[error(
        "cannot listen on {address}: there is no group '{group}'; name another in `socket_group`"
    )]
    NoGroup {
        /// The address.
        address: ListenAddress,
        /// The name.
        group: String,
    },
    /// systemd has handed over no socket of this name.
    #[error(
        "cannot listen on {address}: systemd has handed over no socket of this name (FileDescriptorName=); \
         there are: {available}"
    )]
    NotHandedOver {
        /// The address.
        address: ListenAddress,
        /// Names of the sockets that there are.
        available: String,
    },
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another process listens there: stop it, or name another address"
        }
        io::ErrorKind::AddrNotAvailable => "; name an address of this machine",
        io::ErrorKind::PermissionDenied => "; let the user that this process runs as use it",
        io::ErrorKind::NotFound => "; make the folder first",
        _ => "",
    }
}

/// The sockets that systemd handed over to this process (`sd_listen_fds(3)`).
#[derive(Default)]
pub struct SystemdSockets(Mutex<Option<(ListenFd, Vec<String>)>>);

/// Connections that wait to be taken.
const BACKLOG: i32 = 4096;
/// A mail server whose host is gone is found out after about 3 minutes.
const KEEPALIVE: Duration = Duration::from_secs(120);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_RETRIES: u32 = 3;

impl SystemdSockets {
    /// Takes them from the environment. To be called before any thread is started: the variables are removed.
    #[must_use]
    pub fn from_environment() -> Self {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let sockets = ListenFd::from_env();
        // Without FileDescriptorName= systemd names a socket after its unit.
        let names = (0..sockets.len())
            .map(|n| names.split(':').nth(n).unwrap_or("unknown").to_owned())
            .collect();
        Self(Mutex::new(Some((sockets, names))))
    }

    /// Takes one of this name that has not been taken; of any name when it is empty.
    fn take(&self, wanted: &str) -> io::Result<Option<Handed>> {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((sockets, names)) = guard.as_mut() else {
            return Ok(None);
        };
        for (n, name) in names.iter().enumerate() {
            if !wanted.is_empty() && wanted != name {
                continue;
            }
            if let Ok(Some(listener)) = sockets.take_tcp_listener(n) {
                return Ok(Some(Handed::Tcp(listener)));
            }
            if let Some(listener) = sockets.take_unix_listener(n)? {
                return Ok(Some(Handed::Unix(listener)));
            }
        }
        Ok(None)
    }

    fn names(&self) -> String {
        let guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match guard.as_ref() {
            Some((_, names)) if !names.is_empty() => names.join(", "),
            _ => "none".to_owned(),
        }
    }
}

impl std::fmt::Debug for SystemdSockets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SystemdSockets")
            .field(&self.names())
            .finish()
    }
}

enum Handed {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

impl Listener {
    /// Listens on one of a client's addresses.
    pub(crate) fn bind(
        address: &ListenAddress,
        config: &ClientConfig,
        systemd: &SystemdSockets,
        network: &Network,
    ) -> Result<Self, BindError> {
        let failed = |source| BindError::Listen {
            address: address.clone(),
            source,
        };
        match address {
            ListenAddress::Tcp(tcp) if let Network::Simulated(listen) = network => Ok(Self {
                socket: Socketed::Simulated(SimulatedListener::new(listen(*tcp))),
                address: address.clone(),
            }),
            ListenAddress::Tcp(tcp) => Self::tcp(*tcp).map_err(failed),
            ListenAddress::Unix(path) => Self::unix(address, path, config),
            ListenAddress::Systemd(name) => match systemd.take(name).map_err(failed)? {
                Some(handed) => Self::handed(handed).map_err(failed),
                None => Err(BindError::NotHandedOver {
                    address: address.clone(),
                    available: systemd.names(),
                }),
            },
        }
    }

    fn tcp(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        if address.is_ipv6() {
            // The same on every system: an IPv4 listener is another listener.
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Self::from_tcp(socket.into())
    }

    fn from_tcp(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        inherited_options(&SockRef::from(&listener))?;
        let address = ListenAddress::Tcp(listener.local_addr()?);
        let listener = TcpListener::from_std(listener)?;
        Ok(Self {
            socket: Socketed::Tcp(listener),
            address,
        })
    }

    fn handed(handed: Handed) -> io::Result<Self> {
        match handed {
            Handed::Tcp(listener) => Self::from_tcp(listener),
            Handed::Unix(listener) => {
                listener.set_nonblocking(true)?;
                let path = listener
                    .local_addr()?
                    .as_pathname()
                    .map(Path::to_owned)
                    .unwrap_or_default();
                let listener = UnixListener::from_std(listener)?;
                Ok(Self {
                    // Its file is systemd's.
                    socket: Socketed::Unix {
                        listener,
                        remove: None,
                    },
                    address: ListenAddress::Unix(path),
                })
            }
        }
    }

    fn unix(
        address: &ListenAddress,
        path: &Path,
        config: &ClientConfig,
    ) -> Result<Self, BindError> {
        let failed = |source| BindError::Listen {
            address: address.clone(),
            source,
        };
        let group = match &config.socket_group {
            None => None,
            Some(name) => match Group::from_name(name) {
                Ok(Some(group)) => Some(group.gid),
                _ => {
                    return Err(BindError::NoGroup {
                        address: address.clone(),
                        group: name.clone(),
                    });
                }
            },
        };
        clear_stale(address, path)?;

        // Bound under another name, then renamed: nobody connects before mode and group are right, and a mail
        // server never finds the path empty.
        let draft = path.with_extension(format!("new{}", std::process::id()));
        let _ = fs::remove_file(&draft);
        let listener = std::os::unix::net::UnixListener::bind(&draft).map_err(failed)?;
        let finish = || -> io::Result<u64> {
            if let Some(group) = group {
                std::os::unix::fs::chown(&draft, None, Some(group.as_raw()))?;
            }
            fs::set_permissions(&draft, fs::Permissions::from_mode(config.socket_mode))?;
            let inode = inode(&draft)?;
            fs::rename(&draft, path)?;
            Ok(inode)
        };
        let inode = finish().map_err(|error| {
            let _ = fs::remove_file(&draft);
            failed(error)
        })?;
        listener.set_nonblocking(true).map_err(failed)?;
        let listener = UnixListener::from_std(listener).map_err(failed)?;
        Ok(Self {
            socket: Socketed::Unix {
                listener,
                remove: Some((path.to_owned(), inode)),
            },
            address: address.clone(),
        })
    }

    /// Where it really listens: with the port that the system chose.
    pub(crate) fn address(&self) -> &ListenAddress {
        &self.address
    }

    pub(crate) async fn accept(&self) -> io::Result<Stream> {
        match &self.socket {
            Socketed::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                #[cfg(not(target_os = "linux"))]
                inherited_options(&SockRef::from(&stream))?;
                Ok(Stream::Tcp(stream, peer))
            }
            Socketed::Unix { listener, .. } => Ok(Stream::Unix(listener.accept().await?.0)),
            Socketed::Simulated(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok(Stream::Simulated(Box::new(stream), peer))
            }
        }
    }

    /// Stops listening, and takes the socket's file away.
    pub(crate) fn close(self) {
        if let Socketed::Unix {
            remove: Some((path, ours)),
            ..
        } = &self.socket
            && inode(path).is_ok_and(|there| there == *ours)
        {
            let _ = fs::remove_file(path);
        }
    }
}

/// Options that Linux gives to each connection that a listener takes: set once, and not at each connection.
fn inherited_options(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_RETRIES);
    socket.set_tcp_keepalive(&keepalive)
}

/// A socket file that nobody listens on is left of a process that was killed; it will be replaced.
fn clear_stale(address: &ListenAddress, path: &Path) -> Result<(), BindError> {
    match fs::symlink_metadata(path) {
        Err(_) => Ok(()),
        Ok(found) if !found.file_type().is_socket() => Err(BindError::NoSocket {
            address: address.clone(),
        }),
        Ok(_) => match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => Err(BindError::InUse {
                address: address.clone(),
            }),
            Err(_) => Ok(()),
        },
    }
}

fn inode(path: &Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;

    Ok(fs::symlink_metadata(path)?.ino())
}

#[cfg(test)]
mod tests;
