//! The sections `[overlay]` and `[node]`.

use super::super::{Ending, Surroundings};
use super::{load_with, surroundings};
use shoalway_overlay_proto::descriptor::{BindingKind, Endpoint, PolicyRule};
use shoalway_overlay_proto::identity::ed25519::SecretKey;
use shoalway_overlay_proto::invite::{Gate, Invite, InvitedEntry};
use shoalway_overlay_proto::kdf::Secret;
use shoalway_overlay_proto::network::{NetworkFile, NetworkTerms};
use shoalway_overlay_proto::{UnixTime, spread::Spread};
use shoalway_types::wallet::Address;

const OVERLAY: &str = "version = 1\n[overlay]\ninvite = \"home.invite\"\n";
const NODE: &str = "version = 1\n[node]\nnetwork = \"home.network.toml\"\nlisten = \"127.0.0.1:8443\"\n\
    host = \"www.example.org\"\ncover = { to = \"http://127.0.0.1:81\" }\nacme = { challenges = \"tls-alpn-01\" }\n\
    path = \"/live\"\ncookie = \"sid\"\npublic = \"203.0.113.7:443\"\ndirectory = \"directory.invite\"\n";

fn network(name: &str) -> NetworkFile {
    let key = SecretKey::from_seed(&[1; 32]);
    let terms = NetworkTerms {
        version: 1,
        previous: None,
        name: format!("home{name}"),
        k: 1,
        keys: vec![key.public()],
        mirrors: Vec::new(),
        lab: name == "lab",
    };
    let mut file = NetworkFile::draft(terms).unwrap();
    assert!(file.sign(&key, None));
    file
}

fn invite(network: &NetworkFile, node: u8) -> String {
    let entry = InvitedEntry {
        node: Address([node; 20]),
        link_key: [2; 32],
        gate: Gate(Secret::from([3; 32])),
        endpoint: Endpoint {
            address: "203.0.113.9:443".parse().unwrap(),
            sni: "entry.example".to_owned(),
            path: "/live".to_owned(),
            cookie: "sid".to_owned(),
            binding: BindingKind::Exporter,
        },
    };
    Invite { network: *network.hash(), expires: UnixTime(1), entries: vec![entry] }.link().unwrap()
}

/// The files that the sections name, of a network with this name.
pub(super) fn with_network(surroundings: Surroundings, name: &str) -> Surroundings {
    let file = network(name);
    surroundings
        .with_file("home.network.toml", file.encode())
        .with_file("home.invite", format!("# by a friend\n{}\n", invite(&file, 1)))
        .with_file("second.invite", invite(&file, 2))
        .with_file("other.invite", invite(&network("other"), 1))
        .with_file("directory.invite", invite(&file, 3))
        .with_file("directory-0.key", "01".repeat(32))
        .with_file("roll", "")
        .with_file("affinity", "a.example b.example\n")
        .with_file("empty", "\n")
}

fn ids(text: &str, name: &str) -> String {
    match load_with(text, &[], with_network(surroundings(), name)) {
        Ok(loaded) => {
            loaded.report.problems().iter().map(|problem| problem.code.id()).collect::<Vec<_>>().join(" ")
        }
        Err(report) => {
            let problems = report.problems().iter();
            problems
                .map(|problem| format!("{} {}", problem.code.id(), problem.message))
                .collect::<Vec<_>>()
                .join("; ")
        }
    }
}

#[test]
fn an_overlay_of_an_invitation_has_its_defaults_and_the_word_of_rules() {
    let text = OVERLAY.replace("[overlay]", "rules = [\"overlay all\"]\n[overlay]");
    let loaded = load_with(&text, &[], with_network(surroundings(), "")).unwrap_or_else(|report| {
        panic!("{}", report.to_text(Ending::Check));
    });
    let overlay = loaded.settings.overlay.unwrap();
    assert_eq!((overlay.hops, overlay.spread, overlay.exits.active, overlay.stock), (2, Spread::Site, 4, 8));
    assert_eq!(overlay.invited.len(), 1);
    assert!(!loaded.settings.listeners.is_empty(), "the forward proxy is there for it");
    let several = OVERLAY.replace("\"home.invite\"", "[\"home.invite\", \"second.invite\", \"home.invite\"]");
    let loaded = load_with(&several, &[], with_network(surroundings(), "")).unwrap();
    assert_eq!(loaded.settings.overlay.unwrap().invited.len(), 2);
}

#[test]
fn mistakes_of_an_overlay_are_named() {
    let with = |line: &str| format!("{OVERLAY}{line}\n");
    for (text, wanted) in [
        (OVERLAY.to_owned(), ""),
        ("version = 1\nrules = [\"overlay all\"]\n".to_owned(), "C032"),
        ("version = 1\n[overlay]\nhops = 2\n".to_owned(), "C016"),
        (OVERLAY.replace("home.invite", "away.invite"), "C024"),
        (OVERLAY.replace("home.invite", "empty"), "C071 the file holds no link"),
        (OVERLAY.replace("home.invite", "roll"), "C071 the file holds no link"),
        (OVERLAY.replace("home.invite", "affinity"), "C071"),
        (OVERLAY.replace("\"home.invite\"", "[\"home.invite\", \"other.invite\"]"), "C071 it is of another"),
        (with("network = \"home.network.toml\""), ""),
        (with("network = \"affinity\""), "C070"),
        (
            OVERLAY.replace("home", "other") + "network = \"home.network.toml\"\n",
            "C070 the invitations are of another",
        ),
        (with("hops = 4"), "C0"),
        (with("spread = \"stripe\""), "C0"),
        (with("exits = { countries = [\"Switzerland\"] }"), "C072 `Switzerland` is not a country"),
    ] {
        let found = ids(&text, "");
        assert!(found.starts_with(wanted) && found.is_empty() == wanted.is_empty(), "{text}: {found}");
    }
}

#[test]
fn a_node_is_a_site_with_a_door() {
    let loaded = load_with(NODE, &[], with_network(surroundings(), "")).unwrap_or_else(|report| {
        panic!("{}", report.to_text(Ending::Check));
    });
    let settings = loaded.settings;
    let node = settings.node.unwrap();
    assert_eq!((settings.sites.len(), settings.listeners.len()), (1, 0));
    assert_eq!(settings.sites[0].name, node.site);
    assert_eq!(node.endpoints.len(), 1);
    assert_eq!(node.delegation, std::path::Path::new("/var/lib/shoalway/keys/node.delegation"));
    for (port, wanted) in [(25, false), (80, true), (443, true), (22, true), (6_667, false), (8_080, true)] {
        assert_eq!(PolicyRule::allows(&node.policy, port), wanted, "{port}");
    }
}

#[test]
fn port_25_is_refused_whatever_the_policy_says() {
    let text = format!("{NODE}policy = [\"25\", \"!80\", \"all\"]\n");
    let settings = load_with(&text, &[], with_network(surroundings(), "")).unwrap().settings;
    let policy = &settings.node.unwrap().policy;
    for (port, wanted) in [(25, false), (80, false), (443, true), (6_667, true)] {
        assert_eq!(PolicyRule::allows(policy, port), wanted, "{port}");
    }
}

#[test]
fn mistakes_of_a_node_are_named() {
    let without = |key: &str| -> String {
        NODE.lines().filter(|line| !line.starts_with(key)).map(|line| format!("{line}\n")).collect()
    };
    let with = |line: &str| format!("{NODE}{line}\n");
    for (text, name, wanted) in [
        (without("host"), "", "C016 [node] has no `host`"),
        (without("cover"), "", "C016 [node] has no `cover`"),
        (without("acme"), "", "C016 [node] has neither `tls` nor `acme`"),
        (without("directory"), "", "C016 [node] has neither `directory` nor `publish`"),
        (without("public"), "", "C072 the address of an endpoint is private"),
        (without("public"), "lab", ""),
        (NODE.replace("/live", "live"), "", "C072 the path of an endpoint"),
        (NODE.replace("\"sid\"", "\"s=d\""), "", "C072 the cookie of an endpoint"),
        (NODE.replace("directory.invite", "other.invite"), "", "C071 it is of another network"),
        (NODE.replace("{ to = \"http://127.0.0.1:81\" }", "{ files = \"/nowhere/at/all\" }"), "", "C072"),
        (NODE.replace("{ to =", "{ files = \"x\", to ="), "", "C072 `cover` has both"),
        (with("roles = [\"boss\"]"), "", "C0"),
        (with("policy = [\"web\"]"), "", "C072 `web` is no port"),
        (with("policy = [\"90-80\"]"), "", "C072 `90-80` is no port"),
        (with("operator = \"0x12\""), "", "C072"),
        (with("leave_from = \"here\""), "", "C072 `here` is no address"),
        (with("publish = { keys = [\"directory-0.key\"] }"), "", "C016 `publish` has no `roll`"),
        (
            with("[sites.\"www.example.org\"]\nlisten = \"127.0.0.1:8443\"\nto = \"http://127.0.0.1:82\""),
            "",
            "C051",
        ),
    ] {
        let found = ids(&text, name);
        assert!(found.contains(wanted) && found.is_empty() == wanted.is_empty(), "{text}: {found}");
    }
}
