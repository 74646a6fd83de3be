//! Servers that come and go under load: behind plain load balancers, and one after the other for an upgrade. Not one
//! message is put off for it.

mod a_load_balancer_spreads_load_again;
mod a_restart_of_everything_costs_no_message;
mod activated;
mod balancer;
