//! Certificates by themselves: ordered, proven, stored, renewed, without anybody's hand.
//!
//! ```text
//! names -> keeper -> stored and fresh? -> certificate stores of the listeners (swapped while they run)
//!                 -> due: .internal and its like -> local authority
//!                         all others -> lock -> rehearsal at the staging directory, once -> order -> challenges -> storage
//! ```
//! What is where: [`CertKeeper`] has the loop and decides; `order` is one order by RFC 8555; `renewal` says when;
//! `storage` and `record` are files; `local` is the authority of this machine; [`CertError`] says it in words. The
//! protocol is instant-acme's, over our own connections (`transport`). Not here: the answers to challenges
//! (`shoalway_net::acme_challenges`), TLS, which sites there are (configuration), DNS-01, external accounts.

mod chain;
mod error;
mod keeper;
mod list;
mod local;
mod name;
mod order;
mod problem;
mod record;
mod renewal;
mod settings;
mod staple;
mod storage;
mod transport;

pub use error::CertError;
pub use keeper::CertKeeper;
pub use list::{Listed, list};
pub use local::{LocalAuthority, Root};
pub use name::{CertName, Issuer};
pub use record::{Complaint, Record};
pub use renewal::Window;
pub use settings::{
    Authority, CertSettings, ChallengeKind, LETS_ENCRYPT, LETS_ENCRYPT_STAGING, default_storage,
    state_directory,
};
pub use staple::{Staple, StapleError};
pub use storage::{Lock, Storage};

use std::time::{Duration, SystemTime};

/// Seconds since 1970; 0 for times before.
pub(crate) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The time so many seconds after 1970.
pub(crate) fn moment(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// A time for people, such as `2026-01-02T03:04:05Z`.
pub(crate) fn words(time: SystemTime) -> String {
    crate::log::Moment::at(seconds(time)).to_string()
}
