//! The few messages load and origin exchange, and how an answer is checked.
//!
//! HTTP as RFC 9112, CONNECT as RFC 9110 section 9.3.6, SOCKS5 as RFC 1928; only what a measurement sends.
//! Strict on purpose: an answer that is not exactly what was asked for is a failure, never repaired.

use std::net::SocketAddrV4;

use anyhow::{bail, ensure};
use memchr::memmem;

/// Bytes each way of one small exchange through a tunnel.
pub const EXCHANGE: usize = 100;
/// What a client sends into a tunnel and expects back.
pub const PAYLOAD: [u8; EXCHANGE] = [b'x'; EXCHANGE];
/// Length of the body that is sent when no other is asked for.
pub const BODY: u64 = 100;
/// Byte that fills bodies.
pub const BODY_FILL: u8 = b'b';
/// Byte that fills downloads through tunnels.
pub const FILL: u8 = b'z';

/// The head of a plain reply with five fields, for a body of `length` bytes.
#[must_use]
pub fn reply_head(length: u64) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nServer: bench-origin\r\n\
         Content-Type: text/plain\r\nContent-Length: {length}\r\nCache-Control: no-store\r\n\r\n"
    )
    .into_bytes()
}

/// A whole plain reply: its head and `length` bytes of [`BODY_FILL`].
#[must_use]
pub fn reply(length: u64) -> Vec<u8> {
    let mut reply = reply_head(length);
    let whole = reply.len() + usize::try_from(length).unwrap_or(0);
    reply.resize(whole, BODY_FILL);
    reply
}

/// A browser-like GET for `path` with ten fields, about 415 bytes; the target in the form a forward proxy or a server wants.
#[must_use]
pub fn get_request(host: &str, path: &str, form: TargetForm) -> Vec<u8> {
    let target = match form {
        TargetForm::Absolute => format!("http://{host}{path}"),
        TargetForm::Origin => path.to_owned(),
    };
    format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
         Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n\
         Accept-Encoding: gzip, deflate\r\nReferer: http://{host}/\r\nCookie: session=0123456789abcdef\r\n\
         Cache-Control: no-cache\r\nConnection: keep-alive\r\nDNT: 1\r\n\r\n"
    )
    .into_bytes()
}

/// The path that asks the origin for a body of `length` bytes; 0 means the ordinary page, of [`BODY`].
#[must_use]
pub fn path(length: u64) -> String {
    if length == 0 { "/assets/page?id=1".to_owned() } else { format!("{BYTES}{length}?id=1") }
}

/// How many bytes of body the request in `head` asks for.
#[must_use]
pub fn asked_length(head: &[u8]) -> u64 {
    let digits = head.strip_prefix(b"GET ").and_then(|rest| rest.strip_prefix(BYTES.as_bytes()));
    let digits = digits.and_then(|rest| rest.split(|byte| !byte.is_ascii_digit()).next());
    let number = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    number.unwrap_or(BODY)
}

/// Paths that begin so name the length of the body.
const BYTES: &str = "/bytes/";

/// What opens a WebSocket (RFC 6455 section 4.1), with the key of the RFC's own example.
#[must_use]
pub fn websocket_request(host: &str) -> Vec<u8> {
    format!(
        "GET {WEBSOCKET_PATH} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    .into_bytes()
}

/// Whether the request in `head` wants [`websocket_request`]'s path.
#[must_use]
pub fn wants_websocket(head: &[u8]) -> bool {
    head.strip_prefix(b"GET ").is_some_and(|rest| rest.starts_with(WEBSOCKET_PATH.as_bytes()))
}

const WEBSOCKET_PATH: &str = "/websocket";
/// The origin's answer to [`websocket_request`] (RFC 6455 section 4.2.2); the key being fixed, so is its answer.
pub const WEBSOCKET_REPLY: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
/// A text frame of a client (RFC 6455 section 5.2): four bytes under a mask of zeros.
pub const CLIENT_FRAME: [u8; 10] = *b"\x81\x84\0\0\0\0ping";
/// The text frame the origin answers with.
pub const SERVER_FRAME: [u8; 6] = *b"\x81\x04pong";

/// Length of the complete answer to [`websocket_request`] in `buf`, or nothing yet.
///
/// # Errors
/// When its status is not 101.
pub fn websocket_reply(buf: &[u8]) -> anyhow::Result<Option<usize>> {
    let Some(end) = memmem::find(buf, b"\r\n\r\n") else { return Ok(None) };
    ensure!(buf.starts_with(b"HTTP/1.1 101"), "WebSocket answered {}", first_line(buf));
    Ok(Some(end + 4))
}

/// How the request line names its target (RFC 9112 section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetForm {
    /// `http://host/path`, for a forward proxy.
    Absolute,
    /// `/path`, for a reverse proxy or the origin itself.
    Origin,
}

/// A CONNECT request as curl sends it.
#[must_use]
pub fn connect_request(target: SocketAddrV4) -> Vec<u8> {
    format!(
        "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nUser-Agent: curl/8.9.1\r\nProxy-Connection: Keep-Alive\r\n\r\n"
    )
    .into_bytes()
}

/// SOCKS5 greeting that offers no authentication.
pub const SOCKS_GREETING: [u8; 3] = [5, 1, SOCKS_NO_LOGIN];
/// SOCKS5 greeting that offers user and password alone.
pub const SOCKS_GREETING_LOGIN: [u8; 3] = [5, 1, SOCKS_LOGIN];
/// The method without authentication.
pub const SOCKS_NO_LOGIN: u8 = 0;
/// The method of user and password.
pub const SOCKS_LOGIN: u8 = 2;

/// User and password (RFC 1929 section 2) of the user of this number.
#[must_use]
pub fn socks_login(user: u64) -> Vec<u8> {
    let name = format!("u{user}");
    let mut login = vec![1, u8::try_from(name.len()).unwrap_or(u8::MAX)];
    login.extend_from_slice(name.as_bytes());
    login.extend_from_slice(&[1, b'p']);
    login
}

/// Length of the complete answer to [`socks_login`] in `buf`, or nothing yet.
///
/// # Errors
/// When it is not a success.
pub fn socks_login_reply(buf: &[u8]) -> anyhow::Result<Option<usize>> {
    match buf {
        [1, 0, ..] => Ok(Some(2)),
        [] | [1] => Ok(None),
        _ => bail!("SOCKS5 log-in answered with {:?}", buf.get(..2)),
    }
}

/// SOCKS5 CONNECT to an IPv4 address.
#[must_use]
pub fn socks_request(target: SocketAddrV4) -> Vec<u8> {
    let mut request = vec![5, 1, 0, 1];
    request.extend_from_slice(&target.ip().octets());
    request.extend_from_slice(&target.port().to_be_bytes());
    request
}

/// Length of the complete SOCKS5 method choice in `buf`, or nothing yet.
///
/// # Errors
/// When the proxy wants another method than the one that was offered.
pub fn socks_method(buf: &[u8], offered: u8) -> anyhow::Result<Option<usize>> {
    match buf {
        [5, method, ..] if *method == offered => Ok(Some(2)),
        [] | [5] => Ok(None),
        _ => bail!("SOCKS5 greeting answered with {:?}", buf.get(..2)),
    }
}

/// Length of the complete SOCKS5 reply in `buf`, or nothing yet.
///
/// # Errors
/// When the reply is not a success.
pub fn socks_reply(buf: &[u8]) -> anyhow::Result<Option<usize>> {
    let length = match buf {
        [5, 0, 0, 1, ..] => 10,
        [5, 0, 0, 4, ..] => 22,
        [5, 0, 0, 3, name, ..] => 7 + usize::from(*name),
        [5, code, ..] if *code != 0 => bail!("SOCKS5 reply code {code}"),
        _ if buf.len() < 5 => return Ok(None),
        _ => bail!("SOCKS5 reply not understood"),
    };
    Ok((buf.len() >= length).then_some(length))
}

/// Length of the complete CONNECT reply in `buf`, or nothing yet.
///
/// # Errors
/// When its status is not 2xx.
pub fn connect_reply(buf: &[u8]) -> anyhow::Result<Option<usize>> {
    let Some(end) = memmem::find(buf, b"\r\n\r\n") else { return Ok(None) };
    ensure!(buf.starts_with(b"HTTP/1.") && buf.get(9) == Some(&b'2'), "CONNECT answered {}", first_line(buf));
    Ok(Some(end + 4))
}

/// Length of the complete plain reply in `buf`, or nothing yet; status, length and body are checked.
///
/// # Errors
/// When the reply is not 200, has no Content-Length of `body`, or another body.
pub fn get_reply(buf: &[u8], body: u64) -> anyhow::Result<Option<usize>> {
    let Some(head) = get_reply_head(buf, body)? else { return Ok(None) };
    let whole = head + usize::try_from(body).unwrap_or(usize::MAX);
    let Some(body) = buf.get(head..whole) else { return Ok(None) };
    ensure!(body.iter().all(|byte| *byte == BODY_FILL), "reply with another body");
    Ok(Some(whole))
}

/// Length of the complete head of a plain reply in `buf`, or nothing yet; status and length are checked.
///
/// # Errors
/// When the reply is not 200 or has no Content-Length of `body`.
pub fn get_reply_head(buf: &[u8], body: u64) -> anyhow::Result<Option<usize>> {
    let Some(end) = memmem::find(buf, b"\r\n\r\n") else { return Ok(None) };
    let head = buf.get(..end + 4).unwrap_or_default();
    ensure!(head.starts_with(b"HTTP/1.1 200"), "GET answered {}", first_line(head));
    ensure!(content_length(head) == Some(body), "reply without its Content-Length of {body}");
    Ok(Some(end + 4))
}

fn content_length(head: &[u8]) -> Option<u64> {
    let line = head
        .split(|byte| *byte == b'\n')
        .find(|line| line.get(..15).is_some_and(|name| name.eq_ignore_ascii_case(b"content-length:")))?;
    std::str::from_utf8(line.get(15..)?).ok()?.trim().parse().ok()
}

fn first_line(buf: &[u8]) -> String {
    let line = buf.split(|byte| *byte == b'\r').next().unwrap_or_default();
    String::from_utf8_lossy(line).chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "127.0.0.11:21000";

    #[test]
    fn the_request_is_as_long_as_a_browsers() {
        let request = get_request(HOST, &path(0), TargetForm::Absolute);
        assert!((400..=480).contains(&request.len()), "{} bytes", request.len());
        assert_eq!(memmem::find_iter(&request, b"\r\n").count(), 12, "request line, ten fields, empty line");
    }

    #[test]
    fn the_length_asked_for_is_the_length_understood() {
        for (asked, understood) in [(0, BODY), (1, 1), (10_240, 10_240), (100 << 20, 100 << 20)] {
            let request = get_request(HOST, &path(asked), TargetForm::Origin);
            assert_eq!(asked_length(&request), understood);
        }
        assert!(wants_websocket(&websocket_request(HOST)));
        assert!(!wants_websocket(&get_request(HOST, &path(0), TargetForm::Origin)));
        assert_eq!(websocket_reply(WEBSOCKET_REPLY).expect("101"), Some(WEBSOCKET_REPLY.len()));
        assert!(websocket_reply(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }

    #[test]
    fn our_own_reply_is_right_and_every_cut_of_it_waits() {
        for length in [1, BODY, 1000] {
            let reply = reply(length);
            for cut in 0..reply.len() {
                assert_eq!(
                    get_reply(&reply[..cut], length).expect("a part is no error"),
                    None,
                    "cut at {cut}"
                );
            }
            assert_eq!(get_reply(&reply, length).expect("right"), Some(reply.len()));
        }
    }

    #[test]
    fn wrong_replies_are_failures() {
        let text = String::from_utf8(reply(BODY)).expect("ascii");
        for wrong in [
            text.replace("200 OK", "502 Bad"),
            text.replace("Length: 100", "Length: 99"),
            text.replace("bbb", "bbx"),
        ] {
            assert!(get_reply(wrong.as_bytes(), BODY).is_err(), "{wrong}");
        }
    }

    #[test]
    fn tunnel_replies_are_read_to_their_end() {
        assert_eq!(connect_reply(b"HTTP/1.1 200 OK\r\n\r\n").expect("2xx"), Some(19));
        assert_eq!(connect_reply(b"HTTP/1.1 200 OK\r\n").expect("part"), None);
        assert!(connect_reply(b"HTTP/1.1 403 No\r\n\r\n").is_err());
        assert_eq!(socks_method(&[5, 0], SOCKS_NO_LOGIN).expect("none"), Some(2));
        assert!(socks_method(&[5, 255], SOCKS_LOGIN).is_err());
        assert_eq!(socks_reply(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).expect("v4"), Some(10));
        assert_eq!(socks_reply(&[5, 0, 0, 1, 0]).expect("part"), None);
        assert!(socks_reply(&[5, 5, 0, 1, 0, 0, 0, 0, 0, 0]).is_err());
    }
}
