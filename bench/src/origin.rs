//! The far side of every measurement: plain HTTP replies, an echo, and a source of bytes, on 16 addresses.
//!
//! Sixteen loopback addresses, so that proxies that open one connection a tunnel do not run short of
//! local ports, which would make the kernel search for one and charge the search to the proxy.
//!
//! Ends when its standard input closes or its time is over. Checks only what it must to answer.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::Context;
use memchr::memmem;
use rustix::event::epoll::EventFlags;

use crate::command_line::Flags;
use crate::reactor::Reactor;
use crate::wire::{
    self, BODY, BODY_FILL, CLIENT_FRAME, FILL, SERVER_FRAME, WEBSOCKET_REPLY, asked_length, reply, reply_head,
};

/// How many addresses the origin listens on, from [`address`] 0.
pub const ADDRESSES: u8 = 16;

/// The origin's address number `index`, which wraps at [`ADDRESSES`].
#[must_use]
pub fn address(index: u64) -> Ipv4Addr {
    let last = 11 + u8::try_from(index % u64::from(ADDRESSES)).unwrap_or(0);
    Ipv4Addr::new(127, 0, 0, last)
}

/// What a port of the origin does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    /// Answers each request head with a body as long as its path asks for.
    Http,
    /// An HTTP connection that has become a WebSocket: a frame for each frame.
    WebSocket,
    /// Sends back what it receives.
    Echo,
    /// Reads a count of bytes (64 bits, big-endian), then sends as many.
    Source,
}

#[derive(Debug)]
struct Client {
    stream: TcpStream,
    service: Service,
    /// Received and not yet answered; an echo keeps none between reads.
    pending: Vec<u8>,
    /// Bytes of a download or body still to send.
    owed: u64,
    /// Its socket is watched for room instead of for bytes.
    awaits_room: bool,
}

/// Whether a client is kept after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Keep,
    /// Its socket has no room: wait until it is writable.
    AwaitRoom,
    Close,
}

/// Runs the origin until its standard input closes or `--max-seconds` are over.
///
/// # Errors
/// When a port is taken or epoll fails; a client's faults end that client alone.
pub fn run(flags: &Flags) -> anyhow::Result<()> {
    let until = Instant::now() + Duration::from_secs(flags.value_or("max-seconds", 3600)?);
    let mut origin = Origin::bind(flags)?;
    writeln!(io::stdout(), "ready")?;
    io::stdout().flush()?;
    origin.serve(until)
}

struct Origin {
    reactor: Reactor,
    listeners: Vec<(TcpListener, Service)>,
    clients: Vec<Option<Client>>,
    free: Vec<usize>,
    scratch: Vec<u8>,
    replies: Replies,
    fill: Vec<u8>,
}

/// Replies and the stuff of large ones, made once.
struct Replies {
    page: Vec<u8>,
    middling: Vec<u8>,
    fill: Vec<u8>,
}

/// Length of the second reply that is kept ready.
const MIDDLING: u64 = 10 << 10;

impl Replies {
    fn new() -> Self {
        Self { page: reply(BODY), middling: reply(MIDDLING), fill: vec![BODY_FILL; 256 << 10] }
    }
}

/// Token of standard input; listeners follow below it, clients count up from 0.
const STDIN: u64 = u64::MAX;
const LISTENERS: u64 = 1 << 32;

impl Origin {
    fn bind(flags: &Flags) -> anyhow::Result<Self> {
        let reactor = Reactor::new()?;
        let mut listeners = Vec::new();
        for (name, service) in [("http", Service::Http), ("echo", Service::Echo), ("source", Service::Source)]
        {
            let port: u16 = flags.value(name)?;
            for index in 0..u64::from(ADDRESSES) {
                let at = SocketAddrV4::new(address(index), port);
                let listener = TcpListener::bind(at).with_context(|| format!("origin on {at}"))?;
                rustix::net::listen(&listener, 4096)?;
                listener.set_nonblocking(true)?;
                reactor.add(&listener, LISTENERS + listeners.len() as u64, EventFlags::IN)?;
                listeners.push((listener, service));
            }
        }
        reactor.add(io::stdin(), STDIN, EventFlags::IN)?;
        Ok(Self {
            reactor,
            listeners,
            clients: Vec::new(),
            free: Vec::new(),
            scratch: vec![0; 64 << 10],
            replies: Replies::new(),
            fill: vec![FILL; 256 << 10],
        })
    }

    fn serve(&mut self, until: Instant) -> anyhow::Result<()> {
        let mut ready = Vec::with_capacity(256);
        while Instant::now() < until {
            self.reactor.wait(until, &mut ready)?;
            for token in ready.iter().copied() {
                match token {
                    STDIN => return Ok(()),
                    LISTENERS.. => self.accept(token - LISTENERS)?,
                    client => self.attend(client)?,
                }
            }
        }
        Ok(())
    }

    fn accept(&mut self, listener: u64) -> anyhow::Result<()> {
        let Some((listener, service)) = usize::try_from(listener).ok().and_then(|at| self.listeners.get(at))
        else {
            return Ok(());
        };
        for _ in 0..64 {
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("origin accepts"),
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let slot = self.free.pop().unwrap_or(self.clients.len());
            self.reactor.add(&stream, slot as u64, EventFlags::IN)?;
            let client =
                Client { stream, service: *service, pending: Vec::new(), owed: 0, awaits_room: false };
            match self.clients.get_mut(slot) {
                Some(place) => *place = Some(client),
                None => self.clients.push(Some(client)),
            }
        }
        Ok(())
    }

    fn attend(&mut self, token: u64) -> anyhow::Result<()> {
        let Ok(slot) = usize::try_from(token) else { return Ok(()) };
        let Some(Some(client)) = self.clients.get_mut(slot) else { return Ok(()) };
        let fate = match client.service {
            Service::Http => client.answer(&mut self.scratch, &self.replies),
            Service::WebSocket => client.frames(&mut self.scratch),
            Service::Echo => client.echo(&mut self.scratch),
            Service::Source => client.pour(&mut self.scratch, &self.fill),
        };
        let fate = match fate {
            Ok(fate) => fate,
            // The event was for the socket that had this number before.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Fate::Keep,
            Err(_) => Fate::Close,
        };
        match fate {
            Fate::Keep if client.awaits_room => {
                client.awaits_room = false;
                self.reactor.modify(&client.stream, token, EventFlags::IN)?;
            }
            Fate::Keep => {}
            Fate::AwaitRoom if client.awaits_room => {}
            Fate::AwaitRoom => {
                client.awaits_room = true;
                self.reactor.modify(&client.stream, token, EventFlags::OUT)?;
            }
            Fate::Close => {
                if let Some(place) = self.clients.get_mut(slot) {
                    *place = None;
                }
                self.free.push(slot);
            }
        }
        Ok(())
    }
}

impl Client {
    fn answer(&mut self, scratch: &mut [u8], replies: &Replies) -> io::Result<Fate> {
        if self.owed > 0 {
            return self.pay(&replies.fill);
        }
        let count = self.stream.read(scratch)?;
        let Some(read) = scratch.get(..count).filter(|read| !read.is_empty()) else { return Ok(Fate::Close) };
        if self.pending.is_empty() && memmem::find(read, b"\r\n\r\n") == Some(count.saturating_sub(4)) {
            return self.answer_one(read, replies);
        }
        self.pending.extend_from_slice(read);
        // A client that sends several requests at once gets all answers, but none of more than a socket holds.
        while let Some(end) = memmem::find(&self.pending, b"\r\n\r\n") {
            let head: Vec<u8> = self.pending.drain(..end + 4).collect();
            match self.answer_one(&head, replies)? {
                Fate::Keep => {}
                fate @ (Fate::AwaitRoom | Fate::Close) => return Ok(fate),
            }
        }
        Ok(Fate::Keep)
    }

    fn answer_one(&mut self, head: &[u8], replies: &Replies) -> io::Result<Fate> {
        if wire::wants_websocket(head) {
            self.service = Service::WebSocket;
            self.stream.write_all(WEBSOCKET_REPLY)?;
            return Ok(Fate::Keep);
        }
        match asked_length(head) {
            BODY => self.stream.write_all(&replies.page)?,
            MIDDLING => self.stream.write_all(&replies.middling)?,
            length => {
                self.stream.write_all(&reply_head(length))?;
                self.owed = length;
                return self.pay(&replies.fill);
            }
        }
        Ok(Fate::Keep)
    }

    /// Sends what is owed as far as there is room.
    fn pay(&mut self, fill: &[u8]) -> io::Result<Fate> {
        while self.owed > 0 {
            let chunk = fill.get(..usize::try_from(self.owed).unwrap_or(usize::MAX)).unwrap_or(fill);
            match self.stream.write(chunk) {
                Ok(count) => self.owed -= count as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Fate::AwaitRoom),
                Err(error) => return Err(error),
            }
        }
        Ok(Fate::Keep)
    }

    fn frames(&mut self, scratch: &mut [u8]) -> io::Result<Fate> {
        let count = self.stream.read(scratch)?;
        let Some(read) = scratch.get(..count).filter(|read| !read.is_empty()) else { return Ok(Fate::Close) };
        self.pending.extend_from_slice(read);
        while self.pending.len() >= CLIENT_FRAME.len() {
            if !self.pending.starts_with(&CLIENT_FRAME) {
                return Ok(Fate::Close);
            }
            self.pending.drain(..CLIENT_FRAME.len());
            self.stream.write_all(&SERVER_FRAME)?;
        }
        Ok(Fate::Keep)
    }

    fn echo(&mut self, scratch: &mut [u8]) -> io::Result<Fate> {
        let count = self.stream.read(scratch)?;
        let Some(read) = scratch.get(..count).filter(|read| !read.is_empty()) else { return Ok(Fate::Close) };
        self.stream.write_all(read)?;
        Ok(Fate::Keep)
    }

    fn pour(&mut self, scratch: &mut [u8], fill: &[u8]) -> io::Result<Fate> {
        if self.owed == 0 {
            let count = self.stream.read(scratch)?;
            let Some(read) = scratch.get(..count).filter(|read| !read.is_empty()) else {
                return Ok(Fate::Close);
            };
            self.pending.extend_from_slice(read);
            let Some((count, _)) = self.pending.split_first_chunk::<8>() else { return Ok(Fate::Keep) };
            self.owed = u64::from_be_bytes(*count);
            self.pending.clear();
        }
        Ok(match self.pay(fill)? {
            Fate::Keep | Fate::Close => Fate::Close,
            Fate::AwaitRoom => Fate::AwaitRoom,
        })
    }
}
