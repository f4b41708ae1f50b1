//! The reverse proxy: sites (HTTP) and streams (TCP, UDP) in front of upstreams.
//!
//! What is where:
//!
//! - [`site_plan`]: what a listener of sites does; [`http_gateway`] does it: [`routes`], [`files`], [`compress`]; a
//!   request's tries are in [`attempt`], whom to believe about clients in [`trusted`], traces in [`trace`];
//! - [`stream_plan`]: what a listener of streams does; [`tcp_gateway`] does it, [`sni`] chooses by the hello that is read there;
//!   [`udp_gateway`]: the same for datagrams, plan and sessions;
//! - [`upstream`]: named groups of endpoints and how each endpoint fares; [`balance`]: the choice among them;
//! - [`outlier`], [`health`]: who is put aside, by its failures or by checks; [`discovery`]: who there is;
//! - [`breaker`], [`line`](mod@line), [`budget`], [`retry`]: how much may be under way, who waits for that, how much may be retried,
//!   and what may be retried at all;
//! - [`moment`], [`dice`]: time and chance, as the above take them.
//!
//! One request, one stream:
//! ```text
//! upstream.enter(Bound::Requests)? -> upstream.first_try()
//! loop: upstream.pick(&key, &exclude, now)? -> connect, send -> picked.answered(now) -> picked.finish(outcome, now)
//!       failed: exclude.add(&picked), policy.again(tried), upstream.retry_token(now)?.spend()
//! ```
//! Not here: HTTP itself (`http`), rules (`policy`), sockets (`net`), the configuration file (`app`).

pub mod site_plan;

pub mod http_gateway;
pub mod routes;

pub mod attempt;
pub mod compress;
pub mod files;
pub mod trace;
pub mod trusted;

pub mod upstream;

pub mod balance;

pub mod health;
pub mod outlier;

pub mod discovery;

mod proxy_header;
pub mod sni;
pub mod stream_plan;
pub mod tcp_gateway;
pub mod udp_gateway;

pub mod breaker;
pub mod budget;
pub mod line;
pub mod retry;

pub mod dice;
pub mod moment;

#[cfg(test)]
mod kit;
