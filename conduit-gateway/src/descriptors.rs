//! File descriptors: each connection is one, and the usual limit of 1024 is far too low.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// What the process needs besides a descriptor for each connection, about.
const BESIDES: u64 = 256;

/// Raises this process's limit as far as it may be raised without privilege, and says so when that is too little for
/// so many connections.
pub(crate) fn allow_descriptors(connections: usize) {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return;
    };
    let wanted = connections as u64 + BESIDES;
    if soft >= wanted {
        return;
    }
    let limit = wanted.min(hard);
    if let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, limit, hard) {
        tracing::warn!(%error, soft, "the limit on open files cannot be raised");
        return;
    }
    if limit < wanted {
        tracing::warn!(
            limit,
            wanted,
            "fewer open files are allowed than there may be connections: raise LimitNOFILE= of the unit, or lower \
             `limits.connections`"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_as_far_as_it_may_be() {
        allow_descriptors(100);
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert!(soft >= (100 + BESIDES).min(hard));
        allow_descriptors(usize::try_from(hard).unwrap_or(usize::MAX / 2));
        let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!(soft, hard);
    }
}
