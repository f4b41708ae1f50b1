//! A circuit that passes through this node: what comes by one link leaves by the other.
//!
//! Bytes are granted again on the link they came by when they have left on the other, so that a slow next hop slows the
//! sender down and nothing piles up here. Each side of the pair owns its circuit on its link. Not here: how the next node
//! is found and reached (`node`), the windows (`overlay-proto`).

use crate::link::{CircuitOwner, LinkHandle};
use bytes::{Bytes, BytesMut};
use shoalway_overlay_proto::layer::{Layer, RelayLayer};
use shoalway_overlay_proto::link::terms::{CircId, Code};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// One side of a pair: a circuit on a link.
struct Side {
    link: Rc<LinkHandle>,
    circ: CircId,
}

/// A circuit on its way through.
pub struct Relay {
    /// Towards the client.
    front: Side,
    /// Towards the exit, once the link there has taken it.
    back: RefCell<Option<Side>>,
    /// Whether the front is gone: nobody is there for what comes from the back.
    ended: Cell<bool>,
    /// In paths of three hops.
    layer: RefCell<Option<RelayLayer>>,
}

impl Relay {
    /// Of a circuit that was asked for on `link`; its owner there.
    #[must_use]
    pub fn begin(link: &Rc<LinkHandle>, circ: CircId, layer: Option<RelayLayer>) -> Rc<Self> {
        let relay = Rc::new(Self {
            front: Side { link: Rc::clone(link), circ },
            back: RefCell::new(None),
            ended: Cell::new(false),
            layer: RefCell::new(layer),
        });
        link.own(circ, Rc::new(Front(Rc::clone(&relay))));
        relay
    }

    /// Whom the circuit belongs to on the link to the next node.
    #[must_use]
    pub fn back(self: &Rc<Self>) -> Rc<dyn CircuitOwner> {
        Rc::new(Back(Rc::clone(self)))
    }

    /// The link to the next node has taken it under this name.
    pub fn joined(&self, link: &Rc<LinkHandle>, circ: CircId) {
        *self.back.borrow_mut() = Some(Side { link: Rc::clone(link), circ });
    }

    /// Whether it was given up before it was joined to the next node.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        self.ended.get()
    }

    /// There is no way on.
    pub fn refuse(&self, code: Code) {
        self.ended.set(true);
        self.front.link.destroy(self.front.circ, code);
    }

    fn layered(&self, body: Bytes, which: impl FnOnce(&mut RelayLayer) -> &mut Layer) -> Bytes {
        let mut layer = self.layer.borrow_mut();
        let Some(layer) = layer.as_mut() else { return body };
        let mut body = BytesMut::from(body);
        which(layer).apply(&mut body);
        body.freeze()
    }

    /// Ends the side that does not know yet.
    fn end_back(&self, code: Code) {
        if let Some(back) = self.back.borrow_mut().take() {
            back.link.destroy(back.circ, code);
        }
    }
}

struct Front(Rc<Relay>);

impl CircuitOwner for Front {
    /// The front was asked for by the neighbour, so nobody answers it.
    fn created(&self, _body: Bytes) {}

    fn data(&self, record: Bytes) {
        let Self(relay) = self;
        let record = relay.layered(record, |layer| &mut layer.to_exit);
        let taken = relay.back.borrow().as_ref().map(|back| back.link.data(back.circ, record));
        if !matches!(taken, Some(Ok(()))) {
            // Records before CREATED, or more than may wait: the client breaks the protocol.
            relay.refuse(Code::Protocol);
            relay.end_back(Code::Protocol);
        }
    }

    fn sent(&self, bytes: usize) {
        if let Some(back) = &*self.0.back.borrow() {
            back.link.released(back.circ, bytes);
        }
    }

    fn writable(&self) {}

    fn destroyed(&self, code: Code) {
        self.0.ended.set(true);
        self.0.end_back(code);
    }
}

struct Back(Rc<Relay>);

impl CircuitOwner for Back {
    fn created(&self, body: Bytes) {
        let Self(relay) = self;
        let body = relay.layered(body, |layer| &mut layer.to_client);
        if relay.front.link.created(relay.front.circ, body).is_err() {
            relay.end_back(Code::Protocol);
        }
    }

    fn data(&self, record: Bytes) {
        let Self(relay) = self;
        let record = relay.layered(record, |layer| &mut layer.to_client);
        if relay.front.link.data(relay.front.circ, record).is_err() {
            relay.end_back(Code::Protocol);
            relay.refuse(Code::Protocol);
        }
    }

    fn sent(&self, bytes: usize) {
        let Side { link, circ } = &self.0.front;
        link.released(*circ, bytes);
    }

    fn writable(&self) {}

    fn destroyed(&self, code: Code) {
        self.0.back.borrow_mut().take();
        self.0.refuse(code);
    }
}
