//! `millrace`: the command that people type. One file or folder a command.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod certs;
mod cli;
mod cluster;
mod exit;
mod explain;
mod generate;
mod load;
mod mail;
mod nodes;
mod output;
mod policy;
mod quarantine;
mod record;
mod scan;
mod server_tls;
mod size;
mod target;
mod up;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    cli::main()
}
