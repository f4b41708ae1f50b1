//! What stands behind one connection, or one stream of HTTP/2: decides about requests, edits them, settles them.
//!
//! Hot path. What was learned from one request serves the next, on whichever stream of a connection: the site of its
//! host, the lines that tell upstreams of the client, the route of a target that is asked for again. Nothing is allocated
//! for a request that repeats, unless a trusted proxy speaks for its client. What is where: `choose.rs` finds site and
//! route, `learned.rs` keeps them, `act.rs` does what the route says, `journal.rs` writes it down, `traced.rs` for traces. Not here: messages
//! and exchanges (`http/h1`), tries (`attempt.rs`).

mod act;
mod choose;
mod journal;
mod learned;
mod traced;

use super::forwarding::drop_told;
use super::told::Told;
use super::{Gateway, RouteOnShard, answers, tunnel};
use crate::attempt::{self, Attempt};
use crate::files::Found;
use crate::routes::{HostPolicy, Scratch, Then, ToUpstream};
use crate::trace::{self, OpenSpan};
use learned::{Learned, Lent, Spare};
use shoalway_http::answer::Answer;
use shoalway_http::filter::BodyFilter;
use shoalway_http::pool::Upstream;
use shoalway_http::service::{Attempt as Tried, Failed, Hedged, Next, Service, Settled, Tunnel};
use shoalway_http::{level, loops};
use shoalway_net::acme_challenges::AcmeChallenges;
use shoalway_net::connect::{Connect, Isolation, Session};
use shoalway_net::counters::ListenerCounters;
use shoalway_net::shard::Shard;
use shoalway_wire::http1::compose::Edits;
use shoalway_wire::http1::framing::Version;
use shoalway_wire::http1::hop_by_hop::{self, Switch};
use shoalway_wire::http1::known::Known;
use shoalway_wire::http1::method::Method;
use shoalway_wire::http1::request::RequestView;
use shoalway_wire::http1::response::ResponseView;
use shoalway_wire::http1::target::RequestTarget;
use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Where requests come from.
pub(super) struct Arrival {
    /// The client, or the proxy before us; by the PROXY header where there was one.
    pub(super) peer: SocketAddr,
    /// Over TLS.
    pub(super) secure: bool,
    pub(super) counters: Arc<ListenerCounters>,
    /// What upstreams are told of it by a PROXY header, where any is.
    told: RefCell<Option<Rc<Told>>>,
    /// The plan that the last request went by.
    gateway: RefCell<Rc<Gateway>>,
    /// What streams that have ended have learned, for the next ones; none where there are no streams.
    spare: RefCell<Option<Spare>>,
}

impl Arrival {
    pub(super) fn new(
        gateway: &Rc<Gateway>,
        peer: SocketAddr,
        secure: bool,
        counters: Arc<ListenerCounters>,
    ) -> Rc<Self> {
        let gateway = RefCell::new(Rc::clone(gateway));
        let told = RefCell::default();
        Rc::new(Self { peer, secure, counters, told, gateway, spare: RefCell::default() })
    }

    /// The plan to begin with.
    pub(super) fn gateway(&self) -> Rc<Gateway> {
        Rc::clone(&self.gateway.borrow())
    }

    /// It is connected to this address, which upstreams are told.
    pub(super) fn tell(&self, shard: &Rc<Shard>, local: SocketAddr) {
        *self.told.borrow_mut() = Some(Told::new(shard, self.peer, Some(local)));
    }

    /// What upstreams are told. That it is told at all may be newer than the connection: then they hear that it is not known.
    fn told(&self, shard: &Rc<Shard>) -> Rc<Told> {
        Rc::clone(self.told.borrow_mut().get_or_insert_with(|| Told::new(shard, self.peer, None)))
    }

    /// There are streams: they lend one another what they learn.
    pub(super) fn lend(&self, shard: &Shard) {
        *self.spare.borrow_mut() = Some(Spare::new(shard));
    }
}

/// See above.
pub(super) struct SiteService {
    arrival: Rc<Arrival>,
    learned: Lent,
    /// Of the current request: the peer, or whom a trusted proxy speaks for.
    client: IpAddr,
    /// The current request's.
    route: Option<Rc<RouteOnShard>>,
    attempt: Attempt,
    scratch: Scratch,
    /// Until when the current request may wait in line; none: it has not waited.
    in_line: Option<Instant>,
    /// Puts a file here while its request waits.
    found: Rc<RefCell<Option<Found>>>,
    /// What the log says of an answer made here.
    outcome: Option<&'static str>,
    /// Of the current request, when it is sampled.
    span: Option<Box<OpenSpan>>,
}

impl SiteService {
    pub(super) fn new(gateway: Rc<Gateway>, arrival: Rc<Arrival>) -> Self {
        Self {
            client: arrival.peer.ip(),
            learned: Lent::new(gateway, Rc::clone(&arrival)),
            attempt: Attempt::default(),
            arrival,
            route: None,
            scratch: Scratch::default(),
            in_line: None,
            found: Rc::default(),
            outcome: None,
            span: None,
        }
    }

    fn gateway(&self) -> &Rc<Gateway> {
        &self.learned.gateway
    }

    /// Another plan counts since the last request: nothing of what was learned does.
    fn refresh(&mut self) {
        let gateway = self.gateway();
        if !gateway.slot.is_current(gateway)
            && let Some(current) = gateway.slot.current()
        {
            *self.arrival.gateway.borrow_mut() = Rc::clone(&current);
            *self.learned = Learned::new(current);
        }
    }

    /// What an authority is told that checks a name (RFC 8555 section 8.3), whatever sites and routes there are.
    fn challenge(&self, request: RequestView<'_>, target: &[u8]) -> Option<Answer> {
        let challenges = self.gateway().plan.settings().challenges.as_ref()?;
        let asks = target.starts_with(AcmeChallenges::PREFIX.as_bytes());
        if !asks || self.arrival.secure || request.method() != Method::Get {
            return None;
        }
        let path = target.split(|octet| *octet == b'?').next()?;
        let answer = challenges.http_answer(str::from_utf8(path).ok()?)?;
        Some(answers::challenge(&answer))
    }

    fn answer(&mut self, answer: Answer, outcome: &'static str) -> Next {
        self.outcome = Some(outcome);
        Next::Answer(answer)
    }

    fn to_upstream(&self) -> Option<&ToUpstream> {
        match &self.route.as_ref()?.route.then {
            Then::Upstream(to) => Some(to),
            Then::Redirect(_) | Then::Files(_) | Then::Answer(_) => None,
        }
    }

    fn retry_after(&self) -> u32 {
        self.to_upstream().map_or(DEFAULT_RETRY_AFTER, |to| to.backend.retry_after)
    }

    fn host_edits(&self, to: &ToUpstream, request: RequestView<'_>, edits: &mut Edits) {
        let sent = request.get_all(Known::Host).next();
        match (&to.host, sent) {
            (HostPolicy::Set(host), Some(field)) => {
                edits.replace(field.index, b"Host", host.as_bytes());
            }
            (HostPolicy::Set(host), None) => {
                edits.add(b"Host", host.as_bytes());
            }
            (HostPolicy::Keep, Some(_)) => {}
            // HTTP/1.0 may leave it out, 1.1 may not.
            (HostPolicy::Keep, None) => {
                if let Some(picked) = self.attempt.picked() {
                    let address = match &picked.endpoint().key().address {
                        crate::upstream::Address::Net(target) => target.to_string(),
                        crate::upstream::Address::Unix(_) => "localhost".to_owned(),
                    };
                    edits.add(b"Host", address.as_bytes());
                }
            }
        }
    }

    /// Names the endpoint for the next request, where the client does not name it already.
    fn stick(&self, to: &ToUpstream, edits: &mut Edits) {
        let (Some(cookie), Some(picked)) = (&to.backend.sticky, self.attempt.picked()) else { return };
        let Some(id) = picked.sticky_id() else { return };
        if self.learned.choice.sticky == Some(id) {
            return;
        }
        let secure = if self.arrival.secure { "; Secure" } else { "" };
        let age = cookie.max_age.map_or_else(String::new, |age| format!("; Max-Age={}", age.as_secs()));
        let value = format!("{}={id}; Path=/; HttpOnly; SameSite=Lax{secure}{age}", cookie.name);
        edits.add(b"Set-Cookie", value.as_bytes());
    }
}

const DEFAULT_RETRY_AFTER: u32 = 5;

impl SiteService {
    fn next(&mut self, shard: &Rc<Shard>, request: RequestView<'_>) -> Next {
        let found = self.found.borrow_mut().take();
        if let Some(found) = found {
            return self.serve_file(shard, found);
        }
        self.refresh();
        self.route = None;
        self.outcome = None;
        let (authority, target) = match request.target() {
            RequestTarget::Origin(target) => (request.host().unwrap_or_default(), target),
            RequestTarget::Absolute { authority, path, .. } if request.has(Known::Host) => (authority, path),
            RequestTarget::Absolute { .. } => return self.answer(answers::no_host(), "bad_host"),
            RequestTarget::Authority(_) => return self.answer(answers::no_tunnels(), "not_allowed"),
            RequestTarget::Asterisk => return self.answer(answers::options(), "ended_here"),
        };
        if let Some(answer) = self.challenge(request, target).or_else(|| loops::answer(request)) {
            return self.answer(answer, "ended_here");
        }
        if !self.find_place(authority) {
            return self.answer(answers::no_site(), "no_site");
        }
        self.find_client(request, authority);
        match self.find_route(request, authority, target) {
            Ok(Some(route)) => {
                self.route = Some(Rc::clone(&route));
                self.act(shard, request, &route, authority, target)
            }
            Ok(None) => self.answer(answers::no_route(), "no_route"),
            Err(bad) => self.answer(answers::bad_path(bad), bad.word()),
        }
    }
}

impl Service for SiteService {
    fn decide(&mut self, shard: &Rc<Shard>, request: RequestView<'_>) -> Next {
        match self.next(shard, request) {
            Next::Answer(answer) => Next::Answer(answers::as_asked(answer, Some(request))),
            next @ (Next::Upstream { .. } | Next::Tunnel(_) | Next::Wait(_)) => next,
        }
    }

    fn session(&self) -> Session {
        Session {
            client: SocketAddr::new(self.client, self.arrival.peer.port()),
            user: None,
            isolation: Isolation::default(),
            target: Rc::clone(&self.gateway().nowhere),
            limit: self.gateway().plan.settings().limits.connect,
            permit: None,
        }
    }

    fn permits(&self, _addr: SocketAddr) -> bool {
        // Endpoints are the operator's, and one's connections are nobody else's.
        true
    }

    fn edit_request(&mut self, request: RequestView<'_>, edits: &mut Edits) {
        let Some(to) = self.to_upstream() else { return };
        let passes = to.upgrade && level::passes_upgrade(request);
        hop_by_hop::mark(&request, edits, if passes { Switch::Pass } else { Switch::Drop });
        drop_told(&request, edits);
        edits.add_lines(&self.learned.told);
        loops::count_down(request, edits);
        self.host_edits(to, request, edits);
        let begins_traces = to.backend.begins_traces;
        if let Some(route) = &self.route {
            route.route.request.iter().for_each(|edit| edit.mark(&request, edits));
        }
        if !self.learned.choice.rewritten.is_empty() {
            edits.retarget(&[&self.learned.choice.rewritten]);
        }
        if !self.begin_span(request, edits) && begins_traces {
            trace::begin(request, &self.gateway().dice, edits);
        }
    }

    fn edit_response(&mut self, response: ResponseView<'_>, edits: &mut Edits) {
        let switch = if matches!(response.status(), 101 | 426) { Switch::Pass } else { Switch::Drop };
        hop_by_hop::mark(&response, edits, switch);
        if response.is_interim() {
            return;
        }
        if let Some(route) = &self.route {
            route.route.response.iter().for_each(|edit| edit.mark(&response, edits));
        }
        let Some(to) = self.to_upstream() else { return };
        let [older, newer] = &self.gateway().via;
        edits.add_lines(match response.version() {
            Version::Http10 => older,
            Version::Http11 => newer,
        });
        self.stick(to, edits);
        self.attempt.answered(response.status());
        if let Some(span) = &mut self.span {
            span.try_answered(response.status());
        }
    }

    fn filter_response(
        &mut self,
        shard: &Rc<Shard>,
        request: RequestView<'_>,
        response: ResponseView<'_>,
        edits: &mut Edits,
    ) -> Option<Box<dyn BodyFilter>> {
        self.to_upstream()?.compress.as_ref()?.begin(shard, request, response, edits)
    }

    fn failed(&mut self, request: Option<RequestView<'_>>, failure: &Failed) -> Answer {
        self.attempt.failed(failure);
        self.span_try_ends(failure.word());
        let fixed = self.to_upstream().and_then(|to| to.backend.fixed.as_ref());
        let answer = match fixed {
            Some(fixed) if attempt::is_upstreams_fault(failure) => answers::fixed(fixed, request),
            Some(_) | None => answers::failed(failure, self.retry_after()),
        };
        answers::as_asked(answer, request)
    }

    fn again(
        &mut self,
        shard: &Rc<Shard>,
        _request: RequestView<'_>,
        tried: Tried<'_>,
    ) -> Option<(Rc<Upstream>, Rc<dyn Connect>)> {
        let way = match tried {
            Tried::Failed { failure, sent } => self.attempt.again_after(shard, failure, sent),
            Tried::Answered(answer) => self.attempt.again_instead_of(shard, answer.status()),
        }?;
        self.span_try_ends(match tried {
            Tried::Failed { failure, .. } => failure.word(),
            Tried::Answered(_) => "bad_status",
        });
        self.span_tries();
        Some((way.upstream, way.connect))
    }

    fn hedge_after(&self) -> Option<Duration> {
        self.attempt.hedge_after()
    }

    fn hedge(
        &mut self,
        shard: &Rc<Shard>,
        _request: RequestView<'_>,
    ) -> Option<(Rc<Upstream>, Rc<dyn Connect>)> {
        let way = self.attempt.hedge(shard)?;
        Some((way.upstream, way.connect))
    }

    fn hedge_over(&mut self, ended: Hedged<'_>) {
        self.attempt.hedge_over(ended);
    }

    fn keeps_uploads(&self) -> bool {
        self.attempt.keeps_uploads()
    }

    fn content_limit(&self) -> u64 {
        self.route.as_ref().map_or(u64::MAX, |route| route.route.max_content)
    }

    fn patience(&self) -> Option<Duration> {
        self.attempt.patience()
    }

    fn settle(&mut self, shard: &Rc<Shard>, request: Option<RequestView<'_>>, settled: &Settled) {
        self.write(shard, request, settled);
        self.end_span(request, settled);
        self.attempt.settle(settled.outcome);
        self.in_line = None;
        self.found.borrow_mut().take();
        self.route = None;
        self.outcome = None;
    }

    fn tunnel(mut self: Box<Self>, shard: &Rc<Shard>, tunnel: Tunnel) {
        self.end_span_as_tunnel(&tunnel);
        let Self { learned, client, arrival, route, attempt, .. } = *self;
        let gateway = &learned.gateway;
        let facts = tunnel::Facts {
            listener: Arc::clone(&gateway.plan.settings().listener),
            client: SocketAddr::new(client, arrival.peer.port()),
            target: learned.place.as_ref().and_then(|place| place.target.clone()),
            rule: route.map_or(0, |route| route.number),
            attempt,
        };
        tunnel::spawn(shard, facts, tunnel, gateway.plan.settings().limits.tunnel_idle);
    }
}
