//! The whole way of a message: mail server, gateway, node, and the sink where it is delivered.

use std::path::Path;

use crate::mta::{Kind, Mta, Wanted};
use crate::scripted_node::{Script, ScriptedNode};
use crate::servers::{Gateway, Node, Upstream};
use crate::sink::Sink;
use crate::smtp::{Client, Reply};

/// A mail server that asks a gateway, with what is behind both. `N` is who judges.
#[derive(Debug)]
pub struct Route<N> {
    /// The mail server.
    pub mta: Mta,
    /// The gateway that filters for it.
    pub gateway: Gateway,
    /// Who judges: a [`ScriptedNode`], a [`Node`], or nobody but the gateway itself.
    pub node: N,
    /// Where mail is delivered.
    pub sink: Sink,
}

impl Route<ScriptedNode> {
    /// A route on which this script judges.
    ///
    /// # Panics
    /// When any part of it does not start.
    pub fn scripted(kind: Kind, script: Script) -> Self {
        Self::scripted_for(kind, script, |wanted| wanted)
    }

    /// As [`Route::scripted`], with other wishes of the mail server.
    ///
    /// # Panics
    /// When any part of it does not start.
    pub fn scripted_for(kind: Kind, script: Script, wishes: impl FnOnce(Wanted) -> Wanted) -> Self {
        let node = ScriptedNode::start(script);
        let gateway = Gateway::start(&Upstream::Nodes(vec![node.port()]));
        Self::over(kind, gateway, node, wishes)
    }
}

impl Route<Node> {
    /// A route on which a real node judges by the policy in this folder.
    ///
    /// # Panics
    /// When any part of it does not start.
    pub fn judged_by_policy(
        kind: Kind,
        policy: &Path,
        wishes: impl FnOnce(Wanted) -> Wanted,
    ) -> Self {
        let node = Node::start(policy);
        let gateway = Gateway::start(&Upstream::Nodes(vec![node.port()]));
        Self::over(kind, gateway, node, wishes)
    }
}

impl Route<()> {
    /// A route on which the gateway itself judges by the policy in this folder; by the built-in
    /// one without.
    ///
    /// # Panics
    /// When any part of it does not start.
    pub fn embedded(kind: Kind, policy: Option<&Path>) -> Self {
        let gateway = Gateway::start(&Upstream::Embedded(policy.map(Path::to_owned)));
        Self::over(kind, gateway, (), |wanted| wanted)
    }
}

impl<N> Route<N> {
    /// A mail server over a gateway that runs already.
    ///
    /// # Panics
    /// When the mail server does not start.
    pub fn over(
        kind: Kind,
        gateway: Gateway,
        node: N,
        wishes: impl FnOnce(Wanted) -> Wanted,
    ) -> Self {
        let sink = Sink::start();
        let wanted = wishes(Wanted::filtered_by(gateway.port()));
        let mta = Mta::start(kind, &sink, &wanted);
        Self {
            mta,
            gateway,
            node,
            sink,
        }
    }

    /// A client that has said EHLO.
    ///
    /// # Panics
    /// When the mail server refuses it.
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::connect(self.mta.port())
    }

    /// Sends one message from `sender@origin.example` to `rcpt@dest.example` on a connection of its
    /// own, and gives the reply to its content.
    ///
    /// # Panics
    /// When anything before the content is refused.
    #[track_caller]
    pub fn send(&self, content: &[u8]) -> Reply {
        let mut client = self.client();
        let reply = client.message("sender@origin.example", &["rcpt@dest.example"], content);
        client.quit();
        reply
    }

    /// Insists that the mail server found nothing to complain of in what the gateway said.
    ///
    /// # Panics
    /// When it did.
    #[track_caller]
    pub fn assert_no_complaints(&self) {
        let complaints = self.mta.complaints();
        assert!(
            complaints.is_empty(),
            "the mail server complains: {complaints:#?}"
        );
    }
}
