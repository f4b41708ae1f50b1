//! Version 1.

use super::read;
use crate::proxy_protocol::{Endpoints, Error, MAX_LINE, Transport, Version, encode_v1};
use std::net::SocketAddr;

fn tcp(source: &str, destination: &str) -> Endpoints<'static> {
    let [source, destination] = [source, destination].map(|addr| addr.parse::<SocketAddr>().unwrap());
    match (source, destination) {
        (SocketAddr::V4(source), SocketAddr::V4(destination)) => {
            Endpoints::Inet { transport: Transport::Stream, source, destination }
        }
        (SocketAddr::V6(source), SocketAddr::V6(destination)) => {
            Endpoints::Inet6 { transport: Transport::Stream, source, destination }
        }
        _ => panic!("two families"),
    }
}

#[test]
fn lines_are_read() {
    let full = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535";
    let full_line = full.split(']').next().unwrap().trim_start_matches('[');
    for (line, endpoints) in [
        // The example of section 2.1, then the longest of each protocol.
        ("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443", tcp("192.168.0.1:56324", "192.168.0.11:443")),
        (
            "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535",
            tcp("255.255.255.255:65535", "255.255.255.255:65535"),
        ),
        (&format!("PROXY TCP6 {full_line} {full_line} 65535 65535"), tcp(full, full)),
        (&format!("PROXY UNKNOWN {full_line} {full_line} 65535 65535"), Endpoints::Unknown),
        ("PROXY UNKNOWN", Endpoints::Unknown),
        ("PROXY UNKNOWN ", Endpoints::Unknown),
        ("PROXY UNKNOWN what\tever \u{fc} TCP4", Endpoints::Unknown),
        ("PROXY TCP4 0.0.0.0 0.0.0.0 0 0", tcp("0.0.0.0:0", "0.0.0.0:0")),
        ("PROXY TCP6 2001:DB8::1 :: 1 2", tcp("[2001:db8::1]:1", "[::]:2")),
        (
            "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:c000:202 1 2",
            tcp("[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.2]:2"),
        ),
    ] {
        let bytes = format!("{line}\r\nGET / HTTP/1.1\r\n");
        let (header, length) = read(bytes.as_bytes()).unwrap().unwrap();
        assert_eq!(length, line.len() + 2, "{line}");
        assert!(length <= MAX_LINE, "{line}");
        assert_eq!(header.version, Version::V1);
        assert!(header.endpoints == endpoints, "{line}");
        assert_eq!(header.tlvs.iter().count(), 0);
    }
}

#[test]
fn what_is_not_to_the_letter_is_refused() {
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(MAX_LINE - 15));
    assert_eq!(long.len(), MAX_LINE + 1);
    let endless = format!("PROXY UNKNOWN {}", "x".repeat(200));
    let late_lf = format!("PROXY UNKNOWN {}\n", "x".repeat(92));
    for (bytes, error) in [
        ("GET / HTTP/1.1\r\n", Error::Signature),
        ("proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n", Error::Signature),
        (" PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n", Error::Signature),
        ("PROXY\tTCP4 1.2.3.4 1.2.3.4 1 2\r\n", Error::Signature),
        ("PROXY\r\n", Error::Signature),
        ("PROXY \r\n", Error::Protocol),
        ("PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n", Error::Protocol),
        ("PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n", Error::Protocol),
        ("PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n", Error::Protocol),
        ("PROXY UNKNOWNS\r\n", Error::Protocol),
        ("PROXY TCP4\r\n", Error::Fields),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", Error::Fields),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n", Error::Fields),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n", Error::Fields),
        ("PROXY TCP4 1.2.3.4  1.2.3.4 1\r\n", Error::Address),
        ("PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n", Error::Address),
        ("PROXY TCP4 1.2.3.04 1.2.3.4 1 2\r\n", Error::Address),
        ("PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n", Error::Address),
        ("PROXY TCP4 1.2.3.4\t1.2.3.4 1 2 3\r\n", Error::Address),
        ("PROXY TCP4 ::1 1.2.3.4 1 2\r\n", Error::Address),
        ("PROXY TCP4 1.2.3.4 \u{661}.2.3.4 1 2\r\n", Error::Address),
        ("PROXY TCP6 1.2.3.4 ::1 1 2\r\n", Error::Address),
        ("PROXY TCP6 [::1] ::1 1 2\r\n", Error::Address),
        ("PROXY TCP6 fe80::1%lo ::1 1 2\r\n", Error::Address),
        ("PROXY TCP6 1::2::3 ::1 1 2\r\n", Error::Address),
        ("PROXY TCP6 00001::2 ::1 1 2\r\n", Error::Address),
        ("PROXY TCP4 1.2.3.4 1.2.3.4  2\r\n", Error::Port),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n", Error::Port),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n", Error::Port),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", Error::Port),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1 00\r\n", Error::Port),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n", Error::Port),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n", Error::BareLineEnd),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r", Error::BareLineEnd),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\r\n", Error::BareLineEnd),
        ("PROXY UNKNOWN a\nb\r\n", Error::BareLineEnd),
        ("PROXY UNKNOWN a\rb\r\n", Error::BareLineEnd),
        (&late_lf, Error::BareLineEnd),
        (&long, Error::LineTooLong),
        (&endless, Error::LineTooLong),
    ] {
        // Something follows, so that a lone CR at the end is one.
        let bytes = format!("{bytes}GET / HTTP/1.1\r\n");
        assert_eq!(read(bytes.as_bytes()), Err(error), "{}", bytes.escape_debug());
    }
}

#[test]
fn lines_are_written_as_the_text_has_them() {
    let addr = |text: &str| text.parse::<SocketAddr>().unwrap();
    let between = |from, to| Endpoints::between(Transport::Stream, addr(from), addr(to));
    for (endpoints, line) in [
        (between("192.0.2.1:1", "192.0.2.2:65535"), "PROXY TCP4 192.0.2.1 192.0.2.2 1 65535\r\n"),
        (between("[2001:db8::1]:1", "[::1]:2"), "PROXY TCP6 2001:db8::1 ::1 1 2\r\n"),
        (between("[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.2]:2"), "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"),
        (between("192.0.2.1:1", "[2001:db8::1]:2"), "PROXY TCP6 ::ffff:c000:201 2001:db8::1 1 2\r\n"),
        (
            Endpoints::between(Transport::Datagram, addr("192.0.2.1:1"), addr("192.0.2.2:2")),
            "PROXY UNKNOWN\r\n",
        ),
        (Endpoints::Local, "PROXY UNKNOWN\r\n"),
        (Endpoints::Unknown, "PROXY UNKNOWN\r\n"),
    ] {
        let mut out = b"before ".to_vec();
        encode_v1(&endpoints, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), format!("before {line}"));
    }
}

#[test]
fn rules_see_a_mapped_client_as_ipv4() {
    let (header, _) = read(b"PROXY TCP6 ::ffff:127.0.0.1 ::ffff:192.0.2.2 1 2\r\n").unwrap().unwrap();
    assert_eq!(header.endpoints.client(), Some("127.0.0.1:1".parse().unwrap()));
    assert_eq!(header.endpoints.destination(), Some("192.0.2.2:2".parse().unwrap()));
    assert_eq!(format!("{header:?}"), "Header { version: V1, endpoints: Inet6(Stream, [hidden]), tlvs: [] }");
}
