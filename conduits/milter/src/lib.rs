//! The milter protocol (versions 2 to 6), both sides, with no I/O: bytes in,
//! bytes out.
//!
//! # The filter's side
//! [`Session`] is one connection of a mail server:
//!
//! ```
//! use bytes::BytesMut;
//! use millrace_milter::{Answer, Event, Session, Wanted};
//!
//! # fn read(_space: &mut BytesMut) {}
//! # fn write(_out: &BytesMut) {}
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut session = Session::new(Wanted::EVERYTHING); // or Wanted::from_plan(&plan)
//! let mut out = BytesMut::new();
//! read(session.space()); // bytes of the socket
//! while let Some(step) = session.next_step(&mut out)? {
//!     match step.event {
//!         // What came is in session.connection(), envelope(), content(), …
//!         Event::EndOfMessage => {
//!             let _message = session.content().take_whole();
//!             // A slow verdict: session.progress(&mut out)? every few seconds.
//!             // The verdict: session.finish(&verdict, &mut out)?
//!         }
//!         Event::Quit => break,
//!         _ if step.reply_due => session.answer(&Answer::Continue, &mut out)?,
//!         _ => {}
//!     }
//!     write(&out);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! - [`Wanted::from_plan`] says what to ask of the mail server,
//!   [`Session::agreement`] what was agreed on, with its
//!   [`capabilities`](Agreement::capabilities).
//! - [`Step::reply_due`] is true only where the mail server waits; the session
//!   refuses answers that are not due or that the protocol does not have there.
//! - [`Step::withdrew`] tells that a message in progress was given up: by ABORT
//!   and QUIT, but also by a command that cannot be part of it.
//! - [`Content`] can be taken piece by piece, so that a large message need not
//!   be held in memory.
//! - [`Session::finish`] turns the edits of a verdict, which address the
//!   original message, into the wire's order.
//!
//! # The mail server's side
//! [`mta`] plays a mail server: for tests and load.
//!
//! # Recorded connections
//! [`transcript`] is a connection as text; [`mta::Recording`] is one to play again.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod answer;
mod command;
mod content;
mod edits;
mod flags;
mod frame;
mod macros;
pub mod mta;
mod negotiate;
mod reply;
mod session;
mod text;
pub mod transcript;

pub use answer::Answer;
pub use command::{Command, CommandError, MacroBlock, Offer, RawPath};
pub use content::Content;
pub use edits::EditError;
pub use flags::{Actions, Steps};
pub use frame::{Frame, FrameDecoder, FrameError};
pub use negotiate::{Agreement, MacroStage, NegotiationError, OLDEST_VERSION, VERSION, Wanted};
pub use reply::{Response, ResponseError};
pub use session::{AnswerError, Event, Session, SessionError, Step};
