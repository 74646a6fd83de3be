//! Made-up messages: the same for the same arguments, so that runs can be compared.

/// How many different ones: enough that no filter judges the same bytes again and again, few enough for memory.
pub(super) fn variants(size: usize) -> usize {
    ((16 << 20) / size.max(1)).clamp(2, 64)
}

/// A message of about `size` bytes, lines ending in CR LF: plain text, or with most of it a base64 attachment.
pub(super) fn message(number: usize, size: usize, attachment: bool) -> Vec<u8> {
    let mut words = Words::new(number);
    let mut text = format!(
        "Received: from client.example (client.example [192.0.2.1])\r\n\
         \tby relay.example with ESMTPS id 4fQ{number:09}\r\n\
         \tfor <recipient@example.net>; Mon, 02 Nov 2026 10:00:00 +0000\r\n\
         Date: Mon, 02 Nov 2026 10:00:00 +0000\r\n\
         From: \"A. Sender\" <sender@example.org>\r\n\
         To: recipient@example.net\r\n\
         Subject: {} {} {}\r\n\
         Message-ID: <{number}.load@example.org>\r\n\
         MIME-Version: 1.0\r\n",
        words.word(),
        words.word(),
        words.word()
    );
    if attachment {
        let boundary = format!("=_load_{number}");
        text.push_str(&format!(
            "Content-Type: multipart/mixed; boundary=\"{boundary}\"\r\n\r\n\
             --{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
        ));
        let end = text.len() + 1024.min(size / 4);
        words.lines(&mut text, end);
        text.push_str(&format!(
            "\r\n--{boundary}\r\nContent-Type: application/octet-stream; name=\"data.bin\"\r\n\
             Content-Transfer-Encoding: base64\r\n\
             Content-Disposition: attachment; filename=\"data.bin\"\r\n\r\n"
        ));
        let end = size.saturating_sub(boundary.len() + 8);
        words.base64(&mut text, end);
        text.push_str(&format!("--{boundary}--\r\n"));
    } else {
        text.push_str("Content-Type: text/plain; charset=utf-8\r\n\r\n");
        words.lines(&mut text, size);
    }
    text.into_bytes()
}

/// Words from a generator of pseudo-random numbers (xorshift64*).
struct Words(u64);

const WORDS: [&str; 32] = [
    "the", "meeting", "is", "moved", "to", "Thursday", "please", "find", "attached", "our",
    "report", "of", "this", "quarter", "and", "tell", "me", "what", "you", "think", "about", "it",
    "before", "we", "send", "order", "number", "parts", "thank", "regards", "see", "below",
];
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

impl Words {
    fn new(seed: usize) -> Self {
        Self((seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn word(&mut self) -> &'static str {
        WORDS[(self.number() >> 59) as usize]
    }

    /// Lines of text until it has `end` bytes.
    fn lines(&mut self, text: &mut String, end: usize) {
        let mut width = 0;
        while text.len() + 2 < end {
            let word = self.word();
            if width + word.len() >= 72 {
                text.push_str("\r\n");
                width = 0;
            }
            text.push_str(word);
            text.push(' ');
            width += word.len() + 1;
        }
        text.push_str("\r\n");
    }

    /// Lines of base64 until the text has `end` bytes.
    fn base64(&mut self, text: &mut String, end: usize) {
        while text.len() < end {
            for _ in 0..76 / 4 {
                let mut bits = self.number();
                for _ in 0..4 {
                    text.push(char::from(BASE64[(bits >> 58) as usize]));
                    bits <<= 6;
                }
            }
            text.push_str("\r\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_the_size_that_was_asked_for() {
        for attachment in [false, true] {
            for size in [4 << 10, 100 << 10, 5 << 20] {
                let message = message(1, size, attachment);
                assert!(
                    message.len().abs_diff(size) < 128,
                    "{} of {size}",
                    message.len()
                );
                let lines = message.split(|&b| b == b'\n');
                assert!(lines.clone().all(|line| line.len() < 100));
                assert!(
                    lines
                        .clone()
                        .filter(|l| !l.is_empty())
                        .all(|line| line.ends_with(b"\r"))
                );
            }
        }
    }

    #[test]
    fn they_are_the_same_each_time_and_differ_from_each_other() {
        assert_eq!(message(1, 4096, true), message(1, 4096, true));
        assert_ne!(message(1, 4096, true), message(2, 4096, true));
    }
}
