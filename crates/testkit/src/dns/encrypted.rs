//! Name servers inside TLS: DNS over TLS (RFC 7858), and as much of HTTP/2 (RFC 9113) as DNS over HTTPS (RFC 8484)
//! needs from a server. Heads of requests are not read: every request is a question.

use super::{Manner, question};
use crate::ca::Issued;
use crate::server::Server;
use rustls::{ServerConnection, StreamOwned};
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

/// A running name server that speaks TLS.
#[derive(Debug)]
pub struct EncryptedDns {
    server: Server,
    desk: Arc<Desk>,
}

#[derive(Debug)]
struct Desk {
    manner: Manner,
    asked: Mutex<Vec<String>>,
}

type Tls = StreamOwned<ServerConnection, TcpStream>;

impl EncryptedDns {
    /// DNS over TLS; knows these names, each with one address.
    #[must_use]
    pub fn over_tls(names: &[(&str, &str)], issued: &Issued) -> Self {
        Self::start(names, issued, b"dot", serve_dot)
    }

    /// DNS over HTTPS; knows these names, each with one address.
    #[must_use]
    pub fn over_https(names: &[(&str, &str)], issued: &Issued) -> Self {
        Self::start(names, issued, b"h2", serve_doh)
    }

    fn start(
        names: &[(&str, &str)],
        issued: &Issued,
        alpn: &[u8],
        serve: fn(&mut Tls, &Desk) -> io::Result<()>,
    ) -> Self {
        let mut config = (*issued.server_config()).clone();
        config.alpn_protocols = vec![alpn.to_vec()];
        let config = Arc::new(config);
        let desk = Arc::new(Desk { manner: Manner::table(names, 60), asked: Mutex::default() });
        let theirs = Arc::clone(&desk);
        let server = Server::start(move |tcp, _number| {
            let tls = ServerConnection::new(Arc::clone(&config)).expect("TLS server");
            drop(serve(&mut StreamOwned::new(tls, tcp), &theirs)); // ends with its client
        });
        Self { server, desk }
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// Every name asked for so far, in small letters.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.desk.asked.lock().expect("questions").clone()
    }
}

impl Desk {
    fn reply(&self, message: &[u8]) -> Option<Vec<u8>> {
        let (name, kind, question) = question(message)?;
        self.asked.lock().expect("questions").push(name.clone());
        self.manner.answer(message.get(..2)?, &name, kind, question)
    }
}

/// RFC 7858 section 3.3: each message behind its length.
fn serve_dot(stream: &mut Tls, desk: &Desk) -> io::Result<()> {
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut message)?;
        if let Some(reply) = desk.reply(&message) {
            let length = u16::try_from(reply.len()).expect("a short reply");
            stream.write_all(&[&length.to_be_bytes(), &reply[..]].concat())?;
            stream.flush()?;
        }
    }
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

fn serve_doh(stream: &mut Tls, desk: &Desk) -> io::Result<()> {
    let mut preface = [0; 24];
    stream.read_exact(&mut preface)?;
    frame(stream, SETTINGS, 0, 0, &[])?;
    let mut bodies: HashMap<u32, Vec<u8>> = HashMap::new();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head)?;
        let [a, b, c, kind, flags, id @ ..] = head;
        let mut payload = vec![0; usize::try_from(u32::from_be_bytes([0, a, b, c])).expect("a length")];
        stream.read_exact(&mut payload)?;
        let id = u32::from_be_bytes(id);
        match kind {
            SETTINGS if flags & ACK == 0 => frame(stream, SETTINGS, ACK, 0, &[])?,
            PING if flags & ACK == 0 => frame(stream, PING, ACK, 0, &payload)?,
            DATA => {
                bodies.entry(id).or_default().extend(payload);
                if flags & END_STREAM != 0
                    && let Some(reply) = desk.reply(&bodies.remove(&id).unwrap_or_default())
                {
                    // RFC 7541: `:status 200` from the static table, then `content-type` as a literal.
                    let media_type = b"application/dns-message";
                    let length = u8::try_from(media_type.len()).expect("a short type");
                    let fields = [&[0x88, 0x0f, 0x10, length][..], media_type].concat();
                    frame(stream, HEADERS, END_HEADERS, id, &fields)?;
                    frame(stream, DATA, END_STREAM, id, &reply)?;
                }
            }
            _ => {}
        }
    }
}

fn frame(stream: &mut Tls, kind: u8, flags: u8, id: u32, payload: &[u8]) -> io::Result<()> {
    let [_, a, b, c] = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    let head = [&[a, b, c, kind, flags][..], &id.to_be_bytes()].concat();
    stream.write_all(&[&head[..], payload].concat())?;
    stream.flush()
}
