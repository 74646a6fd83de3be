//! Nodes and gateways that share a policy and know each other through real etcd: one behaviour a file, named as the
//! fact.

mod a_candidate_is_tried_beside_the_policy_in_force;
mod a_list_of_500_000_entries_is_published;
mod a_node_registers_while_it_serves;
mod a_node_starts_while_etcd_is_down;
mod a_policy_that_a_node_cannot_use_leaves_the_last_good_one;
mod a_published_policy_is_in_force_on_all_nodes;
mod an_embedded_gateway_judges_by_the_published_policy;
mod etcd_is_followed_again;
mod etcd_wants_certificates_and_users;
mod gateways_find_nodes_in_etcd;
mod messages_are_judged_by_the_policy_they_began_under;
mod policies_are_compared;
mod published_policies_can_be_looked_at;
mod three_members_of_etcd;
mod two_administrators_cannot_overwrite_each_other;
mod under_load_each_message_is_judged_by_one_policy;

use millrace_tests::etcd::Etcd;
use millrace_tests::policy::PolicyFolder;
use millrace_tests::ran::{Ran, millrace};

/// A policy that refuses one sender; two of them differ in nothing else.
fn refusing(sender: &str) -> PolicyFolder {
    PolicyFolder::of(&text_refusing(sender))
}

fn text_refusing(sender: &str) -> String {
    format!(
        "[[list]]\nsymbol = \"BLOCKED\"\nmatch = \"envelope_sender\"\nentries = [{sender:?}]\naction = \"reject\"\n"
    )
}

/// What `millrace` prints when it is run with these words and the cluster.
fn ran(words: &[&str], etcd: &Etcd) -> Ran {
    let urls = etcd.urls();
    millrace(words.iter().copied().chain(["--etcd", &urls]))
}
