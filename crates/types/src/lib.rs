//! The words every other crate speaks: hosts, targets, sizes, blame, and what is sensitive.
//!
//! Pure: no tokio, no clock, no I/O. What is where:
//!
//! - [`host`]: a checked name or an IP address;
//! - [`target`]: host and port, read from an authority;
//! - [`sensitive`]: values that print `[hidden]`;
//! - [`failure`]: whose fault an error is, and whether a retry is safe;
//! - [`size`]: bytes with units, as people write them;
//! - [`wallet`]: the address of a wallet, checked by EIP-55;
//! - [`record`]: the facts of one finished request or tunnel, as the access log sees them.

pub mod host;
pub mod target;

pub mod failure;
pub mod record;
pub mod sensitive;
pub mod size;
pub mod wallet;

pub use failure::{Failure, Retry, Side};
pub use host::{DomainName, Host, HostError};
pub use record::{Protocol, Record};
pub use sensitive::{Privacy, Sensitive};
pub use size::ByteCount;
pub use target::{Target, TargetError};
