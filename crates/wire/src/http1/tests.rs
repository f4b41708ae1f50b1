//! Tests of whole messages. Tables of single functions stand beside those functions.

mod bodies;
mod compose;
mod cuts;
mod refusals;
mod requests;
mod responses;
mod round_trip;
