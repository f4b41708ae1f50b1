//! The exact look of reports, as text and as JSON.

use super::super::Ending;
use super::load_text;

fn text_of(text: &str, ending: Ending<'_>) -> String {
    match load_text(text) {
        Ok(loaded) => loaded.report.to_text(ending),
        Err(report) => report.to_text(ending),
    }
}

#[test]
fn an_unknown_key_reads_as_documented() {
    let text = "version = 1\n\n\n\n\n\n\n\n\n[proxy]\nlisen = [\"127.0.0.1:3128\"]\n";
    assert_eq!(
        text_of(text, Ending::Kept { since: "14:02" }),
        "\
error[C012]: unknown key `lisen` in [proxy]
  shoalway.toml:11:1
11 | lisen = [\"127.0.0.1:3128\"]
   | ^^^^^ did you mean `listen`?
1 error. Nothing changed: the configuration loaded at 14:02 stays in force.
"
    );
}

#[test]
fn an_unreachable_rule_shows_the_rule_that_takes_everything() {
    let text = "version = 1\nrules = [\n  \"direct all\",\n\n  \"block 10.0.0.0/8\",\n]\n";
    assert_eq!(
        text_of(text, Ending::Check),
        "\
error[C031]: rule 2 can never match
  shoalway.toml:5:4
 3 |   \"direct all\",  <- takes everything
 5 |   \"block 10.0.0.0/8\",
   |    ^^^^^^^^^^^^^^^^ move it above rule 1
1 error. Nothing changed: the file was only checked.
"
    );
}

#[test]
fn an_open_proxy_is_refused_with_three_ways_out() {
    let text = "version = 1\n[proxy]\nlisten = [\"0.0.0.0:3128\"]\n[limits]\nhead_timeout = 10\n";
    assert_eq!(
        text_of(text, Ending::Start),
        "\
error[C044]: this would be an open proxy: 0.0.0.0:3128 has neither `auth` nor `clients`
  shoalway.toml:3:11
 3 | listen = [\"0.0.0.0:3128\"]
   |           ^^^^^^^^^^^^^^
   = fix: add clients = [\"192.168.1.0/24\"], with your own network
   = fix: or auth = [\"basic\"]
   = fix: or listen on 127.0.0.1:3128
error[C017]: `head_timeout` needs a unit: `10`
  shoalway.toml:5:16
 5 | head_timeout = 10
   |                ^^ did you mean \"10s\"?
2 errors. Nothing changed: the program was not started.
"
    );
}

#[test]
fn a_warning_alone_says_so() {
    let text = "version = 1\n[exits.vps]\nurl = \"http://192.0.2.1\"\n";
    let shown = text_of(text, Ending::Check);
    assert!(shown.starts_with("warning[C033]: no rule uses the exit `vps`\n"), "{shown}");
    assert!(shown.ends_with("\n1 warning.\n"), "{shown}");
}

#[test]
fn json_carries_the_same() {
    let report = load_text("version = 1\n[proxy]\nlisen = 1\n").err().unwrap();
    assert_eq!(
        report.to_json(),
        serde_json::json!({
            "ok": false, "errors": 1, "warnings": 0,
            "problems": [{
                "code": "C012", "severity": "error", "title": "an unknown key",
                "message": "unknown key `lisen` in [proxy]",
                "file": "shoalway.toml", "line": 3, "column": 1,
                "label": "did you mean `listen`?", "also": [], "fixes": [],
            }],
        })
    );
}

#[test]
fn a_report_tells_no_password() {
    for password in ["${file:vps.pass}", "p%4:@ss"] {
        let url = format!("socks5://me:{password}@bad host");
        let text = format!("version = 1\nrules = [\"via:a all\"]\n[exits.a]\nurl = \"{url}\"\n");
        let shown = text_of(&text, Ending::Check);
        assert!(shown.contains("C034") && !shown.contains("p%4"), "{shown}");
    }
}
