//! Upstreams that speak HTTP/2: what the engine writes and reads through them, shared connections, and their ends.

use super::kit::{Client, Log, Opens, content, session, soon, whole};
use crate::h1::ServerConfig;
use crate::h2::{H2Upstream, UpstreamScheme};
use crate::pool::Lost;
use bytes::Bytes;
use h2::server::{Connection, SendResponse};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Request, Response};
use shoalway_net::connect::{Connect, ConnectErrorKind};
use shoalway_net::limits::Limits;
use shoalway_net::shard::Shard;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

pub(super) struct Wire {
    pub(super) log: Rc<Log>,
    pub(super) upstream: Rc<H2Upstream>,
}

impl Wire {
    pub(super) fn new(shard: &Rc<Shard>) -> Self {
        let log = Rc::new(Log::default());
        let opens: Rc<dyn Connect> = Rc::new(Opens(Rc::clone(&log)));
        let limits = Limits::default();
        let upstream = H2Upstream::new(shard, opens, UpstreamScheme::Http, limits, Default::default());
        Self { log, upstream }
    }

    pub(super) async fn client(&self, shard: &Rc<Shard>) -> Client {
        let connect: Rc<dyn Connect> = Rc::clone(&self.upstream) as Rc<dyn Connect>;
        Client::with(shard, ServerConfig::default(), Some((Rc::clone(&self.log), connect))).await
    }

    /// The next connection that is opened ends at a server with these settings.
    pub(super) fn server(&self, settings: h2::server::Builder) -> impl Future<Output = Server> + use<> {
        let stream = self.log.upstream();
        async move { Server(settings.handshake(stream).await.unwrap()) }
    }
}

pub(super) struct Server(pub(super) Connection<DuplexStream, Bytes>);

impl Server {
    /// The next request. Frames move only while this is awaited.
    pub(super) async fn accept(&mut self) -> (Request<RecvStream>, SendResponse<Bytes>) {
        soon(self.0.accept()).await.expect("a request").unwrap()
    }

    /// Lets frames move for as long as `work` takes.
    pub(super) async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut server = std::pin::pin!(std::future::poll_fn(|cx| self.0.poll_closed(cx)));
        let mut closed = false;
        soon(async {
            tokio::pin!(work);
            loop {
                tokio::select! {
                    done = &mut work => return done,
                    _over = &mut server, if !closed => closed = true,
                }
            }
        })
        .await
    }
}

pub(super) fn answer(respond: &mut SendResponse<Bytes>, ended: bool) -> SendStream<Bytes> {
    respond.send_response(Response::new(()), ended).unwrap()
}

pub(super) fn builder() -> h2::server::Builder {
    h2::server::Builder::new()
}

#[test]
fn a_request_crosses_both_borders_with_interim_answers_content_and_trailers() {
    Shard::test(async |shard| {
        let wire = Wire::new(&shard);
        let server = wire.server(builder());
        let mut client = wire.client(&shard).await;
        let (mut got, mut upload) = client.post(&[("content-type", "application/grpc"), ("te", "trailers")]);
        upload.send_data(Bytes::from_static(b"question"), false).unwrap();
        let mut server = server.await;
        let (request, mut respond) = server.accept().await;
        assert_eq!(request.uri(), "http://a.example/p");
        let (parts, mut body) = request.into_parts();
        let fields: Vec<_> =
            parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(fields, [("content-type", &b"application/grpc"[..]), ("te", b"trailers")]);
        let first = server.beside(body.data()).await.unwrap().unwrap();
        assert_eq!(first, "question");
        let mut early = Response::new(());
        *early.status_mut() = http::StatusCode::EARLY_HINTS;
        respond.send_informational(early).unwrap();
        let interim = server.beside(std::future::poll_fn(|cx| got.poll_informational(cx))).await;
        assert_eq!(interim.unwrap().unwrap().status(), 103);
        let mut down = answer(&mut respond, false);
        down.send_data(Bytes::from_static(b"one"), false).unwrap();
        let response = server.beside(&mut got).await.unwrap();
        let mut body_down = response.into_body();
        assert_eq!(server.beside(body_down.data()).await.unwrap().unwrap(), "one");
        // Both directions are still open: a second message each way.
        upload.send_data(Bytes::from_static(b"more"), false).unwrap();
        assert_eq!(server.beside(body.data()).await.unwrap().unwrap(), "more");
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        down.send_data(Bytes::from_static(b"two"), false).unwrap();
        down.send_trailers(trailers).unwrap();
        let (rest, trailers) = server.beside(content(body_down)).await.unwrap();
        assert_eq!((rest, trailers.unwrap()["grpc-status"].as_bytes()), (b"two".to_vec(), &b"0"[..]));
    });
}

#[test]
fn exchanges_share_a_connection_and_a_second_one_takes_what_the_first_cannot() {
    Shard::test(async |shard| {
        let wire = Wire::new(&shard);
        let mut two = builder();
        two.max_concurrent_streams(2);
        let (first, second) = (wire.server(two.clone()), wire.server(two));
        let mut client = wire.client(&shard).await;
        let answers: Vec<_> = (0..5).map(|_| client.get("/a")).collect();
        let (mut first, mut second) = (first.await, second.await);
        let mut held = Vec::new();
        for _ in 0..2 {
            held.push(first.accept().await.1);
        }
        for _ in 0..2 {
            held.push(second.accept().await.1);
        }
        assert_eq!((wire.upstream.connections(), *wire.log.connects.borrow()), (2, 2));
        // The fifth waits until one of the four is over.
        answer(&mut held[0], true);
        let (_request, mut last) = first.accept().await;
        answer(&mut last, true);
        held.iter_mut().skip(1).for_each(|respond| drop(answer(respond, true)));
        drop(held);
        let all = async {
            for answer in answers {
                assert_eq!(whole(answer).await, "200 content-length=0 | ");
            }
        };
        first.beside(Box::pin(second.beside(all))).await;
        assert_eq!(*wire.log.connects.borrow(), 2);
    });
}

#[test]
fn a_connection_that_is_told_to_go_finishes_and_another_takes_over() {
    Shard::test(async |shard| {
        let wire = Wire::new(&shard);
        let (first, second) = (wire.server(builder()), wire.server(builder()));
        let mut client = wire.client(&shard).await;
        let held = client.get("/a");
        let mut first = first.await;
        let (_request, mut respond) = first.accept().await;
        first.0.graceful_shutdown();
        let mut connections = 1;
        first
            .beside(async {
                while connections > 0 {
                    tokio::task::yield_now().await;
                    connections = wire.upstream.connections();
                }
            })
            .await;
        let next = client.get("/a");
        let mut second = second.await;
        let (_request, mut other) = second.accept().await;
        answer(&mut other, true);
        answer(&mut respond, true);
        assert_eq!(second.beside(whole(next)).await, "200 content-length=0 | ");
        assert_eq!(first.beside(whole(held)).await, "200 content-length=0 | ");
    });
}

#[test]
fn what_an_upstream_has_not_seen_says_so() {
    Shard::test(async |shard| {
        let wire = Wire::new(&shard);
        let server = wire.server(builder());
        let serving = async {
            let (mut first, second) = (server.await, wire.server(builder()));
            let (_request, mut respond) = first.accept().await;
            respond.send_reset(h2::Reason::REFUSED_STREAM);
            let mut second = Box::pin(first.beside(second)).await;
            let (_request, mut respond) = second.accept().await;
            respond.send_reset(h2::Reason::INTERNAL_ERROR);
            second.beside(std::future::pending::<()>()).await;
        };
        let asking = async {
            for refused in [true, false] {
                let mut stream = wire.upstream.connect(&session()).await.unwrap().stream;
                stream.write_all(b"GET /a HTTP/1.1\r\nHost: a.example\r\n\r\n").await.unwrap();
                let error = soon(stream.read(&mut [0])).await.unwrap_err();
                assert_eq!(Lost::of(&error), refused.then_some(Lost::Unseen), "{error:?}");
            }
        };
        tokio::select! { () = serving => {}, () = asking => {} }
    });
}

#[test]
fn an_upstream_that_does_not_speak_http2_is_no_upstream() {
    Shard::test(async |shard| {
        let wire = Wire::new(&shard);
        let mut stream = wire.log.upstream();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        let error = soon(wire.upstream.connect(&session())).await.err().unwrap();
        assert_eq!(error.kind, ConnectErrorKind::Reset);
        // And one that says nothing is waited for as long as connecting may take.
        let _silent = wire.log.upstream();
        let error = soon(wire.upstream.connect(&session())).await.err().unwrap();
        assert_eq!(error.kind, ConnectErrorKind::Timeout);
    });
}

#[test]
fn a_connection_without_streams_is_closed_in_time() {
    Shard::test(async |shard| {
        let wire = Wire::new(&shard);
        let server = wire.server(builder());
        let (connected, server) =
            tokio::join!(async { wire.upstream.connect(&session()).await.unwrap() }, async {
                let mut server = server.await;
                // Moves frames until the connection ends.
                tokio::time::timeout(Duration::from_secs(1), server.0.accept()).await.err();
                server
            });
        let mut server = server;
        drop(connected);
        assert_eq!(wire.upstream.connections(), 1);
        assert!(soon(server.0.accept()).await.is_none());
        assert_eq!(wire.upstream.connections(), 0);
    });
}

#[test]
fn a_websocket_needs_rfc_8441_of_the_upstream() {
    for enabled in [true, false] {
        Shard::test(async |shard| {
            let wire = Wire::new(&shard);
            let mut settings = builder();
            if enabled {
                settings.enable_connect_protocol();
            }
            let server = wire.server(settings);
            let serving = async {
                let mut server = server.await;
                let (request, mut respond) = server.accept().await;
                assert_eq!((request.method().as_str(), request.uri().path()), ("CONNECT", "/ws"));
                assert!(!request.headers().contains_key("sec-websocket-key"));
                let mut body = request.into_body();
                let mut down = answer(&mut respond, false);
                assert_eq!(server.beside(body.data()).await.unwrap().unwrap(), "frame");
                down.send_data(Bytes::from_static(b"reply"), true).unwrap();
                server.beside(std::future::pending::<()>()).await;
            };
            let asking = async {
                let mut stream = wire.upstream.connect(&session()).await.unwrap().stream;
                let request = "GET /ws HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                               Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nframe";
                if !enabled {
                    let head = request.strip_suffix("frame").unwrap();
                    stream.write_all(head.as_bytes()).await.unwrap();
                    let mut all = String::new();
                    soon(stream.read_to_string(&mut all)).await.unwrap();
                    assert!(all.starts_with("HTTP/1.1 501 "), "{all}");
                    return;
                }
                stream.write_all(request.as_bytes()).await.unwrap();
                let mut all = String::new();
                soon(stream.read_to_string(&mut all)).await.unwrap();
                let (head, rest) = all.split_once("\r\n\r\n").unwrap();
                assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
                assert_eq!(rest, "reply");
            };
            tokio::select! { () = serving => {}, () = asking => {} }
        });
    }
}
