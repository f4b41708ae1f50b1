//! What rests costs little: the memory of idle tunnels and of idle clients.
//!
//! A thousand of each stand for the ten thousand of `cargo xtask bench`; what is measured is the process's own memory.

use shoalway_testkit::proxy::raise_own_limit;
use shoalway_testkit::{Far, Origin, Proxy, RawClient, Reply};

const BIN: &str = env!("CARGO_BIN_EXE_shoalway");

const MANY: u64 = 1_000;

/// Own memory of one more of what `open` makes, after as many again have come and gone.
fn memory_of_one<T>(proxy: &Proxy, open: impl Fn() -> T) -> u64 {
    raise_own_limit();
    drop((0..MANY / 10).map(|_| open()).collect::<Vec<T>>());
    let before = proxy.memory();
    let all: Vec<T> = (0..MANY).map(|_| open()).collect();
    let after = proxy.memory();
    drop(all);
    after.saturating_sub(before) / MANY
}

/// In bytes. Futures of a debug build are larger, so there it has twice as much.
const ALLOWED: u64 = if cfg!(debug_assertions) { 8_192 } else { 4_096 };

#[test]
fn an_idle_tunnel_holds_at_most_four_kibibytes() {
    let (proxy, far) = (Proxy::start(BIN), Far::listen());
    let open = || -> (RawClient, RawClient) {
        let mut client = proxy.connect().tunnel_to(far.addr());
        let mut there = far.accept();
        client.send("x");
        there.expect("x").send("y");
        client.expect("y");
        (client, there)
    };
    let each = memory_of_one(&proxy, open);
    assert!(each <= ALLOWED, "{each} bytes for each idle tunnel");
}

#[test]
fn an_idle_client_holds_at_most_four_kibibytes() {
    let (proxy, origin) = (Proxy::start(BIN), Origin::start(Reply::ok("x")));
    let open = || {
        let mut client = proxy.connect();
        assert_eq!(client.get(&origin.url("/")).status, 200);
        client
    };
    let each = memory_of_one(&proxy, open);
    assert!(each <= ALLOWED, "{each} bytes for each idle client");
}
