//! Network files: what is refused, who must sign, which version follows. What builds one serves other tests too.

use super::*;
use crate::identity::ed25519::SecretKey;
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

pub(crate) fn directory_key(byte: u8) -> SecretKey {
    SecretKey::from_seed(&[byte; 32])
}

pub(crate) fn terms(keys: &[u8], k: usize) -> NetworkTerms {
    NetworkTerms {
        version: 1,
        previous: None,
        name: "test".to_owned(),
        k,
        keys: keys.iter().map(|byte| directory_key(*byte).public()).collect(),
        mirrors: vec!["https://directory.example/net".to_owned()],
        lab: false,
    }
}

pub(crate) fn after(before: &NetworkFile, keys: &[u8], k: usize) -> NetworkTerms {
    let version = before.terms().version + 1;
    NetworkTerms { version, previous: Some(*before.hash()), ..terms(keys, k) }
}

pub(crate) fn signed(terms: NetworkTerms, by: &[u8], before: Option<&NetworkTerms>) -> String {
    let mut file = NetworkFile::draft(terms).unwrap();
    by.iter().for_each(|byte| assert!(file.sign(&directory_key(*byte), before), "key {byte}"));
    file.encode()
}

pub(crate) fn network(keys: &[u8], k: usize, lab: bool) -> Network {
    let terms = NetworkTerms { lab, ..terms(keys, k) };
    Network::begin(signed(terms, keys, None).as_bytes()).unwrap()
}

#[test]
fn a_first_file_is_read_back_with_its_name() {
    let file = signed(terms(&[1, 2, 3], 2), &[1, 3], None);
    let network = Network::begin(file.as_bytes()).unwrap();
    assert_eq!(network.newest().terms(), &terms(&[1, 2, 3], 2));
    assert_eq!(network.newest().encode(), file);
    let (text, _) = file.split_once(SIGNATURES_LINE).unwrap();
    assert_eq!(network.id(), &crate::kdf::hash(&[b"ovl1 network\0", text.as_bytes()]));
    assert_eq!(Network::pinned(network.id(), file.as_bytes()).as_ref(), Ok(&network));
    assert_eq!(Network::pinned(&[0; 32], file.as_bytes()), Err(NetworkError::OtherNetwork));
    let more = signed(terms(&[1, 2, 3], 2), &[1, 2, 3], None);
    assert_eq!(
        Network::begin(more.as_bytes()).unwrap().id(),
        network.id(),
        "signatures do not change the name"
    );
}

#[test]
fn terms_out_of_range_are_neither_written_nor_read() {
    type Change = fn(&mut NetworkTerms);
    let rows: [(Change, &str); 16] = [
        (|t| t.version = 0, "version counts from 1"),
        (|t| t.version = 2, "previous is there from version 2 on"),
        (|t| t.previous = Some([1; 32]), "previous is there from version 2 on"),
        (|t| t.name.clear(), "name has 1 to 64 bytes"),
        (|t| t.name = "n".repeat(65), "name has 1 to 64 bytes"),
        (|t| t.name = "a\nb".to_owned(), "name has a control character"),
        (|t| t.keys.clear(), "there are 1 to 32 keys"),
        (|t| t.keys = (0..33).map(|byte| directory_key(byte).public()).collect(), "there are 1 to 32 keys"),
        (|t| t.keys[0] = [0; 32], "a key is none of Ed25519"),
        (|t| t.keys[1] = t.keys[0], "a key is there twice"),
        (|t| t.k = 1, "k is more than half of the keys"),
        (|t| t.k = 4, "k is more than half of the keys"),
        (|t| t.keys.push(directory_key(9).public()), "k is more than half of the keys"),
        (|t| t.mirrors = vec!["https://m.example".to_owned(); 17], "there are at most 16 mirrors"),
        (
            |t| t.mirrors[0] = "http://m.example".to_owned(),
            "a mirror is no https address of at most 256 characters",
        ),
        (
            |t| t.mirrors[0].push_str(&"m".repeat(256)),
            "a mirror is no https address of at most 256 characters",
        ),
    ];
    for (change, rule) in rows {
        let mut changed = terms(&[1, 2, 3], 2);
        change(&mut changed);
        assert_eq!(changed.text(), Err(NetworkError::Value(rule)));
    }
}

#[test]
fn text_that_is_not_as_it_should_be_is_refused() {
    let right = terms(&[1, 2, 3], 2).text().unwrap();
    let draft = |text: &str| NetworkFile::parse_draft(format!("{text}{SIGNATURES_LINE}\n").as_bytes());
    assert!(draft(&right).is_ok());
    assert!(draft(&format!("# a comment\n{right}")).is_ok(), "people write comments");
    for (from, to, why) in [
        ("ovl = 1", "ovl = 2", "another protocol"),
        ("ovl = 1\n", "", "no protocol"),
        ("k = 2", "k = 1", "a minority"),
        ("k = 2", "k = 2\nextra = 1", "an unknown key"),
        ("k = 2", "k = 2\n[table]", "an unknown table"),
        ("k = 2", "k = -2", "a negative number"),
        ("k = 2", "k = \"2\"", "a text for a number"),
        ("version = 1", "version = 4294967296", "over u32"),
        ("name = \"test\"\n", "", "no name"),
        ("lab = false", "lab = 0", "a number for a truth"),
        ("keys = [", "keys = [[", "broken TOML"),
        ("    \"", "    \"A", "a key of odd length"),
    ] {
        let changed = right.replacen(from, to, 1);
        assert_ne!(changed, right, "{why}");
        assert!(draft(&changed).is_err(), "{why}");
    }
    let upper = right.lines().map(|line| {
        if line.starts_with("    \"") && !line.contains("https") {
            line.to_uppercase()
        } else {
            line.to_owned()
        }
    });
    assert!(
        draft(&upper.fold(String::new(), |text, line| text + &line + "\n")).is_err(),
        "keys in upper case"
    );
}

#[test]
fn signatures_are_counted_by_keys_and_each_must_be_right() {
    let terms = || terms(&[1, 2, 3], 2);
    let parse = |file: String| NetworkFile::parse(file.as_bytes()).map(|_| ());
    let both = signed(terms(), &[1, 2], None);
    assert_eq!(parse(both.clone()), Ok(()));
    assert_eq!(parse(signed(terms(), &[2], None)), Err(NetworkError::Quorum { found: 1, needed: 2 }));
    assert_eq!(parse(signed(terms(), &[], None)), Err(NetworkError::Quorum { found: 0, needed: 2 }));
    let line = both.lines().last().unwrap();
    let hex = line.split_once(':').unwrap().1;
    let one = signed(terms(), &[1], None);
    for (added, wanted) in [
        (format!("{line}\n"), Ok(())),
        (line.to_owned(), Err(NetworkError::SignatureLine { line: 2 })),
        (format!("{line}\n\n"), Err(NetworkError::SignatureLine { line: 3 })),
        (format!("{line}\n{line}\n"), Err(NetworkError::SignatureLine { line: 3 })),
        (format!("0:{hex}\n"), Err(NetworkError::SignatureLine { line: 2 })),
        (format!("01:{hex}\n"), Err(NetworkError::SignatureLine { line: 2 })),
        (format!("+1:{hex}\n"), Err(NetworkError::SignatureLine { line: 2 })),
        (format!("32:{hex}\n"), Err(NetworkError::SignatureLine { line: 2 })),
        (format!("1:{hex}0\n"), Err(NetworkError::SignatureLine { line: 2 })),
        (format!("1:{}\n", &hex[1..]), Err(NetworkError::SignatureLine { line: 2 })),
        (format!("1:{}\n", hex.to_uppercase()), Err(NetworkError::SignatureLine { line: 2 })),
        (format!("1 {hex}\n"), Err(NetworkError::SignatureLine { line: 2 })),
        (format!("2:{hex}\n"), Err(NetworkError::Signature { index: "2".to_owned() })),
        (format!("3:{hex}\n"), Err(NetworkError::Signature { index: "3".to_owned() })),
        (format!("p1:{hex}\n"), Err(NetworkError::Signature { index: "p1".to_owned() })),
    ] {
        assert_eq!(parse(format!("{one}{added}")), wanted, "{added}");
    }
}

#[test]
fn a_version_follows_with_both_quorums_only() {
    let first = network(&[1, 2, 3], 2, false);
    let before = first.newest().terms().clone();
    // Key 3 stays, 1 and 2 leave, 4 and 5 come.
    let next = || after(first.newest(), &[3, 4, 5], 2);
    let follow = |file: String| {
        let mut network = first.clone();
        network.follow(file.as_bytes()).map(|()| network)
    };
    let by = |keys: &[u8]| follow(signed(next(), keys, Some(&before)));
    assert!(by(&[3, 4, 1]).is_ok(), "3 counts on both sides");
    assert!(by(&[4, 5, 1, 2]).is_ok());
    assert_eq!(by(&[4, 5]), Err(NetworkError::FormerQuorum { found: 0, needed: 2 }));
    assert_eq!(by(&[3, 4]), Err(NetworkError::FormerQuorum { found: 1, needed: 2 }));
    assert_eq!(by(&[3, 1, 2]), Err(NetworkError::Quorum { found: 1, needed: 2 }));
    let second = by(&[1, 2, 4, 5]).unwrap();
    assert_eq!(second.id(), first.id(), "the name stays");
    assert_eq!((second.version(1), second.version(2)), (Some(&before), Some(&next())));
    assert_eq!(second.version(3), None);
    let files: Vec<String> = second.files_from(1).map(NetworkFile::encode).collect();
    let again = Network::from_files(first.id(), files.iter().map(String::as_bytes));
    assert_eq!(again.as_ref(), Ok(&second));
    let mut second = second;
    assert_eq!(
        second.follow(files[0].as_bytes()),
        Err(NetworkError::Version { known: 2, found: 1 }),
        "never back"
    );
}

#[test]
fn a_version_follows_its_predecessor_only() {
    let first = network(&[1, 2, 3], 2, false);
    type Change = fn(&mut NetworkTerms);
    let rows: [(Change, NetworkError); 3] = [
        (|t| t.version = 3, NetworkError::Version { known: 1, found: 3 }),
        (|t| t.previous = Some([0; 32]), NetworkError::Previous),
        (|t| t.lab = true, NetworkError::Lab),
    ];
    for (change, wanted) in rows {
        let mut changed = after(first.newest(), &[1, 2, 3], 2);
        change(&mut changed);
        let mut network = first.clone();
        assert_eq!(network.follow(signed(changed, &[1, 2, 3], None).as_bytes()), Err(wanted));
        assert_eq!(network, first, "nothing has changed");
    }
    // A former signature that is really a present key's would count one key twice.
    let line = signed(after(first.newest(), &[1, 2, 3], 2), &[1, 2, 3], None);
    let doubled = line.replacen("\n2:", "\np2:", 1);
    let wrong = Err(NetworkError::Signature { index: "p2".to_owned() });
    assert_eq!(first.clone().follow(doubled.as_bytes()), wrong);
}

#[test]
fn signatures_made_apart_are_joined() {
    let mut one = NetworkFile::parse_draft(signed(terms(&[1, 2, 3], 2), &[3], None).as_bytes()).unwrap();
    let other = NetworkFile::parse_draft(signed(terms(&[1, 2, 3], 2), &[1], None).as_bytes()).unwrap();
    let stranger = NetworkFile::parse_draft(signed(terms(&[1, 2, 4], 2), &[4], None).as_bytes()).unwrap();
    assert!(!one.join(&stranger));
    assert!(one.join(&other) && one.join(&other));
    assert_eq!(one.encode(), signed(terms(&[1, 2, 3], 2), &[1, 3], None));
    assert!(!one.sign(&directory_key(9), None), "a key of nobody");
}

#[test]
fn every_cut_and_every_byte_bent_is_refused() {
    let file = signed(terms(&[1, 2, 3], 2), &[1, 2], None).into_bytes();
    for end in 0..file.len() {
        assert!(NetworkFile::parse(&file[..end]).is_err(), "cut at {end}");
    }
    for at in 0..file.len() {
        let mut bent = file.clone();
        bent[at] ^= 1;
        assert!(NetworkFile::parse(&bent).is_err(), "byte {at}");
    }
    let mut long = file.clone();
    long.splice(0..0, [b"# ", "c".repeat(NETWORK_MOST_BYTES).as_bytes(), b"\n"].concat());
    assert_eq!(NetworkFile::parse(&long), Err(NetworkError::TooLong));
    assert_eq!(NetworkFile::parse(&[0xff; 9]), Err(NetworkError::NoSignaturesLine));
}

proptest! {
    #[test]
    fn names_and_mirrors_of_any_kind_read_back(name in "\\PC{1,16}", path in "[!-~]{0,80}") {
        let mut wanted = terms(&[1], 1);
        wanted.name = name;
        wanted.mirrors = vec![format!("https://{path}")];
        let file = signed(wanted.clone(), &[1], None);
        let read = NetworkFile::parse(file.as_bytes());
        prop_assert_eq!(read.map(|file| file.terms().clone()), Ok(wanted));
    }

    #[test]
    fn any_text_is_refused_without_a_panic(text in any::<String>(), lines in "[p0-9a-f:\n]{0,200}") {
        let parsed = NetworkFile::parse(format!("{text}\n{SIGNATURES_LINE}\n{lines}").as_bytes());
        prop_assert!(parsed.is_err());
    }
}
