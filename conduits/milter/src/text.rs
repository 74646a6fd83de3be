//! NUL-terminated strings inside a frame.

use bytes::Bytes;

/// Takes strings off the front of a frame's data. A last one with no NUL is
/// taken too: `sendmail -bs` leaves it out.
#[derive(Debug, Clone)]
pub(crate) struct Strings(pub(crate) Bytes);

impl Strings {
    /// All that is left, as strings.
    pub(crate) fn rest(self) -> Vec<Bytes> {
        self.collect()
    }
}

impl Iterator for Strings {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.0.is_empty() {
            return None;
        }
        match memchr::memchr(0, &self.0) {
            Some(end) => {
                let string = self.0.split_to(end);
                bytes::Buf::advance(&mut self.0, 1);
                Some(string)
            }
            None => Some(std::mem::take(&mut self.0)),
        }
    }
}

/// Up to the first NUL, or all.
pub(crate) fn first(data: &Bytes) -> Bytes {
    let end = memchr::memchr(0, data).unwrap_or(data.len());
    data.slice(..end)
}
