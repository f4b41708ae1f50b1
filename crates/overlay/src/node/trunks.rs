//! Links to other nodes: dialled when a circuit wants one, shared by all, renewed after some hours (sections 4, 12).
//!
//! One trunk to a node and shard. Whoever comes while it is being dialled waits for the same. Not here: the dialling
//! itself (`link/dial`), trunks that others dialled (`arrive`).

use super::Node;
use super::hop::Asker;
use crate::chance;
use crate::link::dial::{self, Ask, DialFault, NodeSelf, Opened};
use crate::link::handle::Afterwards;
use crate::link::{LinkHandle, LinkOwner, Parting, driver};
use crate::time;
use bytes::Bytes;
use rand_core::Rng as _;
use shoalway_overlay_proto::descriptor::Endpoint;
use shoalway_overlay_proto::kdf::Secret;
use shoalway_overlay_proto::link::dir::DirKind;
use shoalway_overlay_proto::link::terms::{CircId, Code};
use shoalway_overlay_proto::opener::{EntryKey, OpenerAsk, Purpose, SessionId};
use shoalway_types::wallet::Address;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::watch;

/// A trunk is used for new circuits between one and six hours.
const LEAST_LIFE: u64 = 3_600;
const MORE_LIFE: u64 = 5 * 3_600;
/// What its circuits may take then.
const LEAVE_SECONDS: u16 = 3_600;
/// A node that could not be reached is not tried again before this.
const REST: Duration = Duration::from_secs(2);

/// The trunks dialled from one shard.
#[derive(Default)]
pub(super) struct Trunks(RefCell<HashMap<Address, Trunk>>);

enum Trunk {
    /// Somebody dials; told when that is over.
    Dialling(watch::Receiver<bool>),
    /// It stands.
    Standing(Rc<LinkHandle>),
    /// It failed a moment ago.
    Failed(tokio::time::Instant),
}

impl Trunks {
    /// A trunk that stands.
    pub(super) fn standing(&self, to: Address) -> Option<Rc<LinkHandle>> {
        match self.0.borrow().get(&to) {
            Some(Trunk::Standing(link)) if link.is_standing() && !link.is_leaving() => Some(Rc::clone(link)),
            Some(Trunk::Standing(_) | Trunk::Dialling(_) | Trunk::Failed(_)) | None => None,
        }
    }

    /// It takes no new circuits any more, unless another one stands in its place already.
    fn forget(&self, to: Address, which: &Rc<LinkHandle>) {
        let mut trunks = self.0.borrow_mut();
        if matches!(trunks.get(&to), Some(Trunk::Standing(link)) if Rc::ptr_eq(link, which)) {
            trunks.remove(&to);
        }
    }
}

impl Node {
    /// The trunk to a node, dialled if there is none.
    ///
    /// # Errors
    /// The code that the circuit ends with.
    pub(super) async fn trunk_to(self: &Rc<Self>, to: Address) -> Result<Rc<LinkHandle>, Code> {
        loop {
            if let Some(link) = self.trunks.standing(to) {
                return Ok(link);
            }
            let waits = match self.trunks.0.borrow().get(&to) {
                Some(Trunk::Dialling(done)) => Some(done.clone()),
                Some(Trunk::Failed(since)) if since.elapsed() < REST => return Err(Code::NextUnreachable),
                Some(Trunk::Standing(_) | Trunk::Failed(_)) | None => None,
            };
            match waits {
                // Whoever dials may have been dropped: then the channel is closed and the place is free.
                Some(mut done) => drop(done.wait_for(|done| *done).await),
                None => return self.dial_trunk(to).await,
            }
        }
    }

    async fn dial_trunk(self: &Rc<Self>, to: Address) -> Result<Rc<LinkHandle>, Code> {
        let (done, dialling) = watch::channel(false);
        self.trunks.0.borrow_mut().insert(to, Trunk::Dialling(dialling));
        let dialled = self.dial(to).await;
        let place = match &dialled {
            Ok(link) => Trunk::Standing(Rc::clone(link)),
            Err(_) => Trunk::Failed(tokio::time::Instant::now()),
        };
        self.trunks.0.borrow_mut().insert(to, place);
        done.send_replace(true);
        dialled.map_err(|fault| match fault {
            TrunkFault::Unknown => Code::UnknownNext,
            TrunkFault::Dial(_) | TrunkFault::Ending => Code::NextUnreachable,
        })
    }

    async fn dial(self: &Rc<Self>, to: Address) -> Result<Rc<LinkHandle>, TrunkFault> {
        let shard = self.shard().ok_or(TrunkFault::Ending)?;
        let (key, endpoint) = self.place_of(to).ok_or(TrunkFault::Unknown)?;
        let keys = self.plan().keys.load_full();
        let me = || NodeSelf { delegation: &keys.delegation, key: &keys.node_key };
        let ask = Ask {
            to: &key,
            endpoint: &endpoint,
            opener: OpenerAsk {
                purpose: Purpose::Node,
                session: SessionId::random(&mut chance::rng()),
                time: time::unix(),
                token: None,
            },
            node: Some(me()),
            visit: false,
        };
        let mut opened = Box::pin(dial::open(&shard, &self.plan().dialing, &ask, &mut chance::rng())).await?;
        dial::begin(&mut opened, None, Some(me()))?;
        let Opened { link, duplex, carrier, visit, .. } = opened;
        let link = LinkHandle::new(link);
        let owner = Dialled { node: Rc::clone(self), to, group: self.enter(&link) };
        driver::spawn(&shard, &link, Rc::new(owner), duplex, carrier);
        self.renew_later(to, &link, visit);
        Ok(link)
    }

    /// Where a node is, by this node's own directory and never by what a client says.
    fn place_of(&self, to: Address) -> Option<(EntryKey, Endpoint)> {
        let directory = self.plan().book.directory()?;
        let listed = directory.lookup(&to, time::unix())?;
        let descriptor = listed.descriptor;
        let endpoint = descriptor.endpoints.first()?.clone();
        let mut gate = descriptor.link_gate;
        let key = EntryKey {
            network: descriptor.network,
            node: to,
            link_key: descriptor.link_key,
            gate: Secret::take(&mut gate),
        };
        Some((key, endpoint))
    }

    /// After its life the trunk is left to its circuits, and the next circuit dials another one.
    fn renew_later(self: &Rc<Self>, to: Address, link: &Rc<LinkHandle>, visit: shoalway_http::h2::Visit) {
        let Some(shard) = self.shard() else { return };
        let life = Duration::from_secs(LEAST_LIFE + chance::rng().next_u64() % MORE_LIFE);
        let (node, link) = (Rc::downgrade(self), Rc::downgrade(link));
        let deadline = shard.deadline();
        shard.tasks().spawn(async move {
            deadline.after(life, shoalway_net::deadline::Wait::Busy);
            std::future::poll_fn(|cx| deadline.poll(cx)).await;
            if let (Some(node), Some(link)) = (node.upgrade(), link.upgrade()) {
                node.trunks.forget(to, &link);
                link.go_away(Code::TooOld, LEAVE_SECONDS);
            }
            drop(visit);
        });
    }
}

#[derive(Debug, thiserror::Error)]
enum TrunkFault {
    #[error("the node is not in the directory")]
    Unknown,
    #[error("the shard ends")]
    Ending,
    #[error(transparent)]
    Dial(#[from] DialFault),
}

/// The owner of a trunk that was dialled here.
struct Dialled {
    node: Rc<Node>,
    to: Address,
    group: u32,
}

impl LinkOwner for Dialled {
    fn create(&self, link: &Rc<LinkHandle>, circ: CircId, body: Bytes) {
        self.node.create(link, circ, &body, Asker { node: Some(self.to), group: self.group });
    }

    /// Only the acceptor is told who the other is.
    fn node_auth(&self, link: &Rc<LinkHandle>, _body: Bytes) {
        link.end();
    }

    fn dir_get(&self, link: &Rc<LinkHandle>, kind: DirKind, number: u64) {
        self.node.answer(link, kind, number);
    }

    fn dir_data(&self, _link: &Rc<LinkHandle>, _kind: DirKind, _body: Bytes) {}

    fn go_away(&self, link: &Rc<LinkHandle>, _code: Code, _seconds: u16) {
        self.node.trunks.forget(self.to, link);
    }

    fn parted(&self, link: &Rc<LinkHandle>, _why: Parting) -> Afterwards {
        self.node.trunks.forget(self.to, link);
        self.node.leave(self.group);
        Afterwards::End
    }
}
