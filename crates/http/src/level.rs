//! What a request tells about the proxy and its client, in three levels.
//!
//! | level | proxy | client |
//! |---|---|---|
//! | transparent | `Via` | `Forwarded` and `X-Forwarded-For` with its address, behind what came |
//! | anonymous | `Via` | every field that names a client is dropped, whoever put it there |
//! | elite | no trace | nothing is added; fields leave as the client sent them |
//!
//! At every level what ends at a proxy is dropped (RFC 9110 section 7.6.1), and at elite also whatever else begins
//! with `Proxy-`. Elite does not drop a `Via` or `X-Forwarded-For` that the client sent itself: its promise is that
//! the request arrives as the client made it. Where other proxies stand in front of this one, anonymous is the level
//! that hides what they tell. Not here: loops (`loops`), the request line.

use crate::loops::pseudonym;
use shoalway_wire::http1::compose::Edits;
use shoalway_wire::http1::fields::{FieldView, FieldsView};
use shoalway_wire::http1::framing::Version;
use shoalway_wire::http1::hop_by_hop::{self, Switch};
use shoalway_wire::http1::known::Known;
use shoalway_wire::http1::request::RequestView;
use shoalway_wire::http1::response::ResponseView;
use std::io::Write as _;
use std::net::IpAddr;

/// How much a request tells. The default is elite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Level {
    /// Says that it is a proxy and for whom.
    Transparent,
    /// Says that it is a proxy, not for whom.
    Anonymous,
    /// Says nothing.
    #[default]
    Elite,
}

impl Level {
    /// The word in the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Transparent => "transparent",
            Self::Anonymous => "anonymous",
            Self::Elite => "elite",
        }
    }
}

/// Fields with an id that name a client or the way it came.
const TELL_TALES: [Known; 5] =
    [Known::Forwarded, Known::XForwardedFor, Known::XForwardedHost, Known::XForwardedProto, Known::XRealIp];

/// The same without an id, as other proxies and services write them.
const OTHER_TELL_TALES: [&[u8]; 9] = [
    b"Client-IP",
    b"X-Client-IP",
    b"X-Cluster-Client-IP",
    b"True-Client-IP",
    b"CF-Connecting-IP",
    b"X-Originating-IP",
    b"X-Remote-IP",
    b"X-Remote-Addr",
    b"X-ProxyUser-IP",
];

/// Marks what changes in a request on its way out. `client` is the address that a transparent proxy tells.
pub fn edit_request(level: Level, request: RequestView<'_>, client: IpAddr, edits: &mut Edits) {
    hop_by_hop::mark(&request, edits, request_switch(request));
    match level {
        Level::Transparent => {
            add_via(request.version(), edits);
            tell_client(client, edits);
        }
        Level::Anonymous => {
            add_via(request.version(), edits);
            drop_tell_tales(&request, edits);
        }
        Level::Elite => {
            drop_proxy_fields(&request, edits);
            keep_connection_words(request, edits);
        }
    }
}

/// Clients of a proxy say `Proxy-Connection: keep-alive` where they would say `Connection: keep-alive` to an origin,
/// and our own connection to it is kept, so that is what the origin reads, in the same place. One more word in
/// Connection and nothing of it is passed on.
fn keep_connection_words(request: RequestView<'_>, edits: &mut Edits) {
    if passes_upgrade(request) || request.connection_options().any(|word| !is_keep_alive(word)) {
        return;
    }
    let says = |field: &FieldView<'_>| is_keep_alive(field.value);
    let own = request.get_all(Known::Connection).find(says);
    if let Some(field) = own.or_else(|| request.get_all(Known::ProxyConnection).find(says)) {
        let name = if own.is_some() { field.name } else { b"Connection" };
        edits.replace(field.index, name, field.value);
    }
}

fn is_keep_alive(word: &[u8]) -> bool {
    word.trim_ascii().eq_ignore_ascii_case(b"keep-alive")
}

/// Marks what changes in an answer on its way to the client.
pub fn edit_response(level: Level, response: ResponseView<'_>, edits: &mut Edits) {
    hop_by_hop::mark(&response, edits, response_switch(response));
    match level {
        Level::Transparent | Level::Anonymous => add_via(response.version(), edits),
        Level::Elite => {}
    }
}

/// Whether a wish to change the protocol is passed on: to `websocket` and to nothing else (RFC 6455 section 4.1).
///
/// After a change the connection is a tunnel whose bytes nobody here looks at. With `h2c` (RFC 9113 section 3.1 has
/// made an end of it) or `TLS/1.0` (RFC 2817) that tunnel would carry further requests past the rules, and the far side
/// may choose any member of a list (RFC 9110 section 7.8), so one harmless member does not excuse the others. A server
/// may always go on without a change; the client then gets a plain answer.
#[must_use]
pub fn passes_upgrade(request: RequestView<'_>) -> bool {
    let single = request.get_all(Known::Upgrade).count() == 1;
    single && request.upgrade().is_some_and(|wanted| wanted.trim_ascii().eq_ignore_ascii_case(b"websocket"))
}

fn request_switch(request: RequestView<'_>) -> Switch {
    if passes_upgrade(request) { Switch::Pass } else { Switch::Drop }
}

/// Upgrade stands in a 101, and in a 426 it is the point of the answer (RFC 9110 section 15.5.22).
fn response_switch(response: ResponseView<'_>) -> Switch {
    if matches!(response.status(), 101 | 426) { Switch::Pass } else { Switch::Drop }
}

/// One member of the list, on a line of its own: RFC 9110 section 7.6.3.
fn add_via(received: Version, edits: &mut Edits) {
    let mut value = [0; 48];
    let version = match received {
        Version::Http10 => "1.0",
        Version::Http11 => "1.1",
    };
    add_written(edits, b"Via", &mut value, format_args!("{version} {}", pseudonym()));
}

/// RFC 7239 section 6: an IPv6 address stands in brackets and quotes. X-Forwarded-For has it bare.
fn tell_client(client: IpAddr, edits: &mut Edits) {
    let client = client.to_canonical();
    let mut value = [0; 64];
    match client {
        IpAddr::V4(ip) => add_written(edits, b"Forwarded", &mut value, format_args!("for={ip}")),
        IpAddr::V6(ip) => add_written(edits, b"Forwarded", &mut value, format_args!("for=\"[{ip}]\"")),
    }
    add_written(edits, b"X-Forwarded-For", &mut value, format_args!("{client}"));
}

fn add_written(edits: &mut Edits, name: &[u8], buf: &mut [u8], value: std::fmt::Arguments<'_>) {
    let room = buf.len();
    let mut rest = &mut *buf;
    // The buffers are longer than the longest address and pseudonym.
    if rest.write_fmt(value).is_ok() {
        let used = room - rest.len();
        edits.add(name, buf.get(..used).unwrap_or_default());
    }
}

fn drop_tell_tales(fields: &FieldsView<'_>, edits: &mut Edits) {
    for known in TELL_TALES {
        edits.drop_known(fields, known);
    }
    for field in fields.fields().filter(|field| field.known.is_none()) {
        let tells = OTHER_TELL_TALES.iter().any(|name| field.name.eq_ignore_ascii_case(name));
        if tells || begins_with(field.name, b"X-Forwarded-") || begins_with(field.name, b"Proxy-") {
            edits.drop_field(field.index);
        }
    }
}

fn drop_proxy_fields(fields: &FieldsView<'_>, edits: &mut Edits) {
    for field in fields.fields().filter(|field| begins_with(field.name, b"Proxy-")) {
        edits.drop_field(field.index);
    }
}

fn begins_with(name: &[u8], start: &[u8]) -> bool {
    name.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoalway_wire::http1::compose::{RequestLine, write_request, write_response};
    use shoalway_wire::http1::limits::Limits;
    use shoalway_wire::http1::method::Method;
    use shoalway_wire::http1::request::RequestHead;
    use shoalway_wire::http1::response::ResponseHead;

    fn request(level: Level, client: &str, fields: &str) -> String {
        let bytes = format!("GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n");
        let mut head = RequestHead::new();
        head.parse(bytes.as_bytes(), &Limits::default()).unwrap().unwrap();
        let view = head.view(bytes.as_bytes());
        let (mut edits, mut out) = (Edits::new(), Vec::new());
        edit_request(level, view, client.parse().unwrap(), &mut edits);
        write_request(&mut out, view, RequestLine::Origin, &edits);
        let text = String::from_utf8(out).unwrap().replace(pseudonym(), "US");
        text.strip_prefix("GET / HTTP/1.1\r\nHost: a.example\r\n").unwrap().replace("\r\n", "|")
    }

    fn response(level: Level, head_text: &str) -> String {
        let mut head = ResponseHead::new();
        head.parse(
            head_text.as_bytes(),
            &Limits::default(),
            shoalway_wire::http1::response::Asked { method: Method::Get, upgrade: true },
        )
        .unwrap()
        .unwrap();
        let view = head.view(head_text.as_bytes());
        let (mut edits, mut out) = (Edits::new(), Vec::new());
        edit_response(level, view, &mut edits);
        write_response(&mut out, view, &edits);
        String::from_utf8(out).unwrap().replace(pseudonym(), "US").replace("\r\n", "|")
    }

    const CHATTY: &str = "X-Forwarded-For: 192.0.2.9\r\nVIA: 1.0 other\r\nx-Real-ip: 1\r\nClient-IP: 2\r\n\
                          X-Forwarded-Port: 3\r\nforwarded: for=x\r\nProxy-Foo: 4\r\nProxy-Connection: keep-alive\r\n\
                          accept: */*\r\n";

    #[test]
    fn each_level_tells_what_it_says() {
        let kept = "X-Forwarded-For: 192.0.2.9|VIA: 1.0 other|x-Real-ip: 1|Client-IP: 2|X-Forwarded-Port: 3|\
                    forwarded: for=x|";
        for (level, client, leaves) in [
            (
                Level::Transparent,
                "192.0.2.1",
                format!(
                    "{kept}Proxy-Foo: 4|accept: */*|Via: 1.1 US|Forwarded: for=192.0.2.1|X-Forwarded-For: 192.0.2.1||"
                ),
            ),
            (
                Level::Transparent,
                "2001:db8::1",
                format!(
                    "{kept}Proxy-Foo: 4|accept: */*|Via: 1.1 US|Forwarded: for=\"[2001:db8::1]\"|\
                     X-Forwarded-For: 2001:db8::1||"
                ),
            ),
            (Level::Anonymous, "192.0.2.1", "VIA: 1.0 other|accept: */*|Via: 1.1 US||".to_owned()),
            (Level::Elite, "192.0.2.1", format!("{kept}Connection: keep-alive|accept: */*||")),
        ] {
            assert_eq!(request(level, client, CHATTY), leaves, "{level:?}");
        }
    }

    #[test]
    fn elite_leaves_spelling_and_order_alone() {
        let fields = "uSER-agent: x\r\nAccept:*/*\r\nCookie: a\r\ncookie: b\r\n";
        assert_eq!(
            request(Level::Elite, "192.0.2.1", fields),
            "uSER-agent: x|Accept:*/*|Cookie: a|cookie: b||"
        );
    }

    #[test]
    fn elite_says_keep_alive_where_the_client_would_have_said_it() {
        for (fields, leaves) in [
            ("Proxy-Connection: keep-alive\r\nA: b\r\n", "Connection: keep-alive|A: b||"),
            ("connection: Keep-Alive\r\nA: b\r\n", "connection: Keep-Alive|A: b||"),
            ("Connection: keep-alive\r\nProxy-Connection: keep-alive\r\n", "Connection: keep-alive||"),
            ("Connection: close\r\nProxy-Connection: keep-alive\r\n", "|"),
            ("Connection: keep-alive, a\r\nA: b\r\n", "|"),
            ("Proxy-Connection: close\r\nA: b\r\n", "A: b||"),
        ] {
            assert_eq!(request(Level::Elite, "192.0.2.1", fields), leaves, "{fields:?}");
        }
    }

    #[test]
    fn upgrades_to_websocket_alone_pass() {
        for wanted in ["websocket", "WebSocket", " websocket "] {
            let fields = format!("Connection: Upgrade\r\nUpgrade:{wanted}\r\n");
            let passed = request(Level::Elite, "192.0.2.1", &fields);
            assert_eq!(passed, format!("Connection: Upgrade|Upgrade:{wanted}||"), "{wanted}");
        }
    }

    #[test]
    fn an_upgrade_that_could_carry_requests_past_the_rules_ends_here() {
        for upgrade in [
            "Upgrade: h2c",
            "Upgrade: websocket, h2c",
            "Upgrade: h2c,websocket",
            "Upgrade: websocket,",
            "Upgrade: websocket/13",
            "Upgrade: TLS/1.0, websocket",
            "Upgrade: websocket\r\nUpgrade: h2c",
            "Upgrade: websocket\r\nUpgrade: websocket",
        ] {
            let fields =
                format!("Connection: Upgrade, HTTP2-Settings\r\n{upgrade}\r\nHTTP2-Settings: AAMAAABk\r\n");
            assert_eq!(request(Level::Elite, "192.0.2.1", &fields), "|", "{upgrade}");
        }
    }

    #[test]
    fn answers_say_via_except_at_elite() {
        let ok = "HTTP/1.0 200 OK\r\nServer: x\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(response(Level::Elite, ok), "HTTP/1.1 200 OK|Server: x|Content-Length: 0||");
        assert_eq!(
            response(Level::Anonymous, ok),
            "HTTP/1.1 200 OK|Server: x|Content-Length: 0|Via: 1.0 US||"
        );
        let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
        assert_eq!(response(Level::Elite, switch), switch.replace("\r\n", "|"));
    }
}
