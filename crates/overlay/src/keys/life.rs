//! A node's keys in time: made, offered, published in a descriptor every hour, erased (ovl1 sections 2.1, 2.2, 4).
//!
//! The wallet's delegation and the node key come from files that another program writes; a newer pair is taken up at the
//! next turn. A turn that fails leaves everything in force as it was and says why. Blocking, though short: on the control
//! thread, never on a shard. Not here: what the directory makes of the descriptor (`directory`).

use super::files::{self, FileError};
use super::gates::from_hex;
use super::rotation::{Due, due};
use super::store::KeyStore;
use super::{NodeKeys, SharedKems, SharedKeys};
use crate::{chance, time};
use arc_swap::ArcSwap;
use bytes::Bytes;
use rand_core::{CryptoRng, Rng as _};
use shoalway_overlay_proto::UnixTime;
use shoalway_overlay_proto::create::KemKeys;
use shoalway_overlay_proto::descriptor::{
    DESCRIPTOR_MOST_SECONDS, Descriptor, DescriptorError, Endpoint, KEMS_MOST, PolicyRule,
};
use shoalway_overlay_proto::identity::ed25519::SecretKey;
use shoalway_overlay_proto::identity::{
    DELEGATION_BYTES, Delegation, DelegationError, DelegationTerms, Roles,
};
use shoalway_overlay_proto::opener::GateKeeper;
use shoalway_types::wallet::Address;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// A descriptor is published every hour, a few minutes more or less.
const LEAST_PAUSE: u64 = 55 * 60;
const MORE_PAUSE: u64 = 10 * 60;
/// After a failure it is tried again.
const RETRY: Duration = Duration::from_secs(60);

/// What a node says about itself that no key does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFacts {
    /// Who runs it; none: its own wallet.
    pub operator: Option<Address>,
    /// Nodes that belong together with it, at most 16.
    pub family: Vec<Address>,
    /// Two letters, or `ZZ`.
    pub country: [u8; 2],
    /// The number of its network, 0 when it does not say.
    pub asn: u32,
    /// What it can carry, in KiB a second.
    pub kibps: u32,
    /// Where links are taken.
    pub endpoints: Vec<Endpoint>,
    /// Whether everybody is told of these; an unlisted entry is found by invitation alone. None: unless it is an entry and
    /// nothing else.
    pub listed: Option<bool>,
    /// Ports an exit connects to.
    pub policy: Vec<PolicyRule>,
}

/// Where a node's keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFiles {
    /// The wallet's delegation, as `shoalway key rotate` writes it.
    pub delegation: PathBuf,
    /// The node key that goes with it.
    pub node_key: PathBuf,
    /// The folder of the keys that the node makes itself.
    pub keys: PathBuf,
}

/// Why a node has no keys, or no newer ones.
#[derive(Debug, thiserror::Error)]
pub enum LifeError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The wallet has signed nothing yet.
    #[error("{} is not there: `shoalway key rotate` makes it", path.display())]
    Missing {
        /// What is missing.
        path: PathBuf,
    },
    /// The delegation does not hold.
    #[error("{}: {error}; `shoalway key rotate` makes a new one", path.display())]
    Delegation {
        /// Where it is.
        path: PathBuf,
        /// What is wrong.
        error: DelegationError,
    },
    /// The wallet has withdrawn the node.
    #[error("the wallet has withdrawn this node")]
    Withdrawn,
    /// Node key and delegation are not of one rotation.
    #[error("{} is not the key that the delegation names: `shoalway key rotate` makes a pair", path.display())]
    OtherKey {
        /// Where the key is.
        path: PathBuf,
    },
    /// What the node says of itself does not make a descriptor.
    #[error("the node's descriptor: {0}")]
    Descriptor(#[from] DescriptorError),
}

/// A node's keys in time.
pub struct NodeLife {
    network: [u8; 32],
    lab: bool,
    facts: NodeFacts,
    files: NodeFiles,
    state: Mutex<State>,
    keys: SharedKeys,
    kems: SharedKems,
    published: watch::Sender<u64>,
}

struct State {
    store: KeyStore,
    known: Vec<UnixTime>,
    identity: Identity,
    trouble: Option<String>,
}

/// What the wallet says, and the key it says it of.
struct Identity {
    delegation: [u8; DELEGATION_BYTES],
    terms: DelegationTerms,
    node_key: SecretKey,
}

impl NodeLife {
    /// Reads everything, makes what is due, and signs the first descriptor.
    ///
    /// # Errors
    /// [`LifeError`] names what is missing or wrong; a state that cannot be read is never replaced by a new one.
    pub fn open(
        network: [u8; 32],
        lab: bool,
        facts: NodeFacts,
        files: NodeFiles,
        now: UnixTime,
    ) -> Result<Arc<Self>, LifeError> {
        let mut rng = chance::rng();
        let identity = Identity::read(&files, &network, now)?;
        let mut store = KeyStore::open(&files.keys, now, &mut rng)?;
        rotate(&mut store, now, &mut rng)?;
        store.look_at_gates(now)?;
        let (mut held, mut known) = (KemKeys::default(), Vec::new());
        store.fill(&mut held, &mut known, &mut rng)?;
        let descriptor = descriptor(&mut store, &identity, (&network, &facts), now)?;
        let keys = node_keys((network, lab), &identity, &store, descriptor, &mut rng)?;
        let state = State { store, known, identity, trouble: None };
        Ok(Arc::new(Self {
            network,
            lab,
            facts,
            files,
            state: Mutex::new(state),
            keys: Arc::new(ArcSwap::from_pointee(keys)),
            kems: Arc::new(Mutex::new(held)),
            published: watch::channel(1).0,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the node is at present.
    #[must_use]
    pub fn keys(&self) -> SharedKeys {
        Arc::clone(&self.keys)
    }

    /// Its keys for circuits.
    #[must_use]
    pub fn kems(&self) -> SharedKems {
        Arc::clone(&self.kems)
    }

    /// What it says of itself.
    #[must_use]
    pub const fn facts(&self) -> &NodeFacts {
        &self.facts
    }

    /// What the wallet says at present.
    #[must_use]
    pub fn terms(&self) -> DelegationTerms {
        self.state().identity.terms.clone()
    }

    /// What went wrong at the last turn.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.state().trouble.clone()
    }

    /// Told of every new descriptor.
    #[must_use]
    pub fn published(&self) -> watch::Receiver<u64> {
        self.published.subscribe()
    }

    /// An hour is over: takes up a newer delegation, makes and erases keys, signs a new descriptor.
    ///
    /// # Errors
    /// [`LifeError`]; what was in force stays.
    pub fn turn(&self, now: UnixTime) -> Result<(), LifeError> {
        let mut state = self.state();
        let done = self.do_turn(&mut state, now);
        state.trouble = done.as_ref().err().map(ToString::to_string);
        done
    }

    fn do_turn(&self, state: &mut State, now: UnixTime) -> Result<(), LifeError> {
        let mut rng = chance::rng();
        let rotated = rotate(&mut state.store, now, &mut rng);
        {
            // Keys that are over are forgotten whatever else fails.
            let mut held = self.kems.lock().unwrap_or_else(PoisonError::into_inner);
            held.expire(now);
            state.store.fill(&mut held, &mut state.known, &mut rng)?;
        }
        rotated?;
        state.identity = Identity::read(&self.files, &self.network, now)?;
        state.store.look_at_gates(now)?;
        let descriptor = descriptor(&mut state.store, &state.identity, (&self.network, &self.facts), now)?;
        let of = (self.network, self.lab);
        self.keys.store(Arc::new(node_keys(of, &state.identity, &state.store, descriptor, &mut rng)?));
        self.published.send_modify(|count| *count += 1);
        Ok(())
    }

    /// Takes up gates that another program has changed. True when it has.
    ///
    /// # Errors
    /// [`LifeError`]; the gates stay as they were.
    pub fn look_at_gates(&self, now: UnixTime) -> Result<bool, LifeError> {
        let mut state = self.state();
        if !state.store.look_at_gates(now)? {
            return Ok(false);
        }
        let (of, before) = ((self.network, self.lab), self.keys.load().descriptor.clone());
        let made = node_keys(of, &state.identity, &state.store, before, &mut chance::rng())?;
        self.keys.store(Arc::new(made));
        Ok(true)
    }

    /// Turns every hour, as long as it is polled.
    pub async fn run(self: Arc<Self>) {
        let mut pause = pause();
        loop {
            tokio::time::sleep(pause).await;
            pause = match self.turn(time::unix_now()) {
                Ok(()) => self::pause(),
                Err(error) => {
                    tracing::warn!(%error, "the node's keys were not renewed");
                    RETRY
                }
            };
        }
    }
}

fn pause() -> Duration {
    Duration::from_secs(LEAST_PAUSE + chance::rng().next_u64() % MORE_PAUSE)
}

impl Identity {
    fn read(files: &NodeFiles, network: &[u8; 32], now: UnixTime) -> Result<Self, LifeError> {
        let delegation = *hex_of::<DELEGATION_BYTES>(&files.delegation)?;
        let damaged = |error| FileError::damaged(&files.delegation, error);
        let signed = Delegation::parse(&delegation).map_err(damaged)?;
        let wrong = |error| LifeError::Delegation { path: files.delegation.clone(), error };
        let terms = signed.check(network, now).map_err(wrong)?.terms().clone();
        if terms.is_withdrawal() {
            return Err(LifeError::Withdrawn);
        }
        let node_key = SecretKey::from_seed(&*hex_of::<32>(&files.node_key)?);
        if node_key.public() != terms.node_key {
            return Err(LifeError::OtherKey { path: files.node_key.clone() });
        }
        Ok(Self { delegation, terms, node_key })
    }
}

fn hex_of<const N: usize>(path: &Path) -> Result<zeroize::Zeroizing<[u8; N]>, LifeError> {
    let text = files::read_text(path)?.ok_or_else(|| LifeError::Missing { path: path.to_owned() })?;
    let bytes = from_hex(text.trim_end());
    bytes.ok_or_else(|| FileError::damaged(path, "it is not one line of digits").into())
}

/// Makes what is due and erases what is over.
fn rotate(store: &mut KeyStore, now: UnixTime, rng: &mut dyn CryptoRng) -> Result<(), FileError> {
    let kems: Vec<UnixTime> = store.kems.iter().map(|key| key.made).collect();
    let links: Vec<UnixTime> = store.links.iter().map(|key| key.made).collect();
    let Due { kem, link, old_kems, old_links } = due(&kems, &links, now);
    let erased = store.erase(&old_kems, &old_links);
    if kem {
        store.make_kem(now, rng)?;
    }
    if link {
        store.make_link(now, rng)?;
    }
    erased
}

fn descriptor(
    store: &mut KeyStore,
    identity: &Identity,
    (network, facts): (&[u8; 32], &NodeFacts),
    now: UnixTime,
) -> Result<Bytes, LifeError> {
    let seq = store.next_seq(now)?;
    let offered = store.kems.iter().rev().filter(|key| key.offer.is_offered(now)).take(KEMS_MOST);
    let gate = store.gates.of_slot(GateKeeper::LINK_GATE);
    let roles = identity.terms.roles;
    let listed = facts.listed.unwrap_or(roles != Roles::ENTRY);
    let descriptor = Descriptor {
        network: *network,
        node: identity.terms.node,
        seq,
        published: now,
        expires: now.plus(DESCRIPTOR_MOST_SECONDS).min(identity.terms.not_after),
        protocols: 1,
        kems: offered.map(|key| key.offer.clone()).collect(),
        link_key: store.links.last().map_or([0; 32], |key| *key.pair.public()),
        link_gate: gate.map_or([0; 32], |line| *line.gate.bytes()),
        operator: facts.operator.unwrap_or(identity.terms.node),
        family: facts.family.clone(),
        country: facts.country,
        asn: facts.asn,
        kibps: facts.kibps,
        endpoints: if listed { facts.endpoints.clone() } else { Vec::new() },
        policy: if roles.contains(Roles::EXIT) { facts.policy.clone() } else { Vec::new() },
    };
    Ok(descriptor.sign(&identity.node_key)?.into())
}

fn node_keys(
    (network, lab): ([u8; 32], bool),
    identity: &Identity,
    store: &KeyStore,
    descriptor: Bytes,
    rng: &mut dyn CryptoRng,
) -> Result<NodeKeys, LifeError> {
    let mut links = store.links.iter().rev().map(|key| key.pair.clone());
    let missing = || LifeError::Missing { path: store.gates_path() };
    Ok(NodeKeys {
        network,
        lab,
        node: identity.terms.node,
        roles: identity.terms.roles,
        delegation: identity.delegation,
        node_key: identity.node_key.clone(),
        // `rotate` has just made one where there was none.
        link: links.next().ok_or_else(missing)?,
        former_link: links.next(),
        gates: store.gates.keeper(rng),
        descriptor,
    })
}

#[cfg(test)]
mod tests;
