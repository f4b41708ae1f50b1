//! Opening a tunnel: CONNECT (RFC 9110 section 9.3.6) or SOCKS5 (RFC 1928), as steps without I/O, and one blocking driver.

use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::wire;

/// How the far side is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Via {
    /// Nothing is asked: the other end is a relay, a reverse proxy or the origin.
    Direct,
    /// HTTP CONNECT, or absolute-form for plain requests.
    Connect,
    /// SOCKS5 without authentication.
    Socks5,
    /// SOCKS5 as the user of this number, with a password (RFC 1929).
    Socks5As(u64),
}

/// What the driver does next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Read,
    Send(Vec<u8>),
    Open,
}

#[derive(Debug)]
enum State {
    ConnectReply,
    SocksMethod { request: Vec<u8> },
    SocksLoginMethod { user: u64, request: Vec<u8> },
    SocksLogin { request: Vec<u8> },
    SocksReply,
    Open,
}

/// A handshake under way.
#[derive(Debug)]
pub(super) struct Handshake(State);

impl Handshake {
    /// Starts one; the bytes, which may be none, are sent first.
    pub(super) fn start(via: Via, target: SocketAddrV4) -> (Self, Vec<u8>) {
        match via {
            Via::Direct => (Self(State::Open), Vec::new()),
            Via::Connect => (Self(State::ConnectReply), wire::connect_request(target)),
            Via::Socks5 => (
                Self(State::SocksMethod { request: wire::socks_request(target) }),
                wire::SOCKS_GREETING.to_vec(),
            ),
            Via::Socks5As(user) => (
                Self(State::SocksLoginMethod { user, request: wire::socks_request(target) }),
                wire::SOCKS_GREETING_LOGIN.to_vec(),
            ),
        }
    }

    /// Consumes one whole message from `buf`, or nothing when it is incomplete.
    ///
    /// # Errors
    /// When the proxy refuses or says something else.
    pub(super) fn advance(&mut self, buf: &mut Vec<u8>) -> anyhow::Result<Step> {
        let consumed = match &self.0 {
            State::Open => return Ok(Step::Open),
            State::ConnectReply => wire::connect_reply(buf)?,
            State::SocksMethod { .. } => wire::socks_method(buf, wire::SOCKS_NO_LOGIN)?,
            State::SocksLoginMethod { .. } => wire::socks_method(buf, wire::SOCKS_LOGIN)?,
            State::SocksLogin { .. } => wire::socks_login_reply(buf)?,
            State::SocksReply => wire::socks_reply(buf)?,
        };
        let Some(consumed) = consumed else { return Ok(Step::Read) };
        buf.drain(..consumed);
        match std::mem::replace(&mut self.0, State::Open) {
            State::SocksLoginMethod { user, request } => {
                self.0 = State::SocksLogin { request };
                Ok(Step::Send(wire::socks_login(user)))
            }
            State::SocksMethod { request } | State::SocksLogin { request } => {
                self.0 = State::SocksReply;
                Ok(Step::Send(request))
            }
            State::ConnectReply | State::SocksReply | State::Open => Ok(Step::Open),
        }
    }
}

/// How long a connection or one read of a handshake may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Opens a tunnel over a connected, blocking `stream`.
///
/// # Errors
/// When the proxy refuses, closes or is silent for [`PATIENCE`].
pub(super) fn open(stream: &mut TcpStream, via: Via, target: SocketAddrV4) -> anyhow::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let (mut handshake, first) = Handshake::start(via, target);
    stream.write_all(&first)?;
    let mut buf = Vec::new();
    let mut scratch = [0; 4096];
    loop {
        match handshake.advance(&mut buf)? {
            Step::Open => break,
            Step::Send(bytes) => stream.write_all(&bytes)?,
            Step::Read => {
                let count = stream.read(&mut scratch).context("handshake")?;
                ensure!(count > 0, "closed in the handshake");
                buf.extend_from_slice(scratch.get(..count).unwrap_or_default());
            }
        }
    }
    ensure!(buf.is_empty(), "bytes after the handshake before any were asked for");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: SocketAddrV4 = SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 80);

    fn steps(via: Via, answers: &[u8], chunk: usize) -> Vec<Step> {
        let (mut handshake, _) = Handshake::start(via, TARGET);
        let (mut buf, mut steps) = (Vec::new(), Vec::new());
        for piece in answers.chunks(chunk) {
            buf.extend_from_slice(piece);
            loop {
                match handshake.advance(&mut buf).expect("a success") {
                    Step::Read => break,
                    Step::Open => {
                        steps.push(Step::Open);
                        return steps;
                    }
                    step @ Step::Send(_) => steps.push(step),
                }
            }
        }
        steps
    }

    #[test]
    fn answers_cut_anywhere_give_the_same_steps() {
        let socks = [5, 0, 5, 0, 0, 1, 127, 0, 0, 1, 0, 80];
        let login = [5, 2, 1, 0, 5, 0, 0, 1, 127, 0, 0, 1, 0, 80];
        let connect = b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n";
        for chunk in 1..12 {
            assert_eq!(
                steps(Via::Socks5, &socks, chunk),
                [Step::Send(wire::socks_request(TARGET)), Step::Open]
            );
            assert_eq!(steps(Via::Connect, connect, chunk), [Step::Open]);
            assert_eq!(
                steps(Via::Socks5As(7), &login, chunk),
                [Step::Send(wire::socks_login(7)), Step::Send(wire::socks_request(TARGET)), Step::Open]
            );
        }
    }
}
