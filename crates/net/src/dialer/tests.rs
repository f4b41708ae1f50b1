//! Dialing over loopback. A destination that never answers is a listener whose queue is full.

#![allow(clippy::disallowed_methods, reason = "tests listen and connect themselves")]

use super::*;
use crate::egress_guard::Reach;
use shoalway_types::{Failure, Retry, Side};
use socket2::{Domain, Socket, Type};
use std::error::Error as _;
use std::net::{TcpListener as StdListener, TcpStream as StdStream};

const LOCAL: &str = "127.0.0.1";
const OUTSIDE: &str = "198.51.100.7";
const PATIENCE: Duration = Duration::from_secs(10);

fn dialer(hosts: &str, own: &[SocketAddr]) -> Dialer {
    let guard = EgressGuard::new(Reach::Default, own.to_vec(), vec![]);
    Dialer::new(Resolver::fixed(hosts), Arc::new(guard), DialConfig::default())
}

fn listener(ip: &str, port: u16) -> (StdListener, u16) {
    let listener = StdListener::bind((ip, port)).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A listener that has taken all it can: further connections hang.
fn silent(ip: &str) -> (Socket, StdStream, u16) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(ip.parse().unwrap(), 0).into()).unwrap();
    socket.listen(0).unwrap();
    let addr = socket.local_addr().unwrap().as_socket().unwrap();
    let filler = StdStream::connect(addr).unwrap();
    (socket, filler, addr.port())
}

async fn dial(dialer: &Dialer, client: &str, target: &str, bind: Option<&str>) -> Result<Dialed, DialError> {
    dialer
        .dial(Dial {
            client: client.parse().unwrap(),
            target: &Target::parse(target, None).unwrap(),
            allow: &|_addr| Ok(()),
            deadline: Instant::now() + PATIENCE,
            bind: bind.map(|ip| ip.parse().unwrap()),
        })
        .await
}

#[tokio::test]
async fn an_address_is_connected_to_and_its_socket_is_set_up() {
    let (listener, port) = listener(LOCAL, 0);
    let dialed = dial(&dialer("", &[]), LOCAL, &format!("127.0.0.1:{port}"), None).await.unwrap();
    assert_eq!(dialed.addr, listener.local_addr().unwrap());
    assert_eq!(listener.accept().unwrap().1, dialed.stream.local_addr().unwrap());
    assert!(dialed.stream.nodelay().unwrap());
}

#[tokio::test]
async fn a_name_is_connected_to_at_the_address_that_answers() {
    let (listener, port) = listener("127.0.0.3", 0);
    let dialer = dialer("127.0.0.2 two.example\n127.0.0.3 two.example", &[]);
    let dialed = dial(&dialer, LOCAL, &format!("two.example:{port}"), None).await.unwrap();
    assert_eq!(dialed.addr, listener.local_addr().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_silent_address_is_overtaken_by_the_next() {
    let (_socket, _filler, port) = silent("127.0.0.2");
    let (listener, port) = listener("127.0.0.3", port);
    let dialer = dialer("127.0.0.2 two.example\n127.0.0.3 two.example", &[]);
    let started = Instant::now();
    let dialed = dial(&dialer, LOCAL, &format!("two.example:{port}"), None).await.unwrap();
    assert_eq!(dialed.addr, listener.local_addr().unwrap());
    let waited = started.elapsed();
    assert!(waited >= Duration::from_millis(250) && waited < Duration::from_millis(300), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn silence_ends_at_the_deadline() {
    let (_socket, _filler, port) = silent("127.0.0.2");
    let dialer = dialer("127.0.0.2 one.example\n127.0.0.2 two.example\n127.0.0.4 four.example", &[]);
    for target in [format!("127.0.0.2:{port}"), format!("one.example:{port}")] {
        let started = Instant::now();
        let error = dial(&dialer, LOCAL, &target, None).await.unwrap_err();
        assert_eq!(
            (error.word(), error.side(), error.retry()),
            ("connection_timeout", Side::Upstream, Retry::Safe)
        );
        assert_eq!(started.elapsed().as_secs(), PATIENCE.as_secs());
    }
}

#[tokio::test]
async fn a_closed_port_is_a_refusal_of_the_far_side() {
    let (listener, port) = listener("127.0.0.2", 0);
    drop(listener);
    let dialer = dialer("127.0.0.2 two.example\n127.0.0.3 two.example", &[]);
    for target in [format!("127.0.0.2:{port}"), format!("two.example:{port}")] {
        let error = dial(&dialer, LOCAL, &target, None).await.unwrap_err();
        assert_eq!((error.word(), error.side()), ("connection_refused", Side::Upstream), "{target}");
        assert_eq!(error.proxy_status(), "connection_refused");
    }
}

#[tokio::test]
async fn no_name_leads_an_outside_client_to_this_machine() {
    let (listener, port) = listener("127.0.0.2", 0);
    let dialer = dialer("127.0.0.2 rebound.example\n::1 rebound.example", &[]);
    for target in ["127.0.0.2", "rebound.example", "localhost", "[::ffff:127.0.0.2]", "[64:ff9b::7f00:2]"] {
        let error = dial(&dialer, OUTSIDE, &format!("{target}:{port}"), None).await.unwrap_err();
        assert!(matches!(&error, DialError::Refused { rule } if rule == "loopback"), "{target}: {error}");
        assert_eq!((error.word(), error.side()), ("destination_ip_prohibited", Side::Policy));
        assert_eq!(error.retry(), Retry::Never);
    }
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn the_own_listener_is_refused_even_to_this_machine() {
    let (listener, port) = listener(LOCAL, 0);
    let dialer = dialer("", &[listener.local_addr().unwrap()]);
    let error = dial(&dialer, LOCAL, &format!("127.0.0.1:{port}"), None).await.unwrap_err();
    assert!(matches!(error, DialError::Refused { rule } if rule == "own_listener"));
}

#[tokio::test]
async fn rules_are_asked_for_every_address_and_the_allowed_one_is_used() {
    let (listener, port) = listener("127.0.0.3", 0);
    let dialer = dialer("127.0.0.2 two.example\n127.0.0.3 two.example", &[]);
    let target = Target::parse(&format!("two.example:{port}"), None).unwrap();
    for (allowed, wanted) in [("127.0.0.3", Ok(listener.local_addr().unwrap())), ("127.0.0.9", Err("rule 7"))]
    {
        let allow = |addr: SocketAddr| {
            if addr.ip().to_string() == allowed { Ok(()) } else { Err("rule 7".to_owned()) }
        };
        let client = LOCAL.parse().unwrap();
        let deadline = Instant::now() + PATIENCE;
        let done = dialer.dial(Dial { client, target: &target, allow: &allow, deadline, bind: None }).await;
        match wanted {
            Ok(addr) => assert_eq!(done.unwrap().addr, addr),
            Err(name) => assert!(matches!(done, Err(DialError::Refused { rule }) if rule == name)),
        }
    }
}

#[tokio::test]
async fn a_connection_leaves_from_the_address_it_is_told() {
    let (listener, port) = listener(LOCAL, 0);
    let dialer = dialer("::1 both.example\n127.0.0.1 both.example\n::1 six.example", &[]);
    for target in ["127.0.0.1", "both.example"] {
        let _open = dial(&dialer, LOCAL, &format!("{target}:{port}"), Some("127.0.0.77")).await.unwrap();
        assert_eq!(listener.accept().unwrap().1.ip().to_string(), "127.0.0.77");
    }
    let error = dial(&dialer, LOCAL, &format!("six.example:{port}"), Some("127.0.0.77")).await.unwrap_err();
    assert_eq!(error.word(), "destination_ip_unroutable");
    let error = dial(&dialer, LOCAL, &format!("127.0.0.1:{port}"), Some("192.0.2.1")).await.unwrap_err();
    assert_eq!((error.word(), error.side()), ("no_local_address", Side::Local));
}

#[tokio::test]
async fn what_the_operator_configured_is_not_guarded() {
    let (listener, port) = listener(LOCAL, 0);
    let addr = listener.local_addr().unwrap();
    let dialer = dialer("127.0.0.1 exit.example", &[addr]);
    let deadline = Instant::now() + PATIENCE;
    let target = Target::parse(&format!("exit.example:{port}"), None).unwrap();
    assert_eq!(dialer.dial_configured(&target, deadline).await.unwrap().addr, addr);
    assert_eq!(dialer.dial_socket(addr, deadline).await.unwrap().addr, addr);
}

#[tokio::test]
async fn a_unix_socket_is_connected_to_and_one_that_is_gone_refuses() {
    let path = std::env::temp_dir().join(format!("dial-{}.sock", std::process::id()));
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let (dialer, deadline) = (dialer("", &[]), Instant::now() + PATIENCE);
    let dialed = dialer.dial_unix(&path, deadline).await.unwrap();
    assert!(listener.accept().is_ok());
    drop((dialed, listener));
    assert_eq!(dialer.dial_unix(&path, deadline).await.unwrap_err().word(), "connection_refused");
    std::fs::remove_file(&path).unwrap();
    let error = dialer.dial_unix(&path, deadline).await.unwrap_err();
    assert_eq!((error.word(), error.side()), ("connection_refused", Side::Upstream));
}

#[tokio::test(start_paused = true)]
async fn a_name_that_cannot_be_resolved_says_so() {
    let dialer = dialer("", &[]);
    let error = dial(&dialer, LOCAL, "nowhere.example:80", None).await.unwrap_err();
    assert_eq!((error.word(), error.retry()), ("dns_error", Retry::Never));
    assert_eq!(error.source().unwrap().to_string(), "no such name");
    let error = dial(&dialer, LOCAL, "silent.example:80", None).await.unwrap_err();
    assert_eq!((error.word(), error.proxy_status()), ("dns_timeout", "dns_timeout"));
}

#[test]
fn errors_of_the_system_are_told_apart() {
    use rustix::io::Errno;
    for (errno, word, side, status) in [
        (Errno::MFILE, "no_descriptors", Side::Local, "proxy_internal_error"),
        (Errno::NFILE, "no_descriptors", Side::Local, "proxy_internal_error"),
        (Errno::NOBUFS, "no_descriptors", Side::Local, "proxy_internal_error"),
        (Errno::ADDRNOTAVAIL, "no_local_address", Side::Local, "proxy_internal_error"),
        (Errno::CONNREFUSED, "connection_refused", Side::Upstream, "connection_refused"),
        (Errno::CONNRESET, "connection_terminated", Side::Upstream, "connection_terminated"),
        (Errno::TIMEDOUT, "connection_timeout", Side::Upstream, "connection_timeout"),
        (Errno::NETUNREACH, "destination_ip_unroutable", Side::Upstream, "destination_ip_unroutable"),
        (Errno::HOSTUNREACH, "destination_ip_unroutable", Side::Upstream, "destination_ip_unroutable"),
    ] {
        let error = DialError::from_io(errno.into());
        assert_eq!((error.word(), error.side(), error.proxy_status()), (word, side, status), "{errno:?}");
    }
}

#[test]
fn a_dial_is_a_small_future() {
    let dialer_size = |dialer: &Dialer, target: &Target| {
        size_of_val(&dialer.dial(Dial {
            client: LOCAL.parse().unwrap(),
            target,
            allow: &|_addr| Ok(()),
            deadline: Instant::now(),
            bind: None,
        }))
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    let size = dialer_size(&dialer("", &[]), &Target::parse("a.example:1", None).unwrap());
    assert!(size <= 384, "{size}");
}
