//! OpenSSL's client: one connection, what was agreed in its handshake, and what came over it.

use super::CLIENT_PATIENCE;
use super::ran::Ran;
use std::net::SocketAddr;
use std::process::Command;

/// Runs `openssl s_client` with these words, sends `input` and reads until the server closes.
#[track_caller]
#[must_use]
pub fn s_client(addr: SocketAddr, words: &[&str], input: &[u8]) -> Ran {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-ign_eof", "-connect", &addr.to_string()]).args(words);
    Ran::of(&mut command, input, CLIENT_PATIENCE)
}
