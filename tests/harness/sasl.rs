//! SMTP AUTH for the mail servers: one user in a Cyrus SASL database of the test's own.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::packages;

/// The user's name.
pub const USER: &str = "joe";
/// The user's password.
pub const PASSWORD: &str = "secret";
/// The realm that the user is in: the mail servers' host name.
pub const REALM: &str = "mx.test.example";

/// Makes `folder` with a database that has [`USER`], and the configuration `application.conf`.
/// Gives the path of the database.
///
/// # Panics
/// When saslpasswd2 is missing or fails.
pub fn prepare(folder: &Path, application: &str) -> std::path::PathBuf {
    fs::create_dir_all(folder).expect("the SASL folder can be made");
    let database = folder.join("sasldb2");
    let mut child = Command::new(packages::program("saslpasswd2"))
        .args(["-p", "-c", "-u", REALM, "-f"])
        .arg(&database)
        .arg(USER)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("saslpasswd2 starts");
    let mut input = child.stdin.take().expect("its input is piped");
    input
        .write_all(PASSWORD.as_bytes())
        .expect("saslpasswd2 takes the password");
    drop(input);
    assert!(
        child.wait().expect("saslpasswd2 ends").success(),
        "saslpasswd2 failed"
    );
    let configuration = format!(
        "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {}\nmech_list: PLAIN LOGIN\n",
        database.display()
    );
    fs::write(folder.join(format!("{application}.conf")), configuration)
        .expect("the SASL configuration can be written");
    database
}
