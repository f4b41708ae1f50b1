//! `shoalway lab` as people and scripts run it: the page of 42 hosts, real clients, log-ins, and an end without a trace.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test reads best so"
)]

use serde_json::Value;
use shoalway_testkit::proxy::{Signal, run};
use shoalway_testkit::real::{Ran, SshServer, chromium, curl};
use shoalway_testkit::wait::secs;
use shoalway_testkit::{Origin, Proxy, RawClient, Reply, Seen, TempDir, WebSocket, WebSocketEcho};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

const BIN: &str = env!("CARGO_BIN_EXE_shoalway");

/// A lab on free ports.
fn lab(more: &[&str]) -> Proxy {
    let words = ["lab", "--json", "--listen", "127.0.0.1:0"];
    Proxy::builder(BIN).without_file(&[&words[..], more].concat()).start()
}

/// The page of a lab.
fn page(lab: &Proxy, path: &str) -> String {
    format!("http://demo.internal:{}{path}", lab.listening("demo").port())
}

fn events(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// The hosts of all flows, with the exits of each.
fn exits_of_hosts(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut hosts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for event in events(text).iter().filter(|event| event["event"] == "flow") {
        let word = |key: &str| event[key].as_str().unwrap_or_else(|| panic!("no {key}: {event}")).to_owned();
        hosts.entry(word("host")).or_default().insert(word("exit"));
    }
    hosts
}

fn once(more: &[&str]) -> Ran {
    let dir = TempDir::new();
    let words = ["lab", "--once", "--json", "--listen", "127.0.0.1:0"];
    let ran = run(BIN, &dir, &[&words[..], more].concat());
    assert_eq!(files_in(&dir), 0, "the lab wrote files");
    ran
}

fn files_in(dir: &TempDir) -> usize {
    std::fs::read_dir(dir.path()).unwrap().count()
}

/// The last word on a page that was loaded: all came, every exit was used, none carried over a quarter.
fn assert_spread(ran: &Ran) {
    ran.assert_code(0);
    let events = events(&ran.text());
    let summary = events.iter().find(|event| event["event"] == "summary").expect("a summary");
    assert_eq!(summary["ok"], true, "{summary}");
    assert_eq!((&summary["objects"], &summary["failed"]), (&42.into(), &Value::Array(vec![])), "{summary}");
    assert_eq!(summary["exits_used"], 12, "{summary}");
    let exits = summary["exits"].as_object().unwrap();
    let objects = |hosts: &Value| {
        let hosts = hosts.as_array().unwrap().iter();
        hosts.filter(|host| host.as_str().unwrap().starts_with('h')).count()
    };
    assert_eq!(exits.values().map(objects).sum::<usize>(), 42, "{summary}");
    let most = exits.values().map(objects).max().unwrap();
    assert!(most * 4 <= 42, "one exit carried {most} of 42 objects");
    assert_eq!(events.last().unwrap()["event"], "stopped");
}

#[test]
fn a_page_of_42_hosts_leaves_through_all_exits_and_none_carries_over_a_quarter() {
    for spread in ["host", "site"] {
        assert_spread(&once(&["--spread", spread]));
    }
}

#[test]
fn paths_of_three_hops_carry_the_page_too() {
    assert_spread(&once(&["--hops", "3"]));
}

#[test]
fn fewer_exits_share_the_page_among_themselves() {
    let ran = once(&["--exits", "4"]);
    ran.assert_code(0);
    let used: BTreeSet<String> = exits_of_hosts(&ran.text()).into_values().flatten().collect();
    assert_eq!(used.len(), 4, "{used:?}");
}

#[test]
fn for_people_there_are_a_few_lines_to_try_and_a_table() {
    let dir = TempDir::new();
    let ran = run(BIN, &dir, &["lab", "--once", "--listen", "127.0.0.1:0"]);
    let text = ran.assert_code(0).text();
    let greeting = text.lines().position(|line| line.contains("Ctrl-C")).expect("how to end it") + 1;
    assert!(greeting <= 15, "{text}");
    for part in
        ["http://demo.internal:", "curl -x http://127.0.0.1:", "--proxy-server=", "42 of 42 objects came"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let rows = text.lines().filter(|line| line.starts_with("  exit ") && line.contains("127.77.1.")).count();
    assert_eq!(rows, 12, "{text}");
}

#[test]
fn a_second_lab_takes_the_next_free_ports() {
    let labs = [(); 2].map(|()| Proxy::builder(BIN).without_file(&["lab", "--json"]).start());
    let ports = |name: &str| [labs[0].listening(name).port(), labs[1].listening(name).port()];
    for name in ["proxy", "demo", "entry 1", "exit 12"] {
        let [first, second] = ports(name);
        assert!(second > first, "{name}: {first}, {second}");
    }
    for lab in &labs {
        let got = curl(&["-x", &lab.url("http"), &page(lab, "/who")]);
        assert!(got.ran.text().starts_with("127.77.1."), "{}", got.ran);
    }
}

#[test]
fn an_address_that_was_asked_for_and_is_taken_is_an_error() {
    let (first, dir) = (lab(&[]), TempDir::new());
    let ran = run(BIN, &dir, &["lab", "--once", "--json", "--listen", &first.addr().to_string()]);
    assert_ne!(ran.code, Some(0));
    assert!(ran.text().contains("N003"), "{ran}");
}

#[test]
fn curl_is_answered_through_the_exit_of_the_site_over_http_and_socks() {
    let lab = lab(&[]);
    let url = page(&lab, "/who");
    let first = curl(&["-x", &lab.url("http"), &url]);
    let who = first.ran.text();
    assert!(who.starts_with("127.77.1.") && who.contains(" exit "), "{}", first.ran);
    for scheme in ["http", "socks5h", "socks4a"] {
        // Nobody logs in, and it is the same site: the same exit.
        curl(&["-x", &lab.url(scheme), &url]).assert_got(200, &who);
    }
    // A host that the lab does not know, a node's own address, and the world outside are not reached.
    let unknown = curl(&["-x", &lab.url("http"), "http://nobody.internal/"]);
    assert_eq!(unknown.http_code, 502, "{}", unknown.ran);
    let outside = curl(&["-x", &lab.url("http"), "http://192.0.2.1/"]);
    assert_eq!(outside.http_code, 403, "{}", outside.ran);
    let itself = curl(&["-x", &lab.url("http"), &format!("http://{}/", lab.addr())]);
    assert_ne!(itself.http_code, 200, "{}", itself.ran);
}

#[test]
fn connections_and_requests_of_one_host_are_spread_where_that_is_asked_for() {
    for (spread, scheme) in [("connection", "socks5h"), ("request", "http")] {
        let lab = lab(&["--spread", spread]);
        let (url, proxy) = (page(&lab, "/who"), lab.url(scheme));
        // As connections are the unit, each SOCKS tunnel is one; as requests are, those of one connection differ.
        let asked: String = match spread {
            "request" => curl(&[&["-x", proxy.as_str()][..], &[url.as_str(); 12]].concat()).ran.text(),
            _ => (0..12).map(|_| curl(&["-x", &proxy, &url]).ran.text()).collect(),
        };
        let exits: BTreeSet<&str> = asked.lines().collect();
        assert_eq!(asked.lines().count(), 12, "{spread}: {asked}");
        assert!(exits.len() > 1, "{spread}: {exits:?}");
    }
}

#[test]
fn whoever_comes_to_a_node_without_an_invitation_sees_a_small_site() {
    let lab = lab(&[]);
    for (node, name) in [("entry 1", "entry1.lab.internal"), ("exit 12", "exit12.lab.internal")] {
        let at = lab.listening(node);
        let (place, url) =
            (format!("{name}:{}:{}", at.port(), at.ip()), format!("https://{name}:{}/live", at.port()));
        let got = curl(&["-k", "--http2", "--resolve", &place, &url]);
        assert_eq!(got.http_code, 200, "{}", got.ran);
        assert!(got.ran.text().contains("A small site."), "{}", got.ran);
    }
    // The page itself is no secret, and says who came without the lab.
    curl(&[&format!("http://{}/who", lab.listening("demo"))]).assert_got(200, "127.0.0.1 no exit\n");
}

#[test]
fn ssh_where_the_server_speaks_first_goes_through_the_lab() {
    let (lab, server) = (lab(&[]), SshServer::start());
    for dialect in ["5", "connect"] {
        let command = format!("nc.openbsd -X {dialect} -x {} %h %p", lab.addr());
        let ran = server.run(&command, "seq 1 20000 | tail -n 1");
        assert_eq!(ran.text(), "20000\n", "{ran}");
    }
    let hosts = exits_of_hosts(&lab.stdout());
    assert_eq!(hosts["127.0.0.1"].len(), 1, "{hosts:?}");
}

#[test]
fn chromium_loads_the_demo_page_through_all_exits() {
    let lab = lab(&["--spread", "host"]);
    let ran = chromium(&page(&lab, "/"), &lab.url("http"));
    assert_eq!(ran.text().matches("<img ").count(), 42, "{ran}");
    let hosts = exits_of_hosts(&lab.stdout());
    let objects: Vec<_> = hosts.iter().filter(|(host, _)| host.contains(".lab")).collect();
    assert_eq!(objects.len(), 42, "{hosts:?}");
    let used: BTreeSet<&String> = objects.iter().flat_map(|(_, exits)| exits.iter()).collect();
    assert_eq!(used.len(), 12, "{used:?}");
}

/// The demo page word for word with a script at its end that waits for its pictures and counts them.
const COUNTS: &str = "<p id=n></p><script>addEventListener('load', () => {
  const all = [...document.images], there = all.filter(i => i.complete && i.naturalWidth > 0);
  document.getElementById('n').textContent = there.length + ' of ' + all.length + ' pictures';
});</script></main>";

#[test]
fn chromium_shows_all_42_pictures_of_the_page() {
    let lab = lab(&["--name", "counted.internal=127.0.0.1"]);
    let html = curl(&["-x", &lab.url("http"), &page(&lab, "/")]).ran.text();
    assert!(html.contains("</main>"), "{html}");
    let counted = Origin::start(Reply::html(&html.replace("</main>", COUNTS)));
    let ran = chromium(&counted.url_by_name("counted.internal", "/"), &lab.url("http"));
    assert!(ran.text().contains(">42 of 42 pictures<"), "{ran}");
}

/// A shop whose log-in holds for one address alone: `/start` of the shop leads to the log-in, that to the payment, and
/// that back to the shop; each of them takes whoever comes for an impostor when the address is another than before.
fn shop() -> Origin {
    Origin::answering(|seen| {
        let host = seen.header("Host").unwrap_or_default().to_owned();
        let (name, port) = host.split_once(':').unwrap_or((host.as_str(), "80"));
        let ip = seen.peer.ip();
        let to = |name: &str, path: &str| {
            let place = format!("Location: http://{name}.internal:{port}{path}");
            Reply::ok("").status(302).with(&place)
        };
        match (name, seen.target().split('?').next().unwrap_or_default()) {
            ("shop.internal", "/start") => to("login", &format!("/in?from={ip}")),
            ("login.internal", "/in") if asked_by(seen) => to("pay", &format!("/pay?from={ip}")),
            ("pay.internal", "/pay") if asked_by(seen) => to("shop", &format!("/done?from={ip}")),
            ("shop.internal", "/done") if asked_by(seen) => {
                Reply::ok("welcome").with(&format!("Set-Cookie: session={ip}; Path=/"))
            }
            ("shop.internal", "/basket") if seen.header("Cookie") == Some(&format!("session={ip}")) => {
                Reply::ok("basket")
            }
            _ => Reply::ok("an impostor").status(403),
        }
    })
}

/// Whether the address in the query is the one that asks now.
fn asked_by(seen: &Seen) -> bool {
    let from = seen.target().split_once("from=").and_then(|(_, ip)| ip.parse::<IpAddr>().ok());
    from == Some(seen.peer.ip())
}

fn shop_lab() -> Proxy {
    lab(&[
        "--name",
        "shop.internal=127.0.0.1",
        "--name",
        "login.internal=127.0.0.1",
        "--name",
        "pay.internal=127.0.0.1",
    ])
}

#[test]
fn a_log_in_over_three_domains_holds_for_twenty_requests() {
    let (lab, shop, dir) = (shop_lab(), shop(), TempDir::new());
    let jar = dir.join("jar").display().to_string();
    let proxy = lab.url("http");
    let url = |path: &str| shop.url_by_name("shop.internal", path);
    let words = ["-L", "-x", &proxy, "-b", &jar, "-c", &jar];
    let start = url("/start");
    curl(&[&words[..], &[&start]].concat()).assert_got(200, "welcome");
    let basket = url("/basket");
    for scheme in ["http", "socks5h"].iter().cycle().take(20) {
        let proxy = lab.url(scheme);
        curl(&["-x", &proxy, "-b", &jar, &basket]).assert_got(200, "basket");
    }
    let from: BTreeSet<IpAddr> = shop.requests().iter().map(|seen| seen.peer.ip()).collect();
    assert_eq!((shop.requests().len(), from.len()), (24, 1), "{from:?}");
    assert!(from.iter().all(|ip| ip.to_string().starts_with("127.77.1.")), "{from:?}");
}

#[test]
fn parts_of_a_file_come_from_one_exit_and_fit_together() {
    const SIZE: usize = 200_000;
    let file: Vec<u8> = (0..SIZE).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let whole = file.clone();
    let origin = Origin::answering(move |seen| {
        let range = seen.header("Range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
        let Some((first, last)) = range else { return Reply::ok(&whole) };
        let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
        let place = format!("Content-Range: bytes {first}-{last}/{SIZE}");
        Reply::ok(&whole[first..=last]).status(206).with(&place)
    });
    let lab = lab(&["--name", "files.internal=127.0.0.1"]);
    let (url, proxy) = (origin.url_by_name("files.internal", "/file"), lab.url("http"));
    let mut got = Vec::new();
    for part in 0..10 {
        let range = format!("{}-{}", part * SIZE / 10, (part + 1) * SIZE / 10 - 1);
        let answer = curl(&["-x", &proxy, "-r", &range, &url]);
        assert_eq!(answer.http_code, 206, "{}", answer.ran);
        got.extend(answer.ran.stdout);
    }
    assert!(got == file, "the parts do not make up the file");
    let from: BTreeSet<IpAddr> = origin.requests().iter().map(|seen| seen.peer.ip()).collect();
    assert_eq!(from.len(), 1, "{from:?}");
}

#[test]
fn a_websocket_echoes_through_the_lab() {
    let (lab, server) = (lab(&["--name", "chat.internal=127.0.0.1"]), WebSocketEcho::start());
    let host = format!("chat.internal:{}", server.addr().port());
    let tunnel = RawClient::connect(lab.addr()).tunnel_to(&host);
    let mut socket = WebSocket::through(&tunnel, &format!("ws://{host}/"));
    for text in ["one", "two", &"x".repeat(100_000)] {
        socket.echo(text);
    }
    socket.close(1000, "bye");
    assert_eq!(server.connections(), 1);
}

#[test]
fn told_to_end_a_lab_leaves_no_process_no_port_and_no_file() {
    for signal in [Signal::INT, Signal::TERM] {
        let server = WebSocketEcho::start();
        let mut lab = lab(&["--name", "chat.internal=127.0.0.1"]);
        let host = format!("chat.internal:{}", server.addr().port());
        let mut tunnel = RawClient::connect(lab.addr()).tunnel_to(&host);
        let listening: Vec<SocketAddr> = events(&lab.stdout())
            .iter()
            .filter_map(|event| event["address"].as_str()?.parse().ok())
            .collect();
        assert_eq!(listening.len(), 17, "proxy, page, 3 entries, 12 exits");
        lab.signal(signal);
        assert_eq!(lab.wait_for_exit(secs(3)).code(), Some(0));
        assert_eq!(events(&lab.stdout()).last().unwrap()["event"], "stopped");
        for addr in listening {
            assert!(RawClient::refused(addr), "{addr} still listens");
        }
        tunnel.expect_end_within(secs(3));
        assert_eq!(files_in(lab.dir()), 0, "the lab wrote files");
    }
}
