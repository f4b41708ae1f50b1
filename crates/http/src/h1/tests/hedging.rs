//! A second try beside a slow one, with paused time: who answers first, who fails, what is left open.

use super::kit::{GET, GOT, OK, Peer, Wire};
use shoalway_net::clock;
use shoalway_net::shard::Shard;
use std::rc::Rc;
use std::time::Duration;

const AFTER: Duration = Duration::from_millis(50);

/// One second try is granted; both upstreams are there.
fn wire(shard: &Rc<Shard>, left: usize) -> (Wire, Peer, Peer) {
    clock::new_turn();
    let wire = Wire::new(shard);
    wire.log.hedges.set(Some((AFTER, left)));
    let (first, second) = (wire.upstream(), wire.upstream());
    (wire, first, second)
}

async fn until(after: Duration) {
    // Nothing comes: time passes at once where it is paused.
    drop(tokio::time::timeout(after, std::future::pending::<()>()).await);
}

#[test]
fn the_second_answers_while_the_first_is_silent_and_the_first_is_closed() {
    Shard::test(async |shard| {
        let (mut wire, mut first, mut second) = wire(&shard, 1);
        let begun = clock::now();
        wire.client.send(GET).await;
        first.expect(GOT).await;
        second.expect(GOT).await;
        // A sleep is not early, and at most its millisecond late.
        let waited = clock::now() - begun;
        assert!(waited >= AFTER && waited <= AFTER + Duration::from_millis(1), "{waited:?}");
        second.send(OK).await;
        wire.client.expect(OK).await;
        assert_eq!(first.rest().await, "");
        assert_eq!((wire.outcomes(), &wire.log.hedged.borrow()[..]), (vec![(200, "ok")], &["won"][..]));
        // The one that has answered is kept, and is the only one.
        assert_eq!(shard.counters().upstream_idle.get(), 1);
        wire.log.hedges.set(None);
        wire.client.send(GET).await;
        second.expect(GOT).await;
        second.send(OK).await;
        wire.client.expect(OK).await;
        assert_eq!(*wire.log.connects.borrow(), 2);
    });
}

#[test]
fn the_first_answers_at_last_and_the_second_is_closed() {
    Shard::test(async |shard| {
        let (mut wire, mut first, mut second) = wire(&shard, 1);
        wire.client.send(GET).await;
        second.expect(GOT).await;
        first.expect(GOT).await;
        first.send(&OK[..20]).await;
        assert_eq!(second.rest().await, "");
        assert_eq!(wire.log.hedged.borrow()[..], ["lost"]);
        first.send(&OK[20..]).await;
        wire.client.expect(OK).await;
        assert_eq!(shard.counters().upstream_idle.get(), 1);
    });
}

#[test]
fn an_answer_in_the_moment_of_the_second_try_is_the_firsts() {
    for (early, connects) in [(true, 1), (false, 2)] {
        Shard::test(async move |shard| {
            let (mut wire, mut first, mut second) = wire(&shard, 1);
            wire.client.send(GET).await;
            first.expect(GOT).await;
            if early {
                until(AFTER * 9 / 10).await;
            } else {
                second.expect(GOT).await;
                // Both are readable when the exchange looks.
                second.send(OK).await;
            }
            first.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst").await;
            wire.client.expect("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst").await;
            until(AFTER).await;
            assert_eq!(*wire.log.connects.borrow(), connects);
            assert_eq!(wire.outcomes(), [(200, "ok")]);
        });
    }
}

#[test]
fn when_the_first_breaks_the_second_goes_on_alone() {
    Shard::test(async |shard| {
        let (mut wire, first, mut second) = wire(&shard, 1);
        wire.client.send(GET).await;
        second.expect(GOT).await;
        drop(first);
        until(Duration::from_millis(10)).await;
        assert_eq!(wire.log.hedged.borrow()[..], ["alone"]);
        second.send(OK).await;
        wire.client.expect(OK).await;
        assert_eq!(wire.outcomes(), [(200, "ok")]);
    });
}

#[test]
fn when_the_second_breaks_the_first_goes_on() {
    Shard::test(async |shard| {
        let (mut wire, mut first, mut second) = wire(&shard, 1);
        wire.client.send(GET).await;
        second.expect(GOT).await;
        drop(second);
        until(Duration::from_millis(10)).await;
        assert_eq!(wire.log.hedged.borrow()[..], ["failed"]);
        first.expect(GOT).await;
        first.send(OK).await;
        wire.client.expect(OK).await;
    });
}

#[test]
fn when_both_break_it_is_one_failure() {
    Shard::test(async |shard| {
        let (mut wire, first, mut second) = wire(&shard, 1);
        wire.client.send(GET).await;
        second.expect(GOT).await;
        drop(first);
        until(Duration::from_millis(10)).await;
        drop(second);
        wire.client.expect("HTTP/1.1 502 ").await;
        assert_eq!((wire.log.hedged.borrow().len(), *wire.log.connects.borrow()), (1, 2));
    });
}

#[test]
fn without_leave_and_where_nobody_is_there_the_first_is_waited_for() {
    for (left, connects) in [(0, 1), (1, 2)] {
        Shard::test(async move |shard| {
            // What the clock said in the world before is in the future here.
            clock::new_turn();
            let mut wire = Wire::new(&shard);
            wire.log.hedges.set(Some((AFTER, left)));
            let mut first = wire.upstream();
            wire.client.send(GET).await;
            first.expect(GOT).await;
            until(Duration::from_secs(5)).await;
            first.send(OK).await;
            wire.client.expect(OK).await;
            assert_eq!(*wire.log.connects.borrow(), connects);
        });
    }
}

#[test]
fn a_whole_upload_is_sent_twice_and_half_an_upload_is_not() {
    const PUT: &str = "PUT /a HTTP/1.1\r\nHost: origin.example\r\nContent-Length: 4\r\n\r\n";
    for (sent, connects) in [("body", 2), ("bo", 1)] {
        Shard::test(async move |shard| {
            let (mut wire, mut first, mut second) = wire(&shard, 1);
            wire.client.send(format!("{PUT}{sent}")).await;
            first.expect(&format!("{PUT}{sent}")).await;
            until(AFTER * 2).await;
            assert_eq!(*wire.log.connects.borrow(), connects);
            if connects == 2 {
                second.expect(&format!("{PUT}body")).await;
                second.send(OK).await;
            } else {
                wire.client.send("dy").await;
                first.expect("dy").await;
                first.send(OK).await;
            }
            wire.client.expect(OK).await;
        });
    }
}

#[test]
fn requests_behind_a_hedged_one_are_answered_in_their_order() {
    Shard::test(async |shard| {
        let (mut wire, mut first, mut second) = wire(&shard, 1);
        let next = GET.replace("/a", "/b");
        wire.client.send(format!("{GET}{next}")).await;
        second.expect(GOT).await;
        second.send(OK).await;
        wire.client.expect(OK).await;
        first.expect(GOT).await;
        second.expect(&GOT.replace("/a", "/b")).await;
        second.send(OK).await;
        wire.client.expect(OK).await;
        assert_eq!(wire.outcomes(), [(200, "ok"), (200, "ok")]);
    });
}

#[test]
fn a_client_that_leaves_takes_both_with_it() {
    Shard::test(async |shard| {
        let (mut wire, mut first, mut second) = wire(&shard, 1);
        wire.client.send(GET).await;
        second.expect(GOT).await;
        first.expect(GOT).await;
        drop(wire);
        // Nobody sees the end of a pipe that is not written to before the answer is.
        first.send(OK).await;
        assert_eq!((first.rest().await, second.rest().await), (String::new(), String::new()));
    });
}
