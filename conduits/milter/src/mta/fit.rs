//! Recorded commands, for a filter that agreed to something else than the one they were recorded with.

use std::collections::VecDeque;

use crate::command::Command;

/// How recorded commands are made to fit what this filter agreed to.
pub(super) struct Fit {
    /// Headers were recorded without their leading blanks, and are wanted with them.
    pub(super) add_space: bool,
    /// The other way round.
    pub(super) strip_space: bool,
    /// The longest piece of the body that is agreed on, in bytes.
    pub(super) chunk: usize,
}

impl Fit {
    pub(super) fn put(&self, command: Command, out: &mut VecDeque<Command>) {
        match command {
            Command::Header { name, value } if self.add_space => {
                out.push_back(Command::Header {
                    name,
                    value: [b" ", &value[..]].concat().into(),
                });
            }
            Command::Header { name, value } if self.strip_space && value.starts_with(b" ") => {
                out.push_back(Command::Header {
                    name,
                    value: value.slice(1..),
                });
            }
            Command::Body(mut data) => {
                while data.len() > self.chunk {
                    out.push_back(Command::Body(data.split_to(self.chunk)));
                }
                out.push_back(Command::Body(data));
            }
            other => out.push_back(other),
        }
    }
}
