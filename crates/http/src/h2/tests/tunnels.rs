//! CONNECT (RFC 9113 section 8.5) and WebSocket (RFC 8441): streams that become tunnels, and those that do not.

use super::kit::{Client, expect, send, soon};
use crate::h2::response::accept_of;
use bytes::Bytes;
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use http::{Request, Response, StatusCode};
use shoalway_net::shard::Shard;
use tokio::io::{AsyncReadExt, DuplexStream};

fn connect(client: &mut Client) -> (h2::client::ResponseFuture, SendStream<Bytes>) {
    let mut request = Request::new(());
    *request.method_mut() = http::Method::CONNECT;
    *request.uri_mut() = "a.example:443".parse().unwrap();
    client.send.send_request(request, false).unwrap()
}

fn websocket(client: &mut Client, protocol: &'static str) -> (h2::client::ResponseFuture, SendStream<Bytes>) {
    let mut request = Request::connect("https://a.example/ws");
    request =
        request.header("sec-websocket-version", "13").header("sec-websocket-key", "chosen by the client");
    let mut request = request.body(()).unwrap();
    request.extensions_mut().insert(Protocol::from_static(protocol));
    client.send.send_request(request, false).unwrap()
}

async fn received(body: &mut RecvStream) -> String {
    let data = soon(body.data()).await.unwrap().unwrap();
    body.flow_control().release_capacity(data.len()).unwrap();
    String::from_utf8_lossy(&data).into_owned()
}

#[test]
fn connect_is_a_tunnel_whose_directions_end_apart() {
    Shard::test(async |shard| {
        let mut client = Client::new(&shard).await;
        let mut origin = client.log.upstream();
        let (answer, mut sends) = connect(&mut client);
        sends.send_data(Bytes::from_static(b"GET early HTTP/1.1\r\n\r\n"), false).unwrap();
        expect(&mut origin, "GET early HTTP/1.1\r\n\r\n").await;
        let (parts, mut body) = soon(answer).await.unwrap().into_parts();
        assert_eq!((parts.status.as_u16(), parts.headers.len()), (200, 0));
        send(&mut origin, "late").await;
        assert_eq!(received(&mut body).await, "late");
        sends.send_data(Bytes::new(), true).unwrap();
        assert_eq!(soon(origin.read(&mut [0])).await.unwrap(), 0);
        send(&mut origin, "still").await;
        assert_eq!(received(&mut body).await, "still");
        drop(origin);
        assert_eq!(received(&mut body).await, "");
        assert!(body.is_end_stream() && soon(body.data()).await.is_none());
    });
}

#[test]
fn what_is_sent_ahead_of_a_refused_connect_is_no_request() {
    Shard::test(async |shard| {
        let mut client = Client::new(&shard).await;
        let (answer, mut sends) = connect(&mut client);
        sends.send_data(Bytes::from_static(b"GET / HTTP/1.1\r\nhost: b.example\r\n\r\n"), false).unwrap();
        assert_eq!(soon(answer).await.unwrap().status(), StatusCode::BAD_GATEWAY);
        let stopped = soon(std::future::poll_fn(|cx| sends.poll_reset(cx))).await;
        assert_eq!(stopped.unwrap(), h2::Reason::NO_ERROR);
        assert_eq!(*client.log.connects.borrow(), 1);
    });
}

/// Reads the request that a WebSocket becomes and gives back the key in it.
async fn upgrade(origin: &mut DuplexStream) -> String {
    let begin = "GET /ws HTTP/1.1\r\nhost: a.example\r\nsec-websocket-version: 13\r\n\
                 connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: ";
    expect(origin, begin).await;
    let mut key = [0; 24];
    soon(origin.read_exact(&mut key)).await.unwrap();
    expect(origin, "\r\n\r\n").await;
    String::from_utf8(key.to_vec()).unwrap()
}

#[test]
fn a_websocket_becomes_an_upgrade_and_its_101_a_200() {
    Shard::test(async |shard| {
        let mut client = Client::new(&shard).await;
        let mut origin = client.log.upstream();
        let (answer, mut sends) = websocket(&mut client, "websocket");
        let accept = accept_of(&upgrade(&mut origin).await);
        let switch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
        send(&mut origin, &format!("{switch}Sec-WebSocket-Accept: {accept}\r\nX-Kept: 1\r\n\r\nframe")).await;
        let (parts, mut body) = soon(answer).await.unwrap().into_parts();
        assert_eq!(parts.status, 200);
        let names: Vec<_> = parts.headers.keys().map(http::HeaderName::as_str).collect();
        assert_eq!(names, ["x-kept"]);
        assert_eq!(received(&mut body).await, "frame");
        sends.send_data(Bytes::from_static(b"reply"), false).unwrap();
        expect(&mut origin, "reply").await;
    });
}

#[test]
fn no_tunnel_is_made_of_an_answer_that_is_none() {
    let switch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    for (answer, status) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned(), 502),
        (format!("{switch}\r\n"), 502),
        (format!("{switch}Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n"), 502),
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned(), 403),
    ] {
        Shard::test(async |shard| {
            let mut client = Client::new(&shard).await;
            let mut origin = client.log.upstream();
            let (response, mut sends) = websocket(&mut client, "websocket");
            sends.send_data(Bytes::from_static(b"GET / HTTP/1.1\r\nhost: b.example\r\n\r\n"), false).unwrap();
            upgrade(&mut origin).await;
            send(&mut origin, &answer).await;
            let response: Response<RecvStream> = soon(response).await.unwrap();
            assert_eq!(response.status().as_u16(), status, "{answer}");
            // Nothing that was sent ahead arrives anywhere.
            let mut rest = Vec::new();
            drop(sends);
            drop(response);
            drop(client);
            soon(origin.read_to_end(&mut rest)).await.unwrap();
            assert_eq!(String::from_utf8_lossy(&rest), "");
        });
    }
}

#[test]
fn protocols_that_nobody_here_knows_are_501() {
    Shard::test(async |shard| {
        let mut client = Client::new(&shard).await;
        let (answer, _sends) = websocket(&mut client, "connect-udp");
        assert_eq!(soon(answer).await.unwrap().status(), StatusCode::NOT_IMPLEMENTED);
    });
}
