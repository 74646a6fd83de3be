//! Debian's Sendmail beside an installed Postfix.
//!
//! The two packages cannot be installed together, so Sendmail's are downloaded and unpacked once,
//! into a cache folder: `$MILLRACE_TEST_CACHE`, else `tmp` in the build's target folder.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::certificate::Certificate;
use crate::mta::{Socket, Wanted};
use crate::packages;
use crate::ports::Port;
use crate::process::{Process, run};
use crate::sasl;

/// A running Sendmail; stopped, with all that it wrote removed, when dropped.
#[derive(Debug)]
pub struct Sendmail {
    // Fields are dropped in this order: first the processes, then their folder.
    _daemon: Process,
    folder: TempDir,
    port: Port,
}

impl Sendmail {
    /// Starts a Sendmail that relays everything to the sink's port on 127.0.0.1, and has delivered
    /// a message before it tells its client so.
    ///
    /// # Panics
    /// When it does not come up, we are not root, or the packages cannot be had.
    pub fn start(sink: u16, wanted: &Wanted) -> Self {
        packages::require(&["m4", "unshare"]);
        packages::require_root(
            "Sendmail gets a host name of its own, for which it needs a namespace",
        );
        let install = Installation::find();
        let folder = tempfile::Builder::new()
            .prefix("sendmail-")
            .tempdir()
            .expect("a temp folder can be made");
        let port = Port::reserve();
        prepare(folder.path(), &install, sink, port.number(), wanted);
        let path = folder.path().display();
        let script = format!(
            "hostname mx.test.example && exec {} -C{path}/sendmail.cf -bD",
            install.daemon().display()
        );
        let mut daemon = Process::start_with(
            "sendmail",
            folder.path(),
            &packages::program("unshare"),
            |command| {
                command
                    .args(["--uts", "sh", "-c", &script])
                    .env("LD_PRELOAD", install.log_shim())
                    .env("MILLRACE_TEST_SYSLOG", folder.path().join("mail.log"));
            },
        );
        daemon.wait_for_port(port.number());
        Self {
            _daemon: daemon,
            folder,
            port,
        }
    }

    /// Its SMTP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Queue IDs of quarantined messages: those have an `hf` file in the queue.
    pub fn held(&self) -> Vec<String> {
        self.queue_files("hf")
    }

    /// Why the message with this queue ID is held: the `q` line of its queue file.
    ///
    /// # Panics
    /// When no such message is held.
    pub fn held_because(&self, id: &str) -> String {
        let file = fs::read(self.queue().join(format!("hf{id}"))).expect("the message is held");
        let text = String::from_utf8_lossy(&file).into_owned();
        let line = text.lines().find_map(|line| line.strip_prefix('q'));
        line.expect("a held message has a reason").to_owned()
    }

    /// How many messages are in the queue, held ones included.
    pub fn queued(&self) -> usize {
        self.queue_files("df").len()
    }

    /// The log so far.
    pub fn log(&self) -> String {
        let log = fs::read(self.folder.path().join("mail.log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    fn queue(&self) -> PathBuf {
        self.folder.path().join("queue")
    }

    fn queue_files(&self, prefix: &str) -> Vec<String> {
        let entries = fs::read_dir(self.queue()).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| {
                entry
                    .file_name()
                    .to_string_lossy()
                    .strip_prefix(prefix)
                    .map(str::to_owned)
            })
            .collect()
    }
}

impl Drop for Sendmail {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- Sendmail logged:\n{}---", self.log());
        }
    }
}

/// Writes all that the daemon reads into its folder.
fn prepare(folder: &Path, install: &Installation, sink: u16, port: u16, wanted: &Wanted) {
    fs::set_permissions(folder, Permissions::from_mode(0o755)).expect("the temp folder is ours");
    let queue = folder.join("queue");
    fs::create_dir(&queue).expect("a folder can be made in the temp folder");
    fs::set_permissions(&queue, Permissions::from_mode(0o700)).expect("the folder is ours");
    // No DNS: names come from files alone.
    fs::write(
        folder.join("service.switch"),
        "hosts files\naliases files\npasswd files\n",
    )
    .expect("the service switch can be written");

    let mut mc = MC_HEAD.to_owned();
    if wanted.starttls {
        let made = Certificate::make(folder);
        let (certificate, key) = (made.certificate.display(), made.key.display());
        mc.push_str(&format!(
            "define(`confCACERT_PATH', `{}')dnl\ndefine(`confCACERT', `{certificate}')dnl\n\
             define(`confSERVER_CERT', `{certificate}')dnl\ndefine(`confSERVER_KEY', `{key}')dnl\n",
            folder.display()
        ));
    }
    let mut local_config = String::new();
    if wanted.auth {
        let sasl_folder = folder.join("sasl");
        let database = sasl::prepare(&sasl_folder, "Sendmail");
        fs::set_permissions(database, Permissions::from_mode(0o600)).expect("the database is ours");
        mc.push_str(
            "define(`confAUTH_MECHANISMS', `PLAIN LOGIN')dnl\nTRUST_AUTH_MECH(`PLAIN LOGIN')dnl\n",
        );
        local_config = format!("LOCAL_CONFIG\nESASL_CONF_PATH={}\n", sasl_folder.display());
    }
    for line in &wanted.extra {
        mc.push_str(line);
        mc.push('\n');
    }
    mc.push_str(MC_TAIL);
    mc.push_str(&local_config);
    mc.push_str(MC_MAILER);
    fs::write(folder.join("test.mc"), mc).expect("the configuration can be written");

    let mut m4 = Command::new(packages::program("m4"));
    let cf = install.root.join("usr/share/sendmail/cf");
    m4.arg(format!("-DCFDIR={}", cf.display()))
        .arg(format!("-D_CF_DIR_={}/", cf.display()))
        .arg(format!("-DDIR={}", folder.display()))
        .arg(format!("-DPORT={port}"))
        .arg(format!("-DSINK={sink}"));
    if let Some(socket) = &wanted.milter {
        let endpoint = match socket {
            Socket::Tcp(port) => format!("inet:{port}@127.0.0.1"),
            Socket::Unix(path) => format!("unix:{}", path.display()),
        };
        let reply = wanted.reply_timeout.as_secs();
        // Without F=T Sendmail passes mail unfiltered when the filter fails.
        m4.arg(format!(
            "-DMILTER={endpoint}, F=T, T=C:30s;S:30s;R:{reply}s;E:5m"
        ));
    }
    let configuration = run(m4.arg(folder.join("test.mc")));
    fs::write(folder.join("sendmail.cf"), configuration).expect("sendmail.cf can be written");
}

/// Sendmail unpacked from Debian's packages.
struct Installation {
    root: PathBuf,
}

impl Installation {
    /// Finds it in the cache, or puts it there.
    fn find() -> Self {
        let cache = packages::cache_folder().join("sendmail");
        fs::create_dir_all(&cache).expect("the cache folder can be made");
        let found = Self {
            root: cache.join("root"),
        };
        let lock = File::create(cache.join("lock")).expect("the cache folder can be written");
        lock.lock()
            .expect("files in the cache folder can be locked");
        let complete = cache.join("complete");
        if !complete.exists() {
            found.unpack(&cache);
            File::create(complete).expect("the cache folder can be written");
        }
        found
    }

    fn unpack(&self, cache: &Path) {
        packages::require(&["apt-get", "cc", "dpkg"]);
        let downloaded = Command::new(packages::program("apt-get"))
            .args(["-q", "download", "sendmail-bin", "sendmail-cf"])
            .current_dir(cache)
            .output()
            .expect("apt-get starts");
        assert!(
            downloaded.status.success(),
            "Sendmail's packages cannot be had; tests with the real Sendmail cannot run. \
             `apt-get update` may help. apt-get said:\n{}",
            String::from_utf8_lossy(&downloaded.stderr)
        );
        let _ = fs::remove_dir_all(&self.root);
        for entry in fs::read_dir(cache)
            .expect("the cache folder can be read")
            .flatten()
        {
            if entry
                .path()
                .extension()
                .is_some_and(|extension| extension == "deb")
            {
                run(Command::new(packages::program("dpkg"))
                    .arg("-x")
                    .arg(entry.path())
                    .arg(&self.root));
            }
        }
        // A setgid program ignores LD_PRELOAD, by which we read its log.
        fs::set_permissions(self.daemon(), Permissions::from_mode(0o755))
            .expect("the unpacked daemon is ours");
        let source = cache.join("log_shim.c");
        fs::write(&source, LOG_SHIM).expect("the cache folder can be written");
        run(Command::new(packages::program("cc"))
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(self.log_shim())
            .arg(&source));
    }

    fn daemon(&self) -> PathBuf {
        self.root.join("usr/libexec/sendmail/sendmail")
    }

    fn log_shim(&self) -> PathBuf {
        self.root.join("log_shim.so")
    }
}

/// Sendmail logs by syslog(3) alone; this puts its lines into a file.
const LOG_SHIM: &str = include_str!("sendmail/log_shim.c");
/// The configuration up to what a test may add.
const MC_HEAD: &str = include_str!("sendmail/head.mc");
/// Listener and filter.
const MC_TAIL: &str = include_str!("sendmail/tail.mc");
/// The mailer that brings everything to the sink.
const MC_MAILER: &str = include_str!("sendmail/mailer.mc");
