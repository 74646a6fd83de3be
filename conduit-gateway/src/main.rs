//! The `conduit-gateway` program.

use std::process::ExitCode;

/// Returns memory of ended connections to the system, and shares no lock between threads.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    conduit_gateway::app::main()
}
