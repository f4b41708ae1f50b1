//! Where an exchange gets its upstream connection: a kept one, another shard's, or a fresh one.

use super::{Exchange, Stage};
use crate::h1::exchange::Around;
use crate::pool::{Lost, Pool, Upstream, UpstreamConnection};
use crate::service::Failed;
use shoalway_net::connect::{Connect, ConnectError, Session};
use shoalway_net::shard::Shard;
use shoalway_net::stream::Stream;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::oneshot;

/// How often a request that an upstream has not looked at is sent to it anew.
const RENEWALS: u8 = 3;

impl Exchange {
    /// The upstream is gone before its answer: once more to the same, on another connection, where that is safe.
    pub(super) fn upstream_closed(
        &mut self,
        around: &mut Around<'_>,
        nothing_read: bool,
        lost: Option<Lost>,
    ) {
        let reused = self.connection.take().is_some_and(|connection| connection.reused);
        let unsent = self.up_out.sent == 0;
        let (safe, most) = match lost {
            Some(Lost::Unseen) => (true, RENEWALS),
            Some(Lost::Stale) => (self.asked.method.is_idempotent() || unsent, 1),
            None => (reused && (self.asked.method.is_idempotent() || unsent), 1),
        };
        if nothing_read && self.goes_on_with_hedge(around, &Failed::UpstreamClosed) {
            return;
        }
        let again = nothing_read && safe && !self.up.gone;
        if again && self.renewed < most {
            self.renewed += 1;
            self.rewind();
            self.acquire(around, false);
            return;
        }
        if again && lost == Some(Lost::Unseen) {
            // Another upstream may have it, whatever the method.
            self.up_out.sent = 0;
        }
        self.fail(around, &Failed::UpstreamClosed);
    }

    /// Nothing of the request counts as sent.
    pub(super) const fn rewind(&mut self) {
        self.up_out.sent = 0;
        self.up_over = false;
        self.up_broken = false;
    }

    /// Takes a kept connection, or opens one.
    pub(super) fn acquire(&mut self, around: &mut Around<'_>, kept: bool) {
        let Some(way) = &self.way else { return };
        let service = &*around.service;
        if kept && let Some(connection) = way.upstream.take(around.shard, |addr| service.permits(addr)) {
            self.flow_over(connection);
            return;
        }
        let others = if kept { way.upstream.ask_others(around.shard) } else { None };
        let session = around.service.session();
        let (shard, upstream, connect) =
            (Rc::clone(around.shard), Rc::clone(&way.upstream), Rc::clone(&way.connect));
        self.stage = Stage::Connecting(match others {
            None => Box::pin(open(shard, connect, session)),
            Some(receive) => Box::pin(race(shard, upstream, connect, session, receive)),
        });
    }
}

pub(super) async fn open(
    shard: Rc<Shard>,
    connect: Rc<dyn Connect>,
    session: Session,
) -> Result<UpstreamConnection, ConnectError> {
    match connect.connect(&session).await {
        Ok(connected) => {
            if !connect.multiplexes() {
                shard.counters().upstream_connects.add(1);
            }
            Ok(UpstreamConnection { stream: connected.stream, addr: connected.addr, reused: false })
        }
        Err(error) => {
            shard.counters().upstream_failures.add(1);
            Err(error)
        }
    }
}

/// Another shard's idle connection or one of our own, whichever comes first; the other goes to the pool.
async fn race(
    shard: Rc<Shard>,
    upstream: Rc<Upstream>,
    connect: Rc<dyn Connect>,
    session: Session,
    receive: oneshot::Receiver<(std::net::TcpStream, SocketAddr)>,
) -> Result<UpstreamConnection, ConnectError> {
    let (give, own) = oneshot::channel();
    let runner = Rc::clone(&shard);
    shard.tasks().spawn(async move {
        let opened = open(Rc::clone(&runner), connect, session).await;
        if let Err(Ok(connection)) = give.send(opened) {
            let pool = runner.local(Pool::default);
            upstream.put(&runner, &pool, connection);
        }
    });
    tokio::pin!(own);
    tokio::select! {
        biased;
        taken = receive => {
            if let Ok((socket, addr)) = taken && let Ok(tcp) = tokio::net::TcpStream::from_std(socket) {
                shard.counters().upstream_taken_over.add(1);
                return Ok(UpstreamConnection { stream: Stream::tcp(tcp), addr, reused: true });
            }
        }
        opened = &mut own => return opened.unwrap_or_else(|_gone| Err(ConnectError::timeout(Duration::ZERO))),
    }
    own.await.unwrap_or_else(|_gone| Err(ConnectError::timeout(Duration::ZERO)))
}
