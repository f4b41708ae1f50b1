//! Health checks and discovery of all upstreams, as tasks on one shard; each configuration brings its own.
//!
//! What they learn lives in the upstreams. Not here: checks themselves (`reverse/health`), discovery (`reverse/discovery`).

use shoalway_net::shard::Shard;
use shoalway_reverse::discovery::{Discovery, Pace};
use shoalway_reverse::health::checks::{Checks, ChecksConfig};
use shoalway_reverse::health::probe::Prober;
use shoalway_reverse::upstream::Upstream;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// One upstream that is watched.
#[derive(Clone)]
pub struct Watch {
    /// Which.
    pub upstream: Arc<Upstream>,
    /// How it is checked; none: the requests tell.
    pub checks: Option<ChecksConfig>,
    /// What checks it, and resolves names for discovery.
    pub prober: Prober,
}

/// What runs now.
#[derive(Default)]
struct Watchers(RefCell<Vec<Running>>);

/// The tasks of one upstream; they end with it.
struct Running {
    _checks: Checks,
    _discovery: Discovery,
}

/// Watches these upstreams and nobody else.
pub fn watch(watches: Vec<Watch>, shard: &Rc<Shard>) {
    let running = watches.into_iter().map(|Watch { upstream, checks, prober }| {
        let discovery = Discovery::start(&upstream, Pace::default(), prober.dialer.resolver(), shard);
        Running { _checks: Checks::start(upstream, checks, prober, shard), _discovery: discovery }
    });
    let running: Vec<Running> = running.collect();
    // The old ones end when the new ones have begun: nobody is unwatched.
    drop(shard.local(Watchers::default).0.replace(running));
}
