//! What only a `[[qmqp]]` table has.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::Resolver;
use crate::config::document::QmqpTable;
use crate::config::{Protocol, Qmqp};

/// Of QMQP (IANA).
const QMQP_PORT: u16 = 628;

impl Resolver<'_> {
    /// A QMQP listener's own part.
    pub(super) fn qmqp(&mut self, key: &str, table: &QmqpTable) -> Protocol {
        let key = format!("{key}.downstream");
        let mut downstream = Vec::new();
        for raw in table.downstream.get_ref() {
            match server(raw.get_ref()) {
                Some(address) => downstream.push(address),
                None => {
                    let problem = format!("'{}' is no IP address of a server", raw.get_ref());
                    self.refuse(
                        raw.span(),
                        &key,
                        problem,
                        "write an address, with its port unless it is 628, such as \"192.0.2.30\" or \"[2001:db8::1]:6280\"",
                    );
                }
            }
        }
        if table.downstream.get_ref().is_empty() {
            self.refuse(
                table.downstream.span(),
                &key,
                "there is no server that the mail could be passed on to",
                "list at least one QMQP server, such as [\"192.0.2.30\"]",
            );
        }
        Protocol::Qmqp(Arc::new(Qmqp {
            downstream,
            believe_received: table.believe_received.unwrap_or(true),
        }))
    }
}

/// An IP address, with a port or QMQP's own.
fn server(text: &str) -> Option<SocketAddr> {
    let bare = || text.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    text.parse()
        .ok()
        .or_else(|| bare().map(|ip| SocketAddr::new(ip, QMQP_PORT)))
}
