//! A message can be given up at every point, and what comes next is served.

use bytes::BytesMut;
use millrace_milter::{Actions, Steps};
use millrace_milter::{Command, Frame, FrameDecoder, MacroBlock, Offer, RawPath};
use millrace_proto::Stage;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Script, ScriptedNode, TestGateway, accept, config, message, soon, until};

/// A whole conversation, of which every beginning is played.
fn conversation(steps: Steps) -> Vec<Command> {
    // With leading blanks agreed on, the value has its own.
    let value = if steps == Steps::NONE { "x" } else { " x" };
    vec![
        Command::Connect {
            host: "client.example".into(),
            peer: millrace_proto::Peer::Unknown,
        },
        Command::Helo("client.example".into()),
        Command::Macros(MacroBlock::new(b'M', &[("i", b"Q1")])),
        Command::Mail(RawPath::new("<a@example.org>")),
        Command::Rcpt(RawPath::new("<b@example.net>")),
        Command::Data,
        Command::Header {
            name: "Subject".into(),
            value: value.into(),
        },
        Command::EndOfHeaders,
        Command::Body("hello\r\n".into()),
    ]
}

fn offer(steps: Steps) -> Command {
    Command::Offer(Offer {
        version: 6,
        actions: Actions::ALL,
        steps,
    })
}

async fn frame(stream: &mut TcpStream, decoder: &mut FrameDecoder) -> Frame {
    loop {
        if let Some(frame) = decoder.next_frame().unwrap() {
            return frame;
        }
        let read = soon("a reply", stream.read_buf(decoder.space()))
            .await
            .unwrap();
        assert!(read > 0, "the gateway closed the connection");
    }
}

#[tokio::test]
async fn abort_at_every_point_leaves_a_connection_that_works() {
    let node = ScriptedNode::start(Script::screening(&[Stage::Mail], |_, _| Ok(accept()))).await;
    let gateway = TestGateway::before(&node, config()).await;
    // Once with no reply due before the end, and once with one due at each step.
    for steps in [Steps::ALL, Steps::NONE] {
        for length in 0..=conversation(steps).len() {
            let mut stream = gateway.connect_raw().await;
            let mut decoder = FrameDecoder::new(1 << 20);
            let mut commands = vec![offer(steps)];
            commands.extend(conversation(steps).into_iter().take(length));
            commands.push(Command::Abort);
            if length == 0 {
                commands.push(conversation(steps).remove(0));
            }
            commands.extend(conversation(steps).into_iter().skip(2));
            commands.push(Command::EndOfBody("end\r\n".into()));
            for command in &commands {
                let mut wire = BytesMut::new();
                command.encode(&mut wire);
                stream.write_all(&wire).await.unwrap();
                let answered = match command {
                    Command::Offer(_) | Command::EndOfBody(_) => true,
                    Command::Mail(_) => true,
                    Command::Macros(_) | Command::Abort => false,
                    _ => steps == Steps::NONE,
                };
                if answered {
                    let reply = frame(&mut stream, &mut decoder).await;
                    assert!(
                        matches!(reply.command, b'O' | b'c' | b'a'),
                        "{command:?}: {reply:?}"
                    );
                }
            }
        }
    }
    let conversations = 2 * (conversation(Steps::ALL).len() + 1);
    node.seen(|seen| {
        assert_eq!(seen.judged.len(), conversations);
        for (_, content) in &seen.judged {
            assert_eq!(
                String::from_utf8_lossy(content),
                "Subject: x\r\n\r\nhello\r\nend\r\n"
            );
        }
    });
    // Those that were asked about at MAIL are told to the node as withdrawn.
    let asked = 2 * (conversation(Steps::ALL).len() - 3);
    until("settlements", async || {
        node.settled()
            .iter()
            .filter(|settled| settled.starts_with("aborted"))
            .count()
            == asked
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_breaks_at_any_byte_costs_nothing() {
    let node = ScriptedNode::start(Script::default()).await;
    let gateway = TestGateway::before(&node, config()).await;
    let mut wire = BytesMut::new();
    offer(Steps::ALL).encode(&mut wire);
    for command in conversation(Steps::ALL) {
        command.encode(&mut wire);
    }
    for length in 0..wire.len() {
        let mut stream = gateway.connect_raw().await;
        stream.write_all(&wire[..length]).await.unwrap();
    }
    until("all connections are gone", async || {
        gateway
            .metric("millrace_gateway_connections{client=\"default\"}")
            .await
            == 0.0
            && gateway
                .metric("millrace_gateway_connections_accepted_total{client=\"default\"}")
                .await
                == f64::from(u32::try_from(wire.len()).unwrap())
    })
    .await;
    until("no memory is held", async || {
        gateway.metric("millrace_gateway_memory_bytes").await == 0.0
    })
    .await;
    assert_eq!(
        gateway
            .connect()
            .await
            .send(message("x\r\n"))
            .await
            .unwrap()
            .answer(),
        "accept"
    );
}
