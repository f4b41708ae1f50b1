//! Two shards on two threads: a session goes on where it lives, wherever its new connection came in; and flows of one
//! shard leave by the links of the other.

use crate::origins::{Origin, ask, echo, hello, noise, soon, until};
use crate::town::{Town, TownNode, Wants, serve};
use shoalway_net::blocking::Blocking;
use shoalway_net::fleet::{Fleet, FleetConfig, Message};
use shoalway_net::limits::Limits;
use shoalway_net::shard::Shard;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use tokio::net::TcpListener;

/// Runs a test on the first of two shards.
fn on_two_shards<F: Future<Output = ()> + 'static>(test: impl FnOnce(Rc<Shard>) -> F + Send + 'static) {
    let blocking = Blocking::start(1).unwrap();
    let config =
        FleetConfig { shards: 2, memory: 1 << 30, limits: Limits::default(), writer: None, blocking };
    let (fleet, threads) = Fleet::start(&config).unwrap();
    let (tell, told) = mpsc::channel();
    let work = Message::Apply(Box::new(move |shard| {
        let task = tokio::task::spawn_local(test(Rc::clone(shard)));
        tokio::task::spawn_local(async move { tell.send(task.await.is_ok()).unwrap() });
    }));
    assert!(fleet.send(0, work).is_ok());
    let passed = told.recv().unwrap();
    for shard in 0..fleet.len() {
        assert!(fleet.send(shard, Message::Stop).is_ok());
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(passed, "the reason stands above");
}

/// Serves a node on the second shard too, and says where.
fn also_on_the_other_shard(shard: &Rc<Shard>, node: &TownNode) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let addr = listener.local_addr().unwrap();
    let (tls, sni, door) = (node.tls.clone(), node.endpoint.sni.clone(), Arc::clone(&node.door));
    let work = Message::Apply(Box::new(move |other| {
        serve(other, TcpListener::from_std(listener).unwrap(), tls, sni, door);
    }));
    assert!(shard.fleet().send(1, work).is_ok());
    addr
}

#[test]
fn a_session_goes_on_although_its_new_connection_came_in_on_another_shard() {
    on_two_shards(async |shard| {
        let town = Town::build(&shard, &Wants::default()).await;
        let entry = town.entry();
        let elsewhere = also_on_the_other_shard(&shard, entry);
        let origin = Origin::echo().await;
        let mut stream = soon(town.connect(&origin.target(), "one")).await.unwrap();
        hello(&mut stream).await;
        entry.street.lead_to(elsewhere);
        let (street, seen) = (&entry.street, origin.seen());
        let cutting = async {
            until("a part has passed", || seen.bytes.get() > 500_000).await;
            street.cut();
        };
        let bytes = noise(2_000_000);
        tokio::join!(cutting, echo(stream, &bytes));
        assert_eq!((street.came(), town.circuits(), seen.came.get()), (2, 1, 1));
    });
}

#[test]
fn flows_of_another_shard_leave_by_the_links_of_the_home() {
    on_two_shards(async |shard| {
        // The town and its client's links live on shard 0; the flows come on shard 1.
        let town = Town::build(&shard, &Wants { exits: 2, ..Wants::default() }).await;
        let origin = Origin::echo().await;
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
        let (overlay, target) = (town.overlay.clone(), origin.target());
        let (tell, mut told) = tokio::sync::mpsc::channel(1);
        let work = Message::Apply(Box::new(move |other| {
            let other = Rc::clone(other);
            tokio::task::spawn_local(async move {
                let way = overlay.way(overlay.shared().plan.exits.clone()).on(&other);
                let session = Town::session(&target, "one");
                let mut stream = soon(way.connect(&session)).await.unwrap().stream;
                hello(&mut stream).await;
                ask(&mut stream, b"across").await;
                echo(stream, &noise(500_000)).await;
                let session = Town::session(&gone, "one");
                let word = soon(way.connect(&session)).await.err().map(|error| error.word);
                tell.send(word).await.unwrap();
            });
        }));
        assert!(shard.fleet().send(1, work).is_ok());
        assert_eq!(soon(told.recv()).await, Some(Some("connection_refused")));
        assert_eq!(town.circuits(), 1, "two ports of one host are one unit");
    });
}

#[test]
fn an_entry_that_is_drained_says_so_and_new_flows_go_elsewhere_while_old_ones_go_on() {
    on_two_shards(async |shard| {
        let town = Town::build(&shard, &Wants { entries: 2, ..Wants::default() }).await;
        // Both entries serve on the other shard; when that is drained, the one that was not used is at home here again.
        for entry in &town.nodes[..2] {
            entry.street.lead_to(also_on_the_other_shard(&shard, entry));
        }
        let origin = Origin::echo().await;
        let mut stream = soon(town.connect(&origin.target(), "one")).await.unwrap();
        hello(&mut stream).await;
        let used = town.nodes[..2].iter().position(|entry| entry.street.standing() > 0).unwrap();
        let other = &town.nodes[1 - used];
        other.street.lead_to(also_on_the_first_shard(&shard, other));
        assert!(shard.fleet().send(1, Message::Apply(Box::new(|other| other.drain()))).is_ok());
        let left = || other.street.came() > 0;
        let moved = async {
            while !left() {
                let mut next = soon(town.connect(&origin.target(), "two")).await.unwrap();
                hello(&mut next).await;
            }
        };
        soon(moved).await;
        ask(&mut stream, b"the old one goes on").await;
        let mut next = soon(town.connect(&origin.target(), "two")).await.unwrap();
        hello(&mut next).await;
    });
}

/// Serves a node on this shard, and says where.
fn also_on_the_first_shard(shard: &Rc<Shard>, node: &TownNode) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let addr = listener.local_addr().unwrap();
    let listener = TcpListener::from_std(listener).unwrap();
    serve(shard, listener, node.tls.clone(), node.endpoint.sni.clone(), Arc::clone(&node.door));
    addr
}
