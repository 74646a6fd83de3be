//! Where nodes are. Whatever the source, it tells whole sets of addresses through one stream, and each set is a
//! *hint*: whether a node is there is for its own health to say.
//!
//! | a source | what follows |
//! |---|---|
//! | tells a set | nodes that are new are connected to; those that are missing go when their health no longer serves |
//! | tells an empty set | nothing: nobody takes all nodes away on purpose, and a source that forgot them is no reason to stop |
//! | reports a problem | nothing but a log line; the last set stays |
//! | ends | the last set stays for ever |
//!
//! A source connects again by itself; what it knows by several ways it joins by itself. Several sources are joined
//! here: a node is known while one of them knows it.

mod address;
mod dns;
mod etcd;
mod remembered;

use std::fmt;
use std::num::NonZeroUsize;

use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};
use millrace_cluster::Etcd;

pub use address::{DnsName, InvalidNode, NodeAddress, Whereabouts};
pub use dns::DnsConfig;

/// A node that a source knows of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NodeHint {
    /// Where it is.
    pub address: NodeAddress,
    /// How many calls at once it says it can take; `None` when it does not say.
    pub capacity: Option<NonZeroUsize>,
}

/// Why a source has nothing new to tell, for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SourceProblem(pub String);

/// All nodes that a source knows of, each time that this changes.
pub type Hints = BoxStream<'static, Result<Vec<NodeHint>, SourceProblem>>;

/// Something that knows where nodes are.
pub struct Source {
    name: String,
    hints: Hints,
}

impl NodeHint {
    /// A node of which nothing but its address is known.
    #[must_use]
    pub fn at(address: NodeAddress) -> Self {
        Self {
            address,
            capacity: None,
        }
    }
}

impl Source {
    /// A source with a name for the log. The first set is to come as soon as it is known; the stream is polled for
    /// ever, and dropped when the gateway ends.
    pub fn new(
        name: impl Into<String>,
        hints: impl Stream<Item = Result<Vec<NodeHint>, SourceProblem>> + Send + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            hints: hints.boxed(),
        }
    }

    /// Nodes that are always the same.
    #[must_use]
    pub fn fixed(nodes: Vec<NodeAddress>) -> Self {
        let hints = nodes.into_iter().map(NodeHint::at).collect();
        Self::new("the configuration", stream::iter([Ok(hints)]))
    }

    /// The addresses of a name, asked for again and again.
    ///
    /// # Errors
    /// The system does not say whom to ask.
    pub fn dns(name: DnsName, config: &DnsConfig) -> Result<Self, SourceProblem> {
        let text = name.to_string();
        Ok(Self::new(text, dns::follow(name, config)?))
    }

    /// The nodes that are registered in etcd; until it answers those that were registered last, where its configuration
    /// names a folder for them. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// Nothing can be written to that folder.
    pub fn etcd(etcd: &Etcd) -> Result<Self, SourceProblem> {
        Ok(Self::new("etcd", etcd::follow(etcd)?))
    }

    /// The sources of what a configuration lists: one for all addresses, and one for each name.
    ///
    /// # Errors
    /// The system does not say whom to ask for names.
    pub fn of(
        whereabouts: impl IntoIterator<Item = Whereabouts>,
        config: &DnsConfig,
    ) -> Result<Vec<Self>, SourceProblem> {
        let (mut fixed, mut sources) = (Vec::new(), Vec::new());
        for one in whereabouts {
            match one {
                Whereabouts::Address(address) => fixed.push(address),
                Whereabouts::Dns(name) => sources.push(Self::dns(name, config)?),
            }
        }
        if !fixed.is_empty() {
            sources.push(Self::fixed(fixed));
        }
        Ok(sources)
    }

    /// Its name, and what it tells.
    #[must_use]
    pub fn into_parts(self) -> (String, Hints) {
        (self.name, self.hints)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn addresses_of_a_configuration_are_one_source_that_tells_them_once() {
        let listed = ["http://192.0.2.1:7750", "http://192.0.2.2:7750"]
            .map(|text| text.parse::<Whereabouts>().unwrap());
        let mut sources = Source::of(listed, &DnsConfig::default()).unwrap();
        let (_, mut hints) = sources.remove(0).into_parts();
        let told = hints.next().await.unwrap().unwrap();
        let told: Vec<_> = told.iter().map(|hint| hint.address.as_str()).collect();
        assert_eq!(told, ["http://192.0.2.1:7750", "http://192.0.2.2:7750"]);
        assert!(sources.is_empty() && hints.next().await.is_none());
    }
}
