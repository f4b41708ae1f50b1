//! Who may do what, and which way it goes: rules, sets of names and networks, users, verdicts.
//!
//! Pure: no tokio, no clock, no socket; time and keys come in as arguments. What is where:
//!
//! - [`rules`]: one-line rules, read and checked all at once, then asked per request;
//! - [`decision`]: what is asked ([`Query`]) and what is answered ([`Decision`]);
//! - [`domain_set`]: a million names, looked up with all their parents in one walk;
//! - [`cidr_set`]: networks, merged and searched by halves;
//! - [`users`]: log-ins from an htpasswd file, slow on purpose;
//! - [`verdicts`]: what was found out about log-ins, for a while and without the passwords;
//! - [`gcra`]: how often something may happen, by client network.

pub mod rules;

pub mod decision;

pub mod cidr_set;
pub mod domain_set;
mod suggest;

pub mod users;
pub mod verdicts;

pub mod gcra;

pub use cidr_set::{Cidr, CidrError, CidrSet};
pub use decision::{Decision, ExitId, Match, OverlayId, OverlayWish, Query, Verb};
pub use domain_set::{DomainPattern, DomainSet, DomainSetBuilder, ListSummary, PatternError};
pub use gcra::{Rate, RateTable};
pub use rules::{IMPLIED_RULE, Names, RuleError, RuleErrorKind, RuleSet};
pub use users::{Users, UsersError};
pub use verdicts::{DEFAULT_VERDICT_TTL, FAILED_VERDICT_TTL, VerdictCache};
