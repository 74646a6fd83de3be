//! The life of a server process: started, told to reload, told to end, drained, gone.
//!
//! ```text
//! SIGTERM ─▶ Unready ──grace──▶ Closing ──last activity ends, or the bound is reached──▶ Done
//!            still accepting,   listeners closed,                    what is left is cut off
//!            but /readyz says   what is in flight ends
//!            no: balancers go
//! ```
//! A second signal skips the waits. The service manager is told at each step.

mod drain;
pub mod notify;
mod shutdown;
#[cfg(test)]
mod tests;

pub use drain::{Activity, Drain, DrainLimits, Drained, Phase};
pub use shutdown::{Hangups, Shutdown};
