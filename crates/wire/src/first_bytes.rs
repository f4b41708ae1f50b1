//! Tells protocols apart on one port by the first bytes a client sends.
//!
//! Nothing is consumed and nothing is parsed: whoever speaks the protocol reads the same bytes again and judges
//! them. Not here: what is inside TLS (a ClientHello has its own reader), protocols in which the server speaks first.
//! SOCKS4 and SOCKS5 begin with their version (RFC 1928 section 3), a TLS record with type 22 and major version 3
//! (RFC 8446 section 5.1), an HTTP/1 request with a token (RFC 9112 section 3) that empty lines may precede
//! (section 2.2), HTTP/2 with its preface (RFC 9113 section 3.4).

/// Bytes after which [`detect`] has always decided.
pub const MOST_BYTES: usize = H2_PREFACE.len();

/// What the first bytes are the beginning of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Too few bytes to tell; never said of [`MOST_BYTES`] or more.
    NeedMore,
    /// An HTTP/1 request, or something near enough to be refused by an HTTP reply.
    Http,
    /// HTTP/2 without TLS or upgrade. No forward proxy port speaks it; the client can be told so.
    Http2Preface,
    /// SOCKS4 or SOCKS4a.
    Socks4,
    /// SOCKS5.
    Socks5,
    /// A TLS handshake.
    Tls,
    /// None of these.
    Unknown,
}

/// Decides by the bytes received so far. Once it has decided, more bytes change nothing.
#[must_use]
pub fn detect(bytes: &[u8]) -> Verdict {
    match bytes {
        [] | [0x16] | [b'\r'] => Verdict::NeedMore,
        [0x04, ..] => Verdict::Socks4,
        [0x05, ..] => Verdict::Socks5,
        [0x16, 0x03, ..] => Verdict::Tls,
        [b'\r', b'\n', ..] => Verdict::Http,
        [b'P', ..] => preface_or_request(bytes),
        [first, ..] if is_token(*first) => Verdict::Http,
        [..] => Verdict::Unknown,
    }
}

/// The preface was chosen to look like a request with the method `PRI`, so it takes more bytes than one.
fn preface_or_request(bytes: &[u8]) -> Verdict {
    if bytes.starts_with(H2_PREFACE) {
        Verdict::Http2Preface
    } else if H2_PREFACE.starts_with(bytes) {
        Verdict::NeedMore
    } else {
        Verdict::Http
    }
}

/// RFC 9110 section 5.6.2.
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

/// The first line of the preface; what follows it is not needed to know HTTP/2.
const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0";

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    #[test]
    fn first_bytes_are_recognised() {
        for (bytes, verdict) in [
            (&b""[..], Verdict::NeedMore),
            (b"\x04", Verdict::Socks4),
            (b"\x04\x01\x00\x50", Verdict::Socks4),
            (b"\x05", Verdict::Socks5),
            (b"\x05\x01\x00", Verdict::Socks5),
            (b"\x16", Verdict::NeedMore),
            (b"\x16\x03", Verdict::Tls),
            (b"\x16\x03\x01\x02\x00", Verdict::Tls),
            (b"\x16\x02", Verdict::Unknown),
            (b"G", Verdict::Http),
            (b"CONNECT a:1 HTTP/1.1\r\n", Verdict::Http),
            (b"!odd", Verdict::Http),
            (b"\r", Verdict::NeedMore),
            (b"\r\nGET", Verdict::Http),
            (b"\rG", Verdict::Unknown),
            (b"\nGET", Verdict::Unknown),
            (b" GET", Verdict::Unknown),
            (b"P", Verdict::NeedMore),
            (b"PR", Verdict::NeedMore),
            (b"PO", Verdict::Http),
            (b"PRI * HTTP/1.1", Verdict::Http),
            (b"PRI * HTTP/2.", Verdict::NeedMore),
            (WHOLE_PREFACE, Verdict::Http2Preface),
            (b"\x00", Verdict::Unknown),
            (b"\x80\x2e\x01", Verdict::Unknown),
            (b"{\"json\":1}", Verdict::Unknown),
            (b"(", Verdict::Unknown),
        ] {
            assert_eq!(detect(bytes), verdict, "{bytes:?}");
        }
    }

    #[test]
    fn a_decision_is_made_in_time_and_never_changes() {
        for first in 0..=255_u8 {
            for start in [&[first][..], &[b'P', first], b"PRI * HTTP/2.0"] {
                let bytes: Vec<u8> = start.iter().copied().chain(WHOLE_PREFACE.iter().copied()).collect();
                let whole = detect(&bytes);
                assert_ne!(whole, Verdict::NeedMore);
                for cut in 0..bytes.len() {
                    let so_far = detect(&bytes[..cut]);
                    assert!(
                        so_far == whole || (so_far == Verdict::NeedMore && cut < MOST_BYTES),
                        "{bytes:?} at {cut}"
                    );
                }
            }
        }
    }

    #[test]
    fn every_token_character_may_begin_a_method_and_no_other() {
        let token = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        for first in 0..=255_u8 {
            let http = detect(&[first, b'x']) == Verdict::Http;
            assert_eq!(http, token.contains(&first) || first == b'P', "{first:#x}");
        }
    }
}
