//! A claim hung into one site of a listener, and a client that knows how to be claimed.

use super::{LISTENER, Served, Tools, route, sites};
use shoalway_http::h2::claim::{Accepted, Claim, ClaimHead, TlsExporter};
use shoalway_http::h2::duplex::{Carrier, Duplex};
use shoalway_http::h2::{Tunnel, TunnelError, Visit};
use shoalway_net::certificates::{Certificate, CertificateStore};
use shoalway_net::shard::Shard;
use shoalway_net::tls::Roots;
use shoalway_net::tls_client::{LinkTls, dial_link};
use shoalway_net::tls_server::TlsServer;
use shoalway_reverse::routes::{FixedAnswer, Then};
use shoalway_reverse::site_plan::{SitePlan, SiteSettings};
use shoalway_testkit::TestCa;
use shoalway_types::Host;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;

const PATIENCE: Duration = Duration::from_secs(20);
const LABEL: &[u8] = b"EXPORTER-shoalway-test";

/// Claims what carries the exporter of its own connection as a cookie, and sends back what comes.
#[derive(Default)]
struct ByExporter {
    asked: Mutex<Vec<(String, SocketAddr, bool)>>,
}

impl Claim for ByExporter {
    fn claim(&self, head: &ClaimHead<'_>, exporter: &dyn TlsExporter) -> Option<Box<dyn Accepted>> {
        let asked = format!("{}{}", head.authority, head.path);
        self.asked.lock().unwrap().push((asked, head.client, head.is_tls13_h2));
        let wanted = cookie(&exporter.export(LABEL)?);
        let is_ours = head.cookies.values().any(|value| value == wanted.as_bytes());
        is_ours.then(|| Box::new(Echo) as Box<dyn Accepted>)
    }
}

struct Echo;

impl Accepted for Echo {
    fn run(self: Box<Self>, shard: &Rc<Shard>, duplex: Duplex, _client: SocketAddr, _carrier: Carrier) {
        shard.tasks().spawn(async move {
            let (mut from, mut to) = duplex.split();
            while let Some(Ok(chunk)) = from.chunk().await {
                let octets = chunk.len();
                to.room().await.unwrap();
                to.send(chunk).unwrap();
                from.release(octets);
            }
            to.finish();
        });
    }
}

fn cookie(exported: &[u8; 32]) -> String {
    exported.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// Two sites behind TLS, of which the first has the claim.
fn settings(tls: &TlsServer, claim: Option<&Arc<ByExporter>>) -> SiteSettings {
    let says = |text: &str| route("*", Then::Answer(Arc::new(FixedAnswer::new(404, "text/plain", text))));
    let mut settings = sites(vec![("a.example", vec![says("a")]), ("b.example", vec![says("b")])]);
    settings.tls = Some(tls.clone());
    settings.sites[0].claim = claim.map(|claim| Arc::clone(claim) as Arc<dyn Claim>);
    settings
}

/// Puts another plan in the place of the one that counts. From a thread of its own: a runtime is not to be blocked.
fn replace(served: &Served, settings: SiteSettings) {
    let job = move || {
        served.on_shard(move |shard, _tools| {
            let plan = Arc::new(SitePlan::new(settings).unwrap());
            shard.set_inbound(LISTENER, plan.on(shard));
        });
    };
    std::thread::scope(|scope| scope.spawn(job).join()).unwrap();
}

/// A visit, the cookie that its connection has to show, and where it comes from.
async fn visit(
    shard: &Rc<Shard>,
    served: SocketAddr,
    link: &LinkTls,
    name: &str,
) -> (Visit, String, SocketAddr) {
    let tcp = TcpStream::connect(served).await.unwrap();
    let own = tcp.local_addr().unwrap();
    let host = Host::parse(name).unwrap();
    let stream = dial_link(link, &host, tcp, Instant::now() + PATIENCE).await.unwrap();
    let cookie = cookie(&stream.exporter(LABEL).unwrap());
    (Visit::begin(shard, stream, name, PATIENCE).await.unwrap(), cookie, own)
}

/// A tunnel, or the status of the answer instead; 0 when there is none.
async fn open(visit: &mut Visit, cookie: &str) -> Result<Tunnel, u16> {
    match visit.open_tunnel("/t", &[("cookie", cookie.as_bytes())]).await {
        Ok(tunnel) => Ok(tunnel),
        Err(TunnelError::Refused(refusal)) => Err(refusal.status),
        Err(_broken) => Err(0),
    }
}

async fn echoes(tunnel: &mut Tunnel, word: &'static [u8]) {
    tunnel.duplex.sending().room().await.unwrap();
    tunnel.duplex.sending().send(word.into()).unwrap();
    assert_eq!(tunnel.duplex.receiving().chunk().await.unwrap().unwrap(), word);
}

#[test]
fn one_site_has_a_claim_its_neighbour_has_none_and_a_tunnel_outlives_both() {
    let ca = TestCa::new();
    let issued = ca.issue(&["a.example", "b.example"]);
    let read = |path| std::fs::read(path).unwrap();
    let certificate = Certificate::from_pem(&read(&issued.cert), &read(&issued.key), None).unwrap();
    let store = CertificateStore::new(&[certificate]);
    let tls = TlsServer::with_store(store, None, &[b"h2", b"http/1.1"]).unwrap();
    let claim = Arc::new(ByExporter::default());
    let begun = settings(&tls, Some(&claim));
    let served = Served::start(move |_tools: &Tools| begun);
    let link = LinkTls::new(&Roots::Pem(std::fs::read(ca.file()).unwrap())).unwrap();
    Shard::test_in_real_time(async |shard| {
        let (mut a, key, own) = visit(&shard, served.addr, &link, "a.example").await;
        let (mut b, other_key, _) = visit(&shard, served.addr, &link, "b.example").await;
        // Another connection's cookie is worth nothing, and a site without a claim knows none.
        assert_eq!(open(&mut a, &other_key).await.err(), Some(404));
        assert_eq!(open(&mut b, &other_key).await.err(), Some(404));
        assert_eq!(&a.get("/page", &[], 64).await.unwrap().body[..], b"a");
        let mut tunnel = open(&mut a, &key).await.unwrap();
        echoes(&mut tunnel, b"before").await;
        let asked = std::mem::take(&mut *claim.asked.lock().unwrap());
        let seen = |path: &str| (format!("a.example{path}"), own, true);
        assert_eq!(asked, [seen("/t"), seen("/page"), seen("/t")]);
        // The claim goes with a reload: new requests are the site's, the tunnel stays.
        let without = settings(&tls, None);
        replace(&served, without);
        assert_eq!(open(&mut a, &key).await.err(), Some(404));
        echoes(&mut tunnel, b"after").await;
        assert!(claim.asked.lock().unwrap().is_empty());
    });
}
