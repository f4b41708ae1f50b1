//! The load generator against the origin itself, without a proxy: what both do must agree before anything is measured.

#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "test code may fail and opens its own sockets"
)]

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

/// The origin as a process; it ends with its owner.
struct Origin {
    child: Child,
    http: u16,
    echo: u16,
    source: u16,
}

impl Origin {
    fn start() -> Self {
        let [http, echo, source] = [(); 3].map(|()| free_port());
        let mut child = Command::new(env!("CARGO_BIN_EXE_bench-origin"))
            .args(["--http", &http.to_string(), "--echo", &echo.to_string()])
            .args(["--source", &source.to_string(), "--max-seconds", "60"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the origin starts");
        let mut line = String::new();
        let output = child.stdout.take().expect("its output");
        BufReader::new(output).read_line(&mut line).expect("a line");
        assert_eq!(line.trim(), "ready");
        Self { child, http, echo, source }
    }

    /// Runs the load to its end and gives its line.
    fn load(&self, port: u16, options: &str) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_bench-load"))
            .args(["--proxy", &format!("127.0.0.11:{port}"), "--port", &port.to_string()])
            .args(options.split_whitespace())
            .stdin(Stdio::null())
            .output()
            .expect("the load runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        text.lines().find(|line| line.starts_with("outcome ")).map_or(errors, str::to_owned)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A port that was free a moment ago on the first of the origin's addresses.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.11:0").expect("a port");
    listener.local_addr().expect("its address").port()
}

#[test]
fn every_mode_gets_from_the_origin_what_it_asked_for() {
    let origin = Origin::start();
    for (port, options, done, bytes) in [
        (origin.http, "--mode get --count 50 --workers 4", 50, 5_000),
        (origin.http, "--mode get --count 50 --workers 4 --reuse no", 50, 5_000),
        (origin.http, "--mode get --count 20 --workers 4 --bytes 10240", 20, 204_800),
        (origin.http, "--mode get --count 3 --workers 1 --bytes 70000", 3, 210_000),
        (origin.http, "--mode body --count 6 --workers 2 --bytes 1048576", 6, 6 << 20),
        (origin.http, "--mode paced --count 100 --workers 4 --rate 2000", 100, 10_000),
        (origin.http, "--mode idle-get --count 5", 5, 0),
        (origin.http, "--mode websocket --count 1 --workers 5", 5, 0),
        (origin.echo, "--mode exchange --count 20 --workers 4", 20, 2_000),
        (origin.source, "--mode bulk --count 2 --bytes 1000000", 2, 2_000_000),
    ] {
        let line = origin.load(port, options);
        assert!(line.starts_with(&format!("outcome done={done} failed=0 again=0 ")), "{options}: {line}");
        assert!(line.contains(&format!(" bytes={bytes} ")), "{options}: {line}");
    }
}

#[test]
fn requests_at_a_fixed_rate_are_timed() {
    let origin = Origin::start();
    let line = origin.load(origin.http, "--mode paced --count 200 --workers 2 --rate 1000");
    let number = |name: &str| {
        let field = line.split(' ').find_map(|field| field.strip_prefix(name));
        field.and_then(|value| value.parse::<u64>().ok()).expect("a number")
    };
    assert!(
        number("p50=") > 0 && number("p50=") <= number("p99=") && number("p99=") <= number("p999="),
        "{line}"
    );
    assert!(number("ms=") >= 199, "200 requests at 1000 a second take a fifth of a second: {line}");
}

#[test]
fn a_wrong_answer_and_a_closed_port_are_failures() {
    let origin = Origin::start();
    // The echo sends the request back, which is no answer.
    let line = origin.load(origin.echo, "--mode get --count 3 --workers 1");
    assert!(line.starts_with("outcome done=0 failed=3 "), "{line}");
    let line = origin.load(free_port(), "--mode get --count 3 --workers 1");
    assert!(line.starts_with("outcome done=0 failed=3 ") && line.contains("connect"), "{line}");
}
