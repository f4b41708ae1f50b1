//! Plain far sides: a connection handed to the test, a peer that plays a script, echoes for TCP and UDP.

use crate::client::RawClient;
use crate::server::Server;
use crate::wait::{PATIENCE, eventually};
use crate::wire::Wire;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A far side played by the test itself: it gets each connection as a [`RawClient`].
#[derive(Debug)]
pub struct Far {
    server: Server,
    accepted: Receiver<RawClient>,
}

impl Far {
    /// Listens on 127.0.0.1 and a free port.
    #[must_use]
    pub fn listen() -> Self {
        Self::listen_on((Ipv4Addr::LOCALHOST, 0).into())
    }

    /// Listens on this address; port 0 is a free one.
    #[must_use]
    pub fn listen_on(addr: SocketAddr) -> Self {
        let (sender, accepted) = sync_channel(1_024);
        let server = Server::start_on(addr, move |stream, _| {
            drop(sender.try_send(RawClient::from_stream(stream))); // a test that is over takes no more
        });
        Self { server, accepted }
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// The next connection; fails the test when none comes.
    #[track_caller]
    #[must_use]
    pub fn accept(&self) -> RawClient {
        self.accepted.recv_timeout(PATIENCE).expect("a connection at the far side")
    }

    /// Connections so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.server.accepted()
    }
}

/// One act of a scripted peer.
#[derive(Debug, Clone)]
pub enum Step {
    /// Sends this.
    Send(Vec<u8>),
    /// Sends this, each byte in a segment of its own.
    OneByteAtATime(Vec<u8>),
    /// Reads so many bytes, whatever they are.
    Read(usize),
    /// Reads as many bytes as these; they must be these, or the script ends.
    Expect(Vec<u8>),
    /// Reads to the end of a message head: up to an empty line.
    ReadHead,
    /// Does nothing until the peer has gone.
    Stall,
    /// Does nothing for so long; part of a slow peer, never of a test's own waiting.
    Pause(Duration),
    /// Says that nothing more comes from here, and goes on reading.
    HalfClose,
    /// Closes. So does the end of the script.
    Close,
    /// Closes with a RST.
    Reset,
}

/// A peer that plays the same script on every connection.
#[derive(Debug)]
pub struct TcpScript {
    server: Server,
    played: Arc<AtomicUsize>,
}

impl TcpScript {
    /// Starts it on 127.0.0.1.
    #[must_use]
    pub fn start(script: impl Into<Vec<Step>>) -> Self {
        let script = script.into();
        let played = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&played);
        let server = Server::start(move |stream, _| {
            if play(RawClient::from_stream(stream), &script) {
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { server, played }
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// Connections so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.server.accepted()
    }

    /// At least one connection saw the whole script.
    #[track_caller]
    pub fn assert_played(&self) {
        eventually(PATIENCE, "a script played to its end", || {
            (self.played.load(Ordering::SeqCst) > 0).then_some(())
        });
    }
}

/// True when every step could be done.
fn play(mut peer: RawClient, script: &[Step]) -> bool {
    for step in script {
        let done = match step {
            Step::Send(bytes) => peer.try_send(bytes).is_ok(),
            Step::OneByteAtATime(bytes) => {
                peer.one_byte_at_a_time(bytes);
                true
            }
            Step::Read(n) => peer.try_read_exactly(*n).is_ok(),
            Step::Expect(bytes) => peer.try_read_exactly(bytes.len()).as_ref() == Ok(bytes),
            Step::ReadHead => peer.try_read_until(b"\r\n\r\n").is_ok(),
            Step::Stall => {
                peer.read_to_end(PATIENCE * 3);
                true
            }
            Step::Pause(time) => {
                thread::sleep(*time);
                true
            }
            Step::HalfClose => peer.wire.half_close().is_ok(),
            Step::Close => return true,
            Step::Reset => {
                peer.reset();
                return true;
            }
        };
        if !done {
            return false;
        }
    }
    true
}

/// Sends back what it gets, and ends when its peer does.
#[derive(Debug)]
pub struct TcpEcho(Server);

impl TcpEcho {
    /// Starts it on 127.0.0.1.
    #[must_use]
    pub fn start() -> Self {
        Self::start_on((Ipv4Addr::LOCALHOST, 0).into())
    }

    /// Starts it on this address; port 0 is a free one.
    #[must_use]
    pub fn start_on(addr: SocketAddr) -> Self {
        Self(Server::start_on(addr, |stream, _| echo(&mut Wire::Plain(stream))))
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.0.addr()
    }

    /// Connections so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.0.accepted()
    }
}

/// Copies a connection onto itself.
pub(crate) fn echo(wire: &mut Wire) {
    let mut part = vec![0; 64 * 1024];
    while let Ok(n @ 1..) = wire.read(&mut part) {
        if wire.write_all(&part[..n]).is_err() {
            return;
        }
    }
    drop(wire.half_close()); // the peer may have gone
}

/// Sends each datagram back to where it came from.
#[derive(Debug)]
pub struct UdpEcho {
    socket: UdpSocket,
    stopped: Arc<AtomicBool>,
    senders: Arc<Mutex<Vec<SocketAddr>>>,
}

impl UdpEcho {
    /// Starts it on 127.0.0.1.
    #[must_use]
    pub fn start() -> Self {
        Self::start_on((Ipv4Addr::LOCALHOST, 0).into())
    }

    /// Starts it on this address; port 0 is a free one.
    #[must_use]
    pub fn start_on(addr: SocketAddr) -> Self {
        let socket = UdpSocket::bind(addr).expect("a UDP socket");
        let (stopped, senders) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (ours, stop, seen) =
            (socket.try_clone().expect("clone a socket"), Arc::clone(&stopped), Arc::clone(&senders));
        thread::spawn(move || {
            let mut bytes = vec![0; 65_536];
            while let Ok((n, from)) = ours.recv_from(&mut bytes) {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                seen.lock().expect("senders").push(from);
                drop(ours.send_to(&bytes[..n], from)); // the sender may have gone
            }
        });
        Self { socket, stopped, senders }
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.socket.local_addr().expect("own address")
    }

    /// Who sent each datagram so far.
    #[must_use]
    pub fn senders(&self) -> Vec<SocketAddr> {
        self.senders.lock().expect("senders").clone()
    }
}

impl Drop for UdpEcho {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        drop(self.socket.send_to(&[], self.addr())); // wakes the thread, which then ends
    }
}

/// A port that refuses connections and that nobody else can take meanwhile.
#[derive(Debug)]
pub struct Refusing(socket2::Socket);

impl Refusing {
    /// Takes a free port of 127.0.0.1 without listening on it.
    #[must_use]
    pub fn start() -> Self {
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("socket");
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("bind");
        Self(socket)
    }

    /// The address that refuses.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.0.local_addr().expect("address").as_socket().expect("IP")
    }
}

/// A listener that never accepts and whose queue is full: a connect to it hangs.
#[derive(Debug)]
pub struct Hanging {
    listener: socket2::Socket,
    queued: Vec<TcpStream>,
}

impl Hanging {
    /// Starts it on 127.0.0.1 and fills its queue.
    #[must_use]
    pub fn start() -> Self {
        let mut hanging = Self::not_yet();
        hanging.fill();
        hanging
    }

    /// Starts it on 127.0.0.1; it answers until [`Self::fill`].
    #[must_use]
    pub fn not_yet() -> Self {
        let listener =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("socket");
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("bind");
        listener.listen(0).expect("listen");
        Self { listener, queued: Vec::new() }
    }

    /// From now on nobody gets through.
    #[track_caller]
    pub fn fill(&mut self) {
        let addr = self.addr();
        let connect = || TcpStream::connect_timeout(&addr, Duration::from_millis(150)).ok();
        self.queued.extend(std::iter::from_fn(connect).take(64));
        assert!(self.queued.len() < 64, "the queue never fills");
    }

    /// The far end of a connection that came through before.
    #[track_caller]
    #[must_use]
    pub fn accept(&self) -> RawClient {
        self.listener.set_read_timeout(Some(PATIENCE)).expect("time-out");
        let (stream, _peer) = self.listener.accept().expect("a connection in time");
        RawClient::from_stream(stream.into())
    }

    /// The address that does not answer.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.listener.local_addr().expect("address").as_socket().expect("IP")
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        drop(self.listener.shutdown(Shutdown::Both)); // its own descriptor goes next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::End;
    use crate::wait::millis;

    #[test]
    fn an_echo_echoes_and_ends_with_its_peer() {
        let far = TcpEcho::start();
        let mut client = RawClient::connect(far.addr());
        client.send("hello").expect("hello").half_close();
        client.expect_closed_within(PATIENCE);
        assert_eq!(far.connections(), 1);
    }

    #[test]
    fn a_script_sends_stalls_resets_and_half_closes() {
        let far = TcpScript::start([Step::OneByteAtATime(b"ab".to_vec()), Step::Reset]);
        assert_eq!(RawClient::connect(far.addr()).read_to_end(PATIENCE).1, End::Reset);

        let far = TcpScript::start([Step::Send(b"x".to_vec()), Step::HalfClose, Step::Read(1)]);
        let mut client = RawClient::connect(far.addr());
        client.expect("x").expect_closed_within(PATIENCE);
        client.send("y");
        far.assert_played();

        let far = TcpScript::start([Step::Stall]);
        let mut client = RawClient::connect(far.addr());
        assert!(client.is_quiet_and_open());
        assert_eq!(client.read_to_end(millis(20)).1, End::StillOpen);
    }

    #[test]
    fn the_test_can_play_the_far_side() {
        let far = Far::listen();
        let mut client = RawClient::connect(far.addr());
        let mut there = far.accept();
        client.send("ping");
        there.expect("ping").send("pong");
        client.expect("pong");
        assert_eq!(there.peer_addr(), client.local_addr());
        drop(there);
        client.expect_closed_within(PATIENCE);
    }

    #[test]
    fn datagrams_come_back() {
        let far = UdpEcho::start();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.send_to(b"hey", far.addr()).unwrap();
        let mut bytes = [0; 9];
        assert_eq!(socket.recv(&mut bytes).unwrap(), 3);
        assert_eq!(far.senders(), [socket.local_addr().unwrap()]);
    }

    #[test]
    fn some_addresses_refuse_and_some_hang() {
        let refusing = Refusing::start();
        let error = TcpStream::connect(refusing.addr()).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
        let hanging = Hanging::start();
        let error = TcpStream::connect_timeout(&hanging.addr(), millis(100)).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    }
}
