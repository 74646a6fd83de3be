//! An error with its causes, as people read it.

use std::error::Error;

/// The error and its causes on one line, but no cause that the text before it
/// tells already.
#[must_use]
pub fn told(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let words = next.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Failure {
        #[error("cannot start")]
        Silent(#[source] std::io::Error),
        #[error("cannot start: {0}")]
        Telling(#[source] std::io::Error),
    }

    #[test]
    fn each_cause_is_told_once() {
        let cause = || std::io::Error::other("the port is taken");
        for failure in [Failure::Silent(cause()), Failure::Telling(cause())] {
            assert_eq!(told(&failure), "cannot start: the port is taken");
        }
    }
}
