use millrace_tests::admin;
use millrace_tests::message;
use millrace_tests::mta::{Kind, Mta, Wanted};
use millrace_tests::patience::until;
use millrace_tests::policy::PolicyFolder;
use millrace_tests::servers::{Gateway, Node, Upstream};
use millrace_tests::sink::Sink;
use millrace_tests::smtp::Client;
use millrace_tests::traffic;

/// How far an SMTP session has come when the node is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Connect,
    Mail,
    Rcpt,
    Data,
    Body,
    EndOfMessage,
}

#[derive(Debug, Clone, Copy)]
enum Loss {
    Killed,
    Stopped,
}

const STAGES: [Stage; 6] = [
    Stage::Connect,
    Stage::Mail,
    Stage::Rcpt,
    Stage::Data,
    Stage::Body,
    Stage::EndOfMessage,
];
/// Sessions at a time: each asks one node or the other.
const SESSIONS: usize = 4;

#[test]
fn by_kill_and_its_clients_do_not_notice() {
    its_clients_do_not_notice(Loss::Killed);
}

#[test]
fn by_sigstop_and_its_clients_do_not_notice() {
    its_clients_do_not_notice(Loss::Stopped);
}

fn its_clients_do_not_notice(loss: Loss) {
    let policy = PolicyFolder::of(traffic::POLICY);
    let mut nodes = [Node::start(policy.path()), Node::start(policy.path())];
    let gateway = Gateway::start(&Upstream::Nodes(nodes.iter().map(Node::port).collect()));
    let sink = Sink::start();
    let mta = Mta::start(Kind::Postfix, &sink, &Wanted::filtered_by(gateway.port()));
    let mut sent = 0;
    for (turn, stage) in STAGES.into_iter().enumerate() {
        until("both nodes are in", || serving(&gateway) == 2.0);
        let node = &mut nodes[turn % 2];
        let mut sessions: Vec<Session> = (0..SESSIONS)
            .map(|number| Session::new(&mta, format!("{loss:?} {stage:?} {number}")))
            .collect();
        for session in &mut sessions {
            session.goes_to(stage);
        }
        match loss {
            Loss::Killed => node.process.kill(),
            Loss::Stopped => node.process.freeze(),
        }
        for session in &mut sessions {
            session.goes_to(Stage::EndOfMessage);
            let reply = session
                .client
                .read_reply()
                .expect("the mail server answers");
            assert_eq!(reply.code, 250, "{loss:?} at {stage:?}: {reply}");
        }
        match loss {
            Loss::Killed => node.start_again(),
            Loss::Stopped => node.process.resume(),
        }
        sent += sessions.len();
    }
    let mut arrived: Vec<String> = sink
        .wait_for(sent)
        .iter()
        .map(|message| {
            assert_eq!(message.fields_named("X-Judged").len(), 1);
            message.fields_named("Subject").join("")
        })
        .collect();
    arrived.sort();
    arrived.dedup();
    assert_eq!(arrived.len(), sent, "each once: {arrived:#?}");
    assert_eq!(sink.count(), sent);
    println!("{loss:?}: sent {sent}, accepted {sent}, put off 0, delivered {sent}");
}

fn serving(gateway: &Gateway) -> f64 {
    admin::metric(gateway.admin_port(), "millrace_gateway_node_serving")
}

struct Session {
    client: Client,
    subject: String,
    at: Stage,
}

impl Session {
    fn new(mta: &Mta, subject: String) -> Self {
        Self {
            client: Client::connect(mta.port()),
            subject,
            at: Stage::Connect,
        }
    }

    /// Goes on to a stage. At the end of the message the answer is still to be read.
    fn goes_to(&mut self, stage: Stage) {
        for next in STAGES {
            if next > self.at && next <= stage {
                self.step(next);
                self.at = next;
            }
        }
    }

    fn step(&mut self, stage: Stage) {
        let content = message::simple(&self.subject);
        let (first, rest) = content.split_at(content.len() / 2);
        match stage {
            Stage::Connect => {}
            Stage::Mail => {
                let reply = self.client.command("MAIL FROM:<sender@origin.example>");
                reply.expect(250);
            }
            Stage::Rcpt => {
                let reply = self.client.command("RCPT TO:<rcpt@dest.example>");
                reply.expect(250);
            }
            Stage::Data => {
                self.client.command("DATA").expect(354);
            }
            Stage::Body => self.client.send(first).expect("the connection holds"),
            Stage::EndOfMessage => {
                let end = [rest, b"\r\n.\r\n"].concat();
                self.client.send(&end).expect("the connection holds");
            }
        }
    }
}
