//! One behaviour, both mail servers.

/// Makes a test of each function for each mail server: `postfix::NAME` and `sendmail::NAME`. The
/// functions take the [`Kind`](crate::mta::Kind).
#[macro_export]
macro_rules! with_both {
    ($($(#[$attribute:meta])* $name:ident),+ $(,)?) => {
        mod postfix {
            $(#[test] $(#[$attribute])* fn $name() { super::$name($crate::mta::Kind::Postfix); })+
        }
        mod sendmail {
            $(#[test] $(#[$attribute])* fn $name() { super::$name($crate::mta::Kind::Sendmail); })+
        }
    };
}
