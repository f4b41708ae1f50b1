//! WebSocket (RFC 6455) by `tungstenite`: a server that echoes and closes as it is told, and a client over plain HTTP/1.1.
//!
//! Blocking like the rest of the kit. WebSocket over HTTP/2 is for real browsers: see [`crate::real`].

use crate::client::RawClient;
use crate::server::Server;
use crate::wait::PATIENCE;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use tungstenite::handshake::server::{Request, Response};
use tungstenite::http::HeaderValue;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message, accept_hdr, client};

/// Protocol (RFC 6455 section 1.9) that the server takes when it is offered.
pub const PROTOCOL: &str = "echo";

/// Sends back each message; to the text `close CODE REASON` it closes with these.
#[derive(Debug)]
pub struct WebSocketEcho {
    server: Server,
    closes: Arc<Mutex<Vec<Close>>>,
}

/// A close frame: code and reason. No code: the connection ended without one.
pub type Close = Option<(u16, String)>;

impl WebSocketEcho {
    /// Starts it on 127.0.0.1.
    #[must_use]
    pub fn start() -> Self {
        let closes = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&closes);
        let server = Server::start(move |stream, _| {
            if let Some(close) = serve(stream) {
                record.lock().expect("closes").push(close);
            }
        });
        Self { server, closes }
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

    /// How each WebSocket ended, in order; one that did not open is not among them.
    #[must_use]
    pub fn closes(&self) -> Vec<Close> {
        self.closes.lock().expect("closes").clone()
    }
}

#[expect(clippy::result_large_err, reason = "the library's own type")]
fn serve(stream: TcpStream) -> Option<Close> {
    stream.set_read_timeout(Some(PATIENCE * 3)).ok()?;
    let choose = |request: &Request, mut response: Response| {
        let offered = request.headers().get("sec-websocket-protocol").and_then(|value| value.to_str().ok());
        if offered.unwrap_or_default().split(',').any(|word| word.trim() == PROTOCOL) {
            response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(PROTOCOL));
        }
        Ok(response)
    };
    let mut socket = accept_hdr(stream, choose).ok()?;
    let mut ended = None;
    loop {
        let done = match socket.read() {
            Ok(Message::Close(frame)) => {
                ended = frame.map(|frame| (frame.code.into(), frame.reason.as_str().to_owned()));
                Ok(())
            }
            Ok(Message::Text(text)) => match close_asked(text.as_str()) {
                Some(frame) => socket.close(Some(frame)),
                None => socket.send(Message::Text(text)),
            },
            Ok(message @ Message::Binary(_)) => socket.send(message),
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => Ok(()),
            Err(error) => Err(error),
        };
        if done.is_err() {
            return Some(ended);
        }
    }
}

fn close_asked(text: &str) -> Option<CloseFrame> {
    let (code, reason) = text.strip_prefix("close ")?.split_once(' ')?;
    Some(CloseFrame { code: code.parse::<u16>().ok()?.into(), reason: reason.into() })
}

/// A client of a WebSocket.
#[derive(Debug)]
pub struct WebSocket(tungstenite::WebSocket<TcpStream>);

impl WebSocket {
    /// Opens `ws://HOST/PATH` at an address.
    #[track_caller]
    #[must_use]
    pub fn open(addr: SocketAddr, url: &str) -> Self {
        let stream = TcpStream::connect_timeout(&addr, PATIENCE).expect("connect");
        stream.set_read_timeout(Some(PATIENCE)).expect("time-outs");
        stream.set_write_timeout(Some(PATIENCE)).expect("time-outs");
        Self::over(stream, url)
    }

    /// Opens it in a tunnel that stands, of which nothing was read yet.
    #[track_caller]
    #[must_use]
    pub fn through(tunnel: &RawClient, url: &str) -> Self {
        assert!(tunnel.unread.is_empty(), "the tunnel has bytes of its own");
        Self::over(tunnel.wire.tcp().try_clone().expect("a second handle"), url)
    }

    #[track_caller]
    fn over(stream: TcpStream, url: &str) -> Self {
        let (socket, _) = client(url, stream).unwrap_or_else(|error| panic!("{url}: {error}"));
        Self(socket)
    }

    /// Sends a text and reads it back.
    #[track_caller]
    pub fn echo(&mut self, text: &str) {
        self.0.send(Message::text(text)).unwrap_or_else(|error| panic!("send: {error}"));
        match self.0.read() {
            Ok(Message::Text(back)) => assert_eq!(back.as_str(), text),
            Ok(other) => panic!("instead of {text:?} came {other:?}"),
            Err(error) => panic!("instead of {text:?} came {error}"),
        }
    }

    /// Closes with this code and sees the other side agree.
    #[track_caller]
    pub fn close(mut self, code: u16, reason: &str) {
        let frame = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
        self.0.close(Some(frame)).expect("close");
        loop {
            match self.0.read() {
                Ok(Message::Close(Some(frame))) => assert_eq!(u16::from(frame.code), code),
                Ok(_) => {}
                Err(Error::ConnectionClosed) => return,
                Err(error) => panic!("no close: {error}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::eventually;

    #[test]
    fn it_echoes_and_says_how_it_was_closed() {
        let server = WebSocketEcho::start();
        let mut client = WebSocket::open(server.addr(), "ws://a.test/");
        client.echo("hello");
        client.close(4001, "enough");
        let closes = || Some(server.closes()).filter(|closes| !closes.is_empty());
        let closes = eventually(PATIENCE, "a close", closes);
        assert_eq!(closes, [Some((4001, "enough".to_owned()))]);
        let client = WebSocket::open(server.addr(), "ws://a.test/");
        drop(client);
        let closes = || Some(server.closes()).filter(|closes| closes.len() == 2);
        assert_eq!(eventually(PATIENCE, "an end", closes)[1], None);
    }
}
