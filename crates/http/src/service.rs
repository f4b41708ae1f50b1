//! The seam between a connection and what stands behind it: forward's dispatch today, reverse's attempt later.
//!
//! One [`Service`] a connection: it may keep what it learned from one request for the next. It decides
//! synchronously, since most decisions need no wait; what needs one says so and is asked again. Not here: moving
//! bytes (`h1`).

use crate::answer::Answer;
use crate::filter::BodyFilter;
use crate::pool::Upstream;
use shoalway_net::admission::Admitted;
use shoalway_net::connect::{Connect, LocalFuture, Session};
use shoalway_net::shard::Shard;
use shoalway_net::stream::Stream;
use shoalway_wire::http1::compose::{Edits, RequestLine};
use shoalway_wire::http1::request::RequestView;
use shoalway_wire::http1::response::ResponseView;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// What happens to a request.
pub enum Next {
    /// It is sent to an upstream.
    Upstream {
        /// Idle connections of the way and target it takes.
        upstream: Rc<Upstream>,
        /// Opens a fresh one.
        connect: Rc<dyn Connect>,
        /// Form of the target in the request line.
        line: RequestLine,
    },
    /// It is answered here.
    Answer(Answer),
    /// It becomes a tunnel once this way out has connected.
    Tunnel(Rc<dyn Connect>),
    /// The decision needs this first; then it is asked for again.
    Wait(LocalFuture<'static, ()>),
}

/// How one request ended.
#[derive(Debug, Clone, Copy)]
pub struct Settled {
    /// Status sent to the client; 0 when none was.
    pub status: u16,
    /// Body bytes from the client.
    pub bytes_up: u64,
    /// Body bytes to the client.
    pub bytes_down: u64,
    /// Address of the upstream connection, if there was one.
    pub upstream: Option<SocketAddr>,
    /// From the first byte of the request to the end.
    pub elapsed: Duration,
    /// Wall-clock time of the beginning, milliseconds since 1970.
    pub started_ms: u64,
    /// A stable word: `ok`, or what went wrong.
    pub outcome: &'static str,
}

/// An attempt that did not end with an answer for the client, for [`Service::again`].
#[derive(Clone, Copy)]
pub enum Attempt<'a> {
    /// There is no answer.
    Failed {
        /// Why.
        failure: &'a Failed,
        /// Whether the upstream may have seen something of the request.
        sent: bool,
    },
    /// There is one, of which nothing was passed on yet.
    Answered(ResponseView<'a>),
}

/// How a second try beside the first goes on, for [`Service::hedge_over`].
#[derive(Clone, Copy)]
pub enum Hedged<'a> {
    /// The second has answered before the first, which is given up.
    Won,
    /// The second is given up: the first has answered, or nobody waits any more.
    Lost,
    /// The second came to nothing, and the first goes on.
    Failed(&'a Failed),
    /// The first came to nothing, and the second goes on in its place.
    Alone(&'a Failed),
}

/// What stands behind one HTTP connection.
pub trait Service {
    /// Decides about a request whose head is complete. Hot path.
    fn decide(&mut self, shard: &Rc<Shard>, request: RequestView<'_>) -> Next;

    /// The session for the request decided last, for opening a connection. Cold path.
    fn session(&self) -> Session;

    /// Whether the client may use a kept connection to this address; asked each time one is taken.
    fn permits(&self, addr: SocketAddr) -> bool;

    /// Marks what changes in the request on its way to the upstream.
    fn edit_request(&mut self, request: RequestView<'_>, edits: &mut Edits);

    /// Marks what changes in the answer on its way to the client.
    fn edit_response(&mut self, response: ResponseView<'_>, edits: &mut Edits);

    /// What the content of an answer goes through on its way to the client. Asked once of a final answer with content,
    /// after [`Service::edit_response`]; the service marks what that changes in the head, length and framing apart, to
    /// which the engine sees. Asked of a 304 too, which tells of content the client has; what it then gives is not used.
    /// The default: nothing, which costs nothing.
    fn filter_response(
        &mut self,
        _shard: &Rc<Shard>,
        _request: RequestView<'_>,
        _response: ResponseView<'_>,
        _edits: &mut Edits,
    ) -> Option<Box<dyn BodyFilter>> {
        None
    }

    /// The answer for a request that failed on its way out. `None` in `request` when its head was no good.
    fn failed(&mut self, request: Option<RequestView<'_>>, failure: &Failed) -> Answer;

    /// Why an answer is not the client's, who is then told so instead. Asked before anything of it is passed on. The
    /// default: every answer is the client's.
    fn rejects(&self, _response: ResponseView<'_>) -> Option<Failed> {
        None
    }

    /// Another upstream to send the same request to. Asked only while the whole request can be sent again and nothing
    /// of an answer was passed on; whether that is safe for the method is the service's to judge. The default: none.
    fn again(
        &mut self,
        _shard: &Rc<Shard>,
        _request: RequestView<'_>,
        _attempt: Attempt<'_>,
    ) -> Option<(Rc<Upstream>, Rc<dyn Connect>)> {
        None
    }

    /// After how long without a byte of an answer [`Service::hedge`] is asked, counted from the decision. The default: never.
    /// Hot path.
    fn hedge_after(&self) -> Option<Duration> {
        None
    }

    /// Another upstream that is sent the same request beside the first, whichever answers first counts. Asked at most once
    /// of a request, while the whole of it can be sent again and nothing of an answer has come; whether the method may be
    /// carried out twice is the service's to judge. The default: none.
    fn hedge(
        &mut self,
        _shard: &Rc<Shard>,
        _request: RequestView<'_>,
    ) -> Option<(Rc<Upstream>, Rc<dyn Connect>)> {
        None
    }

    /// What became of the second try. Without a word it ends with the request.
    fn hedge_over(&mut self, _ended: Hedged<'_>) {}

    /// Whether uploads of up to 64 KiB are kept until the answer begins, so that they can be sent again. The default:
    /// only over a connection that was kept, since that may turn out to be dead.
    fn keeps_uploads(&self) -> bool {
        false
    }

    /// How many octets the content of the current request may have where its length is not announced. Over that it is
    /// refused with 413. An announced length is for [`Service::decide`] to judge. The default: any number.
    fn content_limit(&self) -> u64 {
        u64::MAX
    }

    /// How long the current attempt may take until its answer begins, when that is less than the listener's limits
    /// say: for connecting, and for the answer once the request was sent. The default: they alone count.
    fn patience(&self) -> Option<Duration> {
        None
    }

    /// A request has ended, however it did. Called exactly once for each request that was decided or refused.
    fn settle(&mut self, shard: &Rc<Shard>, request: Option<RequestView<'_>>, settled: &Settled);

    /// Takes the connection over as a tunnel between client and upstream. `settled` has what is known so far.
    fn tunnel(self: Box<Self>, shard: &Rc<Shard>, tunnel: Tunnel);
}

/// A connection that became a tunnel.
pub struct Tunnel {
    /// The client's side, with what it sent already.
    pub client: Stream,
    /// The far side, with what it sent already.
    pub upstream: Stream,
    /// Its address.
    pub addr: SocketAddr,
    /// When the request began.
    pub started: tokio::time::Instant,
    /// Wall-clock time of the beginning, milliseconds since 1970.
    pub started_ms: u64,
    /// Status of the answer that made it a tunnel: 200 or 101.
    pub status: u16,
    /// Counts the connection, which lives on as the tunnel.
    pub admitted: Admitted,
}

/// Why a request could not be answered by its upstream.
#[derive(Debug, Clone)]
pub enum Failed {
    /// What the client sent breaks the protocol, or is more than is accepted.
    Refused(shoalway_wire::http1::refusal::Refusal),
    /// The client was too slow with its request.
    ClientTimeout,
    /// There is no connection to the upstream.
    Connect(shoalway_net::connect::ConnectError),
    /// The upstream closed or broke before its answer.
    UpstreamClosed,
    /// What the upstream sent is no answer.
    BadAnswer(shoalway_wire::http1::refusal::Refusal),
    /// The upstream did not answer in time.
    UpstreamTimeout,
    /// The proxy is ending the exchange: a drain, or a rule that changed.
    Ended,
}

impl Failed {
    /// Status of the answer, RFC 9110 section 15.
    #[must_use]
    pub const fn status(&self) -> u16 {
        use shoalway_net::connect::ConnectErrorKind as Kind;
        match self {
            Self::Refused(refusal) => refusal.status(),
            Self::ClientTimeout => 408,
            Self::Connect(error) => match error.kind {
                Kind::Timeout => 504,
                Kind::Forbidden => 403,
                Kind::Local => 503,
                Kind::Dns
                | Kind::NameNotFound
                | Kind::Refused
                | Kind::Unreachable
                | Kind::Reset
                | Kind::Tls
                | Kind::ProxyAuth
                | Kind::Proxy => 502,
            },
            Self::UpstreamClosed | Self::BadAnswer(_) => 502,
            Self::UpstreamTimeout => 504,
            Self::Ended => 503,
        }
    }

    /// Error type for `Proxy-Status`, RFC 9209 section 2.3, and word for the log.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Refused(_) => "http_request_error",
            Self::ClientTimeout => "http_request_timeout",
            Self::Connect(error) => error.word,
            Self::UpstreamClosed => "http_response_incomplete",
            Self::BadAnswer(_) => "http_protocol_error",
            Self::UpstreamTimeout => "http_response_timeout",
            Self::Ended => "proxy_internal_response",
        }
    }

    /// One sentence for the client.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Refused(refusal) => refusal.sentence().to_owned(),
            Self::ClientTimeout => "The request did not arrive in time.".to_owned(),
            Self::Connect(error) => error.detail.to_string(),
            Self::UpstreamClosed => "The far side closed the connection before it had answered.".to_owned(),
            Self::BadAnswer(refusal) => {
                format!("The far side's answer is not valid HTTP: {}", refusal.sentence())
            }
            Self::UpstreamTimeout => "The far side did not answer in time.".to_owned(),
            Self::Ended => "The proxy is ending this connection.".to_owned(),
        }
    }
}
