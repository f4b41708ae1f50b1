//! SOCKS BIND: waits for one connection from a host that the client expects, then relays. RFC 1928 section 4.
//!
//! Listens on the address the client reached us by. The first reply says where, the second who came. A connection
//! from anybody else is closed and the wait goes on. Only where the rules say to connect from here: an exit cannot be
//! told to listen. Not here: the messages, the relay.

use super::socks::{Ask, NOWHERE, Wish, unresolved};
use crate::replies;
use shoalway_net::connect::{ConnectErrorKind, Connected};
use shoalway_net::deadline::Wait;
use shoalway_net::stream::Stream;
use shoalway_net::{listener, resolver};
use shoalway_types::Host;
use shoalway_wire::socks5::address::Address;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use tokio::net::{TcpListener, TcpStream};

/// What a client may send before somebody came; more waits in its socket.
const EARLY: usize = 16 << 10;

/// Serves a BIND to its end, or to the beginning of its tunnel.
pub(crate) async fn serve(mut ask: Ask, from: Address) {
    let decided = ask.dispatch(&from.host, from.port);
    let straight = decided.way.as_ref().is_some_and(|way| way.is_direct);
    let wish = Wish {
        command: "BIND",
        protocol: ask.version.protocol(),
        target: from.target().map(Rc::new),
        decided: Some(decided),
    };
    if !straight {
        return ask.refuse_by_rule(wish);
    }
    let expected = match Expected::find_out(&ask, &from).await {
        Ok(expected) => expected,
        Err(error) => {
            let error = unresolved(error);
            return ask.refuse(wish, replies::of(&error), error.word);
        }
    };
    let Ok((listener, bound)) = open(&ask) else {
        return ask.refuse(wish, replies::of_kind(ConnectErrorKind::Local), "bind_failed");
    };
    let first = ask.version.granted(bound);
    if ask.talk.send(&first).await.is_err() {
        return;
    }
    let deadline = ask.shard.deadline();
    deadline.after(ask.forward.plan().limits.idle, Wait::Busy);
    match deadline.guard(wait(&mut ask, &listener, &expected)).await {
        Ok(Some((stream, peer))) => {
            drop(deadline);
            // The second reply names the peer, RFC 1928 section 6.
            let connected = Connected { stream: Stream::tcp(stream), addr: peer, local: peer };
            ask.tunnel(wish, connected).await;
        }
        Ok(None) => ask.into_facts(wish).0.end("client_closed"),
        Err(_) => ask.refuse(wish, replies::of_kind(ConnectErrorKind::Timeout), "bind_timeout"),
    }
}

fn open(ask: &Ask) -> io::Result<(TcpListener, SocketAddr)> {
    let reached = ask.talk.stream.socket().and_then(|socket| socket.local_addr().ok());
    let at = SocketAddr::new(reached.unwrap_or(NOWHERE).ip().to_canonical(), 0);
    let socket = listener::bind(at, 1)?.pop().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let listener = TcpListener::from_std(socket)?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

/// Who may come.
enum Expected {
    Anybody,
    OneOf(Vec<IpAddr>),
}

impl Expected {
    async fn find_out(ask: &Ask, from: &Address) -> Result<Self, resolver::ResolveError> {
        match &from.host {
            Host::Ip(ip) if ip.is_unspecified() => Ok(Self::Anybody),
            Host::Ip(ip) => Ok(Self::OneOf(vec![*ip])),
            Host::Name(name) => {
                let answer = ask.forward.plan().dialer.resolver().look_up(name).await?;
                Ok(Self::OneOf(answer.iter().collect()))
            }
        }
    }

    fn includes(&self, ip: IpAddr) -> bool {
        match self {
            Self::Anybody => true,
            Self::OneOf(ips) => ips.iter().any(|expected| expected.to_canonical() == ip.to_canonical()),
        }
    }
}

/// The connection that was waited for; none when the client has left.
async fn wait(ask: &mut Ask, listener: &TcpListener, expected: &Expected) -> Option<(TcpStream, SocketAddr)> {
    loop {
        let listens = ask.talk.buf.len() < EARLY;
        tokio::select! {
            came = listener.accept() => match came {
                Ok((stream, peer)) if may_come(ask, expected, peer) => return Some((stream, peer)),
                // A stranger, or one who has left already.
                Ok(_) | Err(_) => {}
            },
            read = ask.talk.read(), if listens => if read.is_err() { return None },
        }
    }
}

fn may_come(ask: &Ask, expected: &Expected, peer: SocketAddr) -> bool {
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let guard = ask.forward.plan().dialer.guard();
    // What may not be reached may not call either.
    expected.includes(peer.ip()) && guard.check(ask.peer.ip(), peer).is_ok()
}
