//! Finds a request's site, client and route, or knows them from the request before.

use super::SiteService;
use super::learned::Learned;
use crate::balance::StickyId;
use crate::http_gateway::RouteOnShard;
use crate::http_gateway::forwarding::{Hop, tell, tell_more};
use crate::routes::{BadPath, Rewrite, Scratch, Seen, Then, see};
use shoalway_types::Target;
use shoalway_wire::http1::request::RequestView;
use std::rc::Rc;

/// A host that was asked, and its site.
pub(super) struct Place {
    authority: Box<str>,
    site: usize,
    /// For the log; none where the host is no name and no address.
    pub(super) target: Option<Rc<Target>>,
}

/// A target that was asked, and its route.
#[derive(Default)]
pub(super) struct Choice {
    route: Option<Rc<RouteOnShard>>,
    method: String,
    target: Vec<u8>,
    /// What goes on in its place; empty: itself.
    pub(super) rewritten: Vec<u8>,
    /// What the current request's sticky cookie says.
    pub(super) sticky: Option<StickyId>,
}

impl SiteService {
    /// Finds the site of a host. False: there is none.
    pub(super) fn find_place(&mut self, authority: &str) -> bool {
        if self.learned.place.as_ref().is_some_and(|place| *place.authority == *authority) {
            return true;
        }
        self.learned.choice.route = None;
        self.learned.told_for = None;
        let hosts = self.learned.gateway.plan.hosts();
        let site = if authority.is_empty() { hosts.any() } else { hosts.find(authority) };
        let port = if self.arrival.secure { 443 } else { 80 };
        self.learned.place = site.map(|site| Place {
            authority: authority.into(),
            site,
            target: Target::parse(authority, Some(port)).ok().map(Rc::new),
        });
        self.learned.place.is_some()
    }

    /// Finds out whom the request is from, and what upstreams are told of that.
    pub(super) fn find_client(&mut self, request: RequestView<'_>, authority: &str) {
        let peer = self.arrival.peer.ip();
        let Learned { gateway, told, told_for, .. } = &mut *self.learned;
        let trusted = &gateway.plan.settings().trusted;
        let hop = Hop { peer, secure: self.arrival.secure, authority };
        if trusted.is_trusted(peer) {
            self.client = trusted.client_of(peer, request);
            tell_more(hop, request, trusted, request.version(), told);
        } else if *told_for != Some(request.version()) {
            tell(hop, request.version(), told);
            *told_for = Some(request.version());
        }
    }

    /// The first route that the request fits.
    pub(super) fn find_route(
        &mut self,
        request: RequestView<'_>,
        authority: &str,
        target: &[u8],
    ) -> Result<Option<Rc<RouteOnShard>>, BadPath> {
        let Some(site) =
            self.learned.place.as_ref().and_then(|place| self.learned.gateway.sites.get(place.site))
        else {
            return Ok(None);
        };
        if site.by_line && self.learned.choice.is_for(request, target) {
            return Ok(self.learned.choice.route.clone());
        }
        let seen = see(target, &mut self.scratch)?;
        let fits = |route: &&Rc<RouteOnShard>| {
            route.route.path.matches(seen.path) && route.route.when.holds(request, authority)
        };
        let found = site.routes.iter().find(fits).map(Rc::clone);
        self.learned.choice.remember(request, target, authority, &seen, found.as_ref());
        Ok(found)
    }

    /// Memory for looking at the current target once more.
    pub(super) fn take_scratch(&mut self) -> Scratch {
        std::mem::take(&mut self.scratch)
    }
}

impl Choice {
    fn is_for(&self, request: RequestView<'_>, target: &[u8]) -> bool {
        self.route.is_some() && self.target == target && self.method == request.method_str()
    }

    fn remember(
        &mut self,
        request: RequestView<'_>,
        target: &[u8],
        authority: &str,
        seen: &Seen<'_>,
        route: Option<&Rc<RouteOnShard>>,
    ) {
        self.rewritten.clear();
        self.route = route.map(Rc::clone);
        let Some(route) = route else { return };
        self.method.clear();
        self.method.push_str(request.method_str());
        self.target.clear();
        self.target.extend_from_slice(target);
        if let Then::Upstream(to) = &route.route.then
            && (to.rewrite != Rewrite::None || seen.had_dots)
        {
            to.rewrite.write(seen, authority.as_bytes(), &route.route.path, &mut self.rewritten);
        }
    }
}
