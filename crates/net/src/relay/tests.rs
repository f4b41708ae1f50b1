//! The relay on in-memory streams with paused time, and on loopback sockets where splice matters.

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

fn pair() -> (Stream, tokio::io::DuplexStream) {
    let (ours, theirs) = duplex(1 << 16);
    (Stream::other(ours), theirs)
}

fn start(
    shard: &Rc<Shard>,
    first: Stream,
    second: Stream,
    idle: Duration,
) -> tokio::sync::oneshot::Receiver<Outcome> {
    let (done, outcome) = tokio::sync::oneshot::channel();
    let own = Rc::clone(shard);
    shard.tasks().spawn(async move {
        let deadline = own.deadline();
        let outcome = relay(&own, first, second, &deadline, idle).await;
        assert!(done.send(outcome).is_ok());
    });
    outcome
}

const IDLE: Duration = Duration::from_secs(5);

#[test]
fn bytes_pass_both_ways_and_a_half_close_is_passed_on() {
    Shard::test(async |shard| {
        let ((first, mut client), (second, mut origin)) = (pair(), pair());
        let outcome = start(&shard, first, second, IDLE);
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let mut question = Vec::new();
        origin.read_to_end(&mut question).await.unwrap();
        assert_eq!(question, b"question");
        origin.write_all(b"answer").await.unwrap();
        drop(origin);
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"answer");
        assert_eq!(outcome.await.unwrap(), Outcome { up: 8, down: 6, end: End::Finished });
    });
}

#[test]
fn silence_in_both_directions_ends_a_relay() {
    Shard::test(async |shard| {
        let ((first, _client), (second, _origin)) = (pair(), pair());
        let outcome = start(&shard, first, second, IDLE);
        assert_eq!(outcome.await.unwrap().end, End::Idle);
    });
}

#[test]
fn an_idle_relay_owns_no_buffer() {
    Shard::test(async |shard| {
        let ((first, mut client), (second, mut origin)) = (pair(), pair());
        let outcome = start(&shard, first, second, IDLE);
        client.write_all(b"x").await.unwrap();
        let mut one = [0];
        origin.read_exact(&mut one).await.unwrap();
        tokio::task::yield_now().await;
        assert_eq!(shard.buffers().alive(), 0);
        drop((client, origin));
        assert_eq!(outcome.await.unwrap().end, End::Finished);
    });
}

#[test]
fn a_relay_future_stays_small() {
    Shard::test(async |shard| {
        let ((first, _client), (second, _origin)) = (pair(), pair());
        let deadline = shard.deadline();
        let future = relay(&shard, first, second, &deadline, IDLE);
        let size = size_of_val(&future);
        assert!(size <= 448, "{size}");
    });
}

#[expect(clippy::disallowed_methods, reason = "a test's own loopback sockets")]
async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (client, server) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), async {
        listener.accept().await.unwrap().0
    });
    (client.unwrap(), server)
}

#[test]
fn bulk_over_tcp_is_spliced_and_arrives_whole() {
    Shard::test_in_real_time(async |shard| {
        let ((mut client, first), (second, mut origin)) = (tcp_pair().await, tcp_pair().await);
        let outcome = start(&shard, Stream::tcp(first), Stream::tcp(second), IDLE);
        let sent: Vec<u8> = (0u32..2_000_000).flat_map(u32::to_le_bytes).collect();
        let copy = sent.clone();
        let (_, received) = tokio::join!(
            async {
                origin.write_all(&copy).await.unwrap();
                origin.shutdown().await.unwrap();
            },
            async {
                let mut all = Vec::new();
                client.read_to_end(&mut all).await.unwrap();
                all
            }
        );
        assert!(received == sent);
        drop(client);
        let outcome = outcome.await.unwrap();
        assert_eq!((outcome.down, outcome.end), (8_000_000, End::Finished));
        assert!(shard.counters().spliced_bytes.get() >= 8_000_000 - 2 * SPLICE_AFTER - (256 << 10));
    });
}

#[test]
fn a_reset_on_one_side_resets_the_other() {
    Shard::test_in_real_time(async |shard| {
        let ((mut client, first), (second, origin)) = (tcp_pair().await, tcp_pair().await);
        let outcome = start(&shard, Stream::tcp(first), Stream::tcp(second), IDLE);
        origin.set_zero_linger().unwrap();
        drop(origin);
        let end = client.read(&mut [0; 16]).await.map_err(|error| error.kind());
        assert_eq!(end, Err(io::ErrorKind::ConnectionReset));
        assert_eq!(outcome.await.unwrap().end, End::SecondBroke);
    });
}

/// A relay between loopback sockets whose client reads nothing, until nothing more of its origin's bytes is taken; how
/// many were.
async fn blocked(shard: &Rc<Shard>, idle: Duration) -> (TcpStream, TcpStream, usize) {
    let ((client, first), (second, mut origin)) = (tcp_pair().await, tcp_pair().await);
    drop(start(shard, Stream::tcp(first), Stream::tcp(second), idle));
    let (piece, mut sent) = (vec![7; 64 << 10], 0);
    let quiet = Duration::from_millis(100);
    while let Ok(written) = tokio::time::timeout(quiet, origin.write(&piece)).await {
        sent += written.unwrap();
    }
    assert!(sent as u64 > SPLICE_AFTER, "{sent}");
    (client, origin, sent)
}

#[test]
fn a_client_that_takes_nothing_is_heard() {
    Shard::test_in_real_time(async |shard| {
        let (mut client, mut origin, sent) = blocked(&shard, IDLE).await;
        for word in [b"stop", b"more"] {
            client.write_all(word).await.unwrap();
            let mut heard = [0; 4];
            origin.read_exact(&mut heard).await.unwrap();
            assert_eq!(&heard, word);
        }
        let mut all = Vec::new();
        let (read, written) = tokio::join!(client.read_to_end(&mut all), async {
            origin.write_all(b"end").await?;
            origin.shutdown().await
        });
        assert_eq!((read.unwrap(), all.get(sent..)), (sent + 3, Some(&b"end"[..])));
        written.unwrap();
    });
}

#[test]
fn a_relay_that_ends_with_a_full_sink_resets_both_sides() {
    Shard::test_in_real_time(async |shard| {
        let (mut client, mut origin, _sent) = blocked(&shard, Duration::from_millis(300)).await;
        let broken = origin.read(&mut [0; 1]).await.unwrap_err();
        assert_eq!(broken.kind(), io::ErrorKind::ConnectionReset);
        let mut all = Vec::new();
        let broken = client.read_to_end(&mut all).await.unwrap_err();
        assert_eq!(broken.kind(), io::ErrorKind::ConnectionReset);
    });
}
