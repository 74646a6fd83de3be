//! A mail server's host: sends message after message, and notes what it is answered.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use fastrand::Rng;
use millrace_milter::Response;
use millrace_milter::mta::{Client, Flavour, Message, Mta, Outcome, Received};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, sleep_until, timeout};
use turmoil::net::TcpStream;

use crate::network::MILTER;
use crate::record::{Answer, Answered};
use crate::run::LAST_MAIL;
use crate::world::World;

/// As long as a mail server waits for one message, from its first command on.
const PATIENCE: Duration = Duration::from_secs(15);
/// Between two messages, at most.
const PAUSE: Duration = Duration::from_millis(400);
/// A gateway that takes no connection is not asked a thousand times a second.
const AFTER_REFUSAL: Duration = Duration::from_millis(300);
/// Messages that are sent when all is well again.
const LAST_MESSAGES: usize = 4;

struct MailServer {
    number: usize,
    sent: usize,
    gateway: usize,
    gateways: usize,
    rng: Rng,
    world: Arc<World>,
}

/// Sends until the faults are over, waits for the cluster to recover, and sends a few more.
pub(crate) async fn run(number: usize, gateways: usize, world: Arc<World>) -> turmoil::Result {
    let begun = tokio::time::Instant::now();
    let recovered = begun + world.recovered;
    let mut server = MailServer {
        number,
        sent: 0,
        gateway: number % gateways,
        gateways,
        rng: Rng::with_seed(world.seed ^ (number as u64) << 32),
        world,
    };
    while begun.elapsed() < crate::faults::LAST {
        server.session(usize::MAX, false).await;
    }
    sleep_until(recovered).await;
    for gateway in 0..gateways {
        server.gateway = gateway;
        server.session(LAST_MESSAGES, true).await;
    }
    sleep_until(recovered + LAST_MAIL).await;
    Ok(())
}

impl MailServer {
    /// One connection with some messages; another gateway is next when it does not come about.
    async fn session(&mut self, most: usize, at_the_end: bool) {
        let gateway = self.gateway;
        let connected = timeout(
            PATIENCE,
            TcpStream::connect((format!("gateway-{gateway}"), MILTER)),
        );
        let Ok(Ok(mut socket)) = connected.await else {
            if at_the_end {
                self.note(Answer::Lost("no connection".to_owned()), at_the_end);
            }
            self.gateway = (gateway + 1) % self.gateways;
            sleep(AFTER_REFUSAL).await;
            return;
        };
        let mut mta = Mta::new(Flavour::Postfix, Client::default());
        for _ in 0..self.rng.usize(1..6).min(most) {
            self.sent += 1;
            let text = format!(
                "From: <a@origin.example>\r\nSubject: {} of {}\r\n\r\n{}\r\n",
                self.sent,
                self.number,
                "x".repeat(self.rng.usize(..1500))
            );
            mta.send(Message::parse(text.as_bytes()));
            let answer = match timeout(PATIENCE, play(&mut mta, &mut socket)).await {
                Ok(answer) => answer,
                Err(_) => Answer::Nothing,
            };
            let ended = matches!(
                answer,
                Answer::Nothing | Answer::Lost(_) | Answer::Broken(_)
            );
            self.note(answer, at_the_end);
            if ended {
                self.gateway = (gateway + 1) % self.gateways;
                return;
            }
            sleep(PAUSE.mul_f64(self.rng.f64())).await;
        }
        mta.quit();
        let mut out = BytesMut::new();
        mta.advance(&mut out);
        let _ = socket.write_all(&out).await;
    }

    fn note(&self, answer: Answer, at_the_end: bool) {
        self.world.record.seen().answers.push(Answered {
            message: format!("message {} of mail server {}", self.sent, self.number),
            gateway: self.gateway,
            at_the_end,
            answer,
        });
    }
}

/// Plays the message in the queue to its end.
async fn play(mta: &mut Mta, socket: &mut TcpStream) -> Answer {
    let mut out = BytesMut::new();
    loop {
        loop {
            match mta.receive() {
                Ok(Some(Received::Finished(outcome))) => return answer(&outcome),
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => return Answer::Broken(error.to_string()),
            }
        }
        out.clear();
        mta.advance(&mut out);
        if let Err(error) = socket.write_all(&out).await {
            return Answer::Lost(error.to_string());
        }
        let space = mta.space();
        space.reserve(4096);
        match socket.read_buf(space).await {
            Ok(0) => return Answer::Lost("closed".to_owned()),
            Ok(_) => {}
            Err(error) => return Answer::Lost(error.to_string()),
        }
    }
}

fn answer(outcome: &Outcome) -> Answer {
    match &outcome.answer {
        _ if outcome.is_accepted() => judged(outcome),
        Some(Response::ReplyCode(text)) if text.starts_with(b"4") => {
            Answer::PutOff(String::from_utf8_lossy(text).into_owned())
        }
        Some(Response::Tempfail | Response::Shutdown) => Answer::PutOff("tempfail".to_owned()),
        other => Answer::Other(format!("{other:?}")),
    }
}

/// What the policy wrote into the message.
fn judged(outcome: &Outcome) -> Answer {
    let mut marks = outcome.edits.iter().filter_map(|edit| match edit {
        Response::AddHeader { name, value } | Response::InsertHeader { name, value, .. }
            if name.eq_ignore_ascii_case(b"X-Judged") =>
        {
            Some(String::from_utf8_lossy(value).into_owned())
        }
        _ => None,
    });
    let (Some(mark), None) = (marks.next(), marks.next()) else {
        return Answer::Unjudged(format!("{:?}", outcome.edits));
    };
    let words: Vec<&str> = mark.split_whitespace().collect();
    match words[..] {
        [revision, transaction, number] if number.parse::<usize>().is_ok() => Answer::Judged {
            revision: revision.to_owned(),
            transaction: transaction.to_owned(),
            number: number.parse().unwrap_or_default(),
        },
        _ => Answer::Unjudged(mark),
    }
}
