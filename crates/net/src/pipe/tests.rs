//! One pipe in memory, and one between two shards on threads of their own.

use super::{Busy, CREDIT, End, across, pair};
use crate::blocking::Blocking;
use crate::fleet::{Fleet, FleetConfig, Message};
use crate::limits::Limits;
use crate::shard::Shard;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::mpsc::sync_channel;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

const fn is_send<T: Send>() {}
const _: () = is_send::<End>();

fn fill(end: &mut End, bytes: &[u8]) -> usize {
    let mut cx = Context::from_waker(Waker::noop());
    let mut taken = 0;
    while let Poll::Ready(octets) = Pin::new(&mut *end).poll_write(&mut cx, bytes) {
        taken += octets.unwrap();
    }
    taken
}

#[test]
fn no_more_is_taken_than_the_credit_and_reading_gives_it_back() {
    Shard::test(async |_shard| {
        for piece in [1, 100, 16 << 10, 1 << 20] {
            let (mut near, mut far) = pair();
            let taken = fill(&mut near, &vec![7; piece]);
            assert!(taken > 0 && taken <= CREDIT, "{piece}: {taken}");
            far.read_exact(&mut vec![0; taken]).await.unwrap();
            let mut one = [0];
            let waiting = poll_fn(|cx| {
                let mut to = tokio::io::ReadBuf::new(&mut one);
                Poll::Ready(tokio::io::AsyncRead::poll_read(Pin::new(&mut far), cx, &mut to).is_pending())
            });
            assert!(waiting.await);
            assert_eq!(fill(&mut near, &vec![7; piece]), taken, "{piece}");
        }
    });
}

#[test]
fn each_direction_ends_for_itself() {
    Shard::test(async |_shard| {
        let (mut near, mut far) = pair();
        near.write_all(b"question").await.unwrap();
        near.shutdown().await.unwrap();
        let mut all = String::new();
        far.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "question");
        far.write_all(b"answer").await.unwrap();
        far.shutdown().await.unwrap();
        drop(far);
        all.clear();
        near.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "answer");
        assert_eq!(near.write(b"more").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn an_end_that_breaks_is_told_in_both_directions() {
    Shard::test(async |_shard| {
        for reset in [true, false] {
            let (mut near, mut far) = pair();
            near.write_all(b"lost").await.unwrap();
            if reset {
                near.reset()
            } else {
                drop(near)
            }
            assert_eq!(far.read(&mut [0; 8]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
            assert_eq!(far.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        }
    });
}

#[test]
fn who_waits_is_woken_by_what_happens_at_the_other_end() {
    Shard::test(async |shard| {
        let (mut near, mut far) = pair();
        let (told, wait) = tokio::sync::oneshot::channel();
        shard.tasks().spawn(async move {
            let mut word = [0; 4];
            let read = far.read_exact(&mut word).await.map(|_| word);
            let broken = far.read(&mut word).await.map_err(|error| error.kind());
            told.send((read.unwrap(), broken)).unwrap();
        });
        tokio::task::yield_now().await;
        near.write_all(b"word").await.unwrap();
        tokio::task::yield_now().await;
        near.reset();
        assert_eq!(wait.await.unwrap(), (*b"word", Err(ErrorKind::ConnectionReset)));
    });
}

fn fleet(shards: usize) -> (std::sync::Arc<Fleet>, Vec<std::thread::JoinHandle<()>>) {
    let blocking = Blocking::start(1).unwrap();
    Fleet::start(&FleetConfig { shards, memory: 1 << 30, limits: Limits::default(), writer: None, blocking })
        .unwrap()
}

#[test]
fn two_shards_talk_through_a_pipe() {
    const BYTES: usize = 8 << 20;
    let (fleet, threads) = fleet(2);
    let (tell, told) = sync_channel(1);
    let work = move |shard: &std::rc::Rc<Shard>| {
        let echo = |shard: &std::rc::Rc<Shard>, mut far: End| {
            assert_eq!(shard.id(), 1);
            shard.tasks().spawn(async move {
                let (mut read, mut write) = tokio::io::split(&mut far);
                tokio::io::copy(&mut read, &mut write).await.unwrap();
                write.shutdown().await.unwrap();
            });
        };
        let near = across(shard, 1, echo).unwrap();
        shard.tasks().spawn(async move {
            let (mut read, mut write) = tokio::io::split(near);
            let bytes: Vec<u8> = (0..BYTES).map(|at| (at / 251) as u8).collect();
            let mut back = Vec::new();
            let (sent, received) = tokio::join!(
                async {
                    write.write_all(&bytes).await?;
                    write.shutdown().await
                },
                read.read_to_end(&mut back)
            );
            sent.unwrap();
            received.unwrap();
            tell.send(back == bytes).unwrap();
        });
    };
    assert!(fleet.send(0, Message::Apply(Box::new(work))).is_ok());
    assert!(told.recv_timeout(Duration::from_secs(30)).unwrap());
    for shard in 0..2 {
        assert!(fleet.send(shard, Message::Stop).is_ok());
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn a_shard_that_is_not_there_takes_no_work() {
    Shard::test(async |shard| {
        let refused = across(&shard, 7, |_shard, _end| panic!("nobody runs this"));
        assert_eq!(refused.err(), Some(Busy));
    });
}
