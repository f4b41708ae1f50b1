//! One connection, plain or TLS, with deadlines: what the raw client and the origin read from and write to.

use rustls::{ClientConnection, ServerConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// A TCP connection, maybe with TLS in it.
#[derive(Debug)]
pub(crate) enum Wire {
    Plain(TcpStream),
    Client(Box<StreamOwned<ClientConnection, TcpStream>>),
    Server(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Wire {
    pub(crate) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Client(tls) => &tls.sock,
            Self::Server(tls) => &tls.sock,
        }
    }

    /// Both directions; `None` waits for ever.
    pub(crate) fn patience(&self, within: Option<Duration>) -> io::Result<()> {
        self.tcp().set_read_timeout(within)?;
        self.tcp().set_write_timeout(within)
    }

    /// Says "nothing more from here"; with TLS that is a `close_notify` before the FIN.
    pub(crate) fn half_close(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => {}
            Self::Client(tls) => {
                tls.conn.send_close_notify();
                tls.flush()?;
            }
            Self::Server(tls) => {
                tls.conn.send_close_notify();
                tls.flush()?;
            }
        }
        self.tcp().shutdown(Shutdown::Write)
    }

    /// Makes the coming close a RST.
    pub(crate) fn close_with_reset(self) {
        let socket = socket2::SockRef::from(self.tcp());
        socket.set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
    }

    pub(crate) fn try_clone_plain(&self) -> Option<Self> {
        match self {
            Self::Plain(tcp) => tcp.try_clone().ok().map(Self::Plain),
            Self::Client(_) | Self::Server(_) => None,
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.read(buf),
            Self::Client(tls) => tls.read(buf),
            Self::Server(tls) => tls.read(buf),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.write(buf),
            Self::Client(tls) => tls.write(buf),
            Self::Server(tls) => tls.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(tcp) => tcp.flush(),
            Self::Client(tls) => tls.flush(),
            Self::Server(tls) => tls.flush(),
        }
    }
}
