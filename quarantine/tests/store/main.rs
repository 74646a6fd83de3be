//! The store in a folder: one subject a file.
#![allow(clippy::unwrap_used)]

mod full_disk;
mod keeping;
mod listing;
mod many;
mod retention;
mod support;
