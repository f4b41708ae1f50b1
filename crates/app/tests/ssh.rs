//! ssh with `ProxyCommand` through the proxy, by CONNECT and by SOCKS5, to an sshd of the test's own.

use shoalway_testkit::Proxy;
use shoalway_testkit::real::SshServer;

const BIN: &str = env!("CARGO_BIN_EXE_shoalway");

#[test]
fn ssh_goes_through_connect_and_through_socks() {
    let (proxy, server) = (Proxy::start(BIN), SshServer::start());
    for dialect in ["connect", "5", "4"] {
        let command = format!("nc.openbsd -X {dialect} -x {} %h %p", proxy.addr());
        let ran = server.run(&command, "seq 1 20000 | tail -n 1");
        assert_eq!(ran.text(), "20000\n", "{ran}");
    }
}
