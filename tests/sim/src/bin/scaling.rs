//! How latency and shed load behave as nodes are added and lost: 100 nodes, 4 gateways, 1,000 mail servers.
//!
//! `cargo run --release -p millrace-sim --bin scaling` prints the tables. With `--write docs` it also draws
//! `docs/scaling.svg`, and puts the tables into `docs/scaling.md`. `--seconds N` is the length of each part (15).

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use millrace_sim::scaling;

fn main() -> ExitCode {
    let (mut seconds, mut folder) = (15, None);
    let mut arguments = env::args().skip(1);
    while let Some(flag) = arguments.next() {
        match (flag.as_str(), arguments.next()) {
            ("--seconds", Some(value)) if value.parse::<u64>().is_ok_and(|n| n > 0) => {
                seconds = value.parse().unwrap_or(seconds);
            }
            ("--write", Some(value)) => folder = Some(PathBuf::from(value)),
            _ => {
                eprintln!("scaling [--seconds N] [--write FOLDER]");
                return ExitCode::from(2);
            }
        }
    }
    let part = Duration::from_secs(seconds);
    let sizes = scaling::by_size(part);
    println!("{sizes}");
    let story = scaling::through_losses(part);
    println!("{story}");
    let Some(folder) = folder else {
        return ExitCode::SUCCESS;
    };
    match scaling::write(&folder, &sizes, &story) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", folder.display());
            ExitCode::FAILURE
        }
    }
}
