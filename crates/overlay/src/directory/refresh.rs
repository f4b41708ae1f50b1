//! How a node learns of a newer directory: once an hour it goes to a node that publishes or serves it (ovl1 section 3).
//!
//! Over the same link it is asked for its descriptor. A node that nobody knows yet stays until it stands in a snapshot; in
//! a lab every node stays, so that all see newcomers at once. Not here: how clients fetch (`client`), trunks for circuits
//! (`node`).

use super::library::{Library, LibraryError};
use super::{Book as _, Learned};
use crate::link::dial::{self, Ask, DialFault, NodeSelf, Opened};
use crate::link::handle::Afterwards;
use crate::link::{LinkHandle, LinkOwner, Parting, driver};
use crate::node::NodePlan;
use crate::{chance, time};
use bytes::Bytes;
use rand_core::Rng as _;
use shoalway_net::shard::Shard;
use shoalway_overlay_proto::codec::Reader;
use shoalway_overlay_proto::descriptor::Endpoint;
use shoalway_overlay_proto::identity::Roles;
use shoalway_overlay_proto::invite::InvitedEntry;
use shoalway_overlay_proto::kdf::Secret;
use shoalway_overlay_proto::link::dir::DirKind;
use shoalway_overlay_proto::link::terms::{CircId, Code, NotTaken};
use shoalway_overlay_proto::opener::{EntryKey, OpenerAsk, Purpose, SessionId};
use shoalway_overlay_proto::snapshot::SignedHeader;
use shoalway_types::wallet::Address;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// A visit is due this long after the last one.
const LEAST_PAUSE: u64 = 50 * 60;
const MORE_PAUSE: u64 = 20 * 60;
/// After a failure, at first and at most.
const FIRST_RETRY: Duration = Duration::from_secs(5);
const LONGEST_RETRY: Duration = Duration::from_secs(300);
/// Pauses between questions on one link: the first, the longest, and the longest in a lab.
const FIRST_LOOK: Duration = Duration::from_secs(1);
const LONGEST_LOOK: Duration = Duration::from_secs(90);
const LAB_LOOK: Duration = Duration::from_secs(20);
/// A link answers 60 questions an hour.
const QUESTIONS: u32 = 50;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a node waits to be asked who it is.
const ASKED: Duration = Duration::from_secs(3);

/// What a node refreshes its directory with.
pub struct Refresh {
    /// The node.
    pub plan: Arc<NodePlan>,
    /// What learns.
    pub library: Arc<Library>,
    /// Nodes of the directory that the operator was told of.
    pub told: Vec<InvitedEntry>,
    /// How the last visit went.
    pub last: LastVisit,
    /// Whether it goes there by itself already.
    pub started: AtomicBool,
}

/// How the last visit went, for the operator.
#[derive(Default)]
pub struct LastVisit(Mutex<Option<Result<u64, String>>>);

impl LastVisit {
    /// The time of the last good one in Unix seconds, or what went wrong since; none before the first.
    #[must_use]
    pub fn read(&self) -> Option<Result<u64, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, how: Result<u64, String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(how);
    }
}

/// Why a visit came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum VisitFault {
    /// Nobody to go to.
    #[error("no node of the directory is known")]
    Nobody,
    /// No link.
    #[error(transparent)]
    Dial(#[from] DialFault),
    /// The link ended: among others when the directory does not know this node.
    #[error("the directory ended the link: is this node's wallet on its roll?")]
    Ended,
    /// It did not answer.
    #[error("the directory did not answer")]
    Late,
    /// What it said does not hold.
    #[error(transparent)]
    Library(#[from] LibraryError),
}

struct Place {
    key: EntryKey,
    endpoint: Endpoint,
}

impl Refresh {
    /// Visits every hour, as a task of the shard; it ends with the shard or when nobody else holds this value.
    pub fn start(self: &Arc<Self>, shard: &Rc<Shard>) {
        if self.started.swap(true, Relaxed) {
            return;
        }
        let (me, shard) = (Arc::downgrade(self), Rc::downgrade(shard));
        let tasks = shard.upgrade();
        let Some(tasks) = tasks.as_ref().map(|shard| shard.tasks().clone()) else { return };
        tasks.spawn(async move {
            let mut retry = FIRST_RETRY;
            loop {
                let pause = {
                    let (Some(me), Some(shard)) = (me.upgrade(), shard.upgrade()) else { return };
                    match Box::pin(me.visit(&shard)).await {
                        Ok(()) => {
                            me.last.note(Ok(time::unix().0));
                            retry = FIRST_RETRY;
                            me.pause()
                        }
                        Err(fault) => {
                            tracing::warn!(%fault, "the directory was not refreshed");
                            me.last.note(Err(fault.to_string()));
                            let pause = retry + Duration::from_millis(chance::rng().next_u64() % 2_000);
                            retry = (retry * 2).min(LONGEST_RETRY);
                            pause
                        }
                    }
                };
                tokio::time::sleep(pause).await;
            }
        });
    }

    fn pause(&self) -> Duration {
        if self.library.is_lab() {
            return FIRST_LOOK;
        }
        Duration::from_secs(LEAST_PAUSE + chance::rng().next_u64() % MORE_PAUSE)
    }

    /// Goes to the first node of the directory that can be reached.
    ///
    /// # Errors
    /// The last [`VisitFault`].
    pub async fn visit(&self, shard: &Rc<Shard>) -> Result<(), VisitFault> {
        let mut last = VisitFault::Nobody;
        for place in self.places() {
            match self.visit_at(shard, &place).await {
                Ok(()) => return Ok(()),
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }

    /// Those one was told of come first, by what the directory says of them now; then all others that serve it.
    fn places(&self) -> Vec<Place> {
        let (now, me) = (time::unix(), self.plan.keys.load().node);
        let directory = self.library.directory();
        let listed = |node: &Address| {
            let listed = directory.as_ref()?.lookup(node, now)?;
            let endpoint = listed.descriptor.endpoints.first()?.clone();
            let mut gate = listed.descriptor.link_gate;
            Some(self.place(*node, listed.descriptor.link_key, Secret::take(&mut gate), endpoint))
        };
        let told = self.told.iter().map(|told| {
            let as_told = || self.place(told.node, told.link_key, told.gate.0.clone(), told.endpoint.clone());
            listed(&told.node).unwrap_or_else(as_told)
        });
        let others = directory.iter().flat_map(|directory| directory.nodes(Roles::DIRECTORY, now));
        let others = others.map(|node| node.terms.node);
        let others = others.filter(|node| *node != me && self.told.iter().all(|told| told.node != *node));
        told.chain(others.filter_map(|node| listed(&node))).collect()
    }

    fn place(&self, node: Address, link_key: [u8; 32], gate: Secret, endpoint: Endpoint) -> Place {
        Place { key: EntryKey { network: *self.library.id(), node, link_key, gate }, endpoint }
    }

    async fn visit_at(&self, shard: &Rc<Shard>, place: &Place) -> Result<(), VisitFault> {
        let keys = self.plan.keys.load_full();
        let me = || NodeSelf { delegation: &keys.delegation, key: &keys.node_key };
        let session = SessionId::random(&mut chance::rng());
        let opener = OpenerAsk { purpose: Purpose::Node, session, time: time::unix(), token: None };
        let ask = Ask { to: &place.key, endpoint: &place.endpoint, opener, node: Some(me()), visit: false };
        let mut opened = Box::pin(dial::open(shard, &self.plan.dialing, &ask, &mut chance::rng())).await?;
        dial::begin(&mut opened, None, Some(me()))?;
        let Opened { link, duplex, carrier, visit, .. } = opened;
        let link = LinkHandle::new(link);
        let asking = Rc::new(Asking {
            plan: Arc::clone(&self.plan),
            answer: RefCell::new(None),
            asked: Cell::new(false),
        });
        driver::spawn(shard, &link, Rc::clone(&asking) as Rc<dyn LinkOwner>, duplex, carrier);
        let done = self.learn(&link, &asking).await;
        link.end();
        drop(visit);
        done
    }

    /// Learns what is new, and stays while there is a reason to.
    async fn learn(&self, link: &LinkHandle, asking: &Asking) -> Result<(), VisitFault> {
        let mut look = FIRST_LOOK;
        let files = asking.ask(link, DirKind::Networks, u64::from(self.library.version()) + 1).await?;
        self.library.learn_networks(&files)?;
        let mut questions = 1;
        while questions < QUESTIONS {
            questions += 1 + self.learn_snapshot(link, asking).await?;
            let known = self.library.admits(&self.plan.keys.load().node, time::unix());
            let lab = self.library.is_lab();
            if known && !lab {
                // Whoever publishes has asked by now, or does not want to know.
                if !asking.asked.get() {
                    tokio::time::sleep(ASKED).await;
                }
                return Ok(());
            }
            tokio::time::sleep(look).await;
            look = (look * 2).min(if lab { LAB_LOOK } else { LONGEST_LOOK });
        }
        Ok(())
    }

    /// Fetches the snapshot if there is a newer one. How many questions that took beside the first.
    async fn learn_snapshot(&self, link: &LinkHandle, asking: &Asking) -> Result<u32, VisitFault> {
        let newest = asking.ask(link, DirKind::Newest, 0).await?;
        let number = newest_number(&newest);
        let ours = self.library.newest_header().map_or(0, |header| header.header.number);
        if number.is_none_or(|number| number <= ours) {
            return Ok(0);
        }
        let headers = match self.library.directory() {
            Some(_) => asking.ask(link, DirKind::Headers, self.library.headers_from()).await?,
            None => Bytes::new(),
        };
        let snapshot = asking.ask(link, DirKind::Snapshot, 0).await?;
        if self.library.learn_snapshot(&snapshot, &headers, time::unix())? == Learned::New {
            tracing::debug!("the directory is newer now");
        }
        Ok(2)
    }
}

fn newest_number(answer: &[u8]) -> Option<u64> {
    let mut reader = Reader::new(answer);
    let header = SignedHeader::parse(reader.v32(4 << 10, "header").ok()?).ok()?;
    Some(header.header.number)
}

/// The owner of the link.
struct Asking {
    plan: Arc<NodePlan>,
    answer: RefCell<Option<oneshot::Sender<Bytes>>>,
    asked: Cell<bool>,
}

impl Asking {
    async fn ask(&self, link: &LinkHandle, kind: DirKind, number: u64) -> Result<Bytes, VisitFault> {
        let (tell, told) = oneshot::channel();
        link.dir_get(kind, number).map_err(|why: NotTaken| match why {
            NotTaken::Unknown | NotTaken::Full | NotTaken::Closing | NotTaken::Length => VisitFault::Ended,
        })?;
        *self.answer.borrow_mut() = Some(tell);
        let told = tokio::time::timeout(PATIENCE, told).await.map_err(|_late| VisitFault::Late)?;
        told.map_err(|_gone| VisitFault::Ended)
    }
}

impl LinkOwner for Asking {
    /// A link for questions carries no circuits.
    fn create(&self, link: &Rc<LinkHandle>, circ: CircId, _body: Bytes) {
        link.destroy(circ, Code::Refused);
    }

    fn node_auth(&self, link: &Rc<LinkHandle>, _body: Bytes) {
        link.end();
    }

    fn dir_get(&self, link: &Rc<LinkHandle>, kind: DirKind, number: u64) {
        let body = match kind {
            DirKind::Own => {
                self.asked.set(true);
                self.plan.keys.load().own_entry()
            }
            DirKind::Networks | DirKind::Headers | DirKind::Snapshot | DirKind::Newest => {
                self.plan.book.answer(kind, number)
            }
        };
        link.dir_answer(body);
    }

    fn dir_data(&self, _link: &Rc<LinkHandle>, _kind: DirKind, body: Bytes) {
        if let Some(tell) = self.answer.borrow_mut().take() {
            // Whoever asked may not wait any more.
            drop(tell.send(body));
        }
    }

    fn go_away(&self, link: &Rc<LinkHandle>, _code: Code, _seconds: u16) {
        link.end();
    }

    fn parted(&self, _link: &Rc<LinkHandle>, _why: Parting) -> Afterwards {
        self.answer.borrow_mut().take();
        Afterwards::End
    }
}
