//! PROXY headers exchanged with HAProxy, both ways. Needs `/usr/sbin/haproxy`, which `.ci/setup` installs.

use super::sockets::{echo_server, listen};
use super::*;
use crate::stream_plan::{Additions, ProxyIn, ProxyOut};
use shoalway_policy::Cidr;
use std::process::{Child, Command, Stdio};
use tokio::net::TcpStream;

/// A running HAProxy; ended with the test.
struct Haproxy {
    child: Child,
    config: std::path::PathBuf,
}

impl Haproxy {
    /// Starts it and waits until it listens on `port`.
    async fn start(config: &str, port: u16) -> Self {
        let path = std::env::temp_dir().join(format!("shoalway-haproxy-{}-{port}.cfg", std::process::id()));
        std::fs::write(&path, config).unwrap();
        let child = Command::new("/usr/sbin/haproxy")
            .args(["-db", "-q", "-f"])
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("haproxy is there: .ci/setup installs it");
        let mut haproxy = Self { child, config: path };
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert!(began.elapsed() < PATIENCE, "haproxy does not listen");
            assert!(haproxy.child.try_wait().unwrap().is_none(), "haproxy has ended");
            tokio::task::yield_now().await;
        }
        haproxy
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(std::fs::remove_file(&self.config));
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

const DEFAULTS: &str = "defaults\n timeout connect 5s\n timeout client 5s\n timeout server 5s\n";

#[test]
fn headers_that_haproxy_sends_tell_the_client() {
    Shard::test_in_real_time(async |shard| {
        for option in ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id"] {
            let world = World::new(&shard);
            let upstream = world.upstream("app", &[&echo_server(&shard)]);
            let mut plan = world.plan(Route::One(upstream), AcceptMode::Lazy);
            plan.proxy_in = ProxyIn::From(std::iter::once(Cidr::parse("127.0.0.0/8").unwrap()).collect());
            let (at, ..) = listen(&shard, plan);
            let port = free_port();
            let config = format!(
                "{DEFAULTS}listen in\n bind 127.0.0.1:{port}\n mode tcp\n unique-id-format %[uuid()]\n server us {at} {option}\n"
            );
            let haproxy = Haproxy::start(&config, port).await;
            let mut client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let own = client.local_addr().unwrap();
            client.write_all(b"through both").await.unwrap();
            client.shutdown().await.unwrap();
            assert_eq!(rest(&mut client).await, b"through both", "{option}");
            let wanted = format!("{own} TCP 127.0.0.1 app 12/12 ok");
            until(|| world.told.0.lock().unwrap().contains(&wanted)).await;
            drop(haproxy);
        }
    });
}

#[test]
fn haproxy_believes_the_headers_that_we_send() {
    Shard::test_in_real_time(async |shard| {
        let all = Additions { checksum: true, authority: true, tls: true, unique_id: true };
        for out in [ProxyOut::V1, ProxyOut::V2(Additions::default()), ProxyOut::V2(all)] {
            let world = World::new(&shard);
            let port = free_port();
            let config = format!(
                "{DEFAULTS}frontend in\n bind 127.0.0.1:{port} accept-proxy\n mode http\n \
                 http-request return status 200 content-type text/plain lf-string \"%ci:%cp %fi:%fp %[fc_pp_unique_id,length]\"\n"
            );
            let upstream = world.upstream("app", &[&format!("127.0.0.1:{port}")]);
            let mut plan = world.plan(Route::One(upstream), AcceptMode::Lazy);
            plan.proxy_out = out;
            let _haproxy = Haproxy::start(&config, port).await;
            let (at, ..) = listen(&shard, plan);
            let mut client = TcpStream::connect(at).await.unwrap();
            let own = client.local_addr().unwrap();
            client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
            let said = String::from_utf8(rest(&mut client).await).unwrap();
            let id = if out == ProxyOut::V2(all) { "32" } else { "" };
            assert_eq!(
                said.rsplit("\r\n\r\n").next().unwrap().trim(),
                format!("{own} {at} {id}").trim(),
                "{out:?}"
            );
        }
    });
}
