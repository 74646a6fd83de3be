//! The `mpd-node` program.
#![allow(missing_docs)]

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    mpd_node::app::main()
}
