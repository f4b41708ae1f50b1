//! What a configuration without mistakes comes to.

use super::super::settings::{
    AccessLog, DnsServer, ExitScheme, Memory, Reach, RouteAction, RouteSettings, Transport,
};
use super::super::show::Origin;
use super::super::{Request, load};
use super::{Loaded, load_text, load_with, surroundings};
use proptest::prelude::*;
use shoalway_types::ByteCount;
use std::time::Duration;

fn loaded(text: &str) -> Loaded {
    load_text(text).unwrap_or_else(|report| panic!("{}", report.to_text(super::super::Ending::Check)))
}

#[test]
fn without_a_file_the_documented_defaults_hold() {
    let settings = load(&Request::default()).unwrap_or_else(|report| panic!("{report:?}")).settings;
    assert_eq!(settings.listeners.len(), 1);
    assert_eq!(settings.listeners[0].addr, "127.0.0.1:3128".parse().unwrap());
    assert!(!settings.listeners[0].auth && settings.listeners[0].tls.is_none());
    assert!(settings.clients.is_empty() && settings.users.is_none() && settings.exits.is_empty());
    assert_eq!(settings.reach, Reach::Default);
    assert_eq!(settings.dns, [DnsServer::System]);
    assert_eq!(settings.limits.tunnel_idle, Some(Duration::from_secs(600)));
    assert_eq!(settings.limits.memory, Memory::Share(50));
    assert_eq!(settings.limits.head_size, ByteCount(65_536));
    assert_eq!(settings.log.access, AccessLog::Off);
    assert_eq!(settings.admin.listen, Some("127.0.0.1:3131".parse().unwrap()));
    assert!(!settings.admin.explicit && settings.admin.make_socket_dir);
}

#[test]
fn an_exit_password_from_a_file_is_taken_as_it_is_and_one_in_the_url_is_decoded() {
    for (url, user, password) in [
        ("socks5h://me:${file:vps.pass}@vps.example.net", "me", "p%4:@ss"),
        ("socks5://a%40b:c%3Ad@vps.example.net:1080", "a@b", "c:d"),
        ("http://me:a:b@vps.example.net:3128/", "me", "a:b"),
    ] {
        let settings =
            loaded(&format!("version = 1\nrules = [\"via:v all\"]\n[exits.v]\nurl = \"{url}\"\n")).settings;
        let exit = &settings.exits[0];
        let (name, secret) = exit.credentials.as_ref().unwrap();
        assert_eq!((name.as_str(), secret.expose()), (user, password), "{url}");
        assert_eq!(exit.host.to_string(), "vps.example.net");
    }
    let settings =
        loaded("version = 1\nrules = [\"via:v all\"]\n[exits.v]\nurl = \"socks5h://[2001:db8::1]\"\n")
            .settings;
    assert_eq!((settings.exits[0].scheme, settings.exits[0].port), (ExitScheme::Socks5, 1080));
}

#[test]
fn substitution_happens_inside_values_only() {
    for (realm, result) in [
        ("${SET}", "from-environment"),
        ("${MISSING:-other}", "other"),
        ("${EMPTY:-other}", "other"),
        ("a${EMPTY}b", "ab"),
        ("$${SET}", "${SET}"),
        ("$SET", "$SET"),
    ] {
        assert_eq!(loaded(&format!("version = 1\n[proxy]\nrealm = '{realm}'\n")).settings.realm, result);
    }
}

#[test]
fn a_mistake_after_a_substitution_is_still_marked_where_it_stands() {
    let text = "version = 1\nrules = [\"block domain:${SET}.example port:x\"]\n";
    let report = load_text(text).err().unwrap();
    let at = report.sources().locate(&report.problems()[0].place).unwrap();
    assert_eq!((at.line, at.column), (2, text.lines().nth(1).unwrap().find("x\"]").unwrap() + 1));
}

#[test]
fn an_override_replaces_and_may_be_a_bare_word() {
    let overrides =
        ["proxy.listen=127.0.0.1:3138", "limits.head_timeout=5s", "runtime.shards=3", "log.access=stdout"];
    let text = "version = 1\n[proxy]\nlisten = [\"127.0.0.1:1\", \"127.0.0.1:2\"]\n[runtime]\nshards = 1\n";
    let loaded = load_with(text, &overrides, surroundings()).unwrap_or_else(|report| panic!("{report:?}"));
    let settings = loaded.settings;
    assert_eq!(settings.listeners.iter().map(|l| l.name.as_str()).collect::<Vec<_>>(), ["127.0.0.1:3138"]);
    assert_eq!(settings.limits.head_timeout, Duration::from_secs(5));
    assert_eq!(settings.shards, Some(3));
    assert_eq!(settings.log.access, AccessLog::Stdout);
    let shown = loaded.view.to_toml(Origin::Shown);
    assert!(shown.contains("shards = 3  # -o 3:1\n"), "{shown}");
}

#[test]
fn a_changed_part_changes_its_own_fingerprint_only() {
    let one = loaded("version = 1\n").settings.fingerprints;
    let two = loaded("version = 1\n# a remark\n[limits]\nhead_timeout = \"9s\"\n").settings.fingerprints;
    assert_ne!(one.limits, two.limits);
    assert_eq!((one.rules, one.listeners, one.access), (two.rules, two.listeners, two.access));
    let moved = loaded("version = 1\n[proxy]\nlisten = \"127.0.0.1:3138\"\n").settings.fingerprints;
    assert_ne!(one.listeners, moved.listeners);
    assert_eq!(one.access, moved.access);
    let list = "version = 1\nrules = [\"block list:ads\"]\n[lists.ads]\nfile = \"ads.txt\"\n";
    let changed = load_with(list, &[], surroundings().with_file("ads.txt", "other.example\n"));
    let changed = changed.unwrap_or_else(|report| panic!("{report:?}")).settings.fingerprints;
    assert_ne!(loaded(list).settings.fingerprints.rules, changed.rules);
}

#[test]
fn what_is_shown_loads_again_and_hides_passwords() {
    let text = "version = 1\nrules = [\"via:v all\"]\n[exits.v]\nurl = \"socks5://me:secret@192.0.2.1\"\n";
    let view = loaded(text).view;
    let shown = view.to_toml(Origin::Hidden);
    assert!(shown.contains("socks5://me:***@192.0.2.1") && !shown.contains("secret"), "{shown}");
    loaded(&shown);
    assert!(!view.to_json().to_string().contains("secret"));
}

#[test]
fn loopback_listeners_are_no_open_proxy_and_networks_close_others() {
    for text in [
        "listen = [\"127.0.0.1:3128\", \"[::1]:3128\", \"127.0.0.9:3128\"]",
        "listen = \"0.0.0.0:3128\"\nclients = [\"192.168.0.0/16\", \"2001:db8::/32\"]",
        "listen = \"0.0.0.0:3128\"\nauth = \"basic\"\nusers = \"users.htpasswd\"",
        "listen = [\"127.0.0.1:0\", \"127.0.0.1:0\"]",
    ] {
        loaded(&format!("version = 1\n[proxy]\n{text}\n"));
    }
}

proptest! {
    #[test]
    fn any_text_is_answered_without_a_panic(text in "\\PC{0,200}") {
        shown(&text);
    }

    #[test]
    fn anything_that_looks_like_toml_is_answered_without_a_panic(
        lines in proptest::collection::vec(line(), 0..12),
        overrides in proptest::collection::vec("[a-z.]{0,12}=?[^\\n]{0,8}", 0..3),
    ) {
        let text = lines.join("\n");
        shown(&text);
        let overrides: Vec<&str> = overrides.iter().map(String::as_str).collect();
        if let Err(report) = load_with(&text, &overrides, surroundings()) {
            assert!(report.to_text(super::super::Ending::Check).ends_with('\n'));
        }
    }
}

/// A line made of pieces that configurations are made of, in an order that mostly makes no sense.
fn line() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("[proxy]"),
        Just("[[proxy"),
        Just("listen"),
        Just(" = "),
        Just("\""),
        Just("'''"),
        Just("["),
        Just("]"),
        Just("{"),
        Just("}"),
        Just("${SET}"),
        Just("${"),
        Just("version = 1"),
        Just("rules = [\"block"),
        Just("all\""),
        Just("exits.a.url = \"socks5://a:b@c\""),
        Just("\\u00e9"),
        Just("\\"),
        Just(","),
        Just("\u{e9}\u{1f980}"),
        Just("10s"),
        Just("include = \"*\""),
        Just("\t"),
        Just("#"),
        Just("upstream"),
        Just("1"),
        Just("."),
        Just("\r"),
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn shown(text: &str) {
    match load_text(text) {
        Ok(loaded) => drop(loaded.view.to_toml(Origin::Shown)),
        Err(report) => {
            assert!(report.errors() > 0);
            assert!(report.to_text(super::super::Ending::Check).ends_with('\n'));
            assert!(report.to_json().is_object());
        }
    }
}

const REVERSE: &str = include_str!("../../../../../examples/reverse.toml");

#[test]
fn sites_and_streams_come_to_what_the_reverse_proxy_wants_to_know() {
    let settings = loaded(REVERSE).settings;
    assert!(settings.listeners.is_empty(), "there is no [proxy], so there is no forward proxy");
    let hosts: Vec<&str> = settings.sites.iter().map(|site| site.name.as_str()).collect();
    assert_eq!(hosts, ["*", "*.example.org", "app.example.org"]);
    let app = &settings.sites[2];
    let to = app.to.as_ref().unwrap();
    assert_eq!((to.endpoints.len(), to.balance.sticky.as_deref()), (3, Some("backend")));
    assert_eq!((app.timeouts.connect, app.timeouts.total), (Some(Duration::from_secs(2)), None));
    assert!(to.checks.as_ref().is_some_and(|checks| checks.health.every == Duration::from_secs(5)));
    let routes: Vec<String> = app.routes.iter().map(of_route).collect();
    let wanted = [
        "to app.example.org/api/* Strip([47, 97, 112, 105]) Keep",
        "to app.example.org/upload None Set(\"upload.internal\")",
        "files static",
        "308",
        "200 nothing here is for robots",
    ];
    assert_eq!(routes, wanted);
    assert_eq!(
        (app.routes[1].max_content, app.routes[2].response.len()),
        (Some(ByteCount(2_000_000_000)), 1)
    );
    assert_eq!(of_route(&settings.sites[0].routes[0]), "302");
    let streams: Vec<(&str, usize)> =
        settings.streams.iter().map(|stream| (stream.name.as_str(), stream.sni.len())).collect();
    assert_eq!(streams, [("database", 0), ("names", 0), ("passthrough", 2)]);
    assert_eq!(settings.streams[1].transport, Transport::Udp);
    assert_eq!(settings.streams[2].sni[0].1.name, "streams:passthrough/*");
}

fn of_route(route: &RouteSettings) -> String {
    match &route.does {
        RouteAction::To { upstream, rewrite, host } => format!("to {} {rewrite:?} {host:?}", upstream.name),
        RouteAction::Redirect(redirect) => format!("{}", redirect.status().code()),
        RouteAction::Files(path) => format!("files {}", path.display()),
        RouteAction::Answer { status, text } => format!("{status} {text}"),
    }
}

#[test]
fn three_lines_are_a_site_and_a_forward_proxy_stays_where_it_is_written() {
    let site = "[sites.\"*\"]\nlisten = \"127.0.0.1:8080\"\nto = \"http://127.0.0.1:3000\"\n";
    let alone = loaded(&format!("version = 1\n{site}"));
    assert_eq!((alone.settings.listeners.len(), alone.settings.sites.len()), (0, 1));
    assert!(!alone.view.to_toml(Origin::Hidden).contains("127.0.0.1:3128"));
    let both = loaded(&format!("version = 1\n{site}[proxy]\n")).settings;
    assert_eq!((both.listeners.len(), both.sites.len()), (1, 1));
    let other = loaded(&format!("version = 1\n{}", site.replace("3000", "3001"))).settings;
    assert_ne!(alone.settings.fingerprints.reverse, other.fingerprints.reverse);
}

#[test]
fn what_is_shown_of_sites_and_streams_loads_again() {
    let first = loaded(REVERSE);
    let text = first.view.to_toml(Origin::Shown);
    let again = loaded(&text);
    assert_eq!(again.view.to_toml(Origin::Hidden), first.view.to_toml(Origin::Hidden));
    assert_eq!(again.settings.sites.len(), 3);
}
