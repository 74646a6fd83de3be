//! A mail server that hangs up: all that it held is free again, down to the node.

use super::{FOR_EVER, before};
use crate::support::{Script, ScriptedNode, config_with, message, until};

#[tokio::test]
async fn what_a_mail_server_held_is_free_when_it_hangs_up() {
    for size in [10, 300_000] {
        let one = ScriptedNode::start(Script::default().slowly(FOR_EVER)).await;
        let other = ScriptedNode::start(Script::default().slowly(FOR_EVER)).await;
        let config = config_with(|config, _| config.limits.spool_above = 100_000);
        let gateway = before(&[&one, &other], super::one_at_a_time(), config).await;
        let mut servers = Vec::new();
        for _ in 0..10 {
            let mut server = gateway.connect().await;
            server.mta.send(message(&"x".repeat(size)));
            server.advance().await;
            server.reply().await;
            server.advance().await;
            servers.push(server);
        }
        let working = || one.working() + other.working();
        until("all are in hand", async || working() == 10).await;
        let held = if size > 100_000 {
            "millrace_gateway_spool_bytes"
        } else {
            "millrace_gateway_memory_bytes"
        };
        until("something is held", async || {
            gateway.metric(held).await > 0.0
        })
        .await;
        drop(servers);
        until("the nodes have stopped", async || working() == 0).await;
        for free in [
            "millrace_gateway_memory_bytes",
            "millrace_gateway_spool_bytes",
        ] {
            until(free, async || gateway.metric(free).await == 0.0).await;
        }
        for node in [&one, &other] {
            let in_flight = format!(
                "millrace_gateway_node_in_flight{{node=\"{}\"}}",
                node.address()
            );
            assert_eq!(gateway.metric(&in_flight).await, 0.0);
        }
    }
}
