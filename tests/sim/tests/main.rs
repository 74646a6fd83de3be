//! Hundreds of runs of the cluster in simulated time, each with faults of its own.
//!
//! `MILLRACE_SIM_SEED=17` plays one seed again, `MILLRACE_SIM_RUNS=10000` plays more than CI does.

mod a_judgement_that_nobody_published_is_seen;
mod promises_are_kept_whatever_fails;
