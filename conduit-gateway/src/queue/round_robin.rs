//! Deficit round-robin (Shreedhar and Varghese, 1995): each lane in its turn may spend its quantum, and what it saved.
//! Over time lanes that wait get bytes in proportion to their weights, however large their messages and however many
//! of them wait. Knows no clock and no tasks.

use std::collections::VecDeque;

/// Lanes of waiting items.
#[derive(Debug)]
pub(super) struct RoundRobin<T> {
    lanes: Vec<Lane<T>>,
    /// The lanes that have something waiting, in turn.
    turns: VecDeque<usize>,
    waiting: usize,
    tickets: u64,
}

#[derive(Debug)]
struct Lane<T> {
    quantum: u64,
    /// What it may spend.
    deficit: u64,
    /// Whether it has had its quantum of this turn.
    granted: bool,
    items: VecDeque<Item<T>>,
    bytes: u64,
}

#[derive(Debug)]
struct Item<T> {
    ticket: u64,
    cost: u64,
    item: T,
}

/// Names a waiting item, to take it away again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket {
    lane: usize,
    number: u64,
}

/// Bytes that a lane of weight 1 may spend in one turn: about one small message, so that one that comes new waits for
/// about one of each other lane. Larger ones are saved up for.
const QUANTUM: u64 = 8 << 10;
/// For shares in whole numbers.
const SCALE: u64 = 1 << 10;
/// What a message costs beside its bytes: one without a body is not free.
const OVERHEAD: u64 = 2 << 10;

impl<T> RoundRobin<T> {
    pub(super) fn new(weights: impl IntoIterator<Item = u32>) -> Self {
        let lane = |weight: u32| Lane {
            quantum: QUANTUM * u64::from(weight.max(1)),
            deficit: 0,
            granted: false,
            items: VecDeque::new(),
            bytes: 0,
        };
        Self {
            lanes: weights.into_iter().map(lane).collect(),
            turns: VecDeque::new(),
            waiting: 0,
            tickets: 0,
        }
    }

    /// How many items wait.
    pub(super) fn len(&self) -> usize {
        self.waiting
    }

    /// How many items wait in a lane.
    pub(super) fn len_of(&self, lane: usize) -> usize {
        self.lanes[lane].items.len()
    }

    pub(super) fn push(&mut self, lane: usize, bytes: u64, item: T) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket {
            lane,
            number: self.tickets,
        };
        let cost = bytes + OVERHEAD;
        let lane = &mut self.lanes[ticket.lane];
        if lane.items.is_empty() {
            self.turns.push_back(ticket.lane);
        }
        lane.bytes += cost;
        lane.items.push_back(Item {
            ticket: ticket.number,
            cost,
            item,
        });
        self.waiting += 1;
        ticket
    }

    /// Whose turn it is, of those that may go: `may` is asked for a lane when its turn has come, and the lane goes when
    /// it says so. One that may not keeps its turn.
    pub(super) fn pop(&mut self, mut may: impl FnMut(usize) -> bool) -> Option<(usize, T)> {
        let mut refused = 0;
        while refused < self.turns.len() {
            let turn = *self.turns.front()?;
            let alone = self.turns.len() == 1;
            let lane = &mut self.lanes[turn];
            if !lane.granted {
                lane.granted = true;
                lane.deficit += lane.quantum;
            }
            let cost = lane.items.front()?.cost;
            // Alone it need not save up.
            if cost > lane.deficit && !alone {
                lane.granted = false;
                refused = 0;
                self.turns.rotate_left(1);
                continue;
            }
            if !may(turn) {
                refused += 1;
                self.turns.rotate_left(1);
                continue;
            }
            lane.deficit = lane.deficit.saturating_sub(cost);
            let item = lane.items.pop_front()?;
            self.left(turn, cost);
            return Some((turn, item.item));
        }
        None
    }

    /// Takes away an item that is still waiting.
    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<T> {
        let items = &mut self.lanes[ticket.lane].items;
        let at = items
            .binary_search_by_key(&ticket.number, |item| item.ticket)
            .ok()?;
        let item = items.remove(at)?;
        self.left(ticket.lane, item.cost);
        Some(item.item)
    }

    /// Takes away the newest item of the lane that is furthest above its share: so one that floods loses its own
    /// messages and nobody else's.
    pub(super) fn evict(&mut self) -> Option<T> {
        let lane = self
            .turns
            .iter()
            .copied()
            .max_by_key(|&lane| self.lanes[lane].bytes * SCALE / self.lanes[lane].quantum)?;
        let item = self.lanes[lane].items.pop_back()?;
        self.left(lane, item.cost);
        Some(item.item)
    }

    fn left(&mut self, turn: usize, cost: u64) {
        self.waiting -= 1;
        let lane = &mut self.lanes[turn];
        lane.bytes -= cost;
        if lane.items.is_empty() {
            // What it saved is for what waits, and not for later.
            lane.deficit = 0;
            lane.granted = false;
            self.turns.retain(|&other| other != turn);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1 << 10;

    /// Pushes so many messages of this size into the lane.
    fn fill(queue: &mut RoundRobin<usize>, lane: usize, count: usize, bytes: u64) {
        for _ in 0..count {
            queue.push(lane, bytes, lane);
        }
    }

    fn served<T>(queue: &mut RoundRobin<T>) -> Option<T> {
        queue.pop(|_| true).map(|(_, item)| item)
    }

    /// How often each of two lanes is among the next so many.
    fn shares(queue: &mut RoundRobin<usize>, count: usize) -> [usize; 2] {
        let mut shares = [0; 2];
        for _ in 0..count {
            shares[served(queue).expect("enough waits")] += 1;
        }
        shares
    }

    #[test]
    fn one_that_comes_late_waits_for_one_turn_and_not_for_a_flood() {
        let mut queue = RoundRobin::new([1, 1]);
        fill(&mut queue, 0, 1000, 60 * KIB);
        assert_eq!(served(&mut queue), Some(0));
        queue.push(1, 4 * KIB, 1);
        let before = (0..).take_while(|_| served(&mut queue) == Some(0)).count();
        assert!(before <= 1, "{before} of the flood went before it");
    }

    #[test]
    fn lanes_get_bytes_and_not_messages_in_equal_shares() {
        let mut queue = RoundRobin::new([1, 1]);
        fill(&mut queue, 0, 2000, 62 * KIB);
        fill(&mut queue, 1, 2000, 6 * KIB);
        // 8 small ones (8 KiB with what each costs) for one large one (64 KiB).
        assert_eq!(shares(&mut queue, 900), [100, 800]);
    }

    #[test]
    fn weights_are_kept() {
        let mut queue = RoundRobin::new([3, 1]);
        fill(&mut queue, 0, 500, 30 * KIB);
        fill(&mut queue, 1, 500, 30 * KIB);
        assert_eq!(shares(&mut queue, 400), [300, 100]);
    }

    #[test]
    fn a_message_larger_than_a_turn_is_saved_up_for() {
        let mut queue = RoundRobin::new([1, 1]);
        queue.push(0, 1024 * KIB, 0);
        fill(&mut queue, 1, 100, 62 * KIB);
        let before = (0..).take_while(|_| served(&mut queue) == Some(1)).count();
        assert!(
            (15..=17).contains(&before),
            "{before}: its bytes over a turn's"
        );
    }

    #[test]
    fn who_waits_alone_does_not_save_up() {
        let mut queue = RoundRobin::new([1, 1]);
        queue.push(0, 50 << 20, 0);
        assert_eq!(served(&mut queue), Some(0));
        assert_eq!(served(&mut queue), None);
    }

    #[test]
    fn what_was_saved_does_not_outlive_what_waits() {
        let mut queue = RoundRobin::new([1, 1]);
        // Many turns without spending much.
        for _ in 0..100 {
            queue.push(0, 0, 0);
            assert_eq!(served(&mut queue), Some(0));
        }
        fill(&mut queue, 0, 10, 62 * KIB);
        fill(&mut queue, 1, 10, 62 * KIB);
        assert_eq!(shares(&mut queue, 10), [5, 5]);
    }

    #[test]
    fn one_that_floods_loses_its_own_newest() {
        let mut queue = RoundRobin::new([1, 1]);
        let names = [(0, "a"), (1, "quiet"), (0, "b"), (0, "c")];
        for (lane, name) in names {
            queue.push(lane, 4 * KIB, name);
        }
        assert_eq!(queue.evict(), Some("c"));
        assert_eq!(queue.evict(), Some("b"));
        assert_eq!(queue.len(), 2);
    }

    #[test]
    fn a_lane_that_may_not_go_is_passed_over_and_keeps_its_turn() {
        let mut queue = RoundRobin::new([1, 1, 1]);
        fill(&mut queue, 0, 10, 30 * KIB);
        fill(&mut queue, 1, 10, 30 * KIB);
        for _ in 0..5 {
            assert_eq!(queue.pop(|lane| lane == 1), Some((1, 1)));
        }
        assert_eq!(queue.pop(|_| false), None);
        assert_eq!(queue.pop(|lane| lane == 2), None);
        // It saved nothing up meanwhile.
        assert_eq!(shares(&mut queue, 8), [4, 4]);
    }

    #[test]
    fn what_is_taken_away_is_not_served() {
        let mut queue = RoundRobin::new([1]);
        let tickets: Vec<_> = (0..3).map(|n| queue.push(0, n, n)).collect();
        assert_eq!(queue.remove(tickets[1]), Some(1));
        assert_eq!(queue.remove(tickets[1]), None);
        assert_eq!(
            (served(&mut queue), served(&mut queue), served(&mut queue)),
            (Some(0), Some(2), None)
        );
        assert_eq!((queue.len(), queue.len_of(0)), (0, 0));
    }

    proptest::proptest! {
        /// Whatever comes and goes: nothing is lost, nothing twice, each lane in its order.
        #[test]
        fn every_item_leaves_once(steps in proptest::collection::vec((0..4_usize, 0..3_usize, 0..200_000_u64), 0..300)) {
            let mut queue = RoundRobin::new([1, 2, 3]);
            let (mut next, mut left) = (0_u64, Vec::new());
            let mut tickets = Vec::new();
            for (what, lane, bytes) in steps {
                match what {
                    0 | 1 => {
                        tickets.push(queue.push(lane, bytes, next));
                        next += 1;
                    }
                    2 => left.extend(served(&mut queue)),
                    _ => {
                        if let Some(ticket) = tickets.pop() {
                            left.extend(queue.remove(ticket));
                        }
                        left.extend(queue.evict());
                    }
                }
            }
            while let Some(item) = served(&mut queue) {
                left.push(item);
            }
            left.sort_unstable();
            proptest::prop_assert_eq!(left, (0..next).collect::<Vec<_>>());
            proptest::prop_assert_eq!(queue.len(), 0);
        }
    }
}
