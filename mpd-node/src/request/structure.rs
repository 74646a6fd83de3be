//! The MIME structure (RFC 2046, 5.1), found in one pass and without recursion.
//!
//! The pass goes from one line that begins with `--` to the next and keeps the path of open parts. A delimiter closes
//! everything inside the multipart that it belongs to, so an inner multipart that is never closed cannot swallow what
//! follows it. The path is no longer than the depth limit, so a step costs a bounded number of short comparisons.

use std::{ops::Range, sync::OnceLock};

use bytes::Bytes;
use memchr::memmem::Finder;

use super::{
    content_type::{ContentType, Disposition, Parameters},
    decode::Encoding,
    defect::{DefectKind, Defects},
    header::{Block, Fields, Line, line_end, without_line_end},
    limits::{LimitHit, LimitSet, Limits},
    part::{Part, is_bidi},
};

/// RFC 2046, 5.1.1.
const MAX_BOUNDARY: usize = 70;

/// The parts of a message, depth-first.
pub(super) fn parse(
    raw: &Bytes,
    block: &Block,
    limits: &Limits,
    defects: &mut Defects,
    hits: &mut LimitSet,
) -> Vec<Part> {
    let mut walker = Walker {
        raw,
        limits,
        defects,
        hits,
        parts: Vec::with_capacity(4),
        path: Vec::with_capacity(4),
    };
    walker.run(block);
    walker.parts
}

/// The Content-* fields of one part, as ranges of the raw message.
#[derive(Default)]
struct ContentFields {
    content_type: Option<Range<usize>>,
    disposition: Option<Range<usize>>,
    encoding: Option<Range<usize>>,
    duplicate: bool,
}

struct Open {
    part: usize,
    /// Of a multipart whose closing delimiter has not been seen.
    boundary: Option<Vec<u8>>,
    delimiters: usize,
}

struct Delimiter {
    /// Which element of the path it belongs to.
    level: usize,
    line: Range<usize>,
    closing: bool,
}

struct Walker<'a> {
    raw: &'a Bytes,
    limits: &'a Limits,
    defects: &'a mut Defects,
    hits: &'a mut LimitSet,
    parts: Vec<Part>,
    path: Vec<Open>,
}

impl Walker<'_> {
    fn run(&mut self, block: &Block) {
        let mut fields = ContentFields::default();
        for header in &block.headers {
            let end = without_line_end(self.raw, header.range.clone()).end;
            fields.note(&header.name, end - header.value.len()..end);
        }
        let mut position = self.open(0..block.block_end, block.body_start, fields);
        position = self.descend_messages(position);
        let finder = Finder::new(b"\n--");
        while let Some(delimiter) = self.next_delimiter(&finder, position) {
            position = delimiter.line.end;
            self.close_above(delimiter.level, delimiter.line.start);
            let open = &mut self.path[delimiter.level];
            open.delimiters += 1;
            if delimiter.closing {
                open.boundary = None;
                continue;
            }
            if self.parts.len() >= self.limits.mime_parts {
                self.hits.insert(LimitHit::MimeParts);
                self.close_all(true);
                return;
            }
            position = self.open_child(position);
            position = self.descend_messages(position);
        }
        self.close_all(false);
    }

    /// Opens the part whose header block begins at `start`; gives where its body begins.
    fn open_child(&mut self, start: usize) -> usize {
        let (header_range, body_start, fields) = self.part_header(start);
        self.open(header_range, body_start, fields)
    }

    /// While the innermost open part is a message, opens the message in it.
    fn descend_messages(&mut self, mut position: usize) -> usize {
        while let Some(open) = self.path.last() {
            let part = &self.parts[open.part];
            if part.content_type.main != "message" {
                break;
            }
            if part.content_type.sub == "partial" {
                self.defects.add_part(DefectKind::MimePartial, part.index);
            }
            if !matches!(part.content_type.sub.as_str(), "rfc822" | "global" | "news") {
                break;
            }
            if part.encoding != Encoding::Identity {
                self.defects
                    .add_part(DefectKind::MimeNestedEncoding, part.index);
                break;
            }
            if part.depth >= self.limits.mime_depth {
                self.hits.insert(LimitHit::MimeDepth);
                break;
            }
            if self.parts.len() >= self.limits.mime_parts {
                self.hits.insert(LimitHit::MimeParts);
                break;
            }
            let index = part.index;
            self.parts[index].container = true;
            position = self.open_child(position);
        }
        position
    }

    fn open(
        &mut self,
        header_range: Range<usize>,
        body_start: usize,
        fields: ContentFields,
    ) -> usize {
        let index = self.parts.len();
        let parent = self.path.last().map(|open| open.part);
        let in_digest =
            parent.is_some_and(|parent| self.parts[parent].content_type.is("multipart", "digest"));
        if fields.duplicate {
            self.defects
                .add_part(DefectKind::MimeDuplicateHeader, index);
        }
        let encoding = fields.encoding.map_or(Encoding::Identity, |range| {
            Encoding::parse(&self.raw[range])
        });
        if encoding == Encoding::Unknown {
            self.defects
                .add_part(DefectKind::MimeUnknownEncoding, index);
        }
        let declared = fields.content_type.and_then(|range| {
            let parameters = self.parameters(range, index);
            let parsed = ContentType::parse(&parameters);
            if parsed.is_none() {
                self.defects.add_part(DefectKind::MimeBadContentType, index);
            }
            parsed
        });
        let disposition = fields
            .disposition
            .map(|range| Disposition::parse(&self.parameters(range, index)));
        let part = Part {
            index,
            parent,
            depth: parent.map_or(0, |parent| self.parts[parent].depth + 1),
            header_range,
            body_range: body_start..body_start,
            declared: declared.is_some(),
            content_type: declared.unwrap_or_else(|| ContentType::implied(in_digest)),
            disposition,
            encoding,
            body: Bytes::new(),
            container: false,
            decoded: OnceLock::new(),
        };
        self.check_file_name(&part);
        self.parts.push(part);
        let boundary = self.boundary(index);
        self.parts[index].container = boundary.is_some();
        self.path.push(Open {
            part: index,
            boundary,
            delimiters: 0,
        });
        body_start
    }

    fn parameters(&mut self, range: Range<usize>, part: usize) -> Parameters {
        let parameters = Parameters::parse(&self.raw[range]);
        if parameters.duplicate {
            self.defects
                .add_part(DefectKind::MimeDuplicateParameter, part);
        }
        parameters
    }

    fn check_file_name(&mut self, part: &Part) {
        let Some(name) = part.file_name() else {
            return;
        };
        if name.chars().any(is_bidi) {
            self.defects.add_part(DefectKind::FilenameBidi, part.index);
        }
        if name.chars().any(char::is_control) {
            self.defects
                .add_part(DefectKind::FilenameControl, part.index);
        }
        if part
            .content_type
            .name
            .as_deref()
            .is_some_and(|other| other != name)
        {
            self.defects
                .add_part(DefectKind::FilenameMismatch, part.index);
        }
    }

    /// The boundary to look for in this part, if it is a multipart that may be opened.
    fn boundary(&mut self, index: usize) -> Option<Vec<u8>> {
        let part = &self.parts[index];
        if part.content_type.main != "multipart" {
            return None;
        }
        if part.encoding != Encoding::Identity {
            self.defects.add_part(DefectKind::MimeNestedEncoding, index);
        }
        let Some(boundary) = part.content_type.boundary.clone().filter(|b| !b.is_empty()) else {
            self.defects
                .add_part(DefectKind::MimeBoundaryMissing, index);
            return None;
        };
        if part.depth >= self.limits.mime_depth {
            self.hits.insert(LimitHit::MimeDepth);
            return None;
        }
        if boundary.len() > MAX_BOUNDARY {
            self.defects.add_part(DefectKind::MimeBoundaryLong, index);
        }
        if self
            .path
            .iter()
            .any(|open| open.boundary.as_deref() == Some(&boundary))
        {
            self.defects.add_part(DefectKind::MimeBoundaryReused, index);
        }
        Some(boundary)
    }

    /// The header block of a part, which ends at an empty line, at a delimiter, or at a limit.
    fn part_header(&mut self, start: usize) -> (Range<usize>, usize, ContentFields) {
        let mut found = ContentFields::default();
        let mut fields = Fields::new(self.raw, start);
        for count in 0.. {
            let position = fields.position();
            if count >= self.limits.headers {
                self.hits.insert(LimitHit::Headers);
                return (start..position, position, found);
            }
            if position - start > self.limits.header_bytes {
                self.hits.insert(LimitHit::HeaderBytes);
                return (start..position, position, found);
            }
            if self.delimiter_at(position).is_some() {
                return (start..position, position, found);
            }
            match fields.step() {
                None => return (start..position, position, found),
                Some(Line::Separator(range)) => return (start..range.start, range.end, found),
                Some(Line::Junk(range)) => {
                    // A part without a header: text at once.
                    if range.start == start {
                        self.defects
                            .add_part(DefectKind::HeaderNoColon, self.parts.len());
                    }
                }
                Some(Line::Field { range, colon }) => {
                    let name = self.raw[range.start..colon].trim_ascii_end();
                    found.note(name, colon + 1..range.end);
                }
            }
        }
        (start..start, start, found)
    }

    /// The next line at or after `position` that delimits an open multipart.
    fn next_delimiter(&self, finder: &Finder<'_>, position: usize) -> Option<Delimiter> {
        if self.path.iter().all(|open| open.boundary.is_none()) {
            return None;
        }
        // `position` is the beginning of a line: the line feed before it counts.
        if position == 0
            && let Some(delimiter) = self.delimiter_at(0)
        {
            return Some(delimiter);
        }
        let mut from = position.saturating_sub(1);
        while let Some(at) = finder.find(&self.raw[from..]) {
            let line = from + at + 1;
            if let Some(delimiter) = self.delimiter_at(line) {
                return Some(delimiter);
            }
            from = line;
        }
        None
    }

    fn delimiter_at(&self, line: usize) -> Option<Delimiter> {
        let rest = self.raw.get(line..)?.strip_prefix(b"--")?;
        for (level, open) in self.path.iter().enumerate().rev() {
            let Some(after) = open
                .boundary
                .as_deref()
                .and_then(|boundary| rest.strip_prefix(boundary))
            else {
                continue;
            };
            // What follows the boundary is white space, or two hyphens and then white space or anything.
            let end = line_end(self.raw, line)?;
            let tail = &after[..after.len() - (self.raw.len() - end)];
            let closing = tail.starts_with(b"--");
            if closing || tail.trim_ascii().is_empty() {
                return Some(Delimiter {
                    level,
                    line: line..end,
                    closing,
                });
            }
        }
        None
    }

    /// Closes what is open inside `path[level]`, at the delimiter line that begins at `line`.
    fn close_above(&mut self, level: usize, line: usize) {
        let mut inner_end = 0;
        while self.path.len() > level + 1 {
            let Some(open) = self.path.pop() else {
                return;
            };
            let start = self.parts[open.part].body_range.start;
            // The line ending before a delimiter belongs to the delimiter.
            let end = if line > start {
                without_line_end(self.raw, start..line).end
            } else {
                start
            };
            // A part without a body ends with its header, whose line ending the delimiter would take.
            inner_end = end.max(inner_end);
            self.close(&open, inner_end, false);
        }
    }

    fn close_all(&mut self, cut: bool) {
        while let Some(open) = self.path.pop() {
            self.close(&open, self.raw.len(), cut);
        }
    }

    fn close(&mut self, open: &Open, end: usize, cut: bool) {
        let part = &mut self.parts[open.part];
        part.body_range.end = end.max(part.body_range.start);
        part.body = self.raw.slice(part.body_range.clone());
        if cut || open.boundary.is_none() {
            return;
        }
        let kind = if open.delimiters == 0 {
            part.container = false;
            DefectKind::MimeBoundaryMissing
        } else {
            DefectKind::MimeNoBoundaryEnd
        };
        self.defects.add_part(kind, open.part);
    }
}

impl ContentFields {
    fn note(&mut self, name: &[u8], value: Range<usize>) {
        if name.len() < 12 || !name[..8].eq_ignore_ascii_case(b"content-") {
            return;
        }
        let slot = match &name[8..] {
            n if n.eq_ignore_ascii_case(b"type") => &mut self.content_type,
            n if n.eq_ignore_ascii_case(b"disposition") => &mut self.disposition,
            n if n.eq_ignore_ascii_case(b"transfer-encoding") => &mut self.encoding,
            _ => return,
        };
        if slot.is_some() {
            self.duplicate = true;
            return;
        }
        *slot = Some(value);
    }
}
