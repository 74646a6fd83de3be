//! The harness of Millrace's end-to-end tests: real mail servers in front, real binaries of ours
//! behind, all of it on loopback, in temp folders, on ports of its own.
//!
//! The harness knows none of our crates: it sees the product as an administrator does, through
//! sockets, files, signals and command lines. It is a test tool, so it panics, with what it knows,
//! when something cannot be had: a test that cannot run has failed.
//!
//! A test reads: start a [`sink::Sink`] where delivered mail ends, a gateway that
//! filters, an [`mta::Mta`] that uses it, and speak to it with an [`smtp::Client`].

pub mod certificate;
pub mod message;
pub mod mta;
pub mod packages;
pub mod patience;
pub mod ports;
pub mod postfix;
pub mod process;
pub mod sasl;
pub mod sendmail;
pub mod sink;
pub mod smtp;
