//! The entries one keeps, and a link to each that is in use (sections 9, 11, 13).
//!
//! The preferred entry has a link as long as the client has anything to do; the others are dialled when it fails. A link
//! that is cut is resumed at the same entry while that can be; meanwhile new flows go by another one. Not here: circuits
//! (`circuits`), which entries (`overlay-proto`'s `path`).

use super::plan::Shared;
use super::status::EntryStatus;
use crate::chance;
use crate::link::dial::{self, Ask, DialFault, Opened};
use crate::link::handle::Afterwards;
use crate::link::{LinkHandle, LinkOwner, Parting, driver};
use crate::time;
use bytes::Bytes;
use rand_core::Rng as _;
use shoalway_http::h2::Visit;
use shoalway_net::shard::Shard;
use shoalway_overlay_proto::invite::InvitedEntry;
use shoalway_overlay_proto::link::Link;
use shoalway_overlay_proto::link::dir::DirKind;
use shoalway_overlay_proto::link::terms::{CircId, Code, Kind, LinkConfig, NotTaken, Role};
use shoalway_overlay_proto::opener::{EntryKey, OpenerAsk, Purpose, ResumeKey, SessionId};
use shoalway_overlay_proto::path::{Entries, EntriesError};
use shoalway_types::wallet::Address;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, oneshot, watch};
use tokio::time::Instant;

/// How long a session is tried to be resumed.
const RESUME: Duration = Duration::from_secs(55);
/// Pauses between tries: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// An entry that failed is not dialled again before this.
const REST: Duration = Duration::from_secs(2);
/// An entry that takes longer than this is not waited for alone.
const STAGGER: Duration = Duration::from_secs(1);
/// An entry that answers like its site, or does not prove its key, is asked this often in this time (section 4).
const MOST_TURNED_AWAY: usize = 3;
const TURNED_AWAY: Duration = Duration::from_secs(600);
const NOT_AGAIN: &str =
    "O103: the entry did not accept us three times; it is not asked again for ten minutes";
/// A link is carried on by another connection after 5 to 20 minutes (section 12).
const LEAST_LIFE: u64 = 300;
const MORE_LIFE: u64 = 900;
/// A session begins anew before the day is over that it may last (section 9); its circuits end within this.
const SESSION_LIFE: Duration = Duration::from_secs(22 * 3_600);
const LEAVE_SECONDS: u16 = 2 * 3_600;

/// The entries of a client, and the links to them.
pub(super) struct Links {
    shared: Arc<Shared>,
    shard: Weak<Shard>,
    kept: RefCell<Entries>,
    places: RefCell<HashMap<Address, Place>>,
    /// When an entry answered like the site it serves, or did not prove its key.
    turned_away: RefCell<HashMap<Address, Vec<Instant>>>,
    /// Counts changes of links, so that whoever waits for one looks again.
    news: watch::Sender<u64>,
    /// The list of kept entries has changed since it was written down.
    unwritten: Cell<bool>,
    me: Weak<Self>,
}

enum Place {
    /// It is being dialled.
    Dialling,
    /// A link stands, or is being resumed.
    Up(Rc<EntryLink>),
    /// It failed.
    Failed { at: Instant, why: String },
}

/// How an entry can be used now.
enum Way {
    /// By this link.
    Stands(Rc<EntryLink>),
    /// Soon, perhaps: it is being dialled or resumed.
    Pending,
    /// Not for a moment: why it failed.
    Rests(String),
    /// By dialling.
    Free,
}

/// Why there is no link to any entry.
#[derive(Debug, thiserror::Error)]
pub enum NoLink {
    /// There is no entry.
    #[error(transparent)]
    Entries(#[from] EntriesError),
    /// None of the entries lets us in; the last fault.
    #[error("no entry can be reached; the last one said: {0}")]
    AllDown(String),
    /// The shard ends.
    #[error("the program is ending")]
    Ending,
}

impl Links {
    pub(super) fn new(shard: &Rc<Shard>, shared: &Arc<Shared>, kept: Entries) -> Rc<Self> {
        Rc::new_cyclic(|me| Self {
            shared: Arc::clone(shared),
            shard: Rc::downgrade(shard),
            kept: RefCell::new(kept),
            places: RefCell::default(),
            turned_away: RefCell::default(),
            news: watch::Sender::new(0),
            unwritten: Cell::new(false),
            me: Weak::clone(me),
        })
    }

    /// Brings the kept entries up to date. Returns the list when it must be written down.
    ///
    /// # Errors
    /// There is no entry at all.
    pub(super) fn refresh(&self) -> Result<Option<Entries>, EntriesError> {
        let invited: Vec<Address> = self.shared.plan.invited.iter().map(|entry| entry.node).collect();
        let mut kept = self.kept.borrow_mut();
        let changed = kept.refresh(&invited, time::unix(), &mut chance::rng())?;
        let unwritten = self.unwritten.replace(false);
        Ok((changed || unwritten).then(|| kept.clone()))
    }

    /// A link for something new: the preferred entry's if it stands, else another's; dialled if none stands. An entry
    /// that takes its time is not waited for alone: the next one is begun with beside it.
    ///
    /// # Errors
    /// [`NoLink`]; nothing goes out another way.
    pub(super) async fn any(&self) -> Result<Rc<EntryLink>, NoLink> {
        let mut news = self.news.subscribe();
        let (mut begun, mut more_at) = (0, Instant::now());
        loop {
            news.mark_unchanged();
            let entries: Vec<Address> = self.kept.borrow().in_use().map(|entry| entry.node).collect();
            let (mut pending, mut last) = (false, String::new());
            for (index, node) in entries.iter().enumerate() {
                match self.look(*node) {
                    Way::Stands(link) => return Ok(link),
                    Way::Pending => pending |= index < begun,
                    Way::Rests(why) => last = why,
                    Way::Free => {}
                }
            }
            if !pending || Instant::now() >= more_at {
                match entries.get(begun) {
                    Some(node) => {
                        (begun, more_at) = (begun + 1, Instant::now() + STAGGER);
                        self.begin(*node)?;
                        continue;
                    }
                    None if entries.is_empty() => return Err(EntriesError::None.into()),
                    None if !pending => return Err(NoLink::AllDown(last)),
                    None => {}
                }
            }
            let changed = news.changed();
            if begun < entries.len() {
                // Late or not, one looks again.
                drop(tokio::time::timeout_at(more_at, changed).await);
            } else {
                changed.await.map_err(|_gone| NoLink::Ending)?;
            }
        }
    }

    /// Told when a link came, fell or failed.
    pub(super) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    fn tell(&self) {
        self.news.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn look(&self, node: Address) -> Way {
        match self.places.borrow().get(&node) {
            Some(Place::Up(link)) if link.is_usable() => return Way::Stands(Rc::clone(link)),
            Some(Place::Up(link)) if link.comes_back() => return Way::Pending,
            Some(Place::Dialling) => return Way::Pending,
            Some(Place::Failed { at, why }) if at.elapsed() < REST => return Way::Rests(why.clone()),
            Some(Place::Up(_) | Place::Failed { .. }) | None => {}
        }
        let mut turned_away = self.turned_away.borrow_mut();
        match turned_away.get_mut(&node) {
            Some(times) => {
                times.retain(|at| at.elapsed() < TURNED_AWAY);
                if times.len() < MOST_TURNED_AWAY { Way::Free } else { Way::Rests(NOT_AGAIN.to_owned()) }
            }
            None => Way::Free,
        }
    }

    /// Dials an entry, unless it cannot be used that way now.
    fn begin(&self, node: Address) -> Result<(), NoLink> {
        if matches!(self.look(node), Way::Free) {
            let (Some(me), Some(shard)) = (self.me.upgrade(), self.shard.upgrade()) else {
                return Err(NoLink::Ending);
            };
            self.places.borrow_mut().insert(node, Place::Dialling);
            shard.tasks().spawn(async move { me.dial(node).await });
        }
        Ok(())
    }

    async fn dial(&self, node: Address) {
        let place = match Box::pin(self.open(node)).await {
            Ok(link) => {
                if self.kept.borrow_mut().works(node) {
                    self.unwritten.set(true);
                }
                self.turned_away.borrow_mut().remove(&node);
                Place::Up(link)
            }
            Err(fault) => {
                if self.kept.borrow_mut().fails(node, time::unix()) {
                    self.unwritten.set(true);
                }
                if fault.turned_away() {
                    self.turned_away.borrow_mut().entry(node).or_default().push(Instant::now());
                }
                Place::Failed { at: Instant::now(), why: fault.to_string() }
            }
        };
        self.places.borrow_mut().insert(node, place);
        self.tell();
    }

    async fn open(&self, node: Address) -> Result<Rc<EntryLink>, DialFault> {
        let shard = self.shard.upgrade().ok_or(DialFault::Broken)?;
        let invited = self.invited(node).ok_or(DialFault::Key)?;
        let session = SessionId::random(&mut chance::rng());
        let mut opened = self.ask(&shard, invited, session, Purpose::New, &|| None).await?;
        dial::begin(&mut opened, None, None)?;
        let Opened { link, duplex, carrier, secrets, visit, .. } = opened;
        let handle = LinkHandle::new(link);
        let entry = Rc::new_cyclic(|me| EntryLink {
            links: Weak::clone(&self.me),
            node,
            handle: Rc::clone(&handle),
            session,
            key: RefCell::new(secrets.resume_key().clone()),
            answer: RefCell::new(None),
            questions: Mutex::new(()),
            moving: Cell::new(false),
            began: Instant::now(),
            renew_at: Cell::new(renewal()),
            visit: RefCell::new(Some(visit)),
            me: Weak::clone(me),
        });
        driver::spawn(&shard, &handle, Rc::clone(&entry) as Rc<dyn LinkOwner>, duplex, carrier);
        Ok(entry)
    }

    fn invited(&self, node: Address) -> Option<&InvitedEntry> {
        self.shared.plan.invited.iter().find(|entry| entry.node == node)
    }

    async fn ask(
        &self,
        shard: &Rc<Shard>,
        invited: &InvitedEntry,
        session: SessionId,
        purpose: Purpose<'_>,
        received: &dyn Fn() -> Option<u64>,
    ) -> Result<Opened, DialFault> {
        let to = EntryKey {
            network: *self.shared.plan.library.id(),
            node: invited.node,
            link_key: invited.link_key,
            gate: invited.gate.0.clone(),
        };
        let opener = OpenerAsk { purpose, session, time: time::unix(), token: None };
        let ask = Ask { to: &to, endpoint: &invited.endpoint, opener, node: None, visit: true };
        let dialing = &self.shared.plan.dialing;
        Box::pin(dial::open_after(shard, dialing, &ask, received, &mut chance::rng())).await
    }

    /// The link is gone for good.
    fn forget(&self, which: &EntryLink) {
        let mut places = self.places.borrow_mut();
        if matches!(places.get(&which.node), Some(Place::Up(link)) if std::ptr::eq(&raw const **link, which))
        {
            places.remove(&which.node);
        }
        drop(places);
        self.tell();
    }

    /// Renews what is old enough: a link is carried on by another connection, a session of a day by another session. A
    /// link that nobody uses is left.
    pub(super) fn renew(&self, awake: bool) {
        let Some(shard) = self.shard.upgrade() else { return };
        let due = |place: &Place| match place {
            Place::Up(link) => link.is_due().then(|| Rc::clone(link)),
            Place::Dialling | Place::Failed { .. } => None,
        };
        let due: Vec<Rc<EntryLink>> = self.places.borrow().values().filter_map(due).collect();
        for link in due {
            link.renew_at.set(renewal());
            if link.began.elapsed() >= SESSION_LIFE {
                link.leave(Code::TooOld, LEAVE_SECONDS);
            } else if link.handle.circuits() == 0 && !awake {
                link.leave(Code::Done, 0);
            } else {
                shard.tasks().spawn(link.renew());
            }
        }
    }

    /// Carries every link on by another connection now.
    pub(super) fn carry_on(&self) {
        let Some(shard) = self.shard.upgrade() else { return };
        for place in self.places.borrow().values() {
            if let Place::Up(link) = place
                && link.is_usable()
                && !link.moving.get()
            {
                shard.tasks().spawn(Rc::clone(link).renew());
            }
        }
    }

    /// How each kept entry is.
    pub(super) fn status(&self) -> Vec<EntryStatus> {
        let places = self.places.borrow();
        let one = |node: Address| match places.get(&node) {
            Some(Place::Up(link)) => EntryStatus {
                node,
                is_up: link.is_usable(),
                round_trip: link.handle.round_trip(),
                fault: None,
            },
            Some(Place::Failed { why, .. }) => {
                EntryStatus { node, is_up: false, round_trip: None, fault: Some(why.clone()) }
            }
            Some(Place::Dialling) | None => EntryStatus { node, is_up: false, round_trip: None, fault: None },
        };
        self.kept.borrow().in_use().map(|entry| one(entry.node)).collect()
    }
}

/// A link to an entry, through its cuts.
pub(super) struct EntryLink {
    links: Weak<Links>,
    pub(super) node: Address,
    pub(super) handle: Rc<LinkHandle>,
    session: SessionId,
    /// Proves that the session is ours.
    key: RefCell<ResumeKey>,
    /// Who waits for a part of the directory.
    answer: RefCell<Option<oneshot::Sender<Bytes>>>,
    /// One question at a time.
    questions: Mutex<()>,
    /// It is being carried on by another connection.
    moving: Cell<bool>,
    /// When the session began.
    began: Instant,
    renew_at: Cell<Instant>,
    /// Keeps the connection open.
    visit: RefCell<Option<Visit>>,
    me: Weak<Self>,
}

impl EntryLink {
    /// Whether it takes circuits now.
    pub(super) fn is_usable(&self) -> bool {
        self.handle.is_standing() && !self.handle.is_leaving()
    }

    /// Whether it has no stream now and may have one again.
    fn comes_back(&self) -> bool {
        !self.handle.is_standing() && !self.handle.has_ended() && !self.handle.is_leaving()
    }

    fn is_due(&self) -> bool {
        self.is_usable() && !self.moving.get() && Instant::now() >= self.renew_at.get()
    }

    /// Takes nothing new any more, and ends when its circuits have.
    fn leave(&self, code: Code, seconds: u16) {
        self.handle.go_away(code, seconds);
        if let Some(links) = self.links.upgrade() {
            links.forget(self);
        }
    }

    /// Asks the entry for a part of the directory; empty when it has none. One waits for the question before.
    ///
    /// # Errors
    /// The link is gone, or too much was asked for.
    pub(super) async fn ask(&self, kind: DirKind, number: u64) -> Result<Bytes, NotTaken> {
        let _one = self.questions.lock().await;
        let (tell, told) = oneshot::channel();
        self.handle.dir_get(kind, number)?;
        *self.answer.borrow_mut() = Some(tell);
        told.await.map_err(|_gone| NotTaken::Unknown)
    }

    /// Goes on over a new connection. True when the session stands again. Nothing is read of the old one from the moment
    /// at which the new one is told what was received.
    async fn resume(self: &Rc<Self>, shard: &Rc<Shard>, links: &Links) -> Result<bool, DialFault> {
        let invited = links.invited(self.node).ok_or(DialFault::Key)?;
        let key = self.key.borrow().clone();
        let received = || {
            self.handle.freeze();
            Some(self.handle.received())
        };
        let purpose = Purpose::Resume { key: &key, received: 0 };
        let mut opened = links.ask(shard, invited, self.session, purpose, &received).await?;
        if !opened.accept.resumed || self.handle.has_ended() {
            return Ok(false);
        }
        let spare =
            Link::new(LinkConfig::new(Role::Dialer, Kind::Client), time::moment(), &mut chance::rng());
        let session = self.handle.take_session(spare);
        dial::begin(&mut opened, Some(session), None)?;
        let Opened { link, duplex, carrier, secrets, visit, .. } = opened;
        self.handle.put(link);
        *self.key.borrow_mut() = secrets.resume_key().clone();
        self.renew_at.set(renewal());
        self.moving.set(false);
        driver::spawn(shard, &self.handle, Rc::clone(self) as Rc<dyn LinkOwner>, duplex, carrier);
        // The old connection goes only now.
        *self.visit.borrow_mut() = Some(visit);
        links.tell();
        Ok(true)
    }

    /// Carries a link that stands on by another connection, so that none lasts for long.
    async fn renew(self: Rc<Self>) {
        let Some(links) = self.links.upgrade() else { return };
        let Some(shard) = links.shard.upgrade() else { return };
        self.moving.set(true);
        let renewed = self.resume(&shard, &links).await;
        if matches!(renewed, Ok(true)) {
            return;
        }
        self.moving.set(false);
        if self.comes_back() {
            // It fell meanwhile.
            drop((links, shard));
            self.come_back().await;
        } else {
            self.handle.thaw();
        }
    }

    /// Tries to resume until that cannot be any more; then all circuits are lost.
    async fn come_back(self: Rc<Self>) {
        self.moving.set(true);
        let until = Instant::now() + RESUME;
        let (mut pause, mut refused) = (FIRST_PAUSE, 0);
        while let Some(links) = self.links.upgrade()
            && let Some(shard) = links.shard.upgrade()
        {
            match self.resume(&shard, &links).await {
                Ok(true) => return,
                Ok(false) => break,
                // Nobody listens there any more: the session went with the process that held it.
                Err(fault) if fault.is_refused() => refused += 1,
                Err(_) => {}
            }
            if refused > 1 || Instant::now() + pause >= until {
                break;
            }
            let deadline = shard.deadline();
            drop((shard, links));
            deadline.after(pause, shoalway_net::deadline::Wait::Busy);
            std::future::poll_fn(|cx| deadline.poll(cx)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.handle.forsake(Code::LinkLost);
        if let Some(links) = self.links.upgrade() {
            links.forget(&self);
        }
    }
}

/// When a link is carried on by another connection: after 5 to 20 minutes.
fn renewal() -> Instant {
    Instant::now() + Duration::from_secs(LEAST_LIFE + chance::rng().next_u64() % MORE_LIFE)
}

impl LinkOwner for EntryLink {
    /// An entry asks a client for nothing.
    fn create(&self, link: &Rc<LinkHandle>, circ: CircId, _body: Bytes) {
        link.destroy(circ, Code::Refused);
    }

    fn node_auth(&self, link: &Rc<LinkHandle>, _body: Bytes) {
        link.end();
    }

    fn dir_get(&self, link: &Rc<LinkHandle>, _kind: DirKind, _number: u64) {
        link.dir_answer(Bytes::new());
    }

    fn dir_data(&self, _link: &Rc<LinkHandle>, _kind: DirKind, body: Bytes) {
        if let Some(tell) = self.answer.borrow_mut().take() {
            // Whoever asked may not wait any more.
            drop(tell.send(body));
        }
    }

    fn go_away(&self, _link: &Rc<LinkHandle>, _code: Code, _seconds: u16) {
        if let Some(links) = self.links.upgrade() {
            links.forget(self);
        }
    }

    fn parted(&self, link: &Rc<LinkHandle>, why: Parting) -> Afterwards {
        self.answer.borrow_mut().take();
        self.visit.borrow_mut().take();
        let links = self.links.upgrade();
        if why == Parting::Lost
            && link.circuits() > 0
            && let (Some(links), Some(me)) = (&links, self.me.upgrade())
            && let Some(shard) = links.shard.upgrade()
        {
            if !self.moving.replace(true) {
                shard.tasks().spawn(me.come_back());
            }
            links.tell();
            return Afterwards::Wait;
        }
        if let Some(links) = links {
            links.forget(self);
        }
        Afterwards::End
    }
}
