//! The PROXY protocol: `data` is what a proxy in front sends first.

use shoalway_wire::proxy_protocol::tlv::{Ssl, SslField, Tlv};
use shoalway_wire::proxy_protocol::{
    Checksum, Endpoints, Error, Header, Transport, Version, decode_within, encode_v1, encode_v2,
};

/// Longest input worth trying at every cut.
const MOST: usize = 1_024;

/// Reads `data` at every cut; what was read, both writers must be able to write.
pub fn proxy_protocol(data: &[u8]) {
    let data = data.get(..MOST).unwrap_or(data);
    let whole = decode_within(data, MOST / 2);
    let mut decided = false;
    for cut in 0..=data.len() {
        let so_far = decode_within(data.get(..cut).unwrap_or_default(), MOST / 2);
        assert!(so_far == whole || (so_far == Ok(None) && !decided), "another outcome at {cut}");
        decided |= so_far != Ok(None);
    }
    let Ok(Some((header, length))) = whole else { return };
    assert!(length <= data.len() && length <= 16 + MOST / 2, "longer than what is there, or than the limit");
    match header.version {
        Version::V1 => assert!(length <= 107 && header.tlvs.iter().next().is_none(), "not a line"),
        Version::V2 => write_and_read(&header),
    }
    write_and_read_line(&header.endpoints);
}

/// All but the checksum, which the writer makes itself, and with it.
fn write_and_read(header: &Header<'_>) {
    let tlvs: Vec<Tlv<'_>> = header.tlvs.iter().filter(|told| !matches!(told, Tlv::Crc32c(_))).collect();
    for told in &tlvs {
        if let Tlv::Ssl(ssl) = told {
            let fields: Vec<SslField<'_>> = ssl.fields().collect();
            let mut value = Vec::new();
            Ssl::compose(ssl.client(), ssl.verify(), &fields, &mut value);
            assert!(Ssl::read(&value) == Ok(*ssl), "the form of TLS is not what was read before");
        }
    }
    for checksum in [Checksum::Without, Checksum::Crc32c] {
        let mut bytes = Vec::new();
        if let Err(error) = encode_v2(&header.endpoints, &tlvs, checksum, &mut bytes) {
            panic!("what was read before cannot be written: {error}");
        }
        let (again, length) = expect(decode_within(&bytes, MOST));
        let told: Vec<Tlv<'_>> = again.tlvs.iter().filter(|told| !matches!(told, Tlv::Crc32c(_))).collect();
        let summed = again.tlvs.iter().count() > told.len();
        assert!(again.endpoints == header.endpoints && told == tlvs, "not what was read before");
        assert_eq!((length, summed), (bytes.len(), checksum == Checksum::Crc32c));
    }
}

/// Version 1 has no word for what is not TCP.
fn write_and_read_line(endpoints: &Endpoints<'_>) {
    let mut line = Vec::new();
    encode_v1(endpoints, &mut line);
    let (again, length) = expect(decode_within(&line, MOST));
    let expected = match endpoints {
        Endpoints::Inet { transport: Transport::Stream, .. }
        | Endpoints::Inet6 { transport: Transport::Stream, .. } => *endpoints,
        Endpoints::Inet { .. }
        | Endpoints::Inet6 { .. }
        | Endpoints::Unix { .. }
        | Endpoints::Local
        | Endpoints::Unknown => Endpoints::Unknown,
    };
    assert!(again.endpoints == expected && length == line.len(), "the line is not what was read before");
}

fn expect(read: Result<Option<(Header<'_>, usize)>, Error>) -> (Header<'_>, usize) {
    match read {
        Ok(Some(read)) => read,
        Ok(None) => panic!("what was read before is now incomplete"),
        Err(error) => panic!("what was read before is now refused: {error}"),
    }
}
