//! Twenty reloads while h2load asks over HTTP/1.1 and over HTTP/2 with TLS, with WebSockets open and long downloads under
//! way: nothing fails and nothing is cut.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test reads best so, and runs its clients in threads"
)]

use shoalway_testkit::real::{curl, h2load};
use shoalway_testkit::{
    Far, Origin, PATIENCE, Proxy, RawClient, Reply, TestCa, WebSocket, WebSocketEcho, eventually,
};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};

const BIN: &str = env!("CARGO_BIN_EXE_shoalway");

const RELOADS: usize = 20;
/// What comes of each download after each reload.
const BLOCK: usize = 64 * 1024;

/// Everything behind the proxy.
struct Behind {
    origin: Origin,
    socket: WebSocketEcho,
    download: Far,
    ca: TestCa,
}

impl Behind {
    fn start() -> Self {
        let (origin, socket) = (Origin::start(Reply::sized(500)), WebSocketEcho::start());
        Self { origin, socket, download: Far::listen(), ca: TestCa::new() }
    }

    /// A plain site and one with TLS; `n` changes routes, upstreams, a listener and a site that nobody here uses.
    fn config(&self, n: usize, tls: &str) -> String {
        let lines = format!(
            "to = \"http://{}\"\nroutes = [\"/socket -> http://{}\", \"/download -> http://{}\", \
             \"/extra{n} -> http://192.0.2.1:{}\", \"/odd{n} => answer:200\"]\n",
            self.origin.addr(),
            self.socket.addr(),
            self.download.addr(),
            8_000 + n
        );
        let mut config = format!(
            "[sites.\"*\"]\nlisten = \"127.0.0.1:0\"\n{lines}\n\
             [sites.\"app.test\"]\nlisten = \"127.0.0.2:0\"\n{tls}\n{lines}\n\
             [limits]\nidle_timeout = \"{}s\"\n",
            60 + n
        );
        if n % 2 == 1 {
            config += "[streams.odd]\nlisten = \"127.0.0.3:0\"\nto = \"192.0.2.1:1\"\n";
        }
        config
    }
}

/// Runs h2load again and again until told to stop; each of its requests must be answered.
struct Load {
    stop: AtomicBool,
    answered: AtomicU32,
}

impl Load {
    const ROUND: u32 = 400;

    fn run(&self, words: &[&str]) {
        while !self.stop.load(SeqCst) {
            h2load(Self::ROUND, words);
            self.answered.fetch_add(Self::ROUND, SeqCst);
        }
    }
}

/// Ends the load also when the test fails, so that its threads can be joined.
struct Stop<'a>(&'a Load);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, SeqCst);
    }
}

/// Requests that upstreams have answered.
fn answered(proxy: &Proxy) -> f64 {
    proxy.metrics().sum("shoalway_endpoint_successes_total", &[])
}

#[test]
fn twenty_reloads_under_load_fail_no_request_and_cut_no_websocket_and_no_download() {
    let behind = Behind::start();
    let issued = behind.ca.issue(&["app.test"]);
    let tls = format!("tls = {{ cert = \"{}\", key = \"{}\" }}", issued.cert.display(), issued.key.display());
    let proxy = Proxy::builder(BIN).unset("proxy.listen").config(behind.config(0, &tls)).start();
    let (plain, secure) = (proxy.listening("sites.*"), proxy.listening("sites.app.test"));
    let mut sockets: Vec<WebSocket> =
        (0..8).map(|_| WebSocket::open(plain, "ws://app.test/socket")).collect();
    let length = RELOADS * BLOCK;

    let mut raw = RawClient::connect(plain);
    raw.send("GET /download HTTP/1.1\r\nHost: app.test\r\n\r\n");
    let mut from = vec![begin(&behind.download, length)];
    assert_eq!(raw.read_until("\r\n\r\n").get(..12), Some(&b"HTTP/1.1 200"[..]));
    let load = Load { stop: AtomicBool::new(false), answered: AtomicU32::new(0) };
    std::thread::scope(|scope| {
        let stop = Stop(&load);
        let (to_tls, to_plain) = (format!("--connect-to={secure}"), format!("--connect-to={plain}"));
        let (load, ca) = (&load, &behind.ca);
        scope.spawn(move || load.run(&[&to_plain, "--h1", "-c4", "http://app.test/"]));
        scope.spawn(move || load.run(&[&to_tls, "-c4", "-m8", "https://app.test/"]));
        let over_http2 = scope.spawn(move || {
            let to = format!("app.test:443:127.0.0.2:{}", secure.port());
            let file = ca.file().display().to_string();
            curl(&["--http2", "--cacert", &file, "--connect-to", &to, "https://app.test/download"])
        });
        from.push(begin(&behind.download, length));
        for n in 1..=RELOADS {
            let before = answered(&proxy);
            eventually(PATIENCE, "requests between reloads", || {
                (answered(&proxy) >= before + 50.0).then_some(())
            });
            proxy.write_config(&behind.config(n, &tls));
            proxy.reload().unwrap();
            for (number, socket) in sockets.iter_mut().enumerate() {
                socket.echo(&format!("{number} after reload {n}"));
            }
            let block = vec![u8::try_from(n).unwrap(); BLOCK];
            for far in &mut from {
                far.send(&block);
            }
            raw.expect(&block);
        }
        drop(stop);
        let curled = over_http2.join().unwrap();
        assert_eq!((curled.ran.code, curled.http_code), (Some(0), 200), "{}", curled.ran.stderr);
        assert_eq!(curled.ran.stdout.len(), length);
    });
    assert!(load.answered.load(SeqCst) > 0);
    assert_eq!(behind.socket.connections(), 8);
    sockets.into_iter().for_each(|socket| socket.close(1000, "done"));
    assert_eq!(proxy.status_json()["reloads"], RELOADS);
}

/// Takes the request for a download and begins its answer.
fn begin(download: &Far, length: usize) -> RawClient {
    let mut far = download.accept();
    far.read_until("\r\n\r\n");
    far.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"));
    far
}
