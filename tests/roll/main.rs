//! Servers under load: they come and go, behind plain load balancers and one after the other for an upgrade, and do
//! less for each message before they put one off.

mod a_load_balancer_spreads_load_again;
mod a_restart_of_everything_costs_no_message;
mod activated;
mod balancer;
mod under_load_optional_checks_are_left_out;
