//! Streams over loopback sockets: one to three endpoints, half-close, resets, bulk by splice.

use super::*;
use shoalway_net::counters::ListenerCounters;
use shoalway_net::listener::{self, ListenerId};
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpStream};

/// An echo that passes a half-close on; its address.
pub(super) fn echo_server(shard: &Rc<Shard>) -> String {
    let (listener, at) = far();
    let own = Rc::clone(shard);
    shard.tasks().spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            own.tasks().spawn(async move {
                let (mut read, mut write) = stream.into_split();
                drop(tokio::io::copy(&mut read, &mut write).await);
            });
        }
    });
    at
}

pub(super) fn far() -> (TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let at = listener.local_addr().unwrap().to_string();
    (TcpListener::from_std(listener).unwrap(), at)
}

/// An address where nobody listens.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

pub(super) fn listen(
    shard: &Rc<Shard>,
    plan: StreamPlan,
) -> (SocketAddr, Arc<StreamPlan>, Arc<ListenerCounters>) {
    let (plan, counters) = (Arc::new(plan), Arc::<ListenerCounters>::default());
    let socket = listener::bind("127.0.0.1:0".parse().unwrap(), 1).unwrap().pop().unwrap();
    let at = socket.local_addr().unwrap();
    shard.listen(ListenerId(at.port()), socket, Arc::clone(&counters), plan.on(shard)).unwrap();
    (at, plan, counters)
}

#[test]
fn one_to_three_endpoints_and_dead_ones_among_them() {
    Shard::test_in_real_time(async |shard| {
        let world = World::new(&shard);
        let (a, b) = (echo_server(&shard), echo_server(&shard));
        let (dead, gone) = (nobody(), nobody());
        // With most of them dead, no more clients than the retry budget has tokens for at the start.
        for (endpoints, clients) in [
            (vec![&a], 20),
            (vec![&a, &b], 20),
            (vec![&dead, &a], 20),
            (vec![&dead, &a, &b], 20),
            (vec![&dead, &gone, &b], 4),
        ] {
            let endpoints: Vec<&str> = endpoints.into_iter().map(String::as_str).collect();
            let upstream = world.upstream(&endpoints.join(","), &endpoints);
            let (at, _, counters) = listen(&shard, world.plan(Route::One(upstream), AcceptMode::Lazy));
            for n in 0..clients {
                let mut client = TcpStream::connect(at).await.unwrap();
                client.write_all(&u32::to_be_bytes(n)).await.unwrap();
                client.shutdown().await.unwrap();
                let said = rest(&mut client).await;
                assert_eq!(said, n.to_be_bytes(), "{endpoints:?}");
            }
            assert_eq!(counters.accepted.get(), u64::from(clients));
        }
        assert!(world.told.take().iter().all(|line| line.ends_with("4/4 ok")));
    });
}

#[test]
fn bulk_passes_whole_and_by_splice() {
    Shard::test_in_real_time(async |shard| {
        let world = World::new(&shard);
        let upstream = world.upstream("app", &[&echo_server(&shard)]);
        let (at, _, counters) = listen(&shard, world.plan(Route::One(upstream), AcceptMode::Lazy));
        let (mut read, mut write) = TcpStream::connect(at).await.unwrap().into_split();
        let sent: Vec<u8> = (0..8 << 20_u32).map(|n: u32| u8::try_from(n % 251).unwrap()).collect();
        let writing = async {
            write.write_all(&sent).await.unwrap();
            drop(write);
        };
        let mut got = Vec::new();
        let (_, done) = tokio::join!(writing, read.read_to_end(&mut got));
        done.unwrap();
        assert!(got == sent);
        assert!(shard.counters().spliced_bytes.get() > 8 << 20);
        until(|| counters.open.get() == 0).await;
        assert_eq!(
            (counters.bytes_up.get(), counters.bytes_down.get(), counters.tunnels.get()),
            (8 << 20, 8 << 20, 0)
        );
    });
}

#[test]
fn whoever_resets_is_heard_on_the_other_side() {
    Shard::test_in_real_time(async |shard| {
        let world = World::new(&shard);
        let (far, at) = far();
        let upstream = world.upstream("app", &[&at]);
        let (at, ..) = listen(&shard, world.plan(Route::One(upstream), AcceptMode::Lazy));
        let mut client = TcpStream::connect(at).await.unwrap();
        let (mut endpoint, _) = far.accept().await.unwrap();
        client.write_all(b"x").await.unwrap();
        assert_eq!(read(&mut endpoint, 1).await, b"x");
        client.set_zero_linger().unwrap();
        drop(client);
        let told = endpoint.read(&mut [0]).await.map_err(|error| error.kind());
        assert_eq!(told, Err(io::ErrorKind::ConnectionReset));
        assert!(world.told.take()[0].ends_with("1/0 client_reset"));
    });
}

#[test]
fn when_nobody_is_there_the_client_is_reset() {
    Shard::test_in_real_time(async |shard| {
        let world = World::new(&shard);
        let upstream = world.upstream("app", &[&nobody()]);
        let (at, ..) = listen(&shard, world.plan(Route::One(upstream), AcceptMode::Lazy));
        let mut client = TcpStream::connect(at).await.unwrap();
        let told = client.read(&mut [0]).await.map_err(|error| error.kind());
        assert_eq!(told, Err(io::ErrorKind::ConnectionReset));
    });
}

#[test]
fn an_endpoint_on_a_unix_socket_is_one_too() {
    Shard::test_in_real_time(async |shard| {
        let world = World::new(&shard);
        let dir = std::env::temp_dir().join(format!("shoalway-stream-{}", std::process::id()));
        drop(std::fs::remove_file(&dir));
        let far = tokio::net::UnixListener::bind(&dir).unwrap();
        let upstream = world.upstream("app", &[&format!("unix:{}", dir.display())]);
        let (at, ..) = listen(&shard, world.plan(Route::One(upstream), AcceptMode::Lazy));
        let mut client = TcpStream::connect(at).await.unwrap();
        let (mut endpoint, _) = far.accept().await.unwrap();
        std::fs::remove_file(&dir).unwrap();
        client.write_all(b"x").await.unwrap();
        assert_eq!(read(&mut endpoint, 1).await, b"x");
        endpoint.write_all(b"y").await.unwrap();
        assert_eq!(read(&mut client, 1).await, b"y");
    });
}
