//! QMQP, qmail's own way to hand mail in over a network (`qmqp.html` of qmail's documentation): both sides, without I/O.
//!
//! The client sends one netstring that holds netstrings: the message with LF line ends, the sender, each recipient.
//! The server answers with one netstring that begins with `K` (taken), `Z` (not now) or `D` (never). One message a
//! connection.

mod netstring;
mod reply;
mod request;

pub use netstring::Malformed;
pub use reply::{Answer, Reply, ReplyDecoder};
pub use request::{Framed, Part, RequestDecoder, frame};
