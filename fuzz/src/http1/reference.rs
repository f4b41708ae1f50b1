//! hyper as the other reader: its server over bytes in memory, driven without a runtime.

use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, Uri, Version};
use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future as _;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// A request as hyper read it.
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) uri: Uri,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
    /// The whole content, or nothing when the body broke off.
    pub(super) content: Option<Vec<u8>>,
}

/// All requests that hyper reads on a connection on which `input` arrives, then an end.
pub(super) fn requests(input: &[u8]) -> Vec<Seen> {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let service = service_fn(|request: Request<Incoming>| {
        let seen = Rc::clone(&seen);
        async move {
            let (head, body) = request.into_parts();
            let content = body.collect().await.ok().map(|body| body.to_bytes().to_vec());
            seen.borrow_mut().push(Seen {
                method: head.method.as_str().to_owned(),
                uri: head.uri,
                version: head.version,
                headers: head.headers,
                content,
            });
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let connection = Builder::new()
        .half_close(true)
        .max_headers(255)
        .auto_date_header(false)
        .serve_connection(Arrived { input: input.to_vec(), taken: 0 }, service);
    let mut connection = pin!(connection);
    let mut cx = Context::from_waker(Waker::noop());
    // Nothing in it waits for anything but itself; the bound is for a fault of either side.
    for _ in 0..10_000 {
        if connection.as_mut().poll(&mut cx).is_ready() {
            break;
        }
    }
    seen.take()
}

/// Bytes that have all arrived; what is written is dropped.
struct Arrived {
    input: Vec<u8>,
    taken: usize,
}

impl Read for Arrived {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let rest = self.input.get(self.taken..).unwrap_or_default();
        let portion = rest.get(..buf.remaining()).unwrap_or(rest);
        buf.put_slice(portion);
        let octets = portion.len();
        self.taken += octets;
        Poll::Ready(Ok(()))
    }
}

impl Write for Arrived {
    fn poll_write(self: Pin<&mut Self>, _cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
