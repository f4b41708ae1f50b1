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
    /// Where the first field line begins, and the empty line: between them stand the field lines.
    start: u16,
    end: u16,
}

impl Default for Fields {
    fn default() -> Self {
        Self { list: Vec::new(), first: [0; Known::COUNT], start: 0, end: 0 }
    }
}

impl Fields {
    pub(super) fn clear(&mut self) {
        self.list.clear();
        self.first = [0; Known::COUNT];
        self.start = 0;
        self.end = 0;
    }

    /// Indexes what the tokenizer found in a head of `end` octets. `start` is where the first field line begins.
    pub(super) fn fill(
        &mut self,
        bytes: &[u8],
        (start, end): (usize, usize),
        found: &[httparse::Header<'_>],
    ) -> Result<(), Refusal> {
        self.clear();
        self.start = narrow(start)?;
        self.end = narrow(end.saturating_sub(2))?;
        let base = bytes.as_ptr().addr();
        for header in found {
            let name = header.name.as_bytes();
            let name_len = u8::try_from(name.len()).map_err(|_too_long| Refusal::FieldNameTooLong)?;
            let at = name.as_ptr().addr().wrapping_sub(base);
            let value = match header.value {
                [] => at + name.len() + 1,
                value => value.as_ptr().addr().wrapping_sub(base),
            };
            let known = self.remember(Known::find(name));
            self.list.push(Field {
                name: narrow(at)?,
                value: narrow(value)?,
                value_len: narrow(header.value.len())?,
                name_len,
                known,
            });
        }
        Ok(())
    }

    fn remember(&mut self, known: Option<Known>) -> u8 {
        let Some(known) = known else { return 0 };
        let position = u8::try_from(self.list.len()).unwrap_or(u8::MAX);
        if let Some(first @ 0) = self.first.get_mut(known as usize) {
            *first = position.saturating_add(1);
        }
        known as u8 + 1
    }

    pub(super) fn view<'a>(&'a self, bytes: &'a [u8]) -> FieldsView<'a> {
        FieldsView { fields: self, bytes }
    }
}

/// No head is longer than 65,535 octets, so that no position fails.
fn narrow(position: usize) -> Result<u16, Refusal> {
    u16::try_from(position).map_err(|_too_large| Refusal::HeadTooLarge)
}

const _: () = assert!(MAX_FIELDS < 256 && Known::COUNT < 255);
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
        let bytes = self.bytes;
        self.fields.list.iter().enumerate().map(move |(index, field)| FieldView {
            index,
            name: slice(bytes, field.name, u16::from(field.name_len)),
            value: slice(bytes, field.value, field.value_len),
            known: field.known(),
        })
    }

    /// Value of the first field with this name.
    #[must_use]
    pub fn get(&self, known: Known) -> Option<&'a [u8]> {
        let field = self.fields.list.get(self.first(known)?)?;
        Some(slice(self.bytes, field.value, field.value_len))
    }

    /// All fields with this name, in order.
    pub fn get_all(&self, known: Known) -> impl Iterator<Item = FieldView<'a>> + use<'a> {
        let from = self.first(known).unwrap_or(usize::MAX);
        self.fields().skip(from).filter(move |field| field.known == Some(known))
    }

    /// Whether there is a field with this name.
    #[must_use]
    pub fn has(&self, known: Known) -> bool {
        self.first(known).is_some()
    }

    /// The first field with this name, whether known or not, without regard to case.
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<FieldView<'a>> {
        self.fields().find(|field| field.name.eq_ignore_ascii_case(name))
    }

    /// Position of the first field with this name.
    fn first(&self, known: Known) -> Option<usize> {
        let position = self.fields.first.get(known as usize)?;
        usize::from(*position).checked_sub(1)
    }

    /// Whether exactly one field has this name.
    pub(super) fn is_single(&self, known: Known) -> bool {
        self.get_all(known).count() == 1
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
