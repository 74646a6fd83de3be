//! A guide's commands, and a shell that they are typed into.

use std::fs;
use std::path::Path;
use std::process::Command;

use millrace_tests::packages;
use millrace_tests::process::Process;
use millrace_tests::servers::binary;

/// What people are told to type by a guide, block by block.
pub(crate) fn commands(guide: &str) -> Vec<String> {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(guide);
    let guide = fs::read_to_string(guide).expect("the guide is there");
    let mut blocks = Vec::new();
    let mut block: Option<String> = None;
    for line in guide.lines() {
        match (&mut block, line) {
            (None, "```sh") => block = Some(String::new()),
            (Some(_), "```") => blocks.extend(block.take()),
            (Some(text), line) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, _) => {}
        }
    }
    blocks
}

/// A shell with namespaces of its own for network, mounts and processes, in this folder.
pub(crate) fn follow(folder: &Path, script: &str, prepare: impl FnOnce(&mut Command)) -> Process {
    let programs = binary("millrace");
    let programs = programs.parent().expect("a program is in a folder");
    for name in ["mpd-node", "conduit-gateway"] {
        binary(name);
    }
    let path = std::env::var("PATH").expect("there is a PATH");
    fs::write(folder.join("guide.sh"), script).expect("the temp folder is ours");
    let unshare = packages::program("unshare");
    Process::start_with("guide", folder, &unshare, |command| {
        // Its process is the first of a namespace: all others end with it.
        command
            .args([
                "--net",
                "--mount",
                "--pid",
                "--fork",
                "--kill-child",
                "--mount-proc",
            ])
            .args(["bash", "guide.sh"])
            .env("PATH", format!("{}:{path}:/usr/sbin", programs.display()));
        prepare(command);
    })
}
