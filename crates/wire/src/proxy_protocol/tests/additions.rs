//! Version 2: types, lengths and values behind the addresses.

use super::binary::header;
use super::read;
use crate::proxy_protocol::tlv::{MAX_UNIQUE_ID, Ssl, SslField, Tlv};
use crate::proxy_protocol::{Checksum, EncodeError, Endpoints, Error, decode, encode_v2};

const IPV4: [u8; 12] = [192, 0, 2, 1, 192, 0, 2, 2, 0xdc, 0x04, 0x01, 0xbb];

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(value.len()).unwrap().to_be_bytes();
    [&[kind, high, low], value].concat()
}

/// A header over TCP and IPv4 with these additions.
fn with(additions: &[Vec<u8>]) -> Vec<u8> {
    header(0x21, 0x11, &[&IPV4[..], &additions.concat()].concat())
}

fn told(bytes: &[u8]) -> Vec<Tlv<'_>> {
    let (header, length) = read(bytes).unwrap().unwrap();
    assert_eq!(length, bytes.len());
    header.tlvs.iter().collect()
}

/// The additions that the form of TLS is told with, by hand.
fn ssl_value() -> Vec<u8> {
    let fields = [
        tlv(0x21, b"TLSv1.3"),
        tlv(0x22, "b\u{fc}cher".as_bytes()),
        tlv(0x23, b"TLS_AES_128_GCM_SHA256"),
        tlv(0x24, b"RSA-SHA256"),
        tlv(0x25, b"RSA2048"),
        tlv(0x26, b"x25519"),
    ];
    [&[7, 0, 0, 0, 0][..], &fields.concat()].concat()
}

#[test]
fn every_type_is_told() {
    let ssl = ssl_value();
    let id = [0xa5; MAX_UNIQUE_ID];
    let bytes = with(&[
        tlv(0x01, b"h2"),
        tlv(0x02, b"site.example"),
        tlv(0x04, b""),
        tlv(0x04, b"\0\0\0"),
        tlv(0x05, &id),
        tlv(0x20, &ssl),
        tlv(0x30, b"blue"),
        tlv(0xe0, b"own"),
        tlv(0xe0, b"again"),
        tlv(0xff, b""),
    ]);
    let ssl = Ssl::read(&ssl).unwrap();
    assert_eq!(
        told(&bytes),
        [
            Tlv::Alpn(b"h2"),
            Tlv::Authority("site.example"),
            Tlv::Noop(b""),
            Tlv::Noop(b"\0\0\0"),
            Tlv::UniqueId(&id),
            Tlv::Ssl(ssl),
            Tlv::Netns("blue"),
            Tlv::Other { kind: 0xe0, value: b"own" },
            Tlv::Other { kind: 0xe0, value: b"again" },
            Tlv::Other { kind: 0xff, value: b"" },
        ]
    );
    assert_eq!((ssl.client(), ssl.verify(), ssl.certificate_verified()), (7, 0, true));
    assert_eq!(
        ssl.fields().collect::<Vec<_>>(),
        [
            SslField::Version("TLSv1.3"),
            SslField::CommonName("b\u{fc}cher"),
            SslField::Cipher("TLS_AES_128_GCM_SHA256"),
            SslField::SignatureAlgorithm("RSA-SHA256"),
            SslField::KeyAlgorithm("RSA2048"),
            SslField::Other { kind: 0x26, value: b"x25519" },
        ]
    );
}

#[test]
fn a_certificate_counts_as_verified_only_when_there_was_one() {
    for (client, verify, verified) in [
        (Ssl::TLS, 0, false),
        (Ssl::TLS | Ssl::CERTIFICATE, 0, true),
        (7, 18, false),
        (5, 0, true),
        (0, 1, false),
    ] {
        let mut value = Vec::new();
        Ssl::compose(client, verify, &[], &mut value);
        assert_eq!(Ssl::read(&value).unwrap().certificate_verified(), verified, "{client} {verify}");
    }
}

#[test]
fn malformed_additions_are_refused() {
    let sub = |fields: &[Vec<u8>]| tlv(0x20, &[&[1, 0, 0, 0, 0][..], &fields.concat()].concat());
    for (additions, error) in [
        (vec![vec![0x04]], Error::TlvLength),
        (vec![vec![0x04, 0]], Error::TlvLength),
        (vec![vec![0x04, 0, 1]], Error::TlvLength),
        (vec![tlv(0x04, b"x"), vec![0xe0, 0xff, 0xff]], Error::TlvLength),
        (vec![tlv(0x02, b"\xff")], Error::TlvValue(0x02)),
        (vec![tlv(0x03, b"abc")], Error::TlvValue(0x03)),
        (vec![tlv(0x03, b"abcde")], Error::TlvValue(0x03)),
        (vec![tlv(0x05, &[0; MAX_UNIQUE_ID + 1])], Error::TlvValue(0x05)),
        (vec![tlv(0x20, &[1, 0, 0, 0])], Error::TlvValue(0x20)),
        (vec![tlv(0x30, "bl\u{fc}".as_bytes())], Error::TlvValue(0x30)),
        (vec![sub(&[vec![0x21, 0, 9]])], Error::TlvLength),
        (vec![sub(&[tlv(0x21, b"\x80")])], Error::TlvValue(0x21)),
        (vec![sub(&[tlv(0x22, b"\xff")])], Error::TlvValue(0x22)),
        (vec![sub(&[tlv(0x23, b"a"), tlv(0x23, b"b")])], Error::TlvTwice(0x23)),
        (vec![tlv(0x01, b"h2"), tlv(0x01, b"h2")], Error::TlvTwice(0x01)),
        (vec![tlv(0x02, b"a"), tlv(0x04, b""), tlv(0x02, b"b")], Error::TlvTwice(0x02)),
        (vec![tlv(0x03, &[0; 4]), tlv(0x03, &[0; 4])], Error::TlvTwice(0x03)),
        (vec![tlv(0x05, b""), tlv(0x05, b"")], Error::TlvTwice(0x05)),
        (vec![sub(&[]), sub(&[])], Error::TlvTwice(0x20)),
        (vec![tlv(0x30, b""), tlv(0x30, b"")], Error::TlvTwice(0x30)),
    ] {
        let bytes = with(&additions);
        assert_eq!(read(&bytes), Err(error), "{bytes:x?}");
        // A header that speaks of no addresses is believed as far as it goes.
        for command in [0x20, 0x21] {
            let bytes = header(command, 0x00, &additions.concat());
            assert_eq!(told(&bytes), []);
        }
    }
}

#[test]
fn a_checksum_must_be_that_of_the_whole_header() {
    let (before, after) = (tlv(0x02, b"site.example"), tlv(0x04, b"padding"));
    for (command, family) in [(0x21, 0x11), (0x20, 0x00), (0x21, 0x00)] {
        let addresses = if family == 0 { &[][..] } else { &IPV4 };
        let block = [addresses, &before, &tlv(0x03, &[0; 4]), &after].concat();
        let mut bytes = header(command, family, &block);
        let crc = bitwise_crc32c(&bytes).to_be_bytes();
        let at = 16 + addresses.len() + before.len() + 3;
        bytes[at..at + 4].copy_from_slice(&crc);
        let tlvs = told(&bytes);
        assert_eq!(tlvs[1], Tlv::Crc32c(u32::from_be_bytes(crc)));
        assert_eq!(tlvs.len(), 3);

        for bit in 0..8 {
            for place in [at, at + 3, at - 4, bytes.len() - 1] {
                let mut broken = bytes.clone();
                broken[place] ^= 1 << bit;
                // A host that is no longer UTF-8 is told before the checksum is looked at.
                let read = read(&broken).map(|read| read.map(|(header, _)| header.tlvs.iter().count()));
                let ignored = family == 0 && bit == 7 && place == at - 4;
                let no_text = bit == 7 && place == at - 4;
                match (ignored, no_text) {
                    (true, _) => assert_eq!(read, Ok(Some(0))),
                    (_, true) => assert_eq!(read, Err(Error::TlvValue(0x02))),
                    _ => assert_eq!(read, Err(Error::Checksum), "bit {bit} of byte {place}"),
                }
            }
        }
    }
}

/// Without the table, straight from the polynomial.
fn bitwise_crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

#[test]
fn what_a_receiver_would_refuse_is_not_written() {
    let big = vec![0; 65_536];
    let half = vec![0; 40_000];
    let other = |kind, value| Tlv::Other { kind, value };
    for (tlvs, error) in [
        (vec![Tlv::Crc32c(7)], EncodeError::Checksum),
        (vec![other(3, b"1234")], EncodeError::Checksum),
        (vec![Tlv::UniqueId(&big[..129])], EncodeError::Tlv(Error::TlvValue(5))),
        (vec![Tlv::Netns("\u{fc}")], EncodeError::Tlv(Error::TlvValue(0x30))),
        (vec![other(2, b"\xff")], EncodeError::Tlv(Error::TlvValue(2))),
        (vec![Tlv::Alpn(b"h2"), other(1, b"h3")], EncodeError::Tlv(Error::TlvTwice(1))),
        (vec![Tlv::Noop(&big)], EncodeError::TooLong),
        (vec![Tlv::Noop(&half), Tlv::Noop(&half)], EncodeError::TooLong),
    ] {
        let mut out = b"before".to_vec();
        assert_eq!(encode_v2(&Endpoints::Local, &tlvs, Checksum::Crc32c, &mut out), Err(error));
        assert_eq!(out, b"before");
    }
}

#[test]
fn debug_output_tells_neither_host_nor_user() {
    let ssl = ssl_value();
    let bytes = with(&[tlv(0x02, b"bank.example"), tlv(0x05, b"me"), tlv(0x20, &ssl)]);
    let (header, _) = decode(&bytes).unwrap().unwrap();
    let shown = format!("{header:?} {:?}", Ssl::read(&ssl).unwrap().fields().collect::<Vec<_>>());
    for hidden in ["bank", "192", "me\"", "cher"] {
        assert!(!shown.contains(hidden), "{shown}");
    }
}
