//! Programs in C that play qmail's, compiled once.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A qmail-queue that follows the real one step by step.
pub fn queue() -> &'static Path {
    static PROGRAM: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    compiled(
        &PROGRAM,
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/qmail-queue.c"),
    )
}

/// What calls qmail-queue as qmail's programs do.
pub fn caller() -> &'static Path {
    static PROGRAM: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    compiled(
        &PROGRAM,
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/caller.c"),
    )
}

fn compiled<'a>(place: &'a OnceLock<(tempfile::TempDir, PathBuf)>, source: &str) -> &'a Path {
    let (_, program) = place.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        let status = Command::new("cc")
            .args(["-O1", "-o"])
            .arg(&program)
            .arg(source)
            .status();
        assert!(status.expect("cc (Debian package gcc)").success());
        (folder, program)
    });
    program
}
