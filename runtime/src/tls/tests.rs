use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::metrics::Metrics;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// An authority whose files lie in a folder.
struct Authority {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        Self::good_until(SystemTime::now() + 100 * DAY)
    }

    fn good_until(until: SystemTime) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.not_before = (SystemTime::now() - 1000 * DAY).into();
        params.not_after = until.into();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        let issuer = Issuer::new(params, key);
        Self { folder, issuer }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Certificate and key, as PEM.
    fn pair(&self, names: &[&str], from: SystemTime, until: SystemTime) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = names
            .iter()
            .map(|name| match name.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) if name.contains("://") => SanType::URI((*name).try_into().unwrap()),
                Err(_) => SanType::DnsName((*name).try_into().unwrap()),
            })
            .collect();
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.not_before = from.into();
        params.not_after = until.into();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// Puts a good pair into the folder, and says where it is.
    fn issue(&self, names: &[&str]) -> TlsConfig {
        let now = SystemTime::now();
        let (certificate, key) = self.pair(names, now - DAY, now + 90 * DAY);
        let stem = names[0].replace(['/', ':'], "_");
        let config = TlsConfig {
            certificate: Some(self.file(&format!("{stem}.pem"))),
            key: Some(self.file(&format!("{stem}-key.pem"))),
            ca: Some(self.file("ca.pem")),
            server_name: None,
        };
        fs::write(config.certificate.as_ref().unwrap(), certificate).unwrap();
        fs::write(config.key.as_ref().unwrap(), key).unwrap();
        config
    }
}

fn start(config: &TlsConfig, peers: &[PeerConfig]) -> Links {
    Links::start(Path::new("x.toml"), config, peers, &Metrics::new("test")).unwrap()
}

/// What comes of a connection between the two: what the server sees of the client, or what either side says.
async fn shake(server: &Links, client: &Connector, host: &str) -> Result<PeerNames, String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = server.acceptor().unwrap();
    let serving = tokio::spawn(async move {
        let (stream, peer) = listener.accept().await.unwrap();
        let mut stream = acceptor
            .accept(stream, peer)
            .await
            .map_err(|error| error.to_string())?;
        stream.write_all(b"hello").await.unwrap();
        stream.flush().await.unwrap();
        Ok::<_, String>(stream.names().unwrap())
    });
    let address = format!("https://{host}:{port}").parse().unwrap();
    let client = match client.connect(&address).await {
        Err(error) => Err(error.to_string()),
        Ok(mut stream) => {
            let mut hello = [0; 5];
            // In TLS 1.3 a client hears only now that its certificate was refused.
            match stream.read_exact(&mut hello).await {
                Ok(_) => Ok(()),
                Err(error) => Err(error.to_string()),
            }
        }
    };
    let server = serving.await.unwrap();
    match (server, client) {
        (Ok(names), Ok(())) => Ok(names),
        (server, client) => Err(format!("server: {server:?}; client: {client:?}")),
    }
}

#[tokio::test]
async fn both_sides_show_who_they_are() {
    let authority = Authority::new();
    let server = start(&authority.issue(&["node.example", "127.0.0.1"]), &[]);
    let client = start(&authority.issue(&["GW.example", "spiffe://x/gw"]), &[]);
    let names = shake(&server, &client.connector(), "127.0.0.1").await;
    assert_eq!(names.unwrap().to_string(), "gw.example, spiffe://x/gw");
}

#[tokio::test]
async fn who_is_not_believed_does_not_get_in() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let server_config = ours.issue(&["127.0.0.1"]);
    let server = start(&server_config, &[]);
    let nobody = TlsConfig {
        ca: Some(ours.file("ca.pem")),
        ..TlsConfig::default()
    };
    let foreign = TlsConfig {
        ca: Some(ours.file("ca.pem")),
        ..theirs.issue(&["gw.example"])
    };
    let doubting = TlsConfig {
        ca: Some(theirs.file("ca.pem")),
        ..ours.issue(&["gw.example"])
    };
    let elsewhere = TlsConfig {
        server_name: Some("other.example".to_owned()),
        ..ours.issue(&["gw.example"])
    };
    for (config, words) in [
        (&nobody, "the peer has no certificate"),
        (
            &foreign,
            "from an authority that is not in this server's `ca`",
        ),
        (&doubting, "from an authority that is not in `ca`"),
        (&elsewhere, "is not for other.example"),
    ] {
        let client = start(config, &[]).connector();
        let told = shake(&server, &client, "127.0.0.1").await.unwrap_err();
        assert!(told.contains(words), "{words}: {told}");
    }
    let told = shake(&server, &Connector::plain(), "127.0.0.1").await;
    assert!(told.unwrap_err().contains("no authority to believe"));
}

#[tokio::test]
async fn a_server_is_believed_by_the_name_that_was_asked_for() {
    let authority = Authority::new();
    let server = start(&authority.issue(&["node.example"]), &[]);
    let config = TlsConfig {
        server_name: Some("node.example".to_owned()),
        ..authority.issue(&["gw.example"])
    };
    let by_name = start(&config, &[]).connector();
    shake(&server, &by_name, "127.0.0.1").await.unwrap();
}

#[test]
fn what_is_wrong_with_a_file_is_told_with_the_remedy() {
    let authority = Authority::new();
    let good = authority.issue(&["a.example"]);
    let other = authority.issue(&["b.example"]);
    let now = SystemTime::now();
    let (expired, expired_key) = authority.pair(&["c.example"], now - 10 * DAY, now - DAY);
    let (early, early_key) = authority.pair(&["d.example"], now + DAY, now + 10 * DAY);
    let write = |name: &str, text: &str| {
        fs::write(authority.file(name), text).unwrap();
        Some(authority.file(name))
    };
    let cases: Vec<(TlsConfig, &str, &str)> = vec![
        (
            TlsConfig {
                key: other.key.clone(),
                ..good.clone()
            },
            "is not the key of the certificate in",
            "made together",
        ),
        (
            TlsConfig {
                certificate: good.key.clone(),
                ..good.clone()
            },
            "holds a private key and no certificate",
            "with `key`",
        ),
        (
            TlsConfig {
                key: good.certificate.clone(),
                ..good.clone()
            },
            "holds a certificate and no private key",
            "with `certificate`",
        ),
        (
            TlsConfig {
                certificate: write("expired.pem", &expired),
                key: write("expired-key.pem", &expired_key),
                ..good.clone()
            },
            "has expired at",
            "millrace certs",
        ),
        (
            TlsConfig {
                certificate: write("early.pem", &early),
                key: write("early-key.pem", &early_key),
                ..good.clone()
            },
            "is not valid before",
            "clock",
        ),
        (
            TlsConfig {
                key: write(
                    "locked.pem",
                    "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
                ),
                ..good.clone()
            },
            "holds an encrypted key",
            "openssl pkey",
        ),
        (
            TlsConfig {
                ca: write("der.pem", "\u{1}\u{2}"),
                ..good.clone()
            },
            "is not PEM",
            "openssl x509",
        ),
        (
            TlsConfig {
                ca: write("empty.pem", ""),
                ..good.clone()
            },
            "is empty",
            "BEGIN CERTIFICATE",
        ),
        (
            TlsConfig {
                ca: Some("/no/such/file".into()),
                ..good.clone()
            },
            "cannot be read",
            "name a file that exists",
        ),
        (
            TlsConfig {
                key: None,
                ..good.clone()
            },
            "proves nothing",
            "name the key's file",
        ),
        (
            TlsConfig {
                certificate: None,
                ..good.clone()
            },
            "used by nobody",
            "name the certificate's file",
        ),
        (
            TlsConfig {
                ca: None,
                server_name: Some("x".into()),
                ..good.clone()
            },
            "no server's certificate is believed",
            "`ca`",
        ),
    ];
    for (config, problem, remedy) in cases {
        let told = Links::check(Path::new("x.toml"), &config, &[])
            .unwrap_err()
            .to_string();
        assert!(
            told.contains(problem) && told.contains(remedy),
            "{problem}: {told}"
        );
    }
    Links::check(Path::new("x.toml"), &good, &[]).unwrap();
}

#[tokio::test]
async fn an_authority_that_has_ended_is_refused_but_not_beside_a_good_one() {
    let old = Authority::good_until(SystemTime::now() - DAY);
    let new = Authority::new();
    let config = new.issue(&["127.0.0.1"]);
    let ended = TlsConfig {
        ca: Some(old.file("ca.pem")),
        ..config.clone()
    };
    let told = Links::check(Path::new("x.toml"), &ended, &[]).unwrap_err();
    assert!(told.to_string().contains("has expired"), "{told}");

    let bundle = fs::read_to_string(old.file("ca.pem")).unwrap()
        + &fs::read_to_string(new.file("ca.pem")).unwrap();
    fs::write(new.file("bundle.pem"), bundle).unwrap();
    let both = TlsConfig {
        ca: Some(new.file("bundle.pem")),
        ..config
    };
    let links = start(&both, &[]);
    shake(&links, &links.connector(), "127.0.0.1")
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_replaced_pair_is_used_and_a_bad_one_leaves_the_good_one() {
    let (old, new) = (Authority::new(), Authority::new());
    let config = old.issue(&["127.0.0.1"]);
    let server = start(&config, &[]);
    let believing_old = start(&old.issue(&["gw.example"]), &[]).connector();
    let believes_new = TlsConfig {
        ca: Some(new.file("ca.pem")),
        ..old.issue(&["gw.example"])
    };
    let believing_new = start(&believes_new, &[]).connector();
    shake(&server, &believing_old, "127.0.0.1").await.unwrap();

    // A certificate without its key: refused, and what was good stays.
    let replaced = new.issue(&["127.0.0.1"]);
    fs::copy(
        replaced.certificate.as_ref().unwrap(),
        config.certificate.as_ref().unwrap(),
    )
    .unwrap();
    settle().await;
    shake(&server, &believing_old, "127.0.0.1").await.unwrap();

    // Now the key as well.
    fs::copy(replaced.key.as_ref().unwrap(), config.key.as_ref().unwrap()).unwrap();
    settle().await;
    shake(&server, &believing_new, "127.0.0.1").await.unwrap();
    shake(&server, &believing_old, "127.0.0.1")
        .await
        .unwrap_err();

    // And files that are gone change nothing.
    fs::remove_file(config.key.as_ref().unwrap()).unwrap();
    settle().await;
    shake(&server, &believing_new, "127.0.0.1").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_swapped_by_its_link_is_taken_up() {
    // As a Kubernetes secret is mounted: tls.crt → ..data/tls.crt, ..data → ..2026_01, which is swapped by a rename.
    let (old, new) = (Authority::new(), Authority::new());
    let mount = tempfile::tempdir().unwrap();
    let at = |path: &str| mount.path().join(path);
    for (authority, version) in [(&old, "..1"), (&new, "..2")] {
        let config = authority.issue(&["127.0.0.1"]);
        fs::create_dir(at(version)).unwrap();
        fs::copy(config.certificate.unwrap(), at(version).join("tls.crt")).unwrap();
        fs::copy(config.key.unwrap(), at(version).join("tls.key")).unwrap();
    }
    let link = std::os::unix::fs::symlink::<&str, PathBuf>;
    link("..1", at("..data")).unwrap();
    link("..data/tls.crt", at("tls.crt")).unwrap();
    link("..data/tls.key", at("tls.key")).unwrap();
    let server = start(
        &TlsConfig {
            certificate: Some(at("tls.crt")),
            key: Some(at("tls.key")),
            ca: Some(old.file("ca.pem")),
            server_name: None,
        },
        &[],
    );
    let believes = |authority: &Authority| TlsConfig {
        ca: Some(authority.file("ca.pem")),
        ..old.issue(&["gw.example"])
    };
    let (first, second) = (believes(&old), believes(&new));
    shake(&server, &start(&first, &[]).connector(), "127.0.0.1")
        .await
        .unwrap();

    link("..2", at("..data_tmp")).unwrap();
    fs::rename(at("..data_tmp"), at("..data")).unwrap();
    settle().await;
    shake(&server, &start(&second, &[]).connector(), "127.0.0.1")
        .await
        .unwrap();
}

/// Time for a few looks at the files, on the paused clock; reading them takes real time, in other threads.
async fn settle() {
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        tokio::task::spawn_blocking(|| {}).await.unwrap();
    }
}

#[test]
fn ends_are_warned_of_two_weeks_ahead_or_a_quarter_of_a_short_life() {
    let from = SystemTime::now();
    for (life, warning) in [(365 * DAY, 14 * DAY), (40 * DAY, 10 * DAY), (DAY, DAY / 4)] {
        let validity = identity::Validity {
            from,
            until: from + life,
        };
        assert_eq!(validity.warning(), warning, "{life:?}");
    }
}

fn peer(name: &str, clients: &[&str], may: &[Right]) -> PeerConfig {
    PeerConfig {
        name: name.to_owned(),
        clients: clients.iter().map(|&client| client.to_owned()).collect(),
        may: may.to_vec(),
    }
}

fn names(list: &[&str]) -> PeerNames {
    list.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn a_name_may_do_what_its_rows_say() {
    use Right::{Process, Quarantine};
    let peers = Peers::new(
        &[
            peer("QMail-1.example", &["mx1"], &[Process]),
            peer("*.gw.example", &["*"], &[Process]),
            peer("spiffe://x/Admin", &[], &[Quarantine]),
            peer("both.example", &["mx2"], &[Process]),
            peer("both.example", &["mx3"], &[Process, Quarantine]),
        ],
        true,
    )
    .unwrap();
    for (certificate, client, process, copies) in [
        (&["qmail-1.example"][..], "mx1", true, false),
        (&["qmail-1.example"], "mx2", false, false),
        (&["other.example", "qmail-1.example"], "mx1", true, false),
        (&["a.gw.example"], "anything", true, false),
        (&["gw.example"], "mx1", false, false),
        (&["a.b.gw.example"], "mx1", false, false),
        (&["spiffe://x/Admin"], "mx1", false, true),
        (&["spiffe://x/admin"], "mx1", false, false),
        (&["both.example"], "mx2", true, true),
        (&["both.example"], "mx3", true, true),
        (&["both.example"], "mx1", false, true),
        (&["stranger.example"], "mx1", false, false),
        (&[], "mx1", false, false),
    ] {
        let who = names(certificate);
        assert_eq!(
            peers.may_process(Some(&who), client).is_ok(),
            process,
            "{who} for {client}"
        );
        assert_eq!(peers.may_use_copies(Some(&who)).is_ok(), copies, "{who}");
    }
}

#[test]
fn without_rows_a_certificate_is_enough_to_process_and_for_no_more() {
    let who = names(&["gw.example"]);
    let closed = Peers::new(&[], true).unwrap();
    assert!(closed.may_process(Some(&who), "mx1").is_ok());
    assert!(closed.may_use_copies(Some(&who)).is_err());
    // Where nobody is asked for a certificate, nobody is told no.
    for open in [Peers::default(), Peers::new(&[], false).unwrap()] {
        assert!(open.may_process(None, "mx1").is_ok());
        assert!(open.may_use_copies(None).is_ok());
    }
}

#[test]
fn rows_that_mean_nothing_are_refused() {
    let tls = Authority::new().issue(&["a.example"]);
    let check = |tls: &TlsConfig, row: PeerConfig| {
        Links::check(Path::new("x.toml"), tls, &[row])
            .unwrap_err()
            .to_string()
    };
    for (row, words) in [
        (peer("", &["mx1"], &[Right::Process]), "peer[0].name"),
        (peer("*", &["mx1"], &[Right::Process]), "peer[0].name"),
        (peer("a.example", &[], &[Right::Process]), "peer[0].clients"),
    ] {
        let told = check(&tls, row);
        assert!(told.contains(words), "{words}: {told}");
    }
    let told = check(
        &TlsConfig::default(),
        peer("a", &["mx1"], &[Right::Process]),
    );
    assert!(told.contains("nobody is asked for a certificate"), "{told}");
}
