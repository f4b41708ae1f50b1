//! Whole networks in one thread and in virtual time: clients, entries, middles and exits made of the real machines,
//! joined by byte streams with delay, bandwidth and cuts (ovl1 sections 4 to 9, 12, 13).
//!
//! Chance comes from stated seeds: a run that fails, fails again. A stream is TCP: nothing in it is lost or out of
//! order, so loss is delay and cuts, and what overtakes what is decided between streams. In every step of every test
//! windows and buffers keep to their bounds, and every byte that arrives is the one that was sent there ([`check`]).
//! Not here: sockets, tasks (`overlay`).
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    unreachable_pub,
    reason = "a test fails loudly; numbers are small; nobody but this test reaches its items"
)]

mod chance;
mod pipe;

mod flow;
mod node;
mod world;

mod check;
mod circuits;
mod links;
mod ports;

mod cuts;
mod fairness;
mod hostile;
mod life;
mod memory;
mod replays;
mod traffic;
