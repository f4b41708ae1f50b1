//! `shoalway key rotate`: what the two files say afterwards.

use crate::{JUNK, JUNK_ADDRESS, Keys, NETWORK};
use shoalway_overlay_proto::UnixTime;
use shoalway_overlay_proto::identity::ed25519::SecretKey;
use shoalway_overlay_proto::identity::{Delegation, Roles};
use shoalway_overlay_proto::network::{NetworkFile, NetworkTerms};
use shoalway_wallet::from_hex;
use std::fs;

#[test]
fn rotation_signs_in_a_new_node_key_with_a_higher_serial() {
    let keys = Keys::new();
    keys.run(&["restore", "--light", "--password-file", "pw"], JUNK).assert_code(0);
    let read = || {
        let bytes = from_hex::<143>(keys.text("node.delegation").trim_end()).unwrap();
        let seed = fs::read_to_string(keys.path("node.nodekey")).ok();
        let key = seed.map(|seed| SecretKey::from_seed(&from_hex(seed.trim_end()).unwrap()).public());
        (Delegation::parse(&*bytes).unwrap(), key)
    };
    let rotate = ["rotate", "--network", NETWORK, "--password-file", "pw"];
    keys.refused(&rotate, "", 2, "K014: say what the node may do");
    keys.refused(&["rotate", "--network", "home"], "", 1, "K001: cannot read home");
    keys.0.write("home", "name = \"home\"\n");
    keys.refused(&["rotate", "--network", "home"], "", 2, "K014: home: ");
    let said = keys.json(&[&rotate[..], &["--roles", "entry,exit", "--days", "7"]].concat(), "");
    let (first, first_key) = read();
    let terms = first.check(&[0x11; 32], UnixTime(first.terms.not_before.0)).unwrap().terms().clone();
    assert_eq!(terms.node.to_string(), JUNK_ADDRESS);
    assert_eq!((terms.roles, Some(terms.node_key)), (Roles::ENTRY | Roles::EXIT, first_key));
    assert_eq!(terms.not_after.0 - terms.not_before.0, 7 * 24 * 3600);
    assert_eq!((said["serial"].as_u64(), said["address"].as_str()), (Some(terms.serial), Some(JUNK_ADDRESS)));
    assert!(first.verify(&[0x12; 32]).is_err(), "it is for one network alone");

    keys.run(&rotate, "").assert_code(0);
    let (second, second_key) = read();
    assert!(second.verify(&[0x11; 32]).is_ok() && second.terms.serial > first.terms.serial);
    assert_eq!((second.terms.roles, Some(second.terms.node_key)), (terms.roles, second_key));
    assert_ne!(second_key, first_key);

    keys.run(&[&rotate[..], &["--withdraw"]].concat(), "").assert_code(0);
    let (last, no_key) = read();
    assert!(last.verify(&[0x11; 32]).is_ok() && last.terms.is_withdrawal() && no_key.is_none());
    assert!(last.terms.serial > second.terms.serial);
    assert!(keys.run(&["show"], "").text().contains("withdrawn, serial"));
}

#[test]
fn a_network_is_named_by_its_first_file_too() {
    let keys = Keys::new();
    keys.run(&["restore", "--light", "--password-file", "pw"], JUNK).assert_code(0);
    let founder = SecretKey::from_seed(&[7; 32]);
    let terms = NetworkTerms {
        version: 1,
        previous: None,
        name: "home".to_owned(),
        k: 1,
        keys: vec![founder.public()],
        mirrors: Vec::new(),
        lab: false,
    };
    let mut file = NetworkFile::draft(terms).unwrap();
    assert!(file.sign(&founder, None));
    keys.0.write("home.network.toml", file.encode());
    let rotate = ["rotate", "--network", "home.network.toml", "--roles", "exit", "--password-file", "pw"];
    keys.run(&rotate, "").assert_code(0);
    let bytes = from_hex::<143>(keys.text("node.delegation").trim_end()).unwrap();
    assert!(Delegation::parse(&*bytes).unwrap().verify(file.hash()).is_ok());
}
