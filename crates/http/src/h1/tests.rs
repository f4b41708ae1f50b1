//! Whole connections in memory with paused time: a client that types, upstreams that answer by hand.

mod again;
mod bodies;
mod deadlines;
mod filters;
mod hedging;
mod keeping;
mod kit;
mod switching;
