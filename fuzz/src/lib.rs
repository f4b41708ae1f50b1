//! What each parser keeps to whatever bytes it is given: no panic, the same result however the bytes arrive, and
//! what was read can be written and read again.
//!
//! A target is a function that panics when a promise is broken. The same functions are run by
//! - `cargo test -p shoalway-fuzz`, over `corpus/NAME/`, with any compiler (`tests/replay.rs`);
//! - `cargo +nightly fuzz run --features libfuzzer --target-dir fuzz/target NAME FOUND fuzz/corpus/NAME`, without end
//!   (`fuzz_targets/NAME.rs`); what it finds goes to the folder `FOUND`, and what is worth keeping is copied.
//!
//! A new target takes a function, a line in [`TARGETS`], one in `tests/replay.rs`, a program, and a few seeds; the
//! tests name what is missing.
#![allow(clippy::panic, reason = "a broken promise is told by a panic")]

pub mod client_hello;
pub mod config;
pub mod cut;
pub mod directory;
pub mod first_bytes;
pub mod h2;
pub mod http1;
pub mod overlay;
pub mod policy;
pub mod proxy_protocol;
pub mod sealed;
pub mod socks4;
pub mod socks5;
pub mod socks5_udp;
pub mod wallet;

/// A target: its name, also that of its corpus and its program, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("first_bytes", first_bytes::first_bytes),
    ("proxy_protocol", proxy_protocol::proxy_protocol),
    ("client_hello", client_hello::client_hello),
    ("socks4", socks4::socks4),
    ("socks5_server", socks5::socks5_server),
    ("socks5_client", socks5::socks5_client),
    ("socks5_udp", socks5_udp::socks5_udp),
    ("http1_request", http1::http1_request),
    ("http1_response", http1::http1_response),
    ("http1_body", http1::http1_body),
    ("http1_differential", http1::http1_differential),
    ("h2_request", h2::h2_request),
    ("h2_response", h2::h2_response),
    ("h2_trailers", h2::h2_trailers),
    ("rules", policy::rules),
    ("domain_list", policy::domain_list),
    ("users", policy::users),
    ("config", config::config),
    ("delegation", directory::delegation),
    ("revocations", directory::revocations),
    ("descriptor", directory::descriptor),
    ("network_file", directory::network_file),
    ("snapshot", directory::snapshot),
    ("chain", directory::chain),
    ("invite", directory::invite),
    ("link_frames", overlay::link_frames),
    ("record_frames", overlay::record_frames),
    ("link_state", overlay::link_state),
    ("circuit_state", overlay::circuit_state),
    ("opener", sealed::opener),
    ("create", sealed::create),
    ("accept", sealed::accept),
    ("node_auth", sealed::node_auth),
    ("keystore", wallet::keystore),
    ("words", wallet::words),
];

/// Runs one target over one input.
///
/// # Panics
/// When a promise is broken, or no target has this name.
pub fn run(name: &str, data: &[u8]) {
    match TARGETS.iter().find(|(known, _)| *known == name) {
        Some((_, target)) => target(data),
        None => panic!("no target is called {name}"),
    }
}
