//! The harness proved on itself, with none of our own servers: what a test sees of mail that
//! passes through the bare mail servers is what was sent.

mod children_do_not_outlive_their_guard;
mod complaints_are_seen;
mod mail_passes_untouched_without_a_filter;
mod refusals_are_seen;
mod tls_and_auth_work;
