//! Line endings, as SMTP wants them.

use std::borrow::Cow;

/// The message with CRLF at the end of every line; borrowed where it has.
pub(super) fn with_crlf(content: &[u8]) -> Cow<'_, [u8]> {
    let bare = |at: usize| at == 0 || content[at - 1] != b'\r';
    let count = memchr::memchr_iter(b'\n', content)
        .filter(|&at| bare(at))
        .count();
    let unended = !content.is_empty() && !content.ends_with(b"\n");
    if count == 0 && !unended {
        return Cow::Borrowed(content);
    }
    let mut whole = Vec::with_capacity(content.len() + count + 2);
    let mut from = 0;
    for at in memchr::memchr_iter(b'\n', content).filter(|&at| bare(at)) {
        whole.extend_from_slice(&content[from..at]);
        whole.extend_from_slice(b"\r\n");
        from = at + 1;
    }
    whole.extend_from_slice(&content[from..]);
    if unended {
        whole.extend_from_slice(b"\r\n");
    }
    Cow::Owned(whole)
}
