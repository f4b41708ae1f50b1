//! The streams of a client's connection that were claimed: handed over once, and watched until they are gone.
//!
//! The connection stays as long as they do, tells them when it leaves, and has wider windows from the first of them on.
//! Not here: who claims (`claim.rs`), their bytes (`duplex.rs`).

use crate::h2::claim::{Accepted, ClaimOf, Claims};
use crate::h2::duplex::{Carrier, Duplex, Tie};
use crate::h2::flush::{LazyFlush, Wire};
use crate::h2::settings::{CLAIMED_CONNECTION_WINDOW, CLAIMED_STREAM_WINDOW};
use bytes::Bytes;
use h2::RecvStream;
use h2::server::{Connection, SendResponse};
use http::request::Parts;
use shoalway_net::shard::Shard;
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

/// How often a connection looks whether its shard drains, while nothing but such streams is on it.
pub(super) const LOOK: Duration = Duration::from_secs(5);

/// Whether the windows are what claimed streams need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Windows {
    /// Nothing was claimed.
    #[default]
    AsEver,
    /// Something was: they are to grow.
    Due,
    Wide,
}

/// See above. Without claims it does nothing.
#[derive(Default)]
pub(super) struct Claimed {
    claims: Option<Box<Claims>>,
    ties: Vec<Arc<Tie>>,
    windows: Windows,
}

impl Claimed {
    pub(super) fn ask(&mut self, client: SocketAddr, of: ClaimOf, wire: &Wire) {
        let is_tls13_h2 = wire.is_tls13_h2();
        self.claims = Some(Box::new(Claims { of, client, is_tls13_h2, spent: Cell::new(0) }));
    }

    /// Asks whether a request is claimed.
    pub(super) fn claim(&self, parts: &Parts, wire: &Wire) -> Option<Box<dyn Accepted>> {
        self.claims.as_ref()?.ask(parts, wire)
    }

    /// Whether such streams are open.
    pub(super) const fn is_any(&self) -> bool {
        !self.ties.is_empty()
    }

    /// Answers a claimed request and gives its stream away.
    pub(super) fn hand_over(
        &mut self,
        shard: &Rc<Shard>,
        driver: &Waker,
        accepted: Box<dyn Accepted>,
        mut respond: SendResponse<Bytes>,
        body: RecvStream,
    ) {
        let Some(claims) = &self.claims else { return };
        // RFC 8441 section 5: 200 is the answer that opens the tunnel. A client that is gone already gets none.
        let Ok(send) = respond.send_response(http::Response::new(()), false) else { return };
        let tie = Arc::new(Tie::default());
        tie.watch(driver);
        self.ties.push(Arc::clone(&tie));
        if self.windows == Windows::AsEver {
            self.windows = Windows::Due;
        }
        accepted.run(shard, Duplex::new(&tie, body, send), claims.client, Carrier::new(&tie));
    }

    /// Makes the windows wider when that is due. True: there is something to send. A client that has not yet confirmed
    /// our first SETTINGS gets the next ones when it has.
    pub(super) fn widen(&mut self, connection: &mut Connection<LazyFlush, Bytes>) -> bool {
        let widened =
            self.windows == Windows::Due && connection.set_initial_window_size(CLAIMED_STREAM_WINDOW).is_ok();
        if widened {
            connection.set_target_window_size(CLAIMED_CONNECTION_WINDOW);
            self.windows = Windows::Wide;
        }
        widened
    }

    /// Forgets streams that have ended.
    pub(super) fn sweep(&mut self) {
        if self.is_any() {
            self.ties.retain(|tie| !tie.has_ended());
        }
    }

    /// Tells the streams that the connection leaves.
    pub(super) fn leave(&self) {
        self.ties.iter().for_each(|tie| tie.leave());
    }
}

impl Drop for Claimed {
    /// With the connection gone there is nothing left to end in good order, but nobody need wait any longer.
    fn drop(&mut self) {
        self.leave();
    }
}
