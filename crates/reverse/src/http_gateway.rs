//! A listener of sites on one shard: what stands behind it, and where open connections find its newest plan.
//!
//! What is where: `accept.rs` takes connections (PROXY header, TLS, which HTTP), `service.rs` decides about requests and
//! edits them, `answers.rs` makes what is answered here, `forwarding.rs` what upstreams are told, `backends.rs` and
//! `endpoint.rs` the ways there (`told.rs` those of one client alone), `tunnel.rs` what follows a change of protocol. The tries of a request are in
//! [`crate::attempt`]. Not here: messages and exchanges (`http`), the plan ([`crate::site_plan`]).

mod accept;
mod answers;
pub mod backends;
mod endpoint;
mod forwarding;
mod service;
pub mod told;
mod tunnel;

use crate::dice::Dice;
use crate::routes::{Route, Then};
use crate::site_plan::{Backend, SitePlan};
use crate::trace::Tracer;
use backends::BackendOnShard;
use shoalway_http::h1::ServerConfig;
use shoalway_http::pool::{Pool, Upstream, UpstreamKey};
use shoalway_net::listener::{Accepted, Inbound};
use shoalway_net::shard::Shard;
use shoalway_types::{Host, Target};
use shoalway_wire::http1::compose::Lines;
use shoalway_wire::http1::framing::Version;
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::rc::{Rc, Weak};
use std::sync::Arc;

/// A route with the shard's worker for its upstream.
struct RouteOnShard {
    route: Route,
    backend: Option<Rc<BackendOnShard>>,
    /// Its place in the site, from 1.
    number: u32,
    /// Its word in the log.
    word: &'static str,
}

struct SiteOnShard {
    routes: Vec<Rc<RouteOnShard>>,
    /// Host, method and path alone choose the route.
    by_line: bool,
}

/// A listener of sites on one shard.
pub struct Gateway {
    plan: Arc<SitePlan>,
    sites: Vec<SiteOnShard>,
    server: Rc<ServerConfig>,
    slot: Rc<Slot>,
    dice: Rc<Dice>,
    tracer: Rc<Tracer>,
    /// Under which connections to files would be kept, if they were.
    files: Rc<Upstream>,
    /// Where a session goes that nobody asks for.
    nowhere: Rc<Target>,
    /// What is said of answers that came from upstreams, by their version.
    via: [Lines; 2],
}

impl Gateway {
    pub(crate) fn new(plan: &Arc<SitePlan>, shard: &Rc<Shard>) -> Rc<Self> {
        let settings = plan.settings();
        let backends = shard.local(Backends::default);
        let site = |site: &crate::site_plan::Site| {
            let numbered = (1..).zip(&site.routes);
            let routes: Vec<_> =
                numbered.map(|(number, route)| backends.route(plan, number, route)).collect();
            let by_line = !site.routes.iter().any(Route::asks_for_fields);
            SiteOnShard { routes, by_line }
        };
        let sites = settings.sites.iter().map(site).collect();
        let slots = shard.local(Slots::default);
        let slot = Rc::clone(slots.0.borrow_mut().entry(Arc::clone(&settings.listener)).or_default());
        let nowhere = Target::new(Host::Ip(Ipv4Addr::UNSPECIFIED.into()), 1);
        let key = UpstreamKey { way: FILES, target: nowhere.clone() };
        let via = [Version::Http10, Version::Http11].map(|version| {
            let mut lines = Lines::new();
            forwarding::tell_via(version, &mut lines);
            lines
        });
        let gateway = Rc::new(Self {
            sites,
            server: Rc::new(ServerConfig { net: settings.limits, http: settings.http }),
            slot: Rc::clone(&slot),
            dice: shard.local(Dice::from_system),
            tracer: shard.local(Tracer::default),
            files: shard.local(Pool::default).upstream(shard, &key),
            nowhere: Rc::new(nowhere),
            via,
            plan: Arc::clone(plan),
        });
        *slot.0.borrow_mut() = Some(Rc::clone(&gateway));
        gateway
    }

    /// What it was made of.
    #[must_use]
    pub const fn plan(&self) -> &Arc<SitePlan> {
        &self.plan
    }

    /// Lets go of a listener that was removed. Its open connections go on by the plan they have.
    pub fn forget(shard: &Shard, listener: &str) {
        if let Some(slot) = shard.local(Slots::default).0.borrow_mut().remove(listener) {
            slot.0.borrow_mut().take();
        }
    }
}

impl Inbound for Gateway {
    fn accept(&self, shard: &Rc<Shard>, accepted: Accepted) {
        // None only when the listener is being removed: the connection is closed.
        if let Some(gateway) = self.slot.current() {
            accept::accept(gateway, shard, accepted);
        }
    }
}

/// Stands for files in the pool of connections.
const FILES: u64 = 0x6669_6c65_7300;

/// Where the connections of a listener find what counts for it now.
#[derive(Default)]
struct Slot(RefCell<Option<Rc<Gateway>>>);

impl Slot {
    fn current(&self) -> Option<Rc<Gateway>> {
        self.0.borrow().as_ref().map(Rc::clone)
    }

    fn is_current(&self, gateway: &Rc<Gateway>) -> bool {
        self.0.borrow().as_ref().is_some_and(|current| Rc::ptr_eq(current, gateway))
    }
}

/// All slots of a shard, by listener.
#[derive(Default)]
struct Slots(RefCell<HashMap<Arc<str>, Rc<Slot>>>);

/// The backends of a shard: a plan that uses one that another plan uses shares its connections.
#[derive(Default)]
struct Backends(RefCell<Vec<Weak<BackendOnShard>>>);

impl Backends {
    fn route(&self, plan: &SitePlan, number: u32, route: &Route) -> Rc<RouteOnShard> {
        let backend = match &route.then {
            Then::Upstream(to) => Some(self.find(plan, &to.backend)),
            Then::Redirect(_) | Then::Files(_) | Then::Answer(_) => None,
        };
        Rc::new(RouteOnShard { route: route.clone(), backend, number, word: route.then.word() })
    }

    fn find(&self, plan: &SitePlan, backend: &Arc<Backend>) -> Rc<BackendOnShard> {
        let mut known = self.0.borrow_mut();
        known.retain(|backend| backend.strong_count() > 0);
        let mut alive = known.iter().filter_map(Weak::upgrade);
        if let Some(found) = alive.find(|found| Arc::ptr_eq(found.plan(), backend)) {
            return found;
        }
        let settings = plan.settings();
        let fresh = BackendOnShard::new(backend, settings.limits, settings.http);
        known.push(Rc::downgrade(&fresh));
        fresh
    }
}
