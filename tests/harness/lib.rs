//! The harness of Millrace's end-to-end tests: real mail servers in front, real binaries of ours
//! behind, all of it on loopback, in temp folders, on ports of its own.
//!
//! The harness sees the product as an administrator does, through sockets, files, signals and
//! command lines; of our crates it knows only the contract, so that it can play a node
//! ([`scripted_node`]), and the milter protocol, so that it can play a mail server ([`milter`]). It
//! is a test tool, so it panics, with what it knows, when something cannot be had: a test that
//! cannot run has failed.
//!
//! A test reads: start a [`sink::Sink`] where delivered mail ends, a node and a
//! [`servers::Gateway`] that uses it, an [`mta::Mta`] that uses the gateway, and speak to that with
//! an [`smtp::Client`]. [`route::Route`] starts them all.

pub mod admin;
mod both;
pub mod certificate;
pub mod certs;
pub mod etcd;
pub mod hosts;
pub mod load;
pub mod member;
pub mod message;
pub mod milter;
pub mod mta;
pub mod packages;
pub mod patience;
pub mod policy;
pub mod ports;
pub mod postfix;
pub mod process;
pub mod qmail;
pub mod ran;
pub mod route;
pub mod s3;
pub mod sasl;
pub mod scripted_node;
pub mod sendmail;
pub mod servers;
pub mod sink;
pub mod slow_link;
pub mod smtp;
pub mod traffic;
pub mod transaction;
pub mod verdicts;
