//! Requests between HTTP/2 and HTTP/1.1: RFC 9113 sections 8.2, 8.3 and 8.5, RFC 8441. No I/O.
//!
//! A request becomes the HTTP/1.1 head it means, or is [`Malformed`]: there is no second reading of what is written. Two
//! things are changed on the way, as the RFC says: crumbs of Cookie become one field (section 8.2.3), and a missing
//! length becomes chunks. An extended CONNECT for WebSocket becomes the GET of RFC 6455 with a key made here. What the
//! engine refuses by itself (malformed authorities, targets, too many fields) is left to it, so that there is one table
//! of refusals. A fragment in `:path` is cut off by the `http` crate before it comes here.

use super::fields::{Malformed, append, check, content_length, is_kept, push_line};
use bytes::Bytes;
use h2::ext::Protocol;
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use http::{Method, Request, Version};
use shoalway_wire::http1::known::Known;
use shoalway_wire::http1::request::RequestView;
use shoalway_wire::http1::target::RequestTarget;

/// In which form a target is written for the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// `/path`: for a site, which knows by its listener which scheme it serves.
    #[default]
    Origin,
    /// `scheme://host/path`: for a forward proxy.
    Absolute,
}

/// What a request is to become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An exchange of two messages.
    Exchange,
    /// CONNECT: a tunnel after a 2xx.
    Connect,
    /// RFC 8441: a WebSocket; a tunnel after the engine's 101.
    WebSocket,
}

/// How the content behind a written head is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// So many octets.
    Length(u64),
    /// Chunks and trailers.
    Chunked,
    /// Bytes of another protocol, once both sides agree.
    Raw,
}

/// What was written, and what follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// What the request is to become.
    pub kind: Kind,
    /// How its content is framed.
    pub framing: Framing,
}

/// Appends a request's head as HTTP/1.1. `ended` says that the stream ended with it; `key` is the Sec-WebSocket-Key to
/// use, should one be needed.
///
/// # Errors
/// Why it has no such form. `out` then holds a part of it.
pub fn write_request(
    parts: &Parts,
    ended: bool,
    form: Form,
    key: &str,
    out: &mut Vec<u8>,
) -> Result<Written, Malformed> {
    let kind = kind(parts)?;
    let host = host(parts)?;
    let scheme = scheme(&parts.uri)?;
    write_line(parts, kind, form, scheme, host, out)?;
    if let Some(host) = host {
        push_line(out, "host", host);
    }
    write_fields(&parts.headers, kind, out)?;
    let framing = framing(parts, kind, ended)?;
    match (kind, framing) {
        (Kind::Connect, _) => {}
        (Kind::WebSocket, _) => {
            out.extend_from_slice(b"connection: Upgrade\r\nupgrade: websocket\r\n");
            push_line(out, "sec-websocket-key", key.as_bytes());
        }
        (Kind::Exchange, Framing::Length(octets)) => {
            push_line(out, "content-length", octets.to_string().as_bytes());
        }
        (Kind::Exchange, Framing::Chunked) => push_line(out, "transfer-encoding", b"chunked"),
        (Kind::Exchange, Framing::None | Framing::Raw) => {}
    }
    out.extend_from_slice(b"\r\n");
    Ok(Written { kind, framing })
}

fn kind(parts: &Parts) -> Result<Kind, Malformed> {
    match (&parts.method, parts.extensions.get::<Protocol>()) {
        (&Method::CONNECT, None) => Ok(Kind::Connect),
        (&Method::CONNECT, Some(protocol)) if protocol.as_str().eq_ignore_ascii_case("websocket") => {
            Ok(Kind::WebSocket)
        }
        (_, Some(_)) => Err(Malformed::Protocol),
        (_, None) => Ok(Kind::Exchange),
    }
}

/// The one place the request names: `:authority`, with which a Host must agree to the letter, or Host alone.
fn host(parts: &Parts) -> Result<Option<&[u8]>, Malformed> {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let (host, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return Err(Malformed::Host);
    }
    match (parts.uri.authority(), host) {
        (Some(authority), Some(host))
            if !authority.as_str().as_bytes().eq_ignore_ascii_case(host.as_bytes()) =>
        {
            Err(Malformed::Host)
        }
        (Some(authority), _) => Ok(Some(authority.as_str().as_bytes())),
        (None, Some(host)) => {
            check(&header::HOST, host)?;
            Ok(Some(host.as_bytes()))
        }
        (None, None) => Ok(None),
    }
}

/// The scheme, when it is known: the `http` crate has none without an authority.
fn scheme(uri: &Uri) -> Result<&'static str, Malformed> {
    match uri.scheme() {
        None => Ok("http"),
        Some(scheme) if *scheme == Scheme::HTTP => Ok("http"),
        Some(scheme) if *scheme == Scheme::HTTPS => Ok("https"),
        Some(_) => Err(Malformed::Scheme),
    }
}

fn write_line(
    parts: &Parts,
    kind: Kind,
    form: Form,
    scheme: &str,
    host: Option<&[u8]>,
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    if kind == Kind::Connect {
        let authority = parts.uri.authority().ok_or(Malformed::Authority)?;
        out.extend_from_slice(b"CONNECT ");
        out.extend_from_slice(authority.as_str().as_bytes());
        out.extend_from_slice(b" HTTP/1.1\r\n");
        return Ok(());
    }
    let method = if kind == Kind::WebSocket { "GET" } else { parts.method.as_str() };
    let path = path(parts, kind)?;
    out.extend_from_slice(method.as_bytes());
    out.push(b' ');
    match (form, host) {
        (Form::Absolute, Some(host)) => {
            out.extend_from_slice(scheme.as_bytes());
            out.extend_from_slice(b"://");
            out.extend_from_slice(host);
            // The absolute form of `*` is an authority without a path, RFC 9112 section 3.2.4.
            out.extend_from_slice(if path == "*" { b"" } else { path.as_bytes() });
        }
        (Form::Origin, _) | (Form::Absolute, None) => out.extend_from_slice(path.as_bytes()),
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    Ok(())
}

fn path(parts: &Parts, kind: Kind) -> Result<&str, Malformed> {
    let given = parts.uri.path_and_query().ok_or(Malformed::Path)?;
    let path = given.as_str();
    match path {
        // The crate reads a path that is missing as "/", and tells the two apart in a comparison alone.
        "/" if *given != PathAndQuery::from_static("/") => Err(Malformed::Path),
        "*" if kind == Kind::Exchange && parts.method == Method::OPTIONS => Ok(path),
        path if path.starts_with('/') => Ok(path),
        _ => Err(Malformed::Path),
    }
}

/// Writes all fields but those that [`write_request`] writes itself.
fn write_fields(fields: &HeaderMap, kind: Kind, out: &mut Vec<u8>) -> Result<(), Malformed> {
    for (name, value) in fields {
        check(name, value)?;
        let elsewhere = match name {
            &header::HOST | &header::CONTENT_LENGTH | &header::COOKIE => true,
            &header::SEC_WEBSOCKET_KEY => kind == Kind::WebSocket,
            _ => false,
        };
        if !elsewhere {
            push_line(out, name.as_str(), value.as_bytes());
        }
    }
    let mut before: &[u8] = b"cookie: ";
    for crumb in fields.get_all(header::COOKIE) {
        out.extend_from_slice(before);
        out.extend_from_slice(crumb.as_bytes());
        before = b"; ";
    }
    if before == b"; " {
        out.extend_from_slice(b"\r\n");
    }
    Ok(())
}

fn framing(parts: &Parts, kind: Kind, ended: bool) -> Result<Framing, Malformed> {
    match (kind, ended, content_length(&parts.headers)?) {
        (Kind::Connect | Kind::WebSocket, _, None) => Ok(Framing::Raw),
        (Kind::Connect | Kind::WebSocket, _, Some(_)) => Err(Malformed::Length),
        (Kind::Exchange, true, None) => Ok(Framing::None),
        (Kind::Exchange, true, Some(0)) => Ok(Framing::Length(0)),
        (Kind::Exchange, true, Some(_)) => Err(Malformed::Length),
        (Kind::Exchange, false, Some(octets)) => Ok(Framing::Length(octets)),
        (Kind::Exchange, false, None) => Ok(Framing::Chunked),
    }
}

/// The HTTP/2 request that an HTTP/1.1 one means, and what it is to become. `head` are the bytes of `view`; `scheme` is
/// that of the upstream. `TE: trailers` is always said, since trailers are passed on here.
///
/// # Errors
/// Why it has no such form.
pub fn read_request(
    view: RequestView<'_>,
    head: &Bytes,
    scheme: &Scheme,
) -> Result<(Request<()>, Kind), Malformed> {
    let kind = kind_of(view);
    let mut request = Request::new(());
    *request.version_mut() = Version::HTTP_2;
    *request.method_mut() = match kind {
        Kind::Exchange => {
            Method::from_bytes(view.method_str().as_bytes()).map_err(|_bad| Malformed::Engine)?
        }
        Kind::Connect | Kind::WebSocket => Method::CONNECT,
    };
    *request.uri_mut() = uri(view, kind, scheme)?;
    if kind == Kind::WebSocket {
        request.extensions_mut().insert(Protocol::from_static("websocket"));
    }
    let mut map = HeaderMap::with_capacity(view.len() + 2);
    for field in view.fields().filter(|field| is_kept(&view, field)) {
        let is_elsewhere = match field.known {
            Some(Known::Host) => true,
            Some(Known::SecWebsocketKey) => kind == Kind::WebSocket,
            _ => false,
        };
        if !is_elsewhere {
            append(&mut map, head, field.name, field.value)?;
        }
    }
    if kind == Kind::Exchange {
        map.append(header::TE, HeaderValue::from_static("trailers"));
    }
    *request.headers_mut() = map;
    Ok((request, kind))
}

fn kind_of(view: RequestView<'_>) -> Kind {
    match (view.method_str(), view.upgrade()) {
        ("CONNECT", _) => Kind::Connect,
        ("GET", Some(protocols)) if protocols.eq_ignore_ascii_case(b"websocket") => Kind::WebSocket,
        _ => Kind::Exchange,
    }
}

fn uri(view: RequestView<'_>, kind: Kind, scheme: &Scheme) -> Result<Uri, Malformed> {
    let (authority, path) = match view.target() {
        RequestTarget::Authority(authority) => (authority, None),
        RequestTarget::Absolute { authority, path, .. } => (authority, Some(path)),
        RequestTarget::Origin(path) => (view.host().unwrap_or_default(), Some(path)),
        RequestTarget::Asterisk => (view.host().unwrap_or_default(), Some(&b"*"[..])),
    };
    let mut parts = http::uri::Parts::default();
    let authority = Authority::try_from(authority).map_err(|_bad| Malformed::Host)?;
    parts.authority = Some(authority);
    if kind != Kind::Connect {
        parts.scheme = Some(scheme.clone());
        parts.path_and_query = Some(path_of(path.unwrap_or_default())?);
    }
    Uri::from_parts(parts).map_err(|_bad| Malformed::Path)
}

/// An absolute target may lack the slash before its query.
fn path_of(path: &[u8]) -> Result<PathAndQuery, Malformed> {
    let parsed = match path.first() {
        Some(b'?') => PathAndQuery::try_from([b"/", path].concat()),
        _ => PathAndQuery::try_from(path),
    };
    parsed.map_err(|_bad| Malformed::Path)
}
