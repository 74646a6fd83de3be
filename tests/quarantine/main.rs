//! Kept copies while things fail: what was promised is there, once.

mod a_node_killed_at_any_instant_keeps_its_promises;
mod a_node_stopped_at_each_step_keeps_its_promises;
mod a_store_that_does_not_answer_defers_mail;
mod support;
