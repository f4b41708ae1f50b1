//! Certificates of sites: what is a mistake, and what the rest comes to.

use super::super::settings::{SiteCertificate, SiteTls};
use super::super::show::Origin;
use super::super::{Ending, Settings};
use super::{load_text, problems};
use crate::cert::{Authority, ChallengeKind, LETS_ENCRYPT, LETS_ENCRYPT_STAGING};
use shoalway_net::tls::Roots;
use std::path::Path;

/// Texts behind `version = 1`, and what is found in them.
pub(super) const TABLE: &[(&str, &[&str])] = &[
    // Ports.
    ("listen = \"127.0.0.1:443\"\nacme = true\n", &["C022 4:10"]),
    ("listen = \"127.0.0.1:8443\"\nacme = true\n", &["C057 5:8"]),
    ("listen = \"127.0.0.1:80\"\nacme = true\n", &["C022 4:10", "C057 5:8"]),
    (
        "listen = \"127.0.0.1:8443\"\nacme = true\n[sites.\"*\"]\nlisten = \"127.0.0.1:80\"\nto = \"http://192.0.2.1\"\n",
        &["C022 7:10"],
    ),
    (
        "listen = \"127.0.0.1:443\"\nacme = true\ntls = { client_ca = \"app.pem\" }\n",
        &["C022 4:10", "C057 5:8"],
    ),
    ("listen = \"127.0.0.1:8443\"\nacme = { challenges = \"tls-alpn-01\" }\n", &[]),
    ("listen = \"127.0.0.1:8443\"\nacme = true\n[acme]\nchallenges = \"tls-alpn-01\"\n", &[]),
    ("listen = \"127.0.0.1:8443\"\nacme = true\n[acme]\nchallenges = \"http-01\"\n", &["C057 5:8"]),
    ("listen = \"127.0.0.1:8443\"\nacme = { challenges = \"http-01\" }\n", &["C057 5:23"]),
    ("listen = \"127.0.0.1:8443\"\nacme = { challenges = [] }\n", &["C057 4:10"]),
    ("listen = \"127.0.0.1:8443\"\nacme = { challenges = \"dns-01\" }\n", &["C015 5:23"]),
    ("listen = \"127.0.0.1:8443\"\nacme = { challenges = \"tls-alpn-1\" }\n", &["C014 5:23"]),
    // Switches.
    ("listen = \"127.0.0.1:8443\"\nacme = false\n", &[]),
    ("listen = \"127.0.0.1:8443\"\nacme = { on = false, email = \"a@b.example\" }\n", &[]),
    ("listen = \"127.0.0.1:8443\"\nacme = \"yes\"\n", &["C013 5:8"]),
    ("listen = \"127.0.0.1:8443\"\ntls = true\n", &["C013 5:7"]),
    ("listen = \"127.0.0.1:8443\"\n[acme]\nemail = \"a@b.example\"\n", &["C055 6:9"]),
    // Who certifies.
    (
        "listen = \"127.0.0.1:8443\"\nacme = { challenges = \"tls-alpn-01\", email = \"me\" }\n",
        &["C058 5:46"],
    ),
    (
        "listen = \"127.0.0.1:8443\"\nacme = { challenges = \"tls-alpn-01\", directory = \"http://ca.example/\" }\n",
        &["C058 5:50"],
    ),
    (
        "listen = \"127.0.0.1:8443\"\nacme = { challenges = \"tls-alpn-01\" }\n[acme]\ndirectory = \"ca\"\n",
        &["C058 7:13"],
    ),
    (
        "listen = \"127.0.0.1:8443\"\nacme = { challenges = \"tls-alpn-01\" }\n[acme]\ndirectory = \"https://ca.example/\"\nstaging = true\n",
        &["C055 8:11"],
    ),
    ("listen = \"127.0.0.1:8443\"\nacme = { challenges = \"tls-alpn-01\", ca = \"gone\" }\n", &["C024 5:43"]),
    // Names.
    (
        "listen = \"127.0.0.1:1\"\n[sites.\"nas.internal\"]\nlisten = \"127.0.0.1:8443\"\nacme = true\nto = \"http://192.0.2.1\"\n",
        &["C022 4:10"],
    ),
    (
        "listen = \"127.0.0.1:8080\"\n[sites.\"nas.internal\"]\nlisten = \"127.0.0.1:8443\"\nacme = { email = \"a@b.example\" }\nto = \"http://192.0.2.1\"\n",
        &["C055 7:18"],
    ),
    (
        "listen = \"127.0.0.1:8080\"\n[sites.\"*.internal\"]\nlisten = \"127.0.0.1:8443\"\nacme = true\nto = \"http://192.0.2.1\"\n",
        &[],
    ),
    (
        "listen = \"127.0.0.1:8080\"\n[sites.\"*.shop.example\"]\nlisten = \"127.0.0.1:8443\"\nacme = true\nto = \"http://192.0.2.1\"\n",
        &["C057 7:8"],
    ),
    (
        "listen = \"127.0.0.1:8080\"\n[sites.\"*\"]\nlisten = \"127.0.0.1:8443\"\nacme = true\nto = \"http://192.0.2.1\"\n",
        &["C057 7:8"],
    ),
    (
        "listen = \"127.0.0.1:8080\"\n[sites.\"192.0.2.7\"]\nlisten = \"127.0.0.1:8443\"\nacme = true\nto = \"http://192.0.2.1\"\n",
        &["C057 7:8"],
    ),
    // Files.
    (
        "listen = \"127.0.0.1:443\"\nacme = true\ntls = { cert = \"app.pem\", key = \"app.key\" }\n",
        &["C022 4:10", "C059 6:16"],
    ),
    ("listen = \"127.0.0.1:443\"\nacme = true\ntls = { ocsp = \"x\" }\n", &["C022 4:10", "C055 6:16"]),
    (
        "listen = \"127.0.0.1:8443\"\ntls = { cert = \"app.pem\", key = \"app.key\", ocsp = \"proxy.ocsp\" }\n",
        &["C060 5:51"],
    ),
    (
        "listen = \"127.0.0.1:8443\"\ntls = { cert = \"app.pem\", key = \"app.key\", ocsp = \"gone\" }\n",
        &["C024 5:51"],
    ),
    (
        "listen = \"127.0.0.1:8443\"\nacme = { challenges = \"tls-alpn-01\" }\n[sites.b]\nlisten = \"127.0.0.1:8443\"\nto = \"http://192.0.2.1\"\n",
        &["C050 4:10"],
    ),
    (
        "listen = \"127.0.0.1:8443\"\nacme = { challenges = \"tls-alpn-01\" }\n[sites.b]\nlisten = \"127.0.0.1:8443\"\nto = \"http://192.0.2.1\"\ntls = { cert = \"app.pem\", key = \"app.key\" }\n",
        &[],
    ),
];

/// What is in front of them: three lines.
const SITE: &str = "version = 1\n[sites.\"shop.example\"]\nto = \"http://192.0.2.1\"\n";

#[test]
fn each_mistake_is_found_at_its_place_and_alone() {
    let wrong: Vec<_> = TABLE
        .iter()
        .map(|(text, expected)| (problems(&format!("{SITE}{text}")), *expected, text))
        .filter(|(found, expected, _)| found != expected)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn settings(text: &str) -> Settings {
    let loaded = load_text(&format!("{SITE}{text}"));
    loaded.unwrap_or_else(|report| panic!("{}", report.to_text(Ending::Check))).settings
}

fn authority(text: &str) -> Authority {
    let settings = settings(text);
    let site = settings.sites.iter().find(|site| site.name == "shop.example").unwrap();
    match &site.tls {
        Some(SiteTls { certificate: SiteCertificate::Kept { name, authority }, .. }) => {
            assert_eq!(name.as_str(), "shop.example");
            Authority::clone(authority)
        }
        Some(SiteTls { certificate: SiteCertificate::Files(_), .. }) | None => panic!("no `acme`"),
    }
}

#[test]
fn one_word_is_enough_and_everything_can_be_said() {
    let usual = authority("listen = \"127.0.0.1:443\"\nacme = true\n");
    let wanted = Authority { challenges: vec![ChallengeKind::TlsAlpn01], ..Authority::default() };
    assert_eq!(usual, wanted);
    assert_eq!(
        (wanted.directory.as_str(), wanted.staging.as_deref()),
        (LETS_ENCRYPT, Some(LETS_ENCRYPT_STAGING))
    );

    let general = "[acme]\nemail = \"ops@shop.example\"\ndirectory = \"https://ca.example/dir\"\nca = \"inner-ca.pem\"\nchallenges = \"tls-alpn-01\"\nstaging = false\n";
    let found = authority(&format!("listen = \"127.0.0.1:8443\"\nacme = true\n{general}"));
    assert_eq!(found.email.as_deref(), Some("ops@shop.example"));
    assert_eq!(
        (found.directory.as_str(), found.staging, found.rehearse),
        ("https://ca.example/dir", None, false)
    );
    assert!(matches!(found.roots, Roots::Pem(_)));

    // Another authority is believed by itself; what is said in general about the first does not hold for it.
    let own = "acme = { directory = \"https://other.example/dir\", staging_directory = \"https://other.example/test\", staging = true }\n";
    let found = authority(&format!("listen = \"127.0.0.1:8443\"\n{own}{general}"));
    assert_eq!(found.staging.as_deref(), Some("https://other.example/test"));
    assert_eq!((found.roots, found.rehearse), (Roots::System, true));
    assert_eq!(found.email.as_deref(), Some("ops@shop.example"));
}

#[test]
fn names_are_proven_where_the_ports_are() {
    use ChallengeKind::{Http01, TlsAlpn01};
    let plain = "[sites.\"*\"]\nlisten = \"127.0.0.1:80\"\nto = \"http://192.0.2.1\"\n";
    for (site, more, wanted) in [
        ("listen = \"127.0.0.1:443\"\nacme = true\n", plain, vec![Http01, TlsAlpn01]),
        ("listen = \"127.0.0.1:8443\"\nacme = true\n", plain, vec![Http01]),
        ("listen = [\"127.0.0.1:8443\", \"[::1]:443\"]\nacme = true\n", "", vec![TlsAlpn01]),
        ("listen = \"127.0.0.1:443\"\nacme = true\ntls = { client_ca = \"app.pem\" }\n", plain, vec![Http01]),
        (
            "listen = \"127.0.0.1:443\"\nacme = { challenges = [\"tls-alpn-01\", \"http-01\"] }\n",
            plain,
            vec![TlsAlpn01, Http01],
        ),
    ] {
        assert_eq!(authority(&format!("{site}{more}")).challenges, wanted, "{site}");
    }
}

#[test]
fn files_are_kept_where_the_configuration_says() {
    let text = "listen = \"127.0.0.1:443\"\nacme = true\n";
    assert_eq!(settings(text).certificates, Path::new("/var/lib/shoalway/certs"));
    let named = settings(&format!("{text}[acme]\nstorage = \"certs\"\n"));
    assert_eq!(named.certificates, Path::new("certs"));
    assert_ne!(named.fingerprints.reverse, settings(text).fingerprints.reverse);
}

#[test]
fn what_is_shown_means_the_same() {
    for acme in ["true", "false", "{ email = \"a@b.example\" }"] {
        let text = format!("{SITE}listen = \"127.0.0.1:443\"\nacme = {acme}\n");
        let loaded = load_text(&text).unwrap();
        let shown = loaded.view.to_toml(Origin::Shown);
        let again =
            load_text(&shown).unwrap_or_else(|report| panic!("{}\n{shown}", report.to_text(Ending::Check)));
        assert_eq!(again.view.to_toml(Origin::Hidden), loaded.view.to_toml(Origin::Hidden));
        assert_eq!(again.settings.sites[0].tls.is_some(), loaded.settings.sites[0].tls.is_some(), "{shown}");
        assert!(
            acme.starts_with('{') || shown.contains(&format!("acme = {acme}  # shoalway.toml:5")),
            "{shown}"
        );
    }
}
