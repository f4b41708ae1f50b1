//! Everything the whole-program tests are made of: the program under test, far sides that behave or misbehave,
//! and clients, raw and real.
//!
//! Development only: nothing here is part of the product, and everything here panics instead of returning errors, so
//! that a test reads as a sentence and a failure names its line. Blocking sockets and plain threads throughout; every
//! wait has a deadline ([`wait::PATIENCE`] unless the call names one), nothing sleeps to "let things settle".
//!
//! - [`proxy`]: the real binary, started, asked, signalled, stopped;
//! - [`client`]: a raw client, with [`http`], [`socks`] and [`tunnel`] on top of it;
//! - [`origin`]: an HTTP/1.1 origin that records what arrived and answers by script;
//! - [`far`]: plain TCP and UDP far sides, scripted peers, echoes;
//! - [`dns`]: a name server that answers by table, fails, or stays silent;
//! - [`ca`]: a certificate authority for one test; [`acme`]: one that speaks ACME and checks what it is told;
//! - [`websocket`]: a WebSocket server that echoes, and a client;
//! - [`hosts`]: network namespaces joined by a switch, captures on their links, scans of memory;
//! - [`real`]: curl, h2load, openssl, Python, Chromium and ssh.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::missing_panics_doc,
    clippy::needless_pass_by_value,
    reason = "development only: it fails a test where it cannot go on, opens its own sockets and threads, and reads best"
)]

pub mod wait;

pub mod proxy;

pub mod client;
pub mod http;
pub mod socks;
pub mod tunnel;

pub mod acme;
pub mod ca;
pub mod dns;
pub mod far;
pub mod hosts;
pub mod origin;
pub mod real;
pub mod websocket;

mod server;
pub mod temp;
mod wire;

pub use acme::{AcmeOrder, AcmeServer};
pub use ca::TestCa;
pub use client::{End, RawClient};
pub use dns::{Dns, EncryptedDns};
pub use far::{Far, Hanging, Refusing, Step, TcpEcho, TcpScript, UdpEcho};
pub use hosts::{TestHost, TestHosts};
pub use http::Response;
pub use origin::{Origin, Reply, Seen};
pub use proxy::{Proxy, run};
pub use temp::TempDir;
pub use tunnel::exchange_far;
pub use wait::{PATIENCE, eventually, millis, secs};
pub use websocket::{WebSocket, WebSocketEcho};
