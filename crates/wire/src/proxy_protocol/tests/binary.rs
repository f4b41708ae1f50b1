//! Version 2: the fixed part, the addresses, the bounds.

use super::{read, read_within};
use crate::proxy_protocol::{Detected, Endpoints, Error, MAX_LINE, Transport, UnixAddress, Version, detect};
use shoalway_types::Failure as _;

/// Section 2.2, as it stands there in hexadecimal.
const SIGNATURE: [u8; 12] = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];

pub(super) fn header(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [&SIGNATURE, &[command, family][..], &length, block].concat()
}

const IPV4: [u8; 12] = [192, 0, 2, 1, 192, 0, 2, 2, 0xdc, 0x04, 0x01, 0xbb];

fn ipv6() -> [u8; 36] {
    let mut block = [0; 36];
    block[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    block[15] = 1;
    block[31] = 1;
    block[32..].copy_from_slice(&[0x00, 0x01, 0x00, 0x02]);
    block
}

fn unix(source: &[u8], destination: &[u8]) -> Vec<u8> {
    let mut block = [source, &[0; 216]].concat();
    block.truncate(108);
    block.extend_from_slice(destination);
    block.resize(216, 0);
    block
}

#[test]
fn every_form_is_read() {
    use Transport::{Datagram, Stream};
    let inet = |transport| Endpoints::Inet {
        transport,
        source: "192.0.2.1:56324".parse().unwrap(),
        destination: "192.0.2.2:443".parse().unwrap(),
    };
    let inet6 = |transport| Endpoints::Inet6 {
        transport,
        source: "[2001:db8::1]:1".parse().unwrap(),
        destination: "[::1]:2".parse().unwrap(),
    };
    let full = [b'x'; 108];
    let named = |transport, source, destination| Endpoints::Unix {
        transport,
        source: UnixAddress::new(source).unwrap(),
        destination: UnixAddress::new(destination).unwrap(),
    };
    for (bytes, endpoints) in [
        (header(0x21, 0x11, &IPV4), inet(Stream)),
        (header(0x21, 0x12, &IPV4), inet(Datagram)),
        (header(0x21, 0x21, &ipv6()), inet6(Stream)),
        (header(0x21, 0x22, &ipv6()), inet6(Datagram)),
        (header(0x21, 0x31, &unix(b"", b"/run/x")), named(Stream, b"", b"/run/x")),
        (header(0x21, 0x32, &unix(b"\0abstract", &full)), named(Datagram, b"\0abstract", &full)),
        (header(0x21, 0x00, b""), Endpoints::Unknown),
        (header(0x21, 0x00, b"addresses of an unknown kind"), Endpoints::Unknown),
        (header(0x20, 0x00, b""), Endpoints::Local),
        (header(0x20, 0x11, &IPV4), Endpoints::Local),
        // The family is ignored, so it may be anything, and too short.
        (header(0x20, 0x21, &IPV4), Endpoints::Local),
        (header(0x20, 0xff, b"anything"), Endpoints::Local),
    ] {
        let with_payload = [&bytes[..], b"\r\n\r\n\0payload"].concat();
        let (header, length) = read(&with_payload).unwrap().unwrap();
        assert_eq!(length, bytes.len());
        assert_eq!(header.version, Version::V2);
        assert!(header.endpoints == endpoints, "{:?}", header.endpoints);
        assert_eq!(header.tlvs.iter().count(), 0);
    }
}

#[test]
fn what_is_not_assigned_is_refused() {
    for (bytes, error) in [
        (header(0x11, 0x11, &IPV4), Error::Version(1)),
        (header(0x31, 0x11, &IPV4), Error::Version(3)),
        (header(0x01, 0x11, &IPV4), Error::Version(0)),
        (header(0x22, 0x11, &IPV4), Error::Command(2)),
        (header(0x2f, 0x11, &IPV4), Error::Command(15)),
        (header(0x21, 0x41, &IPV4), Error::Family(0x41)),
        (header(0x21, 0x13, &IPV4), Error::Family(0x13)),
        (header(0x21, 0x01, &IPV4), Error::Family(0x01)),
        (header(0x21, 0x10, &IPV4), Error::Family(0x10)),
        (header(0x21, 0x11, &IPV4[..11]), Error::TooShort),
        (header(0x21, 0x11, b""), Error::TooShort),
        (header(0x21, 0x21, &ipv6()[..35]), Error::TooShort),
        (header(0x21, 0x31, &[0; 215]), Error::TooShort),
        (b"\r\n\r\n\0\r\nQUIT\r\n".to_vec(), Error::Signature),
        (b"\r\n\r\nGET / HTTP/1.1\r\n".to_vec(), Error::Signature),
        (b"\x16\x03\x01".to_vec(), Error::Signature),
    ] {
        assert_eq!(read(&bytes), Err(error), "{bytes:x?}");
    }
}

#[test]
fn the_limit_is_on_what_is_announced() {
    let bytes = header(0x20, 0, &[0; 300]);
    assert!(read_within(&bytes, 300).unwrap().is_some());
    let error = Error::TooLong { announced: 300, limit: 299 };
    assert_eq!(read_within(&bytes, 299), Err(error));
    assert_eq!(read_within(&bytes[..16], 299), Err(error), "before any of it is waited for");
    assert_eq!(error.word(), "proxy_protocol_too_long");
    assert_eq!(error.to_string(), "the binary PROXY header announces 300 bytes, and 299 are allowed");
    assert!(read(&header(0x20, 0, &[0; 4_096])).unwrap().is_some());
    assert_eq!(read(&header(0x20, 0, &[0; 4_097])), Err(Error::TooLong { announced: 4_097, limit: 4_096 }));
}

#[test]
fn a_header_is_told_from_other_protocols_by_its_first_bytes() {
    for (bytes, detected) in [
        (&b""[..], Detected::NeedMore),
        (b"P", Detected::NeedMore),
        (b"PROXY", Detected::NeedMore),
        (b"PROXY ", Detected::Header(Version::V1)),
        (b"POST / HTTP/1.1", Detected::Other),
        (b"PRI * HTTP/2.0", Detected::Other),
        (b"\r", Detected::NeedMore),
        (b"\r\n\r\n", Detected::NeedMore),
        (b"\r\nGET", Detected::Other),
        (&SIGNATURE[..11], Detected::NeedMore),
        (&SIGNATURE, Detected::Header(Version::V2)),
        (b"\x16\x03", Detected::Other),
        (b"\x05", Detected::Other),
    ] {
        assert_eq!(detect(bytes), detected, "{}", bytes.escape_ascii());
    }
    const { assert!(MAX_LINE == 107) };
}

#[test]
fn a_name_of_a_socket_is_what_stands_before_the_filling() {
    assert_eq!(UnixAddress::new(b"/run/x\0\0").unwrap().as_bytes(), b"/run/x");
    assert_eq!(UnixAddress::new(&[0; 108]).unwrap().as_bytes(), b"");
    assert_eq!(UnixAddress::new(&[1; 108]).unwrap().as_bytes().len(), 108);
    assert_eq!(UnixAddress::new(&[1; 109]), None);
    assert_eq!(format!("{:?}", UnixAddress::new(b"/run/x")), "Some([hidden])");
}
