//! Bytes taken apart and put together: big-endian integers, fixed arrays, lengths with limits (section 1).
//!
//! A reader never allocates; a length is checked against its limit and against what is there before anything is
//! taken. Not here: what the bytes mean.

/// What was sent is not what the protocol says; the word names the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed {0}")]
pub struct Malformed(pub &'static str);

/// Reads a message from its first byte to its last.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader at the beginning of a message.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next bytes, as many as the array has.
    ///
    /// # Errors
    /// When there are not so many.
    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed(field))?;
        self.rest = rest;
        Ok(*taken)
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// When there are not so many.
    pub const fn take(&mut self, count: usize, field: &'static str) -> Result<&'a [u8], Malformed> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else { return Err(Malformed(field)) };
        self.rest = rest;
        Ok(taken)
    }

    /// The next byte.
    ///
    /// # Errors
    /// At the end.
    pub fn u8(&mut self, field: &'static str) -> Result<u8, Malformed> {
        self.array(field).map(u8::from_be_bytes)
    }

    /// The next two bytes.
    ///
    /// # Errors
    /// When they are not there.
    pub fn u16(&mut self, field: &'static str) -> Result<u16, Malformed> {
        self.array(field).map(u16::from_be_bytes)
    }

    /// The next four bytes.
    ///
    /// # Errors
    /// When they are not there.
    pub fn u32(&mut self, field: &'static str) -> Result<u32, Malformed> {
        self.array(field).map(u32::from_be_bytes)
    }

    /// The next eight bytes.
    ///
    /// # Errors
    /// When they are not there.
    pub fn u64(&mut self, field: &'static str) -> Result<u64, Malformed> {
        self.array(field).map(u64::from_be_bytes)
    }

    /// Bytes behind their length of one byte, at most `max`.
    ///
    /// # Errors
    /// Over the limit, or when they are not all there.
    pub fn v8(&mut self, max: usize, field: &'static str) -> Result<&'a [u8], Malformed> {
        let length = usize::from(self.u8(field)?);
        self.counted(length, max, field)
    }

    /// Bytes behind their length of two bytes, at most `max`.
    ///
    /// # Errors
    /// Over the limit, or when they are not all there.
    pub fn v16(&mut self, max: usize, field: &'static str) -> Result<&'a [u8], Malformed> {
        let length = usize::from(self.u16(field)?);
        self.counted(length, max, field)
    }

    /// Bytes behind their length of four bytes, at most `max`.
    ///
    /// # Errors
    /// Over the limit, or when they are not all there.
    pub fn v32(&mut self, max: usize, field: &'static str) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(self.u32(field)?).map_err(|_too_long| Malformed(field))?;
        self.counted(length, max, field)
    }

    const fn counted(
        &mut self,
        length: usize,
        max: usize,
        field: &'static str,
    ) -> Result<&'a [u8], Malformed> {
        if length > max {
            return Err(Malformed(field));
        }
        self.take(length, field)
    }

    /// Reserved or padding bytes, which are zero.
    ///
    /// # Errors
    /// When one is not, or they are not there.
    pub fn zeros(&mut self, count: usize, field: &'static str) -> Result<(), Malformed> {
        let zeros = self.take(count, field)?;
        if zeros.iter().all(|byte| *byte == 0) { Ok(()) } else { Err(Malformed(field)) }
    }

    /// All that is left, without taking it.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The message ends here.
    ///
    /// # Errors
    /// When it does not.
    pub const fn finish(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed("trailing bytes")) }
    }
}

/// Appends lengths and what they count. The caller keeps to the limits of the field, which fit the length.
pub trait Put {
    /// A length of one byte, then the bytes. More than 255 are cut, which no caller does.
    fn put_v8(&mut self, bytes: &[u8]);
    /// A length of two bytes, then the bytes. More than 65,535 are cut, which no caller does.
    fn put_v16(&mut self, bytes: &[u8]);
    /// A length of four bytes, then the bytes.
    fn put_v32(&mut self, bytes: &[u8]);
}

impl Put for Vec<u8> {
    fn put_v8(&mut self, bytes: &[u8]) {
        let length = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
        self.push(length);
        self.extend(bytes.iter().take(usize::from(length)));
    }

    fn put_v16(&mut self, bytes: &[u8]) {
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        self.extend_from_slice(&length.to_be_bytes());
        self.extend(bytes.iter().take(usize::from(length)));
    }

    fn put_v32(&mut self, bytes: &[u8]) {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.extend_from_slice(&length.to_be_bytes());
        self.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_read_back_and_nothing_is_left() {
        let mut bytes = vec![7];
        bytes.put_v8(b"one");
        bytes.put_v16(b"two");
        bytes.put_v32(b"three");
        bytes.extend([0, 0]);
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.u8("a"), Ok(7));
        assert_eq!(reader.v8(3, "b"), Ok(&b"one"[..]));
        assert_eq!(reader.v16(3, "c"), Ok(&b"two"[..]));
        assert_eq!(reader.v32(5, "d"), Ok(&b"three"[..]));
        assert_eq!(reader.zeros(2, "e"), Ok(()));
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn a_length_over_its_limit_or_over_what_is_there_is_refused() {
        assert_eq!(Reader::new(&[4, 1, 2, 3, 4]).v8(3, "long"), Err(Malformed("long")));
        assert_eq!(Reader::new(&[4, 1, 2, 3]).v8(9, "short"), Err(Malformed("short")));
        assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0]).v32(usize::MAX, "huge"), Err(Malformed("huge")));
        assert_eq!(Reader::new(&[0, 1]).zeros(2, "zero"), Err(Malformed("zero")));
        assert_eq!(Reader::new(&[0]).u64("number"), Err(Malformed("number")));
        assert_eq!(Reader::new(&[0]).finish(), Err(Malformed("trailing bytes")));
    }
}
