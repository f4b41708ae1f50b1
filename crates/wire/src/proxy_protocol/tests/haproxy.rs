//! Headers as HAProxy 2.6 writes them (`send-proxy-v2 proxy-v2-options crc32c,unique-id,authority,ssl,ssl-cipher`), for
//! a client without TLS and one with; each with what the client said behind it.

use super::read;
use crate::proxy_protocol::tlv::{Ssl, SslField, Tlv};
use crate::proxy_protocol::{Endpoints, Header, Transport};

fn told(bytes: &'static [u8], payload: &[u8]) -> (Header<'static>, Vec<Tlv<'static>>) {
    let (header, length) = read(bytes).unwrap().unwrap();
    assert_eq!(&bytes[length..], payload);
    assert!(matches!(header.endpoints, Endpoints::Inet { transport: Transport::Stream, .. }));
    (header, header.tlvs.iter().collect())
}

#[test]
fn a_client_without_tls_is_understood() {
    let (header, tlvs) = told(include_bytes!("../testdata/haproxy_v2_tcp.bin"), b"hello");
    assert_eq!(header.endpoints.client(), Some("127.0.0.1:60344".parse().unwrap()));
    assert_eq!(header.endpoints.destination(), Some("127.0.0.1:7811".parse().unwrap()));
    let ssl = Ssl::read(&[0; 5]).unwrap();
    assert_eq!(tlvs, [Tlv::Crc32c(0x373c_b04a), Tlv::UniqueId(b"id-1234"), Tlv::Ssl(ssl)]);
    assert!(!ssl.certificate_verified());
}

#[test]
fn a_client_with_tls_is_understood() {
    let (_, tlvs) = told(include_bytes!("../testdata/haproxy_v2_ssl.bin"), b"hello\n");
    let [Tlv::Crc32c(0x56e4_6eef), alpn, authority, id, Tlv::Ssl(ssl)] = tlvs[..] else { panic!("{tlvs:?}") };
    assert_eq!(alpn, Tlv::Alpn(b"h2"));
    assert_eq!(authority, Tlv::Authority("site.example"));
    assert_eq!(id, Tlv::UniqueId(b"id-1234"));
    assert_eq!((ssl.client(), ssl.verify()), (Ssl::TLS, 0));
    let fields: Vec<_> = ssl.fields().collect();
    assert_eq!(fields, [SslField::Version("TLSv1.3"), SslField::Cipher("TLS_AES_256_GCM_SHA384")]);
}
