//! A raw client: sends exactly the bytes it is told, and says exactly what came back and when it ended.
//!
//! Also the test's end of a connection that [`crate::Far`] accepted. HTTP is in [`crate::http`], SOCKS in
//! [`crate::socks`].

use crate::ca::TestCa;
use crate::wait::{Deadline, PATIENCE};
use crate::wire::Wire;
use rustls::StreamOwned;
use socket2::{Domain, Socket, Type};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

/// One connection and the bytes that were read from it but not yet asked for.
#[derive(Debug)]
pub struct RawClient {
    pub(crate) wire: Wire,
    pub(crate) unread: Vec<u8>,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The peer said that nothing more will come.
    Closed,
    /// The peer reset it, or TLS was cut.
    Reset,
    /// It did not end in time.
    StillOpen,
}

impl RawClient {
    /// Connects, or fails the test.
    #[track_caller]
    #[must_use]
    pub fn connect(addr: SocketAddr) -> Self {
        match TcpStream::connect_timeout(&addr, PATIENCE) {
            Ok(stream) => Self::from_stream(stream),
            Err(error) => panic!("connect to {addr}: {error}"),
        }
    }

    /// True when nobody listens there.
    #[must_use]
    pub fn refused(addr: SocketAddr) -> bool {
        TcpStream::connect_timeout(&addr, PATIENCE)
            .is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused)
    }

    /// Connects from a certain local address, such as 127.0.0.2.
    #[track_caller]
    #[must_use]
    pub fn connect_from(from: &str, addr: SocketAddr) -> Self {
        let from: IpAddr = from.parse().expect("an address to come from");
        Self::connect_from_port(SocketAddr::new(from, 0), addr)
    }

    /// The same from a certain port; 0 takes any.
    #[track_caller]
    #[must_use]
    pub fn connect_from_port(from: SocketAddr, addr: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None).expect("socket");
        socket.bind(&from.into()).expect("bind the client's address");
        socket.connect_timeout(&addr.into(), PATIENCE).expect("connect");
        Self::from_stream(socket.into())
    }

    pub(crate) fn from_stream(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("TCP_NODELAY");
        Self { wire: Wire::Plain(stream), unread: Vec::new() }
    }

    /// Starts TLS on this connection as its client; bytes already read must have been asked for.
    #[track_caller]
    #[must_use]
    pub fn start_tls(self, ca: &TestCa, name: &str) -> Self {
        assert!(self.unread.is_empty(), "bytes before TLS: {}", show(&self.unread));
        let Wire::Plain(tcp) = self.wire else { panic!("TLS inside TLS is not in this kit") };
        let name = name.to_owned().try_into().expect("server name");
        let tls = rustls::ClientConnection::new(ca.client_config(), name).expect("TLS client");
        let mut wire = Wire::Client(Box::new(StreamOwned::new(tls, tcp)));
        wire.patience(Some(PATIENCE)).expect("time-outs");
        wire.flush().expect("TLS handshake");
        Self { wire, unread: Vec::new() }
    }

    /// The local address.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.wire.tcp().local_addr().expect("local address")
    }

    /// The address of the other end.
    #[must_use]
    pub fn peer_addr(&self) -> SocketAddr {
        self.wire.tcp().peer_addr().expect("peer address")
    }

    /// Sends all of it.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        if let Err(error) = self.try_send(bytes) {
            panic!("send: {error}");
        }
        self
    }

    /// Sends all of it, where the peer may have gone.
    ///
    /// # Errors
    /// What the socket said.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.wire.patience(Some(PATIENCE))?;
        self.wire.write_all(bytes.as_ref())?;
        self.wire.flush()
    }

    /// Sends until nothing more is taken for a quarter of a second, or `most` bytes have gone; gives their number.
    #[track_caller]
    pub fn send_until_blocked(&mut self, most: usize) -> usize {
        let (part, mut sent) = ([b'x'; 64 * 1024], 0);
        self.wire.patience(Some(Duration::from_millis(250))).expect("time-outs");
        while sent < most {
            match self.wire.write(&part) {
                Ok(n) => sent += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => panic!("after {sent} bytes: {error}"),
            }
        }
        sent
    }

    /// Sends each byte in a segment of its own, as far as the peer listens.
    pub fn one_byte_at_a_time(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        for byte in bytes.as_ref() {
            if self.try_send([*byte]).is_err() {
                break;
            }
        }
        self
    }

    /// Says that nothing more will be sent.
    #[track_caller]
    pub fn half_close(&mut self) -> &mut Self {
        self.wire.half_close().expect("shut down the sending side");
        self
    }

    /// Ends the connection with a RST.
    pub fn reset(self) {
        self.wire.close_with_reset();
    }

    /// Reads exactly `n` bytes.
    #[track_caller]
    pub fn read_exactly(&mut self, n: usize) -> Vec<u8> {
        match self.try_read_exactly(n) {
            Ok(bytes) => bytes,
            Err(end) => panic!("{end:?} after {} of {n} bytes: {}", self.unread.len(), show(&self.unread)),
        }
    }

    /// Reads as many bytes as `wanted` has; they must be these.
    #[track_caller]
    pub fn expect(&mut self, wanted: impl AsRef<[u8]>) -> &mut Self {
        let wanted = wanted.as_ref();
        let got = self.read_exactly(wanted.len());
        assert!(got == wanted, "wanted {}\n   got {}", show(wanted), show(&got));
        self
    }

    /// Reads up to the end of the first `needle` and gives all of it.
    #[track_caller]
    pub fn read_until(&mut self, needle: impl AsRef<[u8]>) -> Vec<u8> {
        let needle = needle.as_ref();
        match self.try_read_until(needle) {
            Ok(bytes) => bytes,
            Err(end) => panic!("{end:?} before {}: {}", show(needle), show(&self.unread)),
        }
    }

    /// Reads whatever comes until the connection ends or `within` has passed.
    pub fn read_to_end(&mut self, within: Duration) -> (Vec<u8>, End) {
        let deadline = Deadline::after(within);
        loop {
            if let Err(end) = self.fill(deadline) {
                return (std::mem::take(&mut self.unread), end);
            }
        }
    }

    /// The peer ends the connection in time and says nothing before.
    #[track_caller]
    pub fn expect_closed_within(&mut self, within: Duration) {
        let (bytes, end) = self.read_to_end(within);
        assert!(bytes.is_empty(), "it should only close, but it said {}", show(&bytes));
        assert_ne!(end, End::StillOpen, "still open after {within:?}");
    }

    /// The peer ends the connection in time, whatever it says before; gives what it said.
    #[track_caller]
    pub fn expect_end_within(&mut self, within: Duration) -> Vec<u8> {
        let (bytes, end) = self.read_to_end(within);
        assert_ne!(end, End::StillOpen, "still open after {within:?}, said {}", show(&bytes));
        bytes
    }

    /// True when the peer has neither ended the connection nor sent anything that waits here. Asks, does not wait.
    #[must_use]
    pub fn is_quiet_and_open(&self) -> bool {
        let tcp = self.wire.tcp();
        tcp.set_nonblocking(true).expect("non-blocking");
        let answer = tcp.peek(&mut [0]);
        tcp.set_nonblocking(false).expect("blocking");
        self.unread.is_empty() && matches!(answer, Err(e) if e.kind() == io::ErrorKind::WouldBlock)
    }

    /// A second handle on a plain connection, to read in one thread and write in another.
    #[must_use]
    pub fn second_handle(&self) -> Self {
        assert!(self.unread.is_empty(), "bytes are waiting that only one handle would see");
        Self { wire: self.wire.try_clone_plain().expect("a plain connection"), unread: Vec::new() }
    }

    /// Reads exactly `n` bytes, or says how the connection ended; what came stays unread then.
    pub(crate) fn try_read_exactly(&mut self, n: usize) -> Result<Vec<u8>, End> {
        let deadline = Deadline::after(PATIENCE);
        while self.unread.len() < n {
            self.fill(deadline)?;
        }
        Ok(self.unread.drain(..n).collect())
    }

    /// Reads up to the end of the first `needle`, or says how the connection ended.
    pub(crate) fn try_read_until(&mut self, needle: &[u8]) -> Result<Vec<u8>, End> {
        let deadline = Deadline::after(PATIENCE);
        loop {
            if let Some(at) = self.unread.windows(needle.len()).position(|part| part == needle) {
                return Ok(self.unread.drain(..at + needle.len()).collect());
            }
            self.fill(deadline)?;
        }
    }

    /// Takes more bytes from the socket, or says how it ended.
    pub(crate) fn fill(&mut self, deadline: Deadline) -> Result<(), End> {
        let mut part = [0; 16 * 1024];
        let Some(left) = deadline.left() else { return Err(End::StillOpen) };
        self.wire.patience(Some(left)).expect("time-outs");
        match self.wire.read(&mut part) {
            Ok(0) => Err(End::Closed),
            Ok(n) => {
                self.unread.extend_from_slice(&part[..n]);
                Ok(())
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Err(End::StillOpen),
                io::ErrorKind::Interrupted => Ok(()),
                _ => Err(End::Reset),
            },
        }
    }
}

/// Bytes as a person reads them, cut after 600.
pub(crate) fn show(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(600)];
    let more = if cut.len() < bytes.len() { format!("... ({} bytes)", bytes.len()) } else { String::new() };
    format!("\"{}\"{more}", cut.escape_ascii())
}
