//! The command that people type: what it prints, and how it ends.

mod explain;
mod help;
mod load;
mod pipes;
mod policy;
mod quarantine;
mod record;
mod scan;
mod up;

use millrace_tests::ran;
