//! What to tell the mail servers, once the ports are open.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use conduit_gateway::ListenAddress;
use millrace_proto::ClientName;

/// What serves, and how mail servers are pointed at it. Displayed as what is printed at the start.
#[derive(Debug)]
pub(super) struct Advice<'a> {
    pub(super) milters: &'a [(ClientName, ListenAddress)],
    pub(super) listen: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) policy: Option<&'a Path>,
    /// Without a folder the policy is the one that is published in etcd.
    pub(super) published: bool,
    pub(super) revision: &'a str,
}

/// Below this folder Debian's Postfix sees sockets.
const POSTFIX_QUEUE: &str = "/var/spool/postfix/";

impl fmt::Display for Advice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Millrace {} serves:", env!("CARGO_PKG_VERSION"))?;
        for (client, address) in self.milters {
            writeln!(f, "  milter  {address}  (client {client})")?;
        }
        writeln!(f, "  gRPC    http://{}", self.listen)?;
        writeln!(f, "  admin   http://{}/readyz and /metrics", self.admin)?;
        match self.policy {
            Some(folder) => writeln!(
                f,
                "  policy  {}, revision {}",
                folder.display(),
                self.revision
            )?,
            None if self.published => {
                writeln!(f, "  policy  published in etcd, revision {}", self.revision)?;
            }
            None => writeln!(
                f,
                "  policy  built in, revision {} ('millrace policy default DIR' writes it out to be changed)",
                self.revision
            )?,
        }
        for (client, address) in self.milters {
            if self.milters.len() > 1 {
                writeln!(f, "\n--- The mail server that is client {client}:")?;
            }
            postfix(f, address)?;
            sendmail(f, address)?;
        }
        f.write_str(WHEN_DOWN)
    }
}

fn postfix(f: &mut fmt::Formatter<'_>, address: &ListenAddress) -> fmt::Result {
    let (spelling, note) = match address {
        ListenAddress::Tcp(address) => (format!("inet:{address}"), None),
        ListenAddress::Unix(path) => {
            let shown = path.display().to_string();
            match shown.strip_prefix(POSTFIX_QUEUE) {
                Some(below) => (format!("unix:/{below}"), None),
                None => (
                    format!("unix:{shown}"),
                    Some(
                        "Debian's Postfix runs chrooted and reaches only sockets under /var/spool/postfix: \
                         use one there,\n  or TCP.",
                    ),
                ),
            }
        }
        ListenAddress::Systemd(_) => ("the socket of the systemd unit".to_owned(), None),
    };
    writeln!(
        f,
        "\nPostfix, in /etc/postfix/main.cf; then 'postfix reload':\n\n\
         smtpd_milters = {spelling}\n\
         non_smtpd_milters = $smtpd_milters\n\
         milter_default_action = tempfail\n\
         milter_protocol = 6"
    )?;
    if let Some(note) = note {
        writeln!(f, "\n  {note}")?;
    }
    Ok(())
}

fn sendmail(f: &mut fmt::Formatter<'_>, address: &ListenAddress) -> fmt::Result {
    let spelling = match address {
        ListenAddress::Tcp(SocketAddr::V4(address)) => {
            format!("inet:{}@{}", address.port(), address.ip())
        }
        ListenAddress::Tcp(SocketAddr::V6(address)) => {
            format!("inet6:{}@{}", address.port(), address.ip())
        }
        ListenAddress::Unix(path) => format!("unix:{}", path.display()),
        ListenAddress::Systemd(_) => "the socket of the systemd unit".to_owned(),
    };
    writeln!(
        f,
        "\nSendmail, in sendmail.mc above the MAILER lines; then build sendmail.cf and restart:\n\n\
         INPUT_MAIL_FILTER(`millrace', `S={spelling}, F=T, T=C:30s;S:30s;R:30s;E:5m')dnl"
    )
}

const WHEN_DOWN: &str = "
When the filter is down:
  Postfix   with 'tempfail' as above: senders get 4xx and try again; 'accept' would pass mail UNFILTERED.
  Sendmail  with F=T as above: the same. Without F= Sendmail passes mail UNFILTERED, and says so only in its log.

";

#[cfg(test)]
mod tests {
    use super::*;

    fn advice(milter: &str) -> String {
        let milters = [("default".parse().unwrap(), milter.parse().unwrap())];
        Advice {
            milters: &milters,
            listen: "127.0.0.1:7750".parse().unwrap(),
            admin: "127.0.0.1:7751".parse().unwrap(),
            policy: None,
            published: false,
            revision: "abc",
        }
        .to_string()
    }

    #[test]
    fn each_mail_server_gets_its_own_spelling() {
        for (milter, postfix, sendmail) in [
            (
                "tcp://127.0.0.1:8891",
                "smtpd_milters = inet:127.0.0.1:8891\n",
                "`S=inet:8891@127.0.0.1, F=T,",
            ),
            (
                "tcp://[::1]:8891",
                "smtpd_milters = inet:[::1]:8891\n",
                "`S=inet6:8891@::1, F=T,",
            ),
            (
                "unix:/var/spool/postfix/m/s",
                "smtpd_milters = unix:/m/s\n",
                "`S=unix:/var/spool/postfix/m/s, F=T,",
            ),
            (
                "unix:/run/m/s",
                "smtpd_milters = unix:/run/m/s\n",
                "`S=unix:/run/m/s, F=T,",
            ),
        ] {
            let text = advice(milter);
            assert!(text.contains(postfix) && text.contains(sendmail), "{text}");
            assert!(text.contains("UNFILTERED"), "{text}");
        }
        assert!(advice("unix:/run/m/s").contains("chrooted"));
        assert!(!advice("tcp://127.0.0.1:8891").contains("chrooted"));
    }
}
