//! What arrived at the origin: one request, its head byte for byte.

use crate::client::RawClient;
use crate::http::field;
use std::net::SocketAddr;

/// One request as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// From the first octet of the request line to the empty line.
    pub head: String,
    /// Decoded body.
    pub body: Vec<u8>,
    /// Trailer lines without line ends.
    pub trailers: Vec<String>,
    /// Sizes of the chunks as they were framed.
    pub chunks: Vec<usize>,
    /// Number of the connection, from 0.
    pub connection: usize,
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// The body was read to its end.
    pub complete: bool,
}

impl Seen {
    /// Value of the first field of that name, whatever its case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &str {
        self.word(0)
    }

    /// The request target as it came.
    #[must_use]
    pub fn target(&self) -> &str {
        self.word(1)
    }

    /// The field lines as they came, without the request line and line ends.
    #[must_use]
    pub fn lines(&self) -> Vec<&str> {
        self.head.lines().skip(1).filter(|line| !line.is_empty()).collect()
    }

    fn word(&self, n: usize) -> &str {
        self.head.split([' ', '\r']).nth(n).unwrap_or_default()
    }

    /// Reads the body as the head frames it; false when the connection ended or it cannot be read.
    pub(super) fn read_body(&mut self, client: &mut RawClient) -> bool {
        if self.complete {
            return true;
        }
        let chunked = self.header("Transfer-Encoding").is_some();
        let length = self.header("Content-Length").and_then(|text| text.parse().ok()).unwrap_or(0);
        if !chunked {
            let read = client.try_read_exactly(length);
            self.complete = read.is_ok();
            self.body = read.unwrap_or_default();
        } else if let Some((chunks, trailers)) = client.try_read_chunks() {
            self.complete = true;
            self.chunks = chunks.iter().map(Vec::len).collect();
            self.body = chunks.concat();
            self.trailers = trailers;
        }
        self.complete
    }
}

pub(super) fn read_head(client: &mut RawClient, connection: usize) -> Option<Seen> {
    let peer = client.wire.tcp().peer_addr().ok()?;
    let head = client.try_read_until(b"\r\n\r\n").ok()?;
    let head = String::from_utf8_lossy(&head).into_owned();
    Some(Seen { head, body: vec![], trailers: vec![], chunks: vec![], connection, peer, complete: false })
}
