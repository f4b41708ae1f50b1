//! Whole connections in memory, with the `h2` crate as the other side.

mod kit;
mod not_processed;

mod bodies;
mod ending;
mod smuggling;
mod tunnels;
mod upstream;
