//! TLS hellos: `data` is what a client sends first, and is the body of a hello.

use shoalway_wire::client_hello::{ClientHello, Error, read};

/// Longest input worth trying.
const MOST: usize = 4_096;

/// Reads `data` as records at many cuts, and as a body that is cut into records in several ways.
pub fn client_hello(data: &[u8]) {
    let data = data.get(..MOST).unwrap_or(data);
    for limit in [MOST + 1, data.len() / 2] {
        at_every_cut(data, limit);
    }
    in_records(data);
}

/// At up to 256 cuts, growing: before the end nothing, from then on always the same.
fn at_every_cut(data: &[u8], limit: usize) {
    let whole = read(data, limit);
    let mut decided = false;
    for cut in (0..=data.len()).step_by(data.len() / 256 + 1) {
        let so_far = read(data.get(..cut).unwrap_or_default(), limit);
        assert!(so_far == whole || (so_far == Ok(None) && !decided), "another outcome at {cut}");
        decided |= so_far != Ok(None);
    }
    assert!(whole != Ok(None) || data.len() < limit, "waits beyond its limit");
    if let Ok(Some(hello)) = whole {
        sound(&hello);
    }
}

/// What the fields promise.
fn sound(hello: &ClientHello) {
    let (ja4, raw) = (hello.ja4(), hello.ja4_raw());
    assert!(ja4.len() == 36 && ja4.is_ascii(), "no fingerprint: {ja4}");
    assert!(ja4.get(..11) == raw.get(..11), "two fingerprints");
    assert!(hello.alpn.iter().all(|name| (1..=255).contains(&name.len())), "a protocol without a name");
    let mut types = hello.extensions.clone();
    types.sort_unstable();
    types.dedup();
    assert_eq!(types.len(), hello.extensions.len(), "an extension twice");
    if let Some(name) = &hello.sni {
        let name = name.as_str();
        assert!(!name.is_empty() && !name.ends_with('.') && name == name.to_lowercase(), "no host name");
        assert!(hello.extensions.contains(&0), "a name from nowhere");
    }
}

/// The outcome does not hang on how a message is cut into records.
fn in_records(body: &[u8]) {
    let [_, a, b, c] = u32::try_from(body.len()).unwrap_or_default().to_be_bytes();
    let message = [&[1, a, b, c], body].concat();
    let expected = ClientHello::from_message(&message);
    for size in [1, 2, 5, 97, MOST + 4] {
        let records: Vec<u8> = message.chunks(size).flat_map(record).collect();
        let outcome = read(&records, records.len());
        assert!(outcome == expected.clone().map(Some), "records of {size} bytes change the outcome");
        let missing = read(records.get(..records.len() - 1).unwrap_or_default(), records.len());
        assert!(missing == Ok(None), "decided without the last byte");
    }
    assert!(
        !matches!(expected, Err(Error::NotHandshake | Error::RecordTooLong | Error::TooLong { .. })),
        "an error of records without any"
    );
}

fn record(fragment: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(fragment.len()).unwrap_or_default().to_be_bytes();
    [&[22, 3, 1, high, low], fragment].concat()
}
