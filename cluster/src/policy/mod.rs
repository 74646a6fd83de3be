//! Published policies: a revision is a manifest of content hashes, parts are stored by hash, and one key says which
//! revision is in force.

mod disk;
mod manifest;
mod parts;
mod prune;
mod publication;
mod store;

pub use disk::DiskCopy;
pub use manifest::{Manifest, ManifestError, PolicyFiles, hash};
pub use prune::Pruned;
pub use publication::{Publication, Trial};
pub use store::{Base, Draft, Heads, PolicyError, Published};
