//! Kept copies while things fail: what was promised is there, once.

mod a_node_killed_at_any_instant_keeps_its_promises;
