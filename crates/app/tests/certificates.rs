//! Certificates by themselves, from the first order to renewal, against an authority that checks what RFC 8555 says.

#![allow(clippy::disallowed_methods, reason = "tests listen and connect themselves")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "in a test every failure is a panic"
)]

use shoalway::cert::{
    Authority, CertError, CertKeeper, CertName, CertSettings, ChallengeKind, Listed, Root, Storage, list,
};
use shoalway_net::acme_challenges::AcmeChallenges;
use shoalway_net::certificates::CertificateStore;
use shoalway_net::resolver::{Resolver, ResolverConfig};
use shoalway_net::tls::{Roots, TlsError, TlsFault};
use shoalway_net::tls_client::{TlsClient, TlsClientConfig};
use shoalway_net::tls_server::TlsServer;
use shoalway_testkit::proxy::run;
use shoalway_testkit::{AcmeServer, PATIENCE, Proxy, Refusing, TempDir};
use shoalway_types::Host;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::time::Instant;

const BIN: &str = env!("CARGO_BIN_EXE_shoalway");
const HTTP: &[ChallengeKind] = &[ChallengeKind::Http01];
const TLS: &[ChallengeKind] = &[ChallengeKind::TlsAlpn01];
const SHOP: &str = "shop.example";

fn name(text: &str) -> CertName {
    CertName::parse(text).unwrap()
}

/// Where files are, and who certifies.
struct Setup {
    settings: CertSettings,
    authority: Authority,
}

impl Setup {
    fn with(mut self, change: impl FnOnce(&mut Authority)) -> Self {
        change(&mut self.authority);
        self
    }

    fn names(&self, names: &[&str]) -> Vec<(CertName, Arc<Authority>)> {
        let authority = Arc::new(self.authority.clone());
        names.iter().map(|text| (name(text), Arc::clone(&authority))).collect()
    }
}

fn settings(acme: &AcmeServer, dir: &TempDir, challenges: &[ChallengeKind]) -> Setup {
    let settings = CertSettings {
        poll: Duration::from_millis(5),
        patience: PATIENCE,
        ..CertSettings::new(dir.join("certs"))
    };
    let authority = Authority {
        directory: acme.directory(),
        staging: None,
        rehearse: true,
        email: Some("ops@shop.example".to_owned()),
        roots: Roots::Pem(fs::read(acme.tls_root()).unwrap()),
        challenges: challenges.to_vec(),
    };
    Setup { settings, authority }
}

fn keeper(setup: Setup, names: &[&str]) -> Arc<CertKeeper> {
    let resolver = Resolver::new(ResolverConfig::default(), Handle::current()).unwrap();
    let names = setup.names(names);
    CertKeeper::open(setup.settings, resolver, AcmeChallenges::new(), &names).unwrap()
}

/// Ports 80 and 443 of a site whose certificates the keeper keeps.
struct Site {
    http: SocketAddr,
    tls: SocketAddr,
    store: Arc<CertificateStore>,
}

impl Site {
    async fn of(keeper: &CertKeeper, names: &[&str]) -> Self {
        let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tls = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let store = CertificateStore::with_challenges(&[], Arc::clone(keeper.challenges()));
        keeper.feed(&store, Vec::new(), names.iter().map(|text| name(text)).collect());
        let site = Self {
            http: http.local_addr().unwrap(),
            tls: tls.local_addr().unwrap(),
            store: Arc::clone(&store),
        };
        tokio::spawn(serve_http(http, Arc::clone(keeper.challenges())));
        tokio::spawn(serve_tls(tls, store));
        site
    }

    /// The certificate that a client sees who asks for `name` and trusts `root`.
    async fn shown(&self, root: &str, name: &str) -> Option<Vec<u8>> {
        let roots = Roots::Pem(root.as_bytes().to_vec());
        let client = TlsClient::new(&TlsClientConfig { roots, ..TlsClientConfig::default() }).unwrap();
        let tcp = TcpStream::connect(self.tls).await.unwrap();
        let host = Host::parse(name).unwrap();
        let stream = client.connect(&host, tcp, Instant::now() + PATIENCE).await.ok()?;
        Some(stream.get_ref().1.peer_certificates()?.first()?.to_vec())
    }
}

impl Site {
    /// What a client is told that checks the name once more.
    async fn asked_as_by_an_authority(&self) -> TlsError {
        let roots = Roots::Pem(AcmeServer::start().issuing_root().into_bytes());
        let alpn = vec![AcmeChallenges::ALPN.to_vec()];
        let client = TlsClient::new(&TlsClientConfig { roots, alpn, identity: None }).unwrap();
        let tcp = TcpStream::connect(self.tls).await.unwrap();
        client.connect(&Host::parse(SHOP).unwrap(), tcp, Instant::now() + PATIENCE).await.unwrap_err()
    }
}

/// What a site does before its routes.
async fn serve_http(listener: TcpListener, challenges: Arc<AcmeChallenges>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await.is_ok_and(|n| n > 0) {}
        let head = String::from_utf8(head).unwrap();
        let path = head.split(' ').nth(1).unwrap_or_default();
        let answer = match challenges.http_answer(path) {
            Some(text) => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()),
            None => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
        };
        drop(stream.write_all(answer.as_bytes()).await);
    }
}

async fn serve_tls(listener: TcpListener, store: Arc<CertificateStore>) {
    let server = TlsServer::with_store(store, None, &[b"http/1.1", AcmeChallenges::ALPN]).unwrap();
    while let Ok((tcp, _)) = listener.accept().await {
        let server = server.clone();
        tokio::spawn(async move { drop(server.accept(tcp, Instant::now() + PATIENCE).await) });
    }
}

/// An authority, a keeper of one name, and the site it proves.
async fn world(challenges: &[ChallengeKind]) -> (AcmeServer, TempDir, Arc<CertKeeper>, Site) {
    let (acme, dir) = (AcmeServer::start(), TempDir::new());
    let keeper = keeper(settings(&acme, &dir, challenges), &[SHOP]);
    let site = Site::of(&keeper, &[SHOP]).await;
    acme.find_names_at(site.http, site.tls);
    (acme, dir, keeper, site)
}

fn only(keeper: &CertKeeper, now: SystemTime) -> Listed {
    let [listed] = <[Listed; 1]>::try_from(keeper.status(now)).unwrap();
    listed
}

fn code(listed: &Listed) -> Option<&str> {
    listed.error.as_ref().map(|error| error.code.as_str())
}

fn stored(dir: &TempDir, ending: &str) -> PathBuf {
    let certs = dir.join("certs");
    let folders = fs::read_dir(&certs).unwrap().map(|entry| entry.unwrap().path());
    let file = format!("{SHOP}.{ending}");
    folders.map(|folder| folder.join(&file)).find(|path| path.exists()).expect("a stored file")
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

fn statuses(acme: &AcmeServer) -> Vec<&'static str> {
    acme.orders().iter().map(|order| order.status).collect()
}

#[tokio::test]
async fn a_name_is_proven_either_way_and_its_certificate_shown() {
    for way in [HTTP, TLS] {
        let (acme, dir, keeper, site) = world(way).await;
        let now = SystemTime::now();
        assert_eq!(site.shown(&acme.issuing_root(), SHOP).await, None);
        keeper.tend(now).await;

        assert!(site.shown(&acme.issuing_root(), SHOP).await.is_some(), "{:?}", only(&keeper, now));
        assert_eq!((statuses(&acme), acme.accounts(), acme.nonces_refused()), (vec!["valid"], 1, 0));
        let listed = only(&keeper, now);
        assert_eq!((listed.state, listed.failures, listed.error), ("valid", 0, None));
        let days = listed.until.unwrap().duration_since(now).unwrap().as_secs() / 86_400;
        assert!((89..=90).contains(&days), "{days}");
        let pem = stored(&dir, "pem");
        assert_eq!((mode(&pem), mode(pem.parent().unwrap())), (0o600, 0o700));
        let asked = site.asked_as_by_an_authority().await;
        assert!(matches!(asked.fault(), TlsFault::Alert(_)), "the answer is taken away: {asked}");
        assert_eq!(site.shown(&acme.issuing_root(), "other.example").await, None);
    }
}

#[tokio::test]
async fn a_program_that_starts_again_orders_nothing() {
    let (acme, dir, keeper_before, _site) = world(HTTP).await;
    keeper_before.tend(SystemTime::now()).await;
    drop(keeper_before);
    let keeper = keeper(settings(&acme, &dir, HTTP), &[SHOP]);
    let site = Site::of(&keeper, &[SHOP]).await;
    keeper.tend(SystemTime::now()).await;
    assert!(site.shown(&acme.issuing_root(), SHOP).await.is_some());
    assert_eq!((acme.orders().len(), acme.accounts()), (1, 1));
    let listed = list(&Storage::look_at(&dir.join("certs")), SystemTime::now()).unwrap();
    assert_eq!(listed, keeper.status(listed[0].next.min(SystemTime::now())));
}

#[tokio::test]
async fn the_first_order_is_rehearsed_and_mistakes_cost_nothing() {
    let (staging, acme, dir) = (AcmeServer::start(), AcmeServer::start(), TempDir::new());
    // Both certify themselves differently: whoever talks to them believes both.
    let roots = [fs::read(acme.tls_root()).unwrap(), fs::read(staging.tls_root()).unwrap()].concat();
    let settings = settings(&acme, &dir, HTTP).with(|authority| {
        authority.staging = Some(staging.directory());
        authority.roots = Roots::Pem(roots);
    });
    let keeper = keeper(settings, &[SHOP]);
    let site = Site::of(&keeper, &[SHOP]).await;
    acme.find_names_at(site.http, site.tls);
    staging.find_names_at(Refusing::start().addr(), site.tls);
    let now = SystemTime::now();

    keeper.tend(now).await;
    assert_eq!((statuses(&staging), statuses(&acme)), (vec!["invalid"], vec![]));
    assert_eq!(code(&only(&keeper, now)), Some("A009"));

    staging.find_names_at(site.http, site.tls);
    let later = only(&keeper, now).next;
    keeper.tend(later).await;
    assert_eq!((statuses(&staging), statuses(&acme)), (vec!["invalid", "valid"], vec!["valid"]));
    // What the staging authority issued is never shown.
    assert!(site.shown(&acme.issuing_root(), SHOP).await.is_some());

    keeper.tend(later).await;
    let due = only(&keeper, later).next;
    keeper.tend(due).await;
    assert_eq!((staging.orders().len(), acme.orders().len()), (2, 2), "a renewal needs no rehearsal");

    assert_eq!(keeper.dry_run(&name(SHOP)).await, Ok(staging.directory()));
    assert_eq!((staging.orders().len(), acme.orders().len()), (3, 2));
}

#[tokio::test]
async fn bad_nonces_are_replaced_and_not_complained_about() {
    let (acme, _dir, keeper, _site) = world(HTTP).await;
    acme.spoil_nonces(2);
    keeper.tend(SystemTime::now()).await;
    assert_eq!(statuses(&acme), ["valid"]);
}

#[tokio::test]
async fn a_rate_limit_is_told_with_its_end_and_obeyed() {
    let (acme, dir, keeper_before, _site) = world(HTTP).await;
    acme.refuse_next("new-order", 429, "rateLimited", "too many certificates for shop.example", Some(36_000));
    let now = SystemTime::now();
    keeper_before.tend(now).await;
    let listed = only(&keeper_before, now);
    let error = listed.error.clone().unwrap();
    assert_eq!(error.code, "A006");
    assert!(error.text.contains("rate limit is reached until "), "{}", error.text);
    assert!(error.text.ends_with("too many certificates for shop.example"), "{}", error.text);
    let wait = listed.next.duration_since(now).unwrap();
    assert!((Duration::from_secs(35_990)..Duration::from_secs(36_010)).contains(&wait), "{wait:?}");

    // Neither patience nor a restart makes it ask before.
    drop(keeper_before);
    let keeper = keeper(settings(&acme, &dir, HTTP), &[SHOP]);
    let site = Site::of(&keeper, &[SHOP]).await;
    acme.find_names_at(site.http, site.tls);
    keeper.tend(now + Duration::from_hours(9)).await;
    assert_eq!(acme.orders(), []);
    keeper.tend(listed.next).await;
    assert_eq!(statuses(&acme), ["valid"]);
    assert_eq!(only(&keeper, listed.next).error, None);
}

#[tokio::test]
async fn what_is_wrong_with_a_name_is_said_in_words() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let elsewhere_at = elsewhere.local_addr().unwrap();
    tokio::spawn(serve_http(elsewhere, AcmeChallenges::new()));
    let refusing = Refusing::start().addr();
    for (way, gone, at, wanted, words) in [
        (HTTP, false, Some(refusing), "A009", "cannot connect to shop.example on port 80"),
        (TLS, false, Some(refusing), "A009", "cannot connect to shop.example on port 443"),
        (
            HTTP,
            false,
            Some(elsewhere_at),
            "A010",
            "another answer than ours was found at shop.example on port 80",
        ),
        (HTTP, true, None, "A008", "NXDOMAIN"),
    ] {
        let (acme, _dir, keeper, site) = world(way).await;
        acme.find_names_at(at.unwrap_or(site.http), at.unwrap_or(site.tls));
        if gone {
            acme.forget_name(SHOP);
        }
        let now = SystemTime::now();
        keeper.tend(now).await;
        let listed = only(&keeper, now);
        assert_eq!(code(&listed), Some(wanted), "{:?}", listed.error);
        let error = listed.error.clone().unwrap();
        assert!(error.text.contains(words) && !error.hint.is_empty(), "{}", error.text);
        assert_eq!((listed.state, listed.failures), ("missing", 1));
        assert!(listed.next > now + Duration::from_mins(1));
        assert_eq!(statuses(&acme), ["invalid"]);
    }
}

#[tokio::test]
async fn what_the_authority_refuses_is_said_in_words() {
    for (resource, status, kind, wanted) in [
        ("new-order", 400, "rejectedIdentifier", "A007"),
        ("new-order", 403, "caa", "A008"),
        ("new-account", 403, "externalAccountRequired", "A005"),
        ("new-account", 400, "invalidContact", "A005"),
        ("new-order", 500, "serverInternal", "A011"),
        ("order/0/finalize", 403, "badCSR", "A011"),
    ] {
        let (acme, _dir, keeper, _site) = world(HTTP).await;
        acme.refuse_next(resource, status, kind, "said on purpose", None);
        let now = SystemTime::now();
        keeper.tend(now).await;
        let listed = only(&keeper, now);
        assert_eq!(code(&listed), Some(wanted), "{kind}: {:?}", listed.error);
        assert!(listed.error.unwrap().text.contains("said on purpose"));
    }
}

#[tokio::test]
async fn an_authority_that_is_away_or_not_trusted_is_named() {
    let (acme, dir) = (AcmeServer::start(), TempDir::new());
    let away = format!("https://{}/directory", Refusing::start().addr());
    let stranger = Roots::Pem(fs::read(AcmeServer::start().tls_root()).unwrap());
    for (settings, words) in [
        (settings(&acme, &dir, HTTP).with(|authority| authority.directory = away), "refused"),
        (settings(&acme, &dir, HTTP).with(|authority| authority.roots = stranger), "certificate"),
        (
            settings(&acme, &dir, HTTP).with(|authority| authority.directory = "http://127.0.0.1/".into()),
            "no https URL",
        ),
    ] {
        let keeper = keeper(settings, &[SHOP]);
        let now = SystemTime::now();
        keeper.tend(now).await;
        let error = only(&keeper, now).error.unwrap();
        assert_eq!(error.code, "A004", "{}", error.text);
        assert!(error.text.contains("cannot be reached") && error.text.contains(words), "{}", error.text);
    }
}

#[tokio::test]
async fn a_way_that_fails_is_followed_by_the_other() {
    let (acme, dir) = (AcmeServer::start(), TempDir::new());
    let keeper = keeper(settings(&acme, &dir, &[ChallengeKind::Http01, ChallengeKind::TlsAlpn01]), &[SHOP]);
    let site = Site::of(&keeper, &[SHOP]).await;
    acme.find_names_at(Refusing::start().addr(), site.tls);
    let now = SystemTime::now();
    keeper.tend(now).await;
    assert_eq!(only(&keeper, now).state, "missing");
    keeper.tend(only(&keeper, now).next).await;
    assert_eq!((only(&keeper, now).state, statuses(&acme)), ("valid", vec!["invalid", "valid"]));
}

#[tokio::test]
async fn what_cannot_be_proven_is_not_even_ordered() {
    let (acme, dir) = (AcmeServer::start(), TempDir::new());
    for (text, ways) in [("*.shop.example", HTTP), (SHOP, &[][..])] {
        let keeper = keeper(settings(&acme, &dir, ways), &[text]);
        let now = SystemTime::now();
        keeper.tend(now).await;
        assert_eq!(code(&only(&keeper, now)), Some("A012"));
    }
    let (acme_dns_only, _dir, keeper, _site) = world(HTTP).await;
    acme_dns_only.offer_challenges(&["dns-01"]);
    keeper.tend(SystemTime::now()).await;
    assert_eq!(code(&only(&keeper, SystemTime::now())), Some("A012"));
    assert_eq!(acme.orders(), []);
}

#[tokio::test]
async fn the_authority_says_when_to_renew_and_what_is_replaced() {
    let (acme, _dir, keeper, site) = world(HTTP).await;
    let now = SystemTime::now();
    let next = keeper.tend(now).await;
    let first = site.shown(&acme.issuing_root(), SHOP).await.unwrap();
    assert_eq!(next, now, "the authority is asked about renewal at once");

    // As usual: in the last third.
    let next = keeper.tend(now).await;
    assert_eq!(next, now + Duration::from_hours(6) - subsecond(now), "asked again when the authority says");
    let renews = only(&keeper, now).next.duration_since(now).unwrap();
    assert!((Duration::from_hours(59 * 24)..Duration::from_hours(76 * 24)).contains(&renews), "{renews:?}");
    assert_eq!(acme.orders().len(), 1);

    // After a mistake of the authority: at once, which is noticed at the next question.
    acme.suggest_renewal(now - Duration::from_hours(2), now - Duration::from_hours(1));
    keeper.tend(now + Duration::from_hours(5)).await;
    assert_eq!(acme.orders().len(), 1);
    keeper.tend(next).await;
    let orders = acme.orders();
    assert_eq!(orders.len(), 2);
    assert!(orders[1].replaces.as_deref().is_some_and(|id| id.contains('.')), "{orders:?}");
    let second = site.shown(&acme.issuing_root(), SHOP).await.unwrap();
    assert_ne!(first, second, "listeners show the new one without being touched");
}

fn subsecond(time: SystemTime) -> Duration {
    Duration::from_nanos(time.duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos().into())
}

#[tokio::test]
async fn a_replaced_certificate_is_not_replaced_twice() {
    let (acme, _dir, keeper, _site) = world(HTTP).await;
    let now = SystemTime::now();
    keeper.tend(now).await;
    keeper.tend(now).await;
    acme.refuse_next("new-order", 409, "alreadyReplaced", "replaced before", None);
    keeper.renew(&name(SHOP)).await.unwrap();
    let orders = acme.orders();
    assert_eq!((orders.len(), orders[1].replaces.clone()), (2, None));
}

#[tokio::test]
async fn a_renewal_that_fails_leaves_the_old_one_in_use() {
    let (acme, _dir, keeper, site) = world(HTTP).await;
    keeper.tend(SystemTime::now()).await;
    let before = site.shown(&acme.issuing_root(), SHOP).await.unwrap();
    acme.find_names_at(Refusing::start().addr(), site.tls);
    let error = keeper.renew(&name(SHOP)).await.unwrap_err();
    assert!(matches!(error, CertError::Connection { port: 80, .. }), "{error}");
    assert_eq!(site.shown(&acme.issuing_root(), SHOP).await.unwrap(), before);
    let listed = only(&keeper, SystemTime::now());
    assert_eq!((listed.state, listed.failures), ("valid", 1));
    assert_eq!(keeper.renew(&name("other.example")).await.unwrap_err().code(), "A016");
}

#[tokio::test]
async fn an_account_that_the_authority_forgot_is_made_anew() {
    let (acme, _dir, keeper, _site) = world(HTTP).await;
    keeper.tend(SystemTime::now()).await;
    acme.refuse_next("new-order", 400, "accountDoesNotExist", "who?", None);
    keeper.renew(&name(SHOP)).await.unwrap();
    assert_eq!((acme.accounts(), statuses(&acme)), (2, vec!["valid", "valid"]));
}

#[tokio::test]
async fn damaged_files_are_reported_put_aside_and_made_anew() {
    let (acme, dir, keeper_before, _site) = world(HTTP).await;
    keeper_before.tend(SystemTime::now()).await;
    drop(keeper_before);
    let (pem, json) = (stored(&dir, "pem"), stored(&dir, "json"));
    let account = pem.with_file_name("account.json");
    let mut orders = 1;
    for path in [&pem, &json, &account] {
        for nonsense in ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            fs::write(path, nonsense).unwrap();
            let listed = list(&Storage::look_at(&dir.join("certs")), SystemTime::now()).unwrap();
            let keeper = keeper(settings(&acme, &dir, HTTP), &[SHOP]);
            let now = SystemTime::now();
            let is_account = path == &account;
            assert_eq!(code(&only(&keeper, now)), (!is_account).then_some("A002"), "{}", path.display());
            assert_eq!(code(&listed[0]), (!is_account).then_some("A002"), "{}", path.display());
            let site = Site::of(&keeper, &[SHOP]).await;
            acme.find_names_at(site.http, site.tls);
            if is_account {
                keeper.renew(&name(SHOP)).await.unwrap();
            } else {
                keeper.tend(now).await;
            }
            orders += usize::from(path != &json);
            assert_eq!(acme.orders().len(), orders, "{}", path.display());
            let mut aside = path.clone().into_os_string();
            aside.push(".damaged");
            assert_eq!(fs::read(&aside).unwrap(), nonsense.as_bytes());
            assert!(site.shown(&acme.issuing_root(), SHOP).await.is_some());
            assert_ne!(fs::read(path).unwrap_or_default(), nonsense.as_bytes());
        }
    }
}

#[tokio::test]
async fn what_could_not_be_stored_is_not_ordered() {
    let (acme, dir, keeper, _site) = world(HTTP).await;
    let folder = acme.directory().trim_start_matches("https://").replace([':', '/'], "_");
    // A directory in the place of a file cannot be written, whoever the user is.
    fs::create_dir_all(dir.join(&format!("certs/{folder}/{SHOP}.json"))).unwrap();
    let now = SystemTime::now();
    keeper.tend(now).await;
    assert_eq!(code(&only(&keeper, now)), Some("A001"));
    assert_eq!(acme.orders(), []);
}

#[tokio::test]
async fn an_order_that_is_given_up_leaves_no_answer_behind() {
    let (acme, _dir, keeper, site) = world(TLS).await;
    // The authority's look hangs, and with it the order.
    let (silent, dialled) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), site.http);
    acme.find_names_at(dialled, silent.local_addr().unwrap());
    let running = tokio::spawn(Arc::clone(&keeper).run());
    let (look, _) = silent.accept().await.unwrap();
    let asked = site.asked_as_by_an_authority().await;
    assert!(matches!(asked.fault(), TlsFault::Certificate(_)), "the answer is in place: {asked}");
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    let asked = site.asked_as_by_an_authority().await;
    assert!(matches!(asked.fault(), TlsFault::Alert(_)), "the answer is taken away: {asked}");
    drop(look);
}

#[tokio::test]
async fn two_processes_do_not_order_the_same() {
    let (acme, dir, keeper_one, site) = world(HTTP).await;
    let other = Storage::open(&dir.join("certs")).unwrap();
    let lock = other.lock().unwrap();
    let now = SystemTime::now();
    let next = keeper_one.tend(now).await;
    assert_eq!(acme.orders(), []);
    assert!(next > now + Duration::from_secs(20) && next < now + Duration::from_secs(40));
    assert_eq!(keeper_one.renew(&name(SHOP)).await.unwrap_err().code(), "A003");
    assert_eq!(only(&keeper_one, now).failures, 0, "that another one works is no failure");
    drop(lock);

    // The other process has one: it is taken over.
    let keeper_two = keeper(settings(&acme, &dir, HTTP), &[SHOP]);
    let site_two = Site::of(&keeper_two, &[SHOP]).await;
    acme.find_names_at(site_two.http, site_two.tls);
    keeper_two.tend(now).await;
    keeper_one.tend(next + Duration::from_mins(1)).await;
    assert_eq!(acme.orders().len(), 1);
    let root = acme.issuing_root();
    assert!(site.shown(&root, SHOP).await.is_some());
    assert_eq!(site.shown(&root, SHOP).await, site_two.shown(&root, SHOP).await);
}

#[tokio::test]
async fn local_names_are_certified_here_and_no_authority_hears_of_them() {
    let (acme, dir) = (AcmeServer::start(), TempDir::new());
    let keeper = keeper(settings(&acme, &dir, &[]), &["nas.internal"]);
    let site = Site::of(&keeper, &["nas.internal"]).await;
    let now = SystemTime::now();
    let next = keeper.tend(now).await;
    let root = Root::find(&Storage::look_at(&dir.join("certs"))).unwrap().unwrap();
    assert!(site.shown(&root.pem, "nas.internal").await.is_some());
    let first = only(&keeper, now).until.unwrap();
    assert!(next > now + Duration::from_hours(50 * 24) && next < now + Duration::from_hours(70 * 24));
    keeper.tend(next).await;
    assert!(only(&keeper, next).until.unwrap() > first + Duration::from_hours(50 * 24));
    assert_eq!(keeper.dry_run(&name("nas.internal")).await, Ok("local".to_owned()));
    assert_eq!((acme.orders(), acme.accounts()), (vec![], 0));
}

#[tokio::test]
async fn what_was_changed_is_tried_at_once_unless_the_authority_has_said_when() {
    let (acme, dir, keeper, _site) = world(TLS).await;
    for (refusal, tried_again) in [((403, "caa", None), true), ((429, "rateLimited", Some(36_000)), false)] {
        let ((status, kind, after), now) = (refusal, SystemTime::now());
        acme.refuse_next("new-order", status, kind, "said on purpose", after);
        keeper.set_names(&settings(&acme, &dir, TLS).names(&[SHOP]));
        keeper.tend(now).await;
        assert!(only(&keeper, now).next > now + Duration::from_mins(1));
        keeper.set_names(&settings(&acme, &dir, TLS).names(&[SHOP]));
        assert!(only(&keeper, now).next > now + Duration::from_mins(1), "nothing has changed");
        keeper.set_names(&settings(&acme, &dir, HTTP).names(&[SHOP]));
        assert_eq!(only(&keeper, now).next <= now, tried_again, "{kind}");
    }
}

#[tokio::test]
async fn each_name_has_its_own_authority() {
    let (one, two, dir) = (AcmeServer::start(), AcmeServer::start(), TempDir::new());
    let setup = settings(&one, &dir, HTTP);
    let names = [setup.names(&["a.example"]), settings(&two, &dir, TLS).names(&["b.example"])].concat();
    let keeper = keeper(setup, &[]);
    keeper.set_names(&names);
    let site = Site::of(&keeper, &["a.example", "b.example"]).await;
    for acme in [&one, &two] {
        acme.find_names_at(site.http, site.tls);
    }
    keeper.tend(SystemTime::now()).await;
    assert!(site.shown(&one.issuing_root(), "a.example").await.is_some());
    assert!(site.shown(&two.issuing_root(), "b.example").await.is_some());
    assert_eq!((statuses(&one), statuses(&two)), (vec!["valid"], vec!["valid"]));
}

#[tokio::test]
async fn names_come_and_go_while_it_runs() {
    let (acme, dir, keeper, site) = world(HTTP).await;
    keeper.set_names(&settings(&acme, &dir, HTTP).names(&["a.example", "b.example"]));
    keeper.feed(&site.store, Vec::new(), vec![name("a.example"), name("b.example")]);
    let running = tokio::spawn(Arc::clone(&keeper).run());
    let root = acme.issuing_root();
    let both = async {
        while site.shown(&root, "a.example").await.is_none() || site.shown(&root, "b.example").await.is_none()
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, both).await.expect("both names are shown");
    running.abort();
    assert!(acme.orders().iter().all(|order| order.names != [SHOP]));
}

#[tokio::test]
async fn the_command_line_shows_what_is_kept_without_a_proxy() {
    let (acme, dir, keeper_of_shop, site) = world(HTTP).await;
    acme.find_names_at(Refusing::start().addr(), site.tls);
    keeper_of_shop.tend(SystemTime::now()).await;
    keeper_of_shop.set_names(&settings(&acme, &dir, HTTP).names(&["nas.internal"]));
    keeper_of_shop.tend(SystemTime::now()).await;
    let certs = dir.join("certs");
    let storage = certs.to_str().unwrap();

    let text = run(BIN, &dir, &["cert", "list", "--storage", storage]);
    let out = text.text();
    assert!(out.contains("shop.example  missing, next attempt "), "{out}");
    assert!(out.contains("A009: the authority cannot connect to shop.example on port 80"), "{out}");
    assert!(out.contains("nas.internal  valid until "), "{out}");
    let json = run(BIN, &dir, &["cert", "list", "--json", "--storage", storage]);
    let json: serde_json::Value = serde_json::from_str(&json.text()).unwrap();
    assert_eq!(json["certificates"][0]["error"]["code"], "A009");
    assert_eq!(json["certificates"][1]["state"], "valid");

    let shown = run(BIN, &dir, &["ca", "show", "--storage", storage]);
    let ca = certs.join("local/ca.pem");
    assert!(shown.text().contains(&format!("sudo trust anchor {}", ca.display())), "{}", shown.text());
    let json = run(BIN, &dir, &["ca", "show", "--json", "--storage", storage]);
    let json: serde_json::Value = serde_json::from_str(&json.text()).unwrap();
    assert_eq!(json["pem"].as_str().unwrap(), fs::read_to_string(&ca).unwrap());

    let none = run(BIN, &dir, &["ca", "show", "--storage", dir.join("other").to_str().unwrap()]);
    assert_eq!(none.code, Some(1));
    assert!(!dir.join("other").exists(), "looking makes nothing");
    assert_eq!(run(BIN, &dir, &["cert", "renew", SHOP]).code, Some(69));
}

#[test]
fn a_proxy_that_keeps_no_certificates_says_so() {
    let proxy = Proxy::start(BIN);
    let renewed = proxy.command(&["cert", "renew", SHOP]);
    assert_eq!(renewed.code, Some(1));
    assert!(renewed.stderr.contains("A016: no certificate is kept for shop.example"), "{}", renewed.stderr);
    assert_eq!(proxy.command(&["cert", "dry-run"]).code, Some(1));
}
