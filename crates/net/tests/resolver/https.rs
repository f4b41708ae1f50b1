//! As much of HTTP/2 (RFC 9113) as a DoH client (RFC 8484) needs from its server: POST in, answer out.
//!
//! Heads of requests are not read: every request is a question. Frames arrive whole and unpadded, which holds for
//! the client under test.

use super::dns_server::{Desk, Way};
use std::collections::HashMap;
use std::io::{self, Read, Write};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// Answers questions until the connection ends.
pub(crate) fn serve(stream: &mut (impl Read + Write), desk: &Desk) -> io::Result<()> {
    let mut preface = [0; 24];
    stream.read_exact(&mut preface)?;
    assert_eq!(&preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    send(stream, SETTINGS, 0, 0, &[])?;
    let mut bodies: HashMap<u32, Vec<u8>> = HashMap::new();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head)?;
        let [a, b, c, kind, flags, id @ ..] = head;
        let mut payload = vec![0; usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap()];
        stream.read_exact(&mut payload)?;
        let id = u32::from_be_bytes(id);
        match kind {
            SETTINGS if flags & ACK == 0 => send(stream, SETTINGS, ACK, 0, &[])?,
            PING if flags & ACK == 0 => send(stream, PING, ACK, 0, &payload)?,
            DATA => {
                bodies.entry(id).or_default().extend(payload);
                if flags & END_STREAM != 0 {
                    let body = bodies.remove(&id).unwrap_or_default();
                    reply(stream, id, desk.reply(&body, Way::Https))?;
                }
            }
            _ => {}
        }
    }
}

fn reply(stream: &mut impl Write, id: u32, message: Option<Vec<u8>>) -> io::Result<()> {
    let Some(message) = message else { return Ok(()) };
    // RFC 7541: `:status 200` from the static table, then `content-type` as a literal that is not indexed.
    let mut head = vec![0x88, 0x0f, 0x10];
    let media_type = b"application/dns-message";
    head.push(u8::try_from(media_type.len()).unwrap());
    head.extend(media_type);
    send(stream, HEADERS, END_HEADERS, id, &head)?;
    send(stream, DATA, END_STREAM, id, &message)
}

fn send(stream: &mut impl Write, kind: u8, flags: u8, id: u32, payload: &[u8]) -> io::Result<()> {
    let [_, a, b, c] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![a, b, c, kind, flags];
    frame.extend(id.to_be_bytes());
    frame.extend(payload);
    stream.write_all(&frame)?;
    stream.flush()
}
