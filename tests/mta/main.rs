//! Real mail through real mail servers: every behaviour with Postfix and with Sendmail.
//!
//! Where a test is about what a conduit does, a scripted node says what it is to do; where it is
//! about the product as a whole, a real node judges by a real policy.

mod a_chrooted_postfix_reaches_a_socket_under_its_queue;
mod a_frozen_node_delays_mail_and_loses_none;
mod a_gateway_that_is_lost_defers_mail;
mod a_node_that_is_lost_defers_mail;
mod a_slow_node_keeps_the_mail_server_waiting;
mod accepted_mail_is_delivered_as_it_was_sent;
mod bodies_are_replaced_whole;
mod chaos_under_load_loses_nothing;
mod copies_are_kept_beside_every_disposition;
mod copies_of_our_headers_from_outside_are_removed;
mod dispositions_are_carried_out;
mod envelopes_are_edited_as_the_verdict_says;
mod gtube_is_refused;
mod headers_are_edited_as_the_verdict_says;
mod kept;
mod kept_mail_is_released_and_not_held_again;
mod listeners_are_clients_with_rules_of_their_own;
mod messages_of_all_sizes_pass;
mod policies_are_carried_out;
mod policies_change_between_messages;
mod recipients_that_are_taken_off_have_a_copy;
mod recipients_that_differ_after_data;
mod refusals_are_given_at_every_stage;
mod same;
mod signed_mail_still_verifies;
mod the_whole_system_runs_in_one_process;
mod tls_and_auth_reach_the_node;
mod unix_sockets_serve_as_ports_do;
