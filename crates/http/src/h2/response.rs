//! Answers between HTTP/1.1 and HTTP/2: RFC 9113 sections 8.1, 8.3.2, 8.5 and 8.6, RFC 8441 section 5. No I/O.
//!
//! The status line loses its reason and the fields lose what belongs to a connection; nothing else changes. A 101 that
//! answers a WebSocket becomes 200, and the other way round with the proof of RFC 6455 section 4.2.2.
//! Trailers behind a body with Content-Length are dropped: HTTP/1.1 has no place for them.

use super::fields::{Malformed, append, check, content_length, is_kept, push_line};
use super::request::{Framing, Kind};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{self, HeaderMap};
use http::{Response, StatusCode, Version};
use sha1::{Digest, Sha1};
use shoalway_wire::http1::known::Known;
use shoalway_wire::http1::method::Method;
use shoalway_wire::http1::response::ResponseView;

/// RFC 6455 section 1.3.
const WEBSOCKET_GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What was asked, as far as it decides about the form of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question<'a> {
    /// The method of the HTTP/1.1 request.
    pub method: Method,
    /// What the request is to become.
    pub kind: Kind,
    /// The Sec-WebSocket-Key of the HTTP/1.1 request; empty when there was none.
    pub key: &'a str,
}

/// The HTTP/2 answer that an HTTP/1.1 one means. `head` are the bytes of `view`.
///
/// # Errors
/// [`Malformed::Status`] when a WebSocket was asked for and the answer is a success without being one: over HTTP/2 that
/// would open a tunnel.
pub fn read_response(
    view: ResponseView<'_>,
    head: &Bytes,
    question: &Question<'_>,
) -> Result<Response<()>, Malformed> {
    let status = match (view.status(), question.kind) {
        (101, Kind::WebSocket) if proves(view, question.key) => 200,
        (101, _) | (200..=299, Kind::WebSocket) => return Err(Malformed::Status),
        (status, _) => status,
    };
    let switched = view.status() == 101;
    let has_no_length = matches!((status, question.kind), (100..=199 | 204, _) | (200..=299, Kind::Connect));
    let mut map = HeaderMap::with_capacity(view.len());
    for field in view.fields().filter(|field| is_kept(&view, field)) {
        let ends_here = match field.known {
            Some(Known::ContentLength) => has_no_length || switched,
            Some(Known::SecWebsocketAccept) => switched,
            _ => false,
        };
        if !ends_here {
            append(&mut map, head, field.name, field.value)?;
        }
    }
    let mut response = Response::new(());
    *response.version_mut() = Version::HTTP_2;
    *response.status_mut() = StatusCode::from_u16(status).map_err(|_bad| Malformed::Engine)?;
    *response.headers_mut() = map;
    Ok(response)
}

/// Whether a 101 is one for our key: RFC 6455 section 4.1.
fn proves(view: ResponseView<'_>, key: &str) -> bool {
    view.upgrade().is_some_and(|protocol| protocol.eq_ignore_ascii_case(b"websocket"))
        && view.get(Known::SecWebsocketAccept).is_some_and(|accept| accept == accept_of(key).as_bytes())
}

/// The proof that a server has read a key, RFC 6455 section 4.2.2.
#[must_use]
pub fn accept_of(key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(WEBSOCKET_GUID);
    STANDARD.encode(hash.finalize())
}

/// Appends an answer's head as HTTP/1.1 and says how its content is framed. The connection it stands for carries no
/// second exchange, and says so. `ended` says that the stream ended with it.
///
/// # Errors
/// Why it has no such form. `out` then holds a part of it.
pub fn write_response(
    response: &http::response::Parts,
    ended: bool,
    question: &Question<'_>,
    out: &mut Vec<u8>,
) -> Result<Framing, Malformed> {
    let status = response.status.as_u16();
    let success = (200..=299).contains(&status);
    let length = content_length(&response.headers)?;
    if status == 101 || status > 599 {
        return Err(Malformed::Status);
    }
    if success && question.kind == Kind::WebSocket {
        out.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\n");
        push_line(out, "upgrade", b"websocket");
        push_line(out, "sec-websocket-accept", accept_of(question.key).as_bytes());
        write_fields(&response.headers, out)?;
        out.extend_from_slice(b"\r\n");
        return Ok(Framing::Raw);
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(response.status.as_str().as_bytes());
    out.extend_from_slice(b" \r\n");
    write_fields(&response.headers, out)?;
    let framing = match (status, question.method, question.kind) {
        (100..=199, ..) => Framing::None,
        (200..=299, _, Kind::Connect) => Framing::Raw,
        (204, ..) => Framing::None,
        (304, ..) | (_, Method::Head, _) => {
            if let Some(length) = length {
                push_line(out, "content-length", length.to_string().as_bytes());
            }
            Framing::None
        }
        _ => write_framing(length, ended, out)?,
    };
    if status >= 200 && framing != Framing::Raw {
        out.extend_from_slice(b"connection: close\r\n");
    }
    out.extend_from_slice(b"\r\n");
    Ok(framing)
}

fn write_framing(length: Option<u64>, ended: bool, out: &mut Vec<u8>) -> Result<Framing, Malformed> {
    match (length, ended) {
        (Some(1..), true) => Err(Malformed::Length),
        (Some(0), true) | (None, true) => {
            push_line(out, "content-length", b"0");
            Ok(Framing::None)
        }
        (Some(octets), false) => {
            push_line(out, "content-length", octets.to_string().as_bytes());
            Ok(Framing::Length(octets))
        }
        (None, false) => {
            push_line(out, "transfer-encoding", b"chunked");
            Ok(Framing::Chunked)
        }
    }
}

/// Writes all fields but those that [`write_response`] writes itself.
fn write_fields(fields: &HeaderMap, out: &mut Vec<u8>) -> Result<(), Malformed> {
    for (name, value) in fields {
        // An answer's TE has no meaning, and none is passed on.
        if *name == header::CONTENT_LENGTH || *name == header::TE {
            continue;
        }
        check(name, value)?;
        push_line(out, name.as_str(), value.as_bytes());
    }
    Ok(())
}
