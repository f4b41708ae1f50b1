//! `key=value` pairs on a line, with the keys of the JSON form; a value with anything odd in it stands in quotes.
//!
//! Inside quotes escapes are those of JSON. A key whose value is unknown or withheld is left out.

use super::json::{client_text, plain_host};
use super::shown::Shown;
use super::{text, time};

pub(super) fn write(shown: &Shown<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"ts=");
    time::iso(out, shown.started_ms);
    string(out, b"listener", shown.listener.as_bytes());
    string(out, b"protocol", shown.protocol.word().as_bytes());
    if let Some(client) = shown.client {
        key(out, b"client");
        client_text(out, client);
    }
    string(out, b"user", shown.user.unwrap_or_default().as_bytes());
    string(out, b"method", shown.method.as_bytes());
    if let Some(host) = shown.host {
        key(out, b"host");
        plain_host(out, host);
        number(out, b"port", shown.port.into());
    }
    string(out, b"path", shown.path);
    number(out, b"status", shown.status.into());
    number(out, b"bytes_up", shown.bytes_up);
    number(out, b"bytes_down", shown.bytes_down);
    number(out, b"ms", shown.elapsed_ms());
    string(out, b"verb", shown.verb.as_bytes());
    number(out, b"rule", shown.rule.into());
    if let Some(upstream) = shown.upstream {
        key(out, b"upstream");
        text::socket(out, upstream);
    }
    string(out, b"outcome", shown.outcome.as_bytes());
    string(out, b"user_agent", shown.user_agent);
    string(out, b"referer", shown.referer);
}

fn key(out: &mut Vec<u8>, name: &[u8]) {
    out.push(b' ');
    out.extend_from_slice(name);
    out.push(b'=');
}

fn number(out: &mut Vec<u8>, name: &[u8], value: u64) {
    key(out, name);
    text::number(out, value);
}

/// A value that is empty is left out, key and all.
fn string(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    if value.is_empty() {
        return;
    }
    key(out, name);
    if value.iter().all(|byte| matches!(byte, b'!'..=b'~') && !matches!(byte, b'"' | b'\\' | b'=')) {
        return out.extend_from_slice(value);
    }
    out.push(b'"');
    text::json(out, value);
    out.push(b'"');
}
