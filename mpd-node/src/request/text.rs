//! The text of a message, as patterns and readers see it.

use super::{
    decode::to_lf,
    html::{self, Page},
    limits::LimitHit,
    message::Message,
};

/// The text parts of a message in their order.
#[derive(Debug, Default)]
pub struct DecodedText {
    parts: Vec<TextPart>,
}

/// One text part as UTF-8, with LF line endings.
#[derive(Debug)]
pub struct TextPart {
    /// Index of the part.
    pub part: usize,
    /// The decoded source: of an HTML part, the markup.
    pub source: String,
    /// Of an HTML part, what is left without the markup.
    page: Option<Page>,
}

impl DecodedText {
    pub(super) fn of(message: &Message) -> Self {
        let mut text = DecodedText::default();
        let mut left = message.limits().text_bytes;
        for part in message.parts().iter().filter(|part| part.is_text()) {
            if left == 0 {
                message.hit(LimitHit::Text);
                break;
            }
            // One byte more than allowed tells a text that is cut from one that just fits.
            let (mut source, cut) = message.part_text(part, left + 1);
            if cut {
                message.hit(LimitHit::Text);
            }
            truncate(&mut source, left);
            left -= source.len();
            let source = to_lf(source);
            text.parts.push(TextPart {
                part: part.index,
                page: part.is_html().then(|| html::read(&source)),
                source,
            });
        }
        text
    }

    /// The parts.
    pub fn parts(&self) -> &[TextPart] {
        &self.parts
    }

    /// What a reader sees, part by part: HTML without its markup.
    pub fn visible(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().map(TextPart::visible)
    }
}

impl TextPart {
    /// Whether the source is HTML.
    pub fn is_html(&self) -> bool {
        self.page.is_some()
    }

    /// What a reader sees.
    pub fn visible(&self) -> &str {
        self.page.as_ref().map_or(&self.source, |page| &page.text)
    }

    pub(super) fn page(&self) -> Option<&Page> {
        self.page.as_ref()
    }
}

fn truncate(text: &mut String, max: usize) {
    if text.len() > max {
        text.truncate(text.floor_char_boundary(max));
    }
}
