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
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

/// How long a session is tried to be resumed.
const RESUME: Duration = Duration::from_secs(55);
/// Pauses between tries: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// An entry that failed is not dialled again before this.
const REST: Duration = Duration::from_secs(2);

/// The entries of a client, and the links to them.
pub(super) struct Links {
    shared: Arc<Shared>,
    shard: Weak<Shard>,
    kept: RefCell<Entries>,
    places: RefCell<HashMap<Address, Place>>,
    me: Weak<Self>,
}

enum Place {
    /// Somebody dials; told when that is over.
    Dialling(watch::Receiver<bool>),
    /// A link stands, or is being resumed.
    Up(Rc<EntryLink>),
    /// It failed.
    Failed { at: Instant, why: String },
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
        Ok(changed.then(|| kept.clone()))
    }

    /// A link for something new: the preferred entry's if it stands, else another's; dialled if none stands.
    ///
    /// # Errors
    /// [`NoLink`]; nothing goes out another way.
    pub(super) async fn any(&self) -> Result<Rc<EntryLink>, NoLink> {
        let entries: Vec<Address> = self.kept.borrow().in_use().map(|entry| entry.node).collect();
        if entries.is_empty() {
            return Err(EntriesError::None.into());
        }
        if let Some(link) = entries.iter().find_map(|node| self.standing(*node)) {
            return Ok(link);
        }
        let mut last = String::new();
        for node in entries {
            match self.link_to(node).await {
                Ok(link) => return Ok(link),
                Err(Some(why)) => last = why,
                Err(None) => return Err(NoLink::Ending),
            }
        }
        Err(NoLink::AllDown(last))
    }

    /// The link to an entry, if it takes circuits now.
    pub(super) fn standing(&self, node: Address) -> Option<Rc<EntryLink>> {
        match self.places.borrow().get(&node) {
            Some(Place::Up(link)) if link.is_usable() => Some(Rc::clone(link)),
            Some(Place::Up(_) | Place::Dialling(_) | Place::Failed { .. }) | None => None,
        }
    }

    async fn link_to(&self, node: Address) -> Result<Rc<EntryLink>, Option<String>> {
        loop {
            let waits = match self.places.borrow().get(&node) {
                Some(Place::Up(link)) if link.is_usable() => return Ok(Rc::clone(link)),
                Some(Place::Dialling(done)) => Some(done.clone()),
                Some(Place::Failed { at, why }) if at.elapsed() < REST => return Err(Some(why.clone())),
                Some(Place::Up(_) | Place::Failed { .. }) | None => None,
            };
            match waits {
                // Whoever dialled may have given up: then the channel is closed and the place is free.
                Some(mut done) => {
                    if done.wait_for(|done| *done).await.is_err() {
                        self.places.borrow_mut().remove(&node);
                    }
                }
                None => return self.dial(node).await,
            }
        }
    }

    async fn dial(&self, node: Address) -> Result<Rc<EntryLink>, Option<String>> {
        let (done, dialling) = watch::channel(false);
        self.places.borrow_mut().insert(node, Place::Dialling(dialling));
        let dialled = Box::pin(self.open(node)).await;
        let (place, result) = match dialled {
            Ok(link) => {
                self.kept.borrow_mut().works(node);
                (Place::Up(Rc::clone(&link)), Ok(link))
            }
            Err(fault) => {
                self.kept.borrow_mut().fails(node, time::unix());
                let why = fault.to_string();
                (Place::Failed { at: Instant::now(), why: why.clone() }, Err(Some(why)))
            }
        };
        self.places.borrow_mut().insert(node, place);
        done.send_replace(true);
        result
    }

    async fn open(&self, node: Address) -> Result<Rc<EntryLink>, DialFault> {
        let shard = self.shard.upgrade().ok_or(DialFault::Broken)?;
        let invited = self.invited(node).ok_or(DialFault::Key)?;
        let session = SessionId::random(&mut chance::rng());
        let mut opened = self.ask(&shard, invited, session, Purpose::New).await?;
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
            leaving: Cell::new(false),
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
    ) -> Result<Opened, DialFault> {
        let to = EntryKey {
            network: *self.shared.plan.library.id(),
            node: invited.node,
            link_key: invited.link_key,
            gate: invited.gate.0.clone(),
        };
        let ask = Ask {
            to: &to,
            endpoint: &invited.endpoint,
            opener: OpenerAsk { purpose, session, time: time::unix(), token: None },
            node: None,
            visit: true,
        };
        Box::pin(dial::open(shard, &self.shared.plan.dialing, &ask, &mut chance::rng())).await
    }

    /// The link is gone for good.
    fn forget(&self, which: &EntryLink) {
        let mut places = self.places.borrow_mut();
        if matches!(places.get(&which.node), Some(Place::Up(link)) if std::ptr::eq(&raw const **link, which))
        {
            places.remove(&which.node);
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
            Some(Place::Dialling(_)) | None => {
                EntryStatus { node, is_up: false, round_trip: None, fault: None }
            }
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
    leaving: Cell<bool>,
    /// Keeps the connection open.
    visit: RefCell<Option<Visit>>,
    me: Weak<Self>,
}

impl EntryLink {
    /// Whether it takes circuits now.
    pub(super) fn is_usable(&self) -> bool {
        self.handle.is_standing() && !self.leaving.get()
    }

    /// Asks the entry for a part of the directory; empty when it has none.
    ///
    /// # Errors
    /// The link is busy with another question, or gone.
    pub(super) async fn ask(&self, kind: DirKind, number: u64) -> Result<Bytes, NotTaken> {
        let (tell, told) = oneshot::channel();
        self.handle.dir_get(kind, number)?;
        *self.answer.borrow_mut() = Some(tell);
        told.await.map_err(|_gone| NotTaken::Unknown)
    }

    /// Goes on over a new connection. True when the session stands again.
    async fn resume(self: &Rc<Self>, shard: &Rc<Shard>, links: &Links) -> Result<bool, DialFault> {
        let invited = links.invited(self.node).ok_or(DialFault::Key)?;
        let key = self.key.borrow().clone();
        let received = self.handle.received();
        let purpose = Purpose::Resume { key: &key, received };
        let mut opened = links.ask(shard, invited, self.session, purpose).await?;
        if !opened.accept.resumed {
            return Ok(false);
        }
        let spare =
            Link::new(LinkConfig::new(Role::Dialer, Kind::Client), time::moment(), &mut chance::rng());
        let session = self.handle.take_session(spare);
        dial::begin(&mut opened, Some(session), None)?;
        let Opened { link, duplex, carrier, secrets, visit, .. } = opened;
        self.handle.put(link);
        *self.key.borrow_mut() = secrets.resume_key().clone();
        *self.visit.borrow_mut() = Some(visit);
        driver::spawn(shard, &self.handle, Rc::clone(self) as Rc<dyn LinkOwner>, duplex, carrier);
        Ok(true)
    }

    /// Tries to resume until that cannot be any more; then all circuits are lost.
    async fn come_back(self: Rc<Self>) {
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
        if let Some(links) = self.links.upgrade() {
            links.forget(&self);
        }
        self.handle.forsake(Code::LinkLost);
    }
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
        self.leaving.set(true);
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
            shard.tasks().spawn(me.come_back());
            return Afterwards::Wait;
        }
        if let Some(links) = links {
            links.forget(self);
        }
        Afterwards::End
    }
}
