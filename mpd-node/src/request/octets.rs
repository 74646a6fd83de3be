//! Facts about every byte of a range, found in one pass that the compiler vectorises.

use memchr::memrchr;

/// RFC 5322, 2.1.1: a line has at most 998 bytes, its CRLF not counted.
const MAX_LINE: usize = 998;

/// Which kinds of byte and line ending occur.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Octets {
    pub(super) crlf: bool,
    pub(super) bare_lf: bool,
    pub(super) bare_cr: bool,
    pub(super) nul: bool,
    pub(super) high: bool,
}

impl Octets {
    /// Looks at `bytes`, which begin at the beginning of a line.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let Some((&first, &last)) = bytes.first().zip(bytes.last()) else {
            return Octets::default();
        };
        let (mut crlf, mut bare_lf, mut bare_cr, mut any) =
            (0u8, u8::from(first == b'\n'), 0u8, first);
        let mut nul = u8::from(first == 0);
        // Chunks keep the accumulators in byte lanes; the flags are exact because each pair is seen once.
        for (previous, current) in bytes.chunks(4096).zip(bytes[1..].chunks(4096)) {
            let (mut c, mut l, mut r, mut n, mut a) = (0u8, 0u8, 0u8, 0u8, 0u8);
            for (&p, &b) in previous.iter().zip(current) {
                let (cr, lf) = (u8::from(p == b'\r'), u8::from(b == b'\n'));
                c |= cr & lf;
                l |= (cr ^ 1) & lf;
                r |= cr & (lf ^ 1);
                n |= u8::from(b == 0);
                a |= b;
            }
            crlf |= c;
            bare_lf |= l;
            bare_cr |= r;
            nul |= n;
            any |= a;
        }
        bare_cr |= u8::from(last == b'\r');
        Octets {
            crlf: crlf != 0,
            bare_lf: bare_lf != 0,
            bare_cr: bare_cr != 0,
            nul: nul != 0,
            high: any & 0x80 != 0,
        }
    }
}

/// Whether some line is longer than mail may have it. Skips from window to window, not from line to line.
pub(super) fn has_long_line(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    // A line of the longest length, its CR, and its LF.
    while rest.len() > MAX_LINE + 2 {
        match memrchr(b'\n', &rest[..MAX_LINE + 2]) {
            Some(end) => rest = &rest[end + 1..],
            None => return true,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_endings_and_bytes_are_told_apart() {
        let none = Octets::default();
        let cases: [(&[u8], Octets); 9] = [
            (b"", none),
            (b"a", none),
            (b"a\r\nb\r\n", Octets { crlf: true, ..none }),
            (
                b"a\nb\n",
                Octets {
                    bare_lf: true,
                    ..none
                },
            ),
            (
                b"\n",
                Octets {
                    bare_lf: true,
                    ..none
                },
            ),
            (
                b"a\rb",
                Octets {
                    bare_cr: true,
                    ..none
                },
            ),
            (
                b"a\r",
                Octets {
                    bare_cr: true,
                    ..none
                },
            ),
            (b"\0", Octets { nul: true, ..none }),
            (
                b"\xe9\r\r\n\n",
                Octets {
                    crlf: true,
                    bare_lf: true,
                    bare_cr: true,
                    nul: false,
                    high: true,
                },
            ),
        ];
        for (bytes, expected) in cases {
            assert_eq!(Octets::of(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn facts_hold_across_chunks() {
        for at in 4090..4100 {
            let mut bytes = vec![b'a'; 9000];
            bytes[at] = b'\r';
            bytes[at + 1] = b'\n';
            assert_eq!(
                Octets::of(&bytes),
                Octets {
                    crlf: true,
                    ..Octets::default()
                },
                "CR at {at}"
            );
        }
    }

    #[test]
    fn a_line_may_have_998_bytes() {
        let line = |n: usize| [vec![b'a'; n], b"\r\n".to_vec()].concat();
        assert!(!has_long_line(&[line(998), line(998), line(10)].concat()));
        assert!(has_long_line(&[line(998), line(1001), line(10)].concat()));
        assert!(has_long_line(&[line(10), vec![b'a'; 1001]].concat()));
    }
}
