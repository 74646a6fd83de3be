//! What a check may look at.

use std::cell::OnceCell;
use std::net::IpAddr;

use bytes::Bytes;
use millrace_proto::{Stage, Transaction};

use super::received;
use crate::policy::Policy;
use crate::request::Message;

/// What is known of a transaction at some stage.
pub(crate) struct Facts<'a> {
    /// What is judged by.
    pub(crate) policy: &'a Policy,
    /// Connection and envelope.
    pub(crate) transaction: &'a Transaction,
    /// The message; `None` while screening.
    pub(crate) message: Option<&'a Message>,
    /// What has just happened.
    pub(crate) stage: Stage,
    /// Whether there is so much to do that optional checks are left out.
    pub(crate) overloaded: bool,
    true_client: OnceCell<Option<TrueClient>>,
}

/// Who brought the message to the first of our own hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TrueClient {
    /// Its address.
    pub(crate) ip: Option<IpAddr>,
    /// The argument of its HELO.
    pub(crate) helo: Option<Bytes>,
    /// Its name in the DNS.
    pub(crate) ptr: Option<Bytes>,
    /// Whether it was read from a Received header, because a host of ours relayed.
    pub(crate) relayed: bool,
}

impl<'a> Facts<'a> {
    /// Facts of a message that is all there.
    pub(crate) fn of_message(
        policy: &'a Policy,
        transaction: &'a Transaction,
        message: &'a Message,
    ) -> Self {
        Self {
            policy,
            transaction,
            message: Some(message),
            stage: Stage::EndOfMessage,
            overloaded: false,
            true_client: OnceCell::new(),
        }
    }

    /// Facts before there is a message.
    pub(crate) fn screening(
        policy: &'a Policy,
        transaction: &'a Transaction,
        stage: Stage,
    ) -> Self {
        Self {
            policy,
            transaction,
            message: None,
            stage,
            overloaded: false,
            true_client: OnceCell::new(),
        }
    }

    /// Who brought the message to the first of our own hosts: the peer, or, when that is in `trusted_networks`, the
    /// first in the Received headers that is not (the peer again, where there is none). `None` when it is not known
    /// yet: the peer is ours, and there is no message.
    pub(crate) fn true_client(&self) -> Option<&TrueClient> {
        self.true_client
            .get_or_init(|| {
                received::true_client(self.policy, &self.transaction.connection, self.message)
            })
            .as_ref()
    }

    /// Whether the connection is from one of ours, or from somebody who has authenticated.
    pub(crate) fn is_from_ours(&self) -> bool {
        let connection = &self.transaction.connection;
        connection.authentication.is_some() || self.policy.trusts(&connection.peer)
    }
}
