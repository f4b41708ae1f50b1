//! Spans of sampled requests: what one request and its tries were, handed over to whoever exports them.
//!
//! A request that is not sampled costs a look at its `traceparent` and a throw of dice, and allocates nothing. One that is
//! becomes the parent of what stands behind: its span's id goes on in `traceparent`. The queue is bounded; what finds no
//! room is counted and dropped, nobody waits. Not here: export, and what of it may be told (`app`).

use super::{Parent, parse};
use crate::dice::Dice;
use shoalway_types::Target;
use shoalway_wire::http1::compose::Edits;
use shoalway_wire::http1::request::RequestView;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Spans that may wait for export, of all shards together.
const QUEUE: usize = 4_096;
/// Tries of one request that are told of.
const MOST_TRIES: usize = 16;
/// Octets of a path that are told of.
const LONGEST_PATH: usize = 1 << 10;

/// Whose word counts on whether a request is sampled: the flag in its `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Follow {
    /// That of proxies that are trusted. The default.
    #[default]
    Trusted,
    /// Everybody's.
    Always,
    /// Nobody's.
    Never,
}

/// How requests are sampled and where their spans go.
#[derive(Clone)]
pub struct Tracing {
    /// How many of a million requests are sampled, 0 to 1,000,000.
    pub per_million: u32,
    /// Whose flag counts instead.
    pub follow: Follow,
    /// Takes the spans.
    pub sink: SpanSink,
}

/// What became of spans.
#[derive(Debug, Default)]
pub struct SpanCounters {
    /// Taken by the collector.
    pub exported: AtomicU64,
    /// Found no room in the queue.
    pub dropped: AtomicU64,
    /// Not taken by the collector.
    pub failed: AtomicU64,
}

/// The shards' end of the queue; clones share it.
#[derive(Clone)]
pub struct SpanSink {
    queue: mpsc::Sender<RequestSpan>,
    counters: Arc<SpanCounters>,
}

impl SpanSink {
    /// A queue, and the end that spans are taken from.
    #[must_use]
    pub fn new(counters: Arc<SpanCounters>) -> (Self, mpsc::Receiver<RequestSpan>) {
        let (queue, spans) = mpsc::channel(QUEUE);
        (Self { queue, counters }, spans)
    }

    fn put(&self, span: RequestSpan) {
        let count = 1 + span.tries.len() as u64;
        if self.queue.try_send(span).is_err() {
            self.counters.dropped.fetch_add(count, Relaxed);
        }
    }
}

/// One request, from its first byte to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestSpan {
    /// Of the whole trace; not 0.
    pub trace: u128,
    /// Its own; not 0.
    pub id: u64,
    /// The span it belongs to, in whoever sent it.
    pub parent: Option<u64>,
    /// Name of the listener.
    pub listener: Arc<str>,
    /// When it began, milliseconds since 1970.
    pub started_ms: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// Its method; empty when its head was no good.
    pub method: Box<str>,
    /// The host it asked for.
    pub target: Option<Target>,
    /// Path without the query, cut at 1 KiB.
    pub path: Box<[u8]>,
    /// Who sent it.
    pub client: SocketAddr,
    /// The word of its route.
    pub verb: &'static str,
    /// The place of its route in its site, from 1; 0: none.
    pub route: u32,
    /// Status of the answer; 0: none.
    pub status: u16,
    /// A stable word: `ok`, or what went wrong.
    pub outcome: &'static str,
    /// Octets of content from the client.
    pub bytes_up: u64,
    /// Octets of content to the client.
    pub bytes_down: u64,
    /// Its tries, at most 16.
    pub tries: Vec<TrySpan>,
}

/// One try of a request at an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrySpan {
    /// Its own; not 0.
    pub id: u64,
    /// The endpoint.
    pub endpoint: Box<str>,
    /// From the beginning of the request.
    pub after: Duration,
    /// How long it took.
    pub elapsed: Duration,
    /// Status of its answer; 0: none.
    pub status: u16,
    /// A stable word: `ok`, or what went wrong.
    pub outcome: &'static str,
}

/// A shard's sampler.
#[derive(Default)]
pub struct Tracer(RefCell<Option<Tracing>>);

impl Tracer {
    /// Samples so from now on; none: nothing is sampled.
    pub fn set(&self, tracing: Option<Tracing>) {
        *self.0.borrow_mut() = tracing;
    }

    /// Whether a request is sampled, and then as what. `trusted` says that who sent it is believed.
    #[must_use]
    pub fn sample(
        &self,
        request: Option<RequestView<'_>>,
        trusted: bool,
        dice: &Dice,
    ) -> Option<Box<OpenSpan>> {
        let tracing = self.0.borrow();
        let tracing = tracing.as_ref()?;
        let came =
            request.and_then(|request| request.find(b"traceparent")).and_then(|field| parse(field.value));
        let counts = match tracing.follow {
            Follow::Trusted => trusted,
            Follow::Always => true,
            Follow::Never => false,
        };
        let sampled = match came.filter(|_| counts) {
            Some(parent) => parent.sampled,
            None => dice.roll() % 1_000_000 < u64::from(tracing.per_million),
        };
        sampled.then(|| Box::new(OpenSpan::new(came, request, dice)))
    }

    /// Hands a span over.
    pub fn put(&self, span: RequestSpan) {
        if let Some(tracing) = self.0.borrow().as_ref() {
            tracing.sink.put(span);
        }
    }
}

/// A sampled request that is under way.
pub struct OpenSpan {
    /// Of the whole trace.
    pub trace: u128,
    /// Its own.
    pub id: u64,
    /// The span it belongs to.
    pub parent: Option<u64>,
    /// Its method.
    pub method: Box<str>,
    /// Its path, without the query.
    pub path: Box<[u8]>,
    tries: Vec<OpenTry>,
}

struct OpenTry {
    id: u64,
    endpoint: Box<str>,
    began: Instant,
    ended: Option<Instant>,
    status: u16,
    outcome: &'static str,
}

impl OpenSpan {
    fn new(came: Option<Parent>, request: Option<RequestView<'_>>, dice: &Dice) -> Self {
        let fresh = || u128::from(dice.roll()) << 64 | u128::from(dice.roll().max(1));
        let target = request.map(|request| request.raw_target()).unwrap_or_default();
        let path = target.split(|octet| *octet == b'?').next().unwrap_or_default();
        Self {
            trace: came.map_or_else(fresh, |parent| parent.trace),
            id: dice.roll().max(1),
            parent: came.map(|parent| parent.span),
            method: request.map_or("", |request| request.method_str()).into(),
            path: path.get(..LONGEST_PATH).unwrap_or(path).into(),
            tries: Vec::new(),
        }
    }

    /// Tells upstreams which span they belong to.
    pub fn mark(&self, request: RequestView<'_>, edits: &mut Edits) {
        super::drop_parent(request, edits, self.parent.is_some());
        super::add_parent(edits, self.trace, self.id, true);
    }

    /// A try begins; the one before has ended.
    pub fn try_begins(&mut self, endpoint: String, dice: &Dice, now: Instant) {
        if self.tries.len() < MOST_TRIES {
            let id = dice.roll().max(1);
            let endpoint = endpoint.into_boxed_str();
            self.tries.push(OpenTry { id, endpoint, began: now, ended: None, status: 0, outcome: "ok" });
        }
    }

    /// The head of the answer of the current try is here.
    pub fn try_answered(&mut self, status: u16) {
        if let Some(last) = self.tries.last_mut().filter(|last| last.ended.is_none()) {
            last.status = status;
        }
    }

    /// The current try ends, if it has not before.
    pub fn try_ends(&mut self, outcome: &'static str, now: Instant) {
        if let Some(last) = self.tries.last_mut().filter(|last| last.ended.is_none()) {
            last.ended = Some(now);
            last.outcome = outcome;
        }
    }

    /// The tries of a request that began then.
    #[must_use]
    pub fn tries(&self, began: Instant, now: Instant) -> Vec<TrySpan> {
        let span = |one: &OpenTry| TrySpan {
            id: one.id,
            endpoint: one.endpoint.clone(),
            after: one.began.saturating_duration_since(began),
            elapsed: one.ended.unwrap_or(now).saturating_duration_since(one.began),
            status: one.status,
            outcome: one.outcome,
        };
        self.tries.iter().map(span).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoalway_wire::http1::compose::{RequestLine, write_request};
    use shoalway_wire::http1::limits::Limits;
    use shoalway_wire::http1::request::RequestHead;

    fn tracer(per_million: u32, follow: Follow) -> (Tracer, mpsc::Receiver<RequestSpan>, Arc<SpanCounters>) {
        let counters = Arc::<SpanCounters>::default();
        let (sink, spans) = SpanSink::new(Arc::clone(&counters));
        let tracer = Tracer::default();
        tracer.set(Some(Tracing { per_million, follow, sink }));
        (tracer, spans, counters)
    }

    /// The span of a request with these fields, and the request as it goes on.
    fn sampled(tracer: &Tracer, trusted: bool, fields: &str) -> Option<(Box<OpenSpan>, String)> {
        let bytes = format!("GET /a?b HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let mut head = RequestHead::new();
        head.parse(bytes.as_bytes(), &Limits::default()).unwrap().unwrap();
        let view = head.view(bytes.as_bytes());
        let open = tracer.sample(Some(view), trusted, &Dice::new(7))?;
        let (mut edits, mut out) = (Edits::new(), Vec::new());
        open.mark(view, &mut edits);
        write_request(&mut out, view, RequestLine::Origin, &edits);
        Some((open, String::from_utf8(out).unwrap().replace("\r\n", "|")))
    }

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn the_flag_that_came_counts_where_it_is_believed() {
        for (per_million, follow, trusted, flag, expected) in [
            (0, Follow::Trusted, true, "01", true),
            (0, Follow::Trusted, false, "01", false),
            (0, Follow::Always, false, "01", true),
            (0, Follow::Never, true, "01", false),
            (1_000_000, Follow::Trusted, true, "00", false),
            (1_000_000, Follow::Trusted, false, "00", true),
            (1_000_000, Follow::Never, true, "00", true),
        ] {
            let (tracer, _spans, _) = tracer(per_million, follow);
            let fields = format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-{flag}\r\n");
            let found = sampled(&tracer, trusted, &fields).is_some();
            assert_eq!(found, expected, "{per_million} {follow:?} {trusted} {flag}");
        }
    }

    #[test]
    fn what_goes_on_names_this_span_as_the_parent() {
        let (tracer, _spans, _) = tracer(1_000_000, Follow::Never);
        let fields = format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-00\r\ntracestate: a=b\r\n");
        let (open, sent) = sampled(&tracer, false, &fields).unwrap();
        assert_eq!((open.parent, &*open.path), (Some(0x00f0_67aa_0ba9_02b7), &b"/a"[..]));
        let id = open.id;
        assert_eq!(
            sent,
            format!("GET /a?b HTTP/1.1|Host: a|tracestate: a=b|traceparent: 00-{TRACE}-{id:016x}-01||")
        );
        let (open, sent) = sampled(&tracer, false, "traceparent: broken\r\ntracestate: a=b\r\n").unwrap();
        let (trace, id) = (open.trace, open.id);
        assert_eq!(open.parent, None);
        assert_eq!(sent, format!("GET /a?b HTTP/1.1|Host: a|traceparent: 00-{trace:032x}-{id:016x}-01||"));
    }

    #[test]
    fn about_as_many_are_sampled_as_were_asked_for() {
        let (tracer, _spans, _) = tracer(100_000, Follow::Trusted);
        let dice = Dice::new(3);
        let found = (0..10_000).filter(|_| tracer.sample(None, false, &dice).is_some()).count();
        assert!((900..1_100).contains(&found), "{found}");
        tracer.set(None);
        assert!(tracer.sample(None, true, &dice).is_none());
    }

    #[test]
    fn a_full_queue_drops_and_counts_and_tries_end_once() {
        let (tracer, mut spans, counters) = tracer(1_000_000, Follow::Never);
        let dice = Dice::new(1);
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let mut open = tracer.sample(None, false, &dice).unwrap();
        open.try_begins("a:1".into(), &dice, at(1));
        open.try_ends("connection_refused", at(3));
        open.try_ends("ok", at(9));
        open.try_begins("b:1".into(), &dice, at(4));
        open.try_answered(200);
        let tries = open.tries(began, at(10));
        let seen: Vec<_> = tries
            .iter()
            .map(|one| {
                (&*one.endpoint, one.after.as_millis(), one.elapsed.as_millis(), one.status, one.outcome)
            })
            .collect();
        assert_eq!(seen, [("a:1", 1, 2, 0, "connection_refused"), ("b:1", 4, 6, 200, "ok")]);
        let span = RequestSpan {
            trace: open.trace,
            id: open.id,
            parent: None,
            listener: "test".into(),
            started_ms: 1,
            elapsed: Duration::from_millis(10),
            method: "GET".into(),
            target: None,
            path: Box::default(),
            client: "127.0.0.1:1".parse().unwrap(),
            verb: "upstream",
            route: 1,
            status: 200,
            outcome: "ok",
            bytes_up: 0,
            bytes_down: 0,
            tries,
        };
        for _ in 0..QUEUE + 5 {
            tracer.put(span.clone());
        }
        assert_eq!(counters.dropped.load(Relaxed), 5 * 3);
        assert_eq!(spans.try_recv().unwrap(), span);
    }
}
