//! Opening a tunnel: what is asked before, what is refused, and servers that do not do their part.

use crate::kit::{ByCookie, KEY, PATIENCE, SITE, site, visit};
use shoalway_http::h2::duplex::DuplexError;
use shoalway_http::h2::{TunnelError, TunnelRequest, Visit, open_tunnel};
use shoalway_net::shard::Shard;
use shoalway_net::stream::Stream;
use std::sync::Arc;
use tokio::io::{AsyncWriteExt, duplex};

const REQUEST: TunnelRequest<'_> =
    TunnelRequest { authority: SITE, path: "/t", fields: &[("cookie", KEY)], patience: PATIENCE };

#[test]
fn a_tunnel_may_be_the_first_thing_on_a_connection_or_come_after_pages() {
    Shard::test(async |shard| {
        let claim = Arc::new(ByCookie::default());
        let stream = Stream::other(site(&shard, Some(&claim)));
        assert!(open_tunnel(&shard, stream, &REQUEST).await.is_ok());
        claim.taken();
        let mut visit = visit(&shard, site(&shard, Some(&claim))).await;
        assert!(visit.takes_tunnels());
        let page = visit.get("/page", &[("accept", b"*/*")], 8).await.unwrap();
        assert_eq!((page.status, &page.body[..], page.is_whole), (200, &b"the site"[..], false));
        assert!(page.fields.iter().any(|(name, value)| name == "content-type" && value == b"text/plain"));
        assert!(visit.open_tunnel("/t", &[("cookie", KEY)]).await.is_ok());
        claim.taken();
        let page = visit.get("/page", &[], 13).await.unwrap();
        assert_eq!((&page.body[..], page.is_whole), (&b"the site: GET"[..], true));
    });
}

#[test]
fn a_refused_tunnel_is_an_answer_that_can_be_read() {
    Shard::test(async |shard| {
        let claim = Arc::new(ByCookie::default());
        let mut visit = visit(&shard, site(&shard, Some(&claim))).await;
        for read in [true, false] {
            let refused = visit.open_tunnel("/t", &[("cookie", b"key=wrong")]).await;
            let Err(TunnelError::Refused(refusal)) = refused else { panic!("not refused") };
            assert_eq!(refusal.status, 403);
            if read {
                let (body, is_whole) = refusal.read(1 << 10).await.unwrap();
                assert_eq!((&body[..], is_whole), (&b"the site: GET"[..], true));
            }
            assert_eq!(visit.get("/", &[], 64).await.unwrap().status, 200);
        }
    });
}

#[test]
fn a_server_that_takes_no_tunnels_is_asked_for_none() {
    Shard::test(async |shard| {
        let (ours, mut theirs) = duplex(1 << 16);
        // SETTINGS without any setting, as RFC 9113 section 6.5 allows.
        theirs.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
        let opened = open_tunnel(&shard, Stream::other(ours), &REQUEST).await;
        assert!(matches!(opened.err(), Some(TunnelError::NotOffered)));
    });
}

#[test]
fn a_server_that_says_nothing_or_goes_is_not_waited_for() {
    Shard::test(async |shard| {
        let (ours, theirs) = duplex(1 << 16);
        let late = open_tunnel(&shard, Stream::other(ours), &REQUEST).await;
        assert!(matches!(late.err(), Some(TunnelError::Timeout { after }) if after == PATIENCE));
        drop(theirs);
        let (ours, theirs) = duplex(1 << 16);
        drop(theirs);
        let gone = open_tunnel(&shard, Stream::other(ours), &REQUEST).await;
        assert!(matches!(gone.err(), Some(TunnelError::Broken(DuplexError::Gone))));
        // One that answers no request.
        let (ours, mut theirs) = duplex(1 << 16);
        theirs.write_all(&[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 1]).await.unwrap();
        let late = open_tunnel(&shard, Stream::other(ours), &REQUEST).await;
        assert!(matches!(late.err(), Some(TunnelError::Timeout { .. })));
    });
}

#[test]
fn what_has_no_form_in_http_is_not_sent() {
    Shard::test(async |shard| {
        let claim = Arc::new(ByCookie::default());
        let stream = Stream::other(site(&shard, Some(&claim)));
        let bad = Visit::begin(&shard, stream, "no host", PATIENCE).await;
        assert!(matches!(bad.err(), Some(TunnelError::Request)));
        let mut visit = visit(&shard, site(&shard, Some(&claim))).await;
        for (path, name, value) in
            [("no path", "a", &b"b"[..]), ("/", "a b", b"c"), ("/", "a", b"line\r\nbreak")]
        {
            let bad = visit.open_tunnel(path, &[(name, value)]).await;
            assert!(matches!(bad.err(), Some(TunnelError::Request)), "{path} {name}");
        }
        assert!(claim.shown.lock().unwrap().is_empty());
    });
}
