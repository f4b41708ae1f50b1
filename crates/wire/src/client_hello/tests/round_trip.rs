//! What is put into a hello is read out of it, however it is cut into records.

use super::{Draft, message, record, sni, u16s, vec8, vec16};
use crate::client_hello::{DEFAULT_LIMIT, read};
use proptest::prelude::{ProptestConfig, any, prop, prop_assert, prop_assert_eq, proptest};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_hello_reads_as_written(
        minor in 0..5_u16,
        session in prop::collection::vec(any::<u8>(), 0..=32),
        ciphers in prop::collection::vec(any::<u16>(), 1..40),
        host in prop::option::of("[a-z0-9]([a-z0-9_-]{0,10}[a-z0-9])?(\\.[a-z]([a-z0-9-]{0,10}[a-z0-9])?){1,3}"),
        alpn in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 0..4),
        versions in prop::collection::vec(any::<u16>(), 0..10),
        schemes in prop::collection::vec(any::<u16>(), 0..10),
        others in prop::collection::btree_map(100..0xfe00_u16, prop::collection::vec(any::<u8>(), 0..50), 0..8),
        ech in any::<bool>(),
        cuts in prop::collection::vec(1..200_usize, 1..8),
    ) {
        let mut extensions: Vec<(u16, Vec<u8>)> = others.into_iter().collect();
        if let Some(host) = &host {
            extensions.push((0, sni(host.as_bytes())));
        }
        if !alpn.is_empty() {
            let list: Vec<_> = alpn.iter().map(|name| vec8(name)).collect();
            extensions.insert(0, (16, vec16(&list.concat())));
        }
        if !versions.is_empty() {
            extensions.push((43, vec8(&u16s(&versions))));
        }
        if !schemes.is_empty() {
            extensions.push((13, vec16(&u16s(&schemes))));
        }
        if ech {
            extensions.push((0xfe0d, vec![0; 5]));
        }
        let types: Vec<u16> = extensions.iter().map(|(kind, _)| *kind).collect();
        let draft = Draft {
            version: 0x0300 | minor,
            session,
            ciphers: u16s(&ciphers),
            compressions: vec![1, 0],
            extensions: Some(extensions),
        };
        let whole = message(&draft.body());
        let mut rest = &whole[..];
        let mut records = Vec::new();
        for length in cuts.iter().cycle() {
            let (fragment, behind) = rest.split_at((*length).min(rest.len()));
            records.extend(record(fragment));
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }

        let hello = read(&records, DEFAULT_LIMIT).unwrap().unwrap();
        prop_assert_eq!(hello.legacy_version, 0x0300 | minor);
        prop_assert_eq!(hello.sni.as_ref().map(|name| name.as_str()), host.as_deref());
        prop_assert!(hello.alpn.iter().map(|name| &name[..]).eq(alpn.iter().map(|name| &name[..])));
        prop_assert_eq!(&hello.supported_versions, &versions);
        prop_assert_eq!(&hello.signature_algorithms, &schemes);
        prop_assert_eq!(&hello.cipher_suites, &ciphers);
        prop_assert_eq!(&hello.extensions, &types);
        prop_assert_eq!(hello.encrypted_client_hello, ech);
        prop_assert_eq!(hello.ja4().len(), 36);
        prop_assert_eq!(read(&record(&whole), DEFAULT_LIMIT).unwrap().unwrap(), hello);
        prop_assert_eq!(read(&records[..records.len() - 1], DEFAULT_LIMIT), Ok(None));
    }

    #[test]
    fn a_changed_byte_never_panics(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let mut bytes = include_bytes!("../testdata/curl.bin").to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.remove(cut.index(bytes.len()));
        if let Ok(Some(hello)) = read(&bytes, DEFAULT_LIMIT) {
            prop_assert_eq!(hello.ja4().len(), 36);
        }
    }
}
