//! As much of HTTP/1.1 over TLS as an ACME client needs: one request a connection (RFC 9112 section 9.6).

use crate::wait::PATIENCE;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

/// What was asked.
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) content_type: String,
    pub(super) body: Vec<u8>,
}

/// What is said.
pub(super) struct Answer {
    status: u16,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    pub(super) const fn empty(status: u16) -> Self {
        Self { status, fields: Vec::new(), body: Vec::new() }
    }

    pub(super) fn json(status: u16, value: &Value) -> Self {
        Self::text(status, "application/json", value.to_string())
    }

    pub(super) fn text(status: u16, kind: &str, text: String) -> Self {
        Self { status, fields: Vec::new(), body: text.into_bytes() }.with("Content-Type", kind)
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Status and content, for tests of the authority itself.
    #[cfg(test)]
    pub(super) fn parts(&self) -> (u16, Value) {
        (self.status, serde_json::from_slice(&self.body).unwrap_or_default())
    }

    fn head(&self) -> String {
        let mut head =
            format!("HTTP/1.1 {} -\r\nCache-Control: no-store\r\nConnection: close\r\n", self.status);
        for (name, value) in &self.fields {
            write!(head, "{name}: {value}\r\n").expect("write to a string");
        }
        if self.status != 204 {
            write!(head, "Content-Length: {}\r\n", self.body.len()).expect("write to a string");
        }
        head + "\r\n"
    }
}

/// Serves one connection. A client that breaks off is no fault of the test.
pub(super) fn serve(tcp: TcpStream, config: &Arc<ServerConfig>, answer: &dyn Fn(&Request) -> Answer) {
    tcp.set_read_timeout(Some(PATIENCE)).expect("read timeout");
    tcp.set_write_timeout(Some(PATIENCE)).expect("write timeout");
    let connection = ServerConnection::new(Arc::clone(config)).expect("settings of TLS");
    let mut stream = StreamOwned::new(connection, tcp);
    let Some(request) = read(&mut stream) else { return };
    let answer = answer(&request);
    let mut text = answer.head().into_bytes();
    if request.method != "HEAD" {
        text.extend_from_slice(&answer.body);
    }
    if stream.write_all(&text).is_ok() {
        stream.conn.send_close_notify();
        drop(stream.flush());
    }
}

fn read(stream: &mut impl Read) -> Option<Request> {
    let mut text = Vec::new();
    let mut buf = [0; 4096];
    let split = loop {
        if let Some(at) = text.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        match stream.read(&mut buf) {
            Ok(n) if n > 0 => text.extend_from_slice(&buf[..n]),
            Ok(_) | Err(_) => return None,
        }
    };
    let head = str::from_utf8(&text[..split]).ok()?.to_owned();
    let mut body = text.split_off(split + 4);
    let mut lines = head.split("\r\n");
    let mut line = lines.next()?.split(' ');
    let (method, path) = (line.next()?.to_owned(), line.next()?.to_owned());
    let field = |wanted: &str| {
        let fields = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        let mut found = fields.filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.next().map(|(_, value)| value.trim().to_owned())
    };
    let length = field("content-length").map_or(0, |text| text.parse().expect("a length"));
    while body.len() < length {
        match stream.read(&mut buf) {
            Ok(n) if n > 0 => body.extend_from_slice(&buf[..n]),
            Ok(_) | Err(_) => return None,
        }
    }
    Some(Request { method, path, content_type: field("content-type").unwrap_or_default(), body })
}
