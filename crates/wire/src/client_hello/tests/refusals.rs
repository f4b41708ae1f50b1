//! Mistakes, each by its name.

use super::{Draft, message, read_at_every_cut, record, sni, u16s, vec8, vec16, whole};
use crate::client_hello::{ClientHello, DEFAULT_LIMIT, Error};
use shoalway_types::Failure as _;

#[test]
fn what_is_no_hello_is_refused_at_once() {
    let good = Draft::new(&[]).records();
    let mut other_message = good.clone();
    other_message[5] = 2;
    let mut other_version = good.clone();
    other_version[9] = 2;
    let alert = b"\x15\x03\x01\0\x02\x02\x28";
    for (bytes, error) in [
        (&b"GET / HTTP/1.1\r\n"[..], Error::NotHandshake),
        (alert, Error::NotHandshake),
        // The two-byte header of SSL 2.0.
        (b"\x80\x2e\x01\x03\x01", Error::NotHandshake),
        (b"\x16\x02\x00\0\x05hello", Error::RecordVersion),
        (b"\x16\x03\x01\0\0", Error::EmptyRecord),
        (b"\x16\x03\x01\x40\x01", Error::RecordTooLong),
        (&other_message, Error::NotClientHello),
        (&other_version, Error::Version),
        (&[&record(&good[5..20])[..], alert].concat(), Error::NotHandshake),
        (&[&record(&good[5..20])[..], b"\x16\x03\x01\0\0"].concat(), Error::EmptyRecord),
        (&record(&[&good[5..], b"more"].concat()), Error::Trailing),
        (&[record(&good[5..20]), record(&[&good[20..], b"\x0b"].concat())].concat(), Error::Trailing),
        (b"\x16\x03\x01\x40\0\x01\xff\xff\xff", Error::TooLong { limit: DEFAULT_LIMIT }),
        (b"\x16\x03\x01\x3f\xfc\x01\0\x3f\xf8", Error::TooLong { limit: DEFAULT_LIMIT }),
    ] {
        assert_eq!(read_at_every_cut(bytes, DEFAULT_LIMIT), Err(error), "{}", bytes.escape_ascii());
    }
    assert_eq!(read_at_every_cut(b"\x16\x03\x01\x3f\xfb\x01\0\x3f\xf7", DEFAULT_LIMIT), Ok(None));
}

#[test]
fn fields_that_break_the_form_are_refused() {
    let draft = || Draft::new(&[]);
    let longest = Draft { session: vec![0; 32], ..draft() };
    assert!(whole(&longest.records()).is_ok());
    for (draft, error) in [
        (Draft { version: 0x0203, ..draft() }, Error::Version),
        (Draft { version: 0xfefd, ..draft() }, Error::Version),
        (Draft { session: vec![0; 33], ..draft() }, Error::SessionId),
        (Draft { ciphers: vec![], ..draft() }, Error::CipherSuites),
        (Draft { ciphers: vec![0x13], ..draft() }, Error::CipherSuites),
        (Draft { ciphers: vec![0x13, 0x01, 0x13], ..draft() }, Error::CipherSuites),
        (Draft { compressions: vec![], ..draft() }, Error::Compression),
        (Draft { compressions: vec![1], ..draft() }, Error::Compression),
    ] {
        assert_eq!(whole(&draft.records()), Err(error), "{draft:?}");
    }
}

#[test]
fn extensions_that_break_the_form_are_refused() {
    let two_hosts = vec16(&[&[0], &vec16(b"a.example")[..], &[0], &vec16(b"b.example")].concat());
    let no_length = vec16(&[0, 0, 9, b'a']);
    let key = (41, &b"key"[..]);
    let sni_of = |host: &[u8]| sni(host);
    for (extensions, error) in [
        (vec![(5, &b""[..]), (5, b"")], Error::ExtensionTwice(5)),
        (vec![(0, &sni_of(b"a.example")), (10, b""), (0, &sni_of(b"a.example"))], Error::ExtensionTwice(0)),
        (vec![(0xfe0d, b""), (0xfe0d, b"")], Error::ExtensionTwice(0xfe0d)),
        (vec![(0x1a1a, b""), (0x1a1a, b"\0")], Error::ExtensionTwice(0x1a1a)),
        (vec![key, (10, b"")], Error::PreSharedKey),
        (vec![(0, b"")], Error::Sni),
        (vec![(0, b"\0\0")], Error::Sni),
        (vec![(0, &no_length)], Error::Sni),
        (vec![(0, &[&sni(b"a.example")[..], b"x"].concat())], Error::Sni),
        (vec![(0, &two_hosts)], Error::SniTwice),
        (vec![(0, &sni_of(b""))], Error::SniName),
        (vec![(0, &sni_of(b"a b"))], Error::SniName),
        (vec![(0, &sni_of(b"a.example\0"))], Error::SniName),
        (vec![(0, &sni_of(b"*.example"))], Error::SniName),
        (vec![(0, &sni_of(b"a..example"))], Error::SniName),
        (vec![(0, &sni_of("b\u{fc}cher.example".as_bytes()))], Error::SniName),
        (vec![(0, &sni_of(b"\xff.example"))], Error::SniName),
        (vec![(0, &sni_of(&[b'a'; 64]))], Error::SniName),
        (vec![(0, &sni_of(b"127.1"))], Error::SniName),
        (vec![(0, &sni_of(b"192.0.2.1"))], Error::SniAddress),
        (vec![(0, &sni_of(b"2001:db8::1"))], Error::SniAddress),
        (vec![(0, &sni_of(b"[2001:db8::1]"))], Error::SniAddress),
        (vec![(0, &sni_of(b"a.example."))], Error::SniTrailingDot),
        (vec![(0, &sni_of(b"."))], Error::SniTrailingDot),
        (vec![(16, b"")], Error::Alpn),
        (vec![(16, b"\0\0")], Error::Alpn),
        (vec![(16, b"\0\x01\0")], Error::Alpn),
        (vec![(16, b"\0\x04\x02h2\0")], Error::Alpn),
        (vec![(16, b"\0\x03\x03h2")], Error::Alpn),
        (vec![(16, b"\0\x03\x02h2x")], Error::Alpn),
        (vec![(43, b"")], Error::SupportedVersions),
        (vec![(43, b"\0")], Error::SupportedVersions),
        (vec![(43, b"\x03\x03\x04\x03")], Error::SupportedVersions),
        (vec![(43, b"\x02\x03\x04\x03")], Error::SupportedVersions),
        (vec![(13, b"")], Error::SignatureAlgorithms),
        (vec![(13, b"\0\0")], Error::SignatureAlgorithms),
        (vec![(13, b"\0\x01\x04")], Error::SignatureAlgorithms),
        (vec![(13, b"\0\x04\x04\x03")], Error::SignatureAlgorithms),
    ] {
        let draft = Draft::new(&extensions);
        assert_eq!(whole(&draft.records()), Err(error), "{draft:?}");
        assert!(error.word().starts_with("hello_") && !error.to_string().is_empty());
    }
    let last = Draft::new(&[(10, b""), key]);
    assert_eq!(whole(&last.records()).unwrap().extensions, [10, 41]);
}

#[test]
fn a_body_that_ends_early_or_late_is_refused() {
    let draft = Draft::new(&[(0, &sni(b"a.example")), (43, &vec8(&u16s(&[0x0304])))]);
    let body = draft.body();
    let without_extensions = Draft { extensions: None, ..draft.clone() }.body().len();
    for end in 0..body.len() {
        let read = whole(&record(&message(&body[..end])));
        match end {
            0..2 => assert_eq!(read, Err(Error::Cut), "{end}"),
            // Before TLS 1.3 a hello may end here.
            _ if end == without_extensions => assert_eq!(read.unwrap().extensions, []),
            _ => assert_eq!(read, Err(Error::Cut), "{end}"),
        }
    }
    assert_eq!(whole(&record(&message(&[&body[..], b"\0"].concat()))), Err(Error::Trailing));
    for (bytes, error) in [
        (&b""[..], Error::Cut),
        (b"\x01\0\0", Error::Cut),
        (b"\x02\0\0\0", Error::NotClientHello),
        (b"\x01\0\0\x01", Error::Cut),
        (&[&message(&body)[..], b"x"].concat(), Error::Cut),
    ] {
        assert_eq!(ClientHello::from_message(bytes), Err(error));
    }
}

#[test]
fn names_are_checked_and_lower_case_and_other_types_are_passed_over() {
    let other = [&[7], &vec16(b"\xff\xff")[..]].concat();
    let host = [&[0], &vec16(b"Shop.Site.EXAMPLE")[..]].concat();
    for (list, name) in [
        (vec16(&host), Some("shop.site.example")),
        (vec16(&[&other[..], &host].concat()), Some("shop.site.example")),
        (vec16(&[&host[..], &other, &other].concat()), Some("shop.site.example")),
        (vec16(&other), None),
        (sni(b"_srv.site.example"), Some("_srv.site.example")),
        (sni(b"localhost"), Some("localhost")),
    ] {
        let hello = whole(&Draft::new(&[(0, &list)]).records()).unwrap();
        assert_eq!(hello.sni.as_ref().map(|name| name.as_str()), name);
        assert!(!format!("{hello:?}").contains("site"), "the name is hidden");
    }
}
