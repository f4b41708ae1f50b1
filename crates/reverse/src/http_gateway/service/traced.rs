//! The span of a sampled request: its beginning, its tries, its end.
//!
//! Not here: whether it is sampled, and who takes it (`trace/spans.rs`).

use super::SiteService;
use crate::trace::{OpenSpan, RequestSpan};
use shoalway_http::service::{Settled, Tunnel};
use shoalway_net::clock;
use shoalway_wire::http1::compose::Edits;
use shoalway_wire::http1::request::RequestView;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// What is known of a request when it ends.
struct End {
    started_ms: u64,
    elapsed: Duration,
    status: u16,
    outcome: &'static str,
    bytes: (u64, u64),
}

impl SiteService {
    fn sample(&self, request: Option<RequestView<'_>>) -> Option<Box<OpenSpan>> {
        let gateway = self.gateway();
        let trusted = gateway.plan.settings().trusted.is_trusted(self.arrival.peer.ip());
        gateway.tracer.sample(request, trusted, &gateway.dice)
    }

    /// A request is about to be sent to its first endpoint. Whether it is sampled.
    pub(super) fn begin_span(&mut self, request: RequestView<'_>, edits: &mut Edits) -> bool {
        self.span = self.sample(Some(request));
        let Some(span) = &self.span else { return false };
        span.mark(request, edits);
        self.span_tries();
        true
    }

    /// Another try begins.
    pub(super) fn span_tries(&mut self) {
        let dice = std::rc::Rc::clone(&self.gateway().dice);
        let (Some(span), Some(picked)) = (&mut self.span, self.attempt.picked()) else { return };
        span.try_begins(picked.endpoint().key().address.to_string(), &dice, clock::now());
    }

    /// The current try has come to this.
    pub(super) fn span_try_ends(&mut self, outcome: &'static str) {
        if let Some(span) = &mut self.span {
            span.try_ends(outcome, clock::now());
        }
    }

    /// The request has ended: one that was answered here is sampled now.
    pub(super) fn end_span(&mut self, request: Option<RequestView<'_>>, settled: &Settled) {
        let Some(span) = self.span.take().or_else(|| self.sample(request)) else { return };
        let outcome = match (settled.outcome, self.outcome) {
            ("ok", Some(outcome)) => outcome,
            (outcome, _) => outcome,
        };
        let bytes = (settled.bytes_up, settled.bytes_down);
        let Settled { started_ms, elapsed, status, .. } = *settled;
        self.put_span(*span, &End { started_ms, elapsed, status, outcome, bytes });
    }

    /// The request has become a tunnel.
    pub(super) fn end_span_as_tunnel(&mut self, tunnel: &Tunnel) {
        let Some(mut span) = self.span.take() else { return };
        span.try_answered(tunnel.status);
        let elapsed = clock::now().saturating_duration_since(tunnel.started);
        let (started_ms, status) = (tunnel.started_ms, tunnel.status);
        self.put_span(*span, &End { started_ms, elapsed, status, outcome: "ok", bytes: (0, 0) });
    }

    fn put_span(&self, mut span: OpenSpan, end: &End) {
        let now = clock::now();
        span.try_ends(end.outcome, now);
        let began = now.checked_sub(end.elapsed).unwrap_or(now);
        let tries = span.tries(began, now);
        // Without a head nothing was asked for.
        let place = self.learned.place.as_ref().filter(|_| !span.method.is_empty());
        let target = place.and_then(|place| place.target.as_deref());
        let route = self.route.as_deref();
        self.gateway().tracer.put(RequestSpan {
            trace: span.trace,
            id: span.id,
            parent: span.parent,
            listener: Arc::clone(&self.gateway().plan.settings().listener),
            started_ms: end.started_ms,
            elapsed: end.elapsed,
            method: span.method,
            target: target.cloned(),
            path: span.path,
            client: SocketAddr::new(self.client, self.arrival.peer.port()),
            verb: route.map_or("", |route| route.word),
            route: route.map_or(0, |route| route.number),
            status: end.status,
            outcome: end.outcome,
            bytes_up: end.bytes.0,
            bytes_down: end.bytes.1,
            tries,
        });
    }
}
