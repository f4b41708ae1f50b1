//! One JSON object a line (RFC 8259), with short keys that never change their meaning.
//!
//! A key whose value is unknown or withheld is left out. Keys and their meaning: docs/logging.md.

use super::shown::{Client, Shown};
use super::{text, time};
use shoalway_types::Host;

pub(super) fn write(shown: &Shown<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"ts\":\"");
    time::iso(out, shown.started_ms);
    out.push(b'"');
    string(out, b"listener", shown.listener.as_bytes());
    string(out, b"protocol", shown.protocol.word().as_bytes());
    if let Some(client) = shown.client {
        key(out, b"client");
        out.push(b'"');
        client_text(out, client);
        out.push(b'"');
    }
    optional(out, b"user", shown.user.unwrap_or_default().as_bytes());
    optional(out, b"method", shown.method.as_bytes());
    if let Some(host) = shown.host {
        key(out, b"host");
        out.push(b'"');
        plain_host(out, host);
        out.push(b'"');
        number(out, b"port", shown.port.into());
    }
    optional(out, b"path", shown.path);
    number(out, b"status", shown.status.into());
    number(out, b"bytes_up", shown.bytes_up);
    number(out, b"bytes_down", shown.bytes_down);
    number(out, b"ms", shown.elapsed_ms());
    optional(out, b"verb", shown.verb.as_bytes());
    number(out, b"rule", shown.rule.into());
    if let Some(upstream) = shown.upstream {
        key(out, b"upstream");
        out.push(b'"');
        text::socket(out, upstream);
        out.push(b'"');
    }
    string(out, b"outcome", shown.outcome.as_bytes());
    optional(out, b"user_agent", shown.user_agent);
    optional(out, b"referer", shown.referer);
    out.push(b'}');
}

/// The client's address, or its network with the length of the prefix.
pub(super) fn client_text(out: &mut Vec<u8>, client: Client) {
    text::ip(out, client.ip);
    if let Some(prefix) = client.prefix {
        out.push(b'/');
        text::number(out, prefix.into());
    }
}

/// A host without brackets.
pub(super) fn plain_host(out: &mut Vec<u8>, host: &Host) {
    match (host.ip(), host.name()) {
        (Some(ip), _) => text::ip(out, ip),
        (None, name) => text::json(out, name.unwrap_or_default().as_bytes()),
    }
}

fn key(out: &mut Vec<u8>, name: &[u8]) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name);
    out.extend_from_slice(b"\":");
}

fn number(out: &mut Vec<u8>, name: &[u8], value: u64) {
    key(out, name);
    text::number(out, value);
}

fn string(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    key(out, name);
    out.push(b'"');
    text::json(out, value);
    out.push(b'"');
}

fn optional(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    if !value.is_empty() {
        string(out, name, value);
    }
}
