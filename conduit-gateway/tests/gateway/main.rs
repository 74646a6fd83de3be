//! What a gateway does, seen from a mail server: a gateway in this process, the mail server's side of the milter
//! protocol, and a node that answers as the test says.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod support;

mod aborts;
mod activation;
mod admission;
mod carries_out;
mod command_line;
mod conduit;
mod drain;
mod embedded;
mod failures;
mod fairness;
mod large_messages;
mod nodes;
mod policy_changes;
mod qmqp;
mod screening;
mod upstream;
mod waiting;
mod wrong_input;
