//! Stands where qmail-queue stood.
//!
//! It starts once for each message, and what std does before its own `main` (it reads the process's memory map, and
//! prepares to report a stack that overflows) is a tenth of what it costs. So the C library calls it without that.
#![no_main]
#![allow(unsafe_code)]

use std::ffi::{c_char, c_int};

use nix::sys::signal::{SigHandler, Signal, signal};

/// musl's own gives memory back to the system at once, and so takes and clears it anew for each piece of a message.
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

// SAFETY: this program has no other `main`, and this one has the type that the C library calls (C17 §5.1.2.2.1).
#[unsafe(no_mangle)]
extern "C" fn main(_: c_int, _: *const *const c_char) -> c_int {
    // As std does it: a gateway that is gone is an error of the write. exec takes it back.
    // SAFETY: nothing runs in a handler.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) };
    millrace_qmail::queue::run().code().into()
}
