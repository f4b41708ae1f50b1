//! The combined log format of web servers, with absolute URLs as forward proxies write it.
//!
//! `CLIENT - USER [TIME] "METHOD URL PROTOCOL" STATUS BYTES "REFERER" "USER-AGENT"`; what is unknown or withheld is
//! `-`. The time is that of the beginning, bytes are those towards the client. SOCKS replies stand as 200, 403 or
//! 502, so that programs which know HTTP alone can count them.

use super::shown::Shown;
use super::{text, time};
use shoalway_types::Protocol;

pub(super) fn write(shown: &Shown<'_>, out: &mut Vec<u8>) {
    match shown.client {
        Some(client) => text::ip(out, client.ip),
        None => out.push(b'-'),
    }
    out.extend_from_slice(b" - ");
    match shown.user {
        Some(user) => text::percent(out, user.as_bytes()),
        None => out.push(b'-'),
    }
    out.extend_from_slice(b" [");
    time::clf(out, shown.started_ms);
    out.extend_from_slice(b"] \"");
    or_dash(out, shown.method.as_bytes(), text::percent);
    out.push(b' ');
    url(out, shown);
    out.push(b' ');
    out.extend_from_slice(match shown.protocol {
        Protocol::Http | Protocol::Connect | Protocol::Upgrade => b"HTTP/1.1",
        Protocol::Socks4 => b"SOCKS/4",
        Protocol::Socks5 | Protocol::Udp => b"SOCKS/5",
        Protocol::StreamTcp | Protocol::StreamTls => b"TCP",
        Protocol::StreamUdp => b"UDP",
    });
    out.extend_from_slice(b"\" ");
    text::three_digits(out, shown.http_status().into());
    out.push(b' ');
    text::number(out, shown.bytes_down);
    for field in [shown.referer, shown.user_agent] {
        out.extend_from_slice(b" \"");
        or_dash(out, field, text::quoted);
        out.push(b'"');
    }
}

/// The value escaped by `escape`, or a dash when there is none.
pub(super) fn or_dash(out: &mut Vec<u8>, value: &[u8], escape: fn(&mut Vec<u8>, &[u8])) {
    if value.is_empty() {
        out.push(b'-');
    } else {
        escape(out, value);
    }
}

/// The target: an absolute URL for plain HTTP, host and port for all that is opaque.
pub(super) fn url(out: &mut Vec<u8>, shown: &Shown<'_>) {
    let Some(host) = shown.host else { return out.push(b'-') };
    let is_url = matches!(shown.protocol, Protocol::Http | Protocol::Upgrade);
    if is_url {
        out.extend_from_slice(b"http://");
    }
    text::host(out, host);
    if !is_url || shown.port != 80 {
        out.push(b':');
        text::number(out, shown.port.into());
    }
    if is_url && !shown.path.starts_with(b"/") {
        out.push(b'/');
    }
    text::percent(out, shown.path);
}
