//! Connects a stream to an endpoint: picked, dialled within its time, and another one when that fails.
//!
//! Nothing was sent to an endpoint that could not be reached, so another try is always safe; how many there are is bounded
//! by the plan, by the upstream's budget, and by its breaker. Not here: when this begins (`establish.rs`).

use super::TcpGateway;
use super::refusal::Refusal;
use crate::balance::{Exclude, PickKey};
use crate::breaker::{Bound, Permit};
use crate::budget::Token;
use crate::upstream::{Address, FailureKind, Outcome, Picked, Upstream};
use shoalway_net::connect::LocalFuture;
use shoalway_net::dialer::{DialError, Dialer};
use shoalway_net::shard::Shard;
use shoalway_net::stream::{Io, Stream};
use shoalway_types::{Failure as _, Retry, Side};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use tokio::time::Instant;

/// A connection, and the address it has where there is one.
pub(super) type Opened = (Stream, Option<SocketAddr>);

/// Opens connections to endpoints. The seam for tests in memory.
pub(super) trait Open {
    /// Opens one, or gives up at the deadline.
    fn open<'a>(
        &'a self,
        address: &'a Address,
        deadline: Instant,
    ) -> LocalFuture<'a, Result<Opened, DialError>>;
}

impl Open for Dialer {
    fn open<'a>(
        &'a self,
        address: &'a Address,
        deadline: Instant,
    ) -> LocalFuture<'a, Result<Opened, DialError>> {
        Box::pin(async move {
            match address {
                Address::Net(target) => {
                    let dialed = self.dial_configured(target, deadline).await?;
                    Ok((Stream::tcp(dialed.stream), Some(dialed.addr)))
                }
                Address::Unix(path) => {
                    let stream = self.dial_unix(path, deadline).await?;
                    Ok((Stream::new(Io::Unix(stream)), None))
                }
            }
        })
    }
}

/// A connection to an endpoint that was picked for a stream.
pub(super) struct Link {
    pub(super) stream: Stream,
    pub(super) addr: Option<SocketAddr>,
    pub(super) picked: Picked,
    pub(super) permit: Permit,
    /// What of a PROXY header is still to be sent; none: it was not composed yet.
    pub(super) header: Option<Vec<u8>>,
}

/// Connects to an endpoint of this upstream.
pub(super) async fn link(
    gateway: Rc<TcpGateway>,
    shard: Rc<Shard>,
    upstream: Arc<Upstream>,
    client: IpAddr,
) -> Result<Link, Refusal> {
    let permit = upstream.enter(Bound::Connections)?;
    upstream.first_try();
    let key = pick_key(&gateway, client);
    let mut tries = Tries { exclude: Exclude::nobody(), made: 0, again: None };
    let mut last = Refusal::NoEndpoint;
    loop {
        let Some(mut picked) = upstream.pick(&key, &tries.exclude, gateway.plan.now()) else {
            return Err(last);
        };
        let _retrying = tries.begin(&gateway, &shard);
        match gateway.connect(&shard, &picked).await {
            Ok((stream, addr)) => {
                picked.answered(gateway.plan.now());
                return Ok(Link { stream, addr, picked, permit, header: None });
            }
            Err(error) => {
                shard.counters().upstream_failures.add(1);
                let again = tries.plan_another(&gateway, &upstream, &picked, &error);
                let fault = matches!(error.side(), Side::Upstream);
                let outcome = if fault { Outcome::Failure(FailureKind::Connect) } else { Outcome::Neutral };
                picked.finish(outcome, gateway.plan.now());
                last = Refusal::Dial(error);
                if !again {
                    return Err(last);
                }
            }
        }
    }
}

fn pick_key(gateway: &TcpGateway, client: IpAddr) -> PickKey {
    match client {
        IpAddr::V4(ip) => PickKey::by_octets(&gateway.dice, &ip.octets()),
        IpAddr::V6(ip) => PickKey::by_octets(&gateway.dice, &ip.octets()),
    }
}

/// The tries of one stream.
struct Tries {
    exclude: Exclude,
    made: u8,
    /// Leave for another try, from budget and breaker.
    again: Option<(Token, Permit)>,
}

impl Tries {
    /// A try begins. A retry holds its permit until the try is over.
    fn begin(&mut self, gateway: &TcpGateway, shard: &Shard) -> Option<Permit> {
        self.made = self.made.saturating_add(1);
        let (token, permit) = self.again.take()?;
        token.spend();
        if let Some(counters) = gateway.counters(shard) {
            counters.retries.add(1);
        }
        Some(permit)
    }

    /// Whether there may be another try after this error; leave is then taken.
    fn plan_another(
        &mut self,
        gateway: &TcpGateway,
        upstream: &Upstream,
        failed: &Picked,
        error: &DialError,
    ) -> bool {
        let worth_it = error.side() == Side::Upstream && error.retry() == Retry::Safe;
        if !worth_it || self.made >= gateway.plan.limits.tries || !self.exclude.add(failed) {
            return false;
        }
        let Some(token) = upstream.retry_token(gateway.plan.now()) else { return false };
        let Ok(permit) = upstream.enter(Bound::Retries) else { return false };
        self.again = Some((token, permit));
        true
    }
}

impl TcpGateway {
    /// A connection to the picked endpoint: one that is open already, or a fresh one.
    async fn connect(self: &Rc<Self>, shard: &Rc<Shard>, picked: &Picked) -> Result<Opened, DialError> {
        let endpoint = picked.endpoint();
        if let Some(opened) = self.take_ready(shard, endpoint) {
            return Ok(opened);
        }
        let deadline = shard.now() + self.plan.limits.connect;
        let opened = self.open.open(&endpoint.key().address, deadline).await?;
        shard.counters().upstream_connects.add(1);
        Ok(opened)
    }
}
