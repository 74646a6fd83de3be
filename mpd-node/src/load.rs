//! How busy a node is: what it takes at once, and from where on it leaves a policy's optional checks out.

use std::sync::atomic::{AtomicUsize, Ordering};

use millrace_proto::CallError;

/// Messages being judged, and how many there may be.
#[derive(Debug)]
pub(crate) struct Load {
    in_flight: AtomicUsize,
    limit: usize,
}

/// A message being judged, until it is dropped.
#[derive(Debug)]
pub(crate) struct Busy<'a> {
    load: &'a Load,
    /// Whether the node is so busy that optional checks are left out.
    pub(crate) overloaded: bool,
}

impl Load {
    /// A node that takes so many messages at once.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            in_flight: AtomicUsize::new(0),
            limit: limit.max(1),
        }
    }

    /// Takes one more. `overloaded` is what the caller says of the load on its side.
    ///
    /// # Errors
    /// The node has enough: whoever asks has a queue, and other nodes.
    pub(crate) fn enter(&self, overloaded: bool) -> Result<Busy<'_>, CallError> {
        let now = self.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        // From three quarters on.
        let own = now > self.limit - self.limit / 4;
        let busy = Busy {
            load: self,
            overloaded: overloaded || own,
        };
        if now > self.limit {
            return Err(CallError::Overloaded(format!(
                "{} messages are being judged, and more are not taken",
                self.limit
            )));
        }
        Ok(busy)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.load.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_does_less_for_each_before_it_takes_no_more() {
        let load = Load::new(4);
        let taken: Vec<_> = (0..4).map(|_| load.enter(false).unwrap()).collect();
        let overloaded: Vec<bool> = taken.iter().map(|busy| busy.overloaded).collect();
        assert_eq!(overloaded, [false, false, false, true]);
        assert!(matches!(load.enter(false), Err(CallError::Overloaded(_))));
        drop(taken);
        assert!(load.enter(true).unwrap().overloaded);
        assert!(!load.enter(false).unwrap().overloaded);
    }

    #[test]
    fn a_node_that_takes_one_at_a_time_takes_it_whole() {
        let load = Load::new(1);
        assert!(!load.enter(false).unwrap().overloaded);
    }
}
