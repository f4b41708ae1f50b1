//! What SOCKS4 and SOCKS5 have in common: reading the handshake, asking the rules, connecting, the reply.
//!
//! Success is said only after the far side is connected, and a failure by the code that fits it ([`crate::replies`]).
//! Not here: the messages (`wire/socks4`, `wire/socks5`), BIND and datagrams (`bind`, `socks5_udp`).

use super::Client;
use super::connect::{self, Ends};
use super::leave::leave;
use crate::dispatch::{AddressRules, Asked, Dispatched, label};
use crate::facts::{Facts, Told};
use crate::forward::Forward;
use crate::replies::{self, Reply};
use bytes::BytesMut;
use shoalway_net::admission::Admitted;
use shoalway_net::clock;
use shoalway_net::connect::{ConnectError, ConnectErrorKind, Connected, Isolation, Session};
use shoalway_net::counters::VerbLabel;
use shoalway_net::shard::Shard;
use shoalway_net::stream::Stream;
use shoalway_policy::Verb;
use shoalway_types::{Host, Protocol, Target};
use shoalway_wire::{socks4, socks5};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

/// Room for the first messages of a handshake.
const ROOM: usize = 512;

/// Either version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    Four,
    Five,
}

impl Version {
    pub(crate) const fn protocol(self) -> Protocol {
        match self {
            Self::Four => Protocol::Socks4,
            Self::Five => Protocol::Socks5,
        }
    }

    /// The reply to a success.
    pub(crate) fn granted(self, bound: SocketAddr) -> Vec<u8> {
        match self {
            Self::Four => socks4::encode_reply(socks4::Reply::Granted, bound).to_vec(),
            Self::Five => socks5::encode_reply(socks5::Reply::Succeeded, bound),
        }
    }

    /// The reply to a failure.
    pub(crate) fn refused(self, reply: Reply) -> Vec<u8> {
        match self {
            Self::Four => socks4::encode_reply(reply.socks4, NOWHERE).to_vec(),
            Self::Five => socks5::encode_reply(reply.socks5, NOWHERE),
        }
    }

    /// The code of a success, and that of a failure.
    pub(crate) const fn code(self, failed: Option<Reply>) -> u16 {
        match (self, failed) {
            (Self::Four, None) => socks4::Reply::Granted.code() as u16,
            (Self::Five, None) => socks5::Reply::Succeeded.code() as u16,
            (Self::Four, Some(reply)) => reply.socks4.code() as u16,
            (Self::Five, Some(reply)) => reply.socks5.code() as u16,
        }
    }
}

/// The address of a reply that has none.
pub(crate) const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// A client's stream with what was read of it.
pub(crate) struct Talk {
    pub(crate) stream: Stream,
    pub(crate) buf: BytesMut,
}

impl Talk {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, buf: BytesMut::with_capacity(ROOM) }
    }

    /// Reads more.
    ///
    /// # Errors
    /// When the client has ended or broken the connection.
    pub(crate) async fn read(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.buf).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Sends all of it.
    ///
    /// # Errors
    /// When the connection is broken.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// The stream, with what was read too far in front.
    pub(crate) fn into_stream(mut self) -> Stream {
        self.stream.unread(&self.buf);
        self.stream
    }
}

/// User and password, as they were sent.
type Claimed = (Rc<[u8]>, Rc<[u8]>);

/// A client from its first byte to its request, and what came of it.
pub(crate) struct Ask {
    pub(crate) shard: Rc<Shard>,
    pub(crate) forward: Rc<Forward>,
    pub(crate) version: Version,
    pub(crate) talk: Talk,
    pub(crate) peer: SocketAddr,
    pub(crate) user: Option<Rc<str>>,
    /// User and password as they were sent, right or not: they keep flows apart.
    pub(crate) login: Option<Claimed>,
    admitted: Admitted,
    started: Instant,
    started_ms: u64,
}

/// What it asked for, in the words of log and rules.
pub(crate) struct Wish {
    pub(crate) command: &'static str,
    pub(crate) protocol: Protocol,
    pub(crate) target: Option<Rc<Target>>,
    pub(crate) decided: Option<Dispatched>,
}

impl Wish {
    /// For what never became a request.
    pub(crate) const fn none(version: Version) -> Self {
        Self { command: "", protocol: version.protocol(), target: None, decided: None }
    }
}

impl Ask {
    pub(crate) fn new(client: Client, version: Version) -> Self {
        let Client { shard, forward, stream, peer, admitted } = client;
        Self {
            shard,
            forward,
            version,
            talk: Talk::new(stream),
            peer,
            user: None,
            login: None,
            admitted,
            started: clock::now(),
            started_ms: clock::wall_ms(),
        }
    }

    /// Asks the rules about a target.
    pub(crate) fn dispatch(&self, host: &Host, port: u16) -> Dispatched {
        let user = self.user.as_deref();
        self.forward.dispatch(&Asked { client: self.peer.ip(), user, host, port, method: "" })
    }

    /// CONNECT: opens the way to the target, then says so, then relays.
    pub(crate) async fn connect(self, target: Target) {
        let target = Rc::new(target);
        let decided = self.dispatch(&target.host, target.port);
        let way = decided.way.as_ref().map(Rc::clone);
        let wish = Wish {
            command: "CONNECT",
            protocol: self.version.protocol(),
            target: Some(Rc::clone(&target)),
            decided: Some(decided),
        };
        let Some(way) = way else { return self.refuse_by_rule(wish) };
        let session = self.session(&target);
        match way.connect.connect(&session).await {
            Ok(connected) => {
                self.shard.counters().upstream_connects.add(1);
                self.tunnel(wish, connected).await;
            }
            Err(error) => {
                self.shard.counters().upstream_failures.add(1);
                self.refuse(wish, replies::of(&error), error.word);
            }
        }
    }

    fn isolation(&self) -> Isolation {
        let (user, password) = self.login.clone().unzip();
        Isolation { listener: Some(Arc::clone(&self.forward.plan().listener)), user, password }
    }

    fn session(&self, target: &Rc<Target>) -> Session {
        Session {
            client: self.peer,
            user: self.user.clone(),
            isolation: self.isolation(),
            target: Rc::clone(target),
            limit: self.forward.plan().limits.connect,
            permit: AddressRules::of(&self.forward, self.peer.ip(), self.user.as_ref(), target, "")
                .map(|rules| rules.permit()),
        }
    }

    /// The far side is connected.
    pub(crate) async fn tunnel(mut self, wish: Wish, connected: Connected) {
        let reply = self.version.granted(connected.bound());
        let (version, idle) = (self.version, self.forward.plan().limits.tunnel_idle);
        let sent = self.talk.send(&reply).await;
        let (facts, talk) = self.into_facts(wish);
        facts.told.upstream.set(Some(connected.addr));
        if sent.is_err() {
            return facts.end("client_reset");
        }
        facts.say(version.code(None), 200);
        let client = talk.into_stream();
        connect::spawn(facts, Ends { client, upstream: connected.stream, preface: 0, idle });
    }

    /// A rule says no, or asks for a way there is none of.
    pub(crate) fn refuse_by_rule(self, wish: Wish) {
        let missing = wish.decided.as_ref().is_some_and(|decided| decided.verb != Verb::Block);
        let outcome = if missing { "no_such_way" } else { "blocked" };
        self.refuse(wish, replies::of_kind(ConnectErrorKind::Forbidden), outcome);
    }

    /// Says why not, and leaves.
    pub(crate) fn refuse(self, wish: Wish, reply: Reply, outcome: &'static str) {
        let farewell = self.version.refused(reply);
        let code = self.version.code(Some(reply));
        self.leave(wish, farewell, (code, reply.http), outcome);
    }

    /// Says `farewell`, and leaves, as a task of its own. `code` is what the client is told, and its equal in HTTP.
    pub(crate) fn leave(self, wish: Wish, farewell: Vec<u8>, code: (u16, u16), outcome: &'static str) {
        let (facts, talk) = self.into_facts(wish);
        facts.say(code.0, code.1);
        facts.end(outcome);
        let shard = Rc::clone(&facts.shard);
        let tasks = shard.tasks().clone();
        tasks.spawn(async move {
            leave(&shard, talk.stream, &farewell).await;
            drop(facts);
        });
    }

    /// What the log will say.
    pub(crate) fn into_facts(self, wish: Wish) -> (Facts, Talk) {
        let (verb, label, rule) = match &wish.decided {
            Some(decided) => (self.forward.word(decided.verb), label(decided.verb), decided.rule),
            None => ("".into(), VerbLabel::None, 0),
        };
        let facts = Facts {
            shard: self.shard,
            listener: Arc::clone(&self.forward.plan().listener),
            protocol: wish.protocol,
            client: self.peer,
            user: self.user,
            method: wish.command.into(),
            target: wish.target,
            verb,
            label,
            rule,
            started: self.started,
            started_ms: self.started_ms,
            told: Told::default(),
            admitted: self.admitted,
        };
        (facts, self.talk)
    }
}

/// What a name that could not be looked up is called.
pub(crate) fn unresolved(error: shoalway_net::resolver::ResolveError) -> ConnectError {
    ConnectError::from(shoalway_net::dialer::DialError::Resolve(error))
}
