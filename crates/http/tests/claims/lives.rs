//! How long a claimed stream and its connection last: past the site's deadlines, through a drain, and no longer.

use crate::kit::{ByCookie, KEY, PATIENCE, SITE, receive, send, serve, soon, tunnel};
use bytes::Bytes;
use shoalway_http::h1::ServerConfig;
use shoalway_http::h2::Visit;
use shoalway_http::h2::duplex::{DuplexError, FRAME};
use shoalway_net::shard::Shard;
use shoalway_net::stream::Stream;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::duplex;

#[test]
fn no_deadline_of_the_site_ends_a_claimed_stream() {
    Shard::test(async |shard| {
        let mut config = ServerConfig::default();
        for limit in [&mut config.net.idle, &mut config.net.head, &mut config.net.body_idle] {
            *limit = Duration::from_secs(1);
        }
        config.net.tunnel_idle = Duration::from_secs(1);
        let claim = Arc::new(ByCookie::default());
        let (ours, theirs) = duplex(1 << 16);
        serve(&shard, config, Stream::other(ours), Some(&claim));
        let mut visit = Visit::begin(&shard, Stream::other(theirs), SITE, PATIENCE).await.unwrap();
        let near = visit.open_tunnel("/", &[("cookie", KEY)]).await.unwrap();
        let far = claim.taken();
        shard.pass(Duration::from_secs(7_200)).await;
        let (mut from, _keep) = near.duplex.split();
        let (_keep_too, mut to) = far.duplex.split();
        send(&mut to, Bytes::from_static(b"after two hours"), FRAME).await.unwrap();
        assert_eq!(receive(&mut from, 15).await.unwrap(), b"after two hours");
        assert!(!near.carrier.is_leaving() && !far.carrier.is_leaving());
        // Without it the connection is an idle one like any other.
        drop((from, _keep, _keep_too, to));
        shard.pass(Duration::from_secs(30)).await;
        assert!(visit.get("/", &[], 64).await.is_err());
    });
}

#[test]
fn a_drain_is_told_to_both_ends_and_streams_go_on_until_they_end() {
    Shard::test(async |shard| {
        let (visit, near, far) = tunnel(&shard).await;
        let (mut near_carrier, mut far_carrier) = (near.carrier, far.carrier);
        shard.pass(Duration::from_secs(60)).await;
        assert!(!near_carrier.is_leaving() && !far_carrier.is_leaving());
        shard.drain();
        let told = async { tokio::join!(far_carrier.leaving(), near_carrier.leaving()) };
        tokio::time::timeout(Duration::from_secs(10), told).await.expect("both are told");
        shard.pass(Duration::from_secs(25)).await;
        assert_eq!(shard.tasks().alive(), 2);
        let (mut from, mut to) = near.duplex.split();
        let (mut far_from, mut far_to) = far.duplex.split();
        send(&mut to, Bytes::from_static(b"last words"), FRAME).await.unwrap();
        to.finish();
        assert_eq!(receive(&mut far_from, usize::MAX).await.unwrap(), b"last words");
        far_to.finish();
        assert_eq!(receive(&mut from, usize::MAX).await.unwrap(), b"");
        drop((from, to, far_from, far_to, visit));
        shard.pass(Duration::from_secs(10)).await;
        assert_eq!(shard.tasks().alive(), 0);
    });
}

#[test]
fn a_connection_lasts_as_long_as_its_visit_or_its_tunnel() {
    Shard::test(async |shard| {
        let (visit, near, far) = tunnel(&shard).await;
        drop(visit);
        shard.pass(Duration::from_secs(600)).await;
        let (mut from, keep) = near.duplex.split();
        let (keep_too, mut to) = far.duplex.split();
        send(&mut to, Bytes::from_static(b"here"), FRAME).await.unwrap();
        assert_eq!(receive(&mut from, 4).await.unwrap(), b"here");
        drop((from, keep, keep_too, to));
        shard.pass(Duration::from_secs(10)).await;
        assert_eq!(shard.tasks().alive(), 0);
    });
}

#[test]
fn a_connection_that_breaks_is_told_to_whoever_waits() {
    Shard::test(async |shard| {
        let claim = Arc::new(ByCookie::default());
        // A way between the ends that can be cut.
        let ((server, mut left), (mut right, client)) = (duplex(1 << 16), duplex(1 << 16));
        serve(&shard, ServerConfig::default(), Stream::other(server), Some(&claim));
        let (cut, wait) = tokio::sync::oneshot::channel::<()>();
        shard.tasks().spawn(async move {
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut left, &mut right) => {}
                _ = wait => {}
            }
        });
        let mut visit = Visit::begin(&shard, Stream::other(client), SITE, PATIENCE).await.unwrap();
        let near = visit.open_tunnel("/", &[("cookie", KEY)]).await.unwrap();
        let far = claim.taken();
        cut.send(()).unwrap();
        for (duplex, mut carrier) in [(near.duplex, near.carrier), (far.duplex, far.carrier)] {
            let (mut from, mut to) = duplex.split();
            assert_eq!(receive(&mut from, 1).await, Err(DuplexError::Gone));
            assert_eq!(soon(to.room()).await, Err(DuplexError::Gone));
            soon(carrier.leaving()).await;
        }
    });
}
