use std::net::IpAddr;
use std::time::Instant;

use proptest::prelude::*;

use super::*;

fn set(kind: Kind, entries: &[&str]) -> Entries {
    let mut set = Entries::new(kind);
    for (at, entry) in entries.iter().enumerate() {
        set.insert(entry, at as u32 + 1).unwrap();
    }
    set.finish();
    set
}

#[test]
fn addresses() {
    let list = set(
        Kind::Addresses,
        &[
            "user@one.example",
            "two.example",
            ".three.example",
            "*@four.example",
            "*.five.example",
            "news-*@six.example",
            "bounce@*",
            "<>",
            "promo?@*.seven.example",
            "<Bracket@Eight.Example>",
            "abuse@.nine.example",
        ],
    );
    for (address, line) in [
        ("user@one.example", Some(1)),
        ("other@one.example", None),
        ("a@two.example", Some(2)),
        ("a@sub.two.example", None),
        ("a@sub.three.example", Some(3)),
        ("a@deep.sub.three.example", Some(3)),
        ("a@three.example", None),
        ("a@four.example", Some(4)),
        ("a@x.five.example", Some(5)),
        ("a@five.example", None),
        ("news-today@six.example", Some(6)),
        ("old-news-today@six.example", None),
        ("bounce@anywhere.example", Some(7)),
        ("", Some(8)),
        ("promo1@x.seven.example", Some(9)),
        ("promo12@x.seven.example", None),
        ("bracket@eight.example", Some(10)),
        ("abuse@x.nine.example", Some(11)),
        ("abuse@nine.example", None),
        ("\"odd@two.example\"@one.example", None),
        ("no-domain", None),
    ] {
        assert_eq!(list.find(address.as_bytes()), line, "{address}");
    }
}

#[test]
fn hosts() {
    let list = set(
        Kind::Hosts,
        &[
            "mail.example",
            ".dyn.example",
            "*.pool.example",
            "dsl-*.isp.example",
            "*cable*",
            "[192.0.2.1]",
            "dot.example.",
        ],
    );
    for (host, line) in [
        ("mail.example", Some(1)),
        ("mail.example.", Some(1)),
        ("x.mail.example", None),
        ("a.dyn.example", Some(2)),
        ("dyn.example", None),
        ("a.b.pool.example", Some(3)),
        ("dsl-1-2.isp.example", Some(4)),
        ("x.isp.example", None),
        ("my-cable-modem", Some(5)),
        ("[192.0.2.1]", Some(6)),
        ("dot.example", Some(7)),
        ("", None),
    ] {
        assert_eq!(list.find(host.as_bytes()), line, "{host}");
    }
}

#[test]
fn networks() {
    let list = set(
        Kind::Networks,
        &[
            "192.0.2.0/24",
            "192.0.2.7",
            "10.0.0.0/8",
            "2001:db8::/32",
            "::ffff:203.0.113.9",
        ],
    );
    for (ip, line) in [
        ("192.0.2.0", Some(1)),
        ("192.0.2.255", Some(1)),
        ("192.0.2.7", Some(1)),
        ("192.0.3.0", None),
        ("192.0.1.255", None),
        ("10.255.255.255", Some(3)),
        ("2001:db8:ffff::1", Some(4)),
        ("2001:db9::1", None),
        ("203.0.113.9", Some(5)),
        ("::ffff:10.1.2.3", Some(3)),
    ] {
        assert_eq!(list.find_ip(ip.parse().unwrap()), line, "{ip}");
    }
}

#[test]
fn what_is_no_entry_says_so() {
    for (kind, entry, problem) in [
        (
            Kind::Networks,
            "192.0.2.1/24",
            "has bits set behind its prefix; the network is 192.0.2.0/24",
        ),
        (
            Kind::Networks,
            "host.example",
            "is neither an IP address nor a network",
        ),
        (
            Kind::Addresses,
            "@domain.example",
            "has nothing on one side of the @",
        ),
        (Kind::Addresses, "user@", "has nothing on one side of the @"),
        (Kind::Addresses, "two words@x.example", "is no address"),
        (
            Kind::Hosts,
            "user@host.example",
            "is an address, not a host name",
        ),
        (Kind::Hosts, "..example", "is no domain"),
    ] {
        let error = Entries::new(kind).insert(entry, 1).unwrap_err();
        assert_eq!(error.problem, format!("'{entry}' {problem}"));
        assert!(!error.remedy.is_empty());
    }
}

#[test]
fn half_a_million_entries_are_no_burden() {
    let mut addresses = Entries::new(Kind::Addresses);
    let mut networks = Entries::new(Kind::Networks);
    let begun = Instant::now();
    for n in 0..500_000u32 {
        addresses
            .insert(&format!("user{n}@domain{}.example", n % 1000), n + 1)
            .unwrap();
        networks
            .insert(&IpAddr::from((n * 7919).to_be_bytes()).to_string(), n + 1)
            .unwrap();
    }
    networks.finish();
    println!("compiled in {:?}", begun.elapsed());
    let begun = Instant::now();
    for n in (0..500_000u32).step_by(5) {
        assert_eq!(
            addresses.find(format!("user{n}@domain{}.example", n % 1000).as_bytes()),
            Some(n + 1)
        );
        assert!(
            networks
                .find_ip(IpAddr::from((n * 7919).to_be_bytes()))
                .is_some()
        );
    }
    println!("200,000 lookups in {:?}", begun.elapsed());
    assert_eq!(addresses.find(b"user500000@domain0.example"), None);
}

proptest! {
    /// The set says what a walk through all networks says.
    #[test]
    fn networks_as_a_walk_finds_them(
        networks in prop::collection::vec((any::<u32>(), 0u8..=32), 0..40),
        ips in prop::collection::vec(any::<u32>(), 0..40),
    ) {
        let networks: Vec<ipnet::Ipv4Net> =
            networks.iter().map(|(ip, len)| ipnet::Ipv4Net::new((*ip).into(), *len).unwrap().trunc()).collect();
        let mut list = Entries::new(Kind::Networks);
        for (at, network) in networks.iter().enumerate() {
            list.insert(&network.to_string(), at as u32).unwrap();
        }
        list.finish();
        let ends = networks.iter().flat_map(|n| [u32::from(n.network()), u32::from(n.broadcast()), u32::from(n.broadcast()).wrapping_add(1)]);
        for ip in ips.iter().copied().chain(ends) {
            let ip = std::net::Ipv4Addr::from(ip);
            let naive = networks.iter().any(|network| network.contains(&ip));
            prop_assert_eq!(list.find_ip(ip.into()).is_some(), naive, "{}", ip);
        }
    }

    /// The set says what wildcards over the whole address say.
    #[test]
    fn addresses_as_a_walk_finds_them(
        entries in prop::collection::vec("([ab*?]{1,3}@)?[.*]?[ab?]{1,2}\\.[ab]{1,2}", 0..12),
        addresses in prop::collection::vec("[ab]{1,3}@([ab]\\.)?[ab]{1,2}\\.[ab]{1,2}", 1..20),
    ) {
        let mut list = Entries::new(Kind::Addresses);
        let mut globs = Vec::new();
        for (at, entry) in entries.iter().enumerate() {
            if list.insert(entry, at as u32).is_err() {
                continue;
            }
            let (local, domain) = entry.rsplit_once('@').unwrap_or(("*", entry));
            let domain = match domain.strip_prefix('.') {
                Some(below) => format!("*.{below}"),
                None => domain.to_owned(),
            };
            globs.push(format!("{local}@{domain}"));
        }
        for address in &addresses {
            let naive = globs.iter().any(|glob| {
                let (local, domain) = glob.rsplit_once('@').unwrap();
                let (l, d) = address.rsplit_once('@').unwrap();
                glob::matches(local.as_bytes(), l.as_bytes()) && glob::matches(domain.as_bytes(), d.as_bytes())
            });
            prop_assert_eq!(list.find(address.as_bytes()).is_some(), naive, "{} in {:?}", address, globs);
        }
    }
}
