//! What an attacker sends: messages that are made to cost, to break or to blind a filter, and bytes
//! on the milter port that are no milter protocol.
//!
//! Each goes to the real gateway, as a process, once judging itself and once with a node behind it.
//! Each time the mail server gets an answer that the protocol allows, the limit that was hit is a
//! finding in the verdict, an ordinary message passes afterwards, and the memory of the processes
//! comes back below a bound.

mod archives;
mod attacked;
mod frames;
mod headers;
mod parts;
mod random_messages;
mod seeded;
mod silence;
mod sizes;
mod texts;
mod zip;
