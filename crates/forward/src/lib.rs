//! The forward proxy: clients come in by one port, rules decide, and a way out is taken.
//!
//! What is where, in the order of a session:
//!
//! - [`plan`]: what a listener is configured to do; shared by all shards, immutable;
//! - [`forward`]: the same on one shard, behind its listener;
//! - [`dispatch`]: the decision: who wants to go where, and which way that is. Read first;
//! - `inbound/mixed`: first bytes tell HTTP, SOCKS4 and SOCKS5 apart; `inbound/http`: requests;
//!   `inbound/connect`: tunnels; `inbound/socks4`, `inbound/socks5`, `inbound/bind`, `inbound/socks5_udp`;
//! - [`outbound`]: ways out: direct, through an HTTP proxy, through a SOCKS proxy;
//! - [`replies`]: one table that makes SOCKS codes and HTTP statuses of failures;
//! - [`facts`]: what is told about a tunnel when it ends; [`tunnels`]: those that are open;
//! - [`login`]: who a client says it is, checked off the shard.
//!
//! Not here: bytes of protocols (`wire`), HTTP exchanges (`http`), sockets and tasks (`net`), rules (`policy`),
//! the configuration file (`app`).

pub mod plan;

pub mod forward;

pub mod dispatch;

mod inbound;

pub mod outbound;

pub mod facts;
pub mod login;
pub mod replies;
pub mod tunnels;

pub use forward::Forward;
pub use plan::{Auth, ForwardPlan, Way};
