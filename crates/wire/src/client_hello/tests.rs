//! Hellos of real clients, every mistake by name, every cut between reads and between records.
//!
//! `testdata/*.bin` are the bytes that clients sent to a listener on the loopback address: `curl` 7.88 and `openssl
//! s_client` 3.0 (with and without a name), Chromium 156. `testdata/ja4.py` is what their fingerprints were taken by.

mod captured;
mod refusals;
mod round_trip;

use super::{ClientHello, DEFAULT_LIMIT, Error, read};

/// A hello to be put together, right or wrong.
#[derive(Debug, Clone)]
struct Draft {
    version: u16,
    session: Vec<u8>,
    ciphers: Vec<u8>,
    compressions: Vec<u8>,
    /// Type and value; `None` is a hello that ends before its extensions.
    extensions: Option<Vec<(u16, Vec<u8>)>>,
}

impl Draft {
    fn new(extensions: &[(u16, &[u8])]) -> Self {
        Self {
            version: 0x0303,
            session: vec![7; 32],
            ciphers: vec![0x13, 0x01],
            compressions: vec![0],
            extensions: Some(extensions.iter().map(|(kind, value)| (*kind, value.to_vec())).collect()),
        }
    }

    /// The part behind the handshake message's length.
    fn body(&self) -> Vec<u8> {
        let mut body = self.version.to_be_bytes().to_vec();
        body.extend_from_slice(&[0x5a; 32]);
        body.extend(vec8(&self.session));
        body.extend(vec16(&self.ciphers));
        body.extend(vec8(&self.compressions));
        if let Some(extensions) = &self.extensions {
            let each =
                extensions.iter().map(|(kind, value)| [&kind.to_be_bytes()[..], &vec16(value)].concat());
            body.extend(vec16(&each.collect::<Vec<_>>().concat()));
        }
        body
    }

    fn records(&self) -> Vec<u8> {
        record(&message(&self.body()))
    }
}

fn vec8(value: &[u8]) -> Vec<u8> {
    [&[u8::try_from(value.len()).unwrap()], value].concat()
}

fn vec16(value: &[u8]) -> Vec<u8> {
    [&u16::try_from(value.len()).unwrap().to_be_bytes(), value].concat()
}

fn message(body: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[1, a, b, c], body].concat()
}

fn record(fragment: &[u8]) -> Vec<u8> {
    [&[22, 3, 1], &vec16(fragment)[..]].concat()
}

fn u16s(values: &[u16]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_be_bytes()).collect()
}

/// The value of a `server_name` extension with one host.
fn sni(host: &[u8]) -> Vec<u8> {
    vec16(&[&[0], &vec16(host)[..]].concat())
}

/// What is read of `bytes`, and the same at every cut: before the end nothing, from then on always the same.
#[track_caller]
fn read_at_every_cut(bytes: &[u8], limit: usize) -> Result<Option<ClientHello>, Error> {
    let whole = read(bytes, limit);
    let mut decided = false;
    for cut in 0..=bytes.len() {
        let so_far = read(&bytes[..cut], limit);
        assert!(so_far == whole || (so_far == Ok(None) && !decided), "at {cut}: {so_far:?}, not {whole:?}");
        decided |= so_far != Ok(None);
    }
    whole
}

/// As [`read_at_every_cut`], where nothing is missing.
#[track_caller]
fn whole(bytes: &[u8]) -> Result<ClientHello, Error> {
    read_at_every_cut(bytes, DEFAULT_LIMIT).map(|read| read.expect("the hello is whole"))
}
