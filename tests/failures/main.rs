//! Nodes and links that fail under real Postfixes, on hosts of their own and on this one. Messages are counted at both
//! ends: sent, answered, delivered.

mod a_node_is_lost_at_every_stage;
mod half_of_the_nodes_are_cut_off;
mod nodes_that_are_of_no_use;
