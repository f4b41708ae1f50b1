//! A node of the lab: its own wallet, node key, keys for links and circuits, gates, site with a cover page.
//!
//! The same parts as any node's, drawn by chance and held in memory. Not here: what a node does (`overlay`).

use super::ground::Ground;
use super::places::Part;
use super::{LabError, made, page};
use arc_swap::ArcSwap;
use shoalway_overlay::directory::{Book, Library};
use shoalway_overlay::exit::{ExitCounters, ExitPlan};
use shoalway_overlay::keys::{NodeKeys, SharedKeys};
use shoalway_overlay::link::accept::{Door, Welcome};
use shoalway_overlay::node::NodePlan;
use shoalway_overlay::node::arrive::Sessions;
use shoalway_overlay::{chance, time};
use shoalway_overlay_proto::create::{CreateKey, KemKeys};
use shoalway_overlay_proto::descriptor::{
    BindingKind, Descriptor, Endpoint, KEM_ACCEPTED_SECONDS, KemOffer, NO_COUNTRY, PolicyRule,
};
use shoalway_overlay_proto::identity::ed25519::SecretKey;
use shoalway_overlay_proto::identity::{Delegation, DelegationTerms, Roles};
use shoalway_overlay_proto::invite::{Gate, InvitedEntry};
use shoalway_overlay_proto::kdf::Secret;
use shoalway_overlay_proto::opener::{GateKeeper, LinkKeyPair};
use shoalway_reverse::routes::{FixedAnswer, HostPattern, PathPattern, Route, Then};
use shoalway_reverse::site_plan::{Site, SitePlan, SiteSettings};
use shoalway_types::wallet::Address;
use shoalway_types::{DomainName, Host};
use shoalway_wallet::WalletKey;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

/// Where the tunnel is in each site.
const PATH: &str = "/live";
const COOKIE: &str = "sid";
/// The gate of those who were invited, beside that of the links between nodes.
const INVITED: usize = 1;
const HOUR: u64 = 3_600;
/// What each says it carries: all the same, so that none weighs more.
const KIBPS: u32 = 10_000;

/// A node.
pub struct LabNode {
    /// Which.
    pub part: Part,
    /// Its wallet's address.
    pub address: Address,
    /// What it knows of the network.
    pub library: Arc<Library>,
    /// Its site, with the door.
    pub site: Arc<SitePlan>,
    /// How one comes in.
    pub invitation: InvitedEntry,
    keys: SharedKeys,
    delegation: Delegation,
}

impl LabNode {
    /// Makes a node that listens at this address.
    ///
    /// # Errors
    /// [`LabError`]
    pub fn new(ground: &Ground, part: Part, at: SocketAddr) -> Result<Self, LabError> {
        let wallet = made("wallet", WalletKey::from_secret(secret().bytes()))?;
        let node_key = SecretKey::from_seed(secret().bytes());
        let delegation = delegation(ground, part, &wallet, &node_key)?;
        let endpoint = Endpoint {
            address: at,
            sni: part.site(),
            path: PATH.to_owned(),
            cookie: COOKIE.to_owned(),
            binding: BindingKind::Exporter,
        };
        let (gate, link_gate) = (secret(), secret());
        let link = made("link key", LinkKeyPair::from_secret(&secret()))?;
        let (kems, offer) = circuit_key()?;
        let descriptor = Descriptor {
            kems: vec![offer],
            link_key: *link.public(),
            link_gate: *link_gate.bytes(),
            endpoints: vec![endpoint.clone()],
            ..descriptor(ground, wallet.address())
        };
        let invitation = InvitedEntry {
            node: wallet.address(),
            link_key: *link.public(),
            gate: Gate(gate.clone()),
            endpoint,
        };
        let mut gates = GateKeeper::new(&mut chance::rng());
        gates.set(GateKeeper::LINK_GATE, link_gate);
        gates.set(INVITED, gate);
        let signed = made("descriptor", descriptor.sign(&node_key))?;
        let keys: SharedKeys = Arc::new(ArcSwap::from_pointee(NodeKeys {
            network: *ground.id(),
            lab: true,
            node: wallet.address(),
            roles: roles(part),
            delegation: made("delegation", delegation.encode().try_into().map_err(|_long| "its length"))?,
            node_key,
            link,
            former_link: None,
            gates,
            descriptor: signed.into(),
        }));
        let library = Arc::new(Library::new(*ground.id()));
        let door = door(ground, part, &keys, kems, &library);
        let site = Arc::new(site(ground, part, door)?);
        Ok(Self { part, address: wallet.address(), library, site, invitation, keys, delegation })
    }

    /// As it stands in the directory.
    #[must_use]
    pub fn listed(&self) -> (Delegation, Vec<u8>) {
        (self.delegation.clone(), self.keys.load().descriptor.to_vec())
    }
}

fn secret() -> Secret {
    Secret::random(&mut chance::rng())
}

const fn roles(part: Part) -> Roles {
    match part {
        Part::Entry(_) => Roles::ENTRY,
        Part::Middle(_) => Roles::MIDDLE,
        Part::Exit(_) => Roles::EXIT,
    }
}

fn delegation(
    ground: &Ground,
    part: Part,
    wallet: &WalletKey,
    node_key: &SecretKey,
) -> Result<Delegation, LabError> {
    let now = time::unix();
    let terms = DelegationTerms {
        node: wallet.address(),
        node_key: node_key.public(),
        roles: roles(part),
        not_before: now.minus(HOUR),
        not_after: now.plus(48 * HOUR),
        serial: 1,
    };
    made("delegation", wallet.delegate(ground.id(), terms))
}

fn circuit_key() -> Result<(KemKeys, KemOffer), LabError> {
    let (now, mut kems) = (time::unix(), KemKeys::default());
    let made_key = CreateKey::new(&secret(), now.plus(KEM_ACCEPTED_SECONDS), &mut chance::rng());
    let key = made("key for circuits", made_key)?;
    let offer = KemOffer { not_before: now, key: Box::new(*key.secret().public().bytes()) };
    kems.insert(key);
    Ok((kems, offer))
}

/// What does not depend on the node's keys.
fn descriptor(ground: &Ground, node: Address) -> Descriptor {
    let now = time::unix();
    Descriptor {
        network: *ground.id(),
        node,
        seq: 1,
        published: now,
        expires: now.plus(30 * HOUR),
        protocols: 1,
        kems: Vec::new(),
        link_key: [0; 32],
        link_gate: [0; 32],
        operator: node,
        family: Vec::new(),
        country: NO_COUNTRY,
        asn: 0,
        kibps: KIBPS,
        endpoints: Vec::new(),
        policy: vec![PolicyRule::ALLOW_ALL],
    }
}

fn door(ground: &Ground, part: Part, keys: &SharedKeys, kems: KemKeys, library: &Arc<Library>) -> Arc<Door> {
    let exit = || ExitPlan {
        dialer: ground.dialer().clone(),
        leave_from: Some(part.address()),
        policy: vec![PolicyRule::ALLOW_ALL],
        own: vec![part.address()],
        closed: AtomicBool::new(false),
        counters: ExitCounters::default(),
    };
    let plan = Arc::new(NodePlan {
        keys: Arc::clone(keys),
        kems: Arc::new(Mutex::new(kems)),
        book: Arc::clone(library) as Arc<dyn Book>,
        dialing: ground.dialing(),
        exit: matches!(part, Part::Exit(_)).then(|| Arc::new(exit())),
        sessions: Sessions::default(),
    });
    Arc::new(Door::new(Arc::clone(keys), PATH, COOKIE, plan as Arc<dyn Welcome>))
}

fn site(ground: &Ground, part: Part, door: Arc<Door>) -> Result<SitePlan, LabError> {
    let name = part.site();
    let cover = FixedAnswer::new(200, "text/html; charset=utf-8", page::cover(&name));
    let site = Site {
        name: name.as_str().into(),
        hosts: vec![HostPattern::Exact(Host::Name(made("name", DomainName::parse(&name))?))],
        routes: vec![Route::new(PathPattern::any(), Then::Answer(Arc::new(cover)))],
        claim: Some(door),
    };
    let mut settings = SiteSettings::new(name.as_str(), vec![site]);
    settings.tls = Some(ground.certificate(&name)?);
    made("site", SitePlan::new(settings))
}
