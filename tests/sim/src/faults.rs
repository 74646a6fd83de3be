//! What goes wrong in a run, and when: all of it from one seed.

use std::time::Duration;

use fastrand::Rng;

/// How many of each there are in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Nodes.
    pub nodes: usize,
    /// Gateways.
    pub gateways: usize,
    /// Mail servers.
    pub mail_servers: usize,
}

/// Something that happens at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Since the run began.
    pub at: Duration,
    /// What happens.
    pub what: What,
}

/// What can happen. Hosts are counted from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The node's process is gone, with all its connections.
    NodeDies(usize),
    /// It is started again: with no memory of policies but the newest that it was told.
    NodeStarts(usize),
    /// The gateway's process is gone.
    GatewayDies(usize),
    /// It is started again.
    GatewayStarts(usize),
    /// Nothing from or to a node arrives, and nothing is lost: a process that is stopped.
    NodeFreezes(usize),
    /// It goes on.
    NodeThaws(usize),
    /// What goes from a gateway to a node and back is lost.
    Cut(usize, usize),
    /// What goes from a gateway to a node is lost, and the other way is sound.
    CutOneWay(usize, usize),
    /// The link is sound again. Connections over it may be of no more use.
    Mend(usize, usize),
    /// What goes over the link takes so long.
    Slow(usize, usize, Duration),
    /// A policy is published: the next.
    Publish,
    /// A node learns of the newest policy.
    Told(usize),
    /// A gateway hears of these nodes, in this order.
    Members(usize, Vec<usize>),
    /// The gateway's source of nodes has a problem.
    SourceFails(usize),
}

/// Faults begin after this.
const FIRST: Duration = Duration::from_millis(500);
/// All faults are over after this.
pub const LAST: Duration = Duration::from_secs(10);
/// A link that is no longer slow.
pub const QUICK: Duration = Duration::from_millis(2);

/// The faults of a seed, in order of time. The last of them puts everything right again.
#[must_use]
pub fn plan(seed: u64, size: Size) -> Vec<Event> {
    let mut rng = Rng::with_seed(seed);
    let mut events = Vec::new();
    for _ in 0..rng.usize(3..=9) {
        let at = FIRST + rng_duration(&mut rng, LAST - FIRST);
        let end = (at + rng_duration(&mut rng, Duration::from_secs(4))).min(LAST);
        let (node, gateway) = (rng.usize(..size.nodes), rng.usize(..size.gateways));
        let (begins, ends) = match rng.u8(..8) {
            0 => (What::NodeDies(node), What::NodeStarts(node)),
            1 => (What::NodeFreezes(node), What::NodeThaws(node)),
            2 => (What::Cut(gateway, node), What::Mend(gateway, node)),
            3 => (What::CutOneWay(gateway, node), What::Mend(gateway, node)),
            4 => {
                let latency = Duration::from_millis(rng.u64(20..800));
                (
                    What::Slow(gateway, node, latency),
                    What::Slow(gateway, node, QUICK),
                )
            }
            5 => (What::GatewayDies(gateway), What::GatewayStarts(gateway)),
            6 => {
                events.push(Event {
                    at,
                    what: What::Publish,
                });
                // Each node hears of it when it does.
                for node in 0..size.nodes {
                    let at = at + rng_duration(&mut rng, Duration::from_millis(900));
                    events.push(Event {
                        at,
                        what: What::Told(node),
                    });
                }
                continue;
            }
            _ => {
                let mut some: Vec<usize> = (0..size.nodes).collect();
                rng.shuffle(&mut some);
                some.truncate(rng.usize(..=size.nodes));
                let problem = rng.u8(..4) == 0;
                let begins = if problem {
                    What::SourceFails(gateway)
                } else {
                    What::Members(gateway, some)
                };
                let mut all: Vec<usize> = (0..size.nodes).collect();
                rng.shuffle(&mut all);
                (begins, What::Members(gateway, all))
            }
        };
        events.push(Event { at, what: begins });
        events.push(Event {
            at: end,
            what: ends,
        });
    }
    events.sort_by_key(|event| event.at);
    events
}

fn rng_duration(rng: &mut Rng, below: Duration) -> Duration {
    Duration::from_micros(rng.u64(..u64::try_from(below.as_micros()).unwrap_or(u64::MAX)))
}
