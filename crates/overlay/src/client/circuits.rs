//! Circuits: made, kept in stock, bound to one unit each and never to another (sections 6, 10, 11).
//!
//! A new flow of a unit takes the unit's circuit; the first one takes a circuit out of the stock, and only when there is
//! none to its exit waits for one to be made. Not here: which exit (`home`), links (`links`).

use super::home::Home;
use super::links::{EntryLink, NoLink};
use crate::chance;
use crate::circuit::{Port, PortOwner};
use crate::link::CircuitOwner;
use crate::time;
use bytes::Bytes;
use rand_core::Rng as _;
use shoalway_overlay_proto::circuit::CircuitEnd;
use shoalway_overlay_proto::circuit::terms::{Destination, End, ResetCode, StreamId};
use shoalway_overlay_proto::create::{self, HopKey, Offer, ReadyCircuit, Suites};
use shoalway_overlay_proto::link::dir::DirGet;
use shoalway_overlay_proto::link::terms::{CircId, Code, NotTaken};
use shoalway_overlay_proto::path::{self, Candidate, Rules};
use shoalway_overlay_proto::spread::UnitId;
use shoalway_types::wallet::Address;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Circuits of one client at a time.
pub(super) const MOST: usize = 256;
/// A circuit in stock is closed after 7 to 13 minutes.
const STOCK_LEAST: u64 = 7 * 60;
const STOCK_MORE: u64 = 6 * 60;
/// A bound circuit is closed this long after its last stream.
const BOUND_IDLE: Duration = Duration::from_secs(5 * 60);

/// All circuits of a client.
#[derive(Default)]
pub(super) struct Circuits {
    stock: RefCell<Vec<Stocked>>,
    bound: RefCell<HashMap<UnitId, Vec<Bound>>>,
}

struct Stocked {
    exit: Address,
    circuit: Circuit,
    /// When it is closed if nobody has taken it.
    until: Instant,
}

struct Bound {
    exit: Address,
    circuit: Circuit,
    used: Instant,
}

/// A circuit that stands.
#[derive(Clone)]
pub(super) struct Circuit {
    pub(super) port: Rc<Port>,
    link: Rc<EntryLink>,
}

impl Circuit {
    /// The entry it goes through.
    pub(super) fn entry(&self) -> Address {
        self.link.node
    }

    /// Whether it takes streams now.
    fn is_usable(&self) -> bool {
        self.port.is_open() && self.link.is_usable()
    }
}

/// Why there is no circuit.
#[derive(Debug, thiserror::Error)]
pub enum NoCircuit {
    /// No entry.
    #[error(transparent)]
    Link(#[from] NoLink),
    /// The exit, or what leads to it, is not of use.
    #[error("no path leads to the exit: {0}")]
    Path(&'static str),
    /// A hop refused it, or did not answer.
    #[error("the path was not taken ({})", .0.word())]
    Refused(Code),
    /// What the exit answered does not open: somebody in between is not who he should be.
    #[error("the exit did not prove itself")]
    Broken,
    /// The link to the entry fell meanwhile. Nobody on the path is to blame for it.
    #[error("the link to the entry was cut")]
    Cut,
    /// As many circuits as there may be are in use, or were made within a short time.
    #[error("too many circuits are in use")]
    Full,
}

impl Circuits {
    /// How many stand, and how many of those are in stock.
    pub(super) fn count(&self) -> (usize, usize) {
        let stock = self.stock.borrow().len();
        (self.bound.borrow().values().map(Vec::len).sum::<usize>() + stock, stock)
    }

    /// The unit's circuit to this exit, or one out of the stock, which is then the unit's.
    pub(super) fn take(&self, unit: UnitId, exit: Address) -> Option<Circuit> {
        let mut bound = self.bound.borrow_mut();
        let own = bound.entry(unit).or_default();
        own.retain(|bound| bound.circuit.port.over().is_none());
        if let Some(found) = own.iter_mut().find(|bound| bound.exit == exit && bound.circuit.is_usable()) {
            found.used = Instant::now();
            return Some(found.circuit.clone());
        }
        let mut stock = self.stock.borrow_mut();
        stock.retain(|stocked| stocked.circuit.port.over().is_none());
        let place = stock.iter().position(|stocked| stocked.exit == exit && stocked.circuit.is_usable())?;
        let Stocked { circuit, .. } = stock.swap_remove(place);
        own.push(Bound { exit, circuit: circuit.clone(), used: Instant::now() });
        Some(circuit)
    }

    /// Whether the unit has a circuit to this exit that takes streams.
    pub(super) fn stands(&self, unit: UnitId, exit: Address) -> bool {
        let bound = self.bound.borrow();
        let own = bound.get(&unit);
        own.is_some_and(|own| own.iter().any(|bound| bound.exit == exit && bound.circuit.is_usable()))
    }

    /// Gives a fresh circuit to a unit.
    pub(super) fn bind(&self, unit: UnitId, exit: Address, circuit: Circuit) {
        let mut bound = self.bound.borrow_mut();
        bound.entry(unit).or_default().push(Bound { exit, circuit, used: Instant::now() });
    }

    /// Puts a fresh circuit in stock.
    pub(super) fn put(&self, exit: Address, circuit: Circuit) {
        let life = Duration::from_secs(STOCK_LEAST + chance::rng().next_u64() % STOCK_MORE);
        self.stock.borrow_mut().push(Stocked { exit, circuit, until: Instant::now() + life });
    }

    /// How many are in stock for an exit.
    pub(super) fn stocked(&self, exit: Address) -> usize {
        self.stock.borrow().iter().filter(|stocked| stocked.exit == exit).count()
    }

    /// Makes room for one more: the longest idle one without streams goes. False when all are in use.
    pub(super) fn make_room(&self) -> bool {
        if self.count().0 < MOST {
            return true;
        }
        if let Some(stocked) = self.stock.borrow_mut().pop() {
            stocked.circuit.port.close(Code::Done);
            return true;
        }
        let mut bound = self.bound.borrow_mut();
        let all = bound.values_mut().flat_map(|own| own.iter());
        let idle = all.filter(|bound| bound.circuit.port.streams() == 0).min_by_key(|bound| bound.used);
        let Some(idle) = idle.map(|bound| Rc::clone(&bound.circuit.port)) else { return false };
        bound.values_mut().for_each(|own| own.retain(|bound| !Rc::ptr_eq(&bound.circuit.port, &idle)));
        drop(bound);
        idle.close(Code::Done);
        true
    }

    /// Closes what was idle for too long, and forgets what is over.
    pub(super) fn sweep(&self) {
        let mut closing = Vec::new();
        self.stock.borrow_mut().retain(|stocked| {
            let old = Instant::now() >= stocked.until;
            if old {
                closing.push(Rc::clone(&stocked.circuit.port));
            }
            !old && stocked.circuit.port.over().is_none()
        });
        self.bound.borrow_mut().retain(|_, own| {
            own.retain_mut(|bound| {
                let port = &bound.circuit.port;
                if port.streams() > 0 {
                    bound.used = Instant::now();
                }
                let idle = bound.used.elapsed() > BOUND_IDLE;
                if idle {
                    closing.push(Rc::clone(port));
                }
                !idle && port.over().is_none()
            });
            !own.is_empty()
        });
        closing.iter().for_each(|port| port.close(Code::Done));
    }
}

impl Home {
    /// Makes a circuit to an exit: one round trip.
    ///
    /// # Errors
    /// [`NoCircuit`]
    pub(super) async fn make(&self, exit: Address) -> Result<Circuit, NoCircuit> {
        let mut news = self.links.news();
        let link = self.links.any().await?;
        let hops = self.hops(&link, exit).await?;
        let shard = self.shard().ok_or(NoLink::Ending)?;
        let offer = Offer { suites: Suites::BOTH, token: &[] };
        let network = *self.shared.plan.library.id();
        let (body, pending) = create::build(&network, &hops, &offer, &mut chance::rng())
            .map_err(|_key| NoCircuit::Path("a key of the path is not usable"))?;
        let (tell, told) = oneshot::channel();
        let making = Rc::new(Making(RefCell::new(Some(tell))));
        let circ = link.handle.create(body.into(), 0, making, &mut chance::rng()).map_err(|not_taken| {
            match not_taken {
                NotTaken::Full => NoCircuit::Full,
                NotTaken::Closing | NotTaken::Unknown | NotTaken::Length => NoCircuit::Cut,
            }
        })?;
        let mut unanswered = Unanswered { link: &link, circ, code: Some(Code::Done) };
        let fallen = async { while link.handle.is_standing() && news.changed().await.is_ok() {} };
        let answer = tokio::select! {
            biased;
            answer = told => match answer.unwrap_or(Err(Code::LinkLost)) {
                // The entry is leaving or gone: what it says then is no word about the exit.
                Err(_) if !link.is_usable() => return Err(NoCircuit::Cut),
                answer => answer.map_err(NoCircuit::Refused)?,
            },
            () = fallen => return Err(NoCircuit::Cut),
        };
        let Ok(ReadyCircuit { terms, tx, rx, layers }) = pending.created(&answer) else {
            unanswered.code = Some(Code::Protocol);
            return Err(NoCircuit::Broken);
        };
        unanswered.code = None;
        drop(unanswered);
        self.heard_of(exit, terms.directory);
        let end = CircuitEnd::new(End::Client, terms.circuit, &tx, &rx, time::moment());
        let port = Port::new(&shard, &link.handle, circ, end, layers, Rc::new(Nobody));
        Ok(Circuit { port, link })
    }

    /// The keys of a path: the entry's of its own descriptor, the others' of the directory.
    async fn hops(&self, link: &Rc<EntryLink>, exit: Address) -> Result<Vec<HopKey>, NoCircuit> {
        let (entry, entry_key) = self.entry_hop(link).await?;
        let rules = Rules { lab: self.shared.plan.library.is_lab() };
        let candidates = self.candidates();
        let last = candidates.iter().find(|candidate| candidate.node == exit);
        let last = last.ok_or(NoCircuit::Path("the exit is not in the directory"))?;
        entry.beside(last, rules).map_err(|_clash| NoCircuit::Path("entry and exit are too close"))?;
        let mut hops = vec![entry_key];
        if self.shared.plan.hops == 3 {
            let between =
                |candidates: &[Candidate]| path::middle(candidates, &entry, last, rules, &mut chance::rng());
            let middle = between(&candidates).ok_or(NoCircuit::Path("there is no node between"))?;
            hops.push(self.hop_key(middle)?);
        }
        hops.push(self.hop_key(exit)?);
        Ok(hops)
    }
}

/// A circuit that is being made, and is wanted no more when this is dropped.
struct Unanswered<'a> {
    link: &'a EntryLink,
    circ: CircId,
    /// None when it stands.
    code: Option<Code>,
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if let Some(code) = self.code {
            self.link.handle.destroy(self.circ, code);
        }
    }
}

/// The owner of a circuit that is being made.
struct Making(RefCell<Option<oneshot::Sender<Result<Bytes, Code>>>>);

impl Making {
    fn tell(&self, result: Result<Bytes, Code>) {
        if let Some(tell) = self.0.borrow_mut().take() {
            // Whoever wanted it may not wait any more.
            drop(tell.send(result));
        }
    }
}

impl CircuitOwner for Making {
    fn created(&self, body: Bytes) {
        self.tell(Ok(body));
    }

    fn data(&self, _record: Bytes) {}

    fn sent(&self, _bytes: usize) {}

    fn writable(&self) {}

    fn destroyed(&self, code: Code) {
        self.tell(Err(code));
    }
}

/// A client's port needs no owner: whoever opens streams looks at it.
struct Nobody;

impl PortOwner for Nobody {
    fn open(&self, port: &Rc<Port>, stream: StreamId, _dest: Destination) {
        port.refuse(stream, ResetCode::NotSupported);
    }

    fn dir_get(&self, port: &Rc<Port>, stream: StreamId, _get: DirGet) {
        port.dir_answer(stream, Bytes::new());
    }

    fn draining(&self, _port: &Rc<Port>) {}

    fn closed(&self, _port: &Rc<Port>, _code: Code) {}
}

/// Keeps the home alive no longer than the shard does.
pub(super) type WeakHome = Weak<Home>;
