//! Real clients over loopback: curl and nghttp2's. `.ci/setup` installs them; where one is missing the test says so.
#![allow(
    clippy::disallowed_methods,
    reason = "a test opens its own sockets, and waits for a client in a thread"
)]

use crate::origin::{Answers, LARGE};
use shoalway_http::h1::ServerConfig;
use shoalway_http::h2::{Form, ServerH2};
use shoalway_http::service::Service;
use shoalway_net::admission::Admitted;
use shoalway_net::shard::Shard;
use shoalway_net::stream::Stream;
use std::process::{Command, Output};
use std::rc::Rc;
use tokio::net::TcpListener;

/// Serves HTTP/2 without TLS on loopback, and says where.
async fn serve(shard: &Rc<Shard>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let own = Rc::clone(shard);
    shard.tasks().spawn(async move {
        while let Ok((socket, _peer)) = listener.accept().await {
            socket.set_nodelay(true).unwrap();
            let behind = Rc::clone(&own);
            let make = Box::new(move || -> Box<dyn Service> { Box::new(Answers(Rc::clone(&behind))) });
            let (config, admitted) = (Rc::new(ServerConfig::default()), Admitted::uncounted());
            let stream = Stream::tcp(socket);
            own.tasks().spawn(ServerH2::new(Rc::clone(&own), config, stream, Form::Origin, make, admitted));
        }
    });
    format!("http://{addr}")
}

/// Runs a client to its end while the shard goes on.
async fn run(program: &'static str, words: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(words);
    let (done, ended) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || drop(done.send(command.output())));
    ended.await.unwrap().unwrap_or_else(|error| panic!("{program}: {error}: run .ci/setup"))
}

#[test]
fn curl_gets_posts_and_sees_http2() {
    Shard::test_in_real_time(async |shard| {
        let url = serve(&shard).await;
        let words = [
            "-q",
            "-sS",
            "--max-time",
            "20",
            "--noproxy",
            "*",
            "--http2-prior-knowledge",
            "-w",
            " %{http_version}",
        ];
        let upload = "x".repeat(50_000);
        for (more, expected) in [
            (&[][..], "answer 2".to_owned()),
            (&["-d", &upload], "answer 2".to_owned()),
            (&["-H", "Expect: 100-continue", "-d", "small"], "answer 2".to_owned()),
            (&["--head", "-o", "/dev/null"], " 2".to_owned()),
        ] {
            let output = run("curl", &[&words[..], more, &[&url]].concat()).await;
            let shown = String::from_utf8_lossy(&output.stdout);
            assert_eq!(shown, expected, "{}", String::from_utf8_lossy(&output.stderr));
        }
        let large = run("curl", &[&words[..], &[&format!("{url}/large")]].concat()).await;
        assert_eq!(large.stdout.len(), LARGE + 2);
    });
}

#[test]
fn nghttp_asks_for_several_at_once() {
    Shard::test_in_real_time(async |shard| {
        let url = serve(&shard).await;
        let output =
            run("nghttp", &["-n", "-v", "-m", "20", "-t", "20s", &url, &format!("{url}/large")]).await;
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said.matches(":status: 200").count(), 40, "{said}");
    });
}

#[test]
fn h2load_loses_no_request() {
    Shard::test_in_real_time(async |shard| {
        let url = serve(&shard).await;
        let output = run("h2load", &["-n", "5000", "-c", "8", "-m", "32", "-T", "20", &url]).await;
        let said = String::from_utf8_lossy(&output.stdout);
        let all =
            "requests: 5000 total, 5000 started, 5000 done, 5000 succeeded, 0 failed, 0 errored, 0 timeout";
        assert!(said.contains(all), "{said}");
    });
}
