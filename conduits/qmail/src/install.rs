//! `millrace-qmail-install`: puts `millrace-qmail-queue` where qmail-queue is, and takes it away again.
//!
//! The original is never changed: it stays as it is, under a second name in a folder that only root can enter, and comes
//! back from there with its inode, owner and mode. The conduit executes a copy of it, which belongs to a group of the
//! conduit's own: a `chown` of the original itself would take its setuid bit, and for a moment there would be no
//! qmail-queue that works. All that callers see changes by one `rename`.
//!
//! `Survey` looks at the tree, `checks` says what is wrong with it, `plan` makes steps of what is missing, and each
//! `Step` is safe to be killed in: the next survey sees what was done.

mod checks;
mod command;
mod flavour;
mod plan;
mod running;
mod step;
mod survey;

pub use command::run;

use checks::Problem;
use plan::Impossible;
use step::Step;
use survey::{Kind, Seen, State, Survey};
