//! What is written reads as what was meant.

use super::{read, read_within};
use crate::proxy_protocol::tlv::{Ssl, SslField, Tlv};
use crate::proxy_protocol::{Checksum, Endpoints, Transport, UnixAddress, encode_v1, encode_v2};
use proptest::prelude::{
    Just, ProptestConfig, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest,
};
use std::net::SocketAddr;

fn transport() -> impl Strategy<Value = Transport> {
    prop_oneof![Just(Transport::Stream), Just(Transport::Datagram)]
}

/// Two addresses in the form the header has for them.
fn inet() -> impl Strategy<Value = Endpoints<'static>> {
    (transport(), any::<[SocketAddr; 2]>()).prop_map(|(transport, [source, destination])| {
        // Arbitrary IPv6 addresses carry scopes, which no header does.
        Endpoints::between(transport, source, destination)
    })
}

/// Values of each kind: ALPN, host, id, certificate name, own.
type Values = (Vec<u8>, String, Vec<u8>, String, Vec<(u8, Vec<u8>)>);

fn values() -> impl Strategy<Value = Values> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..40);
    (bytes(), ".{0,20}", bytes(), ".{0,20}", prop::collection::vec((0xe0..=0xff_u8, bytes()), 0..4))
}

/// What a header may begin with, so that the rest is looked at.
const STARTS: &[&[u8]] = &[
    b"",
    b"PROXY ",
    b"PROXY UNKNOWN ",
    b"PROXY TCP4 1.2.3.4 ",
    b"\r\n\r\n\0\r\nQUIT\n",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0",
    b"\r\n\r\n\0\r\nQUIT\n\x20\0\0",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_line_reads_as_written(endpoints in inet()) {
        let mut bytes = Vec::new();
        encode_v1(&endpoints, &mut bytes);
        let (header, length) = read(&bytes).unwrap().unwrap();
        let datagrams = matches!(
            endpoints,
            Endpoints::Inet { transport: Transport::Datagram, .. }
                | Endpoints::Inet6 { transport: Transport::Datagram, .. }
        );
        let expected = if datagrams { Endpoints::Unknown } else { endpoints };
        prop_assert!(header.endpoints == expected);
        prop_assert_eq!(length, bytes.len());
    }

    #[test]
    fn a_binary_header_reads_as_written(
        inet in inet(),
        names in any::<(Vec<u8>, Vec<u8>)>(),
        form in 0..4,
        transport in transport(),
        (alpn, host, id, cn, own) in values(),
        summed in any::<bool>(),
    ) {
        let (source, destination) = (&names.0[..names.0.len().min(108)], &names.1[..names.1.len().min(108)]);
        let endpoints = match form {
            0 => Endpoints::Local,
            1 => Endpoints::Unknown,
            2 => Endpoints::Unix {
                transport,
                source: UnixAddress::new(source).unwrap(),
                destination: UnixAddress::new(destination).unwrap(),
            },
            _ => inet,
        };
        let mut ssl = Vec::new();
        let fields = [SslField::Version("TLSv1.2"), SslField::CommonName(&cn)];
        Ssl::compose(Ssl::TLS | Ssl::CERTIFICATE, 0, &fields, &mut ssl);
        let ssl = Ssl::read(&ssl).unwrap();
        prop_assert_eq!(ssl.fields().collect::<Vec<_>>(), fields);
        let mut tlvs = vec![Tlv::Alpn(&alpn), Tlv::Authority(&host), Tlv::UniqueId(&id), Tlv::Ssl(ssl)];
        tlvs.extend(own.iter().map(|(kind, value)| Tlv::Other { kind: *kind, value }));

        let checksum = if summed { Checksum::Crc32c } else { Checksum::Without };
        let mut bytes = Vec::new();
        encode_v2(&endpoints, &tlvs, checksum, &mut bytes).unwrap();
        let (header, length) = read(&bytes).unwrap().unwrap();
        prop_assert!(header.endpoints == endpoints);
        prop_assert_eq!(length, bytes.len());
        let mut told: Vec<_> = header.tlvs.iter().collect();
        prop_assert_eq!(summed, matches!(told.last(), Some(Tlv::Crc32c(_))));
        told.truncate(tlvs.len());
        prop_assert_eq!(told, tlvs);
    }

    #[test]
    fn arbitrary_bytes_are_read_alike_at_every_cut(
        start in prop::sample::select(STARTS),
        rest in prop::collection::vec(prop_oneof![any::<u8>(), Just(b' '), Just(b'\r'), Just(b'\n')], 0..160),
        limit in 0..400_usize,
    ) {
        let bytes = [start, &rest[..]].concat();
        if let Ok(Some((_, length))) = read_within(&bytes, limit) {
            prop_assert!(length <= 107.max(16 + limit));
        }
    }
}
