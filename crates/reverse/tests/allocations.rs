//! A small request to a site over kept connections allocates nothing once everything is warm.
//!
//! One process, one test: the counter sees every thread. Client and origin use fixed buffers on the same shard.
#![allow(clippy::disallowed_methods, reason = "a test's own loopback sockets")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

use shoalway_http::pool::{Pool, PoolRegistry};
use shoalway_net::admission::Admitted;
use shoalway_net::dialer::{DialConfig, Dialer};
use shoalway_net::egress_guard::{EgressGuard, Reach};
use shoalway_net::journal::LineFormat;
use shoalway_net::limits::Limits;
use shoalway_net::listener::Accepted;
use shoalway_net::resolver::{Resolver, ResolverConfig};
use shoalway_net::shard::Shard;
use shoalway_reverse::routes::{HostPattern, PathPattern, Route, Then, ToUpstream};
use shoalway_reverse::site_plan::{Backend, Site, SitePlan, SiteSettings};
use shoalway_reverse::trace::{Follow, SpanSink, Tracer, Tracing};
use shoalway_reverse::upstream::{EndpointSpec, Registry, Scheme, Upstream, UpstreamConfig};
use shoalway_types::Record;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nServer: o\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello";
const REQUEST: &[u8] = b"GET /some/path?with=query HTTP/1.1\r\nHost: app.example\r\nUser-Agent: test\r\n\
                         Accept: */*\r\nCookie: a=b; c=d\r\n\
                         traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00\r\n\r\n";
const WARM: usize = 500;
const COUNTED: usize = 200;

/// A line as a real format writes it: bytes into the buffer, nothing else.
struct Plain;

impl LineFormat for Plain {
    fn write(&self, record: &Record<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(record.method.as_bytes());
        out.push(b'\n');
    }
}

/// Two sites with routes before the one that fits, and two endpoints to choose from.
fn plan(endpoints: &[SocketAddr]) -> SitePlan {
    let guard = Arc::new(EgressGuard::new(Reach::Default, vec![], vec![]));
    let resolver = Resolver::new(ResolverConfig::default(), tokio::runtime::Handle::current()).unwrap();
    let dialer = Dialer::new(resolver, guard, DialConfig::default());
    let registry = Registry::new(Instant::now());
    let specs = endpoints.iter().map(|addr| EndpointSpec::parse(&addr.to_string(), Scheme::Http).unwrap());
    let now = registry.epoch().moment(Instant::now());
    let upstream = Arc::new(Upstream::new(&registry, UpstreamConfig::new("app", specs.collect()), now));
    let backend = Arc::new(Backend::new(upstream, dialer));
    let to = |path: &str| {
        let then = Then::Upstream(Arc::new(ToUpstream::new(Arc::clone(&backend))));
        Route::new(PathPattern::parse(path).unwrap(), then)
    };
    let site = |host: &str| Site {
        name: host.into(),
        hosts: vec![HostPattern::parse(host).unwrap()],
        routes: vec![to("/api/*"), to("*")],
        claim: None,
    };
    SitePlan::new(SiteSettings::new("test", vec![site("other.example"), site("app.example")])).unwrap()
}

/// Answers each head with the same bytes, from a fixed buffer.
async fn origin(mut stream: TcpStream) {
    let mut buffer = [0; 4096];
    while let Ok(1..) = stream.read(&mut buffer).await {
        stream.write_all(ANSWER).await.unwrap();
    }
}

/// Asks once; the answer ends as the origin's does.
async fn ask(client: &mut TcpStream) {
    client.write_all(REQUEST).await.unwrap();
    let mut answer = [0; 512];
    let n = client.read(&mut answer).await.unwrap();
    assert!(answer.get(..n).unwrap().ends_with(b"\r\n\r\nhello"));
}

#[test]
fn a_repeated_request_allocates_nothing() {
    Shard::test_in_real_time(async |shard: Rc<Shard>| {
        Pool::start(&shard, Arc::<PoolRegistry>::default(), Limits::default());
        shard.journal().set_format(Some(Arc::new(Plain)));
        // Requests are looked at for traces, and none is sampled.
        let (sink, _spans) = SpanSink::new(Arc::default());
        let tracing = Tracing { per_million: 0, follow: Follow::Always, sink };
        shard.local(Tracer::default).set(Some(tracing));
        let mut endpoints = Vec::new();
        for _ in 0..2 {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            endpoints.push(listener.local_addr().unwrap());
            let own = Rc::clone(&shard);
            shard.tasks().spawn(async move {
                while let Ok((stream, _peer)) = listener.accept().await {
                    own.tasks().spawn(origin(stream));
                }
            });
        }
        let gateway = Arc::new(plan(&endpoints)).on(&shard);
        let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(door.local_addr().unwrap()).await.unwrap();
        let (stream, peer) = door.accept().await.unwrap();
        gateway.accept(&shard, Accepted { stream, peer, admitted: Admitted::uncounted() });

        for _ in 0..WARM {
            ask(&mut client).await;
        }
        // What a timer does now and then is not the request's: of several rounds the least counts, and all together stay
        // few.
        let mut rounds = Vec::new();
        for _ in 0..5 {
            let region = Region::new(ALLOCATOR);
            for _ in 0..COUNTED {
                ask(&mut client).await;
            }
            let change = region.change();
            rounds.push(change.allocations + change.reallocations);
        }
        assert_eq!(rounds.iter().min(), Some(&0), "{rounds:?}");
        assert!(rounds.iter().sum::<usize>() < 40, "{rounds:?}");
    });
}
