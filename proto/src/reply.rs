//! SMTP replies.

use std::fmt;

/// An SMTP reply that refuses (RFC 5321 §4.2.1): code 4xx or 5xx, an enhanced
/// status code of the same class (RFC 3463), and one or more lines of text.
///
/// A value of this type is safe to put on any wire: printable ASCII, no line
/// ends inside a line, within libmilter's limits (32 lines of 980 bytes).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    enhanced: Option<Enhanced>,
    lines: Vec<String>,
}

/// An enhanced mail system status code (RFC 3463 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enhanced {
    /// 4 or 5: the reply's own class.
    pub class: u8,
    /// 0 to 999.
    pub subject: u16,
    /// 0 to 999.
    pub detail: u16,
}

/// Why a reply cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReply {
    /// The code is not 400 to 599.
    #[error("the reply code {0} is not between 400 and 599")]
    Code(u32),
    /// The enhanced code is not of the form `x.y.z`, or of another class.
    #[error("the enhanced status code '{0}' is not x.y.z with the reply code's first digit")]
    Enhanced(String),
    /// There is no text, or more than 32 lines.
    #[error("a reply has 1 to 32 lines of text, not {0}")]
    LineCount(usize),
    /// A line is longer than 980 bytes.
    #[error("a reply line has at most 980 bytes, not {0}")]
    LineLength(usize),
    /// A line has a byte that is not printable ASCII.
    #[error("a reply line is printable ASCII; byte {0:#04x} is not")]
    Byte(u8),
}

impl Reply {
    /// libmilter's limit on lines of one reply.
    pub const MAX_LINES: usize = 32;
    /// libmilter's limit on the bytes of one line.
    pub const MAX_LINE: usize = 980;

    /// Checks and makes a reply. `text` may have several lines, split at LF.
    ///
    /// # Errors
    /// What of the code, the enhanced code or the text is not allowed.
    pub fn new(code: u32, enhanced: Option<&str>, text: &str) -> Result<Self, InvalidReply> {
        Self::from_lines(
            code,
            enhanced,
            text.split('\n')
                .map(|line| line.trim_end_matches('\r').to_owned())
                .collect(),
        )
    }

    /// As [`Reply::new`], from lines.
    ///
    /// # Errors
    /// As [`Reply::new`].
    pub fn from_lines(
        code: u32,
        enhanced: Option<&str>,
        lines: Vec<String>,
    ) -> Result<Self, InvalidReply> {
        let code = match u16::try_from(code) {
            Ok(code @ 400..=599) => code,
            _ => return Err(InvalidReply::Code(code)),
        };
        let enhanced = enhanced
            .filter(|text| !text.is_empty())
            .map(|text| {
                Enhanced::parse(text)
                    .filter(|parsed| u16::from(parsed.class) == code / 100)
                    .ok_or_else(|| InvalidReply::Enhanced(text.to_owned()))
            })
            .transpose()?;
        if lines.is_empty() || lines.len() > Self::MAX_LINES {
            return Err(InvalidReply::LineCount(lines.len()));
        }
        for line in &lines {
            if line.len() > Self::MAX_LINE {
                return Err(InvalidReply::LineLength(line.len()));
            }
            if let Some(byte) = line.bytes().find(|byte| !matches!(byte, b' '..=b'~')) {
                return Err(InvalidReply::Byte(byte));
            }
        }
        Ok(Self {
            code,
            enhanced,
            lines,
        })
    }

    /// As [`Reply::new`], but text that cannot stand in a reply is made to:
    /// other bytes become `?`, long lines and too many lines are cut.
    /// For text that a machine composed, such as a reason from a mail.
    ///
    /// # Errors
    /// The code or the enhanced code is not one.
    pub fn sanitised(code: u32, enhanced: Option<&str>, text: &str) -> Result<Self, InvalidReply> {
        let lines = text
            .split('\n')
            .take(Self::MAX_LINES)
            .map(|line| {
                line.trim_end_matches('\r')
                    .chars()
                    .take(Self::MAX_LINE)
                    .map(|c| if matches!(c, ' '..='~') { c } else { '?' })
                    .collect()
            })
            .collect();
        Self::from_lines(code, enhanced, lines)
    }

    /// The three-digit code, 400 to 599.
    #[must_use]
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The enhanced status code, if it has one.
    #[must_use]
    pub fn enhanced(&self) -> Option<Enhanced> {
        self.enhanced
    }

    /// The lines of text, one or more.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Whether the refusal is for good (5xx).
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        self.code >= 500
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        write!(f, " {}", self.lines.join(" / "))
    }
}

impl Enhanced {
    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split('.');
        let mut field = |digits: usize| {
            fields
                .next()
                .filter(|part| {
                    (1..=digits).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
                })
                .and_then(|part| part.parse::<u16>().ok())
        };
        let class = u8::try_from(field(1)?).ok()?;
        let parsed = Self {
            class,
            subject: field(3)?,
            detail: field(3)?,
        };
        fields.next().is_none().then_some(parsed)
    }
}

impl fmt::Display for Enhanced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_keeps_the_rules_of_smtp() {
        for (code, enhanced, text, expected) in [
            (550, Some("5.7.1"), "No.", Ok("550 5.7.1 No.")),
            (451, None, "Later.", Ok("451 Later.")),
            (550, Some("5.7.1"), "one\r\ntwo", Ok("550 5.7.1 one / two")),
            (250, None, "ok", Err(InvalidReply::Code(250))),
            (600, None, "no", Err(InvalidReply::Code(600))),
            (70_000, None, "no", Err(InvalidReply::Code(70_000))),
            (
                550,
                Some("4.7.1"),
                "no",
                Err(InvalidReply::Enhanced("4.7.1".into())),
            ),
            (
                550,
                Some("5.7"),
                "no",
                Err(InvalidReply::Enhanced("5.7".into())),
            ),
            (
                550,
                Some("5.7.1.2"),
                "no",
                Err(InvalidReply::Enhanced("5.7.1.2".into())),
            ),
            (
                550,
                Some("5.7.1000"),
                "no",
                Err(InvalidReply::Enhanced("5.7.1000".into())),
            ),
            (550, None, "caf\u{e9}", Err(InvalidReply::Byte(0xc3))),
            (550, None, "a\0b", Err(InvalidReply::Byte(0))),
        ] {
            let reply = Reply::new(code, enhanced, text).map(|reply| reply.to_string());
            assert_eq!(
                reply,
                expected.map(str::to_owned),
                "{code} {enhanced:?} {text:?}"
            );
        }
        assert_eq!(
            Reply::new(550, None, &"x".repeat(981)),
            Err(InvalidReply::LineLength(981))
        );
        assert_eq!(
            Reply::new(550, None, &"x\n".repeat(32)),
            Err(InvalidReply::LineCount(33))
        );
    }

    #[test]
    fn a_composed_text_is_made_safe() {
        let text = format!(
            "virus \u{1b}[2J\u{e9}\n{}\n{}",
            "y".repeat(2000),
            "z\n".repeat(40)
        );
        let reply = Reply::sanitised(550, Some("5.7.1"), &text).expect("a valid reply");
        assert_eq!(reply.lines().len(), Reply::MAX_LINES);
        assert_eq!(reply.lines()[0], "virus ?[2J?");
        assert_eq!(reply.lines()[1].len(), Reply::MAX_LINE);
    }
}
