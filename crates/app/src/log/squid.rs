//! Squid's native format: `%ts.%03tu %6tr %>a %Ss/%03>Hs %<st %rm %ru %un %Sh/%<a %mt`.
//!
//! The time is that of the end, as there. The size is that of bodies and tunnelled bytes towards the client, without
//! heads; the type of the content is not recorded.

use super::combined::{or_dash, url};
use super::shown::Shown;
use super::text;
use shoalway_types::Protocol;

pub(super) fn write(shown: &Shown<'_>, out: &mut Vec<u8>) {
    let elapsed = shown.elapsed_ms();
    let end = shown.started_ms.saturating_add(elapsed);
    text::number(out, end / 1_000);
    out.push(b'.');
    text::three_digits(out, end % 1_000);
    out.push(b' ');
    for width in [100_000, 10_000, 1_000, 100, 10] {
        if elapsed < width {
            out.push(b' ');
        }
    }
    text::number(out, elapsed);
    out.push(b' ');
    match shown.client {
        Some(client) => text::ip(out, client.ip),
        None => out.push(b'-'),
    }
    out.push(b' ');
    out.extend_from_slice(verdict(shown).as_bytes());
    out.push(b'/');
    text::three_digits(out, shown.http_status().into());
    out.push(b' ');
    text::number(out, shown.bytes_down);
    out.push(b' ');
    or_dash(out, shown.method.as_bytes(), text::percent);
    out.push(b' ');
    url(out, shown);
    out.push(b' ');
    or_dash(out, shown.user.unwrap_or_default().as_bytes(), text::percent);
    out.push(b' ');
    hierarchy(out, shown);
    out.extend_from_slice(b" -");
}

/// Squid's word for what became of the request.
fn verdict(shown: &Shown<'_>) -> &'static str {
    if shown.verb == "block" || shown.status == 407 {
        return "TCP_DENIED";
    }
    match shown.protocol {
        // Nothing was decided: the request was no good.
        _ if shown.verb.is_empty() => "NONE_NONE",
        Protocol::Http => "TCP_MISS",
        Protocol::Connect
        | Protocol::Upgrade
        | Protocol::Socks4
        | Protocol::Socks5
        | Protocol::Udp
        | Protocol::StreamTcp
        | Protocol::StreamTls
        | Protocol::StreamUdp => "TCP_TUNNEL",
    }
}

/// How the far side was reached, and its address where that may be told.
fn hierarchy(out: &mut Vec<u8>, shown: &Shown<'_>) {
    let word: &[u8] = match shown.verb {
        "" | "block" => b"HIER_NONE/",
        verb if verb.starts_with("via:") => b"FIRSTUP_PARENT/",
        _ => b"HIER_DIRECT/",
    };
    out.extend_from_slice(word);
    match shown.upstream {
        Some(addr) => text::ip(out, addr.ip()),
        None => out.push(b'-'),
    }
}
