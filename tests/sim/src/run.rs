//! One run: hosts, time line, end.

use std::sync::Arc;
use std::time::Duration;

use tracing_subscriber::layer::SubscriberExt as _;

use crate::faults::{Event, QUICK, Size, What};
use crate::record::Seen;
use crate::world::World;
use crate::{gateway, mail_server, mutant, node};

/// Two gateways, three nodes, three mail servers: the smallest cluster in which each part can be lost.
pub const SIZE: Size = Size {
    nodes: 3,
    gateways: 2,
    mail_servers: 3,
};

/// When all is well again: mail flows from here on.
const RECOVERED: Duration = Duration::from_secs(15);
/// The same where packets were lost: half-open connections are found by pings (after 10 s, and 5 s for the answer).
const RECOVERED_FROM_LOSS: Duration = Duration::from_secs(30);
/// From there until nothing is in hand any more.
pub(crate) const LAST_MAIL: Duration = Duration::from_secs(6);

const TICK: Duration = Duration::from_millis(10);

/// What takes the place of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nodes {
    /// Nothing: all are real.
    Real,
    /// Node 0 is a [`mutant`], which judges by a policy that nobody published.
    WithMutant,
}

/// Plays a plan, and gives what was seen.
///
/// # Panics
/// When the simulation itself fails.
#[must_use]
pub fn run(seed: u64, plan: &[Event], nodes: Nodes) -> Seen {
    let world = Arc::new(World::new(seed, SIZE, recovered(plan)));
    let subscriber = tracing_subscriber::registry().with(world.record.listener());
    tracing::subscriber::with_default(subscriber, || play(seed, plan, nodes, &world));
    world.look_for_leaks();
    world.record.seen().clone()
}

fn recovered(plan: &[Event]) -> Duration {
    let is_lossy = |event: &Event| matches!(event.what, What::Cut(..) | What::CutOneWay(..));
    if plan.iter().any(is_lossy) {
        RECOVERED_FROM_LOSS
    } else {
        RECOVERED
    }
}

fn play(seed: u64, plan: &[Event], nodes: Nodes, world: &Arc<World>) {
    let mut simulation = turmoil::Builder::new()
        .rng_seed(seed)
        .tick_duration(TICK)
        .min_message_latency(Duration::from_micros(500))
        .max_message_latency(QUICK)
        .simulation_duration(Duration::from_secs(120))
        .tcp_capacity(4096)
        .build();
    for number in 0..SIZE.nodes {
        let world = world.clone();
        if nodes == Nodes::WithMutant && number == 0 {
            simulation.host("node-0", mutant::serve);
        } else {
            simulation.host(format!("node-{number}"), move || {
                node::serve(number, world.clone())
            });
        }
    }
    for number in 0..SIZE.gateways {
        let world = world.clone();
        simulation.host(format!("gateway-{number}"), move || {
            gateway::serve(number, world.clone())
        });
    }
    for number in 0..SIZE.mail_servers {
        simulation.client(
            format!("mail-server-{number}"),
            mail_server::run(number, SIZE.gateways, world.clone()),
        );
    }
    let mut plan = plan.iter().peekable();
    loop {
        while let Some(event) = plan.next_if(|event| event.at <= simulation.elapsed()) {
            happen(&mut simulation, world, &event.what);
        }
        match simulation.step() {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => panic!("the simulation of seed {seed} fails: {error}"),
        }
    }
}

fn happen(simulation: &mut turmoil::Sim<'_>, world: &World, what: &What) {
    let node = |number: usize| format!("node-{number}");
    let gateway = |number: usize| format!("gateway-{number}");
    match what {
        What::NodeDies(number) => simulation.crash(node(*number)),
        What::NodeStarts(number) => {
            if !simulation.is_host_running(node(*number)) {
                simulation.bounce(node(*number));
            }
        }
        What::GatewayDies(number) => {
            world.record.seen().died.push(*number);
            simulation.crash(gateway(*number));
        }
        What::GatewayStarts(number) => {
            if !simulation.is_host_running(gateway(*number)) {
                simulation.bounce(gateway(*number));
            }
        }
        What::NodeFreezes(number) => {
            for other in 0..SIZE.gateways {
                simulation.hold(gateway(other), node(*number));
            }
        }
        What::NodeThaws(number) => {
            for other in 0..SIZE.gateways {
                simulation.release(gateway(other), node(*number));
            }
        }
        What::Cut(one, other) => simulation.partition(gateway(*one), node(*other)),
        What::CutOneWay(one, other) => simulation.partition_oneway(gateway(*one), node(*other)),
        What::Mend(one, other) => simulation.repair(gateway(*one), node(*other)),
        What::Slow(one, other, latency) => {
            simulation.set_link_latency(gateway(*one), node(*other), *latency);
        }
        What::Publish => world.publish(),
        What::Told(number) => world.tell(*number),
        What::Members(number, nodes) => {
            world.members[*number].send_replace(Some(nodes.clone()));
        }
        What::SourceFails(number) => {
            world.members[*number].send_replace(None);
        }
    }
}
