//! What the members of a cluster share through etcd: the policy, and each other's addresses.
//!
//! [`Etcd`] asks the members of an etcd cluster in turn; [`follow()`] keeps what stands below a key up to date.
//! On top of them: [`membership`], who is there, and [`policy`], what is published.
//!
//! All keys stand below one prefix, `/millrace/` by default:
//!
//! | key | what |
//! |---|---|
//! | `policy/head/current` | the [`Publication`](policy::Publication) in force |
//! | `policy/head/shadow` | the [`Trial`](policy::Trial) of a candidate |
//! | `policy/history/NUMBER` | each publication there was |
//! | `policy/manifest/REVISION` | names and hashes of a revision's files |
//! | `policy/candidate/REVISION` | the same of one that was never in force |
//! | `policy/part/HASH/N.COUNT` | the content of a file, a piece of it a key |
//! | `policy/pruned` | touched whenever parts are removed |
//! | `node/ADDRESS` | a node's [`Registration`](membership::Registration), under its lease |
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod config;
mod error;
mod etcd;
mod follow;
pub mod membership;
pub mod policy;

pub use config::{EtcdConfig, EtcdSection, InvalidEndpoints};
pub use error::EtcdError;
pub use etcd::Etcd;
pub use follow::{Entries, Following, Sight, follow};
