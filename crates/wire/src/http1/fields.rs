//! The fields of a head: an index of 8 bytes a field over bytes that somebody else keeps.
//!
//! Spelling, order and repetition are what was sent, since nothing is copied. Look-up of a known name is an index,
//! of another one a scan by length. Not here: what the values mean ([`super::framing`], [`super::hop_by_hop`]).

use super::known::Known;
use super::limits::MAX_FIELDS;
use super::refusal::Refusal;

/// Where one field stands. Offsets count from the first byte of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field {
    name: u16,
    value: u16,
    value_len: u16,
    name_len: u8,
    /// Id of the name plus 1; 0 for a name without one.
    known: u8,
}

impl Field {
    fn known(self) -> Option<Known> {
        Known::ALL.get(usize::from(self.known.checked_sub(1)?)).copied()
    }
}

/// The index, kept from message to message so that its memory is used again.
#[derive(Debug)]
pub(super) struct Fields {
    list: Vec<Field>,
    /// Per known name: position of its first field plus 1, or 0.
    first: [u8; Known::COUNT],
    /// Per known name, by bit: whether it stands more than once.
    repeated: u128,
    /// Where the first field line begins, and the empty line: between them stand the field lines.
    start: u16,
    end: u16,
}

impl Default for Fields {
    fn default() -> Self {
        Self { list: Vec::new(), first: [0; Known::COUNT], repeated: 0, start: 0, end: 0 }
    }
}

impl Fields {
    pub(super) fn clear(&mut self) {
        self.list.clear();
        self.first = [0; Known::COUNT];
        self.repeated = 0;
        self.start = 0;
        self.end = 0;
    }

    /// Indexes what the tokenizer found in a head of `end` octets at the front of `window`, which has at most 65,535.
    /// `start` is where the first field line begins.
    pub(super) fn fill(
        &mut self,
        window: &[u8],
        (start, end): (usize, usize),
        found: &[httparse::Header<'_>],
    ) {
        self.clear();
        self.start = narrow(start);
        self.end = narrow(end.saturating_sub(2));
        for header in found {
            let name = header.name.as_bytes();
            let known = self.remember(Known::find(name));
            self.list.push(Field {
                name: offset(window, name),
                value: offset(window, header.value),
                value_len: narrow(header.value.len()),
                name_len: u8::try_from(name.len()).unwrap_or(TOO_LONG),
                known,
            });
        }
    }

    fn remember(&mut self, known: Option<Known>) -> u8 {
        let Some(known) = known else { return 0 };
        let position = u8::try_from(self.list.len()).unwrap_or(u8::MAX);
        match self.first.get_mut(known as usize) {
            Some(first @ 0) => *first = position.saturating_add(1),
            _ => self.repeated |= 1 << known as u8,
        }
        known as u8 + 1
    }

    /// Whether every line, from the first one that ends at `first_end` to the empty one, ends with CRLF. The tokenizer
    /// has seen that each ends with LF.
    pub(super) fn lines_end_in_crlf(&self, bytes: &[u8], first_end: usize) -> bool {
        let is_cr = |at: usize| bytes.get(at) == Some(&b'\r');
        let end = usize::from(self.end);
        is_cr(first_end)
            && is_cr(end)
            && is_cr(end.wrapping_sub(2))
            && self.list.iter().all(|field| is_cr(usize::from(field.name).wrapping_sub(2)))
    }

    pub(super) fn view<'a>(&'a self, bytes: &'a [u8]) -> FieldsView<'a> {
        FieldsView { fields: self, bytes }
    }
}

/// A length that stands for all that are not less.
const TOO_LONG: u8 = u8::MAX;

/// A position in a head, which has at most 65,535 octets.
fn narrow(position: usize) -> u16 {
    u16::try_from(position).unwrap_or(u16::MAX)
}

/// Where a part of `window` stands in it.
pub(super) fn offset(window: &[u8], part: &[u8]) -> u16 {
    narrow(part.as_ptr().addr().wrapping_sub(window.as_ptr().addr()))
}

const _: () = assert!(MAX_FIELDS < 256 && Known::COUNT <= 128);
const _: () = assert!(size_of::<Field>() == 8);

/// The fields of one head over its bytes.
#[derive(Clone, Copy)]
pub struct FieldsView<'a> {
    fields: &'a Fields,
    bytes: &'a [u8],
}

/// One field.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FieldView<'a> {
    /// Position among the fields, from 0. What [`super::compose::Edits::drop_field`] takes.
    pub index: usize,
    /// The name as it was sent.
    pub name: &'a [u8],
    /// The value without white space around it. May hold obs-text, that is bytes that are no ASCII.
    pub value: &'a [u8],
    /// The name's id, if it has one.
    pub known: Option<Known>,
}

impl<'a> FieldsView<'a> {
    /// Number of fields.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fields.list.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.list.is_empty()
    }

    /// All fields in the order they were sent.
    pub fn fields(&self) -> impl Iterator<Item = FieldView<'a>> + use<'a> {
        let view = *self;
        self.fields.list.iter().enumerate().map(move |(index, field)| view.field(index, *field))
    }

    fn field(&self, index: usize, field: Field) -> FieldView<'a> {
        FieldView {
            index,
            name: slice(self.bytes, field.name, u16::from(field.name_len)),
            value: slice(self.bytes, field.value, field.value_len),
            known: field.known(),
        }
    }

    /// Value of the first field with this name.
    #[must_use]
    pub fn get(&self, known: Known) -> Option<&'a [u8]> {
        let field = self.fields.list.get(self.first(known)?)?;
        Some(slice(self.bytes, field.value, field.value_len))
    }

    /// All fields with this name, in order.
    pub fn get_all(&self, known: Known) -> impl Iterator<Item = FieldView<'a>> + use<'a> {
        let (view, id) = (*self, known as u8 + 1);
        let most = if self.is_single(known) { 1 } else { usize::MAX };
        let from = self.first(known).and_then(|first| self.fields.list.get(first..)).unwrap_or_default();
        let skipped = self.fields.list.len() - from.len();
        let fields = from.iter().enumerate().filter(move |(_, field)| field.known == id).take(most);
        fields.map(move |(index, field)| view.field(skipped + index, *field))
    }

    /// Whether there is a field with this name.
    #[must_use]
    pub fn has(&self, known: Known) -> bool {
        self.first(known).is_some()
    }

    /// The first field with this name, whether known or not, without regard to case.
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<FieldView<'a>> {
        let fits = |field: &&(usize, &Field)| {
            usize::from(field.1.name_len) == name.len()
                && slice(self.bytes, field.1.name, u16::from(field.1.name_len)).eq_ignore_ascii_case(name)
        };
        let found = self.fields.list.iter().enumerate().find(|field| fits(&field))?;
        Some(self.field(found.0, *found.1))
    }

    /// Position of the first field with this name.
    fn first(&self, known: Known) -> Option<usize> {
        let position = self.fields.first.get(known as usize)?;
        usize::from(*position).checked_sub(1)
    }

    /// Refuses names of more than 254 octets: their lengths have 8 bits here.
    pub(super) fn check_names(&self) -> Result<(), Refusal> {
        let long = self.fields.list.iter().any(|field| field.name_len == TOO_LONG);
        if long { Err(Refusal::FieldNameTooLong) } else { Ok(()) }
    }

    /// Whether at most one field has this name.
    pub(super) fn is_single(&self, known: Known) -> bool {
        self.fields.repeated & (1 << known as u8) == 0
    }

    /// Where the field lines begin, where each next one begins, and where they end.
    pub(super) fn line_start(&self, index: usize) -> usize {
        usize::from(self.fields.list.get(index).map_or(self.fields.end, |field| field.name))
    }

    /// The field lines from one position in the message up to another.
    pub(super) fn lines(&self, from: usize, to: usize) -> &'a [u8] {
        self.bytes.get(from..to).unwrap_or_default()
    }

    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Where the first field line begins, also when there is none.
    pub(super) fn start(&self) -> usize {
        usize::from(self.fields.start)
    }
}

/// `len` bytes from `at`; empty when the caller hands in bytes of another message.
pub(super) fn slice(bytes: &[u8], at: u16, len: u16) -> &[u8] {
    bytes.get(usize::from(at)..usize::from(at) + usize::from(len)).unwrap_or_default()
}
