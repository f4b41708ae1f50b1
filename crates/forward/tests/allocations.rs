//! A small proxied request over kept connections allocates nothing once everything is warm.
//!
//! One process, one test: the counter sees every thread. Client and origin use fixed buffers on the same shard.
#![allow(clippy::disallowed_methods, reason = "a test's own loopback sockets")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

use shoalway_forward::outbound::Direct;
use shoalway_forward::plan::{Auth, ForwardPlan, Way};
use shoalway_http::level::Level;
use shoalway_http::pool::{Pool, PoolRegistry};
use shoalway_net::admission::Admitted;
use shoalway_net::dialer::{DialConfig, Dialer};
use shoalway_net::egress_guard::{EgressGuard, Reach};
use shoalway_net::journal::LineFormat;
use shoalway_net::limits::Limits;
use shoalway_net::listener::{Accepted, Inbound};
use shoalway_net::resolver::{Resolver, ResolverConfig};
use shoalway_net::shard::Shard;
use shoalway_policy::RuleSet;
use shoalway_policy::rules::Names;
use shoalway_types::Record;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nServer: o\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello";
const WARM: usize = 50;
const COUNTED: usize = 200;

/// A line as a real format writes it: bytes into the buffer, nothing else.
struct Plain;

impl LineFormat for Plain {
    fn write(&self, record: &Record<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(record.method.as_bytes());
        out.push(b'\n');
    }
}

fn plan() -> ForwardPlan {
    let guard = Arc::new(EgressGuard::new(Reach::Default, vec![], vec![]));
    let resolver = Resolver::new(ResolverConfig::default(), tokio::runtime::Handle::current()).unwrap();
    let dialer = Dialer::new(resolver, guard, DialConfig::default());
    let rules = ["block domain:*.blocked.example", "block 203.0.113.0/24", "direct all"];
    let names = Names { exits: &[], lists: &BTreeMap::new(), overlay: false };
    let outbound = Arc::new(Direct::new(dialer.clone(), None));
    ForwardPlan {
        listener: "test".into(),
        clients: vec![],
        auth: Auth::None,
        level: Level::Elite,
        rules: Arc::new(RuleSet::parse(&rules, &names).unwrap()),
        direct: Way { name: "direct".into(), identity: 1, outbound },
        exits: vec![],
        overlay: Vec::new(),
        default_exit: None,
        dialer,
        limits: Limits::default(),
        http: shoalway_wire::http1::limits::Limits::default(),
        tls: None,
    }
}

/// Answers each head with the same bytes, from a fixed buffer.
async fn origin(listener: TcpListener) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut buffer = [0; 4096];
    while let Ok(1..) = stream.read(&mut buffer).await {
        stream.write_all(ANSWER).await.unwrap();
    }
}

async fn ask(client: &mut TcpStream, request: &[u8]) {
    client.write_all(request).await.unwrap();
    let mut answer = [0; 512];
    let n = client.read(&mut answer).await.unwrap();
    assert_eq!(answer.get(..n), Some(ANSWER));
}

#[test]
fn a_repeated_request_allocates_nothing() {
    Shard::test_in_real_time(async |shard: Rc<Shard>| {
        Pool::start(&shard, Arc::<PoolRegistry>::default(), Limits::default());
        shard.journal().set_format(Some(Arc::new(Plain)));
        let forward = Arc::new(plan()).on(&shard);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        shard.tasks().spawn(origin(listener));

        let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(door.local_addr().unwrap()).await.unwrap();
        let (stream, peer) = door.accept().await.unwrap();
        forward.accept(&shard, Accepted { stream, peer, admitted: Admitted::uncounted() });

        let request = format!(
            "GET http://127.0.0.1:{port}/some/path?with=query HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\
             User-Agent: test\r\nAccept: */*\r\nProxy-Connection: keep-alive\r\nCookie: a=b; c=d\r\n\r\n"
        );
        for _ in 0..WARM {
            ask(&mut client, request.as_bytes()).await;
        }
        // What a timer does now and then is not the request's: of several rounds the least counts, and all together stay
        // few.
        let mut rounds = Vec::new();
        for _ in 0..5 {
            let region = Region::new(ALLOCATOR);
            for _ in 0..COUNTED {
                ask(&mut client, request.as_bytes()).await;
            }
            let change = region.change();
            rounds.push(change.allocations + change.reallocations);
        }
        assert_eq!(rounds.iter().min(), Some(&0), "{rounds:?}");
        assert!(rounds.iter().sum::<usize>() < 40, "{rounds:?}");
    });
}
