//! A server that speaks S3: moto, which honours conditional writes. It is fetched once with pip into the cache folder.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;

use crate::packages::{self, cache_folder};
use crate::ports::Port;
use crate::process::{self, Process};

/// With what it needs to serve, and no more.
const PACKAGES: &[&str] = &["moto[s3]==5.2.5", "flask==3.1.3", "flask-cors==6.0.5"];

/// The server, with one bucket; it is gone when dropped.
#[derive(Debug)]
pub struct S3 {
    port: Port,
    _process: Process,
    _folder: tempfile::TempDir,
}

impl S3 {
    /// The bucket's name.
    pub const BUCKET: &str = "kept";

    /// Starts one, and makes its bucket.
    ///
    /// # Panics
    /// When it cannot be fetched or does not start.
    pub fn start() -> Self {
        let packages = fetched();
        let port = Port::reserve();
        let folder = tempfile::tempdir().expect("a temp folder can be made");
        let python = packages::program("python3");
        let mut process = Process::start_with("s3", folder.path(), &python, |server| {
            server
                .args(["-m", "moto.server", "-H", "127.0.0.1", "-p"])
                .arg(port.number().to_string())
                .env("PYTHONPATH", packages);
        });
        process.wait_for_port(port.number());
        let server = Self {
            port,
            _process: process,
            _folder: folder,
        };
        server.make_bucket();
        server
    }

    /// Where it listens: `http://HOST:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.number())
    }

    /// The port that it listens at.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    fn make_bucket(&self) {
        let mut connection =
            TcpStream::connect(("127.0.0.1", self.port.number())).expect("it listens");
        let request = format!(
            "PUT /{} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            Self::BUCKET
        );
        connection
            .write_all(request.as_bytes())
            .expect("it takes a request");
        let mut answer = String::new();
        let _ = connection.read_to_string(&mut answer);
        assert!(answer.starts_with("HTTP/1.1 200"), "no bucket: {answer}");
    }
}

/// The folder of its Python packages, which are fetched if need be.
///
/// # Panics
/// When they cannot be.
pub fn fetched() -> PathBuf {
    let cache = cache_folder().join("moto");
    fs::create_dir_all(&cache).expect("the cache folder can be made");
    let lock = File::create(cache.join("lock")).expect("the cache folder can be written");
    lock.lock()
        .expect("files in the cache folder can be locked");
    let packages = cache.join("packages");
    let complete = cache.join("complete");
    let wanted = PACKAGES.join(" ");
    if fs::read_to_string(&complete).is_ok_and(|complete| complete == wanted) {
        return packages;
    }
    let _ = fs::remove_dir_all(&packages);
    process::run(
        Command::new(packages::program("python3"))
            .args(["-m", "pip", "install", "--quiet", "--target"])
            .arg(&packages)
            .args(PACKAGES),
    );
    fs::write(complete, wanted).expect("the cache folder can be written");
    packages
}
