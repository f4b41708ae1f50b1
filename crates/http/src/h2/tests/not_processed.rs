//! What an upstream has not looked at (RFC 9113 sections 6.8 and 8.7) is sent again, whatever the method; and WebSockets
//! that it does not take as streams go over connections of their own.

use super::kit::{Log, Opens, content, expect, send, session, soon, whole};
use super::upstream::{Server, Wire, answer, builder};
use crate::h2::ForUpgrades;
use bytes::Bytes;
use shoalway_net::connect::Connect;
use shoalway_net::shard::Shard;
use std::rc::Rc;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

/// A frame of RFC 9113 section 4.1.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![a, b, c, kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// Reads frames until one of this kind has come on this stream.
async fn until(stream: &mut DuplexStream, kind: u8, id: u32) {
    loop {
        let mut head = [0; 9];
        soon(stream.read_exact(&mut head)).await.unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        soon(stream.read_exact(&mut payload)).await.unwrap();
        let on = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        if (head[3], on) == (kind, id) {
            return;
        }
    }
}

/// A server by hand that has said its SETTINGS.
async fn by_hand(stream: &mut DuplexStream) {
    soon(stream.read_exact(&mut [0; 24])).await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
}

#[test]
fn a_post_behind_the_last_stream_of_a_goaway_is_sent_again_and_one_before_it_goes_on() {
    Shard::test(async |shard| {
        let wire = Wire::new(&shard);
        let (mut first, second) = (wire.log.upstream(), wire.server(builder()));
        let mut client = wire.client(&shard).await;
        let (seen, mut upload) = client.post(&[]);
        upload.send_data(Bytes::from_static(b"one"), true).unwrap();
        by_hand(&mut first).await;
        until(&mut first, HEADERS, 1).await;
        let (unseen, mut upload) = client.post(&[]);
        upload.send_data(Bytes::from_static(b"two"), true).unwrap();
        until(&mut first, HEADERS, 3).await;
        // Last stream 1, NO_ERROR.
        first.write_all(&frame(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0])).await.unwrap();
        let mut second = second.await;
        let (request, mut respond) = second.accept().await;
        assert_eq!(request.method(), "POST");
        let (body, _) = second.beside(content(request.into_body())).await.unwrap();
        assert_eq!(body, b"two");
        answer(&mut respond, true);
        assert_eq!(second.beside(whole(unseen)).await, "200 content-length=0 | ");
        // END_STREAM, END_HEADERS; `:status` 200.
        first.write_all(&frame(HEADERS, 5, 1, &[0x88])).await.unwrap();
        assert_eq!(whole(seen).await, "200 content-length=0 | ");
        assert_eq!((client.outcomes(), *wire.log.connects.borrow()), (vec![(200, "ok"); 2], 2));
    });
}

/// Refuses the next stream of a connection, and moves its frames from then on.
async fn refuse(shard: &Rc<Shard>, server: impl Future<Output = Server>) {
    let mut server = server.await;
    let (_request, mut respond) = server.accept().await;
    respond.send_reset(h2::Reason::REFUSED_STREAM);
    shard.tasks().spawn(async move { server.beside(std::future::pending::<()>()).await });
}

#[test]
fn a_refused_post_is_sent_on_another_connection() {
    Shard::test(async |shard| {
        let wire = Wire::new(&shard);
        let (first, second) = (wire.server(builder()), wire.server(builder()));
        let mut client = wire.client(&shard).await;
        let (got, mut upload) = client.post(&[]);
        upload.send_data(Bytes::from_static(b"question"), true).unwrap();
        refuse(&shard, first).await;
        let mut second = second.await;
        let (request, mut respond) = second.accept().await;
        let (body, _) = second.beside(content(request.into_body())).await.unwrap();
        assert_eq!(body, b"question");
        answer(&mut respond, true);
        assert_eq!(second.beside(whole(got)).await, "200 content-length=0 | ");
        assert_eq!(shard.counters().upstream_connects.get(), 2);
    });
}

#[test]
fn an_upstream_that_refuses_for_ever_is_asked_four_times() {
    Shard::test(async |shard| {
        let wire = Wire::new(&shard);
        let servers: Vec<_> = (0..5).map(|_| wire.server(builder())).collect();
        let mut client = wire.client(&shard).await;
        let got = client.get("/a");
        for server in servers.into_iter().take(4) {
            refuse(&shard, server).await;
        }
        assert!(whole(got).await.starts_with("502 "));
        assert_eq!(*wire.log.connects.borrow(), 4);
        assert_eq!(client.outcomes(), [(502, "http_response_incomplete")]);
    });
}

#[test]
fn an_upload_that_is_too_long_to_be_kept_is_not_sent_again() {
    Shard::test(async |shard| {
        let wire = Wire::new(&shard);
        let (first, _second) = (wire.server(builder()), wire.server(builder()));
        let mut client = wire.client(&shard).await;
        let (got, mut upload) = client.post(&[]);
        upload.send_data(Bytes::from(vec![b'x'; 60_000]), false).unwrap();
        let mut first = first.await;
        let (request, mut respond) = first.accept().await;
        let mut body = request.into_body();
        let mut seen = 0;
        upload.send_data(Bytes::from(vec![b'x'; 60_000]), false).unwrap();
        while seen < 100_000 {
            let data = first.beside(body.data()).await.unwrap().unwrap();
            body.flow_control().release_capacity(data.len()).unwrap();
            seen += data.len();
        }
        respond.send_reset(h2::Reason::REFUSED_STREAM);
        assert!(first.beside(whole(got)).await.starts_with("502 "));
        assert_eq!(*wire.log.connects.borrow(), 1);
    });
}

#[test]
fn a_get_on_a_connection_that_served_and_broke_is_sent_again_once() {
    Shard::test(async |shard| {
        let wire = Wire::new(&shard);
        let (first, second) = (wire.server(builder()), wire.server(builder()));
        let mut client = wire.client(&shard).await;
        let got = client.get("/a");
        let mut first = first.await;
        answer(&mut first.accept().await.1, true);
        assert_eq!(first.beside(whole(got)).await, "200 content-length=0 | ");
        let got = client.get("/a");
        drop(first.accept().await);
        drop(first);
        let mut second = second.await;
        answer(&mut second.accept().await.1, true);
        assert_eq!(second.beside(whole(got)).await, "200 content-length=0 | ");
    });
}

#[test]
fn a_websocket_has_a_connection_of_its_own_where_the_upstream_has_no_rfc_8441() {
    for enabled in [true, false] {
        Shard::test(async |shard| {
            let wire = Wire::new(&shard);
            let mut settings = builder();
            if enabled {
                settings.enable_connect_protocol();
            }
            let server = wire.server(settings);
            let plain = Rc::new(Log::default());
            let mut own = plain.upstream();
            let way = ForUpgrades::new(&wire.upstream, Rc::new(Opens(Rc::clone(&plain))));
            shard.tasks().spawn(async move {
                server.await.beside(std::future::pending::<()>()).await;
            });
            for _ in 0..2 {
                let mut stream = soon(way.connect(&session())).await.unwrap().stream;
                if !enabled {
                    stream.write_all(b"GET /ws HTTP/1.1\r\n").await.unwrap();
                    expect(&mut own, "GET /ws HTTP/1.1\r\n").await;
                    send(&mut own, "x").await;
                    assert_eq!(soon(stream.read_u8()).await.unwrap(), b'x');
                    own = plain.upstream();
                }
            }
            let connects = (*wire.log.connects.borrow(), *plain.connects.borrow());
            assert_eq!(connects, (1, if enabled { 0 } else { 2 }));
            assert_eq!(shard.counters().upstream_connects.get(), if enabled { 1 } else { 3 });
        });
    }
}
