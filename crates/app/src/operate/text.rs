//! The status as a few lines, safe to pass on: no client, user or destination is in them.
//!
//! Not here: the numbers (`admin/status`).

use serde_json::Value;

/// Six lines, one more for sites and streams, and one for each upstream or certificate that is not wholly well.
pub(super) fn status(status: &Value) -> String {
    let word = |key: &str| status.get(key).and_then(Value::as_str).unwrap_or("?").to_owned();
    let count = |key: &str| status.get(key).and_then(Value::as_u64).unwrap_or(0);
    let all = status.get("listeners").and_then(Value::as_array).into_iter().flatten();
    let (forward, reverse): (Vec<&Value>, Vec<&Value>) =
        all.partition(|one| one.get("for").is_none_or(|what| what == "proxy"));
    let listeners: Vec<String> = forward.into_iter().map(listener).collect();
    let reverse = reverse_proxy(status, &reverse);
    let mark = if word("state") == "ready" { '●' } else { '○' };
    let admin = match status.get("admin").and_then(Value::as_str) {
        Some(address) => format!("metrics http://{address}/metrics"),
        None => "no admin port".to_owned(),
    };
    let config = match status.get("config").and_then(Value::as_str) {
        Some(file) => format!("config {file} loaded {}", clock(&word("loaded"))),
        None => "no config file: defaults".to_owned(),
    };
    let refused = match count("refused") {
        0 => String::new(),
        n => format!(" · {n} refused by limits"),
    };
    let exits = match count("exits") {
        0 => String::new(),
        n => format!(" · exits {n}"),
    };
    format!(
        "{mark} {}  since {} ({}) · shoalway {} · pid {}\n  proxy {}\n{reverse}  {} connections · {} tunnels · {} requests, {} blocked{refused}\n  {} down · {} up · memory {}\n  rules {}{exits} · {config}\n  {admin} · access log {}\n",
        word("state"),
        clock(&word("started")),
        duration(count("uptime_s")),
        word("version"),
        count("pid"),
        if listeners.is_empty() { "no listener".to_owned() } else { listeners.join(" · ") },
        count("connections"),
        count("tunnels"),
        count("requests"),
        count("blocked"),
        size(count("bytes_down")),
        size(count("bytes_up")),
        size(count("memory")),
        count("rules"),
        word("access_log"),
    )
}

/// Sites and streams with their addresses, and upstreams and certificates of which something is wrong; empty when there are none.
fn reverse_proxy(status: &Value, listeners: &[&Value]) -> String {
    if listeners.is_empty() {
        return String::new();
    }
    let mut parts = Vec::new();
    for listener in listeners {
        let word = |key: &str| listener.get(key).and_then(Value::as_str);
        let tls = if listener.get("tls") == Some(&Value::Bool(true)) { "+TLS" } else { "" };
        let udp = if word("transport") == Some("udp") { "udp://" } else { "" };
        let what = word("name").map_or_else(|| format!("sites{tls}"), |name| format!("stream {name}"));
        parts.push(format!("{udp}{} {what}", word("address").unwrap_or("?")));
    }
    let mut text = format!("  {}\n", parts.join(" · "));
    for upstream in status.get("upstreams").and_then(Value::as_array).into_iter().flatten() {
        let count = |key: &str| upstream.get(key).and_then(Value::as_u64).unwrap_or(0);
        let endpoints = upstream.get("endpoints").and_then(Value::as_array).map_or(0, Vec::len);
        if count("healthy") < u64::try_from(endpoints).unwrap_or(u64::MAX) {
            let name = upstream.get("name").and_then(Value::as_str).unwrap_or("?");
            text.push_str(&format!("  upstream {name}: {} of {endpoints} healthy\n", count("healthy")));
        }
    }
    for certificate in status.get("certificates").and_then(Value::as_array).into_iter().flatten() {
        let word = |key: &str| certificate.get(key).and_then(Value::as_str);
        let (name, state) = (word("name").unwrap_or("?"), word("state").unwrap_or("?"));
        let error = word("error").map(|code| format!(", {code}")).unwrap_or_default();
        if state != "valid" || !error.is_empty() {
            text.push_str(&format!("  certificate {name}: {state}{error}\n"));
        }
    }
    text
}

fn listener(listener: &Value) -> String {
    let is = |key: &str| listener.get(key).and_then(Value::as_bool).unwrap_or(false);
    let address = listener.get("address").and_then(Value::as_str).unwrap_or("?");
    let tls = if is("tls") { "+TLS" } else { "" };
    let auth = if is("auth") { ", log-in" } else { "" };
    format!("{address} HTTP+SOCKS{tls}{auth}")
}

/// `2026-01-02T03:04:05Z` as `2026-01-02 03:04 UTC`.
fn clock(moment: &str) -> String {
    match (moment.get(..10), moment.get(11..16)) {
        (Some(day), Some(time)) => format!("{day} {time} UTC"),
        _ => moment.to_owned(),
    }
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// Bytes with the unit that leaves at most three digits before the point.
fn size(bytes: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut whole = bytes;
    let mut rest = 0;
    for unit in units {
        if whole < 1_000 {
            return if unit == "B" { format!("{whole} B") } else { format!("{whole}.{} {unit}", rest / 100) };
        }
        (whole, rest) = (whole / 1_000, whole % 1_000);
    }
    format!("{whole} EB")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_status_fits_six_lines() {
        let value = json!({
            "state": "ready", "version": "0.1.0", "pid": 7, "started": "2026-01-02T03:04:05Z", "uptime_s": 7_260,
            "listeners": [{ "address": "127.0.0.1:3128", "tls": true, "auth": true }],
            "admin": "127.0.0.1:3131", "connections": 37, "tunnels": 12, "requests": 1234, "blocked": 3, "refused": 1,
            "bytes_up": 999, "bytes_down": 1_310_000_000_u64, "memory": 9_000_000, "rules": 4, "exits": 1,
            "config": "shoalway.toml", "loaded": "2026-01-02T04:00:00Z", "access_log": "off",
        });
        assert_eq!(
            status(&value),
            "● ready  since 2026-01-02 03:04 UTC (2 h 1 min) · shoalway 0.1.0 · pid 7\n\
             \x20 proxy 127.0.0.1:3128 HTTP+SOCKS+TLS, log-in\n\
             \x20 37 connections · 12 tunnels · 1234 requests, 3 blocked · 1 refused by limits\n\
             \x20 1.3 GB down · 999 B up · memory 9.0 MB\n\
             \x20 rules 4 · exits 1 · config shoalway.toml loaded 2026-01-02 04:00 UTC\n\
             \x20 metrics http://127.0.0.1:3131/metrics · access log off\n"
        );
    }

    #[test]
    fn sites_and_streams_have_a_line_and_sick_upstreams_one_each() {
        let value = json!({
            "listeners": [
                { "address": "127.0.0.1:8443", "for": "sites", "transport": "tcp", "tls": true },
                { "address": "127.0.0.1:53", "for": "stream", "name": "dns", "transport": "udp", "tls": false },
            ],
            "upstreams": [
                { "name": "well", "healthy": 1, "endpoints": [{}] },
                { "name": "sick", "healthy": 1, "endpoints": [{}, {}] },
            ],
        });
        let text = status(&value);
        let wanted = "  proxy no listener\n  127.0.0.1:8443 sites+TLS · udp://127.0.0.1:53 stream dns\n  upstream sick: 1 of 2 healthy\n";
        assert!(text.contains(wanted), "{text}");
    }

    #[test]
    fn an_answer_of_another_version_is_shown_as_far_as_it_goes() {
        assert_eq!(status(&json!({})).lines().count(), 6);
    }

    #[test]
    fn sizes_and_times_are_for_people() {
        for (bytes, text) in [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (1_999_999, "1.9 MB")] {
            assert_eq!(size(bytes), text);
        }
        for (seconds, text) in [(59, "59 s"), (60, "1 min"), (3_660, "1 h 1 min"), (90_000, "1 d 1 h")] {
            assert_eq!(duration(seconds), text);
        }
    }
}
