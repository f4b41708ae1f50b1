//! The resolver in virtual time, on a scripted source. The network is tested in `tests/resolver`.

#![allow(clippy::disallowed_methods, reason = "tests spawn look-ups of their own")]

use super::source::{Asking, Family, Reply};
use super::*;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{advance, sleep};

const SECOND: Duration = Duration::from_secs(1);

/// What the script says of one name and family: the reply, and how long it takes.
type Line = (Reply, Duration);

#[derive(Default)]
struct Script {
    lines: Mutex<HashMap<(String, Family), Line>>,
    asked: Mutex<Vec<(String, Family)>>,
}

impl Script {
    fn set(&self, name: &str, family: Family, addresses: Result<&[&str], ResolveError>, ttl: u64) {
        self.set_late(name, family, addresses, ttl, Duration::ZERO);
    }

    fn set_late(
        &self,
        name: &str,
        family: Family,
        addresses: Result<&[&str], ResolveError>,
        ttl: u64,
        after: Duration,
    ) {
        let addresses = addresses.map(|list| list.iter().map(|ip| ip.parse().unwrap()).collect());
        let reply = Reply { addresses, ttl: Some(Duration::from_secs(ttl)) };
        self.lines.lock().unwrap().insert((name.to_owned(), family), (reply, after));
    }

    /// How often A was asked for.
    fn asked(&self, name: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|(asked, family)| asked == name && *family == Family::V4).count()
    }
}

impl Source for Script {
    fn ask<'a>(&'a self, name: &'a DomainName, family: Family) -> Asking<'a> {
        let key = (name.as_str().to_owned(), family);
        self.asked.lock().unwrap().push(key.clone());
        let line = self.lines.lock().unwrap().get(&key).cloned();
        let silent = name.as_str().starts_with("silent");
        Box::pin(async move {
            if silent {
                sleep(Duration::from_mins(1)).await;
            }
            let nothing = Reply { addresses: Err(ResolveError::NotFound), ttl: Some(SECOND) };
            let (reply, after) = line.unwrap_or((nothing, Duration::ZERO));
            if !after.is_zero() {
                sleep(after).await;
            }
            reply
        })
    }
}

impl Resolver {
    /// Knows only the names of this hosts file; names that begin with `silent` are never answered.
    pub(crate) fn fixed(hosts: &str) -> Self {
        let hosts = Hosts::parse(hosts.as_bytes());
        Self::with_source(ResolverConfig::default(), hosts, Arc::new(Script::default()), Handle::current())
    }
}

fn resolver(config: ResolverConfig) -> (Resolver, Arc<Script>) {
    let script = Arc::new(Script::default());
    let source = Arc::clone(&script);
    (Resolver::with_source(config, Hosts::default(), source, Handle::current()), script)
}

async fn look_up(resolver: &Resolver, name: &str) -> String {
    match resolver.look_up(&DomainName::parse(name).unwrap()).await {
        Ok(answer) => answer.iter().map(|ip: IpAddr| ip.to_string()).collect::<Vec<_>>().join(" "),
        Err(error) => shoalway_types::Failure::word(&error).to_owned(),
    }
}

/// Lets questions that are ready run to their end.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_kept_for_its_ttl_and_given_while_it_is_refreshed() {
    let (resolver, script) = resolver(ResolverConfig::default());
    script.set("a.example", Family::V4, Ok(&["192.0.2.1"]), 60);
    script.set("a.example", Family::V6, Ok(&["2001:db8::1"]), 300);
    assert_eq!(look_up(&resolver, "a.example").await, "2001:db8::1 192.0.2.1");
    advance(59 * SECOND).await;
    assert_eq!(look_up(&resolver, "a.example").await, "2001:db8::1 192.0.2.1");
    assert_eq!(script.asked("a.example"), 1);

    script.set_late("a.example", Family::V4, Ok(&["192.0.2.2"]), 60, SECOND);
    script.set("a.example", Family::V6, Err(ResolveError::NoAddress), 60);
    advance(2 * SECOND).await;
    let before = Instant::now();
    for _ in 0..10 {
        assert_eq!(look_up(&resolver, "a.example").await, "2001:db8::1 192.0.2.1");
        settle().await;
    }
    assert_eq!(before.elapsed(), Duration::ZERO, "a stale answer is given at once");
    assert_eq!(script.asked("a.example"), 2, "and refreshed once");
    sleep(2 * SECOND).await;
    assert_eq!(look_up(&resolver, "a.example").await, "192.0.2.2");
    assert_eq!(script.asked("a.example"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_stale_answer_outlives_a_broken_name_server_but_not_for_ever() {
    let (resolver, script) = resolver(ResolverConfig::default());
    script.set("a.example", Family::V4, Ok(&["192.0.2.1"]), 60);
    script.set("a.example", Family::V6, Err(ResolveError::NoAddress), 60);
    assert_eq!(look_up(&resolver, "a.example").await, "192.0.2.1");
    for family in [Family::V4, Family::V6] {
        script.set("a.example", family, Err(ResolveError::ServerFailure { code: 2 }), 0);
    }
    advance(61 * SECOND).await;
    for asked in [2, 2, 2] {
        assert_eq!(look_up(&resolver, "a.example").await, "192.0.2.1");
        settle().await;
        assert_eq!(script.asked("a.example"), asked, "a failed refresh is not repeated at once");
    }
    advance(31 * SECOND).await;
    assert_eq!(look_up(&resolver, "a.example").await, "192.0.2.1");
    settle().await;
    assert_eq!(script.asked("a.example"), 3);
    advance(Duration::from_hours(1)).await;
    assert_eq!(look_up(&resolver, "a.example").await, "dns_server_failure");
}

#[tokio::test(start_paused = true)]
async fn however_many_ask_there_is_one_question() {
    let (resolver, script) = resolver(ResolverConfig::default());
    script.set_late("a.example", Family::V4, Ok(&["192.0.2.1"]), 60, SECOND);
    script.set_late("a.example", Family::V6, Err(ResolveError::NoAddress), 60, SECOND);
    let mut many = JoinSet::new();
    for _ in 0..100 {
        let resolver = resolver.clone();
        many.spawn(async move { look_up(&resolver, "a.example").await });
    }
    for answer in many.join_all().await {
        assert_eq!(answer, "192.0.2.1");
    }
    assert_eq!(script.asked("a.example"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_look_up_that_is_dropped_leaves_its_question_running() {
    let (resolver, script) = resolver(ResolverConfig::default());
    script.set_late("a.example", Family::V4, Ok(&["192.0.2.1"]), 60, SECOND);
    let given_up = tokio::time::timeout(SECOND / 2, look_up(&resolver, "a.example")).await;
    assert!(given_up.is_err());
    sleep(SECOND).await;
    let before = Instant::now();
    assert_eq!(look_up(&resolver, "a.example").await, "192.0.2.1");
    assert_eq!((before.elapsed(), script.asked("a.example")), (Duration::ZERO, 1));
}

#[tokio::test(start_paused = true)]
async fn ttls_are_kept_within_their_limits() {
    let (resolver, script) =
        resolver(ResolverConfig { stale_for: Duration::ZERO, ..ResolverConfig::default() });
    let server_failure = || Err(ResolveError::ServerFailure { code: 2 });
    let none = || Err(ResolveError::NoAddress);
    let not_found = || Err(ResolveError::NotFound);
    for (case, name, v4, v6, ttl, kept) in [
        ("as given", "a.example", Ok(&["192.0.2.1"][..]), none(), 60, 60),
        ("at least 1 s", "b.example", Ok(&["192.0.2.1"][..]), none(), 0, 1),
        ("at most 1 h", "c.example", Ok(&["192.0.2.1"][..]), none(), 1_000_000, 3_600),
        ("half an answer", "d.example", Ok(&["192.0.2.1"][..]), server_failure(), 600, 30),
        ("half of a short one", "e.example", Ok(&["192.0.2.1"][..]), server_failure(), 7, 7),
        ("negative as given", "f.example", not_found(), not_found(), 20, 20),
        ("negative at most 60 s", "g.example", none(), none(), 9_999, 60),
        ("negative at least 1 s", "h.example", not_found(), not_found(), 0, 1),
        ("failure 1 s", "i.example", server_failure(), server_failure(), 600, 1),
        ("failure beside nothing 1 s", "j.example", server_failure(), none(), 600, 1),
    ] {
        script.set(name, Family::V4, v4, ttl);
        script.set(name, Family::V6, v6, ttl);
        let first = look_up(&resolver, name).await;
        settle().await;
        advance(Duration::from_millis(kept * 1_000 - 1)).await;
        assert_eq!((look_up(&resolver, name).await, script.asked(name)), (first.clone(), 1), "{case}");
        advance(Duration::from_millis(2)).await;
        assert_eq!((look_up(&resolver, name).await, script.asked(name)), (first, 2), "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_family_does_not_hide_the_other() {
    let (resolver, script) = resolver(ResolverConfig::default());
    let timeout = || Err(ResolveError::Timeout { after: SECOND });
    let failure = || Err(ResolveError::ServerFailure { code: 2 });
    let none = || Err(ResolveError::NoAddress);
    let not_found = || Err(ResolveError::NotFound);
    for (name, v4, v6, wanted) in [
        ("a.example", Ok(&["192.0.2.1"][..]), timeout(), "192.0.2.1"),
        ("b.example", failure(), Ok(&["2001:db8::1"][..]), "2001:db8::1"),
        ("c.example", none(), Ok(&["2001:db8::1"][..]), "2001:db8::1"),
        ("d.example", none(), none(), "dns_no_address"),
        ("e.example", not_found(), none(), "dns_not_found"),
        ("f.example", not_found(), failure(), "dns_not_found"),
        ("g.example", none(), failure(), "dns_server_failure"),
        ("h.example", timeout(), none(), "dns_timeout"),
    ] {
        script.set(name, Family::V4, v4, 60);
        script.set(name, Family::V6, v6, 60);
        assert_eq!(look_up(&resolver, name).await, wanted, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_family_is_not_waited_for_long_and_not_forgotten() {
    let (resolver, script) = resolver(ResolverConfig::default());
    for (name, late, at_once, wait, whole) in [
        ("a.example", Family::V6, "192.0.2.1", 250, "2001:db8::1 192.0.2.1"),
        ("b.example", Family::V4, "2001:db8::1", 1_000, "2001:db8::1 192.0.2.1"),
    ] {
        script.set(name, Family::V4, Ok(&["192.0.2.1"]), 600);
        script.set(name, Family::V6, Ok(&["2001:db8::1"]), 600);
        let address = if late == Family::V4 { "192.0.2.1" } else { "2001:db8::1" };
        script.set_late(name, late, Ok(&[address]), 600, 3 * SECOND);
        let before = Instant::now();
        assert_eq!(look_up(&resolver, name).await, at_once);
        assert_eq!(before.elapsed().as_millis(), wait);
        sleep(3 * SECOND).await;
        assert_eq!(look_up(&resolver, name).await, whole);
        assert_eq!(script.asked(name), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn more_than_1024_questions_are_turned_away_and_places_come_back() {
    let (resolver, script) = resolver(ResolverConfig::default());
    let mut many = JoinSet::new();
    for number in 0..1_024 {
        let resolver = resolver.clone();
        many.spawn(async move { look_up(&resolver, &format!("silent{number}.example")).await });
    }
    settle().await;
    script.set("a.example", Family::V4, Ok(&["192.0.2.1"]), 60);
    assert_eq!(look_up(&resolver, "a.example").await, "dns_busy");
    assert_eq!(many.join_all().await.len(), 1_024);
    settle().await;
    assert_eq!(look_up(&resolver, "a.example").await, "192.0.2.1");
}

#[tokio::test(start_paused = true)]
async fn the_cache_can_be_off() {
    let (resolver, script) = resolver(ResolverConfig { cache_entries: 0, ..ResolverConfig::default() });
    script.set("a.example", Family::V4, Ok(&["192.0.2.1"]), 60);
    for asked in 1..=3 {
        assert_eq!(look_up(&resolver, "a.example").await, "192.0.2.1");
        settle().await;
        assert_eq!(script.asked("a.example"), asked);
    }
}

#[tokio::test(start_paused = true)]
async fn localhost_is_never_asked_for() {
    let (resolver, script) = resolver(ResolverConfig::default());
    for name in ["localhost", "app.localhost"] {
        assert_eq!(look_up(&resolver, name).await, "::1 127.0.0.1");
        assert_eq!(script.asked(name), 0);
    }
}

#[test]
fn a_look_up_after_the_end_of_the_control_runtime_says_so() {
    let control = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (resolver, _script) = control.block_on(async { resolver(ResolverConfig::default()) });
    drop(control);
    let shard = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for _ in 0..2_000 {
        assert_eq!(shard.block_on(look_up(&resolver, "a.example")), "dns_closed");
    }
}

#[test]
fn a_resolver_may_be_used_from_any_thread() {
    fn shared<T: Send + Sync + Clone + 'static>() {}
    shared::<Resolver>();
    shared::<Answer>();
}

#[tokio::test]
async fn a_resolver_of_a_table_knows_what_stands_there_and_asks_nobody() {
    let name = |text| DomainName::parse(text).unwrap();
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let table = [(name("one.internal"), ip("127.0.0.2")), (name("one.internal"), ip("::1"))];
    let resolver = Resolver::of_table(&table, Handle::current());
    for (asked, wanted) in [
        ("one.internal", "::1 127.0.0.2"),
        ("One.internal.", "::1 127.0.0.2"),
        ("www.one.internal", "dns_not_found"),
        ("example.org", "dns_not_found"),
    ] {
        assert_eq!(look_up(&resolver, asked).await, wanted, "{asked}");
    }
}
