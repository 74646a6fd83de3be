//! The programs that tests need from Debian packages.

use std::env;
use std::path::{Path, PathBuf};

/// Program and the Debian package that has it. `tests/packages.txt` lists the packages.
const PROGRAMS: &[(&str, &str)] = &[
    ("apt-get", "apt"),
    ("cc", "gcc"),
    ("dpkg", "dpkg"),
    ("haproxy", "haproxy"),
    ("etcd", "etcd-server"),
    ("etcdctl", "etcd-client"),
    ("ip", "iproute2"),
    ("m4", "m4"),
    ("miltertest", "miltertest"),
    ("nginx", "nginx-light"),
    ("nsenter", "util-linux"),
    ("openssl", "openssl"),
    ("postfix", "postfix"),
    ("prometheus", "prometheus"),
    ("promtool", "prometheus"),
    ("python3", "python3"),
    ("qmqp-sink", "postfix"),
    ("qmqp-source", "postfix"),
    ("qmqpfront-qmail", "mailfront"),
    ("saslpasswd2", "sasl2-bin"),
    ("smtpfront-qmail", "mailfront"),
    ("tcpserver", "ucspi-tcp"),
    ("unshare", "util-linux"),
];

/// Finds a program in PATH and where system programs are.
///
/// # Panics
/// When it is not there, naming the package to install: a test never skips itself.
pub fn program(name: &str) -> PathBuf {
    if let Some(found) = find(name) {
        return found;
    }
    let package = PROGRAMS
        .iter()
        .find(|(program, _)| *program == name)
        .map_or(name, |(_, package)| package);
    panic!(
        "this test needs the program `{name}`: apt-get install {package} \
         (`make test` installs every package of tests/packages.txt)"
    );
}

/// Checks that all these programs are there.
///
/// # Panics
/// As [`program`].
pub fn require(names: &[&str]) {
    for name in names {
        program(name);
    }
}

/// Checks that the test runs as root, which the mail servers' master processes must be.
///
/// # Panics
/// When it does not.
pub fn require_root(why: &str) {
    assert!(
        nix::unistd::geteuid().is_root(),
        "this test must run as root: {why}"
    );
}

/// Where programs lie that are fetched and not installed: `$MILLRACE_TEST_CACHE`, else `tmp` in the
/// build's target folder.
///
/// # Panics
/// When the test does not run from the build's target folder.
pub fn cache_folder() -> PathBuf {
    if let Some(folder) = env::var_os("MILLRACE_TEST_CACHE") {
        return folder.into();
    }
    let test = env::current_exe().expect("a program knows its own path");
    // The test lies in TARGET/PROFILE/deps.
    test.ancestors()
        .nth(3)
        .expect("tests are run from the build's target folder")
        .join("tmp")
}

fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| Path::is_file(candidate))
}
