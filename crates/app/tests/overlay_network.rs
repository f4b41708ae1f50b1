//! A whole network of the real program on this machine, as a lab: a directory that is also the entry, an exit, a client.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test reads best so"
)]

#[path = "overlay/ground.rs"]
mod ground;

use ground::{BIN, Ground};
use serde_json::Value;
use shoalway_overlay_proto::identity::Roles;
use shoalway_testkit::proxy::run;
use shoalway_testkit::real::curl;
use shoalway_testkit::{Origin, Proxy, Reply, eventually, secs};
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;

fn program(config: &str) -> Proxy {
    Proxy::builder(BIN).unset("proxy.listen").config(config).start()
}

/// An address nobody listens on: a loopback address that no other test uses, with a port that was free a moment ago.
fn address(last: u8) -> SocketAddr {
    let own = u8::try_from(std::process::id() % 200).unwrap() + 20;
    TcpListener::bind((format!("127.77.{own}.{last}").as_str(), 0)).unwrap().local_addr().unwrap()
}

fn node(proxy: &Proxy) -> Value {
    proxy.status_json()["node"].clone()
}

/// What a stranger gets from the site of a node.
fn visit(ground: &Ground, n: u8, at: SocketAddr, words: &[&str]) -> shoalway_testkit::real::Curled {
    let host = format!("site{n}.example");
    let resolve = format!("{host}:{}:{}", at.port(), at.ip());
    let ca = ground.ca.file().display().to_string();
    let url = format!("https://{host}:{}/", at.port());
    curl(&[&["--cacert", &ca, "--resolve", &resolve], words, &[&url]].concat())
}

#[test]
fn a_page_comes_through_entry_and_exit_and_nothing_leaves_when_the_entry_is_down() {
    let ground = Ground::new();
    let (entry, exit) = (
        ground.delegate(1, Roles::ENTRY | Roles::DIRECTORY),
        ground.delegate(2, Roles::EXIT | Roles::MIDDLE),
    );
    let (entry_at, exit_at) = (address(1), address(2));
    let directory = program(&ground.directory(entry_at, &[entry, exit]));
    let exit_node = program(&ground.exit(exit_at, &directory));
    eventually(secs(30), "a snapshot with both nodes", || {
        (node(&exit_node)["directory"]["nodes"] == 2).then_some(())
    });
    assert_eq!(
        (node(&exit_node)["known"].as_bool(), node(&exit_node)["lab"].as_bool()),
        (Some(true), Some(true))
    );

    let client = Proxy::builder(BIN).config(ground.client(&directory)).start();
    let origin = Origin::start(Reply::ok("hello"));
    let proxy = client.url("http");
    let ask = || curl(&["-x", &proxy, &origin.url("/")]);
    eventually(secs(30), "a page through the overlay", || (ask().http_code == 200).then_some(()));
    ask().assert_got(200, "hello");
    assert!(node(&exit_node)["exit"]["streams"].as_u64().unwrap() >= 1);
    assert!(node(&directory)["clients"].as_u64().unwrap() >= 1);

    let status = client.status_json()["overlay"].clone();
    assert_eq!((status["ready"].as_bool(), status["lab"].as_bool()), (Some(true), Some(true)), "{status}");
    let shown = client.command(&["status"]).text();
    assert!(shown.contains("network home (lab)") && shown.contains(&entry.to_string()), "{shown}");
    let why = client.command(&["why", &origin.url("/")]).text();
    assert!(why.contains(&format!("exit {exit}")), "{why}");
    assert!(client.metrics().sum("shoalway_overlay_links", &[]) >= 1.0);
    assert!(exit_node.metrics().sum("shoalway_exit_streams_total", &[]) >= 1.0);
    assert_eq!(client.admin("/readyz").status, 200);

    let before = origin.connections();
    // Killed at once.
    drop(directory);
    for _ in 0..3 {
        let refused = curl(&["-m", "20", "-x", &proxy, &origin.url("/")]);
        assert!(refused.http_code >= 500, "{}", refused.http_code);
    }
    assert_eq!(origin.connections(), before, "nothing went another way");
}

#[test]
fn strangers_see_a_site_and_openers_that_are_none_change_nothing() {
    let ground = Ground::new();
    let entry = ground.delegate(1, Roles::ENTRY | Roles::DIRECTORY);
    let at = address(1);
    let directory = program(&ground.directory(at, &[entry]));
    let opener = "A".repeat(214);
    let cookie = format!("Cookie: sid1={opener}");
    for words in [&[][..], &["--http1.1"], &["-H", &cookie], &["-H", "Cookie: sid1=short"]] {
        let got = visit(&ground, 1, at, words);
        got.assert_got(200, "page 1");
    }
    let missing = visit(&ground, 1, at, &["--request-target", "/live1", "-H", &cookie]);
    let other = visit(&ground, 1, at, &["--request-target", "/live2"]);
    assert_eq!(
        (missing.http_code, missing.ran.text()),
        (other.http_code, other.ran.text()),
        "the path is like any other"
    );
    assert_eq!(node(&directory)["clients"], 0);
}

#[test]
fn a_guest_who_is_revoked_is_let_in_no_more_and_a_reload_leaves_the_node_alone() {
    let ground = Ground::new();
    let entry = ground.delegate(1, Roles::ENTRY | Roles::DIRECTORY);
    let directory = program(&ground.directory(address(1), &[entry]));
    let link =
        |words: &[&str]| directory.command(&[&["share", "link"], words].concat()).assert_code(0).text();
    let (aunt, everybody) = (link(&["--guest", "aunt"]), link(&[]));
    assert!(aunt.starts_with("shoalway://join#1.") && aunt != everybody);
    assert_eq!(directory.command(&["share", "list"]).text(), "everybody\naunt\n");
    directory.command(&["share", "revoke", "aunt"]).assert_code(0);
    assert_eq!(directory.command(&["share", "list"]).text(), "everybody\n");
    assert_eq!(directory.command(&["share", "revoke", "aunt"]).code, Some(1));
    let before = node(&directory)["descriptor"]["seq"].clone();
    directory.reload().unwrap();
    assert_eq!(node(&directory)["descriptor"]["seq"], before, "the same keys are in force");
    let doctor = directory.command(&["node", "doctor"]);
    assert!(doctor.text().contains("the node key fits"), "{}", doctor.text());
    let shown = directory.command(&["node", "status"]).text();
    assert!(shown.contains(&entry.to_string()) && shown.contains("(lab)"), "{shown}");
    assert_eq!(directory.command(&["node", "drain"]).code, Some(1), "it is no exit");
}

#[test]
fn a_node_without_its_keys_does_not_start_and_says_what_is_missing() {
    let ground = Ground::new();
    ground.dir.write("roll", "");
    let (key, roll) = (ground.dir.join("directory-0.key"), ground.dir.join("roll"));
    let publish = format!("publish = {{ keys = [\"{}\"], roll = \"{}\" }}", key.display(), roll.display());
    let config = ground.node(1, address(1), &publish);
    let launch = || Proxy::builder(BIN).unset("proxy.listen").config(config.clone()).launch();
    let mut none = launch();
    assert!(!none.wait_for_exit(secs(20)).success());
    assert!(none.stdout().contains("node-1.delegation is not there"), "{}", none.stdout());
    ground.delegate(1, Roles::ENTRY);
    let readable = ground.dir.join("node-1.nodekey");
    fs::set_permissions(&readable, fs::Permissions::from_mode(0o644)).unwrap();
    let mut exposed = launch();
    assert!(!exposed.wait_for_exit(secs(20)).success());
    assert!(exposed.stdout().contains("can be read by others"), "{}", exposed.stdout());
}

#[test]
fn node_setup_writes_a_section_that_loads_and_nothing_when_something_is_wrong() {
    let ground = Ground::new();
    let issued = ground.ca.issue(&["site1.example"]);
    ground.dir.write("roll", "");
    let path = |name: &str| ground.dir.join(name).display().to_string();
    fs::create_dir_all(ground.dir.join("cover")).unwrap();
    let (network, cover, key, roll) =
        (path("home.network.toml"), path("cover"), path("directory-0.key"), path("roll"));
    let (cert, cert_key, wallet, out) = (
        issued.cert.display().to_string(),
        issued.key.display().to_string(),
        path("node-1.json"),
        path("made.toml"),
    );
    let listen = address(1).to_string();
    let words = [
        "node",
        "setup",
        "--network",
        &network,
        "--host",
        "site1.example",
        "--listen",
        &listen,
        "--cover-files",
        &cover,
        "--cert",
        &cert,
        "--key",
        &cert_key,
        "--publish-key",
        &key,
        "--roll",
        &roll,
        "--wallet",
        &wallet,
        "--out",
        &out,
    ];
    let refused = run(BIN, &ground.dir, &words);
    assert_eq!(refused.code, Some(1), "{refused}");
    assert!(!ground.dir.join("made.toml").exists());
    ground.delegate(1, Roles::ENTRY | Roles::DIRECTORY);
    run(BIN, &ground.dir, &words).assert_code(0);
    run(BIN, &ground.dir, &["config", "check", "-c", &out]).assert_code(0);
    let text = fs::read_to_string(&out).unwrap();
    assert!(text.contains("path = \"/") && text.contains("cookie = \""), "{text}");
}
