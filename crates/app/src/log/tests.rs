//! Every form at every level, and what hostile clients put into their requests.

use super::*;
use serde_json::Value;
use shoalway_types::{Host, Protocol};
use std::time::Duration;

const FORMS: [LogFormat; 4] = [LogFormat::Json, LogFormat::Combined, LogFormat::Squid, LogFormat::Logfmt];
const LEVELS: [LogPrivacy; 3] = [LogPrivacy::Counts, LogPrivacy::Masked, LogPrivacy::Full];

fn line(record: &Record<'_>, form: LogFormat, privacy: LogPrivacy) -> String {
    let mut out = Vec::new();
    Format { form, privacy }.write(record, &mut out);
    String::from_utf8(out).unwrap()
}

fn with_record(test: impl FnOnce(Record<'_>)) {
    let host = Host::parse("www.example.com").unwrap();
    test(Record {
        started_ms: 1_767_225_600_042,
        elapsed: Duration::from_millis(17),
        listener: "127.0.0.1:3128",
        protocol: Protocol::Http,
        client: "198.51.100.77:50000".parse().unwrap(),
        user: Some("ann"),
        method: "GET",
        host: Some(&host),
        port: 80,
        path: b"/a?b=c",
        status: 200,
        bytes_up: 3,
        bytes_down: 1_234_567,
        verb: "direct",
        rule: 2,
        upstream: Some("203.0.113.9:80".parse().unwrap()),
        outcome: "ok",
        user_agent: b"curl/8",
        referer: b"http://r.example/",
    });
}

#[test]
fn every_form_writes_what_its_level_lets_through() {
    let json = r#"{"ts":"2026-01-01T00:00:00.042Z","listener":"127.0.0.1:3128","protocol":"http","#;
    let end = r#""status":200,"bytes_up":3,"bytes_down":1234567,"ms":17,"verb":"direct","rule":2,"#;
    let logfmt = "ts=2026-01-01T00:00:00.042Z listener=127.0.0.1:3128 protocol=http ";
    let numbers = "status=200 bytes_up=3 bytes_down=1234567 ms=17 verb=direct rule=2 ";
    let full = concat!(r#""upstream":"203.0.113.9:80","outcome":"ok","#, r#""user_agent":"curl/8","#);
    with_record(|record| {
        for (form, privacy, wanted) in [
            (LogFormat::Json, LogPrivacy::Counts, format!(r#"{json}"method":"GET",{end}"outcome":"ok"}}"#)),
            (
                LogFormat::Json,
                LogPrivacy::Masked,
                format!(
                    r#"{json}"client":"198.51.100.0/24","method":"GET","host":"www.example.com","port":80,{end}"outcome":"ok"}}"#
                ),
            ),
            (
                LogFormat::Json,
                LogPrivacy::Full,
                format!(
                    r#"{json}"client":"198.51.100.77","user":"ann","method":"GET","host":"www.example.com","port":80,"path":"/a?b=c",{end}{full}"referer":"http://r.example/"}}"#
                ),
            ),
            (LogFormat::Logfmt, LogPrivacy::Counts, format!("{logfmt}method=GET {numbers}outcome=ok")),
            (
                LogFormat::Logfmt,
                LogPrivacy::Masked,
                format!(
                    "{logfmt}client=198.51.100.0/24 method=GET host=www.example.com port=80 {numbers}outcome=ok"
                ),
            ),
            (
                LogFormat::Logfmt,
                LogPrivacy::Full,
                format!(
                    "{logfmt}client=198.51.100.77 user=ann method=GET host=www.example.com port=80 path=\"/a?b=c\" {numbers}upstream=203.0.113.9:80 outcome=ok user_agent=curl/8 referer=http://r.example/"
                ),
            ),
            (
                LogFormat::Combined,
                LogPrivacy::Counts,
                "- - - [01/Jan/2026:00:00:00 +0000] \"GET - HTTP/1.1\" 200 1234567 \"-\" \"-\"".to_owned(),
            ),
            (
                LogFormat::Combined,
                LogPrivacy::Masked,
                "198.51.100.0 - - [01/Jan/2026:00:00:00 +0000] \"GET http://www.example.com/ HTTP/1.1\" 200 1234567 \"-\" \"-\"".to_owned(),
            ),
            (
                LogFormat::Combined,
                LogPrivacy::Full,
                "198.51.100.77 - ann [01/Jan/2026:00:00:00 +0000] \"GET http://www.example.com/a?b=c HTTP/1.1\" 200 1234567 \"http://r.example/\" \"curl/8\"".to_owned(),
            ),
            (
                LogFormat::Squid,
                LogPrivacy::Counts,
                "1767225600.059     17 - TCP_MISS/200 1234567 GET - - HIER_DIRECT/- -".to_owned(),
            ),
            (
                LogFormat::Squid,
                LogPrivacy::Masked,
                "1767225600.059     17 198.51.100.0 TCP_MISS/200 1234567 GET http://www.example.com/ - HIER_DIRECT/- -".to_owned(),
            ),
            (
                LogFormat::Squid,
                LogPrivacy::Full,
                "1767225600.059     17 198.51.100.77 TCP_MISS/200 1234567 GET http://www.example.com/a?b=c ann HIER_DIRECT/203.0.113.9 -".to_owned(),
            ),
        ] {
            assert_eq!(line(&record, form, privacy), wanted + "\n", "{form:?} {privacy:?}");
        }
    });
}

#[test]
fn no_byte_of_a_client_ends_or_fakes_a_line() {
    let hostile = (0..=255).chain(*b"\"} {\"a\":1}\r\n key=\\").collect::<Vec<u8>>();
    let text = "\u{0}\u{7f}\u{85}\u{2028}\" \\ =\r\n\tü".to_owned() + "\u{1b}[31m";
    with_record(|record| {
        let record = Record {
            user: Some(&text),
            method: &text,
            path: &hostile,
            user_agent: &hostile,
            referer: &hostile,
            ..record
        };
        for (form, privacy) in FORMS.iter().flat_map(|form| LEVELS.map(|level| (*form, level))) {
            let line = line(&record, form, privacy);
            let inner = line.strip_suffix('\n').unwrap();
            assert!(!inner.chars().any(char::is_control), "{form:?} {privacy:?}: {inner:?}");
            match form {
                LogFormat::Json => {
                    let value: Value = serde_json::from_str(inner).unwrap();
                    assert_eq!(value["method"], text.as_str());
                    assert_eq!(value.get("a"), None);
                }
                LogFormat::Squid => assert_eq!(inner.split_ascii_whitespace().count(), 10, "{inner}"),
                LogFormat::Combined => {
                    assert_eq!(
                        inner.replace("\\\\", "").replace("\\\"", "").matches('"').count(),
                        6,
                        "{inner}"
                    )
                }
                LogFormat::Logfmt => {
                    assert_eq!(
                        inner.replace("\\\\", "").replace("\\\"", "").matches('"').count() % 2,
                        0,
                        "{inner}"
                    );
                }
            }
        }
    });
}

#[test]
fn what_a_level_withholds_is_in_no_line() {
    with_record(|record| {
        for form in FORMS {
            let masked = line(&record, form, LogPrivacy::Masked);
            for secret in [".77", "ann", "b=c", "curl", "r.example", "203.0.113.9"] {
                assert!(!masked.contains(secret), "{form:?}: {masked}");
            }
            let counts = line(&record, form, LogPrivacy::Counts);
            for secret in ["198.51", "example", "203.0"] {
                assert!(!counts.contains(secret), "{form:?}: {counts}");
            }
        }
    });
}

#[test]
fn every_way_to_end_has_its_word_in_squids_form() {
    with_record(|record| {
        for (protocol, verb, status, outcome, wanted) in [
            (
                Protocol::Http,
                "block",
                403,
                "rule",
                "TCP_DENIED/403 9 GET http://www.example.com/ - HIER_NONE/- -",
            ),
            (Protocol::Http, "", 407, "auth", "TCP_DENIED/407 9 GET http://www.example.com/ - HIER_NONE/- -"),
            (Protocol::Http, "", 400, "bad", "NONE_NONE/400 9 GET http://www.example.com/ - HIER_NONE/- -"),
            (
                Protocol::Connect,
                "direct",
                200,
                "ok",
                "TCP_TUNNEL/200 9 GET www.example.com:80 - HIER_DIRECT/- -",
            ),
            (
                Protocol::Connect,
                "via:vps",
                200,
                "ok",
                "TCP_TUNNEL/200 9 GET www.example.com:80 - FIRSTUP_PARENT/- -",
            ),
            (
                Protocol::Socks5,
                "direct",
                0,
                "ok",
                "TCP_TUNNEL/200 9 GET www.example.com:80 - HIER_DIRECT/- -",
            ),
            (
                Protocol::Socks5,
                "direct",
                5,
                "refused",
                "TCP_TUNNEL/502 9 GET www.example.com:80 - HIER_DIRECT/- -",
            ),
            (
                Protocol::Socks4,
                "block",
                91,
                "rule",
                "TCP_DENIED/403 9 GET www.example.com:80 - HIER_NONE/- -",
            ),
        ] {
            let record = Record { protocol, verb, status, outcome, bytes_down: 9, ..record };
            let line = line(&record, LogFormat::Squid, LogPrivacy::Masked);
            let rest = line.split_once("198.51.100.0 ").unwrap().1;
            assert_eq!(rest, format!("{wanted}\n"));
        }
    });
}

#[test]
fn clients_are_masked_to_their_network() {
    for (client, masked) in [
        ("10.1.2.3:1", "10.1.2.0/24"),
        ("[2001:db8:1:2:3:4:5:6]:1", "2001:db8:1::/48"),
        ("[::ffff:10.1.2.3]:1", "10.1.2.0/24"),
        ("[::1]:1", "::/48"),
    ] {
        with_record(|record| {
            let record = Record { client: client.parse().unwrap(), ..record };
            let line: Value =
                serde_json::from_str(&line(&record, LogFormat::Json, LogPrivacy::Masked)).unwrap();
            assert_eq!(line["client"], masked);
        });
    }
}

#[test]
fn addresses_and_ports_stand_in_urls_as_they_must() {
    for (protocol, host, port, path, url) in [
        (Protocol::Http, "2001:db8::1", 80, "/x", "http://[2001:db8::1]/x"),
        (Protocol::Http, "192.0.2.1", 8080, "/", "http://192.0.2.1:8080/"),
        (Protocol::Upgrade, "a.example", 80, "/chat", "http://a.example/chat"),
        (Protocol::Connect, "2001:db8::1", 443, "", "[2001:db8::1]:443"),
        (Protocol::Http, "a.example", 80, "*", "http://a.example/*"),
    ] {
        with_record(|record| {
            let host = Host::parse(host).unwrap();
            let record = Record { protocol, host: Some(&host), port, path: path.as_bytes(), ..record };
            let line = line(&record, LogFormat::Combined, LogPrivacy::Full);
            assert!(line.contains(&format!("\"GET {url} HTTP/1.1\"")), "{line}");
        });
    }
}

#[test]
fn what_is_not_known_is_left_out_or_a_dash() {
    with_record(|record| {
        let record = Record {
            user: None,
            method: "",
            host: None,
            port: 0,
            path: b"",
            status: 400,
            verb: "",
            rule: 0,
            upstream: None,
            outcome: "http_request_error",
            user_agent: b"",
            referer: b"",
            ..record
        };
        let json = line(&record, LogFormat::Json, LogPrivacy::Full);
        for key in ["user", "method", "host", "port", "path", "verb", "upstream", "user_agent", "referer"] {
            assert!(!json.contains(&format!("\"{key}\":")), "{json}");
        }
        assert!(line(&record, LogFormat::Combined, LogPrivacy::Full).contains("\"- - HTTP/1.1\" 400 "));
        assert!(
            line(&record, LogFormat::Squid, LogPrivacy::Full)
                .ends_with("NONE_NONE/400 1234567 - - - HIER_NONE/- -\n")
        );
    });
}

#[test]
fn a_line_has_an_end_however_long_the_request() {
    with_record(|record| {
        let long = vec![0xff; 1 << 20];
        let record = Record { path: &long, user_agent: &long, referer: &long, ..record };
        for form in FORMS {
            assert!(line(&record, form, LogPrivacy::Full).len() < 64 << 10, "{form:?}");
        }
    });
}

#[test]
fn every_key_is_documented() {
    let page = include_str!("../../../../docs/logging.md");
    with_record(|record| {
        let line: Value = serde_json::from_str(&line(&record, LogFormat::Json, LogPrivacy::Full)).unwrap();
        for key in line.as_object().unwrap().keys() {
            assert!(
                page.lines().any(|row| row.starts_with("| `") && row.contains(&format!("`{key}`"))),
                "{key}"
            );
        }
    });
}
