//! The demo's web server: the page, its pictures and `/who`, each of which says where it was asked from.
//!
//! One server for all hosts of the demo, on one address. Plain HTTP, so that one can read along. Not here: what is on
//! the page (`page`).

use super::page;
use shoalway_http::answer::Answer;
use shoalway_http::h1::{ServerConfig, ServerConnection};
use shoalway_http::service::{Failed, Next, Service, Settled, Tunnel};
use shoalway_net::connect::{Isolation, Session};
use shoalway_net::listener::{Accepted, Inbound};
use shoalway_net::shard::Shard;
use shoalway_net::stream::Stream;
use shoalway_types::{Host, Target};
use shoalway_wire::http1::compose::Edits;
use shoalway_wire::http1::method::Method;
use shoalway_wire::http1::request::RequestView;
use shoalway_wire::http1::response::ResponseView;
use shoalway_wire::http1::target::RequestTarget;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

/// The server on one shard.
pub struct Origin {
    config: Rc<ServerConfig>,
    port: u16,
}

impl Origin {
    /// For pages whose hosts are all on this port.
    #[must_use]
    pub fn new(port: u16) -> Rc<Self> {
        Rc::new(Self { config: Rc::default(), port })
    }
}

impl Inbound for Origin {
    fn accept(&self, shard: &Rc<Shard>, accepted: Accepted) {
        let Accepted { stream, peer, admitted } = accepted;
        let demo = Box::new(Demo { peer, port: self.port });
        let stream = Stream::tcp(stream);
        let config = Rc::clone(&self.config);
        let connection = ServerConnection::new(Rc::clone(shard), config, stream, demo, admitted);
        shard.tasks().spawn(connection);
    }
}

struct Demo {
    peer: SocketAddr,
    port: u16,
}

impl Demo {
    fn answer(&self, request: RequestView<'_>) -> Answer {
        let from = self.peer.ip();
        if !matches!(request.method(), Method::Get | Method::Head) {
            return Answer::plain(405, "text/plain", "The demo is for looking at.\n")
                .field("Allow", "GET, HEAD");
        }
        let path = match request.target() {
            RequestTarget::Origin(path) | RequestTarget::Absolute { path, .. } => path,
            RequestTarget::Authority(_) | RequestTarget::Asterisk => b"",
        };
        match path.split(|byte| *byte == b'?').next() {
            Some(b"/") => Answer::plain(200, "text/html; charset=utf-8", page::html(from, self.port)),
            Some(b"/part.svg") => {
                let host = request.host().unwrap_or_default();
                Answer::plain(200, "image/svg+xml", page::svg(host, from))
            }
            Some(b"/who") => Answer::plain(200, "text/plain; charset=utf-8", page::who(from)),
            Some(_) | None => Answer::plain(404, "text/plain", "The demo has /, /part.svg and /who.\n"),
        }
    }
}

impl Service for Demo {
    fn decide(&mut self, _shard: &Rc<Shard>, request: RequestView<'_>) -> Next {
        Next::Answer(self.answer(request))
    }

    /// Never asked for: nothing is connected to.
    fn session(&self) -> Session {
        let nowhere = Target::new(Host::Ip(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), 1);
        Session {
            client: self.peer,
            user: None,
            isolation: Isolation::default(),
            target: Rc::new(nowhere),
            limit: Duration::ZERO,
            permit: None,
        }
    }

    fn permits(&self, _addr: SocketAddr) -> bool {
        false
    }

    fn edit_request(&mut self, _request: RequestView<'_>, _edits: &mut Edits) {}

    fn edit_response(&mut self, _response: ResponseView<'_>, _edits: &mut Edits) {}

    fn failed(&mut self, _request: Option<RequestView<'_>>, failure: &Failed) -> Answer {
        Answer::error(failure.status(), failure.word(), "", &failure.sentence())
    }

    fn settle(&mut self, _shard: &Rc<Shard>, _request: Option<RequestView<'_>>, _settled: &Settled) {}

    fn tunnel(self: Box<Self>, _shard: &Rc<Shard>, _tunnel: Tunnel) {}
}
