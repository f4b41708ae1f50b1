//! What real clients send, and the example of JA4's own text.

use super::{Draft, message, read_at_every_cut, record, sni, u16s, vec8, vec16, whole};
use crate::client_hello::{ClientHello, DEFAULT_LIMIT, read};

const CHROMIUM: &[u8] = include_bytes!("../testdata/chromium.bin");
const CURL: &[u8] = include_bytes!("../testdata/curl.bin");
const OPENSSL_TLS13: &[u8] = include_bytes!("../testdata/openssl_tls13.bin");
const OPENSSL_TLS12: &[u8] = include_bytes!("../testdata/openssl_tls12_no_sni.bin");

fn names(hello: &ClientHello) -> Vec<&str> {
    hello.alpn.iter().map(|name| str::from_utf8(name).unwrap()).collect()
}

#[test]
fn real_clients_are_understood() {
    let h2 = &["h2", "http/1.1"][..];
    for (client, bytes, host, alpn, tls13, ech, ja4) in [
        ("chromium", CHROMIUM, Some("site.example"), h2, true, true, "t13d1517h2_8daaf6152771_cb7bf5808d99"),
        ("curl", CURL, Some("site.example"), h2, true, false, "t13d3112h2_e8f1e7e78f70_b26ce05bbdd6"),
        (
            "openssl",
            OPENSSL_TLS13,
            Some("site.example"),
            h2,
            true,
            false,
            "t13d3111h2_e8f1e7e78f70_1f22a2ca17c4",
        ),
        ("openssl 1.2", OPENSSL_TLS12, None, &[], false, false, "t12i280600_d943125447b4_e7e480e5a997"),
    ] {
        let hello = whole(bytes).unwrap();
        assert_eq!(hello.legacy_version, 0x0303, "{client}");
        assert_eq!(hello.sni.as_ref().map(|name| name.as_str()), host, "{client}");
        assert_eq!(names(&hello), alpn, "{client}");
        assert_eq!(hello.supported_versions.contains(&0x0304), tls13, "{client}");
        assert_eq!(hello.encrypted_client_hello, ech, "{client}");
        assert_eq!(hello.ja4(), ja4, "{client}");
        assert!(
            hello.cipher_suites.contains(&0xc02f) && hello.signature_algorithms.contains(&0x0403),
            "{client}"
        );

        let with_payload = [bytes, b"\x17\x03\x03\0\x05early"].concat();
        assert_eq!(read(&with_payload, DEFAULT_LIMIT), Ok(Some(hello)), "{client}");
    }
    let chromium = whole(CHROMIUM).unwrap();
    assert!(chromium.cipher_suites.first().is_some_and(|first| first & 0x0f0f == 0x0a0a), "GREASE stays");
}

#[test]
fn a_hello_may_be_cut_into_records_anywhere() {
    for bytes in [CHROMIUM, OPENSSL_TLS12] {
        let hello = read(bytes, DEFAULT_LIMIT);
        let fragments = &bytes[5..];
        for cut in 1..fragments.len() {
            let (start, end) = fragments.split_at(cut);
            let records = [record(start), record(end)].concat();
            assert_eq!(read(&records, DEFAULT_LIMIT), hello, "cut at {cut}");
            assert_eq!(read(&records[..records.len() - 1], DEFAULT_LIMIT), Ok(None), "cut at {cut}");
        }
    }
    let single: Vec<u8> = OPENSSL_TLS12[5..].chunks(1).flat_map(record).collect();
    assert_eq!(
        read_at_every_cut(&single, DEFAULT_LIMIT),
        read(OPENSSL_TLS12, DEFAULT_LIMIT),
        "one byte a record"
    );
}

#[test]
fn the_limit_counts_records_too() {
    let size = CHROMIUM.len();
    assert!(read_at_every_cut(CHROMIUM, size).is_ok_and(|hello| hello.is_some()));
    let error = read_at_every_cut(CHROMIUM, size - 1).unwrap_err();
    assert_eq!(error.to_string(), format!("the ClientHello takes more than {} bytes", size - 1));
    assert_eq!(read(&CHROMIUM[..9], size - 1), Err(error), "as soon as the length is known");

    let single: Vec<u8> = OPENSSL_TLS12[5..].chunks(1).flat_map(record).collect();
    assert!(read_at_every_cut(&single, single.len()).is_ok_and(|hello| hello.is_some()));
    assert!(read_at_every_cut(&single, single.len() - 1).is_err());
    assert!(read_at_every_cut(&single, 7).is_err());
    assert!(read_at_every_cut(&[], 0).is_err());
}

/// The example of the text: <https://github.com/FoxIO-LLC/ja4/blob/main/technical_details/JA4.md>. Values that the
/// text does not print do not matter.
#[test]
fn the_example_of_ja4_comes_out() {
    let ciphers = [
        0x2a2a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014,
        0x009c, 0x009d, 0x002f, 0x0035,
    ];
    let schemes = [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601];
    let types = [
        0x6a6a, 0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d, 0x0005, 0x0023, 0x0012,
        0x002b, 0xff01, 0x000b, 0x000a, 0xfafa, 0x0015,
    ];
    let mut draft = Draft::new(&[]);
    draft.ciphers = u16s(&ciphers);
    let value = |kind| match kind {
        0x0000 => sni(b"site.example"),
        0x0010 => vec16(&[vec8(b"h2"), vec8(b"http/1.1")].concat()),
        0x000d => vec16(&u16s(&schemes)),
        0x002b => vec8(&u16s(&[0xbaba, 0x0303, 0x0304])),
        _ => Vec::new(),
    };
    draft.extensions = Some(types.iter().map(|kind| (*kind, value(*kind))).collect());
    let hello = whole(&draft.records()).unwrap();
    assert_eq!(hello.ja4(), "t13d1516h2_8daaf6152771_e5627efa2ab1");
    assert_eq!(
        hello.ja4_raw(),
        "t13d1516h2_002f,0035,009c,009d,1301,1302,1303,c013,c014,c02b,c02c,c02f,c030,cca8,cca9\
         _0005,000a,000b,000d,0012,0015,0017,001b,0023,002b,002d,0033,4469,ff01\
         _0403,0804,0401,0503,0805,0501,0806,0601"
    );
    assert_eq!(hello.extensions, types);
    assert_eq!(hello.cipher_suites, ciphers);

    // Without signature schemes, as the text has it.
    let mut without = hello;
    without.signature_algorithms.clear();
    assert_eq!(without.ja4(), "t13d1516h2_8daaf6152771_6d807ffa2a79");
}

#[test]
fn poor_hellos_have_a_fingerprint() {
    let bare = Draft { extensions: None, ..Draft::new(&[]) };
    let grease_only = Draft { ciphers: u16s(&[0x0a0a]), ..Draft::new(&[(0x1a1a, b"")]) };
    let versions = vec8(&u16s(&[0x3a3a]));
    let tls10 = Draft { version: 0x0301, ..bare.clone() };
    let ssl3 = Draft { version: 0x0300, ..bare.clone() };
    let many = Draft { ciphers: u16s(&(1..=120).collect::<Vec<_>>()), ..bare.clone() };
    for (draft, start, end) in [
        (&bare, "t12i010000_", "_000000000000"),
        (&tls10, "t10i010000_", "_000000000000"),
        (&ssl3, "ts3i010000_", "_000000000000"),
        (&many, "t12i990000_", "_000000000000"),
        (&grease_only, "t12i000000_", "_000000000000_000000000000"),
        (&Draft::new(&[(43, &versions)]), "t00i010100_", ""),
        (
            &Draft::new(&[(0, &sni(b"a.example")), (16, &vec16(&vec8(b"\xab\xcd")))]),
            "t12d0102ad_",
            "_000000000000",
        ),
    ] {
        let ja4 = whole(&draft.records()).unwrap().ja4();
        assert!(ja4.starts_with(start) && ja4.ends_with(end) && ja4.len() == 36, "{ja4}, not {start}..{end}");
    }
}

#[test]
fn a_message_without_records_is_read_alike() {
    assert_eq!(ClientHello::from_message(&CURL[5..]), whole(CURL));
    let draft = Draft::new(&[]);
    assert_eq!(ClientHello::from_message(&message(&draft.body())), whole(&draft.records()));
}
