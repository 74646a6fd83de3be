//! Sizes as people write them.

use std::fmt;
use std::str::FromStr;

/// A number of bytes: `100`, `4k`, `4KiB`, `5MiB`. Units are powers of 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) usize);

/// No message is larger than this.
const MAX: usize = 1 << 30;

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not a size up to 1GiB: write 4096, 4KiB or 5MiB");
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let shift = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kb" | "kib" => 10,
            "m" | "mb" | "mib" => 20,
            "g" | "gb" | "gib" => 30,
            _ => return Err(wrong()),
        };
        let number: usize = number.parse().map_err(|_| wrong())?;
        number
            .checked_mul(1 << shift)
            .filter(|&bytes| bytes <= MAX)
            .map(Self)
            .ok_or_else(wrong)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes >= 1 << 20 && bytes % (1 << 20) == 0 => write!(f, "{}MiB", bytes >> 20),
            bytes if bytes >= 1 << 10 && bytes % (1 << 10) == 0 => write!(f, "{}KiB", bytes >> 10),
            bytes => write!(f, "{bytes}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_powers_of_1024_and_nonsense_is_refused() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("4k", Some(4096)),
            ("4 KiB", Some(4096)),
            ("5MiB", Some(5 << 20)),
            ("1g", Some(1 << 30)),
            ("2g", None),
            ("99999999999999999999", None),
            ("k", None),
            ("4x", None),
            ("-1", None),
            ("", None),
        ] {
            assert_eq!(text.parse().ok(), bytes.map(Size), "{text}");
        }
        for (bytes, text) in [(4096, "4KiB"), (5 << 20, "5MiB"), (1000, "1000")] {
            assert_eq!(Size(bytes).to_string(), text);
        }
    }
}
