//! `gate`: what a listener does while no endpoint of its upstreams is healthy.
//!
//! With ordinary sockets the kernel answers a SYN before this program hears of it, so a dead service looks alive for one
//! round trip. A gate changes that: the control thread looks at the upstreams and shuts or opens the door of the whole
//! listener. Not here: what a single connection gets meanwhile (reset, `refusal.rs`), who is healthy (`upstream.rs`).
//!
//! ```text
//! open -- none healthy at two looks in a row --> shut -- one healthy --> open      a door that does not move: asked again
//! ```

use crate::upstream::Upstream;
use shoalway_net::connect::LocalFuture;
use shoalway_net::hold;
use shoalway_net::{clock, fleet::Fleet};
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

/// What a listener does while nobody is healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GateMode {
    /// Connections are accepted and reset: the default.
    #[default]
    Serve,
    /// The listening sockets are closed: the kernel refuses, and whoever has another address to try does so at once.
    Refuse,
    /// SYNs are dropped: clients wait, and come through with their next retransmission.
    Hold,
}

/// How often upstreams are looked at.
pub const LOOK: Duration = Duration::from_millis(100);

/// What a gate moves.
pub trait Door {
    /// Lets nobody in any more.
    fn shut(&mut self) -> LocalFuture<'_, io::Result<()>>;
    /// Lets everybody in again.
    fn open(&mut self) -> LocalFuture<'_, io::Result<()>>;
}

/// When to shut and when to open. Pure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gate {
    shut: bool,
    bad_looks: u8,
}

/// What is to be done with the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// Nothing.
    Stay,
    /// Shut it.
    Shut,
    /// Open it.
    Open,
}

impl Gate {
    /// A look at the upstreams; `healthy`: somebody is.
    pub fn look(&mut self, healthy: bool) -> Move {
        self.bad_looks = if healthy { 0 } else { self.bad_looks.saturating_add(1) };
        match (self.shut, healthy) {
            (true, true) => Move::Open,
            (false, false) if self.bad_looks >= BAD_LOOKS => Move::Shut,
            (true | false, _) => Move::Stay,
        }
    }

    /// The door has moved.
    pub const fn moved(&mut self, to: Move) {
        match to {
            Move::Stay => {}
            Move::Shut => self.shut = true,
            Move::Open => self.shut = false,
        }
    }

    /// Whether it is shut.
    #[must_use]
    pub const fn is_shut(&self) -> bool {
        self.shut
    }
}

/// Watches the upstreams of one listener for ever. Dropping it leaves the door as it is.
pub async fn watch(upstreams: Vec<Arc<Upstream>>, mut door: impl Door) {
    let mut gate = Gate::default();
    loop {
        let healthy = upstreams.iter().any(|upstream| has_healthy(upstream));
        let to = gate.look(healthy);
        let done = match to {
            Move::Stay => Ok(()),
            Move::Shut => door.shut().await,
            Move::Open => door.open().await,
        };
        match done {
            Ok(()) => {
                if to != Move::Stay {
                    tracing::warn!(shut = to == Move::Shut, "the gate of a listener moved");
                }
                gate.moved(to);
            }
            Err(error) => tracing::debug!(%error, "the gate of a listener did not move; it is tried again"),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether an upstream has an endpoint that is healthy.
#[must_use]
pub fn has_healthy(upstream: &Upstream) -> bool {
    upstream.set().availability(upstream.moment(clock::now())).healthy > 0
}

/// The door of [`GateMode::Refuse`]: closes a listener on every shard and opens it again.
pub struct ClosingDoor<C, O> {
    /// Closes it on all shards; [`close_on_all`] does.
    pub close: C,
    /// Binds and listens again.
    pub reopen: O,
}

impl<C, O> Door for ClosingDoor<C, O>
where
    C: FnMut() -> LocalFuture<'static, io::Result<()>>,
    O: FnMut() -> LocalFuture<'static, io::Result<()>>,
{
    fn shut(&mut self) -> LocalFuture<'_, io::Result<()>> {
        (self.close)()
    }

    fn open(&mut self) -> LocalFuture<'_, io::Result<()>> {
        (self.reopen)()
    }
}

/// Stops a listener on every shard; what is in its queue is accepted first.
///
/// # Errors
/// When a shard is gone.
pub async fn close_on_all(fleet: &Fleet, id: shoalway_net::listener::ListenerId) -> io::Result<()> {
    for shard in 0..fleet.len() {
        let closed = fleet.ask(shard, move |shard| shard.unlisten(id)).await;
        closed.ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe))?;
    }
    Ok(())
}

/// The door of [`GateMode::Hold`]: second handles of a listener's sockets, one a shard. They must be dropped with the
/// listener, which they keep open.
pub struct HoldingDoor(
    /// The sockets.
    pub Vec<TcpListener>,
);

impl Door for HoldingDoor {
    fn shut(&mut self) -> LocalFuture<'_, io::Result<()>> {
        let done = self.0.iter().try_for_each(hold::hold);
        Box::pin(std::future::ready(done))
    }

    fn open(&mut self) -> LocalFuture<'_, io::Result<()>> {
        let done = self.0.iter().try_for_each(hold::release);
        Box::pin(std::future::ready(done))
    }
}

impl Drop for HoldingDoor {
    fn drop(&mut self) {
        for socket in &self.0 {
            // Whoever listens on without a gate must not find the filter there.
            drop(hold::release(socket));
        }
    }
}

/// Looks without anybody healthy after which the door is shut: one may fall into the moment of a change.
const BAD_LOOKS: u8 = 2;
