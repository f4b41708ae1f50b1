//! Mistakes in the configuration and in the surroundings of a start: all named at once, and nothing running is lost.

use shoalway_testkit::proxy::run;
use shoalway_testkit::{Far, PATIENCE, Proxy, TcpEcho, TempDir};

const BIN: &str = env!("CARGO_BIN_EXE_shoalway");

/// Ten mistakes of ten kinds: the line each stands in, and a word of what is said about it.
const TEN: &[(usize, &str)] = &[
    (4, "blok"),
    (5, "nowhere"),
    (8, "lisen"),
    (9, "stealth"),
    (10, "not-a-network"),
    (12, "ftp"),
    (14, "ten seconds"),
    (15, "unit"),
    (17, "fancy"),
    (18, "kolour"),
];

const TEN_MISTAKES: &str = r#"version = 1

rules = [
  "blok all",
  "via:nowhere domain:a.test",
]
[proxy]
lisen = ["127.0.0.1:0"]
level = "stealth"
clients = ["not-a-network"]
[exits.odd]
url = "ftp://127.0.0.1:21"
[limits]
head_timeout = "ten seconds"
idle_timeout = 30
[log]
format = "fancy"
kolour = true
"#;

#[test]
fn ten_mistakes_are_all_named_with_their_places() {
    let dir = TempDir::new();
    let file = dir.write("ten.toml", TEN_MISTAKES).display().to_string();
    let ran = run(BIN, &dir, &["config", "check", "--json", "-c", &file]);
    ran.assert_code(78);
    let report: serde_json::Value = serde_json::from_str(&ran.text()).unwrap();
    assert_eq!(report["errors"], 10, "{report:#}");
    let problems = report["problems"].as_array().unwrap();
    for (line, word) in TEN {
        let found =
            problems.iter().find(|problem| problem["line"] == *line && problem["severity"] == "error");
        let problem = found.unwrap_or_else(|| panic!("line {line} ({word}) is missing in {report:#}"));
        assert!(problem.to_string().contains(word), "{problem:#}");
        assert!(problem["column"].as_u64() > Some(0), "{problem:#}");
        assert!(problem["code"].as_str().unwrap().starts_with('C'), "{problem:#}");
    }
}

#[test]
fn the_same_mistakes_are_shown_to_people_with_a_caret_and_a_count() {
    let dir = TempDir::new();
    let file = dir.write("ten.toml", TEN_MISTAKES).display().to_string();
    let ran = run(BIN, &dir, &["config", "check", "-c", &file]);
    ran.assert_code(78);
    let text = ran.text() + &ran.stderr;
    for wanted in ["ten.toml:8:1", "^^^^^", "did you mean `listen`?", "error[C012]", "10 errors"] {
        assert!(text.contains(wanted), "{wanted} is missing in\n{text}");
    }
}

#[test]
fn a_start_with_a_bad_file_opens_nothing_and_says_all_of_it() {
    let mut proxy = Proxy::builder(BIN).config(TEN_MISTAKES).launch();
    assert_eq!(proxy.wait_for_exit(PATIENCE).code(), Some(78));
    assert!(!proxy.stdout().contains("listening"), "{}", proxy.stdout());
    assert!((proxy.stderr() + &proxy.stdout()).contains("lisen"), "{}", proxy.stderr());
}

#[test]
fn a_reload_with_a_bad_file_changes_nothing() {
    let (proxy, far) = (Proxy::builder(BIN).config("rules = [\"block port:9\"]").start(), Far::listen());
    let mut tunnel = proxy.connect().tunnel_to(far.addr());
    let mut there = far.accept();
    let before = proxy.status_json();

    proxy.write_config(TEN_MISTAKES);
    let refused = proxy.reload().unwrap_err();
    assert!((refused.to_string() + &proxy.stderr()).contains("lisen"), "{refused}");

    tunnel.send("still here");
    there.expect("still here");
    assert_eq!(proxy.connect().connect_request("127.0.0.1:9").status, 403, "the old rules hold");
    assert_eq!(proxy.status_json()["listeners"], before["listeners"]);
    // And the command says it too, with the code for a bad configuration.
    let ran = proxy.command(&["reload"]);
    ran.assert_code(78);
    assert!((ran.text() + &ran.stderr).contains("lisen"), "{ran}");
}

#[test]
fn a_reload_whose_new_address_is_taken_changes_nothing() {
    let (taken, echo) = (Far::listen(), TcpEcho::start());
    let proxy = Proxy::builder(BIN).unset("proxy.listen").config("[proxy]\nlisten = \"127.0.0.1:0\"").start();
    let mut tunnel = proxy.connect().tunnel_to(echo.addr());
    proxy.write_config(&format!("[proxy]\nlisten = [\"127.0.0.1:0\", \"{}\"]", taken.addr()));
    let refused = proxy.reload().unwrap_err();
    assert!((refused.to_string() + &proxy.stderr()).contains("in use"), "{refused}");
    tunnel.send("kept").expect("kept");
    assert_eq!(proxy.connect().connect_request(&echo.addr().to_string()).status, 200);
}

#[test]
fn a_port_in_use_is_reported_with_its_holder() {
    let holder = Far::listen();
    let listen = format!("[\"{}\"]", holder.addr());
    let mut proxy = Proxy::builder(BIN).set("proxy.listen", listen).launch();
    assert_eq!(proxy.wait_for_exit(PATIENCE).code(), Some(1));
    let text = proxy.stderr() + &proxy.stdout();
    for wanted in [holder.addr().to_string(), "in use".to_owned(), format!("pid {}", std::process::id())] {
        assert!(text.contains(&wanted), "{wanted} is missing in\n{text}");
    }
}

#[test]
fn an_open_proxy_is_refused_until_somebody_may_use_it() {
    let dir = TempDir::new();
    let check = |more: &str| {
        let file =
            dir.write("open.toml", format!("version = 1\n[proxy]\nlisten = [\"0.0.0.0:3128\"]\n{more}"));
        run(BIN, &dir, &["config", "check", "-c", &file.display().to_string()])
    };
    let open = check("");
    open.assert_code(78);
    assert!((open.text() + &open.stderr).contains("C044"), "{open}");
    check("clients = [\"192.168.1.0/24\"]").assert_code(0);
}

#[test]
fn a_missing_file_is_named() {
    let dir = TempDir::new();
    let ran = run(BIN, &dir, &["run", "-c", "no-such.toml"]);
    ran.assert_code(78);
    assert!(ran.stderr.contains("no-such.toml"), "{ran}");
}
