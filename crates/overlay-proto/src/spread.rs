//! Which exit serves what: units, the choice for each, and how long it stays (section 11).
//!
//! A flow belongs to a unit (`unit.rs`): a site, a host, a connection or a request, apart for each way of logging in to
//! the local part. The unit's exit is found by rendezvous hashing under a secret of the session (`choose.rs`) and then
//! kept in a table (`pins.rs`). Nothing here is ever sent to anybody. Not here: which exits are active
//! ([`crate::path`]), circuits.

mod affinity;
mod choose;
mod pins;
mod unit;

pub use affinity::{Affinity, AffinityError};
pub use choose::{SpreadSecret, Weighted, choose};
pub use pins::{Choice, MAX_AGE, MAX_IDLE, MAX_PINS, Pins, Why};
pub use unit::{Isolation, Spread, SpreadError, UnitId, registered_domain, unit};

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
