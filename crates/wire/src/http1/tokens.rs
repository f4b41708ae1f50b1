//! Characters of RFC 9110 section 5.6: tokens, controls, comma-separated lists.

/// Whether a byte may stand in a token, RFC 9110 section 5.6.2.
pub(super) const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// Whether a byte is a token of at least one byte.
pub(super) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| is_token_byte(*byte))
}

/// Whether a byte may stand in a field value: HTAB, SP, visible ASCII and obs-text, RFC 9110 section 5.5.
pub(super) const fn is_value_byte(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

/// Takes spaces and tabs from both ends.
pub(super) fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// Members of a comma-separated list without quoted strings, empty ones left out: RFC 9110 section 5.6.1.
pub(super) fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim).filter(|member| !member.is_empty())
}

/// `memchr` from a position on; tests count the octets that it looks at.
pub(super) fn find_from(byte: u8, text: &[u8], from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    let found = memchr::memchr(byte, rest);
    #[cfg(test)]
    LOOKED.with(|looked| looked.set(looked.get() + found.map_or(rest.len(), |at| at + 1)));
    Some(from + found?)
}

#[cfg(test)]
thread_local! {
    /// Octets that were looked at by [`find_from`] and by the tokenizer in this thread.
    pub(super) static LOOKED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}
