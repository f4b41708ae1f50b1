//! The overlay's two parts, from settings to what works: the client with its ways, the node with its door.
//!
//! What did not change is used again: links, circuits and sessions of clients outlive a reload. A part that cannot be made
//! keeps the whole configuration from taking force, so that rules that say `overlay` never go another way. Blocking: files
//! are read here. Not here: the site before a node (`sites`), tasks (`node`).

use super::{Parts, Surrounded, WiringError, names, own_addresses};
use crate::config::Settings;
use crate::config::settings::{NodeSettings, OverlaySettings, PublishSettings};
use crate::node::monthly::Monthly;
use crate::node::{NodePart, Overlaid, OverlayPart};
use shoalway_forward::Way;
use shoalway_net::dialer::{DialConfig, Dialer};
use shoalway_net::egress_guard::{EgressGuard, Reach};
use shoalway_net::resolver::Resolver;
use shoalway_net::tls::Roots;
use shoalway_net::tls_client::LinkTls;
use shoalway_overlay::client::fetch::read_entries;
use shoalway_overlay::client::{Overlay, OverlayPlan};
use shoalway_overlay::directory::publish::Publisher;
use shoalway_overlay::directory::refresh::{LastVisit, Refresh};
use shoalway_overlay::directory::shelf::Shelf;
use shoalway_overlay::directory::{Book, Library};
use shoalway_overlay::exit::{ExitCounters, ExitPlan};
use shoalway_overlay::keys::files;
use shoalway_overlay::keys::gates::from_hex;
use shoalway_overlay::keys::life::{NodeFacts, NodeFiles, NodeLife};
use shoalway_overlay::link::accept::{Door, Welcome};
use shoalway_overlay::link::dial::Dialing;
use shoalway_overlay::node::NodePlan;
use shoalway_overlay::node::arrive::Sessions;
use shoalway_overlay_proto::UnixTime;
use shoalway_overlay_proto::identity::Roles;
use shoalway_overlay_proto::identity::ed25519::SecretKey;
use shoalway_overlay_proto::path::ExitWish;
use std::fmt::Display;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long each step of opening a link may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Where the client's links live.
const HOME: usize = 0;

/// Both parts of these settings.
///
/// # Errors
/// [`WiringError::Overlay`], [`WiringError::Node`]
pub(super) fn overlaid(
    settings: &Settings,
    before: Option<&Parts>,
    resolver: &Resolver,
    from: &Surrounded<'_>,
) -> Result<Overlaid, WiringError> {
    let now = UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()));
    let same = |of: fn(&Parts) -> u64, new| before.filter(|old| of(old) == new);
    let overlay = match &settings.overlay {
        None => None,
        Some(wanted) => {
            let old = same(|parts| parts.fingerprints.overlay, settings.fingerprints.overlay);
            match old.and_then(|old| old.overlaid.overlay.clone()) {
                Some(old) => Some(old),
                None => Some(Arc::new(client(wanted, resolver, now).map_err(WiringError::Overlay)?)),
            }
        }
    };
    let node = match &settings.node {
        None => None,
        Some(wanted) => {
            let old = same(|parts| parts.fingerprints.node, settings.fingerprints.node);
            let old = old.filter(|old| old.fingerprints.dns == settings.fingerprints.dns);
            match old.and_then(|old| old.overlaid.node.clone()) {
                Some(old) => Some(old),
                None => Some(Arc::new(node(wanted, settings, from, now)?)),
            }
        }
    };
    Ok(Overlaid { node, overlay })
}

fn words(what: &str) -> impl Fn(&dyn Display) -> String {
    move |error| format!("{what}{error}")
}

/// What is known of a network; a fork that was seen is the end of it.
fn library(
    folder: &Path,
    id: [u8; 32],
    file: Option<&str>,
    now: UnixTime,
) -> Result<(Arc<Shelf>, Arc<Library>), String> {
    let (shelf, library) = Shelf::open(folder, id, now).map_err(|error| words("")(&error))?;
    if let (0, Some(file)) = (library.version(), file) {
        library.learn_network_file(file.as_bytes()).map_err(|error| words("the network file: ")(&error))?;
    }
    if let Some(fork) = library.fork() {
        let keys = library.with_network(|network| fork.signers_of_both(network)).unwrap_or_default();
        let keys: Vec<String> = keys.iter().map(|key| shoalway_wallet::to_hex(key).to_string()).collect();
        return Err(format!(
            "O201: the directory has forked: two different snapshots have the number {}, and these keys signed both: {}. \
             The proof is in {}",
            fork.number(),
            keys.join(", "),
            folder.display()
        ));
    }
    Ok((Arc::new(shelf), library))
}

fn dialing(roots: &Roots, reach: Reach, resolver: &Resolver) -> Result<Dialing, String> {
    let guard = Arc::new(EgressGuard::new(reach, Vec::new(), Vec::new()));
    let dialer = Dialer::new(resolver.clone(), guard, DialConfig::default());
    let tls = LinkTls::new(roots).map_err(|error| words("TLS of links: ")(&error))?;
    Ok(Dialing { dialer, tls, patience: PATIENCE })
}

fn client(settings: &OverlaySettings, resolver: &Resolver, now: UnixTime) -> Result<OverlayPart, String> {
    let (shelf, library) = library(&settings.state, settings.network, settings.file.as_deref(), now)?;
    if library.version() > 0 {
        let lab = library.is_lab();
        for (number, entry) in (1..).zip(&settings.invited) {
            entry.endpoint.check_place(lab).map_err(|error| words(&format!("entry {number}: "))(&error))?;
        }
    }
    let everything = Reach::Only { public: true, private: true, loopback: true };
    let kept = read_entries(&settings.state);
    let kept = kept.map_err(|error| format!("the entries kept in {}: {error}", settings.state.display()))?;
    let overlay = Overlay::new(OverlayPlan {
        hops: settings.hops,
        spread: settings.spread,
        exits: settings.exits.clone(),
        invited: settings.invited.clone(),
        library: Arc::clone(&library),
        dialing: dialing(&settings.roots, everything, resolver)?,
        state: Some(settings.state.clone()),
        kept,
        optimistic: settings.optimistic,
        stock: settings.stock,
        home: HOME,
    });
    Ok(OverlayPart { overlay, library, shelf })
}

/// A way for each wish of the rules, by number.
pub(super) fn ways(settings: &Settings, part: Option<&OverlayPart>) -> Vec<Way> {
    let Some(OverlayPart { overlay, .. }) = part else { return Vec::new() };
    let usual = &overlay.shared().plan.exits;
    let way = |wish: shoalway_policy::OverlayWish| {
        let mut hasher = DefaultHasher::new();
        (&wish, Arc::as_ptr(overlay.shared()).addr()).hash(&mut hasher);
        let asked = ExitWish {
            active: usual.active,
            countries: if wish.countries.is_empty() { usual.countries.clone() } else { wish.countries },
            nodes: wish.exits,
        };
        Way { name: "overlay".into(), identity: hasher.finish() | 1, outbound: overlay.way(asked) }
    };
    settings.rules.overlay_wishes().into_iter().map(way).collect()
}

fn node(
    wanted: &NodeSettings,
    settings: &Settings,
    from: &Surrounded<'_>,
    now: UnixTime,
) -> Result<NodePart, WiringError> {
    // An exit's answers from DNS are nobody else's: it remembers none.
    let resolver = names::resolver_without_memory(&settings.dns, from.addresses, from.control)?;
    make_node(wanted, &resolver, from, now).map_err(WiringError::Node)
}

fn make_node(
    wanted: &NodeSettings,
    resolver: &Resolver,
    from: &Surrounded<'_>,
    now: UnixTime,
) -> Result<NodePart, String> {
    let (shelf, library) = library(&wanted.state.join("network"), wanted.network, Some(&wanted.file), now)?;
    let life = life(wanted, now)?;
    let roles = life.terms().roles;
    let publisher =
        wanted.publish.as_ref().map(|publish| publisher(publish, wanted, &library)).transpose()?;
    let exit = roles.contains(Roles::EXIT).then(|| Arc::new(exit(wanted, resolver, from)));
    let reach = Reach::Only { public: true, private: wanted.lab, loopback: wanted.lab };
    let book: Arc<dyn Book> = match &publisher {
        Some(publisher) => Arc::clone(publisher) as Arc<dyn Book>,
        None => Arc::clone(&library) as Arc<dyn Book>,
    };
    let plan = Arc::new(NodePlan {
        keys: life.keys(),
        kems: life.kems(),
        book,
        dialing: dialing(&wanted.roots, reach, resolver)?,
        exit: exit.clone(),
        sessions: Sessions::default(),
    });
    let behind = Arc::clone(&plan) as Arc<dyn Welcome>;
    let monthly = wanted.monthly.map(|most| Monthly::open(&wanted.state.join("month"), most, now));
    let refresh = publisher.is_none().then(|| Refresh {
        plan: Arc::clone(&plan),
        library: Arc::clone(&library),
        told: wanted.directory.clone(),
        last: LastVisit::default(),
        started: AtomicBool::new(false),
    });
    Ok(NodePart {
        site: wanted.site.clone(),
        lab: wanted.lab,
        door: Arc::new(Door::new(life.keys(), &wanted.path, &wanted.cookie, behind)),
        life,
        plan,
        library,
        shelf,
        publisher,
        refresh: refresh.map(Arc::new),
        exit,
        monthly: monthly.transpose().map_err(|error| error.to_string())?.map(Arc::new),
    })
}

fn life(wanted: &NodeSettings, now: UnixTime) -> Result<Arc<NodeLife>, String> {
    let facts = NodeFacts {
        operator: wanted.operator,
        family: wanted.family.clone(),
        country: wanted.country,
        asn: wanted.asn,
        kibps: wanted.kibps,
        endpoints: wanted.endpoints.clone(),
        listed: wanted.listed,
        policy: wanted.policy.clone(),
    };
    let files = NodeFiles {
        delegation: wanted.delegation.clone(),
        node_key: wanted.node_key.clone(),
        keys: wanted.state.join("keys"),
    };
    let life =
        NodeLife::open(wanted.network, wanted.lab, facts, files, now).map_err(|error| error.to_string())?;
    let signed = life.terms().roles;
    match wanted.roles {
        Some(asked) if asked != signed => Err(format!(
            "[node] says that it is {asked}, its wallet has signed {signed}: `shoalway key rotate --roles` signs others"
        )),
        Some(_) | None => Ok(life),
    }
}

fn publisher(
    publish: &PublishSettings,
    wanted: &NodeSettings,
    library: &Arc<Library>,
) -> Result<Arc<Publisher>, String> {
    let mut keys = Vec::new();
    for path in &publish.keys {
        keys.push(directory_key(path)?);
    }
    let folder = wanted.state.join("entries");
    let library = Arc::clone(library);
    Publisher::open(library, keys, &publish.roll, &folder, publish.affinity.clone())
        .map_err(|error| error.to_string())
}

/// A key of the directory: one line of 64 digits.
///
/// # Errors
/// What is wrong with the file, in words.
pub fn directory_key(path: &Path) -> Result<SecretKey, String> {
    let text = files::read_text(path).map_err(|error| error.to_string())?;
    let text = text.ok_or_else(|| format!("{} is not there", path.display()))?;
    let seed = from_hex::<32>(text.trim_end());
    let seed = seed.ok_or_else(|| format!("{} is not one line of 64 digits", path.display()))?;
    Ok(SecretKey::from_seed(&seed))
}

fn exit(wanted: &NodeSettings, resolver: &Resolver, from: &Surrounded<'_>) -> ExitPlan {
    let reach = Reach::Only { public: true, private: wanted.lab, loopback: wanted.lab };
    let here = from.listening.iter().filter(|listening| !wanted.lab || listening.forward().is_some());
    let listeners = here.map(|listening| listening.address).chain(from.also_own.iter().copied()).collect();
    let own: Vec<IpAddr> = if wanted.lab { Vec::new() } else { own_addresses::of_this_machine() };
    let guard = Arc::new(EgressGuard::new(reach, listeners, own.clone()));
    ExitPlan {
        dialer: Dialer::new(resolver.clone(), guard, DialConfig::default()),
        leave_from: wanted.leave_from,
        policy: wanted.policy.clone(),
        own,
        closed: AtomicBool::new(false),
        counters: ExitCounters::default(),
    }
}
