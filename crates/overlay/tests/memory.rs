//! What idle circuits cost, counted by the allocator (section 8: at most 8 KiB an idle circuit at a relay).
//!
//! One process, one test: client, relay and exit are counted together, which is more than any of them has.

#![allow(clippy::disallowed_methods, reason = "tests open their own sockets and tasks")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    dead_code,
    reason = "a test fails by panicking, and says what it measured; the town is built for other tests too"
)]

#[path = "network/origins.rs"]
mod origins;
#[path = "network/raw.rs"]
mod raw;
#[path = "network/street.rs"]
mod street;
#[path = "network/town.rs"]
mod town;

use bytes::Bytes;
use origins::{Origin, hello, soon, until};
use raw::{Raw, path};
use shoalway_net::shard::Shard;
use shoalway_overlay::chance;
use shoalway_overlay::link::CircuitOwner;
use shoalway_overlay_proto::link::terms::{CircId, Code};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::cell::Cell;
use std::rc::Rc;
use town::{Town, Wants};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Circuits that are made at once: a link's burst is 128.
const CIRCUITS: usize = 40;
/// Circuits of a person.
const UNITS: usize = 64;

/// Counts circuits that were answered, and keeps nothing.
#[derive(Default)]
struct Count {
    created: Cell<usize>,
    destroyed: Cell<usize>,
}

impl CircuitOwner for Count {
    fn created(&self, _body: Bytes) {
        self.created.set(self.created.get() + 1);
    }

    fn data(&self, _record: Bytes) {}

    fn sent(&self, _bytes: usize) {}

    fn writable(&self) {}

    fn destroyed(&self, _code: Code) {
        self.destroyed.set(self.destroyed.get() + 1);
    }
}

fn held(region: &Region<'_, System>) -> usize {
    let change = region.change();
    change.bytes_allocated.saturating_sub(change.bytes_deallocated)
}

/// Bytes that each of many idle circuits holds at its relay and its exit.
async fn idle_circuit(shard: &Rc<Shard>) -> usize {
    let town = Town::build(shard, &Wants::default()).await;
    let raw = Box::pin(Raw::client(shard, &town.common, town.entry())).await.unwrap();
    let bodies: Vec<Bytes> =
        (0..CIRCUITS + 20).map(|_| path(&town.common, &[&town.nodes[0], &town.nodes[1]]).0.into()).collect();
    let count = Rc::<Count>::default();
    let make = |bodies: &[Bytes]| {
        let one = |body: &Bytes| {
            let owner = Rc::clone(&count) as Rc<dyn CircuitOwner>;
            raw.link.create(body.clone(), 0, owner, &mut chance::rng()).unwrap()
        };
        bodies.iter().map(one).collect::<Vec<CircId>>()
    };
    make(&bodies[..20]);
    until("the links are warm", || count.created.get() == 20).await;
    let region = Region::new(ALLOCATOR);
    let circuits = make(&bodies[20..]);
    until("all are answered", || count.created.get() == CIRCUITS + 20).await;
    // ACKs are out and nothing is kept to be sent again.
    shard.pass(std::time::Duration::from_millis(1_100)).await;
    assert_eq!(count.destroyed.get(), 0);
    let grown = held(&region) / CIRCUITS;
    // What they give back when they end, in case something else was given back while they were made.
    let region = Region::new(ALLOCATOR);
    circuits.iter().for_each(|circ| raw.link.destroy(*circ, Code::Done));
    shard.pass(std::time::Duration::from_millis(1_100)).await;
    let change = region.change();
    let given_back = change.bytes_deallocated.saturating_sub(change.bytes_allocated) / CIRCUITS;
    println!("an idle circuit takes {grown} bytes and gives {given_back} back");
    grown.max(given_back)
}

/// Bytes that a client with 64 circuits holds, its entry and its exits included.
async fn client_of_many_units(shard: &Rc<Shard>) -> usize {
    let names: Vec<String> = (0..UNITS).map(|n| format!("h{n}.example")).collect();
    let town = Town::build(shard, &Wants { exits: 4, names: names.clone(), ..Wants::default() }).await;
    let origin = Origin::echo().await;
    drop(soon(town.connect(&origin.target(), "one")).await.unwrap());
    let region = Region::new(ALLOCATOR);
    let mut streams = Vec::new();
    for name in &names {
        let target = format!("{name}:{}", origin.addr.port());
        let mut stream = soon(town.connect(&target, "one")).await.unwrap();
        hello(&mut stream).await;
        streams.push(stream);
    }
    assert_eq!(town.circuits(), UNITS as u64 + 1);
    held(&region)
}

#[test]
fn idle_circuits_are_small() {
    Shard::test_in_real_time(async |shard| {
        let circuit = Box::pin(idle_circuit(&shard)).await;
        println!("an idle circuit, relay and exit and client's link together: {circuit} bytes");
        assert!(circuit <= 8 << 10, "{circuit} bytes");
        let client = Box::pin(client_of_many_units(&shard)).await;
        println!("64 circuits with a stream each, all nodes and destinations included: {client} bytes");
        assert!(client <= 40 << 20, "{client} bytes");
    });
}
