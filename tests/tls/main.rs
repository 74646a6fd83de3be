//! TLS between real processes: gateway, node, and the commands of an administrator, with the certificates that
//! `millrace certs` makes.

mod a_name_may_do_what_its_row_says;
mod certificates_are_made_by_a_command;
mod certificates_are_replaced_under_load;
mod conduits_are_known_by_their_certificates;
mod strangers_are_refused;
mod tier;
