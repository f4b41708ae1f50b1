//! The command line: what each command prints and with which code it ends. No command but `run` opens anything.

use shoalway_testkit::proxy::run;
use shoalway_testkit::real::Ran;
use shoalway_testkit::{Origin, PATIENCE, Proxy, RawClient, Reply, TcpEcho, TempDir, eventually};
use std::net::SocketAddr;

const BIN: &str = env!("CARGO_BIN_EXE_shoalway");

fn shoalway(words: &[&str]) -> Ran {
    run(BIN, &TempDir::new(), words)
}

/// The same with a file.
fn with_file(text: &str, words: &[&str]) -> Ran {
    let dir = TempDir::new();
    let file = dir.write("shoalway.toml", format!("version = 1\n{text}")).display().to_string();
    run(BIN, &dir, &[words, &["-c", &file]].concat())
}

// Starting

/// The first loopback address in a text.
fn address_in(text: &str) -> Option<SocketAddr> {
    let at = text.find("127.0.0.1:")?;
    let rest = &text[at..];
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':').unwrap_or(rest.len());
    rest[..end].trim_end_matches(['.', ':']).parse().ok()
}

#[test]
fn without_any_argument_it_starts_and_says_what_to_try() {
    let (proxy, echo) = (Proxy::builder(BIN).without_file(&[]).launch(), TcpEcho::start());
    let addr = eventually(PATIENCE, "an address on standard output", || {
        address_in(&proxy.stdout()).filter(|addr| !RawClient::refused(*addr))
    });
    RawClient::connect(addr).tunnel_to(echo.addr()).send("works").expect("works");
    let text = proxy.stdout();
    for wanted in ["HTTP", "SOCKS", "curl -x", "shoalway exec", "shoalway why"] {
        assert!(text.contains(wanted), "{wanted} is missing in\n{text}");
    }
    proxy.stop();
}

#[test]
fn listeners_and_the_way_out_can_be_flags() {
    let (far, origin) = (Proxy::start(BIN), Origin::start(Reply::ok("through both")));
    let forward = far.url("socks5h");
    let words = ["proxy", "--json", "-L", "127.0.0.1:0", "-F", &forward];
    let near = Proxy::builder(BIN).unset("proxy.listen").without_file(&words).start();
    assert_eq!(near.connect().get(&origin.url("/")).text(), "through both");
    // The near side keeps the way through the far one for the next request; its end is what is logged.
    drop(near);
    assert_eq!(far.log_lines(1).len(), 1);
}

#[test]
fn a_file_is_found_in_its_usual_place() {
    let proxy = Proxy::builder(BIN)
        .file("named.toml", "version = 1\nrules = [\"block all say:'from the environment'\"]\n")
        .env("SHOALWAY_CONFIG", "named.toml")
        .without_file(&["run", "--json"])
        .start();
    assert!(proxy.connect().get("http://a.test/").text().contains("from the environment"));
}

// Configuration

#[test]
fn a_good_file_passes_the_check_quietly() {
    let ran = with_file("rules = [\"block domain:*.ads.test\"]", &["config", "check"]);
    ran.assert_code(0);
    assert!(ran.stderr.is_empty() || !ran.stderr.contains("error"), "{ran}");
}

#[test]
fn the_first_file_is_complete_and_correct() {
    let ran = shoalway(&["config", "init"]);
    ran.assert_code(0);
    let dir = TempDir::new();
    let file = dir.write("shoalway.toml", ran.stdout).display().to_string();
    run(BIN, &dir, &["config", "check", "-c", &file]).assert_code(0);
    // Every line of it holds a default, so nothing differs from no file at all.
    let shown = run(BIN, &dir, &["config", "show", "-c", &file]).text();
    assert_eq!(shown, shoalway(&["config", "show", "--defaults"]).text());
}

#[test]
fn show_prints_what_holds_and_hides_what_is_secret() {
    let text = "[proxy]\nlevel = \"anonymous\"\n[exits.vps]\nurl = \"socks5h://me:hunter2@127.0.0.1:1080\"";
    let ran = with_file(text, &["config", "show", "-o", "limits.idle_timeout=\"7s\""]);
    ran.assert_code(0);
    for wanted in ["anonymous", "\"7s\"", "127.0.0.1:3128"] {
        assert!(ran.text().contains(wanted), "{wanted} is missing in {ran}");
    }
    assert!(!ran.text().contains("hunter2"), "{ran}");
}

#[test]
fn the_schema_is_json_and_names_every_section() {
    let ran = shoalway(&["config", "schema"]);
    ran.assert_code(0);
    let schema: serde_json::Value = serde_json::from_str(&ran.text()).unwrap();
    for section in ["proxy", "exits", "limits", "log", "admin", "dns", "rules"] {
        assert!(schema["properties"][section].is_object(), "{section} is missing");
    }
}

#[test]
fn overrides_hold_over_the_file_and_are_checked_like_it() {
    let ran =
        with_file("[limits]\nidle_timeout = \"5s\"", &["config", "show", "-o", "limits.idle_timeout=9s"]);
    assert!(ran.assert_code(0).text().contains("\"9s\""), "{ran}");
    for wrong in ["limits.idle_timeout=soon", "limits.idel=1s", "nonsense"] {
        let ran = with_file("", &["config", "check", "-o", wrong]);
        ran.assert_code(78);
        assert!((ran.text() + &ran.stderr).contains(wrong.split('=').next().unwrap()), "{ran}");
    }
}

// Why

#[test]
fn why_answers_without_a_running_program_and_sends_nothing() {
    let origin = Origin::start(Reply::ok("never"));
    let rules = "rules = [\"block domain:*.ads.test say:'no ads'\", \"direct all\"]";
    let open = with_file(rules, &["why", &origin.url("/")]);
    open.assert_code(0);
    assert!(open.text().contains("direct") && open.text().contains("rule 2"), "{open}");
    let blocked = with_file(rules, &["why", "https://x.ads.test/"]);
    blocked.assert_code(11);
    assert!(blocked.text().contains("block") && blocked.text().contains("rule 1"), "{blocked}");
    let implied = shoalway(&["why", "http://site.test/"]);
    implied.assert_code(0);
    assert_eq!(origin.connections(), 0);
}

#[test]
fn why_refuses_what_is_no_url() {
    for word in ["", "http://", "http://a b/", "gopher://a/"] {
        assert_eq!(shoalway(&["why", word]).code, Some(2), "{word:?}");
    }
}

// Variables and programs

#[test]
fn env_prints_what_a_shell_can_read() {
    let ran = with_file("[proxy]\nlisten = [\"127.0.0.1:3999\"]", &["env"]);
    ran.assert_code(0);
    let script = format!("{}\necho \"$http_proxy $https_proxy $all_proxy\"", ran.text());
    let shell = Ran::of(std::process::Command::new("sh").args(["-c", &script]).env_clear(), b"", PATIENCE);
    assert_eq!(shell.text().matches("127.0.0.1:3999").count(), 3, "{ran}\n{shell}");
}

#[test]
fn exec_runs_one_program_through_the_proxy_and_gives_its_code() {
    let (proxy, origin) = (Proxy::start(BIN), Origin::start(Reply::ok("through")));
    let listen = format!("proxy.listen=[\"{}\"]", proxy.addr());
    // `no_proxy` would leave loopback out, and loopback is all a test has.
    let url = origin.url("/");
    let words =
        ["exec", "-o", &listen, "--", "sh", "-c", "no_proxy= NO_PROXY= curl -sS \"$0\"; exit 7", &url];
    let ran = shoalway(&words);
    ran.assert_code(7);
    assert_eq!(ran.text(), "through", "{ran}");
    assert_eq!(proxy.log_lines(1).len(), 1);
}

#[test]
fn exec_says_when_there_is_no_such_program() {
    let ran = shoalway(&["exec", "--", "no-such-program-here"]);
    assert!(ran.code.is_some_and(|code| code != 0), "{ran}");
    assert!(ran.stderr.contains("no-such-program-here"), "{ran}");
}

// The rest

#[test]
fn wrong_usage_is_code_2_with_a_hint() {
    for words in [&["statsu"][..], &["run", "--no-such-flag"], &["why"], &["exec"]] {
        let ran = shoalway(words);
        ran.assert_code(2);
        assert!(ran.stderr.contains("Usage") || ran.stderr.contains("similar"), "{ran}");
    }
}

#[test]
fn version_completions_and_man_page_are_there() {
    let version = shoalway(&["--version"]);
    assert!(version.assert_code(0).text().starts_with("shoalway "), "{version}");
    for shell in ["bash", "zsh", "fish"] {
        let ran = shoalway(&["completions", shell]);
        assert!(ran.assert_code(0).text().contains("healthcheck"), "{shell}");
    }
    let man = shoalway(&["man"]);
    assert!(man.assert_code(0).text().contains(".TH shoalway"), "{man}");
}

#[test]
fn every_command_can_answer_in_json() {
    let proxy = Proxy::start(BIN);
    for words in [
        &["status", "--json"][..],
        &["healthcheck", "--json"],
        &["why", "http://site.test/", "--json"],
        &["config", "check", "--json"],
        &["config", "show", "--json"],
        &["env", "--json"],
        &["reload", "--json"],
        &["drain", "--json"],
    ] {
        is_json(&proxy.command(words));
    }
}

#[test]
fn env_and_exec_find_a_proxy_whose_port_was_chosen_at_its_start() {
    let proxy = Proxy::start(BIN);
    let url = proxy.url("http");
    let env = proxy.command(&["env"]);
    assert!(env.assert_code(0).text().contains(&format!("export https_proxy='{url}'")), "{env}");

    let socket = format!("admin.socket={:?}", proxy.socket());
    let exec = |socket: &str| {
        let words = ["exec", "-o", "proxy.listen=127.0.0.1:0", "-o", socket];
        shoalway(&[&words[..], &["--", "sh", "-c", "echo $http_proxy"]].concat())
    };
    assert_eq!(exec(&socket).assert_code(0).text(), format!("{url}\n"));
    exec("admin.socket=/nowhere/a.sock").assert_code(69);
}

fn is_json(ran: &Ran) {
    ran.assert_code(0);
    let parsed: Result<serde_json::Value, _> = serde_json::from_str(&ran.text());
    assert!(parsed.is_ok(), "{ran}");
}
