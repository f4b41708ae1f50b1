//! One attempt to connect, and the driver that runs several of them as `happy_eyeballs` says.
//!
//! Not here: deadlines, which addresses may be tried.

use super::Dialed;
use crate::happy_eyeballs::{Race, RaceConfig, Step};
use socket2::{SockRef, TcpKeepalive};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpSocket;
use tokio::time::{Instant, timeout_at};

/// How one socket is opened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Connector {
    pub(super) bind: Option<IpAddr>,
    pub(super) keepalive: Option<Duration>,
}

impl Connector {
    /// Opens a connection to `addr`.
    pub(super) async fn connect(self, addr: SocketAddr) -> io::Result<Dialed> {
        let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_nodelay(true)?;
        if let Some(silence) = self.keepalive {
            let probes =
                TcpKeepalive::new().with_time(silence).with_interval(PROBE_INTERVAL).with_retries(PROBES);
            SockRef::from(&socket).set_tcp_keepalive(&probes)?;
        }
        if let Some(ip) = self.bind {
            socket.bind(SocketAddr::new(ip, 0))?;
        }
        Ok(Dialed { stream: socket.connect(addr).await?, addr })
    }
}

/// Runs a race; the first connection wins, the others are closed.
///
/// # Errors
/// The error of the attempt that failed last. Want of descriptors does not end a race: an attempt under way may
/// still win.
pub(super) async fn race(
    addrs: Vec<SocketAddr>,
    config: RaceConfig,
    connector: &Connector,
) -> io::Result<Dialed> {
    let mut race = Race::new(addrs, config);
    let mut attempts = Attempts::default();
    loop {
        let ended = match race.next(Instant::now()) {
            Step::Attempt(addr) => {
                attempts.0.push(Box::pin(connector.connect(addr)));
                continue;
            }
            Step::WaitAny => attempts.ended().await,
            Step::WaitUntil(at) => match timeout_at(at, attempts.ended()).await {
                Ok(ended) => ended,
                Err(_next_may_begin) => continue,
            },
            Step::Failed(error) => {
                return Err(error.unwrap_or_else(|| io::ErrorKind::NetworkUnreachable.into()));
            }
        };
        match ended {
            Ok(dialed) => return Ok(dialed),
            Err(error) => race.failed(error),
        }
    }
}

/// The attempts under way: at most eight, so a list is enough.
#[derive(Default)]
struct Attempts(Vec<Pin<Box<dyn Future<Output = io::Result<Dialed>>>>>);

impl Attempts {
    /// Waits for one attempt to end and forgets it. Cancel safe.
    async fn ended(&mut self) -> io::Result<Dialed> {
        poll_fn(|cx| self.poll_ended(cx)).await
    }

    fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Dialed>> {
        for place in 0..self.0.len() {
            let Some(attempt) = self.0.get_mut(place) else { break };
            if let Poll::Ready(ended) = attempt.as_mut().poll(cx) {
                drop(self.0.swap_remove(place));
                return Poll::Ready(ended);
            }
        }
        Poll::Pending
    }
}

/// Pause between keepalive probes.
const PROBE_INTERVAL: Duration = Duration::from_secs(15);
/// Probes without an answer after which the connection is given up: a minute in all.
const PROBES: u32 = 4;
