//! The overlay as a way out: what it is told, what it may share, and that nothing takes its place.

use super::*;
use shoalway_net::connect::Isolation;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

/// A way out that notes who came, and answers requests.
#[derive(Clone)]
struct Noted {
    seen: Arc<Mutex<Vec<String>>>,
    shares: bool,
}

struct NotedWorker(Noted, FarWorker);

impl Noted {
    fn new(shares: bool) -> Self {
        Self { seen: Arc::default(), shares }
    }

    fn way(&self) -> Way {
        Way { name: "overlay".into(), identity: 77, outbound: Arc::new(self.clone()) }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl Outbound for Noted {
    fn on(&self, shard: &Rc<Shard>) -> Rc<dyn Connect> {
        Rc::new(NotedWorker(self.clone(), FarWorker(Far::Says(OK), Rc::clone(shard))))
    }
}

impl Connect for NotedWorker {
    fn connect<'a>(&'a self, session: &'a Session) -> LocalFuture<'a, Result<Connected, ConnectError>> {
        let text = |part: &Option<Rc<[u8]>>| {
            part.as_ref().map_or("-".to_owned(), |part| String::from_utf8_lossy(part).into_owned())
        };
        let Isolation { listener, user, password } = &session.isolation;
        let listener = listener.as_deref().unwrap_or("-");
        let line = format!("{listener} {} {} {}", text(user), text(password), session.target.host);
        self.0.seen.lock().unwrap().push(line);
        self.1.connect(session)
    }

    fn shares(&self, _isolation: &Isolation) -> Option<u64> {
        self.0.shares.then_some(5)
    }
}

/// A way that must not be taken.
struct Never(Arc<AtomicUsize>);

impl Outbound for Never {
    fn on(&self, _shard: &Rc<Shard>) -> Rc<dyn Connect> {
        Rc::new(Self(Arc::clone(&self.0)))
    }
}

impl Connect for Never {
    fn connect<'a>(&'a self, _session: &'a Session) -> LocalFuture<'a, Result<Connected, ConnectError>> {
        self.0.fetch_add(1, Relaxed);
        Box::pin(std::future::pending())
    }
}

fn overlay_plan(overlay: Vec<Way>, taken: &Arc<AtomicUsize>) -> ForwardPlan {
    let names = Names { exits: &["other"], lists: &BTreeMap::new(), overlay: true };
    let never = || Way { name: "never".into(), identity: 1, outbound: Arc::new(Never(Arc::clone(taken))) };
    ForwardPlan {
        rules: Arc::new(RuleSet::parse(&["overlay all"], &names).unwrap()),
        direct: never(),
        exits: vec![never()],
        overlay,
        ..plan(Far::Hangs, &[])
    }
}

#[test]
fn what_a_client_logs_in_with_keeps_its_flows_apart_whether_it_is_checked_or_not() {
    Shard::test(|shard| async move {
        let noted = Noted::new(true);
        let forward = start(&shard, overlay_plan(vec![noted.way()], &Arc::default()));
        let openers: [(&[u8], &[u8]); 3] = [
            (OPENERS[3].1, b"\x05\x00"),
            (b"\x05\x01\x02\x01\x03tab\x01a\x05\x01\x00\x03\x09a.example\x01\xbb", b"\x05\x02\x01\x00"),
            (OPENERS[2].1, b"\x00\x5a"),
        ];
        for (opener, begins) in openers {
            let mut client = client(&shard, &forward);
            client.write_all(opener).await.unwrap();
            let mut said = vec![0; begins.len()];
            client.read_exact(&mut said).await.unwrap();
            assert_eq!(said, begins);
            let mut rest = [0; 6];
            client.read_exact(&mut rest).await.unwrap();
        }
        assert_eq!(noted.seen(), ["test - - a.example", "test tab a a.example", "test - - a.example"]);
    });
}

#[test]
fn requests_share_a_connection_only_where_the_way_lets_them() {
    Shard::test(|shard| async move {
        for (shares, connections) in [(true, 1), (false, 3)] {
            let noted = Noted::new(shares);
            let forward = start(&shard, overlay_plan(vec![noted.way()], &Arc::default()));
            let mut client = client(&shard, &forward);
            for _ in 0..3 {
                let request = b"GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n";
                client.write_all(request).await.unwrap();
                let (status, _) = read_answer(&mut client).await;
                assert_eq!(status, 200);
            }
            assert_eq!(noted.seen().len(), connections, "shares: {shares}");
        }
    });
}

#[test]
fn where_there_is_no_overlay_nothing_goes_out_another_way() {
    Shard::test(|shard| async move {
        let taken = Arc::default();
        let forward = start(&shard, overlay_plan(vec![], &taken));
        for (name, opener, success) in OPENERS {
            let mut client = client(&shard, &forward);
            client.write_all(opener).await.unwrap();
            let mut said = Vec::new();
            client.take(success.len() as u64).read_to_end(&mut said).await.unwrap();
            assert!(!said.is_empty() && said != success, "{name}: {}", said.escape_ascii());
        }
        let said = ask(
            client(&shard, &forward),
            b"GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n",
        )
        .await;
        assert!(said.starts_with(b"HTTP/1.1 502 "), "{}", said.escape_ascii());
        assert_eq!(taken.load(Relaxed), 0, "the way straight out was asked");
    });
}

#[test]
fn what_the_overlay_cannot_carry_is_refused_and_not_sent_otherwise() {
    Shard::test(|shard| async move {
        let (noted, taken) = (Noted::new(true), Arc::default());
        let forward = start(&shard, overlay_plan(vec![noted.way()], &taken));
        let bind = b"\x05\x01\x00\x05\x02\x00\x03\x09a.example\x01\xbb";
        let said = ask(client(&shard, &forward), bind).await;
        assert!(said.starts_with(b"\x05\x00\x05"), "{}", said.escape_ascii());
        assert_ne!(said.get(3), Some(&0), "BIND was granted");
        assert!(noted.seen().is_empty());
        assert_eq!(taken.load(Relaxed), 0);
    });
}
