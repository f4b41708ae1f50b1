//! Sites whose certificates are had by themselves, as a whole program: ordered, proven, shown, renewed, listed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test reads best so"
)]

use serde_json::Value;
use shoalway_testkit::real::{Curled, curl};
use shoalway_testkit::{AcmeServer, Origin, Proxy, Refusing, Reply, TempDir, TestCa, eventually, secs};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

const BIN: &str = env!("CARGO_BIN_EXE_shoalway");
/// A plain site that sends everybody to TLS, on an address of its own.
const PLAIN: &str =
    "[sites.\"*\"]\nlisten = \"127.0.0.2:0\"\nroutes = [\"* => redirect:https://shop.example/ 308\"]\n";

/// `[acme]` with this authority.
fn by(acme: &AcmeServer, more: &str) -> String {
    let (directory, ca) = (acme.directory(), acme.tls_root());
    format!(
        "[acme]\ndirectory = \"{directory}\"\nca = \"{}\"\nemail = \"ops@shop.example\"\n{more}\n",
        ca.display()
    )
}

fn site(name: &str, lines: &str) -> String {
    format!("[sites.\"{name}\"]\nlisten = \"127.0.0.1:0\"\nroutes = [\"* => answer:200 {name}\"]\n{lines}\n")
}

fn shop(lines: &str) -> String {
    site("shop.example", lines)
}

/// A reverse proxy that keeps certificates in a directory of its own.
fn reverse(config: &str) -> Proxy {
    Proxy::builder(BIN).unset("proxy.listen").set("acme.storage", "certs").config(config).start()
}

struct Client {
    dir: TempDir,
    root: PathBuf,
}

impl Client {
    fn trusting(root: &str) -> Self {
        let dir = TempDir::new();
        let root = dir.write("root.pem", root);
        Self { dir, root }
    }

    fn ask(&self, name: &str, addr: SocketAddr) -> Curled {
        self.ask_with(name, addr, &[])
    }

    fn ask_with(&self, name: &str, addr: SocketAddr, words: &[&str]) -> Curled {
        let resolve = format!("{name}:{}:{}", addr.port(), addr.ip());
        let url = format!("https://{name}:{}/", addr.port());
        let root = self.root.display().to_string();
        curl(&[&["--cacert", &root, "--resolve", &resolve], words, &[&url]].concat())
    }

    fn wait_for(&self, name: &str, addr: SocketAddr) {
        eventually(secs(15), &format!("a certificate for {name}"), || {
            (self.ask(name, addr).http_code == 200).then_some(())
        });
    }
}

/// What `openssl s_client` says of a connection that ends after its handshake.
fn s_client(addr: SocketAddr, name: &str, words: &[&str]) -> String {
    let mut command = std::process::Command::new("openssl");
    command.args(["s_client", "-connect", &addr.to_string(), "-servername", name]).args(words);
    let ran = command.stdin(std::process::Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

fn serial(addr: SocketAddr, name: &str) -> String {
    let shown = s_client(addr, name, &[]);
    let begin = shown.find("-----BEGIN CERTIFICATE-----").unwrap();
    let end = shown.find("-----END CERTIFICATE-----").unwrap();
    shown[begin..end].to_owned()
}

fn json(proxy: &Proxy, words: &[&str]) -> Value {
    let ran = proxy.command(&[words, &["--json"]].concat());
    serde_json::from_str(&ran.text()).unwrap_or_else(|error| panic!("{error}: {ran}"))
}

fn statuses(acme: &AcmeServer) -> Vec<&'static str> {
    acme.orders().iter().map(|order| order.status).collect()
}

#[test]
fn a_site_gets_its_certificate_over_the_plain_port_and_commands_answer() {
    let (acme, staging) = (AcmeServer::start(), AcmeServer::start());
    let both = [fs::read(acme.tls_root()).unwrap(), fs::read(staging.tls_root()).unwrap()].concat();
    let files = TempDir::new();
    let ca = files.write("ca.pem", both);
    let general =
        by(&acme, &format!("staging_directory = \"{}\"\nchallenges = \"http-01\"", staging.directory()));
    let general = general.replace(&acme.tls_root().display().to_string(), &ca.display().to_string());
    let proxy = reverse(&format!("{}{PLAIN}{general}", shop("acme = true")));
    let (addr, plain) = (proxy.listening("sites.shop.example"), proxy.listening("sites.*"));
    for authority in [&acme, &staging] {
        authority.find_names_at(plain, addr);
    }
    let client = Client::trusting(&acme.issuing_root());
    client.wait_for("shop.example", addr);
    for version in ["--http1.1", "--http2"] {
        client.ask_with("shop.example", addr, &[version]).assert_got(200, "shop.example\n");
    }
    assert_eq!((statuses(&staging), statuses(&acme)), (vec!["valid"], vec!["valid"]), "rehearsed first");
    // Everybody else is sent on, at the authority's paths too.
    let asked = curl(&[&format!("http://{plain}/.well-known/acme-challenge/guess")]);
    assert_eq!(asked.http_code, 308);

    let listed = json(&proxy, &["cert", "list"]);
    assert_eq!(listed["certificates"][0]["name"], "shop.example");
    assert_eq!(listed["certificates"][0]["state"], "valid");
    let text = proxy.command(&["cert", "list"]).text();
    assert!(text.contains("shop.example  valid until "), "{text}");
    assert_eq!(proxy.status_json()["certificates"][0]["state"], "valid");
    assert_eq!(proxy.admin("/readyz").text(), "ready\n");
    let expires =
        proxy.metrics().sum("shoalway_certificate_expires_timestamp_seconds", &[("name", "shop.example")]);
    assert_eq!(Some(expires), listed["certificates"][0]["until"].as_f64());

    let before = serial(addr, "shop.example");
    let renewed = proxy.command(&["cert", "renew", "shop.example"]);
    assert!(renewed.text().contains("shop.example: renewed, valid until "), "{renewed}");
    assert_ne!(serial(addr, "shop.example"), before, "shown at once");
    let rehearsed = proxy.command(&["cert", "dry-run"]);
    let wanted = format!("shop.example: rehearsed at {}: all is well\n", staging.directory());
    assert_eq!(rehearsed.text(), wanted);
    assert_eq!((staging.orders().len(), acme.orders().len()), (2, 2));
    client.ask("shop.example", addr).assert_got(200, "shop.example\n");
}

#[test]
fn a_site_gets_its_certificate_on_its_own_port() {
    let acme = AcmeServer::start();
    let proxy = reverse(&format!("{}{}", shop("acme = { challenges = \"tls-alpn-01\" }"), by(&acme, "")));
    let addr = proxy.listening("sites.shop.example");
    acme.find_names_at(addr, addr);
    let client = Client::trusting(&acme.issuing_root());
    client.wait_for("shop.example", addr);
    client.ask("shop.example", addr).assert_got(200, "shop.example\n");
    assert_eq!(statuses(&acme), ["valid"]);
    let asked = s_client(addr, "shop.example", &["-alpn", "acme-tls/1"]);
    assert!(!asked.contains("BEGIN CERTIFICATE"), "an authority that is not expected sees nothing: {asked}");
}

#[test]
fn clients_may_have_to_show_a_certificate_beside() {
    let (acme, clients) = (AcmeServer::start(), TestCa::new());
    let me = clients.issue(&["me.example"]);
    let lines = format!("acme = true\ntls = {{ client_ca = \"{}\" }}", clients.file().display());
    let proxy = reverse(&format!("{}{PLAIN}{}", shop(&lines), by(&acme, "challenges = \"http-01\"")));
    let addr = proxy.listening("sites.shop.example");
    acme.find_names_at(proxy.listening("sites.*"), addr);
    let client = Client::trusting(&acme.issuing_root());
    let (cert, key) = (me.cert.display().to_string(), me.key.display().to_string());
    eventually(secs(15), "a certificate", || {
        let asked = client.ask_with("shop.example", addr, &["--cert", &cert, "--key", &key]);
        (asked.http_code == 200).then_some(())
    });
    assert_eq!(client.ask("shop.example", addr).http_code, 0);
}

#[test]
fn while_the_authority_is_away_the_rest_is_served_and_words_say_so() {
    let away = format!("directory = \"https://{}/directory\"", Refusing::start().addr());
    let acme = AcmeServer::start();
    let sites = format!("{}{PLAIN}", shop("acme = true"));
    let config = |general: &str| {
        format!(
            "{sites}[acme]\nchallenges = \"http-01\"\nca = \"{}\"\n{general}\n",
            acme.tls_root().display()
        )
    };
    let proxy = reverse(&config(&away));
    let (addr, plain) = (proxy.listening("sites.shop.example"), proxy.listening("sites.*"));
    let said = proxy.wait_for_stderr("no new certificate");
    assert!(said.contains("A004") && said.contains("cannot be reached"), "{said}");
    let ready = proxy.admin("/readyz");
    assert_eq!(ready.status, 200, "what can be served is served");
    assert!(
        ready.text().contains("no certificate for shop.example: A004 the authority at "),
        "{}",
        ready.text()
    );
    assert_eq!(curl(&[&format!("http://{plain}/x")]).http_code, 308);
    let client = Client::trusting(&acme.issuing_root());
    assert_eq!(client.ask("shop.example", addr).http_code, 0);
    let status = proxy.command(&["status"]).text();
    assert!(status.contains("certificate shop.example: missing, A004"), "{status}");
    let listed = proxy.command(&["cert", "list"]).text();
    assert!(listed.contains("shop.example  missing, next attempt ") && listed.contains("A004: "), "{listed}");

    // What was wrong is put right: nobody waits for the next attempt of the old.
    acme.find_names_at(plain, addr);
    proxy.write_config(&config(&format!("directory = \"{}\"", acme.directory())));
    proxy.reload().unwrap();
    client.wait_for("shop.example", addr);
    assert_eq!(proxy.admin("/readyz").text(), "ready\n");
}

#[test]
fn a_reload_brings_names_and_takes_them_away() {
    let acme = AcmeServer::start();
    let general = by(&acme, "challenges = \"tls-alpn-01\"");
    let (one, two) = (shop("acme = true"), site("blog.example", "acme = true"));
    let proxy = reverse(&format!("{one}{general}"));
    let addr = proxy.listening("sites.shop.example");
    acme.find_names_at(addr, addr);
    let client = Client::trusting(&acme.issuing_root());
    client.wait_for("shop.example", addr);
    let before = serial(addr, "shop.example");

    proxy.write_config(&format!("{one}{two}{general}"));
    proxy.reload().unwrap();
    client.wait_for("blog.example", addr);
    assert_eq!(serial(addr, "shop.example"), before, "what stays is not ordered again");
    assert_eq!(acme.orders().len(), 2);
    let names = |proxy: &Proxy| {
        let status = proxy.status_json();
        let all = status["certificates"].as_array().unwrap().clone();
        all.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&proxy), ["blog.example", "shop.example"]);

    // From itself to files: shown from then on, whatever the keeper had.
    let ca = TestCa::new();
    let own = ca.issue(&["shop.example"]);
    let tls = format!("tls = {{ cert = \"{}\", key = \"{}\" }}", own.cert.display(), own.key.display());
    proxy.write_config(&shop(&tls));
    proxy.reload().unwrap();
    let theirs = Client { root: ca.file(), dir: TempDir::new() };
    theirs.ask("shop.example", addr).assert_got(200, "shop.example\n");
    assert!(names(&proxy).is_empty());
    assert!(theirs.dir.path().exists() && client.dir.path().exists());
    assert_eq!(proxy.command(&["cert", "renew", "shop.example"]).code, Some(1));
}

#[test]
fn a_storage_that_cannot_be_used_is_told_at_the_start_and_refuses_a_reload() {
    use std::os::unix::fs::PermissionsExt as _;
    let open = TempDir::new();
    fs::set_permissions(open.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let lines = format!("[acme]\nstorage = \"{}\"\n", open.path().display());
    let builder = || Proxy::builder(BIN).unset("proxy.listen");
    let mut proxy = builder().config(format!("{}{lines}", site("nas.internal", "acme = true"))).launch();
    assert_eq!(proxy.wait_for_exit(secs(10)).code(), Some(77));
    eventually(secs(10), "what is wrong and what to do", || {
        let said = proxy.stdout() + &proxy.stderr();
        (said.contains("certificates cannot be kept") && said.contains("chmod 700")).then_some(())
    });

    let plain = site("nas.internal", "");
    let proxy = builder().config(plain).start();
    proxy.write_config(&format!("{}{lines}", site("nas.internal", "acme = true")));
    let refused = proxy.reload().unwrap_err();
    assert_eq!(refused["code"], "N007", "{refused}");
    let addr = proxy.listening("sites.nas.internal");
    let asked = curl(&["-H", "Host: nas.internal", &format!("http://{addr}/")]);
    asked.assert_got(200, "nas.internal\n");
}

#[test]
fn names_of_the_house_are_certified_here() {
    let config = [site("nas.internal", "acme = true"), site("*.lab.internal", "acme = true")].concat();
    let proxy = reverse(&config);
    let addr = proxy.listening("sites.nas.internal");
    let root = eventually(secs(15), "the local authority", || {
        json(&proxy, &["ca", "show"])["pem"].as_str().map(str::to_owned)
    });
    let client = Client::trusting(&root);
    for name in ["nas.internal", "a.lab.internal"] {
        client.wait_for(name, addr);
    }
    client.ask("nas.internal", addr).assert_got(200, "nas.internal\n");
    client.ask("a.lab.internal", addr).assert_got(200, "*.lab.internal\n");
    let ca = proxy.command(&["ca", "show"]).text();
    assert!(ca.contains("certs/local/ca.pem"), "{ca}");
    let tried = proxy.command(&["cert", "dry-run", "nas.internal"]).text();
    assert_eq!(tried, "nas.internal: signed by the local authority, not kept\n");
    assert!(Path::new(&proxy.dir().join("certs/local/nas.internal.pem")).exists());
}

#[test]
fn a_reload_with_another_storage_goes_on_from_there() {
    let (one, two) = (TempDir::new(), TempDir::new());
    let config = |storage: &TempDir| {
        let certs = storage.join("certs");
        format!("{}[acme]\nstorage = \"{}\"\n", site("nas.internal", "acme = true"), certs.display())
    };
    let proxy = Proxy::builder(BIN).unset("proxy.listen").config(config(&one)).start();
    let addr = proxy.listening("sites.nas.internal");
    let trusting = || {
        let root = eventually(secs(15), "the local authority", || {
            json(&proxy, &["ca", "show"])["pem"].as_str().map(str::to_owned)
        });
        Client::trusting(&root)
    };
    let before = trusting();
    before.wait_for("nas.internal", addr);
    proxy.write_config(&config(&two));
    proxy.reload().unwrap();
    let after = trusting();
    after.wait_for("nas.internal", addr);
    assert_eq!(before.ask("nas.internal", addr).http_code, 0, "what is shown is of the new authority");
    assert_ne!(fs::read(&before.root).unwrap(), fs::read(&after.root).unwrap());
}

#[test]
fn the_example_does_what_it_says() {
    let (acme, photos, nas) =
        (AcmeServer::start(), Origin::start(Reply::ok("photos")), Origin::start(Reply::ok("nas")));
    let mut text = include_str!("../../../examples/homelab.toml").to_owned();
    for (from, to) in [
        ("0.0.0.0:8443", "127.0.0.1:0".to_owned()),
        ("0.0.0.0:8080", "127.0.0.2:0".to_owned()),
        ("127.0.0.1:2342", photos.addr().to_string()),
        ("127.0.0.1:5000", nas.addr().to_string()),
    ] {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, &to);
    }
    let proxy = Proxy::builder(BIN)
        .unset("proxy.listen")
        .set("acme.storage", "certs")
        .set("acme.directory", acme.directory())
        .set("acme.ca", acme.tls_root().display())
        .config(text)
        .start();
    let (addr, plain) = (proxy.listening("sites.photos.example.org"), proxy.listening("sites.*"));
    acme.find_names_at(plain, addr);
    let outside = Client::trusting(&acme.issuing_root());
    outside.wait_for("photos.example.org", addr);
    outside.ask("photos.example.org", addr).assert_got(200, "photos");
    let inside = Client::trusting(json(&proxy, &["ca", "show"])["pem"].as_str().unwrap());
    inside.wait_for("nas.internal", addr);
    inside.ask("nas.internal", addr).assert_got(200, "nas");
    let moved = curl(&["-i", "-H", "Host: photos.example.org", &format!("http://{plain}/a?b")]);
    assert!(
        moved.ran.text().to_ascii_lowercase().contains("location: https://photos.example.org/a?b"),
        "{}",
        moved.ran
    );
}

#[test]
fn of_two_certificates_for_a_name_each_site_shows_its_own() {
    let (one, two) = (TestCa::new(), TestCa::new());
    let (first, second) = (one.issue(&["a.example", "b.example"]), two.issue(&["b.example", "a.example"]));
    let tls = |issued: &shoalway_testkit::ca::Issued| {
        format!("tls = {{ cert = \"{}\", key = \"{}\" }}", issued.cert.display(), issued.key.display())
    };
    let proxy = reverse(&[site("a.example", &tls(&first)), site("b.example", &tls(&second))].concat());
    let addr = proxy.listening("sites.a.example");
    for (ca, own, other) in [(&one, "a.example", "b.example"), (&two, "b.example", "a.example")] {
        let client = Client { root: ca.file(), dir: TempDir::new() };
        client.ask(own, addr).assert_got(200, &format!("{own}\n"));
        assert_eq!(client.ask(other, addr).http_code, 0, "that of the other site");
    }
}

#[test]
fn an_ocsp_answer_goes_along_while_it_holds_and_changes_without_a_reload() {
    let ca = TestCa::new();
    let (shop_files, other) = (ca.issue(&["shop.example"]), ca.issue(&["other.example"]));
    let good = fs::read(ca.ocsp(&shop_files, "V")).unwrap();
    let foreign = fs::read(ca.ocsp(&other, "V")).unwrap();
    let files = TempDir::new();
    let answer = files.write("shop.ocsp", &foreign);
    let (cert, key) = (shop_files.cert.display(), shop_files.key.display());
    let tls = format!("tls = {{ cert = \"{cert}\", key = \"{key}\", ocsp = \"{}\" }}", answer.display());
    let proxy = reverse(&shop(&tls));
    let addr = proxy.listening("sites.shop.example");
    let said = proxy.stdout() + &proxy.stderr();
    assert!(said.contains("C060") && said.contains("it is for another certificate"), "{said}");
    let status = || s_client(addr, "shop.example", &["-status"]);
    assert!(status().contains("OCSP response: no response sent"));

    fs::write(&answer, &good).unwrap();
    let shown = eventually(secs(15), "the answer", || {
        Some(status()).filter(|text| text.contains("Cert Status: good"))
    });
    assert!(shown.contains("OCSP Response Status: successful"), "{shown}");

    fs::write(&answer, b"nonsense").unwrap();
    proxy.wait_for_stderr("it holds no OCSP answer");
    eventually(secs(15), "no answer", || status().contains("OCSP response: no response sent").then_some(()));
    let client = Client { root: ca.file(), dir: files };
    client.ask("shop.example", addr).assert_got(200, "shop.example\n");
}
