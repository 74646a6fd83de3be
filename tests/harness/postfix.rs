//! A private Postfix: Debian's binaries, with configuration, queue and data of the test's own.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::unistd::{Group, User};
use tempfile::TempDir;

use crate::certificate::Certificate;
use crate::mta::{Socket, Wanted};
use crate::packages;
use crate::patience::until;
use crate::ports::Port;
use crate::process::{Process, run};
use crate::sasl;

const DAEMONS: &str = "/usr/lib/postfix/sbin";

/// A running Postfix; stopped, with all that it wrote removed, when dropped.
#[derive(Debug)]
pub struct Postfix {
    // Fields are dropped in this order: first the processes, then their folder.
    _master: Process,
    folder: TempDir,
    port: Port,
}

impl Postfix {
    /// Starts a Postfix that relays everything to the sink's port on 127.0.0.1.
    ///
    /// # Panics
    /// When it does not come up, or we are not root, or the package is missing.
    pub fn start(sink: u16, wanted: &Wanted) -> Self {
        packages::require(&["postfix"]);
        packages::require_root("Postfix's master process insists on it");
        let folder = tempfile::Builder::new()
            .prefix("postfix-")
            .tempdir()
            .expect("a temp folder can be made");
        let port = Port::reserve();
        prepare_folders(folder.path());
        let mut main = main_cf(folder.path(), sink, wanted);
        if wanted.starttls {
            let made = Certificate::make(folder.path());
            let _ = writeln!(
                main,
                "smtpd_tls_security_level = may\nsmtpd_tls_cert_file = {}\nsmtpd_tls_key_file = {}",
                made.certificate.display(),
                made.key.display()
            );
        }
        if wanted.auth {
            // Debian's Postfix looks nowhere else.
            let sasl_folder = folder.path().join("config/sasl");
            let database = sasl::prepare(&sasl_folder, "smtpd");
            chown(&database, Some(user("postfix")), None).expect("root may give files away");
            let _ = writeln!(
                main,
                "smtpd_sasl_auth_enable = yes\nsmtpd_sasl_local_domain = {}",
                sasl::REALM
            );
        }
        for line in &wanted.extra {
            let _ = writeln!(main, "{line}");
        }
        let config = folder.path().join("config");
        fs::write(config.join("main.cf"), main).expect("main.cf can be written");
        fs::write(
            config.join("master.cf"),
            master_cf(port.number(), wanted.chroot),
        )
        .expect("master.cf can be written");

        // -d: stay in the foreground and in the process group that the guard kills.
        let mut master = Process::start(
            "postfix-master",
            folder.path(),
            &Path::new(DAEMONS).join("master"),
            [Path::new("-d"), Path::new("-c"), &config],
        );
        master.wait_for_port(port.number());
        Self {
            _master: master,
            folder,
            port,
        }
    }

    /// Its SMTP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The folder that smtpd would be chrooted to.
    pub fn queue_folder(&self) -> PathBuf {
        self.folder.path().join("queue")
    }

    /// Queue IDs in the hold queue.
    pub fn held(&self) -> Vec<String> {
        names(&self.queue_folder().join("hold"))
    }

    /// Puts everything in the hold queue back on its way.
    ///
    /// # Panics
    /// When postsuper fails.
    pub fn release(&self) {
        let config = self.folder.path().join("config");
        run(Command::new(packages::program("postsuper"))
            .arg("-c")
            .arg(&config)
            .args(["-H", "ALL"]));
        run(Command::new(packages::program("postqueue"))
            .arg("-c")
            .arg(&config)
            .arg("-f"));
    }

    /// How many messages are in any queue.
    pub fn queued(&self) -> usize {
        ["incoming", "active", "deferred", "hold"]
            .iter()
            .map(|queue| count_files(&self.queue_folder().join(queue)))
            .sum()
    }

    /// The log with all that was logged before this call. Postfix's processes hand their lines to
    /// one that writes them, so what has just happened may not be in the file yet: a line of our
    /// own goes the same way, after them.
    ///
    /// # Panics
    /// When that line does not arrive.
    pub fn log_up_to_now(&self) -> String {
        static MARKS: AtomicU32 = AtomicU32::new(0);
        let mark = format!("mark {} of the test", MARKS.fetch_add(1, Ordering::Relaxed));
        run(Command::new(packages::program("postlog"))
            .arg("-c")
            .arg(self.folder.path().join("config"))
            .args(["-t", "postfix/test", &mark]));
        until("the log has our mark", || self.log().contains(&mark));
        self.log()
    }

    /// The log as far as it is written.
    fn log(&self) -> String {
        let log = fs::read(self.folder.path().join("mail.log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- Postfix logged:\n{}---", self.log());
        }
    }
}

fn main_cf(folder: &Path, sink: u16, wanted: &Wanted) -> String {
    let path = folder.display();
    let relay = format!("smtp:[127.0.0.1]:{sink}");
    let mut text = format!(
        "compatibility_level = 3.6\n\
         queue_directory = {path}/queue\ndata_directory = {path}/data\ndaemon_directory = {DAEMONS}\n\
         command_directory = /usr/sbin\nmail_owner = postfix\nsetgid_group = postdrop\n\
         maillog_file = {path}/mail.log\nmaillog_file_prefixes = {path}\n\
         myhostname = mx.test.example\nmydestination =\nmynetworks = 127.0.0.0/8\n\
         inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\n\
         smtp_host_lookup = native\ndisable_dns_lookups = yes\n\
         alias_maps =\nalias_database =\nlocal_recipient_maps =\n\
         default_transport = {relay}\nrelay_transport = {relay}\nlocal_transport = {relay}\n\
         smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination\n\
         message_size_limit = 0\nmailbox_size_limit = 0\n\
         smtpd_client_connection_count_limit = 0\nsmtpd_error_sleep_time = 0\nin_flow_delay = 0\n\
         smtp_tls_security_level = none\nbiff = no\n"
    );
    if let Some(socket) = &wanted.milter {
        let endpoint = match socket {
            Socket::Tcp(port) => format!("inet:127.0.0.1:{port}"),
            Socket::Unix(path) => format!("unix:{}", path.display()),
        };
        let timeout = wanted.reply_timeout.as_secs();
        let _ = writeln!(
            text,
            "smtpd_milters = {endpoint}\nmilter_default_action = tempfail\n\
             milter_command_timeout = {timeout}s\nmilter_content_timeout = {timeout}s"
        );
    }
    text
}

/// Debian's master.cf with nothing chrooted but, if asked, smtpd; on a port of its own, and with
/// Postfix's own log.
fn master_cf(port: u16, chroot: bool) -> String {
    let chroot = if chroot { 'y' } else { 'n' };
    format!(
        "127.0.0.1:{port} inet n - {chroot} - - smtpd\n\
         pickup unix n - n 60 1 pickup\n\
         cleanup unix n - n - 0 cleanup\n\
         qmgr unix n - n 300 1 qmgr\n\
         tlsmgr unix - - n 1000? 1 tlsmgr\n\
         rewrite unix - - n - - trivial-rewrite\n\
         bounce unix - - n - 0 bounce\n\
         defer unix - - n - 0 bounce\n\
         trace unix - - n - 0 bounce\n\
         verify unix - - n - 1 verify\n\
         flush unix n - n 1000? 0 flush\n\
         proxymap unix - - n - - proxymap\n\
         proxywrite unix - - n - 1 proxymap\n\
         smtp unix - - n - - smtp\n\
         relay unix - - n - - smtp\n\
         showq unix n - n - - showq\n\
         error unix - - n - - error\n\
         retry unix - - n - - error\n\
         discard unix - - n - - discard\n\
         anvil unix - - n - 1 anvil\n\
         scache unix - - n - 1 scache\n\
         postlog unix-dgram n - n - 1 postlogd\n"
    )
}

/// Makes the folders as `postfix set-permissions` would, for a queue that is not the system's.
fn prepare_folders(folder: &Path) {
    let (owner, maildrop_group) = (user("postfix"), group("postdrop"));
    // Postfix's daemons run as their own user and must get through to the queue.
    fs::set_permissions(folder, Permissions::from_mode(0o755)).expect("the temp folder is ours");
    let make = |name: &str, mode: u32, uid: Option<u32>, gid: Option<u32>| {
        let path = folder.join(name);
        fs::create_dir(&path).expect("a folder can be made in the temp folder");
        chown(&path, uid, gid).expect("root may give folders away");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("the folder is ours");
    };
    make("config", 0o755, None, None);
    make("data", 0o700, Some(owner), None);
    make("queue", 0o755, None, None);
    make("queue/pid", 0o755, None, None);
    for name in [
        "active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private",
        "saved", "trace",
    ] {
        make(&format!("queue/{name}"), 0o700, Some(owner), None);
    }
    make("queue/maildrop", 0o730, Some(owner), Some(maildrop_group));
    make("queue/public", 0o710, Some(owner), Some(maildrop_group));
}

fn user(name: &str) -> u32 {
    let found = User::from_name(name).expect("the user database can be read");
    found
        .unwrap_or_else(|| panic!("there is no user {name}: apt-get install postfix"))
        .uid
        .as_raw()
}

fn group(name: &str) -> u32 {
    let found = Group::from_name(name).expect("the group database can be read");
    found
        .unwrap_or_else(|| panic!("there is no group {name}: apt-get install postfix"))
        .gid
        .as_raw()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// Files below a folder: some queues are split into folders by the first letters of the ID.
fn count_files(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => count_files(&entry.path()),
            Ok(kind) => usize::from(kind.is_file()),
            Err(_) => 0,
        })
        .sum()
}
