//! A neighbour that follows no rules: it opens a link as a client or a node and sends on it what a test says.

use crate::origins::{soon, until};
use crate::town::{Common, TownNode};
use bytes::Bytes;
use shoalway_http::h2::Visit;
use shoalway_net::shard::Shard;
use shoalway_overlay::link::dial::{self, Ask, DialFault, NodeSelf, Opened};
use shoalway_overlay::link::handle::Afterwards;
use shoalway_overlay::link::{CircuitOwner, LinkHandle, LinkOwner, Parting, driver};
use shoalway_overlay::{chance, time};
use shoalway_overlay_proto::create::{self, HopKey, Offer, Opened as OpenedCreate, PendingCircuit, Suites};
use shoalway_overlay_proto::identity::ed25519::SecretKey;
use shoalway_overlay_proto::kdf::Secret;
use shoalway_overlay_proto::link::dir::DirKind;
use shoalway_overlay_proto::link::terms::{CircId, Code, NotTaken};
use shoalway_overlay_proto::opener::{EntryKey, OpenerAsk, Purpose, SessionId};
use shoalway_overlay_proto::xwing::XWingPublic;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// The link.
pub(crate) struct Raw {
    pub(crate) link: Rc<LinkHandle>,
    pub(crate) owner: Rc<Seen>,
    _visit: Visit,
}

/// What was told about the link.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) parted: Cell<Option<Parting>>,
    pub(crate) gone_away: Cell<Option<Code>>,
}

impl LinkOwner for Seen {
    fn create(&self, link: &Rc<LinkHandle>, circ: CircId, _body: Bytes) {
        link.destroy(circ, Code::Refused);
    }

    fn node_auth(&self, _link: &Rc<LinkHandle>, _body: Bytes) {}

    fn dir_get(&self, link: &Rc<LinkHandle>, _kind: DirKind, _number: u64) {
        link.dir_answer(Bytes::new());
    }

    fn dir_data(&self, _link: &Rc<LinkHandle>, _kind: DirKind, _body: Bytes) {}

    fn go_away(&self, _link: &Rc<LinkHandle>, code: Code, _seconds: u16) {
        self.gone_away.set(Some(code));
    }

    fn parted(&self, _link: &Rc<LinkHandle>, why: Parting) -> Afterwards {
        self.parted.set(Some(why));
        Afterwards::End
    }
}

/// What became of a CREATE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Created(Bytes),
    Destroyed(Code),
}

/// A circuit that was asked for.
#[derive(Default)]
pub(crate) struct Asked {
    pub(crate) outcomes: RefCell<Vec<Outcome>>,
}

impl CircuitOwner for Asked {
    fn created(&self, body: Bytes) {
        self.outcomes.borrow_mut().push(Outcome::Created(body));
    }

    fn data(&self, _record: Bytes) {}

    fn sent(&self, _bytes: usize) {}

    fn writable(&self) {}

    fn destroyed(&self, code: Code) {
        self.outcomes.borrow_mut().push(Outcome::Destroyed(code));
    }
}

impl Asked {
    /// The first thing that was told.
    pub(crate) async fn outcome(&self) -> Outcome {
        until("the circuit is answered", || !self.outcomes.borrow().is_empty()).await;
        self.outcomes.borrow()[0].clone()
    }
}

/// The key of a node's door.
pub(crate) fn entry_key(common: &Common, node: &TownNode, gate: [u8; 32]) -> EntryKey {
    EntryKey {
        network: *common.network.id(),
        node: node.address,
        link_key: *node.plan.keys.load().link.public(),
        gate: Secret::take(&mut gate.clone()),
    }
}

impl Raw {
    /// As a client that was invited.
    pub(crate) async fn client(
        shard: &Rc<Shard>,
        common: &Common,
        node: &TownNode,
    ) -> Result<Self, DialFault> {
        let key = entry_key(common, node, node.gate);
        Box::pin(Self::open(shard, common, node, key, Purpose::New, None)).await
    }

    /// As a node, by what the descriptor tells, with this delegation and key.
    pub(crate) async fn node(
        shard: &Rc<Shard>,
        common: &Common,
        node: &TownNode,
        me: NodeSelf<'_>,
    ) -> Result<Self, DialFault> {
        let key = entry_key(common, node, node.link_gate);
        Box::pin(Self::open(shard, common, node, key, Purpose::Node, Some(me))).await
    }

    /// With any key and purpose. `me` is what NODE_AUTH says; a trunk without it says nothing.
    pub(crate) async fn open(
        shard: &Rc<Shard>,
        common: &Common,
        node: &TownNode,
        to: EntryKey,
        purpose: Purpose<'_>,
        me: Option<NodeSelf<'_>>,
    ) -> Result<Self, DialFault> {
        let session = SessionId::random(&mut chance::rng());
        let opener = OpenerAsk { purpose, session, time: time::unix(), token: None };
        // Until NODE_AUTH it only counts that it is a trunk.
        let (delegation, key) = ([0; 143], SecretKey::from_seed(&[9; 32]));
        let trunk = matches!(opener.purpose, Purpose::Node);
        let own = trunk.then_some(NodeSelf { delegation: &delegation, key: &key });
        let ask = Ask { to: &to, endpoint: &node.endpoint, opener, node: own, visit: false };
        let (dialing, mut rng) = (common.dialing(), chance::rng());
        let mut opened = soon(Box::pin(dial::open(shard, &dialing, &ask, &mut rng))).await?;
        dial::begin(&mut opened, None, me)?;
        let Opened { link, duplex, carrier, visit, .. } = opened;
        let (link, owner) = (LinkHandle::new(link), Rc::<Seen>::default());
        driver::spawn(shard, &link, Rc::clone(&owner) as Rc<dyn LinkOwner>, duplex, carrier);
        Ok(Self { link, owner, _visit: visit })
    }

    /// Sends a CREATE.
    pub(crate) fn create(&self, body: &[u8]) -> Result<(CircId, Rc<Asked>), NotTaken> {
        let asked = Rc::<Asked>::default();
        let owner = Rc::clone(&asked) as Rc<dyn CircuitOwner>;
        let circ = self.link.create(Bytes::copy_from_slice(body), 0, owner, &mut chance::rng())?;
        Ok((circ, asked))
    }

    /// Sends a CREATE, which comes to this.
    pub(crate) async fn outcome(&self, body: &[u8]) -> Outcome {
        let (_, asked) = self.create(body).unwrap();
        soon(asked.outcome()).await
    }
}

/// A node as a hop.
pub(crate) fn hop(node: &TownNode) -> HopKey {
    let offer = &node.descriptor.kems[0];
    HopKey { node: node.address, id: offer.id(), kem: XWingPublic::from(&*offer.key) }
}

/// The CREATE of a path.
pub(crate) fn path(common: &Common, hops: &[&TownNode]) -> (Vec<u8>, PendingCircuit) {
    let hops: Vec<HopKey> = hops.iter().map(|node| hop(node)).collect();
    let offer = Offer { suites: Suites::BOTH, token: &[] };
    create::build(common.network.id(), &hops, &offer, &mut chance::rng()).unwrap()
}

/// What a CREATE holds for the next hop, once `node` has opened it.
pub(crate) fn inner(common: &Common, node: &TownNode, body: &[u8]) -> Vec<u8> {
    let mut kems = node.plan.kems.lock().unwrap();
    match kems.open(common.network.id(), node.address, body, time::unix()).unwrap() {
        OpenedCreate::Relay(request) => request.inner,
        OpenedCreate::Exit(_) => panic!("it ends here"),
    }
}
