//! Dialing when the process has no descriptors left. One test in a process of its own: the limit is the process's.

#![allow(clippy::disallowed_methods, reason = "the test listens itself")]
#![allow(clippy::unwrap_used, reason = "in a test every failure is a panic")]

use rustix::process::{Resource, getrlimit, setrlimit};
use shoalway_net::dialer::{Dial, DialConfig, DialError, Dialed, Dialer};
use shoalway_net::egress_guard::{EgressGuard, Reach};
use shoalway_net::resolver::{Resolver, ResolverConfig};
use shoalway_types::{Failure, Retry, Side, Target};
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::Instant;

async fn dial(dialer: &Dialer, target: &str) -> Result<Dialed, DialError> {
    dialer
        .dial(Dial {
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
            target: &Target::parse(target, None).unwrap(),
            allow: &|_addr| Ok(()),
            deadline: Instant::now() + Duration::from_secs(20),
            bind: None,
        })
        .await
}

#[tokio::test]
async fn want_of_descriptors_is_a_fault_of_this_machine_and_passes() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let resolver = Resolver::new(ResolverConfig::default(), Handle::current()).unwrap();
    let guard = EgressGuard::new(Reach::Default, vec![], vec![]);
    let dialer = Dialer::new(resolver, Arc::new(guard), DialConfig::default());
    let targets = [format!("127.0.0.1:{port}"), format!("app.localhost:{port}")];

    let before = getrlimit(Resource::Nofile);
    let free = File::open("/dev/null").unwrap().as_raw_fd();
    let none_left = rustix::process::Rlimit { current: Some(u64::try_from(free).unwrap()), ..before };
    setrlimit(Resource::Nofile, none_left).unwrap();
    for target in &targets {
        let error = dial(&dialer, target).await.unwrap_err();
        assert!(matches!(error, DialError::NoDescriptors(_)), "{error:?}");
        assert_eq!((error.word(), error.side(), error.retry()), ("no_descriptors", Side::Local, Retry::Safe));
    }

    setrlimit(Resource::Nofile, before).unwrap();
    for target in &targets {
        assert_eq!(dial(&dialer, target).await.unwrap().addr.port(), port);
    }
}
