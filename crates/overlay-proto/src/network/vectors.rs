//! The published vectors of network files (ovl1 section 15).

use super::{Network, NetworkError, NetworkFile, NetworkTerms, SIGNATURES_LINE};
use crate::identity::ed25519::SecretKey;
use crate::identity::vectors::outcome;
use crate::vectors::{assert_published, hex, named};
use serde_json::{Value, json};

pub(crate) fn directory_key(name: &str) -> SecretKey {
    SecretKey::from_seed(&named(&format!("directory key {name}")))
}

fn terms(names: &[&str], k: usize) -> NetworkTerms {
    NetworkTerms {
        version: 1,
        previous: None,
        name: "Vectors".to_owned(),
        k,
        keys: names.iter().map(|name| directory_key(name).public()).collect(),
        mirrors: vec!["https://directory.example/ovl1".to_owned()],
        lab: false,
    }
}

fn signed(terms: NetworkTerms, by: &[&str], before: Option<&NetworkTerms>) -> String {
    let mut file = NetworkFile::draft(terms).unwrap();
    by.iter().for_each(|name| assert!(file.sign(&directory_key(name), before), "{name}"));
    file.encode()
}

/// The first version: 2 of 3.
pub(crate) fn first() -> String {
    signed(terms(&["a", "b", "c"], 2), &["a", "b"], None)
}

/// The version after it, with these keys: c stays, a and b leave.
pub(crate) fn second(by: &[&str], change: impl Fn(&mut NetworkTerms)) -> String {
    let before = NetworkFile::parse(first().as_bytes()).unwrap();
    let mut after = NetworkTerms { version: 2, previous: Some(*before.hash()), ..terms(&["c", "d", "e"], 2) };
    change(&mut after);
    signed(after, by, Some(before.terms()))
}

pub(crate) fn follow(files: &[String]) -> Result<Network, NetworkError> {
    let (first, later) = files.split_first().unwrap();
    let mut network = Network::begin(first.as_bytes())?;
    later.iter().try_for_each(|file| network.follow(file.as_bytes()))?;
    Ok(network)
}

fn case(name: &str, files: &[String]) -> Value {
    let result = follow(files);
    let mut case = json!({ "name": name, "files": files, "outcome": outcome(&result) });
    match result {
        Ok(network) => {
            case["network"] = hex(network.id()).into();
            case["hashes"] = network.files_from(1).map(|file| hex(file.hash())).collect();
        }
        // The words are those of a library.
        Err(NetworkError::Toml(_)) => {}
        Err(error) => case["why"] = error.to_string().into(),
    }
    case
}

#[test]
fn the_vectors_of_network_files_are_published() {
    let one = |change: &dyn Fn(&mut NetworkTerms)| {
        let mut terms = terms(&["a", "b", "c"], 2);
        change(&mut terms);
        vec![signed(terms, &["a", "b"], None)]
    };
    let text = |change: &dyn Fn(String) -> String| vec![change(first())];
    let step = |by: &[&str]| vec![first(), second(by, |_| ())];
    let changed = |change: &dyn Fn(&mut NetworkTerms)| vec![first(), second(&["a", "c", "d"], change)];
    // Signed text that was not written by us: the same keys sign whatever it says.
    let resigned = |from: &str, to: &str| {
        let whole = first();
        let (text, _) = whole.split_once(SIGNATURES_LINE).unwrap();
        let text = text.replacen(from, to, 1);
        let line = |(index, name)| {
            let signature = directory_key(name).sign(super::LABEL, text.as_bytes());
            format!("{index}:{}\n", hex(signature))
        };
        let lines: String = [(0, "a"), (1, "b")].into_iter().map(line).collect();
        vec![format!("{text}{SIGNATURES_LINE}\n{lines}")]
    };
    let last = first().lines().last().unwrap().to_owned();
    assert_published(
        "network",
        "ovl1 section 3.1: network files followed from the first, the name of the network, and the hash of each file",
        vec![
            case("version 1", &one(&|_| ())),
            case("version 1, a lab", &one(&|t| t.lab = true)),
            case("a comment is signed like the rest", &resigned("k = 2", "k = 2 # of 3")),
            case("version 2, one key stays", &step(&["a", "c", "d"])),
            case("version 2, two former keys sign besides", &step(&["a", "b", "d", "e"])),
            case("version 2, one former key", &step(&["c", "d"])),
            case("version 2, no former key", &step(&["d", "e"])),
            case("version 2, one key of its own", &step(&["a", "b", "c"])),
            case("version 2 by itself", &[second(&["a", "c", "d"], |_| ())]),
            case("version 1 again", &[first(), first()]),
            case("version 3 after 1", &changed(&|t| t.version = 3)),
            case("another predecessor", &changed(&|t| t.previous = Some([0; 32]))),
            case("becomes a lab", &changed(&|t| t.lab = true)),
            case("one signature", &text(&|all| all.replacen(&format!("{last}\n"), "", 1))),
            case("a signature twice", &text(&|all| format!("{all}{last}\n"))),
            case("a signature by another key", &text(&|all| all.replacen("\n1:", "\n2:", 1))),
            case("a key that is not there", &text(&|all| all.replacen("\n1:", "\n3:", 1))),
            case("a former key before the first version", &text(&|all| all.replacen("\n1:", "\np1:", 1))),
            case("an index with a zero before it", &text(&|all| all.replacen("\n1:", "\n01:", 1))),
            case(
                "signatures in the wrong order",
                &text(&|all| {
                    let (text, lines) = all.split_once(SIGNATURES_LINE).unwrap();
                    let lines: Vec<&str> = lines.trim().lines().rev().collect();
                    format!("{text}{SIGNATURES_LINE}\n{}\n", lines.join("\n"))
                }),
            ),
            case("no line end at the end", &text(&|all| all.trim_end().to_owned())),
            case("an empty line at the end", &text(&|all| format!("{all}\n"))),
            case("no signatures line", &text(&|all| all.replacen(SIGNATURES_LINE, "# signatures", 1))),
            case("a signed byte bent", &text(&|all| all.replacen("Vectors", "Sectors", 1))),
            case("an unknown key", &resigned("k = 2", "k = 2\nlevel = 1")),
            case("another protocol", &resigned("ovl = 1", "ovl = 2")),
            case("version 0", &resigned("version = 1", "version = 0")),
            case("a number of keys that is no majority", &resigned("k = 2", "k = 1")),
            case("more than all keys", &resigned("k = 2", "k = 4")),
            case(
                "a key in upper case",
                &resigned(
                    &hex(directory_key("c").public()),
                    &hex(directory_key("c").public()).to_uppercase(),
                ),
            ),
            case(
                "a key twice",
                &resigned(&hex(directory_key("c").public()), &hex(directory_key("a").public())),
            ),
            case("a key of small order", &resigned(&hex(directory_key("c").public()), &"0".repeat(64))),
            case("a mirror without TLS", &resigned("https://", "http://")),
            case("no name", &resigned("\"Vectors\"", "\"\"")),
            case("no TOML", &resigned("k = 2", "k = ")),
        ],
    );
}
