//! Straight out: the dialer, with the egress guard and the operator's rules about addresses.
//!
//! Not here: resolving, racing addresses (`net/dialer`).

use shoalway_net::connect::{Connect, ConnectError, Connected, LocalFuture, Outbound, Session};
use shoalway_net::dialer::{Dial, Dialer};
use shoalway_net::shard::Shard;
use shoalway_net::stream::Stream;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use tokio::time::Instant;

/// The way straight out.
#[derive(Clone)]
pub struct Direct {
    dialer: Dialer,
    bind: Option<IpAddr>,
}

impl Direct {
    /// Connects with `dialer`; `bind` is the local address to leave from, the system's choice without it.
    #[must_use]
    pub const fn new(dialer: Dialer, bind: Option<IpAddr>) -> Self {
        Self { dialer, bind }
    }
}

impl Outbound for Direct {
    fn on(&self, _shard: &Rc<Shard>) -> Rc<dyn Connect> {
        Rc::new(self.clone())
    }
}

impl Connect for Direct {
    fn connect<'a>(&'a self, session: &'a Session) -> LocalFuture<'a, Result<Connected, ConnectError>> {
        Box::pin(async move {
            let allow = |addr: SocketAddr| session.permit.as_ref().map_or(Ok(()), |permit| permit(addr));
            let dial = Dial {
                client: session.client.ip(),
                target: &session.target,
                allow: &allow,
                deadline: Instant::now() + session.limit,
                bind: self.bind,
            };
            let dialed = self.dialer.dial(dial).await?;
            Ok(Connected::new(Stream::tcp(dialed.stream), dialed.addr))
        })
    }
}
