//! The client's part on its home shard: a flow, from what it belongs to, to its stream.
//!
//! A flow's unit has an exit, the exit has a circuit of the unit's own, the circuit gets a stream. An exit that cannot be
//! reached is replaced once; a failure beyond it is told as it is. When there is no entry, no directory or no exit, the
//! flow fails: there is no other way. Not here: the seam to the forward proxy (`way`).

use super::circuits::{Circuit, Circuits, NoCircuit, WeakHome};
use super::links::{EntryLink, Links, NoLink};
use super::plan::Shared;
use super::status::FlowStatus;
use crate::chance;
use crate::circuit::NotOpened;
use crate::circuit::stream::StreamPort;
use crate::directory::Book as _;
use crate::time;
use rand_core::Rng as _;
use shoalway_net::clock;
use shoalway_net::connect::{ConnectError, ConnectErrorKind};
use shoalway_net::deadline::Wait;
use shoalway_net::shard::Shard;
use shoalway_overlay_proto::circuit::terms::{Destination, ResetCode};
use shoalway_overlay_proto::create::HopKey;
use shoalway_overlay_proto::descriptor::{Descriptor, KemOffer, PolicyRule};
use shoalway_overlay_proto::identity::Roles;
use shoalway_overlay_proto::link::terms::Code;
use shoalway_overlay_proto::path::{ActiveExits, Candidate, ExitWish, Rules};
use shoalway_overlay_proto::snapshot::{Age, Directory};
use shoalway_overlay_proto::spread::{
    Affinity, Choice, Isolation, Pins, Spread, SpreadSecret, UnitId, Weighted, Why, choose, unit,
};
use shoalway_overlay_proto::xwing::XWingPublic;
use shoalway_types::Target;
use shoalway_types::wallet::Address;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Tries for one flow: the circuit it has, its exit anew, and once another.
const TRIES: usize = 3;
/// How long a flow waits for a circuit to become free (section 11), and how often it looks.
const WAIT_FOR_ROOM: Duration = Duration::from_secs(2);
const LOOK_FOR_ROOM: Duration = Duration::from_millis(100);
/// A hop that knows other keys or nodes than we do has the directory fetched, no more often than this (section 13).
const EARLY_FETCH: Duration = Duration::from_secs(600);
/// Pauses of the refill of the stock, on average.
const REFILL: f64 = 2.0;
/// Without a flow for this long the stock is not refilled.
const ASLEEP: Duration = Duration::from_secs(10 * 60);
/// How often things are looked after.
const LOOK: Duration = Duration::from_secs(10);
/// An exit that failed is not chosen for one second, then two, and so on.
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(60);

/// A flow that is wanted, as it goes from one shard to another.
pub struct Wanted {
    pub(super) wish: ExitWish,
    pub(super) listener: String,
    pub(super) user: Vec<u8>,
    pub(super) password: Vec<u8>,
    pub(super) target: Target,
}

/// The home.
pub struct Home {
    pub(super) shared: Arc<Shared>,
    pub(super) links: Rc<Links>,
    pub(super) circuits: Circuits,
    shard: Weak<Shard>,
    secret: SpreadSecret,
    sets: RefCell<HashMap<WishKey, Rc<RefCell<Set>>>>,
    bad: RefCell<HashMap<Address, Bad>>,
    entry_hops: RefCell<HashMap<Address, (Candidate, Descriptor)>>,
    fetched_early: Cell<Option<Instant>>,
    /// What was said of the directory and looked into already, by exit.
    pub(super) looked_into: RefCell<HashMap<Address, (u64, [u8; 32])>>,
    /// A newer directory that follows from ours, as an exit has proven.
    pub(super) proven: Cell<Option<(u64, [u8; 32])>>,
    serial: Cell<u64>,
    last_flow: Cell<Option<Instant>>,
    refilling: Cell<bool>,
    /// When the directory is fetched again.
    pub(super) fetch_at: Cell<Option<Instant>>,
    pub(super) fetching: tokio::sync::Mutex<()>,
    /// How often in a row the directory had no exit of use.
    pub(super) without_exit: Cell<u32>,
    me: WeakHome,
}

/// Wishes are few: each has its own active set.
type WishKey = (usize, Vec<[u8; 2]>, Vec<Address>);

/// The exits of one wish, and which unit has which.
struct Set {
    exits: ActiveExits,
    pins: Pins,
    /// The directory it was refreshed by.
    number: u64,
    refreshed: Option<Instant>,
}

struct Bad {
    until: Instant,
    rest: Duration,
}

#[derive(Default)]
struct Homes(RefCell<Vec<(usize, Rc<Home>)>>);

impl Home {
    /// The home on its shard, made when first asked for.
    pub fn of(shard: &Rc<Shard>, shared: &Arc<Shared>) -> Rc<Self> {
        let homes = shard.local(Homes::default);
        let key = Arc::as_ptr(shared).addr();
        if let Some((_, home)) = homes.0.borrow().iter().find(|(known, _)| *known == key) {
            return Rc::clone(home);
        }
        let home = Self::new(shard, shared);
        homes.0.borrow_mut().push((key, Rc::clone(&home)));
        home
    }

    /// Begins to look after links, directory and stock before the first flow comes.
    pub fn start(shard: &Rc<Shard>, shared: &Arc<Shared>) {
        Self::of(shard, shared);
    }

    fn new(shard: &Rc<Shard>, shared: &Arc<Shared>) -> Rc<Self> {
        let mut secret = [0; 32];
        chance::rng().fill_bytes(&mut secret);
        let home = Rc::new_cyclic(|me| Self {
            links: Links::new(shard, shared, shared.plan.kept.clone()),
            circuits: Circuits::default(),
            shared: Arc::clone(shared),
            shard: Rc::downgrade(shard),
            secret: SpreadSecret::new(&secret),
            sets: RefCell::default(),
            bad: RefCell::default(),
            entry_hops: RefCell::default(),
            fetched_early: Cell::new(None),
            looked_into: RefCell::default(),
            proven: Cell::new(None),
            serial: Cell::new(0),
            last_flow: Cell::new(None),
            refilling: Cell::new(false),
            fetch_at: Cell::new(None),
            fetching: tokio::sync::Mutex::new(()),
            without_exit: Cell::new(0),
            me: Weak::clone(me),
        });
        // What is wrong is told by the first look.
        let _trouble = home.choose_entries();
        shard.tasks().spawn(look_after(Rc::downgrade(&home), Rc::downgrade(shard)));
        home
    }

    pub(super) fn shard(&self) -> Option<Rc<Shard>> {
        self.shard.upgrade()
    }

    /// Opens a flow; ready when the destination is connected.
    ///
    /// # Errors
    /// What went wrong, without the destination. Nothing of the flow was sent to anybody but, perhaps, its exit.
    pub async fn open(self: &Rc<Self>, wanted: &Wanted) -> Result<FlowStream, ConnectError> {
        self.last_flow.set(Some(Instant::now()));
        self.ready().await?;
        let unit = self.unit_of(wanted);
        let mut last = lost();
        for _ in 0..TRIES {
            let (flow, choice) = self.begin(wanted, unit)?;
            match self.circuit(unit, choice.exit).await {
                Ok(circuit) => {
                    let dest = Destination::Target(wanted.target.clone());
                    let opened = if self.shared.plan.optimistic {
                        circuit.port.open_optimistic(dest)
                    } else {
                        circuit.port.open(dest).await
                    };
                    match opened {
                        Ok(stream) => return Ok(self.opened(wanted, flow, choice, circuit.entry(), stream)),
                        Err(NotOpened::Reset(ResetCode::CircuitLost)) | Err(NotOpened::Circuit(_)) => {}
                        Err(NotOpened::Refused(_)) => circuit.port.retire(),
                        Err(NotOpened::Reset(code)) => return Err(said_by_exit(code)),
                    }
                }
                Err(NoCircuit::Link(why)) => return Err(no_entry(&why)),
                Err(why @ NoCircuit::Full) => return Err(no_room(&why)),
                // Another entry, or this one again; the exit is not to blame.
                Err(NoCircuit::Cut) => {}
                Err(why) => {
                    self.learn_from(&why);
                    last = no_path(&why);
                    self.failed(choice.exit);
                    self.repin(wanted, unit, choice.exit);
                }
            }
        }
        Err(last)
    }

    /// What a flow's exit is or would be. For `why`; sends nothing.
    #[must_use]
    pub fn why(&self, wanted: &Wanted) -> Option<Choice> {
        let unit = self.unit_of(wanted);
        let set = self.set(&wanted.wish);
        let set = set.borrow();
        let exits = self.choosable(&set, wanted.target.port, Some(unit));
        set.pins.look(&unit, &self.secret, &exits, time::moment())
    }

    /// Carries every link on by another connection now, as when the way to the network has changed. Circuits and streams
    /// go on.
    pub fn carry_on(&self) {
        self.links.carry_on();
    }

    /// Circuits that stand ready for whoever comes.
    #[must_use]
    pub fn stocked(&self) -> usize {
        self.circuits.count().1
    }

    /// Waits for a directory that may be used.
    async fn ready(&self) -> Result<(), ConnectError> {
        if self.directory().is_some() {
            return Ok(());
        }
        self.fetch().await.map_err(|why| no_directory(&why.to_string()))?;
        match self.directory() {
            Some(_) => Ok(()),
            None => Err(no_directory("the directory is older than 36 hours")),
        }
    }

    /// The directory, unless it is too old for new circuits.
    pub(super) fn directory(&self) -> Option<Arc<Directory>> {
        let directory = self.shared.plan.library.directory()?;
        (directory.age(time::unix()) != Age::TooOld).then_some(directory)
    }

    fn unit_of(&self, wanted: &Wanted) -> UnitId {
        let serial = self.serial.get().wrapping_add(1);
        self.serial.set(serial);
        let isolation =
            Isolation { listener: &wanted.listener, user: &wanted.user, password: &wanted.password };
        let directory = self.shared.plan.library.directory();
        let none = Affinity::default();
        let affinity = directory.as_ref().map_or(&none, |directory| directory.affinity());
        unit(self.shared.plan.spread, &isolation, &wanted.target.host, serial, affinity)
    }

    fn set(&self, wish: &ExitWish) -> Rc<RefCell<Set>> {
        let key = (wish.active, wish.countries.clone(), wish.nodes.clone());
        let set = Rc::clone(self.sets.borrow_mut().entry(key).or_insert_with(|| {
            let rules = Rules { lab: self.shared.plan.library.is_lab() };
            let exits = ActiveExits::new(wish.clone(), rules);
            Rc::new(RefCell::new(Set { exits, pins: Pins::default(), number: 0, refreshed: None }))
        }));
        self.freshen(&mut set.borrow_mut());
        set
    }

    /// Draws the set anew where the directory has changed, or a day is over.
    fn freshen(&self, set: &mut Set) {
        let number = self.directory().map_or(0, |directory| directory.number_and_hash().0);
        let recent = set.refreshed.is_some_and(|at| at.elapsed() < Duration::from_secs(600));
        if number == set.number && recent {
            return;
        }
        let Set { exits, pins, .. } = set;
        let in_use = |node: Address| pins.uses(node);
        exits.refresh(&self.candidates(), &in_use, time::moment(), &mut chance::rng());
        (set.number, set.refreshed) = (number, Some(Instant::now()));
    }

    /// All nodes of the directory, as the makers of paths see them.
    pub(super) fn candidates(&self) -> Vec<Candidate> {
        let Some(directory) = self.directory() else { return Vec::new() };
        let nodes = directory.nodes(Roles::NONE, time::unix());
        nodes.map(|listed| candidate(listed.descriptor, listed.terms.roles)).collect()
    }

    /// The active exits that may be chosen now for a port. One that failed a moment ago stays the exit of a unit whose
    /// circuit to it stands.
    fn choosable(&self, set: &Set, port: u16, unit: Option<UnitId>) -> Vec<Weighted> {
        let Some(directory) = self.directory() else { return Vec::new() };
        let (now, bad) = (time::unix(), self.bad.borrow());
        let fits = |exit: Address| {
            let rests = bad.get(&exit).is_some_and(|bad| bad.until > Instant::now());
            let resting = rests && !unit.is_some_and(|unit| self.circuits.stands(unit, exit));
            let listed = directory.lookup(&exit, now);
            !resting && listed.is_some_and(|listed| PolicyRule::allows(&listed.descriptor.policy, port))
        };
        set.exits.weighted().iter().copied().filter(|candidate| fits(candidate.exit)).collect()
    }

    /// Chooses the exit of a flow, which counts as begun.
    fn begin(self: &Rc<Self>, wanted: &Wanted, unit: UnitId) -> Result<(Flow, Choice), ConnectError> {
        let set = self.set(&wanted.wish);
        let mut inner = set.borrow_mut();
        let exits = self.choosable(&inner, wanted.target.port, Some(unit));
        let choice = match self.shared.plan.spread {
            Spread::Site | Spread::Host => inner.pins.begin(unit, &self.secret, &exits, time::moment()),
            // Units that never come again need no memory.
            Spread::Connection | Spread::Request => {
                choose(&self.secret, &unit, &exits, &[]).map(|exit| Choice { exit, why: Why::Chosen })
            }
        };
        let choice = choice.ok_or_else(no_exit)?;
        drop(inner);
        Ok((Flow { set, unit }, choice))
    }

    /// The unit's circuit to its exit.
    async fn circuit(self: &Rc<Self>, unit: UnitId, exit: Address) -> Result<Circuit, NoCircuit> {
        let until = Instant::now() + WAIT_FOR_ROOM;
        let circuit = loop {
            if let Some(circuit) = self.circuits.take(unit, exit) {
                self.refill();
                return Ok(circuit);
            }
            let made = match self.circuits.make_room() {
                true => Box::pin(self.make(exit)).await,
                false => Err(NoCircuit::Full),
            };
            match made {
                Err(NoCircuit::Full) if Instant::now() < until => self.pause(LOOK_FOR_ROOM).await,
                made => break made?,
            }
        };
        self.bad.borrow_mut().remove(&exit);
        self.circuits.bind(unit, exit, circuit.clone());
        self.refill();
        Ok(circuit)
    }

    async fn pause(&self, time: Duration) {
        let Some(deadline) = self.shard().map(|shard| shard.deadline()) else { return };
        deadline.after(time, Wait::Busy);
        std::future::poll_fn(|cx| deadline.poll(cx)).await;
    }

    /// A hop does not know a key or a node that we know: one of us is behind. The directory is fetched before its time,
    /// and the entry asked again who it is.
    fn learn_from(&self, why: &NoCircuit) {
        if !matches!(why, NoCircuit::Refused(Code::UnknownKey | Code::UnknownNext | Code::TooOld)) {
            return;
        }
        self.entry_hops.borrow_mut().clear();
        if self.fetched_early.get().is_none_or(|at| at.elapsed() >= EARLY_FETCH) {
            self.fetched_early.set(Some(Instant::now()));
            self.fetch_at.set(Some(Instant::now()));
        }
    }

    fn opened(
        self: &Rc<Self>,
        wanted: &Wanted,
        flow: Flow,
        choice: Choice,
        entry: Address,
        stream: StreamPort,
    ) -> FlowStream {
        self.shared.board.flow(FlowStatus {
            target: wanted.target.to_string(),
            exit: choice.exit,
            entry,
            why: choice.why,
            at_ms: clock::wall_ms(),
        });
        FlowStream { stream, _flow: flow }
    }

    /// An exit could not be reached: it rests, longer each time.
    pub(super) fn failed(&self, exit: Address) {
        let mut bad = self.bad.borrow_mut();
        let rest = bad.get(&exit).map_or(FIRST_REST, |bad| (bad.rest * 2).min(LONGEST_REST));
        bad.insert(exit, Bad { until: Instant::now() + rest, rest });
    }

    fn repin(&self, wanted: &Wanted, unit: UnitId, gone: Address) {
        let set = self.set(&wanted.wish);
        let exits = self.choosable(&set.borrow(), wanted.target.port, Some(unit));
        // Whether it moved or not, the next try says.
        let _moved = set.borrow_mut().pins.lost(&unit, gone, &self.secret, &exits, time::moment());
    }

    /// The key of a node of the directory for circuits.
    pub(super) fn hop_key(&self, node: Address) -> Result<HopKey, NoCircuit> {
        let now = time::unix();
        let directory = self.directory().ok_or(NoCircuit::Path("there is no directory"))?;
        let listed = directory.lookup(&node, now).ok_or(NoCircuit::Path("a node left the directory"))?;
        hop_key(node, &listed.descriptor.kems)
    }

    /// The entry as a hop, by its own descriptor, which only it gives out.
    pub(super) async fn entry_hop(&self, link: &Rc<EntryLink>) -> Result<(Candidate, HopKey), NoCircuit> {
        let known = self.entry_hops.borrow().get(&link.node).cloned();
        if let Some((candidate, descriptor)) = known
            && let Ok(key) = hop_key(link.node, &descriptor.kems)
            && descriptor.expires > time::unix()
        {
            return Ok((candidate, key));
        }
        let (terms, descriptor) = self.ask_entry(link).await?;
        let candidate = candidate(&descriptor, terms);
        let key = hop_key(link.node, &descriptor.kems)?;
        self.entry_hops.borrow_mut().insert(link.node, (candidate.clone(), descriptor));
        Ok((candidate, key))
    }

    /// Makes circuits ready one at a time, with pauses nobody can foretell, until there are enough or nobody is there.
    fn refill(self: &Rc<Self>) {
        if !self.wants_stock() || self.refilling.replace(true) {
            return;
        }
        let (Some(shard), home) = (self.shard(), Rc::downgrade(self)) else { return };
        let tasks = shard.tasks().clone();
        tasks.spawn(async move {
            let deadline = shard.deadline();
            drop(shard);
            loop {
                deadline.after(pause(), Wait::Busy);
                std::future::poll_fn(|cx| deadline.poll(cx)).await;
                let Some(home) = home.upgrade() else { return };
                if !home.wants_stock() {
                    home.refilling.set(false);
                    return;
                }
                home.stock_one().await;
            }
        });
    }

    /// Whether there was a flow not long ago.
    fn is_awake(&self) -> bool {
        self.last_flow.get().is_some_and(|at| at.elapsed() < ASLEEP)
    }

    fn wants_stock(&self) -> bool {
        self.is_awake() && self.circuits.count().1 < self.shared.plan.stock
    }

    /// One circuit more, to the active exit that has the fewest in stock.
    async fn stock_one(&self) {
        let set = self.set(&self.shared.plan.exits);
        let exits = self.choosable(&set.borrow(), 443, None);
        let fewest =
            exits.iter().map(|weighted| weighted.exit).min_by_key(|exit| self.circuits.stocked(*exit));
        let Some(exit) = fewest else { return };
        match Box::pin(self.make(exit)).await {
            Ok(circuit) => self.circuits.put(exit, circuit),
            Err(NoCircuit::Link(_) | NoCircuit::Cut | NoCircuit::Full) => {}
            Err(why) => {
                self.learn_from(&why);
                self.failed(exit);
            }
        }
    }

    /// What the exits say about the directory is compared with what is known.
    pub(super) fn heard_of(&self, exit: Address, directory: (u64, [u8; 32])) {
        if let (Some(home), Some(shard)) = (self.me.upgrade(), self.shard()) {
            home.compare(&shard, exit, directory);
        }
    }

    fn write_status(&self) {
        let (circuits, stock) = self.circuits.count();
        let set = self.set(&self.shared.plan.exits);
        let exits = set.borrow().exits.weighted().iter().map(|weighted| weighted.exit).collect();
        let directory = self.directory().map_or(0, |directory| directory.number_and_hash().0);
        let (entries, lab) = (self.links.status(), self.shared.plan.library.is_lab());
        self.shared.board.write(|status| {
            status.entries = entries;
            status.exits = exits;
            status.directory = directory;
            (status.circuits, status.stock, status.lab) = (circuits, stock, lab);
        });
    }
}

/// Looks after everything, from the start to the end of the shard.
async fn look_after(home: WeakHome, shard: Weak<Shard>) {
    loop {
        {
            let Some(home) = home.upgrade() else { return };
            home.look().await;
            home.write_status();
        }
        let Some(deadline) = shard.upgrade().map(|shard| shard.deadline()) else { return };
        deadline.after(LOOK, Wait::Busy);
        std::future::poll_fn(|cx| deadline.poll(cx)).await;
    }
}

impl Home {
    /// Brings the kept entries up to date and writes them down. Returns what is wrong.
    fn choose_entries(&self) -> Option<String> {
        match self.links.refresh() {
            Ok(changed) => changed.and_then(|entries| self.write_down(&entries).err()),
            Err(why) => Some(why.to_string()),
        }
    }

    async fn look(&self) {
        let trouble = self.choose_entries();
        let trouble = match (trouble, self.fetch_if_due().await) {
            (None, Err(why)) => Some(why.to_string()),
            (trouble, _) => trouble,
        };
        self.circuits.sweep();
        self.links.renew(self.is_awake());
        if let Some(home) = self.me.upgrade() {
            home.refill();
        }
        self.shared.board.write(|status| status.trouble = trouble);
    }
}

/// A flow that lives: its unit is kept at its exit.
struct Flow {
    set: Rc<RefCell<Set>>,
    unit: UnitId,
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.set.borrow_mut().pins.ended(&self.unit, time::moment());
    }
}

/// The stream of a flow.
pub struct FlowStream {
    stream: StreamPort,
    _flow: Flow,
}

impl AsyncRead for FlowStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for FlowStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

fn candidate(descriptor: &Descriptor, roles: Roles) -> Candidate {
    Candidate {
        node: descriptor.node,
        operator: descriptor.operator,
        family: descriptor.family.clone(),
        ips: descriptor.endpoints.iter().map(|endpoint| endpoint.address.ip()).collect(),
        asn: descriptor.asn,
        country: descriptor.country,
        kibps: descriptor.kibps,
        entry: roles.contains(Roles::ENTRY),
        middle: roles.contains(Roles::MIDDLE),
        exit: roles.contains(Roles::EXIT),
    }
}

fn hop_key(node: Address, kems: &[KemOffer]) -> Result<HopKey, NoCircuit> {
    let offer = KemOffer::choose(kems, time::unix()).ok_or(NoCircuit::Path("a node offers no key"))?;
    Ok(HopKey { node, id: offer.id(), kem: XWingPublic::from(&*offer.key) })
}

/// Exponential, with the mean of [`REFILL`] seconds, 20 at most.
fn pause() -> Duration {
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
    let u = ((chance::rng().next_u64() >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    Duration::from_secs_f64((-u.ln() * REFILL).min(20.0))
}

fn lost() -> ConnectError {
    said_by_exit(ResetCode::CircuitLost)
}

/// What the exit said, as the forward proxy tells it (section 7.3).
fn said_by_exit(code: ResetCode) -> ConnectError {
    let kind = match code {
        ResetCode::NameNotFound => ConnectErrorKind::NameNotFound,
        ResetCode::DnsFailed => ConnectErrorKind::Dns,
        ResetCode::Refused => ConnectErrorKind::Refused,
        ResetCode::Unreachable => ConnectErrorKind::Unreachable,
        ResetCode::TimedOut => ConnectErrorKind::Timeout,
        ResetCode::Policy => ConnectErrorKind::Forbidden,
        ResetCode::Limit => ConnectErrorKind::Local,
        ResetCode::NotSupported => ConnectErrorKind::Proxy,
        ResetCode::Cancelled | ResetCode::CircuitLost | ResetCode::DestinationReset => {
            ConnectErrorKind::Reset
        }
    };
    let word = code.http().map_or("connection_terminated", |(_, word)| word);
    ConnectError::new(kind, word, code.text())
}

fn no_entry(why: &NoLink) -> ConnectError {
    let detail = format!("the overlay is not reachable: {why}");
    ConnectError::new(ConnectErrorKind::Proxy, "destination_unavailable", detail)
}

fn no_room(why: &NoCircuit) -> ConnectError {
    ConnectError::new(ConnectErrorKind::Local, "connection_limit_reached", why.to_string())
}

fn no_path(why: &NoCircuit) -> ConnectError {
    let detail = format!("the overlay found no way: {why}");
    ConnectError::new(ConnectErrorKind::Proxy, "destination_unavailable", detail)
}

fn no_directory(why: &str) -> ConnectError {
    let detail = format!("the overlay has no directory: {why}");
    ConnectError::new(ConnectErrorKind::Proxy, "destination_unavailable", detail)
}

fn no_exit() -> ConnectError {
    let detail = "the overlay has no exit that fits";
    ConnectError::new(ConnectErrorKind::Proxy, "destination_unavailable", detail)
}
