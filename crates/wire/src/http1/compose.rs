//! Writes a head: the bytes that came, less the dropped fields, plus the added ones.
//!
//! Spelling, order, repetition and white space of what is kept are those of the sender: runs of kept lines are copied
//! as they stand. The version is always this proxy's own (RFC 9110 section 2.5). Not here: which fields are
//! dropped ([`super::hop_by_hop`], header levels).

use super::fields::FieldsView;
use super::framing::Version;
use super::known::Known;
use super::limits::MAX_FIELDS;
use super::request::RequestView;
use super::response::ResponseView;
use super::target::RequestTarget;
use super::tokens::{is_token, is_value_byte};

/// What is to change in a head: fields to drop, to replace and to add. Used again after [`Edits::clear`].
#[derive(Debug, Default)]
pub struct Edits {
    dropped: [u64; MAX_FIELDS.div_ceil(64)],
    /// Whole field lines.
    added: Vec<u8>,
    /// Whole field lines that stand in the place of dropped fields.
    replacing: Vec<u8>,
    /// Position of a replaced field, and where its line ends in `replacing`.
    replaced: Vec<(usize, usize)>,
    /// What stands in the place of the request target; empty: the target as it came.
    target: Vec<u8>,
}

/// Field lines that were checked when they were put together, to be added to many heads at the price of a copy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lines(Vec<u8>);

impl Lines {
    /// No lines.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Puts one more line behind the others, by the rules of [`Edits::add`].
    pub fn push(&mut self, name: &[u8], value: &[u8]) -> bool {
        push_line(&mut self.0, name, value)
    }

    /// Forgets all lines; keeps the memory.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

impl Edits {
    /// No changes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets all changes; keeps the memory.
    pub fn clear(&mut self) {
        self.dropped = Default::default();
        self.added.clear();
        self.replacing.clear();
        self.replaced.clear();
        self.target.clear();
    }

    /// Adds lines behind the fields that were sent.
    pub fn add_lines(&mut self, lines: &Lines) {
        self.added.extend_from_slice(&lines.0);
    }

    /// Puts a path and query in the place of the request target, whatever its form, and says whether it did: only what
    /// begins with `/` and holds neither space, control nor `#`.
    pub fn retarget(&mut self, parts: &[&[u8]]) -> bool {
        self.target.clear();
        for part in parts {
            self.target.extend_from_slice(part);
        }
        let good = self.target.first() == Some(&b'/')
            && self.target.iter().all(|byte| !matches!(byte, 0..=b' ' | b'#' | 0x7f));
        if !good {
            self.target.clear();
        }
        good
    }

    /// Drops the field at a position ([`super::fields::FieldView::index`]).
    pub fn drop_field(&mut self, index: usize) {
        if let Some(word) = self.dropped.get_mut(index / 64) {
            *word |= 1 << (index % 64);
        }
    }

    /// Drops all fields with this name.
    pub fn drop_known(&mut self, fields: &FieldsView<'_>, known: Known) {
        if fields.has(known) {
            fields.get_all(known).for_each(|field| self.drop_field(field.index));
        }
    }

    /// Whether the field at a position does not go on as it was sent.
    #[must_use]
    pub fn is_dropped(&self, index: usize) -> bool {
        self.dropped.get(index / 64).is_some_and(|word| word & (1 << (index % 64)) != 0)
    }

    /// Adds a field behind those that were sent, and says whether it did: a name that is no token adds nothing.
    /// Controls in the value become spaces (RFC 9110 section 5.5), so that no value can add a line.
    pub fn add(&mut self, name: &[u8], value: &[u8]) -> bool {
        push_line(&mut self.added, name, value)
    }

    /// Puts another field in the place of the one at a position, dropped before or not; the same rules as for
    /// [`Edits::add`]. Of several replacements of one field the first counts. `index` is that of a field of the head.
    pub fn replace(&mut self, index: usize, name: &[u8], value: &[u8]) -> bool {
        let good = push_line(&mut self.replacing, name, value);
        if good {
            self.drop_field(index);
            self.replaced.push((index, self.replacing.len()));
        }
        good
    }

    /// The line in the place of a dropped field; empty when there is none.
    fn replacement(&self, index: usize) -> &[u8] {
        let Some(at) = self.replaced.iter().position(|(replaced, _)| *replaced == index) else { return &[] };
        let begin = at.checked_sub(1).and_then(|before| self.replaced.get(before)).map_or(0, |(_, end)| *end);
        let end = self.replaced.get(at).map_or(0, |(_, end)| *end);
        self.replacing.get(begin..end).unwrap_or_default()
    }

    /// The added field lines, each with its CRLF.
    #[must_use]
    pub fn added(&self) -> &[u8] {
        &self.added
    }

    /// Positions of the dropped fields, in order.
    fn dropped(&self) -> impl Iterator<Item = usize> {
        self.dropped.iter().enumerate().flat_map(|(at, word)| {
            std::iter::successors(Some(*word), |word| Some(word & word.wrapping_sub(1)))
                .take_while(|word| *word != 0)
                .map(move |word| at * 64 + word.trailing_zeros() as usize)
        })
    }
}

/// Appends a field line, or nothing when the name is no token.
fn push_line(lines: &mut Vec<u8>, name: &[u8], value: &[u8]) -> bool {
    let good = is_token(name);
    if good {
        lines.extend_from_slice(name);
        lines.extend_from_slice(b": ");
        let from = lines.len();
        lines.extend_from_slice(value);
        for byte in lines.iter_mut().skip(from).filter(|byte| !is_value_byte(**byte)) {
            *byte = b' ';
        }
        lines.extend_from_slice(b"\r\n");
    }
    good
}

/// Which form the target leaves in, RFC 9112 section 3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestLine {
    /// To an origin: an absolute target becomes a path, or `*`.
    Origin,
    /// To a proxy: a path becomes absolute with the Host field, as `http`. Without Host it stays as it is.
    Absolute,
    /// As it came.
    AsSent,
}

/// Appends a request head to `out`. Where HTTP/1.0 sent an absolute target without Host, Host is written first,
/// since 1.1 wants it.
pub fn write_request(out: &mut Vec<u8>, view: RequestView<'_>, line: RequestLine, edits: &Edits) {
    out.extend_from_slice(view.method_str().as_bytes());
    out.push(b' ');
    match edits.target.as_slice() {
        [] => write_target(out, view, line),
        target => out.extend_from_slice(target),
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    if view.version() == Version::Http10 && !view.has(Known::Host) {
        write_missing_host(out, view.target());
    }
    write_fields(out, &view, edits);
}

fn write_target(out: &mut Vec<u8>, view: RequestView<'_>, line: RequestLine) {
    match (line, view.target()) {
        (RequestLine::Origin, RequestTarget::Absolute { path, .. }) => {
            if path.first() == Some(&b'?') {
                out.push(b'/');
            }
            out.extend_from_slice(path);
        }
        (RequestLine::Absolute, RequestTarget::Origin(path)) => {
            if let Some(host) = view.host() {
                out.extend_from_slice(b"http://");
                out.extend_from_slice(host.as_bytes());
            }
            out.extend_from_slice(path);
        }
        (RequestLine::Absolute, RequestTarget::Asterisk) if view.has(Known::Host) => {
            out.extend_from_slice(b"http://");
            out.extend_from_slice(view.host().unwrap_or_default().as_bytes());
        }
        (RequestLine::AsSent | RequestLine::Origin | RequestLine::Absolute, _) => {
            out.extend_from_slice(view.raw_target());
        }
    }
}

fn write_missing_host(out: &mut Vec<u8>, target: RequestTarget<'_>) {
    let authority = match target {
        RequestTarget::Absolute { authority, .. } | RequestTarget::Authority(authority) => authority,
        RequestTarget::Origin(_) | RequestTarget::Asterisk => return,
    };
    out.extend_from_slice(b"Host: ");
    out.extend_from_slice(authority.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends a response head to `out`, always as HTTP/1.1.
pub fn write_response(out: &mut Vec<u8>, view: ResponseView<'_>, edits: &Edits) {
    out.extend_from_slice(b"HTTP/1.1 ");
    let status = view.status();
    for unit in [100, 10, 1] {
        out.push(b'0' + u8::try_from(status / unit % 10).unwrap_or_default());
    }
    out.push(b' ');
    out.extend_from_slice(view.reason());
    out.extend_from_slice(b"\r\n");
    write_fields(out, &view, edits);
}

fn write_fields(out: &mut Vec<u8>, fields: &FieldsView<'_>, edits: &Edits) {
    let mut from = fields.start();
    for index in edits.dropped() {
        out.extend_from_slice(fields.lines(from, fields.line_start(index)));
        out.extend_from_slice(edits.replacement(index));
        from = fields.line_start(index + 1);
    }
    out.extend_from_slice(fields.lines(from, fields.line_start(usize::MAX)));
    out.extend_from_slice(&edits.added);
    out.extend_from_slice(b"\r\n");
}
