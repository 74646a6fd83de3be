//! A qmail home with `millrace-qmail-queue`, a qmail-queue that follows the real one, and a gateway.
#![allow(dead_code, unused_imports)] // several test programs, each of which uses a part

mod delivery;
pub mod gateway;
mod home;
pub mod programs;
pub mod tls;

pub use delivery::Delivered;
pub use gateway::{accept, refuse};
pub use home::{Called, Caller, Home};
