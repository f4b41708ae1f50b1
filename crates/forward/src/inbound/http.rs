//! Requests over HTTP/1: decides about each, edits it, settles it.
//!
//! Hot path. A client that repeats a host and method pays for a comparison: the decision, the target and the idle
//! connections of its upstream are remembered from the request before, as long as the same plan counts. Not here:
//! messages and exchanges (`http/h1`), making a decision for the first time (`route`), pages (`pages`).

mod pages;
mod route;

use super::Client;
use super::connect::{self, Ends};
use crate::facts::{Facts, Told};
use crate::forward::{Forward, Slot};
use crate::login::Verdict;
use crate::plan::Auth;
use crate::replies;
use route::{Kind, Route, To};
use shoalway_http::answer::Answer;
use shoalway_http::auth::{Basic, proxy_authorization};
use shoalway_http::h1::ServerConnection;
use shoalway_http::h2::{Form, ServerH2};
use shoalway_http::service::{Failed, Next, Service, Settled, Tunnel};
use shoalway_http::{level, loops};
use shoalway_net::connect::{ConnectError, ConnectErrorKind, Session};
use shoalway_net::counters::{ListenerCounters, VerbLabel};
use shoalway_net::shard::Shard;
use shoalway_types::{Protocol, Record};
use shoalway_wire::http1::compose::{Edits, RequestLine};
use shoalway_wire::http1::known::Known;
use shoalway_wire::http1::request::RequestView;
use shoalway_wire::http1::response::ResponseView;
use shoalway_wire::http1::target::{RequestTarget, Scheme};
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

/// Serves an HTTP client as a task of the shard.
pub(super) fn spawn(client: Client) {
    let Client { shard, forward, stream, peer, admitted } = client;
    let config = Rc::clone(forward.server());
    let service = Box::new(HttpService::new(forward, peer, Arc::clone(admitted.counters())));
    let tasks = shard.tasks().clone();
    tasks.spawn(ServerConnection::new(shard, config, stream, service, admitted));
}

/// Serves an HTTP/2 client: each of its streams is a request, or a tunnel, of its own.
pub(super) fn spawn_h2(client: Client) {
    let Client { shard, forward, stream, peer, admitted } = client;
    let config = Rc::clone(forward.server());
    let counters = Arc::clone(admitted.counters());
    let make = move || -> Box<dyn Service> {
        Box::new(HttpService::new(Rc::clone(&forward), peer, Arc::clone(&counters)))
    };
    let tasks = shard.tasks().clone();
    tasks.spawn(ServerH2::new(shard, config, stream, Form::Absolute, Box::new(make), admitted));
}

/// What stands behind one HTTP connection.
struct HttpService {
    slot: Rc<Slot>,
    forward: Rc<Forward>,
    peer: SocketAddr,
    counters: Arc<ListenerCounters>,
    /// Who sent the current request.
    user: Option<Rc<str>>,
    /// The last decision.
    route: Option<Rc<Route>>,
    /// Whether it is the current request's.
    routed: bool,
    /// What the log says of an answer made here.
    outcome: Option<&'static str>,
    /// The last log-in could not be checked: too many were.
    busy: Rc<Cell<bool>>,
}

impl HttpService {
    fn new(forward: Rc<Forward>, peer: SocketAddr, counters: Arc<ListenerCounters>) -> Self {
        Self {
            slot: Rc::clone(forward.slot()),
            forward,
            peer,
            counters,
            user: None,
            route: None,
            routed: false,
            outcome: None,
            busy: Rc::default(),
        }
    }

    /// Another plan counts since the last request: nothing of what was decided does.
    fn refresh(&mut self) {
        if !self.slot.is_current(&self.forward)
            && let Some(current) = self.slot.current()
        {
            self.forward = current;
            self.route = None;
        }
    }

    fn answer(&mut self, answer: Answer, outcome: &'static str) -> Next {
        self.outcome = Some(outcome);
        Next::Answer(answer)
    }

    /// Finds out who the client is. Something to do first, or nothing when it may go on.
    fn authenticate(&mut self, shard: &Rc<Shard>, request: RequestView<'_>) -> Option<Next> {
        let forward = Rc::clone(&self.forward);
        let (Some(verdicts), Auth::Users { realm, .. }) = (forward.verdicts(), &forward.plan().auth) else {
            self.user = None;
            return None;
        };
        let Some(login) = proxy_authorization(&request) else {
            self.user = None;
            return Some(self.answer(Answer::proxy_auth_required(realm), "login_missing"));
        };
        match verdicts.known(shard, login.user(), login.password()) {
            Some(Verdict::Right) => {
                if self.user.as_deref() != Some(login.user()) {
                    self.user = Some(login.user().into());
                }
                None
            }
            Some(Verdict::Wrong) => {
                self.user = None;
                Some(self.answer(Answer::proxy_auth_required(realm), "login_wrong"))
            }
            Some(Verdict::Busy) => Some(self.answer(Answer::busy(1), "busy")),
            None if self.busy.take() => Some(self.answer(Answer::busy(1), "busy")),
            None => Some(self.find_out(shard, &login)),
        }
    }

    /// The verdict itself comes back through the cache, where it belongs to this user and password alone.
    fn find_out(&self, shard: &Rc<Shard>, login: &Basic) -> Next {
        let (shard, forward, busy) = (Rc::clone(shard), Rc::clone(&self.forward), Rc::clone(&self.busy));
        let (user, password) = (login.user().to_owned(), login.password().to_vec());
        Next::Wait(Box::pin(async move {
            if let Some(verdicts) = forward.verdicts() {
                let verdict = verdicts.find_out(&shard, &user, &password).await;
                busy.set(verdict == Verdict::Busy);
            }
        }))
    }

    fn go(&mut self, shard: &Rc<Shard>, request: RequestView<'_>, kind: Kind, authority: &str) -> Next {
        let known = self
            .route
            .as_ref()
            .is_some_and(|route| route.is_for(request, kind, authority, self.user.as_ref()));
        if !known {
            match Route::find(
                &self.forward,
                shard,
                self.peer.ip(),
                self.user.as_ref(),
                request,
                kind,
                authority,
            ) {
                Ok(route) => self.route = Some(Rc::new(route)),
                Err(error) => {
                    let sentence = format!("The target cannot be used: {error}.");
                    let answer = Answer::error(400, "http_request_error", "target", &sentence);
                    return self.answer(answer, "bad_target");
                }
            }
        }
        self.routed = true;
        let Some(route) = self.route.as_ref().map(Rc::clone) else { return Next::Answer(Answer::empty(500)) };
        match &route.to {
            To::Upstream { upstream, connect, line, .. } => {
                Next::Upstream { upstream: Rc::clone(upstream), connect: Rc::clone(connect), line: *line }
            }
            To::Tunnel { connect, .. } => Next::Tunnel(Rc::clone(connect)),
            To::Blocked { say } => {
                let line = self.forward.plan().rules.line(route.rule).unwrap_or_default().to_owned();
                self.answer(Answer::blocked(route.rule, &line, say.as_deref()), "blocked")
            }
            To::Missing => {
                let sentence = "A rule asks for a way out that this proxy does not have.";
                self.answer(Answer::error(502, "proxy_configuration_error", "", sentence), "no_such_way")
            }
            To::Status => {
                let page = pages::status(&self.forward, self.peer, self.user.as_deref());
                self.answer(page, "ok")
            }
        }
    }

    /// The rule that refused every address of the current target.
    fn refused_by_address(&self, error: &ConnectError) -> Option<u32> {
        if error.kind != ConnectErrorKind::Forbidden || !self.routed {
            return None;
        }
        self.route.as_ref()?.addresses.as_ref()?.refused()
    }

    fn connect_failed(&mut self, error: &ConnectError) -> Answer {
        if let Some(rule) = self.refused_by_address(error) {
            self.outcome = Some("blocked");
            let line = self.forward.plan().rules.line(rule).unwrap_or_default();
            return Answer::blocked(rule, line, None);
        }
        let status = replies::of(error).http;
        Answer::error(status, error.word, "", &sentence(&error.detail))
    }
}

impl Service for HttpService {
    fn decide(&mut self, shard: &Rc<Shard>, request: RequestView<'_>) -> Next {
        self.refresh();
        self.routed = false;
        self.outcome = None;
        let (kind, authority) = match request.target() {
            RequestTarget::Absolute { scheme: Scheme::Http | Scheme::Ws, authority, .. } => {
                (if level::passes_upgrade(request) { Kind::Upgrade } else { Kind::Plain }, authority)
            }
            RequestTarget::Absolute { scheme: Scheme::Https | Scheme::Wss, .. } => {
                return self.answer(pages::use_connect(), "scheme");
            }
            RequestTarget::Authority(authority) => (Kind::Tunnel, authority),
            RequestTarget::Origin(_) | RequestTarget::Asterisk => {
                return self.answer(pages::this_is_a_proxy(request.method()), "not_proxied");
            }
        };
        if !self.forward.plan().admits(self.peer.ip()) {
            let sentence = "This proxy is not open to your address.";
            let answer = Answer::error(403, "http_request_denied", "client", sentence).closing();
            return self.answer(answer, "client_denied");
        }
        if let Some(next) = self.authenticate(shard, request) {
            return next;
        }
        if let Some(answer) = loops::answer(request) {
            return self.answer(answer, "ended_here");
        }
        self.go(shard, request, kind, authority)
    }

    fn session(&self) -> Session {
        let route = self.route.as_ref();
        Session {
            client: self.peer,
            user: self.user.clone(),
            isolation: route.map(|route| route.isolation.clone()).unwrap_or_default(),
            target: route.map_or_else(route::nowhere, |route| Rc::clone(&route.target)),
            limit: self.forward.plan().limits.connect,
            permit: route.and_then(|route| route.addresses.as_ref()).map(|rules| rules.permit()),
        }
    }

    fn permits(&self, addr: SocketAddr) -> bool {
        let guard = self.forward.plan().dialer.guard();
        self.route.as_ref().is_some_and(|route| route.permits(guard, self.peer.ip(), addr))
    }

    fn edit_request(&mut self, request: RequestView<'_>, edits: &mut Edits) {
        level::edit_request(self.forward.plan().level, request, self.peer.ip(), edits);
        loops::count_down(request, edits);
        if let Some(route) = &self.route
            && let To::Upstream { authorization: Some(value), .. } = &route.to
        {
            edits.add(b"Proxy-Authorization", value.as_bytes());
        }
    }

    fn edit_response(&mut self, response: ResponseView<'_>, edits: &mut Edits) {
        level::edit_response(self.forward.plan().level, response, edits);
    }

    /// A 407 is meant for whoever speaks to that proxy next, which is this one (RFC 9110 section 11.7.1). Passed on, it
    /// would have our client send its password to us, who never asked for one.
    fn rejects(&self, response: ResponseView<'_>) -> Option<Failed> {
        let through_proxy = matches!(
            self.route.as_ref()?.to,
            To::Upstream { line: RequestLine::Absolute, is_direct: false, .. }
        );
        let error = || {
            let detail = "the upstream proxy refuses our log-in";
            ConnectError::new(ConnectErrorKind::ProxyAuth, "proxy_configuration_error", detail)
        };
        (through_proxy && response.status() == 407).then(|| Failed::Connect(error()))
    }

    fn failed(&mut self, _request: Option<RequestView<'_>>, failure: &Failed) -> Answer {
        match failure {
            Failed::Connect(error) => self.connect_failed(error),
            Failed::Refused(refusal) | Failed::BadAnswer(refusal) => Answer::error(
                failure.status(),
                failure.word(),
                refusal.word(),
                &sentence(&failure.sentence()),
            ),
            Failed::ClientTimeout | Failed::UpstreamClosed | Failed::UpstreamTimeout | Failed::Ended => {
                Answer::error(failure.status(), failure.word(), "", &sentence(&failure.sentence()))
            }
        }
    }

    fn settle(&mut self, shard: &Rc<Shard>, request: Option<RequestView<'_>>, settled: &Settled) {
        let route = if self.routed { self.route.as_deref() } else { None };
        self.counters.request(route.map_or(VerbLabel::None, |route| route.label), settled.status);
        self.counters.bytes_up.add(settled.bytes_up);
        self.counters.bytes_down.add(settled.bytes_down);
        self.counters.durations.observe(settled.elapsed);
        let is_tunnel =
            request.is_some_and(|request| matches!(request.target(), RequestTarget::Authority(_)));
        if is_tunnel
            && settled.upstream.is_none()
            && route.is_some_and(|route| matches!(route.to, To::Tunnel { .. }))
        {
            shard.counters().upstream_failures.add(1);
        }
        if shard.journal().is_on() {
            self.write(shard, request, route, settled, is_tunnel);
        }
        self.routed = false;
        self.outcome = None;
    }

    fn tunnel(self: Box<Self>, shard: &Rc<Shard>, tunnel: Tunnel) {
        let Tunnel { client, upstream, addr, started, started_ms, status, admitted } = tunnel;
        let Some(route) = self.route else { return };
        let switched = status == 101;
        if !switched {
            shard.counters().upstream_connects.add(1);
        }
        let preface = upstream.early().windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |at| at + 4);
        let idle = self.forward.plan().limits.tunnel_idle;
        let facts = Facts {
            shard: Rc::clone(shard),
            listener: Arc::clone(&self.forward.plan().listener),
            protocol: if switched { Protocol::Upgrade } else { Protocol::Connect },
            client: self.peer,
            user: self.user,
            method: route.method.as_ref().into(),
            target: Some(Rc::clone(&route.target)),
            verb: Arc::clone(&route.verb),
            label: route.label,
            rule: route.rule,
            started,
            started_ms,
            told: Told::default(),
            admitted,
        };
        facts.say(status, status);
        facts.told.upstream.set(Some(addr));
        connect::spawn(facts, Ends { client, upstream, preface: preface as u64, idle });
    }
}

impl HttpService {
    fn write(
        &self,
        shard: &Rc<Shard>,
        request: Option<RequestView<'_>>,
        route: Option<&Route>,
        settled: &Settled,
        is_tunnel: bool,
    ) {
        let path = match request.map(|request| request.target()) {
            Some(RequestTarget::Absolute { path, .. } | RequestTarget::Origin(path)) => path,
            Some(RequestTarget::Authority(_) | RequestTarget::Asterisk) | None => &[],
        };
        let field = |known| request.and_then(|request| request.get(known)).unwrap_or_default();
        // A name whose addresses are all refused by rules is blocked by those.
        let by_address = match self.outcome {
            Some("blocked") => route.and_then(|route| route.addresses.as_ref()?.refused()),
            Some(_) | None => None,
        };
        shard.journal().write(&Record {
            started_ms: settled.started_ms,
            elapsed: settled.elapsed,
            listener: &self.forward.plan().listener,
            protocol: if is_tunnel { Protocol::Connect } else { Protocol::Http },
            client: self.peer,
            user: self.user.as_deref(),
            method: request.map_or("", |request| request.method_str()),
            host: route.map(|route| &route.target.host),
            port: route.map_or(0, |route| route.target.port),
            path,
            status: settled.status,
            bytes_up: settled.bytes_up,
            bytes_down: settled.bytes_down,
            verb: if by_address.is_some() { "block" } else { route.map_or("", |route| &route.verb) },
            rule: by_address.unwrap_or_else(|| route.map_or(0, |route| route.rule)),
            upstream: settled.upstream,
            outcome: self.outcome.unwrap_or(settled.outcome),
            user_agent: field(Known::UserAgent),
            referer: field(Known::Referer),
        });
    }
}

/// A part of a sentence as one: with a capital letter and a full stop.
fn sentence(part: &str) -> String {
    let mut characters = part.chars();
    let mut text: String =
        characters.next().into_iter().flat_map(char::to_uppercase).chain(characters).collect();
    if !text.ends_with('.') {
        text.push('.');
    }
    text
}
