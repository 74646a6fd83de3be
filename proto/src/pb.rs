//! The types and services generated from `proto/millrace/mpd/v1`.
#![allow(
    missing_docs,
    unreachable_pub,
    rust_2018_idioms,
    clippy::all,
    clippy::pedantic
)]

tonic::include_proto!("millrace.mpd.v1");

/// The compiled `FileDescriptorSet`, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/millrace.binpb"));
