//! IP addresses and networks, as disjoint ranges in order.

use std::net::IpAddr;

use ipnet::IpNet;

use super::BadEntry;

/// A set of IP addresses, each with the line of the entry that it is in.
#[derive(Debug, Default)]
pub(crate) struct NetworkSet {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

#[derive(Debug)]
struct Ranges<T>(Vec<(T, T, u32)>);

impl<T> Default for Ranges<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl NetworkSet {
    pub(crate) fn insert(&mut self, entry: &str, line: u32) -> Result<(), BadEntry> {
        let bad = |problem: &str| BadEntry {
            problem: format!("'{entry}' {problem}"),
            remedy: "write an IP address or a network such as 192.0.2.0/24 or 2001:db8::/32",
        };
        let network = match entry.parse::<IpNet>() {
            Ok(network) if network.trunc() != network => {
                return Err(bad(&format!(
                    "has bits set behind its prefix; the network is {}",
                    network.trunc()
                )));
            }
            Ok(network) => network,
            Err(_) => match entry.parse::<IpAddr>() {
                Ok(ip) => IpNet::from(ip.to_canonical()),
                Err(_) => return Err(bad("is neither an IP address nor a network")),
            },
        };
        match network {
            IpNet::V4(net) => self
                .v4
                .0
                .push((net.network().into(), net.broadcast().into(), line)),
            IpNet::V6(net) => self
                .v6
                .0
                .push((net.network().into(), net.broadcast().into(), line)),
        }
        Ok(())
    }

    /// Puts the ranges in order; to be called when all are in.
    pub(crate) fn finish(&mut self) {
        self.v4.finish();
        self.v6.finish();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.v4.0.is_empty() && self.v6.0.is_empty()
    }

    /// The line of the entry that `ip` is in.
    pub(crate) fn find(&self, ip: IpAddr) -> Option<u32> {
        match ip.to_canonical() {
            IpAddr::V4(ip) => self.v4.find(ip.into()),
            IpAddr::V6(ip) => self.v6.find(ip.into()),
        }
    }

    /// Whether `ip` is in the set.
    pub(crate) fn contains(&self, ip: IpAddr) -> bool {
        self.find(ip).is_some()
    }
}

impl<T: Ord + Copy> Ranges<T> {
    /// Networks are nested or apart, so dropping those within another leaves them disjoint.
    fn finish(&mut self) {
        self.0
            .sort_unstable_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)).then(a.2.cmp(&b.2)));
        let mut end: Option<T> = None;
        self.0.retain(|(_, last, _)| {
            let inside = end.is_some_and(|end| *last <= end);
            if !inside {
                end = Some(*last);
            }
            !inside
        });
        self.0.shrink_to_fit();
    }

    fn find(&self, ip: T) -> Option<u32> {
        let at = self
            .0
            .partition_point(|(first, _, _)| *first <= ip)
            .checked_sub(1)?;
        let (_, last, line) = self.0[at];
        (ip <= last).then_some(line)
    }
}
