//! What a claim sees, and that a site with one looks like a site without to everybody who is not claimed.

use crate::kit::{ByCookie, KEY, SITE, Shown, site, soon};
use bytes::Bytes;
use h2::ext::Protocol;
use http::{Method, Request};
use shoalway_net::shard::Shard;
use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// Writes down everything that the server sends.
struct Recorded {
    stream: DuplexStream,
    seen: Rc<RefCell<Vec<u8>>>,
}

impl AsyncRead for Recorded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = to.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, to))?;
        self.seen.borrow_mut().extend_from_slice(&to.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Recorded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A request: method, protocol, target, cookies; whether more follows.
type Asked = (Method, Option<&'static str>, &'static str, &'static [&'static str]);

const REQUESTS: &[Asked] = &[
    (Method::GET, None, "https://site.example/a?b=c", &[]),
    (Method::GET, None, "https://site.example/", &["a=1", "key=wrong"]),
    (Method::POST, None, "https://site.example/form", &["a=1; key=wrong"]),
    (Method::CONNECT, Some("websocket"), "https://site.example/t", &["a=1; key=wrong"]),
    (Method::CONNECT, Some("connect-udp"), "https://site.example/t", &["key=wrong"]),
    (Method::CONNECT, None, "site.example:443", &[]),
    (Method::OPTIONS, None, "https://site.example/", &[]),
    (Method::GET, None, "https://other.example/", &["a=1; key=open"]),
];

/// Asks all of that on one connection and gives back every byte that came.
async fn answers(shard: &Rc<Shard>, claim: Option<&Arc<ByCookie>>) -> Vec<u8> {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let stream = Recorded { stream: site(shard, claim), seen: Rc::clone(&seen) };
    let (mut send, connection) = h2::client::handshake(stream).await.unwrap();
    shard.tasks().spawn(async move { drop(connection.await) });
    send = send.ready().await.unwrap();
    while !send.is_extended_connect_protocol_enabled() {
        tokio::task::yield_now().await;
    }
    for (method, protocol, target, cookies) in REQUESTS {
        let mut request = Request::builder().method(method.clone()).uri(*target);
        for cookie in *cookies {
            request = request.header("cookie", *cookie);
        }
        let mut request = request.body(()).unwrap();
        if let Some(protocol) = protocol {
            request.extensions_mut().insert(Protocol::from_static(protocol));
        }
        let (answer, mut content) = send.send_request(request, false).unwrap();
        if *method != Method::CONNECT {
            content.send_data(Bytes::from_static(b""), true).unwrap();
        }
        let mut body = match soon(answer).await {
            Ok(answer) => answer.into_body(),
            Err(error) => panic!("{method} {target}: {error}"),
        };
        while let Some(Ok(data)) = soon(body.data()).await {
            body.flow_control().release_capacity(data.len()).unwrap();
        }
    }
    drop(send);
    shard.pass(std::time::Duration::from_secs(30)).await;
    seen.take()
}

#[test]
fn who_is_not_claimed_gets_the_same_bytes_with_a_claim_and_without() {
    Shard::test(async |shard| {
        let claim = Arc::new(ByCookie::default());
        let with = answers(&shard, Some(&claim)).await;
        let without = answers(&shard, None).await;
        assert!(with.len() > 300, "{}", with.len());
        assert_eq!(with, without);
        assert_eq!(claim.shown.lock().unwrap().len(), REQUESTS.len() - 2);
    });
}

#[test]
fn a_claim_sees_every_request_of_its_site_and_none_of_another() {
    Shard::test(async |shard| {
        let claim = Arc::new(ByCookie::default());
        drop(answers(&shard, Some(&claim)).await);
        let expected = [
            ("GET site.example/a?b=c", &[][..]),
            ("GET site.example/", &["a=1", "key=wrong"]),
            ("POST site.example/form", &["a=1; key=wrong"]),
            ("CONNECT+websocket site.example/t", &["a=1; key=wrong"]),
            ("CONNECT+connect-udp site.example/t", &["key=wrong"]),
            ("OPTIONS site.example/", &[]),
        ];
        let shown = claim.shown.lock().unwrap();
        // The plain CONNECT names a port, with which the test does not find its site.
        assert_eq!(shown.len(), expected.len(), "{shown:?}");
        for (before, (shown, (asked, cookies))) in shown.iter().zip(expected).enumerate() {
            let cookies = cookies.iter().map(|cookie| (*cookie).to_owned()).collect();
            let before = u32::try_from(before).unwrap();
            let wanted = Shown { asked: asked.to_owned(), cookies, before, ..Shown::default() };
            assert_eq!(*shown, wanted);
        }
    });
}

#[test]
fn a_claim_may_take_a_request_of_any_method() {
    Shard::test(async |shard| {
        let claim = Arc::new(ByCookie::default());
        let mut visit = crate::kit::visit(&shard, site(&shard, Some(&claim))).await;
        let page = visit.get("/", &[("cookie", KEY)], 64);
        let (page, ()) = tokio::join!(page, async {
            while claim.shown.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
            let (_receiving, mut sending) = claim.taken().duplex.split();
            crate::kit::send(&mut sending, Bytes::from_static(b"claimed"), 64).await.unwrap();
            sending.finish();
        });
        let page = page.unwrap();
        assert_eq!((page.status, page.fields.len(), &page.body[..]), (200, 0, &b"claimed"[..]));
        assert_eq!(claim.shown.lock().unwrap()[0].asked, format!("GET {SITE}/"));
    });
}
