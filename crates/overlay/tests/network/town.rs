//! A network of nodes on this machine, as a lab: directory, entries, exits, and a client that was invited.

use crate::street::Street;
use shoalway_http::answer::Answer;
use shoalway_http::h1::ServerConfig;
use shoalway_http::h2::claim::Claim;
use shoalway_http::h2::{Form, ServerH2};
use shoalway_http::service::{Failed, Next, Service, Settled, Tunnel};
use shoalway_net::admission::Admitted;
use shoalway_net::connect::{Connect, ConnectError, Isolation, Session};
use shoalway_net::dialer::{DialConfig, Dialer};
use shoalway_net::egress_guard::{EgressGuard, Reach};
use shoalway_net::resolver::Resolver;
use shoalway_net::shard::Shard;
use shoalway_net::stream::{Io, Stream};
use shoalway_net::tls::Roots;
use shoalway_net::tls_client::LinkTls;
use shoalway_net::tls_server::TlsServer;
use shoalway_overlay::client::{Overlay, OverlayPlan};
use shoalway_overlay::directory::{Book, Library};
use shoalway_overlay::exit::{ExitCounters, ExitPlan};
use shoalway_overlay::keys::{NodeKeys, SharedKeys};
use shoalway_overlay::link::accept::{Door, Welcome};
use shoalway_overlay::link::dial::Dialing;
use shoalway_overlay::node::NodePlan;
use shoalway_overlay::node::arrive::Sessions;
use shoalway_overlay::{chance, time};
use shoalway_overlay_proto::UnixTime;
use shoalway_overlay_proto::create::{CreateKey, KemKeys};
use shoalway_overlay_proto::descriptor::{
    BindingKind, Descriptor, Endpoint, KEM_ACCEPTED_SECONDS, KemOffer, NO_COUNTRY, PolicyRule,
};
use shoalway_overlay_proto::identity::ed25519::SecretKey;
use shoalway_overlay_proto::identity::{Delegation, DelegationTerms, Roles};
use shoalway_overlay_proto::invite::{Gate, InvitedEntry};
use shoalway_overlay_proto::kdf::Secret;
use shoalway_overlay_proto::network::{Network, NetworkFile, NetworkTerms};
use shoalway_overlay_proto::opener::{GateKeeper, LinkKeyPair};
use shoalway_overlay_proto::path::{Entries, ExitWish};
use shoalway_overlay_proto::snapshot::{Contents, Draft};
use shoalway_overlay_proto::spread::Spread;
use shoalway_types::wallet::Address;
use shoalway_types::{DomainName, Target};
use shoalway_wallet::WalletKey;
use shoalway_wire::http1::compose::Edits;
use shoalway_wire::http1::request::RequestView;
use shoalway_wire::http1::response::ResponseView;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::Instant;

pub(crate) const PATH: &str = "/live";
pub(crate) const COOKIE: &str = "sid";

/// What a town is made of.
pub(crate) struct Wants {
    pub(crate) entries: u8,
    pub(crate) exits: u8,
    pub(crate) hops: u8,
    pub(crate) spread: Spread,
    pub(crate) active: usize,
    pub(crate) stock: usize,
    pub(crate) optimistic: bool,
    /// How long bytes take on the way to an entry.
    pub(crate) delay: Duration,
    /// How old the snapshot is.
    pub(crate) age: Duration,
    /// Which ports the exits connect to.
    pub(crate) policy: Vec<PolicyRule>,
    /// Which addresses the exits connect to.
    pub(crate) reach: Reach,
    /// Names that the exits can resolve; all are this machine.
    pub(crate) names: Vec<String>,
    /// Of one operator each by default; else all nodes of one, and no lab.
    pub(crate) one_operator: bool,
    /// More nodes, behind the others: number and roles.
    pub(crate) extra: Vec<(u8, Roles)>,
    /// The shard on which the client's links live.
    pub(crate) home: usize,
}

impl Default for Wants {
    fn default() -> Self {
        Self {
            entries: 1,
            exits: 1,
            hops: 2,
            spread: Spread::Host,
            active: 4,
            stock: 0,
            optimistic: false,
            delay: Duration::ZERO,
            age: Duration::ZERO,
            policy: vec![PolicyRule::ALLOW_ALL],
            reach: Reach::Only { public: true, private: true, loopback: true },
            names: Vec::new(),
            one_operator: false,
            extra: Vec::new(),
            home: 0,
        }
    }
}

/// A node of it.
pub(crate) struct TownNode {
    pub(crate) address: Address,
    pub(crate) plan: Arc<NodePlan>,
    pub(crate) street: Street,
    pub(crate) roles: Roles,
    pub(crate) library: Arc<Library>,
    pub(crate) delegation: Delegation,
    pub(crate) endpoint: Endpoint,
    pub(crate) gate: [u8; 32],
    pub(crate) link_gate: [u8; 32],
    pub(crate) door: Arc<Door>,
    pub(crate) descriptor: Descriptor,
    pub(crate) tls: TlsServer,
}

/// The town.
pub(crate) struct Town {
    pub(crate) nodes: Vec<TownNode>,
    pub(crate) overlay: Overlay,
    pub(crate) way: Rc<dyn Connect>,
    pub(crate) common: Common,
}

/// The site that everybody else sees.
struct Cover;

impl Service for Cover {
    fn decide(&mut self, _shard: &Rc<Shard>, request: RequestView<'_>) -> Next {
        match request.raw_target() {
            b"/" => Next::Answer(Answer::plain(200, "text/plain", "a page")),
            _ => Next::Answer(Answer::plain(404, "text/plain", "no such page")),
        }
    }

    fn session(&self) -> Session {
        unreachable!("nothing is connected to")
    }

    fn permits(&self, _addr: SocketAddr) -> bool {
        false
    }

    fn edit_request(&mut self, _request: RequestView<'_>, _edits: &mut Edits) {}

    fn edit_response(&mut self, _response: ResponseView<'_>, _edits: &mut Edits) {}

    fn failed(&mut self, _request: Option<RequestView<'_>>, failure: &Failed) -> Answer {
        Answer::plain(failure.status(), "text/plain", failure.word())
    }

    fn settle(&mut self, _shard: &Rc<Shard>, _request: Option<RequestView<'_>>, _settled: &Settled) {}

    fn tunnel(self: Box<Self>, _shard: &Rc<Shard>, _tunnel: Tunnel) {}
}

/// What all nodes have in common.
pub(crate) struct Common {
    pub(crate) network: Network,
    network_file: String,
    directory_keys: Vec<SecretKey>,
    ca: rcgen::CertifiedIssuer<'static, rcgen::KeyPair>,
    resolver: Resolver,
    /// When the snapshot was made.
    born: UnixTime,
}

impl Common {
    fn new(wants: &Wants) -> Self {
        let directory_keys: Vec<SecretKey> = (1..=3).map(|n| SecretKey::from_seed(&[n; 32])).collect();
        let terms = NetworkTerms {
            version: 1,
            previous: None,
            name: "town".to_owned(),
            k: 2,
            keys: directory_keys.iter().map(SecretKey::public).collect(),
            mirrors: Vec::new(),
            lab: true,
        };
        let mut file = NetworkFile::draft(terms).unwrap();
        for key in directory_keys.iter().take(2) {
            assert!(file.sign(key, None));
        }
        let network_file = file.encode();
        let network = Network::begin(network_file.as_bytes()).unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca = rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap();
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let names: Vec<(DomainName, IpAddr)> =
            wants.names.iter().map(|name| (DomainName::parse(name).unwrap(), here)).collect();
        let resolver = Resolver::of_table(&names, tokio::runtime::Handle::current());
        let born = time::unix().minus(wants.age.as_secs());
        Self { network, network_file, directory_keys, ca, resolver, born }
    }

    fn dialer(&self, reach: Reach) -> Dialer {
        let guard = Arc::new(EgressGuard::new(reach, Vec::new(), Vec::new()));
        Dialer::new(self.resolver.clone(), guard, DialConfig::default())
    }

    pub(crate) fn dialing(&self) -> Dialing {
        let roots = Roots::Pem(self.ca.pem().into_bytes());
        Dialing {
            dialer: self.dialer(Reach::Only { public: true, private: true, loopback: true }),
            tls: LinkTls::new(&roots).unwrap(),
            patience: Duration::from_secs(10),
        }
    }

    fn tls(&self, name: &str) -> TlsServer {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        let cert = params.signed_by(&key, &self.ca).unwrap();
        let alpn: [&[u8]; 2] = [b"h2", b"http/1.1"];
        TlsServer::from_pem(cert.pem().as_bytes(), key.serialize_pem().as_bytes(), None, &alpn).unwrap()
    }
}

impl Town {
    /// Builds it. All nodes know one snapshot.
    pub(crate) async fn build(shard: &Rc<Shard>, wants: &Wants) -> Self {
        let common = Common::new(wants);
        let mut nodes = Vec::new();
        for n in 0..wants.entries {
            nodes.push(TownNode::open(shard, &common, wants, 10 + n, Roles::ENTRY).await);
        }
        if wants.hops == 3 {
            nodes.push(TownNode::open(shard, &common, wants, 90, Roles::MIDDLE).await);
        }
        for n in 0..wants.exits {
            nodes.push(TownNode::open(shard, &common, wants, 100 + n, Roles::EXIT).await);
        }
        for (number, roles) in &wants.extra {
            nodes.push(TownNode::open(shard, &common, wants, *number, *roles).await);
        }
        let snapshot = common.snapshot(&nodes);
        for node in &nodes {
            node.library.learn_network_file(common.network_file.as_bytes()).unwrap();
            node.library.learn_snapshot(&snapshot.clone().into(), &[], common.born).unwrap();
        }
        let entries: Vec<&TownNode> = nodes.iter().filter(|node| node.roles.contains(Roles::ENTRY)).collect();
        let overlay = common.client(wants, &entries);
        let way = overlay.way(overlay.shared().plan.exits.clone()).on(shard);
        Self { nodes, overlay, way, common }
    }

    /// The nodes of a role, in the order they were built.
    pub(crate) fn of(&self, role: Roles) -> Vec<&TownNode> {
        self.nodes.iter().filter(|node| node.roles.contains(role)).collect()
    }

    /// The only entry.
    pub(crate) fn entry(&self) -> &TownNode {
        self.of(Roles::ENTRY)[0]
    }

    /// A node by its wallet.
    pub(crate) fn node(&self, address: Address) -> &TownNode {
        self.nodes.iter().find(|node| node.address == address).unwrap()
    }

    /// Connects to a target as a user.
    pub(crate) async fn connect(&self, target: &str, user: &str) -> Result<Stream, ConnectError> {
        let session = Self::session(target, user);
        self.way.connect(&session).await.map(|connected| connected.stream)
    }

    /// The exits that the flows so far left by, oldest first.
    pub(crate) fn exits_of_flows(&self) -> Vec<Address> {
        self.overlay.shared().board.read().flows.iter().map(|flow| flow.exit).collect()
    }

    /// Circuits that were answered by all exits.
    pub(crate) fn circuits(&self) -> u64 {
        let exits = self.nodes.iter().filter_map(|node| node.plan.exit.as_ref());
        exits.map(|exit| exit.counters.circuits.load(Relaxed)).sum()
    }

    /// A session to a target, kept apart by a user.
    pub(crate) fn session(target: &str, user: &str) -> Session {
        Session {
            client: "127.0.0.1:1".parse().unwrap(),
            user: None,
            isolation: Isolation { user: Some(Rc::from(user.as_bytes())), ..Isolation::default() },
            target: Rc::new(Target::parse(target, None).unwrap()),
            limit: Duration::from_secs(20),
            permit: None,
        }
    }
}

impl Common {
    fn snapshot(&self, nodes: &[TownNode]) -> Vec<u8> {
        let mut listed: Vec<&TownNode> = nodes.iter().collect();
        listed.sort_by_key(|node| node.address);
        let contents = Contents {
            nodes: listed
                .iter()
                .map(|node| (node.delegation.clone(), node.plan.keys.load().descriptor.to_vec()))
                .collect(),
            members: Vec::new(),
            affinity: String::new(),
        };
        let mut draft = Draft::new(&self.network, None, self.born, contents).unwrap();
        for key in self.directory_keys.iter().take(2) {
            assert!(draft.sign(&self.network, key));
        }
        draft.encode()
    }

    /// A client that was invited to these nodes.
    pub(crate) fn client(&self, wants: &Wants, entries: &[&TownNode]) -> Overlay {
        let invited = entries
            .iter()
            .map(|node| InvitedEntry {
                node: node.address,
                link_key: *node.plan.keys.load().link.public(),
                gate: Gate(Secret::take(&mut node.gate.clone())),
                endpoint: node.endpoint.clone(),
            })
            .collect();
        Overlay::new(OverlayPlan {
            hops: wants.hops,
            spread: wants.spread,
            exits: ExitWish { active: wants.active, ..ExitWish::default() },
            invited,
            library: Arc::new(Library::new(*self.network.id())),
            dialing: self.dialing(),
            state: None,
            kept: Entries::default(),
            optimistic: wants.optimistic,
            stock: wants.stock,
            home: wants.home,
        })
    }
}

impl Common {
    fn delegation(&self, wallet: &WalletKey, node_key: &SecretKey, roles: Roles) -> Delegation {
        let terms = DelegationTerms {
            node: wallet.address(),
            node_key: node_key.public(),
            roles,
            not_before: self.born.minus(60),
            not_after: self.born.plus(20 * 86_400),
            serial: 1,
        };
        wallet.delegate(self.network.id(), terms).unwrap()
    }

    /// A descriptor without keys and places.
    fn descriptor(&self, node: Address) -> Descriptor {
        Descriptor {
            network: *self.network.id(),
            node,
            seq: 1,
            published: self.born,
            expires: self.born.plus(29 * 3_600),
            protocols: 1,
            kems: Vec::new(),
            link_key: [0; 32],
            link_gate: [0; 32],
            operator: node,
            family: Vec::new(),
            country: NO_COUNTRY,
            asn: 0,
            kibps: 1_000,
            endpoints: Vec::new(),
            // What it says and what it does may differ.
            policy: vec![PolicyRule::ALLOW_ALL],
        }
    }

    fn exit(&self, wants: &Wants) -> Arc<ExitPlan> {
        Arc::new(ExitPlan {
            dialer: self.dialer(wants.reach),
            leave_from: None,
            own: Vec::new(),
            closed: AtomicBool::default(),
            policy: wants.policy.clone(),
            counters: ExitCounters::default(),
        })
    }
}

impl TownNode {
    /// Opens a node; its wallet and its gates follow from its number.
    pub(crate) async fn open(
        shard: &Rc<Shard>,
        common: &Common,
        wants: &Wants,
        number: u8,
        roles: Roles,
    ) -> Self {
        let wallet = WalletKey::from_secret(&[number; 32]).unwrap();
        let node_key = SecretKey::from_seed(&[number; 32]);
        let now = common.born;
        let network = *common.network.id();
        let delegation = common.delegation(&wallet, &node_key, roles);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let delay = if roles.contains(Roles::ENTRY) { wants.delay } else { Duration::ZERO };
        let street = Street::to(listener.local_addr().unwrap(), delay).await;
        let sni = format!("n{number}.town.example");
        let endpoint = Endpoint {
            address: street.addr,
            sni: sni.clone(),
            path: PATH.to_owned(),
            cookie: COOKIE.to_owned(),
            binding: BindingKind::Exporter,
        };
        let seed = Secret::random(&mut chance::rng());
        let until = time::unix().plus(KEM_ACCEPTED_SECONDS);
        let kem = CreateKey::new(&seed, until, &mut chance::rng()).unwrap();
        let offer = KemOffer { not_before: now, key: Box::new(*kem.secret().public().bytes()) };
        let mut kems = KemKeys::default();
        kems.insert(kem);
        let link = LinkKeyPair::from_secret(&Secret::random(&mut chance::rng())).unwrap();
        let (gate, link_gate) = ([number; 32], [number + 1; 32]);
        let mut gates = GateKeeper::new(&mut chance::rng());
        gates.set(GateKeeper::LINK_GATE, Secret::take(&mut link_gate.clone()));
        gates.set(1, Secret::take(&mut gate.clone()));
        let descriptor = Descriptor {
            kems: vec![offer],
            link_key: *link.public(),
            link_gate,
            operator: if wants.one_operator { Address([7; 20]) } else { wallet.address() },
            endpoints: vec![endpoint.clone()],
            ..common.descriptor(wallet.address())
        };
        let keys = NodeKeys {
            network,
            lab: !wants.one_operator,
            node: wallet.address(),
            roles,
            delegation: delegation.encode().try_into().unwrap(),
            descriptor: descriptor.sign(&node_key).unwrap().into(),
            node_key,
            link,
            former_link: None,
            gates,
        };
        let keys: SharedKeys = Arc::new(arc_swap::ArcSwap::from_pointee(keys));
        let exit = roles.contains(Roles::EXIT).then(|| common.exit(wants));
        let library = Arc::new(Library::new(network));
        let plan = Arc::new(NodePlan {
            keys: Arc::clone(&keys),
            kems: Arc::new(Mutex::new(kems)),
            book: Arc::clone(&library) as Arc<dyn Book>,
            dialing: common.dialing(),
            exit,
            sessions: Sessions::default(),
        });
        let door = Arc::new(Door::new(keys, PATH, COOKIE, Arc::clone(&plan) as Arc<dyn Welcome>));
        let tls = common.tls(&sni);
        serve(shard, listener, tls.clone(), sni, Arc::clone(&door));
        let address = wallet.address();
        Self {
            address,
            plan,
            street,
            roles,
            library,
            delegation,
            endpoint,
            gate,
            link_gate,
            door,
            descriptor,
            tls,
        }
    }
}

/// Accepts for ever.
pub(crate) fn serve(shard: &Rc<Shard>, listener: TcpListener, tls: TlsServer, sni: String, door: Arc<Door>) {
    let shard = Rc::clone(shard);
    tokio::task::spawn_local(async move {
        loop {
            let (tcp, peer) = listener.accept().await.unwrap();
            let (tls, door, shard, sni) = (tls.clone(), Arc::clone(&door), Rc::clone(&shard), sni.clone());
            let tasks = shard.tasks().clone();
            tasks.spawn(async move {
                let Ok(stream) = tls.accept(tcp, Instant::now() + Duration::from_secs(5)).await else {
                    return;
                };
                let stream = Stream::new(Io::TlsServer(Box::new(stream)));
                let make = Box::new(|| -> Box<dyn Service> { Box::new(Cover) });
                let config = Rc::new(ServerConfig::default());
                let server = ServerH2::new(
                    Rc::clone(&shard),
                    config,
                    stream,
                    Form::Origin,
                    make,
                    Admitted::uncounted(),
                );
                let of = move |authority: &str| {
                    let host = authority.split(':').next().unwrap_or_default();
                    (host == sni).then(|| Arc::clone(&door) as Arc<dyn Claim>)
                };
                shard.tasks().spawn(server.with_claims(peer, Box::new(of)));
            });
        }
    });
}
